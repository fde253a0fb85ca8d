//! A region as small as the format allows, and changes to it: some thousand words instead of the
//! 131,072 of the smallest one that a target makes, so that a fuzzer gets through all of them often.

use std::sync::atomic::Ordering::Relaxed;

use bytemuck::Zeroable;
use riptide_region::{
    bins::{BINS_WORDS, Bin, Bins},
    counters::{COUNTER_WORDS, Counter, Gauge},
    event::{Event, EventKind},
    header::{self, ABI_MAJOR, ABI_MINOR, ENDIAN_MARK, HEADER_BYTES, HEADER_PAGE_BYTES, Header},
    layout::{SectionEntry, SectionKind},
    live_table::{self, LiveBlock},
    module_table::{self, Module},
    primitive::AtomicU64,
    ring,
    stack_table::{self, Interned, StackId, Weight},
    status::{STATUS_WORDS, Status},
    view::View,
};

use crate::take;

const SECOND: u64 = 1_000_000_000;
/// Blocks that the small region has room for.
const LIVE_SLOTS: usize = 16;
const STACKS: usize = 8;
const FRAMES: usize = 96;
const RINGS: usize = 2;
const RING_SLOTS: usize = 8;
const MODULES: usize = 2;

/// Kind, number and words of each section.
fn sections() -> Vec<(SectionKind, u32, usize)> {
    let mut sections = vec![
        (SectionKind::Status, 0, STATUS_WORDS),
        (SectionKind::Counters, 0, COUNTER_WORDS),
        (
            SectionKind::Modules,
            0,
            module_table::MODULES_HEADER_WORDS + MODULES * module_table::ENTRY_WORDS,
        ),
        (SectionKind::Bins, 0, BINS_WORDS),
        (SectionKind::Live, 0, LIVE_SLOTS * live_table::SLOT_WORDS),
        (
            SectionKind::StackEntries,
            0,
            stack_table::ENTRIES_HEADER_WORDS + STACKS * stack_table::ENTRY_WORDS,
        ),
        (SectionKind::StackIndex, 0, STACKS * 2),
        (SectionKind::StackFrames, 0, FRAMES),
    ];
    let ring_words = ring::RING_HEADER_WORDS + RING_SLOTS * ring::SLOT_WORDS;
    sections.extend((0..RINGS).map(|shard| (SectionKind::Ring, shard as u32, ring_words)));
    sections
}

fn entry(kind: SectionKind, shard: u32, offset: u64, words: usize) -> SectionEntry {
    let (header_bytes, stride, offsets) = kind.shape();
    let mut entry = SectionEntry::zeroed();
    entry.kind = kind as u32;
    entry.shard = shard;
    entry.offset = offset;
    entry.length = words as u64 * 8;
    entry.stride = stride as u32;
    entry.header_bytes = header_bytes as u32;
    entry.count = (entry.length - header_bytes) / stride;
    entry.field_count = offsets.len() as u32;
    entry.fields[..offsets.len()].copy_from_slice(offsets);
    entry
}

/// The words of a good region with something in every table.
pub(crate) fn template() -> Vec<u64> {
    let sections = sections();
    let tables: usize = sections.iter().map(|(_, _, words)| words).sum();
    let words: Vec<AtomicU64> = (0..HEADER_PAGE_BYTES / 8 + tables)
        .map(|_| AtomicU64::new(0))
        .collect();
    let mut header = Header::zeroed();
    header.abi_major = ABI_MAJOR;
    header.abi_minor = ABI_MINOR;
    header.endian_mark = ENDIAN_MARK;
    header.word_bytes = size_of::<usize>() as u16;
    header.region_bytes = words.len() as u64 * 8;
    header.section_count = sections.len() as u32;
    header.pid = 1;
    header.anchor_monotonic_ns = SECOND;
    header.anchor_realtime_ns = 1_700_000_000 * SECOND;
    header.initial_interval = 4_096;
    header.comm[..6].copy_from_slice(b"victim");
    header.exe_path[..10].copy_from_slice(b"/bin/false");
    header.exe_path_len = 10;
    assert!(header.write(&words));
    let mut offset = HEADER_PAGE_BYTES as u64;
    for (number, (kind, shard, length)) in sections.into_iter().enumerate() {
        let entry = entry(kind, shard, offset, length);
        let entry_words: &[u64; size_of::<SectionEntry>() / 8] = bytemuck::cast_ref(&entry);
        let start = HEADER_BYTES / 8 + number * entry_words.len();
        for (word, value) in words[start..].iter().zip(entry_words) {
            word.store(*value, Relaxed);
        }
        offset += length as u64 * 8;
    }
    header::open(&words);
    let view = View::open(&words).expect("the template is a region");
    assert_eq!(view.rings().count(), RINGS);
    fill(&view);
    words.iter().map(|word| word.load(Relaxed)).collect()
}

/// Something in every table.
fn fill(view: &View<'_>) {
    let mut module = Module::default();
    (module.text_start, module.text_end) = (0x1000, 0x9000);
    module.set_path(b"/bin/false");
    module.set_build_id(&[7; 20]);
    assert!(view.modules.append(&module));
    let mut bins = Bins::at(2 * SECOND);
    bins.push(Bin {
        size: 64,
        slab_bytes: 4_096,
        slab_blocks: 64,
        blocks: 70,
        slabs: 3,
        nonfull_slabs: 2,
    });
    view.publish_bins(&bins);
    let mut status = Status::default();
    status.time_ns = Some(3 * SECOND);
    status.rss = Some(9 << 20);
    status.virtual_size = Some(90 << 20);
    status.allocated = Some(4 << 20);
    status.active = Some(5 << 20);
    status.resident = Some(6 << 20);
    status.epoch_ns = Some(3 * SECOND);
    status.cgroup_limit = Some(64 << 20);
    status.cgroup_usage = Some(10 << 20);
    status.ring_heads[0] = Some(2);
    view.publish_status(&status);
    view.counters.set(Gauge::IntervalBytes, 4_096);
    view.counters.set(Gauge::HeartbeatNs, 4 * SECOND);
    for stack in 0..4_u64 {
        let frames: Vec<u64> = (0..3 + stack * 2)
            .map(|frame| 0x1010 + stack * 64 + frame * 16)
            .collect();
        let Interned::Id(id) = view.stacks.intern(&frames, stack == 3, SECOND) else {
            panic!("no room for a stack");
        };
        for block in 0..3 {
            allocate(view, id, stack * 3 + block);
        }
    }
    view.live.clear(5);
    view.stacks.add_free(StackId(2), 80, Some(SECOND / 2));
    view.counters.add(Counter::Frees, 1);
    view.rings().next().unwrap().claim_and_stop();
}

fn allocate(view: &View<'_>, stack: StackId, number: u64) {
    let (size, interval) = match number % 3 {
        0 => (16 + number, 1),
        1 => (100_000, 4_096),
        _ => (80, 4_096),
    };
    let probability = if interval == 1 {
        1.0
    } else {
        -(-(size as f64) / interval as f64).exp_m1()
    };
    let birth_ns = SECOND + number * SECOND / 8;
    view.counters.add(Counter::Samples, 1);
    view.stacks
        .add_allocation(stack, Weight { size, probability }, birth_ns);
    view.live.publish(
        number as usize,
        &LiveBlock {
            address: 0x10_0000 + number * 4_096,
            size,
            align_log2: 3,
            stack,
            thread: 1,
            interval,
            birth_ns,
            number,
        },
    );
    let (_, ring) = view.ring_of(number as u32).unwrap();
    let event = |kind| Event {
        kind,
        address: 0x10_0000 + number * 4_096,
        size,
        stack,
        thread: 1,
        time_ns: birth_ns,
        number,
        interval,
    };
    ring.publish(&event(EventKind::Allocation).encode());
    if number == 5 {
        ring.publish(&event(EventKind::Free { lifetime_ms: 500 }).encode());
    }
}

/// Values at which arithmetic breaks.
const NASTY: [u64; 16] = [
    0,
    1,
    2,
    63,
    64,
    0xff,
    u32::MAX as u64,
    1 << 32,
    1 << 47,
    (1 << 56) - 1,
    1 << 62,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
    0x7ff0_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
];

/// Takes a few words' changes off the front of `bytes` and makes them.
pub(crate) fn change(words: &[AtomicU64], bytes: &mut &[u8]) {
    let [most] = take::<1>(bytes);
    for _ in 0..most {
        if bytes.is_empty() || words.is_empty() {
            return;
        }
        let [how, low, high] = take::<3>(bytes);
        let place = usize::from(u16::from_le_bytes([low, high])) % words.len();
        let word = &words[place];
        let value = word.load(Relaxed);
        word.store(
            match how & 3 {
                0 => u64::from_le_bytes(take::<8>(bytes)),
                1 => NASTY[usize::from(how >> 4)],
                2 => value ^ 1 << (how >> 2),
                _ => value.wrapping_add((i64::from((how as i8) >> 2)).cast_unsigned()),
            },
            Relaxed,
        );
    }
}
