//! The series of one target.

use std::collections::BTreeMap;

use riptide_reader::{leak::Verdict, profile::TargetState};

use super::{
    super::tick::Tick,
    families::{Families, Labels},
};

pub(super) fn about_a_target(tick: &Tick, top_sites: u64, to: &mut Families) {
    let identity = &tick.identity;
    let labels: Labels = vec![
        ("pid", identity.pid.to_string()),
        ("process", identity.process.clone()),
    ];
    let and = |name: &'static str, value: &str| {
        let mut labels = labels.clone();
        labels.push((name, value.to_owned()));
        labels
    };
    let figures = &tick.figures;
    let live = &figures.live;
    let memory = &figures.memory;
    let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);

    to.gauge(
        "riptide_live_bytes",
        "Requested bytes of live blocks, estimated.",
        &labels,
        live.bytes.estimate,
    );
    to.gauge(
        "riptide_live_bytes_low",
        "Lower end of the 95 % interval of the live bytes.",
        &labels,
        live.bytes.low,
    );
    to.gauge(
        "riptide_live_bytes_high",
        "Upper end of the 95 % interval of the live bytes.",
        &labels,
        live.bytes.high,
    );
    to.gauge(
        "riptide_live_objects",
        "Live blocks, estimated.",
        &labels,
        live.objects.estimate,
    );
    to.some(
        "riptide_rss_bytes",
        "Resident set size.",
        &labels,
        bytes(memory.rss),
    );
    to.some(
        "riptide_virtual_bytes",
        "Virtual size without the range reserved for samples.",
        &labels,
        bytes(memory.r#virtual),
    );
    for (name, help, value) in [
        (
            "riptide_jemalloc_allocated_bytes",
            "jemalloc's stats.allocated.",
            memory.allocated,
        ),
        (
            "riptide_jemalloc_active_bytes",
            "jemalloc's stats.active.",
            memory.active,
        ),
        (
            "riptide_jemalloc_resident_bytes",
            "jemalloc's stats.resident.",
            memory.resident,
        ),
        (
            "riptide_jemalloc_retained_bytes",
            "jemalloc's stats.retained.",
            memory.retained,
        ),
        (
            "riptide_jemalloc_metadata_bytes",
            "jemalloc's stats.metadata.",
            memory.metadata,
        ),
        (
            "riptide_jemalloc_dirty_bytes",
            "Unused dirty pages of jemalloc.",
            memory.dirty,
        ),
        (
            "riptide_jemalloc_muzzy_bytes",
            "Unused muzzy pages of jemalloc.",
            memory.muzzy,
        ),
        (
            "riptide_cgroup_usage_bytes",
            "Memory in use of the cgroup.",
            memory.cgroup_usage,
        ),
        (
            "riptide_cgroup_limit_bytes",
            "Memory limit of the cgroup.",
            memory.cgroup_limit,
        ),
    ] {
        to.some(name, help, &labels, bytes(value));
    }
    to.some(
        "riptide_jemalloc_fragmentation_ratio",
        "Active memory of jemalloc that is not allocated.",
        &labels,
        tick.fragmentation,
    );
    let growth = tick.growth_bytes_per_second;
    to.some(
        "riptide_growth_bytes_per_second",
        "Growth of the live heap over the last minutes, from births and deaths.",
        &labels,
        growth.map(|of| of.estimate),
    );
    to.some(
        "riptide_growth_bytes_per_second_low",
        "Lower end of the 95 % interval of the growth.",
        &labels,
        growth.map(|of| of.low),
    );
    to.some(
        "riptide_growth_bytes_per_second_high",
        "Upper end of the 95 % interval of the growth.",
        &labels,
        growth.map(|of| of.high),
    );
    to.some(
        "riptide_time_to_limit_seconds",
        "Seconds until the growth reaches the limit of the cgroup.",
        &labels,
        tick.time_to_limit_seconds.map(|of| of.estimate),
    );
    to.some(
        "riptide_allocated_bytes_per_second",
        "Bytes allocated a second.",
        &labels,
        figures.rates.allocated_bytes_per_second,
    );
    to.some(
        "riptide_allocations_per_second",
        "Blocks allocated a second.",
        &labels,
        figures.rates.allocations_per_second,
    );

    let loss = &figures.loss;
    for (cause, lost) in [
        ("overwritten", loss.overwritten),
        ("dropped", loss.dropped),
        ("torn", loss.torn),
        ("unrecorded", loss.unrecorded_blocks),
        ("skipped_reentrant", loss.skipped_reentrant),
        ("skipped_set_up", loss.skipped_set_up),
        ("truncated_stack", loss.truncated_stacks),
        ("stack_table_full", loss.stack_table_full),
    ] {
        to.counter(
            "riptide_events_lost",
            "What was lost, by cause; only unrecorded blocks are missing in live figures.",
            &and("cause", cause),
            lost as f64,
        );
    }
    to.counter(
        "riptide_samples",
        "Samples that the target has taken.",
        &labels,
        figures.sampling.samples as f64,
    );
    to.gauge(
        "riptide_sampling_interval_bytes",
        "Mean bytes between two samples.",
        &labels,
        figures.sampling.interval_bytes as f64,
    );
    to.gauge(
        "riptide_sampling_cost_ratio",
        "Share of the target's CPU time that sampling has cost, as it measured it.",
        &labels,
        figures.sampling.cost_fraction,
    );
    to.some(
        "riptide_uptime_seconds",
        "Seconds since the target started.",
        &labels,
        figures.target.uptime_seconds,
    );
    let known = figures.target.state == TargetState::Live;
    to.gauge(
        "riptide_target_visible",
        "1 when the process is seen, 0 when its pid namespace is not visible.",
        &labels,
        f64::from(u8::from(known)),
    );

    if let Some(verdicts) = &tick.verdicts {
        for verdict in [
            Verdict::Leak,
            Verdict::Growing,
            Verdict::CacheLike,
            Verdict::WarmUp,
        ] {
            to.gauge(
                "riptide_sites_judged",
                "Sites by verdict.",
                &and("verdict", verdict.word()),
                verdicts.count(verdict) as f64,
            );
        }
        let most = usize::try_from(top_sites).unwrap_or(usize::MAX);
        let mut seen = BTreeMap::new();
        for site in verdicts.sites.iter().take(most) {
            let place = match (&site.file, site.line) {
                (Some(file), Some(line)) => format!("{file}:{line}"),
                (Some(file), None) => file.clone(),
                _ => String::new(),
            };
            *seen.entry((site.function.clone(), place)).or_insert(0.0) += site.live_bytes.estimate;
        }
        for ((function, place), bytes) in seen {
            let mut labels = and("function", &function);
            labels.push(("location", place));
            to.gauge(
                "riptide_site_live_bytes",
                "Live bytes of the sites that hold most, as of the last verdict.",
                &labels,
                bytes,
            );
        }
    }
    let cost = &tick.cost;
    to.counter(
        "riptide_serve_target_cpu_seconds",
        "CPU time of looking at the target.",
        &labels,
        cost.cpu_seconds,
    );
    to.gauge(
        "riptide_serve_target_memory_bytes",
        "Memory kept for the target.",
        &labels,
        cost.memory_bytes as f64,
    );
    to.counter(
        "riptide_serve_target_looks",
        "Looks at the target's tables.",
        &labels,
        cost.looks as f64,
    );
}
