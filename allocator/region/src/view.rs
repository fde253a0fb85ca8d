//! A region as a set of tables, checked against the words that are really there.
//!
//! The target builds its view from its own plan, a reader from the section table in the file.
//! Everything that comes out of a region is checked twice: here, and each time an index is used.

use crate::{
    bins::Bins,
    counters::Counters,
    header::{
        self, ABI_MAJOR, ENDIAN_MARK, HEADER_BYTES, HEADER_PAGE_BYTES, Header, MAGIC, SECTIONS_MAX,
        State,
    },
    layout::{DENSE_RINGS, Plan, SectionEntry, SectionKind},
    live_table::LiveTable,
    module_table::ModuleTable,
    primitive::{AtomicU64, Ordering},
    ring::Ring,
    stack_table::StackTable,
    status::Status,
};

const ENTRY_WORDS: usize = size_of::<SectionEntry>() / 8;

/// Why some words are not a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewError {
    /// The words do not begin as a region does.
    NotARegion,
    /// The region is not open yet (or its process died while it made it).
    NotReady,
    /// Fewer bytes than the header says.
    Truncated {
        /// Bytes that the header says.
        expected: u64,
        /// Bytes that are there.
        actual: u64,
    },
    /// Made on a machine with another byte order or word size.
    ForeignMachine,
    /// Made by an allocator whose format this reader does not know.
    UnsupportedAbi {
        /// Major version of the region.
        major: u16,
        /// Minor version of the region.
        minor: u16,
    },
    /// A section lies outside the region or has not the shape that its kind has.
    BadSection {
        /// Kind of the section.
        kind: SectionKind,
    },
    /// A section that every region has is not there.
    MissingSection {
        /// Kind of the section.
        kind: SectionKind,
    },
}

/// The tables of one region.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    words: &'a [AtomicU64],
    status: &'a [AtomicU64],
    bins: Option<&'a [AtomicU64]>,
    /// Counters and gauges.
    pub counters: Counters<'a>,
    /// Executable mappings.
    pub modules: ModuleTable<'a>,
    /// Interned stacks.
    pub stacks: StackTable<'a>,
    /// Live sampled blocks.
    pub live: LiveTable<'a>,
    rings: [Option<Ring<'a>>; DENSE_RINGS as usize],
    ring_count: u32,
}

impl<'a> View<'a> {
    /// Writes the header and the section table of `plan` and opens the region.
    ///
    /// `words` must be zero and as long as the plan says; else `None`.
    #[must_use]
    pub fn create(words: &'a [AtomicU64], plan: &Plan, header: &Header) -> Option<Self> {
        if (words.len() as u64).checked_mul(8)? < plan.region_bytes {
            return None;
        }
        let mut header = *header;
        header.abi_major = ABI_MAJOR;
        header.abi_minor = header::ABI_MINOR;
        header.endian_mark = ENDIAN_MARK;
        header.word_bytes = size_of::<usize>() as u16;
        header.region_bytes = plan.region_bytes;
        header.section_count = plan.sections().len() as u32;
        if !header.write(words) {
            return None;
        }
        for (index, section) in plan.sections().iter().enumerate() {
            let start = HEADER_BYTES / 8 + index * ENTRY_WORDS;
            let source: &[u64; ENTRY_WORDS] = bytemuck::cast_ref(section);
            for (word, value) in words.get(start..start + ENTRY_WORDS)?.iter().zip(source) {
                // Relaxed: nobody reads before the magic is there.
                word.store(*value, Ordering::Relaxed);
            }
        }
        let view = Self::build(words, plan.sections()).ok()?;
        header::open(words);
        Some(view)
    }

    /// Checks `words` and finds its tables.
    ///
    /// # Errors
    /// Says in which way the words are not a region that this version can read.
    pub fn open(words: &'a [AtomicU64]) -> Result<Self, ViewError> {
        match header::magic(words) {
            Some(MAGIC) => {}
            Some(0) => return Err(ViewError::NotReady),
            Some(magic) if magic == MAGIC.swap_bytes() => return Err(ViewError::ForeignMachine),
            _ => return Err(ViewError::NotARegion),
        }
        let actual = words.len() as u64 * 8;
        let header = Header::read(words).ok_or(ViewError::Truncated {
            expected: HEADER_PAGE_BYTES as u64,
            actual,
        })?;
        if header.endian_mark != ENDIAN_MARK || usize::from(header.word_bytes) != size_of::<usize>()
        {
            return Err(ViewError::ForeignMachine);
        }
        if header.abi_major != ABI_MAJOR {
            return Err(ViewError::UnsupportedAbi {
                major: header.abi_major,
                minor: header.abi_minor,
            });
        }
        if header.region_bytes > actual || actual < HEADER_PAGE_BYTES as u64 {
            return Err(ViewError::Truncated {
                expected: header.region_bytes,
                actual,
            });
        }
        let mut sections = [bytemuck::Zeroable::zeroed(); SECTIONS_MAX];
        let count = (header.section_count as usize).min(SECTIONS_MAX);
        for (index, section) in sections.iter_mut().take(count).enumerate() {
            let start = HEADER_BYTES / 8 + index * ENTRY_WORDS;
            let mut target = [0_u64; ENTRY_WORDS];
            for (value, word) in target.iter_mut().zip(words.iter().skip(start)) {
                // Relaxed: the magic was seen by Acquire.
                *value = word.load(Ordering::Relaxed);
            }
            *section = bytemuck::cast(target);
        }
        Self::build(words, sections.get(..count).unwrap_or_default())
    }

    fn build(words: &'a [AtomicU64], sections: &[SectionEntry]) -> Result<Self, ViewError> {
        let find = |kind: SectionKind, shard: u32| {
            sections
                .iter()
                .find(|section| section.kind == kind as u32 && section.shard == shard)
                .ok_or(ViewError::MissingSection { kind })
                .and_then(|section| {
                    section_words(words, section, kind).ok_or(ViewError::BadSection { kind })
                })
        };
        let bad = |kind| move || ViewError::BadSection { kind };
        let mut rings = [None; DENSE_RINGS as usize];
        let mut ring_count = 0;
        for (shard, ring) in rings.iter_mut().enumerate() {
            match find(SectionKind::Ring, shard as u32) {
                Ok(words) => {
                    *ring = Some(Ring::new(words).ok_or_else(bad(SectionKind::Ring))?);
                    ring_count += 1;
                }
                Err(ViewError::MissingSection { .. }) if shard > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            words,
            status: find(SectionKind::Status, 0)?,
            bins: match find(SectionKind::Bins, 0) {
                Err(ViewError::MissingSection { .. }) => None,
                found => Some(found?),
            },
            counters: Counters::new(find(SectionKind::Counters, 0)?),
            modules: ModuleTable::new(find(SectionKind::Modules, 0)?)
                .ok_or_else(bad(SectionKind::Modules))?,
            stacks: StackTable::new(
                find(SectionKind::StackIndex, 0)?,
                find(SectionKind::StackEntries, 0)?,
                find(SectionKind::StackFrames, 0)?,
            )
            .ok_or_else(bad(SectionKind::StackIndex))?,
            live: LiveTable::new(find(SectionKind::Live, 0)?),
            rings,
            ring_count,
        })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::read(self.words).unwrap_or(bytemuck::Zeroable::zeroed())
    }

    /// Where the region is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        header::state(self.words)
    }

    /// Marks the region as that of a process that ended cleanly.
    pub fn mark_exited(&self) {
        header::set_state(self.words, State::Exited);
    }

    /// The target's last status.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::read(self.status)
    }

    /// Publishes a status. One writer at a time.
    pub fn publish_status(&self, status: &Status) {
        status.publish(self.status);
    }

    /// How full the size classes were when the target last looked; none in a region of version 1.0.
    #[must_use]
    pub fn bins(&self) -> Bins {
        self.bins.map_or_else(Bins::default, Bins::read)
    }

    /// Publishes how full the size classes are. One writer at a time.
    pub fn publish_bins(&self, bins: &Bins) {
        if let Some(section) = self.bins {
            bins.publish(section);
        }
    }

    /// The shards of the journal.
    pub fn rings(&self) -> impl Iterator<Item = Ring<'a>> {
        self.rings.into_iter().flatten()
    }

    /// The ring of a thread, and its shard.
    #[must_use]
    #[inline]
    pub fn ring_of(&self, thread: u32) -> Option<(u32, Ring<'a>)> {
        let shard = thread.checked_rem(self.ring_count)?;
        let ring = self.rings.get(shard as usize).copied().flatten()?;
        Some((shard, ring))
    }
}

/// The words of a section, if it lies inside the region and has the shape of its kind: the known
/// fields at their places, elements of the known length, as many as it says.
fn section_words<'a>(
    words: &'a [AtomicU64],
    section: &SectionEntry,
    kind: SectionKind,
) -> Option<&'a [AtomicU64]> {
    let (header, stride, fields) = kind.shape();
    if u64::from(section.stride) != stride || u64::from(section.header_bytes) != header {
        return None;
    }
    // A region of an older minor version describes fewer fields; the rest of its words are 0.
    let described = (section.field_count as usize).min(fields.len());
    if described < kind.first_fields()
        || section.fields.get(..described)? != fields.get(..described)?
    {
        return None;
    }
    let length = section.count.checked_mul(stride)?.checked_add(header)?;
    if length > section.length || !section.offset.is_multiple_of(8) {
        return None;
    }
    let start = usize::try_from(section.offset / 8).ok()?;
    let len = usize::try_from(length / 8).ok()?;
    words.get(start..start.checked_add(len)?)
}
