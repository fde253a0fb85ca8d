//! What a service notices of `serve` beside it: rounds of work a CPU second and a second, with the server
//! at work and with it stopped, in turn; the same with it stopped both times (A/A) beside it. Figures
//! are printed, not asserted.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Directory, Victim, long},
    report,
    server::{QUICK, Server},
};

#[derive(Clone, Copy)]
struct Count {
    at: Instant,
    rounds: f64,
    cpu_seconds: f64,
}

fn count(victim: &mut Victim) -> Count {
    victim.say("count");
    let report = victim.report();
    Count {
        at: Instant::now(),
        rounds: report["rounds"].as_f64().unwrap(),
        cpu_seconds: report["cpu_seconds"].as_f64().unwrap(),
    }
}

/// Rounds a CPU second and rounds a second over one window.
fn window(victim: &mut Victim) -> [f64; 2] {
    let before = count(victim);
    thread::sleep(Duration::from_millis(500));
    let after = count(victim);
    let rounds = after.rounds - before.rounds;
    assert!(rounds > 0.0);
    [
        rounds / (after.cpu_seconds - before.cpu_seconds),
        rounds / (after.at - before.at).as_secs_f64(),
    ]
}

/// Median, and the 95 % interval of the median from the order statistics.
fn median(mut ratios: Vec<f64>) -> (f64, f64, f64) {
    ratios.sort_by(f64::total_cmp);
    let count = ratios.len() as f64;
    let spread = 0.98 * count.sqrt();
    let at = |place: f64| ratios[(place.round().max(0.0) as usize).min(ratios.len() - 1)];
    (
        at(count / 2.0),
        at(count / 2.0 - spread),
        at(count / 2.0 + spread),
    )
}

#[test]
fn the_work_of_a_service_with_serve_beside_it_and_without() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-work", &[], &directory, "64KiB");
    assert_eq!(victim.line(), "ready");
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    // Symbols and the first verdict are not what goes on for days.
    thread::sleep(Duration::from_secs(5));
    let pairs = if long() { 60 } else { 10 };
    let mut with_serve: [Vec<f64>; 2] = Default::default();
    let mut same: [Vec<f64>; 2] = Default::default();
    for pair in 0..pairs {
        let mut measure = |is_at_work: bool| {
            server.signal(if is_at_work { "CONT" } else { "STOP" });
            window(&mut victim)
        };
        // Either first, in turn: what drifts favours neither.
        let (with, without) = if pair % 2 == 0 {
            let with = measure(true);
            (with, measure(false))
        } else {
            let without = measure(false);
            (measure(true), without)
        };
        let (one, other) = (measure(false), measure(false));
        for place in 0..2 {
            with_serve[place].push(with[place] / without[place]);
            same[place].push(one[place] / other[place]);
        }
    }
    server.signal("CONT");
    for (place, unit) in ["a CPU second", "a second"].into_iter().enumerate() {
        let (ratio, low, high) = median(with_serve[place].clone());
        let (control, control_low, control_high) = median(same[place].clone());
        report(&format!(
            "beside: rounds {unit} with serve to without: {ratio:.3} [{low:.3}, {high:.3}], A/A {control:.3} [{control_low:.3}, {control_high:.3}], {pairs} pairs"
        ));
    }
    assert_eq!(server.get("/health").json()["targets"], 1);
}
