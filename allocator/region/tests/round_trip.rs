//! What goes into a record comes out of it.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use proptest::prelude::*;
use riptide_region::{
    counters::{COUNTER_WORDS, Counter, Counters, Gauge, Marking, Unwinder},
    event::{Event, EventKind},
    header::{CONFIG_ERROR_MAX_BYTES, EXE_PATH_MAX_BYTES, Header},
    live_table::{LiveBlock, LiveTable, SLOT_WORDS, Slot},
    module_table::{
        BUILD_ID_MAX_BYTES, ENTRY_WORDS, MODULES_HEADER_WORDS, Module, ModuleTable, PATH_MAX_BYTES,
    },
    primitive::AtomicU64,
    stack_table::StackId,
    status::{CGROUP_PATH_MAX_BYTES, STATUS_WORDS, Status},
};

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=max)
}

prop_compose! {
    fn any_event()(
        kind in prop_oneof![
            Just(EventKind::Allocation),
            any::<u32>().prop_map(|lifetime_ms| EventKind::Free { lifetime_ms }),
            Just(EventKind::Move),
        ],
        address in any::<u64>(),
        size in 0_u64..1 << 48,
        stack in any::<u32>(),
        thread in any::<u32>(),
        time_ns in any::<u64>(),
        number in any::<u64>(),
        interval in any::<u32>(),
    ) -> Event {
        Event {
            kind,
            address,
            size,
            stack: StackId(stack),
            thread,
            time_ns,
            number,
            interval: interval.into(),
        }
    }
}

prop_compose! {
    fn any_block()(
        address in 1..=u64::MAX,
        size in 0_u64..1 << 56,
        align_log2 in any::<u8>(),
        stack in any::<u32>(),
        thread in any::<u32>(),
        interval in any::<u64>(),
        birth_ns in any::<u64>(),
        number in any::<u64>(),
    ) -> LiveBlock {
        LiveBlock {
            address,
            size,
            align_log2,
            stack: StackId(stack),
            thread,
            interval,
            birth_ns,
            number,
        }
    }
}

prop_compose! {
    fn any_module()(
        fixed in any::<[u64; 6]>(),
        build_id in bytes(BUILD_ID_MAX_BYTES + 2),
        path in bytes(PATH_MAX_BYTES + 20),
    ) -> (Module, Vec<u8>, Vec<u8>) {
        let mut module = Module::default();
        [
            module.text_start,
            module.text_end,
            module.file_offset,
            module.bias,
            module.valid_from_ns,
            module.valid_to_ns,
        ] = fixed;
        module.set_build_id(&build_id);
        module.set_path(&path);
        (module, build_id, path)
    }
}

fn figure() -> impl Strategy<Value = Option<u64>> {
    // The highest value stands for "not known".
    prop::option::of(0..u64::MAX)
}

prop_compose! {
    fn any_status()(
        // A status without a time was never published.
        time_ns in 1..u64::MAX,
        figures in prop::collection::vec(figure(), 20),
        path in bytes(CGROUP_PATH_MAX_BYTES + 2),
    ) -> (Status, Vec<u8>) {
        let mut status = Status::default();
        status.time_ns = Some(time_ns);
        status.rss = figures[0];
        status.virtual_size = figures[1];
        status.cpu_ns = figures[2];
        status.cgroup_version = figures[3];
        status.cgroup_limit = figures[4];
        status.cgroup_usage = figures[5];
        status.cgroup_oom_kills = figures[6];
        status.allocated = figures[7];
        status.active = figures[8];
        status.metadata = figures[9];
        status.resident = figures[10];
        status.mapped = figures[11];
        status.retained = figures[12];
        status.dirty = figures[13];
        status.muzzy = figures[14];
        status.epoch_ns = figures[15];
        status.epoch_time_ns = figures[16];
        status.arenas = figures[17];
        status.reserved_range = figures[18];
        status.committed_range = figures[19];
        status.set_cgroup_path(&path);
        (status, path)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 2_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn events(event in any_event()) {
        prop_assert_eq!(Event::decode(&event.encode()), Some(event));
    }

    #[test]
    fn event_of_any_words(payload in any::<[u64; 6]>()) {
        if let Some(event) = Event::decode(&payload) {
            prop_assert_eq!(Event::decode(&event.encode()), Some(event));
        }
    }

    #[test]
    fn event_too_large_for_its_fields(mut event in any_event(), over in any::<u64>()) {
        event.size = over;
        event.interval = over;
        let decoded = Event::decode(&event.encode()).unwrap();
        prop_assert_eq!(decoded.size, over.min((1 << 48) - 1));
        prop_assert_eq!(decoded.interval, over.min(u32::MAX.into()));
        prop_assert_eq!((decoded.kind, decoded.stack, decoded.thread), (event.kind, event.stack, event.thread));
    }

    #[test]
    fn live_blocks(first in any_block(), second in any_block()) {
        let words = words(2 * SLOT_WORDS);
        let table = LiveTable::new(&words);
        prop_assert_eq!(table.capacity(), 2);
        table.publish(0, &first);
        prop_assert_eq!(table.read(0), Slot::Live(first));
        prop_assert_eq!(table.read(1), Slot::Free);
        table.publish(1, &second);
        table.publish(0, &second);
        table.clear(1);
        prop_assert_eq!(table.read(0), Slot::Live(second));
        prop_assert_eq!(table.read(1), Slot::Free);
        // Outside the table nothing happens.
        table.publish(2, &first);
        table.clear(usize::MAX);
        prop_assert_eq!(table.read(2), Slot::Free);
    }

    #[test]
    fn modules((first, build_id, path) in any_module(), (second, ..) in any_module()) {
        let kept = path.len().saturating_sub(PATH_MAX_BYTES);
        prop_assert_eq!(first.path(), &path[kept..]);
        prop_assert_eq!(first.path_cut(), kept > 0);
        let fits = build_id.len() <= BUILD_ID_MAX_BYTES;
        prop_assert_eq!(first.build_id(), if fits { &build_id[..] } else { &[] });
        let words = words(MODULES_HEADER_WORDS + 2 * ENTRY_WORDS);
        let table = ModuleTable::new(&words).unwrap();
        prop_assert_eq!((table.capacity(), table.len()), (2, 0));
        prop_assert_eq!(table.read(0), None);
        prop_assert!(table.append(&first));
        prop_assert!(table.append(&second));
        prop_assert!(!table.append(&first));
        prop_assert_eq!(table.read(0), Some(first));
        prop_assert_eq!(table.read(1), Some(second));
        prop_assert_eq!(table.read(2), None);
        table.update(1, &first);
        prop_assert_eq!(table.read(1), Some(first));
    }

    #[test]
    fn status_of_a_tick((status, path) in any_status()) {
        let words = words(STATUS_WORDS);
        prop_assert_eq!(Status::read(&words), Status::default());
        status.publish(&words);
        prop_assert_eq!(Status::read(&words), status);
        let fits = path.len() <= CGROUP_PATH_MAX_BYTES;
        prop_assert_eq!(status.cgroup_path(), if fits { &path[..] } else { &[] });
    }

    #[test]
    fn header_texts(
        pid in any::<u32>(),
        nonce in any::<u64>(),
        boot_id in any::<[u8; 16]>(),
        exe_path in bytes(EXE_PATH_MAX_BYTES),
        config_error in bytes(CONFIG_ERROR_MAX_BYTES),
        build_id in bytes(32),
        comm in "[a-z]{0,16}",
    ) {
        let mut header = Header {
            pid,
            nonce,
            boot_id,
            exe_path_len: exe_path.len() as u32,
            config_error_len: config_error.len() as u32,
            exe_build_id_len: build_id.len() as u32,
            ..bytemuck::Zeroable::zeroed()
        };
        header.exe_path[..exe_path.len()].copy_from_slice(&exe_path);
        header.config_error[..config_error.len()].copy_from_slice(&config_error);
        header.exe_build_id[..build_id.len()].copy_from_slice(&build_id);
        header.comm[..comm.len()].copy_from_slice(comm.as_bytes());
        let words = words(128);
        prop_assert!(header.write(&words));
        let read = Header::read(&words).unwrap();
        prop_assert_eq!((read.pid, read.nonce, read.boot_id), (pid, nonce, boot_id));
        prop_assert_eq!(read.exe_path(), exe_path);
        prop_assert_eq!(read.config_error(), config_error);
        prop_assert_eq!(read.exe_build_id(), build_id);
        prop_assert_eq!(read.comm(), comm.as_bytes());
        prop_assert!(!header.write(&words[..127]));
        prop_assert!(Header::read(&words[..127]).is_none());
    }
}

#[test]
fn counters_count_and_gauges_are_set() {
    let words = words(COUNTER_WORDS);
    let counters = Counters::new(&words);
    assert_eq!(counters.add(Counter::Samples, 5), 0);
    assert_eq!(counters.add(Counter::Samples, 2), 5);
    assert_eq!(counters.add(Counter::SkippedSetUp, 9), 0);
    assert_eq!(counters.get(Counter::Samples), 7);
    assert_eq!(counters.get(Counter::Frees), 0);
    assert_eq!(counters.get(Counter::SkippedSetUp), 9);
    counters.set(Gauge::IntervalBytes, 4_096);
    counters.set(Gauge::IntervalBytes, 64);
    assert_eq!(counters.gauge(Gauge::IntervalBytes), 64);
    assert_eq!(counters.gauge(Gauge::HeartbeatNs), 0);
    // What a region of an older version has no word for.
    let none = Counters::new(&[]);
    assert_eq!(none.add(Counter::Samples, 5), 0);
    assert_eq!(none.get(Counter::Samples), 0);
}

#[test]
fn choices_of_the_target_come_back() {
    for unwinder in [
        Unwinder::Undecided,
        Unwinder::FramePointers,
        Unwinder::Dwarf,
    ] {
        assert_eq!(Unwinder::from_word(unwinder as u64), unwinder);
    }
    for marking in [Marking::None, Marking::ReservedRange, Marking::PageAligned] {
        assert_eq!(Marking::from_word(marking as u64), marking);
    }
    assert_eq!(Unwinder::from_word(77), Unwinder::Undecided);
    assert_eq!(Marking::from_word(77), Marking::None);
}

#[test]
fn the_place_of_a_live_slot_is_its_first_word() {
    let words = words(3 * SLOT_WORDS);
    let table = LiveTable::new(&words);
    assert_eq!(table.capacity(), 3);
    for slot in 0..3 {
        let place = table.place_of(slot).unwrap();
        assert!(std::ptr::eq(place, &words[slot * SLOT_WORDS]));
    }
    assert!(table.place_of(3).is_none());
}
