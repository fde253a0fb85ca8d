//! Executable mappings of the target: what a reader needs to resolve an address after the process
//! is gone.
//!
//! Entries are appended under the tick's try-lock. An entry changes once more, when its mapping
//! has gone (`valid_to_ns`), so that a later mapping at the same addresses is told apart.

use crate::{
    primitive::{AtomicU64, Ordering},
    seqlock::{self, Read},
};

/// Words of one entry.
pub const ENTRY_WORDS: usize = 64;
/// Words before the first entry: how many entries there are.
pub const MODULES_HEADER_WORDS: usize = 16;
/// Longest path kept, in bytes. A longer one keeps its end.
pub const PATH_MAX_BYTES: usize = 50 * 8;
/// Longest build-id kept, in bytes.
pub const BUILD_ID_MAX_BYTES: usize = 32;

const PAYLOAD_WORDS: usize = ENTRY_WORDS - 1;
const FIXED_WORDS: usize = 7;
const BUILD_ID_WORDS: usize = BUILD_ID_MAX_BYTES / 8;
const PATH_WORDS: usize = PATH_MAX_BYTES / 8;
const _: () = assert!(FIXED_WORDS + BUILD_ID_WORDS + PATH_WORDS < PAYLOAD_WORDS);

/// One executable mapping. Addresses are those of the target (avma).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// First address of the executable mapping.
    pub text_start: u64,
    /// Address behind the mapping.
    pub text_end: u64,
    /// Offset of the mapping's first byte in the file.
    pub file_offset: u64,
    /// What to add to an address of the file (svma) to get one of the target (avma); wraps.
    pub bias: u64,
    /// Nanoseconds of the region's clock at which the mapping was first seen.
    pub valid_from_ns: u64,
    /// Nanoseconds at which it was found gone, 0 while it is there.
    pub valid_to_ns: u64,
    build_id: [u8; BUILD_ID_MAX_BYTES],
    build_id_len: u8,
    path: [u8; PATH_MAX_BYTES],
    path_len: u16,
    path_cut: bool,
}

impl Default for Module {
    fn default() -> Self {
        Self {
            text_start: 0,
            text_end: 0,
            file_offset: 0,
            bias: 0,
            valid_from_ns: 0,
            valid_to_ns: 0,
            build_id: [0; BUILD_ID_MAX_BYTES],
            build_id_len: 0,
            path: [0; PATH_MAX_BYTES],
            path_len: 0,
            path_cut: false,
        }
    }
}

impl Module {
    /// The mapping's path as the kernel gives it (no trailing ` (deleted)`).
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.path
            .get(..usize::from(self.path_len))
            .unwrap_or_default()
    }

    /// Whether the path's beginning was cut off.
    #[must_use]
    pub fn path_cut(&self) -> bool {
        self.path_cut
    }

    /// Sets the path; one longer than [`PATH_MAX_BYTES`] keeps its end and is marked.
    pub fn set_path(&mut self, path: &[u8]) {
        self.path_cut = path.len() > PATH_MAX_BYTES;
        let kept = path
            .get(path.len().saturating_sub(PATH_MAX_BYTES)..)
            .unwrap_or_default();
        self.path = [0; PATH_MAX_BYTES];
        for (to, from) in self.path.iter_mut().zip(kept) {
            *to = *from;
        }
        self.path_len = kept.len() as u16;
    }

    /// The GNU build-id, empty when the file has none.
    #[must_use]
    pub fn build_id(&self) -> &[u8] {
        self.build_id
            .get(..usize::from(self.build_id_len))
            .unwrap_or_default()
    }

    /// Sets the build-id; one longer than [`BUILD_ID_MAX_BYTES`] is left out.
    pub fn set_build_id(&mut self, build_id: &[u8]) {
        self.build_id = [0; BUILD_ID_MAX_BYTES];
        self.build_id_len = 0;
        if build_id.len() <= BUILD_ID_MAX_BYTES {
            for (to, from) in self.build_id.iter_mut().zip(build_id) {
                *to = *from;
            }
            self.build_id_len = build_id.len() as u8;
        }
    }

    fn encode(&self) -> [u64; PAYLOAD_WORDS] {
        let mut words = [0; PAYLOAD_WORDS];
        let fixed = [
            self.text_start,
            self.text_end,
            self.file_offset,
            self.bias,
            self.valid_from_ns,
            self.valid_to_ns,
            u64::from(self.path_len)
                | u64::from(self.build_id_len) << 16
                | u64::from(self.path_cut) << 24,
        ];
        let bytes = self.build_id.iter().chain(&self.path);
        let mut bytes = bytes.copied();
        let packed = core::iter::from_fn(|| {
            let mut word = [0; 8];
            let first = bytes.next()?;
            for (place, byte) in word
                .iter_mut()
                .zip(core::iter::once(first).chain(&mut bytes))
            {
                *place = byte;
            }
            Some(u64::from_le_bytes(word))
        });
        for (word, value) in words.iter_mut().zip(fixed.into_iter().chain(packed)) {
            *word = value;
        }
        words
    }

    fn decode(words: &[u64; PAYLOAD_WORDS]) -> Self {
        let mut words = words.iter().copied();
        let mut next = || words.next().unwrap_or(0);
        let mut module = Self {
            text_start: next(),
            text_end: next(),
            file_offset: next(),
            bias: next(),
            valid_from_ns: next(),
            valid_to_ns: next(),
            ..Self::default()
        };
        let lengths = next();
        module.path_len = (lengths as u16).min(PATH_MAX_BYTES as u16);
        module.build_id_len = ((lengths >> 16) as u8).min(BUILD_ID_MAX_BYTES as u8);
        module.path_cut = lengths >> 24 & 1 == 1;
        let mut bytes = words.flat_map(u64::to_le_bytes);
        for place in module.build_id.iter_mut().chain(&mut module.path) {
            *place = bytes.next().unwrap_or(0);
        }
        module
    }
}

/// Both ends of the module table.
#[derive(Clone, Copy, Debug)]
pub struct ModuleTable<'a> {
    used: &'a AtomicU64,
    entries: &'a [AtomicU64],
}

impl<'a> ModuleTable<'a> {
    /// A table over `words`: a header line, then entries.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        Some(Self {
            used: words.first()?,
            entries: words.get(MODULES_HEADER_WORDS..)?,
        })
    }

    /// Entries that the table can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.len() / ENTRY_WORDS
    }

    /// Entries written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        // SYNC(module-appended): Acquire; pairs with the Release in `ModuleTable::append`.
        usize::try_from(self.used.load(Ordering::Acquire))
            .unwrap_or(usize::MAX)
            .min(self.capacity())
    }

    /// Whether there is no entry yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entry(&self, index: usize) -> Option<&'a [AtomicU64]> {
        let start = index.checked_mul(ENTRY_WORDS)?;
        self.entries.get(start..start.checked_add(ENTRY_WORDS)?)
    }

    /// Appends an entry; false when the table is full. One writer at a time.
    pub fn append(&self, module: &Module) -> bool {
        let index = self.len();
        let Some(entry) = self.entry(index) else {
            return false;
        };
        seqlock::write(entry, &module.encode());
        // SYNC(module-appended): Release; pairs with the Acquire in `ModuleTable::len`.
        self.used.store(index as u64 + 1, Ordering::Release);
        true
    }

    /// Replaces entry `index`. One writer at a time.
    pub fn update(&self, index: usize, module: &Module) {
        if let Some(entry) = self.entry(index) {
            seqlock::write(entry, &module.encode());
        }
    }

    /// Reads entry `index`; `None` outside the table or while it is written.
    #[must_use]
    pub fn read(&self, index: usize) -> Option<Module> {
        if index >= self.len() {
            return None;
        }
        match seqlock::read::<PAYLOAD_WORDS>(self.entry(index)?) {
            Read::Whole(words) => Some(Module::decode(&words)),
            Read::Torn => None,
        }
    }
}
