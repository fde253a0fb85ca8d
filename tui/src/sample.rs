//! Hand-made snapshots for tests.

use std::path::PathBuf;

use riptide_reader::profile::{
    Estimate, Frame, Live, Loss, Memory, Rates, Sampling, Site, Snapshot, TargetInfo, TargetState,
    UnwinderKind,
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
