//! `riptide advise`: what it predicts is what following it gains, and healthy programs are left
//! alone.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::harness::{Directory, Victim, program, riptide, victim_command};

/// A victim, and what was advised about it.
struct Advised {
    advice: Vec<Value>,
    rss: f64,
    peak_rss: f64,
    bytes_per_second: f64,
    blocks_per_second: f64,
}

impl Advised {
    fn of(kind: &str, mode: &str, options: &str) -> Self {
        let directory = Directory::new();
        let mut command = victim_command(&program("victim-waste"), directory.path());
        command
            .args([kind, mode])
            .env("RIPTIDE_SAMPLE_INTERVAL", "64KiB")
            .env("_RJEM_MALLOC_CONF", options);
        let mut victim = Victim::start(command);
        assert_eq!(victim.line(), "ready");
        thread::sleep(Duration::from_millis(1_500));
        let count = |victim: &mut Victim| {
            victim.say("count");
            let counted = victim.report();
            (
                std::time::Instant::now(),
                counted["bytes"].as_f64().unwrap(),
                counted["blocks"].as_f64().unwrap(),
            )
        };
        let before = count(&mut victim);
        let region = directory.region();
        let arguments = ["advise", region.to_str().unwrap(), "--json", "--for", "3s"];
        let output = riptide(&arguments, &[]);
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let after = count(&mut victim);
        let seconds = (after.0 - before.0).as_secs_f64();
        let status = std::fs::read_to_string(format!("/proc/{}/status", victim.pid())).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.unwrap().split_whitespace().next().unwrap();
            number.parse::<f64>().unwrap() * 1_024.0
        };
        Self {
            advice: answer["advice"].as_array().unwrap().clone(),
            rss: kib("VmRSS:"),
            peak_rss: kib("VmHWM:"),
            bytes_per_second: (after.1 - before.1) / seconds,
            blocks_per_second: (after.2 - before.2) / seconds,
        }
    }

    fn about(&self, kind: &str) -> Option<&Value> {
        self.advice.iter().find(|advice| advice["kind"] == kind)
    }
}

/// The gain predicted for the wasteful program is, within a factor of two, what the other one saves.
fn assert_pays(kind: &str, options: [&str; 2], measure: impl Fn(&Advised) -> f64) -> Value {
    let wasteful = Advised::of(kind, "wasteful", options[0]);
    let follows = Advised::of(kind, "follows", options[1]);
    let advice = wasteful.about(kind);
    let advice = advice.unwrap_or_else(|| panic!("not advised: {:?}", wasteful.advice));
    let predicted = advice["gain"]["estimate"].as_f64().unwrap();
    let measured = measure(&wasteful) - measure(&follows);
    println!("{kind}: predicted {predicted:.0}, measured {measured:.0}");
    assert!(
        (0.5..=2.0).contains(&(predicted / measured)),
        "predicted {predicted}, measured {measured}: {advice}"
    );
    assert!(!advice["evidence"].as_array().unwrap().is_empty());
    assert!(follows.about(kind).is_none(), "{:?}", follows.advice);
    advice.clone()
}

/// That the advice is about a function, or about a closure in it.
fn assert_function(advice: &Value, name: &str) {
    let function = advice["function"].as_str().unwrap();
    assert!(function.starts_with(name), "{function}");
}

/// Unused pages go back at once, so that they do not blur what is measured.
const NO_DIRTY_PAGES: &str = "dirty_decay_ms:0";

#[test]
fn blocks_just_above_a_size_class() {
    let advice = assert_pays("size-class", [NO_DIRTY_PAGES; 2], |victim| victim.rss);
    assert_function(&advice, "victim_waste::above_a_class");
}

#[test]
fn few_blocks_that_keep_slabs() {
    let advice = assert_pays("fragmentation", [NO_DIRTY_PAGES; 2], |victim| victim.rss);
    assert_function(&advice, "victim_waste::survivors");
}

#[test]
fn a_peak_far_above_the_rest() {
    assert_pays("burst", [NO_DIRTY_PAGES; 2], |victim| victim.peak_rss);
}

#[test]
fn pages_that_are_not_given_back() {
    assert_pays("dirty-pages", ["", NO_DIRTY_PAGES], |victim| victim.rss);
}

#[test]
fn caches_of_threads() {
    let smaller = "dirty_decay_ms:0,tcache_max:4096";
    assert_pays("thread-caches", [NO_DIRTY_PAGES, smaller], |victim| {
        victim.rss
    });
}

#[test]
fn buffers_that_grow() {
    let advice = assert_pays("growing-buffers", [""; 2], |victim| victim.bytes_per_second);
    assert_function(&advice, "victim_waste::build");
}

#[test]
fn blocks_that_are_freed_at_once() {
    let advice = assert_pays("short-lived", [""; 2], |victim| victim.blocks_per_second);
    assert_function(&advice, "victim_waste::temporary");
}

#[test]
fn a_healthy_program_is_left_alone() {
    let healthy = Advised::of("none", "follows", "");
    assert!(healthy.advice.is_empty(), "{:?}", healthy.advice);
    let directory = Directory::new();
    let mut victim = Victim::new("victim-memory", &["plain", "64"], &directory, "64KiB");
    victim.report();
    let region = directory.region();
    let output = riptide(&["advise", region.to_str().unwrap(), "--for", "1s"], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("nothing to advise"), "{text}");
    // Nor is it after its death.
    victim.kill();
    let output = riptide(&["advise", region.to_str().unwrap(), "--json"], &[]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["advice"], serde_json::json!([]), "{answer}");
}
