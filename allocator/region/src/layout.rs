//! Where the sections of a region lie: planned by the target, described in the file, checked by
//! every reader.
#![expect(
    unsafe_code,
    reason = "Pod for a struct of plain integers, as in `header`"
)]

use bytemuck::{Pod, Zeroable};

use crate::{
    bins::BINS_WORDS,
    counters::COUNTER_WORDS,
    header::{HEADER_PAGE_BYTES, SECTIONS_MAX},
    live_table, module_table, ring, stack_table,
    status::STATUS_WORDS,
};

/// Fields that a section entry can describe.
pub const FIELDS_MAX: usize = 40;
/// Smallest region.
pub const REGION_MIN_BYTES: u64 = 1 << 20;
/// Size of a region without other wishes or caps.
pub const REGION_DEFAULT_BYTES: u64 = 16 << 20;
/// Largest region.
pub const REGION_MAX_BYTES: u64 = 1 << 30;
/// Rings of a dense region.
pub const DENSE_RINGS: u32 = 8;

const WORD_BYTES: u64 = 8;
const PAGE_BYTES: u64 = 4096;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SectionKind {
    /// [`status`](crate::status)
    Status = 1,
    /// [`counters`](crate::counters)
    Counters = 2,
    /// [`module_table`]
    Modules = 3,
    /// Index of the [`stack_table`]
    StackIndex = 4,
    /// Entries of the stack table
    StackEntries = 5,
    /// Frames of the stack table
    StackFrames = 6,
    /// [`live_table`]
    Live = 7,
    /// One shard of the journal: a [`ring`]
    Ring = 8,
    /// [`bins`](crate::bins); since 1.1
    Bins = 9,
}

impl SectionKind {
    /// Bytes before the first element, bytes of an element, and the byte offset of each field.
    #[must_use]
    pub const fn shape(self) -> (u64, u64, &'static [u16]) {
        match self {
            Self::Status => (0, STATUS_WORDS as u64 * 8, STATUS_FIELDS),
            Self::Counters => (0, 8, &[0]),
            Self::Modules => (
                module_table::MODULES_HEADER_WORDS as u64 * 8,
                module_table::ENTRY_WORDS as u64 * 8,
                MODULE_FIELDS,
            ),
            Self::StackIndex | Self::StackFrames => (0, 8, &[0]),
            Self::StackEntries => (
                stack_table::ENTRIES_HEADER_WORDS as u64 * 8,
                stack_table::ENTRY_WORDS as u64 * 8,
                STACK_FIELDS,
            ),
            Self::Live => (0, live_table::SLOT_WORDS as u64 * 8, LIVE_FIELDS),
            Self::Ring => (
                ring::RING_HEADER_WORDS as u64 * 8,
                ring::SLOT_WORDS as u64 * 8,
                RING_FIELDS,
            ),
            Self::Bins => (0, BINS_WORDS as u64 * 8, &[0, 8, 16, 24, 32]),
        }
    }

    /// How many of the fields every region has; later ones came with a minor version.
    #[must_use]
    pub const fn first_fields(self) -> usize {
        match self {
            Self::Status => STATUS_FIELDS_1_0,
            _ => self.shape().2.len(),
        }
    }
}

/// sequence, then the fields of `Status` in their order, then path length and path. Since 1.1:
/// rss_shared, thread_caches, ring_heads.
const STATUS_FIELDS: &[u16] = &[
    0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168,
    200, 208, 176, 184, 528,
];
const STATUS_FIELDS_1_0: usize = 24;
/// sequence, text_start, text_end, file_offset, bias, valid_from, valid_to, lengths, build_id, path.
const MODULE_FIELDS: &[u16] = &[0, 8, 16, 24, 32, 40, 48, 56, 64, 96];
/// ready, hash, first_seen, last_seen, samples, sampled_bytes, freed_samples, freed_sampled_bytes,
/// certain_objects, certain_bytes, estimated_objects, estimated_bytes, variance_objects,
/// variance_bytes, lifetimes.
const STACK_FIELDS: &[u16] = &[0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 128];
/// sequence, address, size | align, stack | thread, interval, birth, number.
const LIVE_FIELDS: &[u16] = &[0, 8, 16, 24, 32, 40, 48];
/// sequence, dropped, kind | size, address, stack | thread, time, number, interval | lifetime.
const RING_FIELDS: &[u16] = &[0, 8, 16, 24, 32, 40, 48, 56];

/// One entry of the section table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SectionEntry {
    /// A [`SectionKind`]; readers pass over kinds that they do not know.
    pub kind: u32,
    /// Number among the sections of this kind.
    pub shard: u32,
    /// Bytes from the beginning of the region.
    pub offset: u64,
    /// Bytes of the section.
    pub length: u64,
    /// Bytes of one element.
    pub stride: u32,
    /// Bytes before the first element.
    pub header_bytes: u32,
    /// Elements.
    pub count: u64,
    /// Entries of `fields` in use.
    pub field_count: u32,
    /// Not used.
    pub reserved: u32,
    /// Byte offset of each field in an element.
    pub fields: [u16; FIELDS_MAX],
}

const _: () = assert!(size_of::<SectionEntry>() == 128);

// SAFETY: every bit pattern of integers and arrays of integers is valid, and zero is one of them.
unsafe impl Zeroable for SectionEntry {}
// SAFETY: `repr(C)`, only integers and arrays of them, no padding: the size asserted above is the
// sum of the fields.
unsafe impl Pod for SectionEntry {}

impl SectionEntry {
    fn new(kind: SectionKind, shard: u32, offset: u64, length: u64) -> Self {
        let (header, stride, offsets) = kind.shape();
        let mut fields = [0; FIELDS_MAX];
        for (to, from) in fields.iter_mut().zip(offsets) {
            *to = *from;
        }
        Self {
            kind: kind as u32,
            shard,
            offset,
            length,
            stride: stride as u32,
            header_bytes: header as u32,
            count: (length - header) / stride,
            field_count: offsets.len() as u32,
            reserved: 0,
            fields,
        }
    }
}

/// The sections of a region of a given size.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bytes of the whole region, a multiple of a page.
    pub region_bytes: u64,
    sections: [SectionEntry; SECTIONS_MAX],
    len: usize,
}

impl Plan {
    /// Divides `region_bytes` (rounded down to a page) among the sections.
    ///
    /// A dense region is for recording every allocation: more of it is live table, and the ring is
    /// sharded. `None` below [`REGION_MIN_BYTES`].
    #[must_use]
    pub fn new(region_bytes: u64, dense: bool) -> Option<Self> {
        if region_bytes < REGION_MIN_BYTES {
            return None;
        }
        let region_bytes = region_bytes.min(REGION_MAX_BYTES) / PAGE_BYTES * PAGE_BYTES;
        let mut plan = Self {
            region_bytes,
            sections: [SectionEntry::zeroed(); SECTIONS_MAX],
            len: 0,
        };
        let rings = if dense { DENSE_RINGS } else { 1 };
        // Shares of the region in 64ths; the frames take what is left.
        let (live, entries, ring) = if dense { (40, 8, 4) } else { (20, 14, 8) };
        let modules = if region_bytes >= 4 << 20 { 128 } else { 32 };
        let share = |part: u64| region_bytes / 64 * part;
        let mut offset = HEADER_PAGE_BYTES as u64;
        let mut add = |kind: SectionKind, shard: u32, elements_bytes: u64| {
            let (header, stride, _) = kind.shape();
            let length = header + elements_bytes / stride * stride;
            plan.push(SectionEntry::new(kind, shard, offset, length));
            offset += length.next_multiple_of(PAGE_BYTES);
        };
        add(SectionKind::Status, 0, STATUS_WORDS as u64 * WORD_BYTES);
        add(SectionKind::Counters, 0, COUNTER_WORDS as u64 * WORD_BYTES);
        add(
            SectionKind::Modules,
            0,
            modules * module_table::ENTRY_WORDS as u64 * WORD_BYTES,
        );
        add(SectionKind::Bins, 0, BINS_WORDS as u64 * WORD_BYTES);
        add(SectionKind::Live, 0, share(live));
        add(SectionKind::StackEntries, 0, share(entries));
        let stacks = share(entries) / (stack_table::ENTRY_WORDS as u64 * WORD_BYTES);
        add(
            SectionKind::StackIndex,
            0,
            (stacks * 2).next_power_of_two() * WORD_BYTES,
        );
        let slot_bytes = ring::SLOT_WORDS as u64 * WORD_BYTES;
        let ring_slots = power_of_two_below(share(ring) / u64::from(rings) / slot_bytes);
        for shard in 0..rings {
            add(SectionKind::Ring, shard, ring_slots * slot_bytes);
        }
        let left = region_bytes.checked_sub(offset)?;
        plan.push(SectionEntry::new(SectionKind::StackFrames, 0, offset, left));
        Some(plan)
    }

    fn push(&mut self, section: SectionEntry) {
        if let Some(place) = self.sections.get_mut(self.len) {
            *place = section;
            self.len += 1;
        }
    }

    /// The planned sections.
    #[must_use]
    pub fn sections(&self) -> &[SectionEntry] {
        self.sections.get(..self.len).unwrap_or_default()
    }
}

fn power_of_two_below(value: u64) -> u64 {
    1 << value.max(1).ilog2()
}
