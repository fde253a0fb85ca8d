//! Memory that jemalloc holds and nobody uses.

use super::{Advice, AdviceKind, Gain, GainUnit, between, bytes};
use crate::{profile::Memory, waterfall::Fragmentation};

const MIB: f64 = 1_048_576.0;

/// The smallest of a figure over all looks: what was there all the time.
fn always(looks: &[Memory], figure: impl Fn(&Memory) -> Option<u64>) -> Option<f64> {
    let figures: Option<Vec<u64>> = looks.iter().map(figure).collect();
    Some(figures?.into_iter().min()? as f64)
}

fn rss(looks: &[Memory]) -> Option<f64> {
    Some(looks.last()?.rss? as f64)
}

fn of_the_allocator(kind: AdviceKind, action: &str, evidence: Vec<String>, gain: Gain) -> Advice {
    Advice {
        kind,
        action: action.to_owned(),
        evidence,
        gain,
        function: None,
        file: None,
        line: None,
    }
}

/// Unused pages that stay: nothing runs in their arena that would purge them.
pub(super) fn dirty_pages(looks: &[Memory]) -> Option<Advice> {
    const BYTES_MIN: f64 = 16.0 * MIB;
    const SHARE_MIN: f64 = 0.1;
    let unused = always(looks, |memory| {
        Some(memory.dirty?.saturating_add(memory.muzzy.unwrap_or(0)))
    })?;
    let rss = rss(looks)?;
    // The kernel may have none of them: pages that were never touched count as dirty too.
    let unused = unused.min(rss);
    if unused < BYTES_MIN.max(SHARE_MIN * rss) {
        return None;
    }
    let active = looks.last()?.active.unwrap_or(0) as f64;
    Some(of_the_allocator(
        AdviceKind::DirtyPages,
        "let jemalloc give unused pages back sooner: _RJEM_MALLOC_CONF=background_thread:true purges \
         arenas whose threads are idle, dirty_decay_ms:1000 (default 10000) waits less, and \
         narenas:N with a small N leaves fewer arenas to keep pages",
        vec![
            format!(
                "{} of pages are unused and not given back, against {} in use",
                bytes(unused),
                bytes(active)
            ),
            format!("they were there at each of {} looks", looks.len()),
        ],
        Gain {
            unit: GainUnit::RssBytes,
            amount: between(0.5 * unused, unused, unused),
            share: unused / rss,
        },
    ))
}

/// Free blocks that threads keep for themselves.
pub(super) fn thread_caches(looks: &[Memory]) -> Option<Advice> {
    const BYTES_MIN: f64 = 8.0 * MIB;
    const SHARE_MIN: f64 = 0.05;
    let cached = always(looks, |memory| memory.thread_caches)?;
    let rss = rss(looks)?;
    if cached < BYTES_MIN.max(SHARE_MIN * rss) {
        return None;
    }
    let allocated = looks.last()?.allocated.unwrap_or(0) as f64;
    Some(of_the_allocator(
        AdviceKind::ThreadCaches,
        "make the caches of threads smaller: _RJEM_MALLOC_CONF=tcache_max:4096 (default 32768) keeps \
         large blocks out of them, and fewer threads have fewer caches",
        vec![format!(
            "{} of the {} that jemalloc counts as allocated are free blocks in the caches of threads",
            bytes(cached),
            bytes(allocated)
        )],
        Gain {
            unit: GainUnit::RssBytes,
            amount: between(0.5 * cached, cached, cached),
            share: cached / rss,
        },
    ))
}

/// Slabs that a few blocks keep.
pub(super) fn fragmentation(looks: &[Memory], found: &Fragmentation) -> Option<Advice> {
    const BYTES_MIN: f64 = 16.0 * MIB;
    const SHARE_MIN: f64 = 0.2;
    found.age_seconds?;
    let waste = found.waste_bytes as f64;
    let rss = rss(looks)?;
    let slabs = found.slab_bytes as f64;
    if waste < BYTES_MIN.max(SHARE_MIN * slabs) || waste > rss {
        return None;
    }
    let mut evidence = vec![format!(
        "of {} in slabs of small blocks {} are not used",
        bytes(slabs),
        bytes(waste)
    )];
    evidence.extend(found.bins.first().map(|bin| {
        format!(
            "most of it in blocks of {} bytes: {} slabs are {:.0}% full",
            bin.size,
            bin.slabs,
            bin.occupancy * 100.0
        )
    }));
    let first = found.sites.first();
    evidence.extend(first.map(|site| {
        format!(
            "{} of it are kept by {} of live blocks of this site",
            bytes(site.waste_bytes as f64),
            bytes(site.live_bytes as f64)
        )
    }));
    Some(Advice {
        function: first.map(|site| site.function.clone()),
        file: first.and_then(|site| site.file.clone()),
        line: first.and_then(|site| site.line),
        ..of_the_allocator(
            AdviceKind::Fragmentation,
            "do not allocate what stays among what goes: copy the survivors of a batch into new blocks \
             once the batch is freed, or collect them in one buffer",
            evidence,
            Gain {
                unit: GainUnit::RssBytes,
                amount: between(0.5 * waste, waste, waste),
                share: waste / rss,
            },
        )
    })
}

/// A peak that a limit has to allow for, far above what is used now.
pub(super) fn burst(looks: &[Memory]) -> Option<Advice> {
    const BYTES_MIN: f64 = 64.0 * MIB;
    const TIMES_MIN: f64 = 2.0;
    let last = looks.last()?;
    let peak = last.peak_rss? as f64;
    let retained = last.retained? as f64;
    let highest = looks.iter().filter_map(|memory| memory.rss).max()? as f64;
    let above = peak - highest;
    // Address space that jemalloc once needed and keeps says that the peak was its own.
    if above < BYTES_MIN || peak < TIMES_MIN * highest || retained < 0.5 * above {
        return None;
    }
    Some(of_the_allocator(
        AdviceKind::Burst,
        "do the work of the burst in smaller pieces, so that a piece is freed before the next one is \
         made; a memory limit has to allow for the peak",
        vec![
            format!(
                "the resident set once was {}, and {} at most while it was watched",
                bytes(peak),
                bytes(highest)
            ),
            format!(
                "jemalloc retains {} of address space from that time",
                bytes(retained)
            ),
        ],
        Gain {
            unit: GainUnit::PeakRssBytes,
            amount: between(0.5 * above, above, above),
            share: above / peak,
        },
    ))
}
