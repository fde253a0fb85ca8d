use super::*;
use crate::ingest::LiveSample;

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;

fn frame(function: &str) -> Frame {
    Frame {
        function: function.to_owned(),
        file: None,
        line: Some(1),
        inlined: false,
        module: None,
    }
}

fn advise(observation: &Observation, memory: Memory, below: &str) -> Vec<Advice> {
    let snapshot = Snapshot {
        memory,
        ..Snapshot::default()
    };
    let mut advisor = Advisor::default();
    let first = Observation {
        time_ns: SECOND,
        ..Observation::default()
    };
    advisor.look(&first, &snapshot);
    advisor.look(observation, &snapshot);
    advisor.is_live = true;
    let frames: Arc<[Frame]> = [frame(below), frame("service::work")].into();
    advisor.advise(observation, &Fragmentation::default(), |_| {
        (Arc::clone(&frames), 1)
    })
}

/// A second in which one stack allocated and freed `count` blocks of `size` bytes.
fn busy(size: u64, count: u64, bucket: usize) -> Observation {
    let mut observation = Observation {
        time_ns: 2 * SECOND,
        ..Observation::default()
    };
    observation.stacks.add(&[1], false, 0);
    let mut totals = StackTotals {
        samples: count,
        sampled_bytes: count * size,
        freed_samples: count,
        objects: count as f64,
        bytes: (count * size) as f64,
        ..StackTotals::default()
    };
    totals.lifetimes[bucket] = count;
    observation.totals = vec![StackTotals::default(), totals];
    observation
}

fn kinds(advice: &[Advice]) -> Vec<AdviceKind> {
    advice.iter().map(|advice| advice.kind).collect()
}

#[test]
fn a_healthy_program_is_left_alone() {
    let memory = Memory {
        allocated: Some(100 * MIB),
        active: Some(105 * MIB),
        dirty: Some(5 * MIB),
        muzzy: Some(0),
        thread_caches: Some(MIB),
        rss: Some(120 * MIB),
        peak_rss: Some(150 * MIB),
        retained: Some(30 * MIB),
        ..Memory::default()
    };
    let mut observation = busy(4_096, 1_000, 10);
    observation.live = (0..1_000).map(|number| live(4_096, number)).collect();
    assert_eq!(advise(&observation, memory, "alloc::exchange_malloc"), []);
}

fn live(size: u64, number: u64) -> LiveSample {
    LiveSample {
        size,
        interval: 1,
        birth_ns: 0,
        number,
        stack: crate::ingest::StackIndex::UNKNOWN,
        thread: 1,
        align_log2: 0,
    }
}

#[test]
fn blocks_just_above_a_class_gain_the_step() {
    let mut observation = Observation {
        live: (0..2_000).map(|number| live(4_097, number)).collect(),
        ..Observation::default()
    };
    let advice = advise(&observation, Memory::default(), "alloc::exchange_malloc");
    assert_eq!(kinds(&advice), [AdviceKind::SizeClass]);
    assert_eq!(advice[0].gain.amount.estimate, 2_000.0 * 1_024.0);
    assert!(advice[0].action.contains("4096"), "{}", advice[0].action);
    // In the middle of a step nobody can trim.
    observation.live = (0..2_000).map(|number| live(4_700, number)).collect();
    assert_eq!(advise(&observation, Memory::default(), "x"), []);
}

#[test]
fn growing_buffers_gain_half_of_what_they_take() {
    let observation = busy(100_000, 100, 0);
    let advice = advise(
        &observation,
        Memory::default(),
        "alloc::raw_vec::RawVec<T,A>::grow_one",
    );
    assert_eq!(kinds(&advice), [AdviceKind::GrowingBuffers]);
    assert_eq!(advice[0].gain.amount.estimate, 5e6);
    assert_eq!(advice[0].function.as_deref(), Some("service::work"));
}

#[test]
fn blocks_freed_at_once_gain_their_rate() {
    let advice = advise(
        &busy(100, 50_000, 1),
        Memory::default(),
        "alloc::exchange_malloc",
    );
    assert_eq!(kinds(&advice), [AdviceKind::ShortLived]);
    assert_eq!(advice[0].gain.amount.estimate, 50_000.0);
    // A long life is no reason to keep them.
    assert_eq!(advise(&busy(100, 50_000, 9), Memory::default(), "x"), []);
}

#[test]
fn memory_that_jemalloc_keeps_is_told_apart() {
    let memory = Memory {
        allocated: Some(60 * MIB),
        active: Some(60 * MIB),
        dirty: Some(40 * MIB),
        thread_caches: Some(20 * MIB),
        rss: Some(110 * MIB),
        peak_rss: Some(400 * MIB),
        retained: Some(300 * MIB),
        ..Memory::default()
    };
    let advice = advise(&Observation::default(), memory, "x");
    assert_eq!(
        kinds(&advice),
        [
            AdviceKind::DirtyPages,
            AdviceKind::ThreadCaches,
            AdviceKind::Burst
        ]
    );
    assert_eq!(advice[2].gain.amount.estimate, (290 * MIB) as f64);
    // What is not always there is not advised about.
    let mut advisor = Advisor::default();
    for dirty in [40 * MIB, 0] {
        let snapshot = Snapshot {
            memory: Memory {
                dirty: Some(dirty),
                rss: Some(100 * MIB),
                ..Memory::default()
            },
            ..Snapshot::default()
        };
        advisor.look(&Observation::default(), &snapshot);
    }
    assert_eq!(allocator::dirty_pages(&advisor.looks), None);
}

#[test]
fn bytes_are_put_into_words() {
    assert_eq!(bytes(12.0), "12 B");
    assert_eq!(bytes(1_536.0), "1.5 KiB");
    assert_eq!(bytes(300.0 * MIB as f64), "300 MiB");
}
