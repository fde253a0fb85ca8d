//! The truth lies within the printed interval as often as the interval says.

use std::collections::BTreeMap;

use crate::harness::{Directory, Truth, Victim, long, program, tally, top, truth, victim_command};

/// Runs of 100 in which the 95 % interval must hold the truth: fewer have a probability below
/// 1 in 200 when the interval is right.
const HITS_OF_100: u32 = 89;

/// Of 20 runs, by the same measure.
const HITS_OF_20: u32 = 16;

/// Sites with several samples to expect at 512 KiB. A site that no sample hit has no row and so no
/// interval; and a handful of blocks of very unequal size tells nothing of its unsampled ones.
fn is_judged(site: &Truth) -> bool {
    site.bytes >= 4e6 && site.blocks >= 30.0
}

fn coverage(interval: &str) {
    let (runs, needed) = if long() {
        (100, HITS_OF_100)
    } else {
        (20, HITS_OF_20)
    };
    let mut hits: BTreeMap<String, u32> = BTreeMap::new();
    let mut misses = Vec::new();
    let mut means: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for seed in 1..=runs {
        let directory = Directory::new();
        let mut command = victim_command(&program("victim-sites"), directory.path());
        command
            .arg("100")
            .env("RIPTIDE_SAMPLE_INTERVAL", interval)
            .env("RIPTIDE_SEED", seed.to_string());
        let mut victim = Victim::start(command);
        let sites = truth(&victim.report());
        let top = top(&directory.region());
        assert_eq!(top.number("loss", "unrecorded_blocks"), 0);
        for site in sites.iter().filter(|site| is_judged(site)) {
            let (bytes, blocks) = top.site(&site.function);
            for (what, estimate, value) in [
                ("bytes", bytes, site.bytes),
                ("blocks", blocks, site.blocks),
            ] {
                let key = format!("{} {what}", site.function);
                let mean = means.entry(key.clone()).or_default();
                mean.0 += estimate.estimate / f64::from(runs);
                mean.1 = value;
                if estimate.holds(value) {
                    *hits.entry(key).or_default() += 1;
                } else {
                    misses.push((key, seed, value, estimate));
                }
            }
        }
    }
    assert_eq!(means.len(), 18, "nine sites, bytes and blocks: {means:?}");
    println!("interval {interval}, seeds 1 to {runs}; misses:");
    for (key, seed, value, estimate) in &misses {
        println!("  {key}, seed {seed}: {value} is not in {estimate:?}");
    }
    println!(
        "misses by seed: {:?}",
        tally(misses.iter().map(|miss| miss.1))
    );
    for (key, (mean, value)) in &means {
        let hit = hits.get(key).copied().unwrap_or_default();
        println!("  {key}: {hit} of {runs}, mean {mean:.0}, truth {value}");
    }
    for (key, (mean, value)) in &means {
        let hit = hits.get(key).copied().unwrap_or_default();
        assert!(
            hit >= needed,
            "{key}: {hit} of {runs} intervals hold the truth"
        );
        // A loose guard against a bias that wide intervals would hide.
        assert!(
            *mean > 0.0 && (mean / value - 1.0).abs() < 0.6,
            "{key}: mean {mean}, truth {value}"
        );
    }
}

#[test]
fn intervals_hold_the_truth_at_512_kib() {
    coverage("512KiB");
}

#[test]
fn intervals_hold_the_truth_at_64_kib() {
    coverage("64KiB");
}
