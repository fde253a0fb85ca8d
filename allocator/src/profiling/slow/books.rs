//! What a sample and its end change in the region: totals, journal, live record.

use core::alloc::Layout;

use riptide_region::{
    counters::Counter,
    event::{Event, EventKind},
    live_table::LiveBlock,
    ring::Publish,
    stack_table::{Interned, StackId, Weight},
};

use super::{
    super::{
        profiler::Profiler,
        record::{Taken, Unrecorded},
        sys,
        unwind::Registers,
    },
    Pass, Sample,
};

/// Records a block; false when there was no room, which is counted.
pub(super) fn record(
    pass: &mut Pass<'_>,
    address: *mut u8,
    layout: Layout,
    sample: &Sample<'_>,
) -> bool {
    let Pass {
        profiler,
        state,
        now_ns,
        ..
    } = *pass;
    let counters = profiler.counters();
    if state.thread_id.get() == 0 {
        state.thread_id.set(sys::thread_id());
    }
    let thread = state.thread_id.get();
    let stack = walk(pass, sample.registers);
    let size = layout.size() as u64;
    counters.add(Counter::Samples, 1);
    profiler.view.stacks.add_allocation(
        stack,
        Weight {
            size,
            probability: probability(size, sample.interval),
        },
        now_ns,
    );
    let address = address as u64;
    let number = publish(
        profiler,
        &Event {
            kind: EventKind::Allocation,
            address,
            size,
            stack,
            thread,
            time_ns: now_ns,
            number: 0,
            interval: sample.interval,
        },
    );
    let recorded = profiler.records.insert(
        profiler.arena.as_ref(),
        &mut pass.lane,
        &LiveBlock {
            address,
            size,
            align_log2: layout.align().trailing_zeros() as u8,
            stack,
            thread,
            interval: sample.interval,
            birth_ns: sample.birth_ns.unwrap_or(now_ns),
            number,
        },
    );
    match recorded {
        Ok(()) => true,
        Err(Unrecorded::LiveTableFull) => {
            count_unrecorded(profiler, Counter::UnrecordedLiveTableFull, layout.size());
            false
        }
        Err(Unrecorded::LargeTableFull) => {
            count_unrecorded(profiler, Counter::UnrecordedLargeTableFull, layout.size());
            false
        }
    }
}

/// Walks and interns the stack.
fn walk(pass: &mut Pass<'_>, registers: &Registers) -> StackId {
    let Pass {
        profiler,
        state,
        now_ns,
        ..
    } = *pass;
    let counters = profiler.counters();
    pass.lane.with_stack(|stack| {
        profiler.walker.walk(registers, state, counters, stack);
        if stack.frames().is_empty() {
            counters.add(Counter::FailedUnwind, 1);
            return StackId::UNKNOWN;
        }
        if stack.truncated() {
            counters.add(Counter::TruncatedStack, 1);
        }
        let stacks = &profiler.view.stacks;
        match stacks.intern(stack.frames(), stack.truncated(), now_ns) {
            Interned::Id(id) => id,
            Interned::Full => {
                counters.add(Counter::StackTableFull, 1);
                StackId::UNKNOWN
            }
        }
    })
}

/// Puts an event into the journal; its number: shard above, ticket below.
fn publish(profiler: &Profiler, event: &Event) -> u64 {
    let Some((shard, ring)) = profiler.view.ring_of(event.thread) else {
        return 0;
    };
    let (Publish::Published(ticket) | Publish::Dropped(ticket)) = ring.publish(&event.encode());
    // Records are written once and far apart in time: without this each waits for memory.
    sys::prefetch_to_write(ring.place_of(ticket.wrapping_add(1)));
    u64::from(shard) << 48 | ticket & ((1 << 48) - 1)
}

/// Counts a sample that has no record.
pub(super) fn count_unrecorded(profiler: &Profiler, cause: Counter, size: usize) {
    let counters = profiler.counters();
    counters.add(cause, 1);
    counters.add(Counter::UnrecordedBytes, size as u64);
}

/// `1 - e^(-size/interval)`; an interval of 1 means every allocation.
fn probability(size: u64, interval: u64) -> f64 {
    if interval <= 1 {
        return 1.0;
    }
    -(-(size as f64) / interval as f64).exp_m1()
}

/// How a recorded block ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Freed,
    /// `realloc` took it over.
    Moved,
}

/// Counts the end of a recorded block and gives its slot back.
pub(super) fn note_end(pass: &mut Pass<'_>, taken: &Taken, end: End) {
    let Pass {
        profiler, now_ns, ..
    } = *pass;
    profiler.counters().add(Counter::Frees, 1);
    if let Some(block) = &taken.block {
        let lifetime_ns = now_ns.saturating_sub(block.birth_ns);
        let kind = match end {
            End::Freed => EventKind::Free {
                lifetime_ms: u32::try_from(lifetime_ns / 1_000_000).unwrap_or(u32::MAX),
            },
            End::Moved => EventKind::Move,
        };
        let lifetime_ns = (end == End::Freed).then_some(lifetime_ns);
        profiler
            .view
            .stacks
            .add_free(block.stack, block.size, lifetime_ns);
        publish(
            profiler,
            &Event {
                kind,
                address: block.address,
                size: block.size,
                stack: block.stack,
                thread: block.thread,
                time_ns: now_ns,
                number: block.number,
                interval: block.interval,
            },
        );
    }
    profiler.records.release(&mut pass.lane, taken);
}
