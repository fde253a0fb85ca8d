//! Hand-made snapshots for tests.

use std::{path::PathBuf, sync::Arc, time::Duration};

use riptide_reader::{
    advise::{Advice, AdviceKind, Gain, GainUnit},
    leak::{Finding, Verdict},
    profile::{
        Distribution, Estimate, Frame, HeapShape, Inspection, LifetimeBucket, Live, Loss, Memory,
        Rates, Sampling, Shapes, Site, SizeClass, Snapshot, StackProfile, TargetInfo, TargetState,
        Temporary, ThreadProfile, ThreadSite, UnwinderKind,
    },
    waterfall::{BinRow, Fragmentation, SiteWaste, rows},
};

use crate::{
    app::SiteKey,
    flame::Tree,
    look::{Alerts, Findings, Inspected, Jemalloc, Parts, Thread},
};

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn estimate(estimate: f64, error: f64) -> Estimate {
    Estimate {
        estimate,
        low: (estimate - error).max(0.0),
        high: estimate + error,
    }
}

pub(crate) fn frame(function: &str, place: Option<(&str, u32)>, inlined: bool) -> Frame {
    Frame {
        function: function.to_owned(),
        file: place.map(|(file, _)| file.to_owned()),
        line: place.map(|(_, line)| line),
        inlined,
        module: Some("service".to_owned()),
    }
}

pub(crate) fn site(function: &str, place: Option<(&str, u32)>, bytes: f64, growth: f64) -> Site {
    let error = bytes / 16.0;
    Site {
        function: function.to_owned(),
        file: place.map(|(file, _)| file.to_owned()),
        line: place.map(|(_, line)| line),
        live_bytes: estimate(bytes, error),
        live_objects: estimate(bytes / 640.0, error / 640.0),
        allocated_bytes_total: estimate(bytes * 3.0, error * 3.0),
        growth_bytes_per_second: Some(Estimate {
            estimate: growth,
            low: growth - 0.2 * MIB,
            high: growth + 0.2 * MIB,
        }),
        allocations_per_second: Some(bytes / 6_400.0),
        median_age_seconds: Some(42.0),
        live_samples: (bytes / 65_536.0) as u64,
        stack: vec![
            frame(function, place, false),
            frame(
                "service::handlers::login",
                Some(("src/handlers.rs", 88)),
                true,
            ),
            frame(
                "<core::pin::Pin<P> as core::future::future::Future>::poll",
                None,
                false,
            ),
            frame(
                "tokio::runtime::task::raw::poll",
                Some(("task/raw.rs", 325)),
                false,
            ),
            frame(
                "std::sys::backtrace::__rust_begin_short_backtrace",
                None,
                true,
            ),
            frame("service::main", Some(("src/main.rs", 14)), false),
        ]
        .into(),
    }
}

pub(crate) fn target(pid: u32, name: &str, state: TargetState) -> TargetInfo {
    TargetInfo {
        pid,
        name: name.to_owned(),
        state,
        region: PathBuf::from(format!("/dev/shm/riptide-1000/{pid}-8812-5f0c")),
        uptime_seconds: Some(72.0),
        executable: Some(PathBuf::from("/usr/bin/service")),
        heartbeat_age_seconds: (state == TargetState::Live).then_some(0.3),
    }
}

pub(crate) fn snapshot() -> Snapshot {
    let at = |file: &'static str, line| Some((file, line));
    let mut sites = vec![
        site(
            "service::index::Index::build",
            at("src/index.rs", 41),
            18.3 * MIB,
            0.0,
        ),
        site(
            "service::sessions::remember_session",
            at("src/sessions.rs", 57),
            14.1 * MIB,
            1.62 * MIB,
        ),
        site(
            "service::cache::Lru::insert",
            at("src/cache.rs", 120),
            8.0 * MIB,
            0.02 * MIB,
        ),
        site(
            "service::history::Ring::push",
            at("src/history.rs", 33),
            2.2 * MIB,
            -0.01 * MIB,
        ),
        site("hyper::proto::h1::io::Buffered::new", None, 0.4 * MIB, 0.0),
    ];
    for n in 0..20 {
        sites.push(site(
            &format!("service::routes::route_{n}::handle"),
            at("src/routes.rs", 10 + n),
            f64::from(20 - n) * 9_000.0,
            0.0,
        ));
    }
    Snapshot {
        schema_version: 1,
        target: target(4_242, "service", TargetState::Live),
        sampling: Sampling {
            interval_bytes: 65_536,
            unwinder: UnwinderKind::FramePointers,
            samples: 12_345,
            cost_fraction: 0.0012,
        },
        loss: Loss::default(),
        live: Live {
            bytes: estimate(44.1 * MIB, 1.3 * MIB),
            objects: estimate(71_300.0, 2_100.0),
        },
        memory: Memory {
            allocated: Some((48.3 * MIB) as u64),
            active: Some((52.0 * MIB) as u64),
            resident: Some((60.7 * MIB) as u64),
            retained: Some((11.0 * MIB) as u64),
            metadata: Some((4.1 * MIB) as u64),
            dirty: Some((4.6 * MIB) as u64),
            muzzy: Some(0),
            rss: Some((66.9 * MIB) as u64),
            r#virtual: Some((310.0 * MIB) as u64),
            cgroup_limit: Some((256.0 * MIB) as u64),
            cgroup_usage: Some((70.2 * MIB) as u64),
            not_seen_by_shim: Some(estimate(0.4 * MIB, 1.2 * MIB)),
            rounding: Some(estimate(3.8 * MIB, 0.3 * MIB)),
            age_seconds: Some(0.4),
            ..Memory::default()
        },
        rates: Rates {
            allocated_bytes_per_second: Some(182.0 * MIB),
            allocations_per_second: Some(310_000.0),
            growth_bytes_per_second: Some(estimate(1.65 * MIB, 0.24 * MIB)),
        },
        sites,
        pending_symbols: 0,
    }
}

fn finding(site: &Site, verdict: Verdict, confidence: f64, evidence: &[&str]) -> Finding {
    Finding {
        verdict,
        confidence,
        function: site.function.clone(),
        file: site.file.clone(),
        line: site.line,
        live_bytes: site.live_bytes,
        live_objects: site.live_objects,
        growth_bytes_per_second: (verdict <= Verdict::Growing)
            .then_some(site.growth_bytes_per_second)
            .flatten(),
        time_to_limit_seconds: (verdict == Verdict::Leak).then(|| estimate(7_200.0, 900.0)),
        evidence: evidence.iter().map(|text| (*text).to_owned()).collect(),
        stack: Arc::clone(&site.stack),
    }
}

fn findings(snapshot: &Snapshot) -> Findings {
    let mut list = Vec::new();
    // As if the user had ignored it.
    let warm_up = |site: &Site| {
        let evidence = ["It grew by less in each window: 2.2 MiB will be its level."];
        finding(site, Verdict::WarmUp, 0.81, &evidence)
    };
    let ignored = snapshot.sites.iter();
    let ignored = ignored.filter(|site| site.function.contains("Ring"));
    let ignored: Vec<Finding> = ignored.map(warm_up).collect();
    for site in &snapshot.sites {
        if ignored.iter().any(|of| of.function == site.function) {
            continue;
        }
        let growth = site.growth_bytes_per_second.map_or(0.0, |of| of.estimate);
        list.push(if growth > 0.5 * MIB {
            finding(
                site,
                Verdict::Leak,
                0.97,
                &[
                    "Over the last 120 s 180 samples outlived 30 s and 0 of that age died: survival past \
                     there is 100.0 %, p < 0.0001.",
                    "Births of what stays do not fall off (Laplace statistic +0.2): 1.6 MiB/s (95 % \
                     interval 1.4 MiB/s to 1.8 MiB/s), or 137 GiB a day.",
                ],
            )
        } else if site.function.contains("Lru") {
            finding(
                site,
                Verdict::CacheLike,
                0.88,
                &["In the last 60 s 40 samples came and 39 older ones went: it turns over at its level."],
            )
        } else {
            finding(site, Verdict::Healthy, 0.9, &["births do not exceed deaths"])
        });
    }
    list.sort_by_key(|of| of.verdict);
    Findings::new(list, ignored, 40.0)
}

fn group(name: &str, sites: &[&Site]) -> Site {
    let mut group = Site {
        function: name.to_owned(),
        ..(*sites
            .first()
            .copied()
            .unwrap_or(&site(name, None, 0.0, 0.0)))
        .clone()
    };
    (group.file, group.line) = (None, None);
    group.live_bytes.estimate = sites.iter().map(|site| site.live_bytes.estimate).sum();
    group.live_bytes.low = sites.iter().map(|site| site.live_bytes.low).sum();
    group.live_bytes.high = sites.iter().map(|site| site.live_bytes.high).sum();
    let growth = |of: fn(Estimate) -> f64| {
        let growths = sites.iter().filter_map(|site| site.growth_bytes_per_second);
        growths.map(of).sum()
    };
    group.growth_bytes_per_second = Some(Estimate {
        estimate: growth(|of| of.estimate),
        low: growth(|of| of.low),
        high: growth(|of| of.high),
    });
    group
}

fn threads(snapshot: &Snapshot) -> Arc<[Thread]> {
    let names = [
        Some("main"),
        Some("tokio-rt-worker"),
        Some("compaction"),
        None,
    ];
    let threads = names.iter().enumerate().map(|(number, name)| {
        let share = 1.0 / 2.0_f64.powi(number as i32 + 1);
        let of = |value: f64| estimate(value * share, value * share / 9.0);
        let sites = snapshot
            .sites
            .iter()
            .take(5 - number)
            .map(|site| ThreadSite {
                function: site.function.clone(),
                file: site.file.clone(),
                line: site.line,
                live_bytes: of(site.live_bytes.estimate),
            });
        Thread {
            name: name.map(str::to_owned),
            profile: ThreadProfile {
                id: 4_242 + number as u32,
                live_bytes: of(snapshot.live.bytes.estimate),
                live_objects: of(snapshot.live.objects.estimate),
                median_age_seconds: Some(12.0 * (number + 1) as f64),
                kept_bytes_per_second: of(1.6 * MIB),
                live_samples: 500,
                sites: sites.collect(),
                stack: snapshot
                    .sites
                    .get(number)
                    .map_or_else(|| Vec::new().into(), |site| Arc::clone(&site.stack)),
            },
        }
    });
    threads.collect()
}

fn shape(snapshot: &Snapshot) -> HeapShape {
    let sizes = [
        16,
        48,
        64,
        96,
        128,
        512,
        1_024,
        1_280,
        4_096,
        16_384,
        1 << 20,
    ];
    let sizes = sizes.iter().enumerate().map(|(number, bytes)| {
        let live = 9.0 * MIB / (1.0 + (number as f64 - 4.0).abs());
        SizeClass {
            usable_bytes: *bytes,
            live_bytes: estimate(live, live / 7.0),
            live_objects: estimate(live / *bytes as f64, live / *bytes as f64 / 7.0),
        }
    });
    let lifetimes = (0..13_u32).map(|bucket| LifetimeBucket {
        from_ms: (1 << bucket) - 1,
        to_ms: (bucket < 12).then_some((2 << bucket) - 1),
        samples: [9_000, 4_100, 2_000, 800, 20, 3, 1, 0, 0, 40, 700, 90, 12][bucket as usize],
    });
    let distribution = |count, p50, p90, p99, max| Distribution {
        count,
        min: 8,
        p50,
        p90,
        p99,
        max,
    };
    let temporary = snapshot
        .sites
        .iter()
        .rev()
        .take(9)
        .enumerate()
        .map(|(number, site)| {
            let objects = 4.0e7 / (number + 1) as f64;
            Temporary {
                function: site.function.clone(),
                file: site.file.clone(),
                line: site.line,
                objects: estimate(objects, objects / 20.0),
                share: 0.99 - number as f64 / 20.0,
                allocations_per_second: Some(objects / 100.0),
                mean_bytes: 96.0,
            }
        });
    HeapShape {
        sizes: sizes.collect(),
        lifetimes: lifetimes.collect(),
        shapes: Shapes {
            sizes_bytes: distribution(71_300, 120, 1_200, 16_300, 1 << 20),
            lifetimes_ms: distribution(16_766, 1, 5, 1_400, 5_700),
        },
        temporary: temporary.collect(),
    }
}

fn jemalloc(snapshot: &Snapshot) -> Jemalloc {
    let bin = |size, blocks, slabs, occupancy, waste: f64| BinRow {
        size,
        blocks,
        slabs,
        nonfull_slabs: slabs / 2,
        occupancy,
        waste_bytes: (waste * MIB) as u64,
    };
    Jemalloc {
        rows: rows(snapshot, None),
        fragmentation: Fragmentation {
            age_seconds: Some(4.0),
            cost_seconds: 0.000_014,
            waste_bytes: (3.7 * MIB) as u64,
            slab_bytes: (31.0 * MIB) as u64,
            unattributed_bytes: 0,
            bins: vec![
                bin(1_024, 9_100, 2_900, 0.78, 2.6),
                bin(96, 40_000, 350, 0.89, 0.8),
                bin(64, 22_000, 360, 0.96, 0.3),
            ],
            sites: snapshot
                .sites
                .iter()
                .take(3)
                .map(|site| SiteWaste {
                    function: site.function.clone(),
                    file: site.file.clone(),
                    line: site.line,
                    waste_bytes: (site.live_bytes.estimate / 9.0) as u64,
                    live_bytes: site.live_bytes.estimate as u64,
                    samples: 40,
                })
                .collect(),
        },
        advice: vec![Advice {
            kind: AdviceKind::DirtyPages,
            action: "start the program with _RJEM_MALLOC_CONF=dirty_decay_ms:1000".to_owned(),
            evidence: vec!["4.6 MiB of dirty pages were kept all the time.".to_owned()],
            gain: Gain {
                unit: GainUnit::RssBytes,
                amount: estimate(4.1 * MIB, 0.5 * MIB),
                share: 0.06,
            },
            function: None,
            file: None,
            line: None,
        }],
        arenas: Some(9),
        epoch_seconds: Some(0.000_031),
        options: Some("background_thread:true".to_owned()),
    }
}

fn alerts(snapshot: &Snapshot) -> Alerts {
    use crate::alerts::{
        ActiveAlert, Alert, Category, Component, Evidence, Rule, Severity, SiteEvidence,
    };
    let second = Duration::from_secs;
    let alert = |rule: Rule, severity, category, component, value, threshold| Alert {
        id: format!("4242-8812-5f0c/{}", rule.word()),
        rule,
        severity,
        category,
        component,
        metric: rule.metric(),
        value,
        threshold,
        summary: format!("service [4242]: {} is above its threshold", rule.word()),
        recommendations: vec!["Look at the growing sites first: `riptide leaks 4242`.".to_owned()],
        evidence: Evidence {
            low: Some(value * 0.97),
            high: Some(value * 1.03),
            statements: vec!["It rose by 65 MB in the last 40 s.".to_owned()],
            sites: snapshot
                .sites
                .iter()
                .skip(1)
                .take(2)
                .map(|site| SiteEvidence {
                    function: site.function.clone(),
                    file: site.file.clone(),
                    line: site.line,
                    live_bytes: site.live_bytes,
                    growth_bytes_per_second: site.growth_bytes_per_second,
                })
                .collect(),
            snapshot: None,
        },
        target: crate::alerts::TargetName::default(),
        since: second(1_000),
        resolved: None,
    };
    let live = snapshot.live.bytes.estimate;
    let mut ended = alert(
        Rule::Fragmentation,
        Severity::Warning,
        Category::Fragmentation,
        Component::Jemalloc,
        31.0,
        30.0,
    );
    ended.resolved = Some(second(1_020));
    Alerts {
        active: vec![
            ActiveAlert {
                alert: alert(
                    Rule::Live,
                    Severity::Critical,
                    Category::Usage,
                    Component::Heap,
                    live,
                    40.0e6,
                ),
                cooldown_left_seconds: Some(268.0),
            },
            ActiveAlert {
                alert: alert(
                    Rule::Leak,
                    Severity::Alert,
                    Category::Leak,
                    Component::Site,
                    1.47e11,
                    1.0e8,
                ),
                cooldown_left_seconds: None,
            },
        ],
        history: vec![ended],
        channels: vec!["stdout".to_owned(), "log".to_owned()],
        problem: None,
        unix_now: second(1_032),
    }
}

/// What is shown beside a snapshot.
pub(crate) fn parts(snapshot: &Snapshot) -> Parts {
    let sites: Vec<&Site> = snapshot.sites.iter().collect();
    let functions: Vec<Site> = sites
        .iter()
        .map(|site| group(&site.function, &[site]))
        .collect();
    let (own, others): (Vec<&Site>, Vec<&Site>) = sites
        .iter()
        .partition(|site| site.function.starts_with("service"));
    let threads = threads(snapshot);
    let stacks: Vec<StackProfile> = snapshot
        .sites
        .iter()
        .map(|site| StackProfile {
            frames: Arc::clone(&site.stack),
            leaf: 0,
            addresses: Vec::new().into(),
            live_bytes: site.live_bytes.estimate,
            live_objects: site.live_objects.estimate,
            allocated_bytes: site.allocated_bytes_total.estimate,
            allocated_objects: site.live_objects.estimate * 3.0,
        })
        .collect();
    let growth: Vec<f64> = snapshot
        .sites
        .iter()
        .map(|site| site.growth_bytes_per_second.map_or(0.0, |of| of.estimate))
        .collect();
    Parts {
        findings: Some(Arc::new(findings(snapshot))),
        functions: Some(functions.into()),
        crates: Some(vec![group("service", &own), group("hyper", &others)].into()),
        thread_rows: Some(
            threads
                .iter()
                .map(|thread| Site {
                    function: thread.title(),
                    live_bytes: thread.profile.live_bytes,
                    live_objects: thread.profile.live_objects,
                    stack: Arc::clone(&thread.profile.stack),
                    ..Site::default()
                })
                .collect(),
        ),
        threads: Some(threads),
        shape: Some(Arc::new(shape(snapshot))),
        jemalloc: Some(Arc::new(jemalloc(snapshot))),
        flame: Some(Arc::new(Tree::of(&stacks, &growth))),
        alerts: Some(Arc::new(alerts(snapshot))),
        inspected: snapshot.sites.get(1).map(|site| {
            Arc::new(Inspected {
                key: SiteKey::of(site),
                inspection: Inspection {
                    shapes: shape(snapshot).shapes,
                    first_seen_seconds_ago: Some(70.0),
                    last_seen_seconds_ago: Some(0.2),
                    freed_share: Some(0.12),
                    temporary_share: Some(0.54),
                    stacks: 3,
                },
            })
        }),
    }
}
