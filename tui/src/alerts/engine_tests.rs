use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use riptide_reader::{leak::Verdict, profile::Estimate};

use super::{
    Change, Engine, LeakRule, Levels, Notification, Now, Reading, Rule, Rules, Severity,
    SiteEvidence, TargetName, Timing, VerdictReading,
};

const MB: f64 = 1e6;

fn rules() -> Rules {
    Rules {
        bytes: Levels::scaled([650.0, 700.0, 750.0], MB),
        leak: Some(LeakRule {
            severity: Severity::Alert,
            confidence: 0.8,
            bytes_per_day: 10.0 * MB,
        }),
        ..Rules::default()
    }
}

fn timing() -> Timing {
    Timing {
        cooldown: Duration::from_secs(300),
        resolve_after: Duration::from_secs(30),
        group_wait: Duration::from_secs(5),
        evidence_wait: Duration::ZERO,
        hysteresis: 0.05,
        history: 20,
    }
}

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix: Duration::from_secs(1_800_000_000 + seconds),
    }
}

fn reading(megabytes: f64) -> Reading {
    Reading {
        target: TargetName {
            pid: 42,
            process: "shop".to_owned(),
            region: "/dev/shm/riptide-0/42-1-a".to_owned(),
        },
        rss: Some((megabytes * MB) as u64),
        ..Reading::default()
    }
}

fn changes(notifications: impl IntoIterator<Item = Notification>) -> Vec<(Rule, Change, Severity)> {
    notifications
        .into_iter()
        .flat_map(|of| of.alerts)
        .map(|notice| (notice.alert.rule, notice.change, notice.alert.severity))
        .collect()
}

/// Lets an engine look once a second at what `megabytes` says; what is said, with its second.
fn run(
    engine: &mut Engine,
    seconds: std::ops::Range<u64>,
    megabytes: impl Fn(u64) -> f64,
) -> Vec<(u64, Change, Severity)> {
    let mut said = Vec::new();
    for second in seconds {
        engine.observe(at(second), reading(megabytes(second)));
        for (_, change, severity) in changes(engine.speak(at(second))) {
            said.push((second, change, severity));
        }
    }
    said
}

use Change::{Escalated, Fired, Repeated, Resolved};
use Severity::{Alert, Critical, Warning};

#[test]
fn an_alert_fires_repeats_after_the_cooldown_and_resolves() {
    let mut engine = Engine::new(rules(), timing());
    let said = run(&mut engine, 0..1_000, |second| {
        if (100..800).contains(&second) {
            710.0
        } else {
            500.0
        }
    });
    assert_eq!(
        said,
        [
            // Five seconds for others to join; the repeats wait for each other as well.
            (105, Fired, Alert),
            (410, Repeated, Alert),
            (715, Repeated, Alert),
            (835, Resolved, Alert),
        ]
    );
    let history: Vec<_> = engine.history().collect();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].since, at(100).unix);
    assert_eq!(history[0].resolved, Some(at(830).unix));
    assert!(engine.active(at(1_000)).is_empty());
}

#[test]
fn it_escalates_at_once_and_a_fall_between_levels_is_silent() {
    let mut engine = Engine::new(rules(), timing());
    let said = run(&mut engine, 0..300, |second| match second {
        0..50 => 660.0,
        50..60 => 720.0,
        60..70 => 760.0,
        70..200 => 660.0,
        200..220 => 760.0,
        _ => 660.0,
    });
    assert_eq!(
        said,
        [
            (5, Fired, Warning),
            (55, Escalated, Alert),
            // A critical one does not wait.
            (60, Escalated, Critical),
        ],
        "what was said to be critical is not said so again within the cooldown"
    );
}

#[test]
fn a_fall_within_the_hysteresis_is_none() {
    let mut engine = Engine::new(rules(), timing());
    let said = run(
        &mut engine,
        0..290,
        |second| {
            if second == 0 { 650.0 } else { 620.0 }
        },
    );
    assert_eq!(said, [(5, Fired, Warning)]);
    assert_eq!(engine.active(at(290)).len(), 1);
    let said = run(&mut engine, 290..350, |_| 617.0);
    assert_eq!(said.last(), Some(&(325, Resolved, Warning)));
}

#[test]
fn a_value_that_flaps_does_not_spam() {
    let mut engine = Engine::new(rules(), timing());
    // A minute above, a minute far below, for an hour: thirty crossings.
    let said = run(&mut engine, 0..3_600, |second| {
        if second / 60 % 2 == 0 { 710.0 } else { 100.0 }
    });
    let fired = said
        .iter()
        .filter(|(_, change, _)| *change == Fired)
        .count();
    assert!((10..=12).contains(&fired), "{said:?}");
    assert!(said.len() <= 24, "{said:?}");
    assert!(engine.history().count() == 20, "bounded as configured");
}

#[test]
fn rules_of_one_target_go_out_together() {
    let mut engine = Engine::new(rules(), timing());
    let mut seen = reading(710.0);
    engine.observe(at(0), seen.clone());
    assert_eq!(changes(engine.speak(at(0))), []);
    seen.live = Estimate {
        estimate: 680.0 * MB,
        low: 640.0 * MB,
        high: 720.0 * MB,
    };
    engine.observe(at(3), seen.clone());
    assert_eq!(changes(engine.speak(at(3))), []);
    let notification = engine.speak(at(5)).remove(0);
    assert_eq!(notification.status, "firing");
    let live = &notification.alerts[1].alert;
    assert_eq!((live.rule, live.severity), (Rule::Live, Warning));
    assert_eq!(live.evidence.low, Some(640.0 * MB));
    assert_eq!(live.evidence.high, Some(720.0 * MB));
    assert_eq!((live.value, live.threshold), (680.0 * MB, 650.0 * MB));
    assert_eq!(
        changes(Some(notification)),
        [(Rule::Rss, Fired, Alert), (Rule::Live, Fired, Warning)]
    );
}

#[test]
fn a_leak_is_named_with_its_evidence_and_what_to_do() {
    let mut engine = Engine::new(rules(), timing());
    let mut seen = reading(100.0);
    seen.verdicts.push(VerdictReading {
        verdict: Verdict::Leak,
        confidence: 0.99,
        site: SiteEvidence {
            function: "shop::cart::remember".to_owned(),
            file: Some("src/cart.rs".to_owned()),
            line: Some(41),
            live_bytes: Estimate::default(),
            growth_bytes_per_second: Some(Estimate {
                estimate: 1_000.0,
                low: 900.0,
                high: 1_100.0,
            }),
        },
        evidence: vec!["None of 900 samples died.".to_owned()],
    });
    engine.observe(at(0), seen.clone());
    assert!(engine.speak(at(0)).is_empty());
    let notification = engine.speak(at(5)).remove(0);
    let alert = &notification.alerts[0].alert;
    assert!(
        alert
            .summary
            .contains("shop::cart::remember (src/cart.rs:41) leaks 86.4 MB a day")
    );
    assert!(
        alert
            .evidence
            .statements
            .iter()
            .any(|of| of.contains("None of 900"))
    );
    assert_eq!(alert.evidence.sites[0].line, Some(41));
    assert!(alert.recommendations[0].contains("src/cart.rs:41"));
    assert!(
        notification.text.starts_with("ALERT shop (42)"),
        "{}",
        notification.text
    );
    // Found to be none after all.
    seen.verdicts.clear();
    for second in 6..60 {
        engine.observe(at(second), seen.clone());
        if let Some(notification) = engine.speak(at(second)).pop() {
            assert_eq!(notification.status, "resolved");
            assert!(notification.text.starts_with("RESOLVED"));
            return;
        }
    }
    panic!("not resolved");
}

#[test]
fn what_begins_waits_for_its_evidence_but_not_for_ever() {
    let patient = Timing {
        evidence_wait: Duration::from_secs(20),
        ..timing()
    };
    let mut engine = Engine::new(rules(), patient);
    engine.observe(at(0), reading(710.0));
    let region = reading(0.0).target.region;
    assert_eq!(
        engine.wanting_evidence(at(0)),
        std::slice::from_ref(&region)
    );
    assert!(engine.wanting_evidence(at(1)).is_empty(), "asked once");
    assert!(engine.speak(at(10)).is_empty());
    let site = SiteEvidence {
        function: "shop::grow".to_owned(),
        file: None,
        line: None,
        live_bytes: Estimate::default(),
        growth_bytes_per_second: None,
    };
    let path = "/var/lib/snapshot.pb.gz".to_owned();
    engine.give_evidence(at(11), &region, vec![site], Some(path.clone()));
    let notification = engine.speak(at(11)).remove(0);
    let alert = &notification.alerts[0].alert;
    assert_eq!(alert.evidence.sites[0].function, "shop::grow");
    assert_eq!(alert.evidence.snapshot, Some(path));
    assert!(alert.recommendations[0].contains("shop::grow"));
    // Nobody gathers any.
    let mut engine = Engine::new(rules(), patient);
    engine.observe(at(0), reading(710.0));
    assert!(engine.speak(at(19)).is_empty());
    assert_eq!(engine.speak(at(20)).len(), 1);
    // A critical one waits for as long as for others, at most.
    let mut engine = Engine::new(rules(), patient);
    engine.observe(at(0), reading(800.0));
    assert!(engine.speak(at(4)).is_empty());
    assert_eq!(engine.speak(at(5)).len(), 1);
}

#[test]
fn a_target_that_is_gone_ends_its_alerts_at_once() {
    let mut engine = Engine::new(rules(), timing());
    run(&mut engine, 0..10, |_| 710.0);
    let region = reading(0.0).target.region;
    assert_eq!(engine.counts(), [(Warning, 0), (Alert, 1), (Critical, 0)]);
    let last = engine.forget(at(10), &region, true).unwrap();
    assert!(
        last.text.contains("as the process was killed"),
        "{}",
        last.text
    );
    let said = changes([last]);
    assert_eq!(said, [(Rule::Rss, Resolved, Alert)]);
    assert_eq!(engine.counts(), [(Warning, 0), (Alert, 0), (Critical, 0)]);
    assert_eq!(engine.forget(at(11), &region, true), None);
    assert_eq!(engine.history().count(), 1);
}

#[test]
fn other_thresholds_count_from_the_next_look() {
    let mut engine = Engine::new(rules(), timing());
    run(&mut engine, 0..10, |_| 710.0);
    let mut higher = rules();
    higher.bytes = Levels::scaled([900.0, 0.0, 0.0], MB);
    engine.configure(higher, timing());
    let said = run(&mut engine, 10..60, |_| 710.0);
    assert_eq!(said, [(45, Resolved, Alert)]);
}

proptest! {
    /// However a value moves: what is said alternates as it should, is bounded within the cooldown,
    /// and in the end all that was said to have begun is said to be over.
    #[test]
    fn whatever_a_value_does_messages_are_few_and_make_sense(
        steps in prop::collection::vec((1_u64..40, 400.0_f64..900.0), 1..200),
    ) {
        let mut engine = Engine::new(rules(), timing());
        let mut said: Vec<(u64, Change, Severity)> = Vec::new();
        let mut second = 0;
        let mut values: Vec<(u64, f64)> = Vec::new();
        for (pause, megabytes) in steps {
            second += pause;
            values.push((second, megabytes));
            engine.observe(at(second), reading(megabytes));
            said.extend(changes(engine.speak(at(second))).into_iter().map(|(_, change, of)| (second, change, of)));
            // The level in force is never above what was reached, nor below what holds now.
            let active = engine.active(at(second));
            let reached = values.iter().rev().map(|(_, value)| *value).fold(0.0, f64::max);
            for of in &active {
                prop_assert!(reached * MB >= of.alert.threshold);
            }
            for (severity, threshold) in [(Warning, 650.0), (Alert, 700.0), (Critical, 750.0)] {
                if megabytes >= threshold {
                    prop_assert!(active.iter().any(|of| of.alert.severity >= severity));
                }
            }
            prop_assert!(active.len() <= 1);
            prop_assert!(engine.history().count() <= 20);
        }
        for _ in 0..100 {
            second += 10;
            engine.observe(at(second), reading(0.0));
            said.extend(changes(engine.speak(at(second))).into_iter().map(|(_, change, of)| (second, change, of)));
        }
        let mut begun = false;
        for (when, change, _) in &said {
            match change {
                Fired => { prop_assert!(!begun, "fired twice: {said:?}"); begun = true; }
                Escalated | Repeated => prop_assert!(begun, "{change:?} of nothing: {said:?}"),
                Resolved => { prop_assert!(begun, "the end of nothing: {said:?}"); begun = false; }
            }
            let window = said.iter().filter(|(other, change, _)| {
                *change != Resolved && (*when..when + 300).contains(other)
            });
            let mut by_severity: BTreeMap<Severity, u32> = BTreeMap::new();
            for (_, _, severity) in window {
                *by_severity.entry(*severity).or_default() += 1;
            }
            // Each severity once within a cooldown: a firing and two escalations at most.
            prop_assert!(by_severity.values().all(|count| *count <= 1), "{said:?}");
        }
        prop_assert!(!begun, "never ended: {said:?}");
        prop_assert!(engine.active(at(second)).is_empty());
    }

    /// A value that stays within the hysteresis of a level it reached keeps it.
    #[test]
    fn within_the_hysteresis_nothing_ends(
        values in prop::collection::vec(620.0_f64..649.0, 1..200),
    ) {
        let mut engine = Engine::new(rules(), timing());
        engine.observe(at(0), reading(655.0));
        for (second, megabytes) in values.into_iter().enumerate() {
            let now = at(second as u64 * 10);
            engine.observe(now, reading(megabytes));
            for (_, change, severity) in changes(engine.speak(now)) {
                prop_assert!(change != Resolved);
                prop_assert_eq!(severity, Warning);
            }
        }
        prop_assert_eq!(engine.active(at(0)).len(), 1);
    }
}
