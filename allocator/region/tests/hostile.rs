//! Whatever the words of a region hold, opening and reading it is total: an answer or an error, in
//! bounded time, never a panic. So is writing, for the target's own sake.
//!
//! Not under miri: a region has 131,072 words, and nothing here is unsafe.
#![cfg(all(not(loom), not(miri)))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;
use riptide_region::{
    counters::{Counter, Gauge, Marking, Unwinder},
    event::Event,
    header::{ABI_MAJOR, ABI_MINOR, HEADER_PAGE_BYTES, Header, MAGIC, State},
    layout::{Plan, REGION_MIN_BYTES, SectionKind},
    live_table::{LiveBlock, Slot},
    module_table::Module,
    primitive::AtomicU64,
    ring::Cursor,
    stack_table::{MAX_FRAMES, StackId, Weight},
    status::Status,
    view::{View, ViewError},
};

fn zeroed(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// A small region with something in every table.
fn region(dense: bool) -> Vec<AtomicU64> {
    let plan = Plan::new(REGION_MIN_BYTES, dense).unwrap();
    let words = zeroed(plan.region_bytes as usize / 8);
    let header = Header {
        pid: 1,
        ..bytemuck::Zeroable::zeroed()
    };
    let view = View::create(&words, &plan, &header).unwrap();
    write_everywhere(&view);
    words
}

fn write_everywhere(view: &View<'_>) {
    let mut module = Module::default();
    module.set_path(b"/usr/bin/victim");
    view.modules.append(&module);
    view.modules.update(0, &module);
    view.modules.update(usize::MAX, &module);
    for stack in [&[1_u64, 2, 3][..], &[4; MAX_FRAMES + 9], &[]] {
        view.stacks.intern(stack, true, 5);
    }
    let weight = Weight {
        size: u64::MAX,
        probability: 0.25,
    };
    for id in [0, 1, 2, u32::MAX] {
        view.stacks.add_allocation(StackId(id), weight, 6);
        view.stacks.add_free(StackId(id), u64::MAX, Some(u64::MAX));
    }
    view.live.publish(
        3,
        &LiveBlock {
            address: 4096,
            ..LiveBlock::default()
        },
    );
    view.live.clear(4);
    for ring in view.rings() {
        for _ in 0..5 {
            ring.publish(&[1, 2, 3, 4, 5, 6]);
        }
    }
    view.publish_status(&Status::default());
    view.counters.add(Counter::Samples, u64::MAX);
    view.counters.set(Gauge::HeartbeatNs, 1);
}

/// Reads all there is. The sum keeps the compiler from leaving anything out.
fn read_everything(view: &View<'_>) -> u64 {
    let header = view.header();
    let mut sum = header.exe_path().len()
        + header.exe_build_id().len()
        + header.config_error().len()
        + header.comm().len()
        + header.allocator_version().len();
    sum += usize::from(view.state() == State::Ready);
    sum += view.status().cgroup_path().len();
    sum += view.bins().all().len();
    let mut total = view.counters.get(Counter::Samples);
    total ^= Unwinder::from_word(view.counters.gauge(Gauge::Unwinder)) as u64;
    total ^= Marking::from_word(view.counters.gauge(Gauge::Marking)) as u64;
    for index in 0..=view.modules.len() {
        if let Some(module) = view.modules.read(index) {
            sum += module.path().len() + module.build_id().len();
        }
    }
    let mut frames = [0; MAX_FRAMES];
    let ids = (0..=view.stacks.len() as u32 + 1).chain([u32::MAX]);
    for id in ids.map(StackId) {
        if let Some((len, _)) = view.stacks.frames(id, &mut frames) {
            sum += frames[..len].len();
        }
        if let Some(totals) = view.stacks.totals(id) {
            assert!(totals.objects.is_finite() && totals.objects >= 0.0);
            assert!(totals.bytes.is_finite() && totals.bytes >= 0.0);
            assert!(totals.bytes_variance.is_finite() && totals.objects_variance >= 0.0);
        }
    }
    for index in (0..=view.live.capacity()).chain([usize::MAX]) {
        if let Slot::Live(block) = view.live.read(index) {
            total ^= block.address;
        }
    }
    for ring in view.rings() {
        for mut cursor in [
            Cursor::at(0),
            Cursor::at(u64::MAX),
            Cursor::oldest(&ring),
            Cursor::at(ring.head()),
        ] {
            for gone in [false, false, true] {
                let mut handed = 0;
                cursor.poll(&ring, gone, |_, payload| {
                    handed += 1;
                    if let Some(event) = Event::decode(payload) {
                        total ^= event.address;
                    }
                });
                assert!(handed <= ring.capacity() + 64);
            }
        }
    }
    total.wrapping_add(sum as u64)
}

fn exercise(words: &[AtomicU64]) -> Result<(), ViewError> {
    let view = View::open(words)?;
    read_everything(&view);
    write_everywhere(&view);
    read_everything(&view);
    Ok(())
}

/// Values at which arithmetic breaks, and any other.
fn nasty() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0_u64..64,
        (0_u32..64).prop_map(|bit| 1 << bit),
        (0_u32..64).prop_map(|bit| (1_u64 << bit).wrapping_sub(1)),
        (0_u64..64).prop_map(|less| u64::MAX - less),
        Just(f64::NAN.to_bits()),
        Just(f64::NEG_INFINITY.to_bits()),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases: if std::env::var_os("RIPTIDE_LONG").is_some() {
            cases * 50
        } else {
            cases
        },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn any_words(
        words in prop::collection::vec(nasty(), 0..2_000),
        with_magic in any::<bool>(),
    ) {
        let words: Vec<AtomicU64> = words.into_iter().map(AtomicU64::new).collect();
        if let Some(word) = words.first().filter(|_| with_magic) {
            word.store(MAGIC, Relaxed);
        }
        let _ = exercise(&words);
    }

    /// The header page of a good region with some words changed.
    #[test]
    fn mutated_header_page(
        dense in any::<bool>(),
        changes in prop::collection::vec((1..HEADER_PAGE_BYTES / 8, nasty()), 1..6),
    ) {
        let words = region(dense);
        for (place, value) in changes {
            words[place].store(value, Relaxed);
        }
        let _ = exercise(&words);
    }

    /// A field of a section changed by a little or a lot.
    #[test]
    fn mutated_section_table(
        dense in any::<bool>(),
        changes in prop::collection::vec((0_usize..15, 0_usize..6, nasty()), 1..3),
    ) {
        let words = region(dense);
        for (section, word, value) in changes {
            words[128 + section * 16 + word].store(value, Relaxed);
        }
        let _ = exercise(&words);
    }

    /// Any word of any table changed: such a region opens.
    #[test]
    fn mutated_tables(
        dense in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), nasty()), 1..2_000),
    ) {
        let words = region(dense);
        let tables = &words[HEADER_PAGE_BYTES / 8..];
        for (place, value) in changes {
            place.get(tables).store(value, Relaxed);
        }
        prop_assert_eq!(exercise(&words), Ok(()));
    }

    /// The first words of every table, where its lengths and positions are, changed.
    #[test]
    fn mutated_table_heads(
        dense in any::<bool>(),
        changes in prop::collection::vec((0_usize..16, 0_usize..80, nasty()), 1..200),
    ) {
        let words = region(dense);
        let plan = Plan::new(REGION_MIN_BYTES, dense).unwrap();
        for (section, word, value) in changes {
            if let Some(section) = plan.sections().get(section) {
                words[section.offset as usize / 8 + word].store(value, Relaxed);
            }
        }
        prop_assert_eq!(exercise(&words), Ok(()));
    }

    #[test]
    fn truncated(dense in any::<bool>(), keep in any::<prop::sample::Index>()) {
        let words = region(dense);
        let kept = &words[..keep.index(words.len())];
        let error = exercise(kept).unwrap_err();
        if kept.is_empty() {
            prop_assert_eq!(error, ViewError::NotARegion);
        } else {
            prop_assert!(matches!(error, ViewError::Truncated { .. }), "{:?}", error);
        }
    }
}

#[test]
fn every_reason_to_refuse_is_told() {
    let open = |place: usize, value: u64| {
        let words = region(false);
        words[place].store(value, Relaxed);
        View::open(&words).map(|_| ())
    };
    let words = region(false);
    assert_eq!(View::open(&words).map(|_| ()), Ok(()));
    let abi_word = words[2].load(Relaxed);
    assert_eq!(open(0, 0), Err(ViewError::NotReady));
    assert_eq!(open(0, 1), Err(ViewError::NotARegion));
    assert_eq!(open(0, MAGIC.swap_bytes()), Err(ViewError::ForeignMachine));
    assert_eq!(
        open(2, abi_word & 0xffff_0000_ffff_ffff),
        Err(ViewError::ForeignMachine)
    );
    assert_eq!(
        open(2, abi_word & !0xffff | u64::from(ABI_MAJOR + 1)),
        Err(ViewError::UnsupportedAbi {
            major: ABI_MAJOR + 1,
            minor: ABI_MINOR
        })
    );
    assert_eq!(
        open(3, u64::MAX),
        Err(ViewError::Truncated {
            expected: u64::MAX,
            actual: REGION_MIN_BYTES
        })
    );
    // Kind, offset and stride of the first section, which is the status.
    let kind = SectionKind::Status;
    assert_eq!(open(128, 999), Err(ViewError::MissingSection { kind }));
    assert_eq!(open(129, 1 << 62), Err(ViewError::BadSection { kind }));
    assert_eq!(open(131, 7), Err(ViewError::BadSection { kind }));
}

/// A higher minor version and a section of a kind from the future are no reason to refuse.
#[test]
fn what_a_later_version_adds_is_passed_over() {
    let words = region(false);
    let abi_word = words[2].load(Relaxed);
    words[2].store(abi_word | 7 << 16, Relaxed);
    let count = words[4].load(Relaxed) & 0xffff_ffff;
    words[4].store(words[4].load(Relaxed) + 1, Relaxed);
    let section = 128 + count as usize * 16;
    words[section].store(4_000, Relaxed);
    words[section + 1].store(u64::MAX, Relaxed);
    assert_eq!(exercise(&words), Ok(()));
}

#[test]
fn a_dense_region_has_a_ring_for_each_shard() {
    for (dense, rings) in [(false, 1), (true, 8)] {
        let words = region(dense);
        let view = View::open(&words).unwrap();
        assert_eq!(view.rings().count(), rings);
        for thread in 0..20 {
            let (number, ring) = view.ring_of(thread).unwrap();
            assert_eq!(number as usize, thread as usize % rings);
            let before: Vec<u64> = view.rings().map(|ring| ring.head()).collect();
            ring.publish(&[0; 6]);
            for (shard, ring) in view.rings().enumerate() {
                let drawn = u64::from(shard == thread as usize % rings);
                assert_eq!(ring.head(), before[shard] + drawn);
            }
        }
    }
}
