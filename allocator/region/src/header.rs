//! Page 0: what the file is, whose it is, and where its sections lie.
#![expect(
    unsafe_code,
    reason = "Pod for two structs of plain integers: a derive would bring a proc macro into every customer's build"
)]

use bytemuck::{Pod, Zeroable};

use crate::{
    layout::SectionEntry,
    primitive::{AtomicU64, Ordering},
};

/// First word of a region: the text `RIPTIDE1`, masked, so that a text file that begins with these
/// letters (or a program that holds them) is not taken for a region.
pub const MAGIC: u64 = u64::from_le_bytes(*b"RIPTIDE1") ^ 0xa5a5_5a5a_c3c3_3c3c;
/// Layouts with another major version are refused.
pub const ABI_MAJOR: u16 = 1;
/// A higher minor version only adds sections, fields behind the known ones, counters and kinds.
pub const ABI_MINOR: u16 = 1;
/// What a reader of the same byte order reads.
pub const ENDIAN_MARK: u16 = 0x0102;
/// Bytes of the header page.
pub const HEADER_PAGE_BYTES: usize = 4096;
/// Sections that the header page has room for.
pub const SECTIONS_MAX: usize = 24;
/// Bytes of the fixed header, before the section table.
pub const HEADER_BYTES: usize = 1024;
/// Longest executable path kept, in bytes.
pub const EXE_PATH_MAX_BYTES: usize = 320;
/// Longest configuration message kept, in bytes.
pub const CONFIG_ERROR_MAX_BYTES: usize = 256;

const MAGIC_WORD: usize = 0;
const STATE_WORD: usize = 1;
const HEADER_WORDS: usize = HEADER_BYTES / 8;

/// The region lies on a tmpfs.
pub const FLAG_TMPFS: u64 = 1;
/// The region is laid out for an interval of 1 (every allocation is recorded).
pub const FLAG_DENSE: u64 = 1 << 1;
/// The region is smaller than asked for or than the default, because of a cap.
pub const FLAG_CAPPED: u64 = 1 << 2;

/// Where a region is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// Being made.
    Init = 0,
    /// Written by a running process, or by one that ended without a word.
    Ready = 1,
    /// The process ended cleanly.
    Exited = 2,
}

impl State {
    /// The state behind a word; one that is not known counts as `Init`.
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        match word {
            1 => Self::Ready,
            2 => Self::Exited,
            _ => Self::Init,
        }
    }
}

/// The fixed header.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`], written last.
    pub magic: u64,
    /// A [`State`].
    pub state: u64,
    /// [`ABI_MAJOR`].
    pub abi_major: u16,
    /// [`ABI_MINOR`].
    pub abi_minor: u16,
    /// [`ENDIAN_MARK`].
    pub endian_mark: u16,
    /// Bytes of a machine word of the target.
    pub word_bytes: u16,
    /// Bytes of the whole region.
    pub region_bytes: u64,
    /// Sections in the table.
    pub section_count: u32,
    /// Bytes of a page of the target.
    pub page_bytes: u32,
    /// Process id in the target's own pid namespace.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/self/stat`.
    pub start_time_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`, all zero when it could not be read.
    pub boot_id: [u8; 16],
    /// Inode of `/proc/self/ns/pid`, 0 when it could not be read.
    pub pid_namespace: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC` when the region was made: the region's clock is
    /// `CLOCK_MONOTONIC`, this pair anchors it.
    pub anchor_monotonic_ns: u64,
    /// Nanoseconds of `CLOCK_REALTIME` at the same moment.
    pub anchor_realtime_ns: u64,
    /// `FLAG_*`.
    pub flags: u64,
    /// Value that makes the file's name unique.
    pub nonce: u64,
    /// Sampling interval at the start, in bytes.
    pub initial_interval: u64,
    /// Bytes of `exe_path` in use.
    pub exe_path_len: u32,
    /// Bytes of `config_error` in use.
    pub config_error_len: u32,
    /// Bytes of `exe_build_id` in use.
    pub exe_build_id_len: u32,
    /// Not used.
    pub reserved: u32,
    /// Name of the process (`/proc/self/comm`), zero-padded.
    pub comm: [u8; 16],
    /// Version of the allocator crate, zero-padded.
    pub allocator_version: [u8; 16],
    /// GNU build-id of the executable.
    pub exe_build_id: [u8; 32],
    /// Path of the executable; one that is too long keeps its beginning.
    pub exe_path: [u8; EXE_PATH_MAX_BYTES],
    /// What was wrong with the environment, one message a line.
    pub config_error: [u8; CONFIG_ERROR_MAX_BYTES],
    /// Not used.
    pub padding: [u64; 31],
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);
const _: () =
    assert!(HEADER_BYTES + SECTIONS_MAX * size_of::<SectionEntry>() == HEADER_PAGE_BYTES,);

// SAFETY: every bit pattern of integers and arrays of integers is valid, and zero is one of them.
unsafe impl Zeroable for Header {}
// SAFETY: `repr(C)`, only integers and arrays of them, and no padding, as the size asserted above is
// the sum of the fields and every field lies at a multiple of its alignment.
unsafe impl Pod for Header {}

impl Header {
    /// The executable's path.
    #[must_use]
    pub fn exe_path(&self) -> &[u8] {
        prefix(&self.exe_path, self.exe_path_len)
    }

    /// The executable's build-id, empty when it has none.
    #[must_use]
    pub fn exe_build_id(&self) -> &[u8] {
        prefix(&self.exe_build_id, self.exe_build_id_len)
    }

    /// What was wrong with the environment.
    #[must_use]
    pub fn config_error(&self) -> &[u8] {
        prefix(&self.config_error, self.config_error_len)
    }

    /// The process's name.
    #[must_use]
    pub fn comm(&self) -> &[u8] {
        until_zero(&self.comm)
    }

    /// Version of the allocator crate.
    #[must_use]
    pub fn allocator_version(&self) -> &[u8] {
        until_zero(&self.allocator_version)
    }

    /// Writes the header but for its magic, with the state `Init`. `false` if `words` is too short.
    pub fn write(&self, words: &[AtomicU64]) -> bool {
        let mut header = *self;
        header.magic = 0;
        header.state = State::Init as u64;
        let source: &[u64; HEADER_WORDS] = bytemuck::cast_ref(&header);
        let Some(target) = words.get(..HEADER_WORDS) else {
            return false;
        };
        for (word, value) in target.iter().zip(source) {
            // Relaxed: nobody reads before the magic is there.
            word.store(*value, Ordering::Relaxed);
        }
        true
    }

    /// Reads the header word by word. `None` if `words` is too short.
    #[must_use]
    pub fn read(words: &[AtomicU64]) -> Option<Self> {
        let mut target = [0_u64; HEADER_WORDS];
        for (value, word) in target.iter_mut().zip(words.get(..HEADER_WORDS)?) {
            // Relaxed: the magic was seen by Acquire, the rest but for the state does not change.
            *value = word.load(Ordering::Relaxed);
        }
        Some(bytemuck::cast(target))
    }
}

/// Opens a region to readers: state `Ready`, then the magic.
pub fn open(words: &[AtomicU64]) {
    set_state(words, State::Ready);
    if let Some(magic) = words.get(MAGIC_WORD) {
        // SYNC(region-opened): Release; pairs with the Acquire in `magic`; makes header, section
        // table and empty sections visible.
        magic.store(MAGIC, Ordering::Release);
    }
}

/// First word of a region.
#[must_use]
pub fn magic(words: &[AtomicU64]) -> Option<u64> {
    // SYNC(region-opened): Acquire; pairs with the Release in `open`.
    words
        .get(MAGIC_WORD)
        .map(|word| word.load(Ordering::Acquire))
}

/// Sets the state.
pub fn set_state(words: &[AtomicU64], state: State) {
    if let Some(word) = words.get(STATE_WORD) {
        // Relaxed: a mark of its own; nothing is reached through it.
        word.store(state as u64, Ordering::Relaxed);
    }
}

/// The state of a region.
#[must_use]
pub fn state(words: &[AtomicU64]) -> State {
    // Relaxed: as in `set_state`.
    words.get(STATE_WORD).map_or(State::Init, |word| {
        State::from_word(word.load(Ordering::Relaxed))
    })
}

fn prefix(bytes: &[u8], len: u32) -> &[u8] {
    bytes.get(..len as usize).unwrap_or(bytes)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}
