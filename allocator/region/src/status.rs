//! What the target last said about itself: process, cgroup and jemalloc figures.
//!
//! Written as one [`seqlock`] record under the tick's try-lock, so the figures
//! of one status belong together. `/proc` is gone after death; this is what remains of it.

use crate::{
    primitive::AtomicU64,
    seqlock::{self, Read},
};

/// Words of the section.
pub const STATUS_WORDS: usize = 128;
/// Longest cgroup path kept, in bytes.
pub const CGROUP_PATH_MAX_BYTES: usize = 40 * 8;

const FIELDS: usize = 24;
const PATH_WORDS: usize = CGROUP_PATH_MAX_BYTES / 8;
/// Rings whose heads are kept: as many as a region has at most.
pub const RING_HEADS: usize = 8;
const HEADS_AT: usize = FIELDS + 1 + PATH_WORDS;
const PAYLOAD_WORDS: usize = HEADS_AT + RING_HEADS;
const _: () = assert!(PAYLOAD_WORDS < STATUS_WORDS);

/// The value of a figure that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Figures of one tick, in bytes unless the name says otherwise; `None` is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Nanoseconds of the region's clock at which the status was taken.
    pub time_ns: Option<u64>,
    /// `VmRSS`.
    pub rss: Option<u64>,
    /// `VmSize`.
    pub virtual_size: Option<u64>,
    /// CPU time of the process, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Version of the cgroup hierarchy (1 or 2).
    pub cgroup_version: Option<u64>,
    /// The memory cgroup's limit; not known when there is none.
    pub cgroup_limit: Option<u64>,
    /// The memory cgroup's usage.
    pub cgroup_usage: Option<u64>,
    /// OOM kills that the cgroup has counted.
    pub cgroup_oom_kills: Option<u64>,
    /// jemalloc `stats.allocated`.
    pub allocated: Option<u64>,
    /// jemalloc `stats.active`.
    pub active: Option<u64>,
    /// jemalloc `stats.metadata`.
    pub metadata: Option<u64>,
    /// jemalloc `stats.resident`.
    pub resident: Option<u64>,
    /// jemalloc `stats.mapped`.
    pub mapped: Option<u64>,
    /// jemalloc `stats.retained`.
    pub retained: Option<u64>,
    /// Unused dirty pages of all arenas.
    pub dirty: Option<u64>,
    /// Unused muzzy pages of all arenas.
    pub muzzy: Option<u64>,
    /// Nanoseconds that the last jemalloc epoch took.
    pub epoch_ns: Option<u64>,
    /// Nanoseconds of the region's clock at the last jemalloc epoch.
    pub epoch_time_ns: Option<u64>,
    /// jemalloc `arenas.narenas`.
    pub arenas: Option<u64>,
    /// Address space that the shim has reserved, not backed by memory.
    pub reserved_range: Option<u64>,
    /// Of it, what is committed to sampled blocks.
    pub committed_range: Option<u64>,
    /// Resident pages of files and shared memory (`RssFile` + `RssShmem`).
    pub rss_shared: Option<u64>,
    /// Free blocks in the caches of threads: part of `allocated`.
    pub thread_caches: Option<u64>,
    /// Head of each ring at the last jemalloc epoch: samples with older tickets were made before
    /// it. Births are too coarse to tell.
    pub ring_heads: [Option<u64>; RING_HEADS],
    /// The memory cgroup's path, as `/proc/self/cgroup` gives it.
    cgroup_path: [u8; CGROUP_PATH_MAX_BYTES],
    cgroup_path_len: u16,
}

impl Default for Status {
    fn default() -> Self {
        Self::decode(&[UNKNOWN; PAYLOAD_WORDS])
    }
}

impl Status {
    /// The memory cgroup's path, empty when not known.
    #[must_use]
    pub fn cgroup_path(&self) -> &[u8] {
        self.cgroup_path
            .get(..usize::from(self.cgroup_path_len))
            .unwrap_or_default()
    }

    /// Sets the memory cgroup's path; one that is too long is left out.
    pub fn set_cgroup_path(&mut self, path: &[u8]) {
        self.cgroup_path = [0; CGROUP_PATH_MAX_BYTES];
        self.cgroup_path_len = 0;
        if path.len() <= CGROUP_PATH_MAX_BYTES {
            for (to, from) in self.cgroup_path.iter_mut().zip(path) {
                *to = *from;
            }
            self.cgroup_path_len = path.len() as u16;
        }
    }

    fn encode(&self) -> [u64; PAYLOAD_WORDS] {
        let fields = [
            self.time_ns,
            self.rss,
            self.virtual_size,
            self.cpu_ns,
            self.cgroup_version,
            self.cgroup_limit,
            self.cgroup_usage,
            self.cgroup_oom_kills,
            self.allocated,
            self.active,
            self.metadata,
            self.resident,
            self.mapped,
            self.retained,
            self.dirty,
            self.muzzy,
            self.epoch_ns,
            self.epoch_time_ns,
            self.arenas,
            self.reserved_range,
            self.committed_range,
            self.rss_shared,
            self.thread_caches,
        ];
        let mut words = [UNKNOWN; PAYLOAD_WORDS];
        for (word, field) in words.iter_mut().zip(fields) {
            *word = field.unwrap_or(UNKNOWN);
        }
        let path = self
            .cgroup_path
            .chunks(8)
            .map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        let tail = core::iter::once(u64::from(self.cgroup_path_len)).chain(path);
        for (word, value) in words.iter_mut().skip(FIELDS).zip(tail) {
            *word = value;
        }
        for (word, head) in words.iter_mut().skip(HEADS_AT).zip(self.ring_heads) {
            // 0 is not known: so a region of version 1.0 has it.
            *word = head.map_or(0, |head| head.saturating_add(1));
        }
        words
    }

    fn decode(words: &[u64; PAYLOAD_WORDS]) -> Self {
        let mut fields = words.iter().map(|word| (*word != UNKNOWN).then_some(*word));
        let mut next = || fields.next().flatten();
        let mut status = Self {
            time_ns: next(),
            rss: next(),
            virtual_size: next(),
            cpu_ns: next(),
            cgroup_version: next(),
            cgroup_limit: next(),
            cgroup_usage: next(),
            cgroup_oom_kills: next(),
            allocated: next(),
            active: next(),
            metadata: next(),
            resident: next(),
            mapped: next(),
            retained: next(),
            dirty: next(),
            muzzy: next(),
            epoch_ns: next(),
            epoch_time_ns: next(),
            arenas: next(),
            reserved_range: next(),
            committed_range: next(),
            rss_shared: next(),
            thread_caches: next(),
            ring_heads: [None; RING_HEADS],
            cgroup_path: [0; CGROUP_PATH_MAX_BYTES],
            cgroup_path_len: 0,
        };
        let mut tail = words.iter().skip(FIELDS);
        let len = tail.next().copied().unwrap_or(UNKNOWN);
        if len <= CGROUP_PATH_MAX_BYTES as u64 {
            status.cgroup_path_len = len as u16;
            for (to, from) in status
                .cgroup_path
                .iter_mut()
                .zip(tail.flat_map(|word| word.to_le_bytes()))
            {
                *to = from;
            }
        }
        for (head, word) in status
            .ring_heads
            .iter_mut()
            .zip(words.iter().skip(HEADS_AT))
        {
            *head = word.checked_sub(1).filter(|_| *word != UNKNOWN);
        }
        status
    }

    /// Publishes the status in its section. One writer at a time.
    pub fn publish(&self, section: &[AtomicU64]) {
        seqlock::write(section, &self.encode());
    }

    /// Reads the status; all unknown before the first tick or when the target died in the middle.
    #[must_use]
    pub fn read(section: &[AtomicU64]) -> Self {
        match seqlock::read::<PAYLOAD_WORDS>(section) {
            // A section that was never written has no time.
            Read::Whole(words) if words.first() != Some(&0) => Self::decode(&words),
            Read::Whole(_) | Read::Torn => Self::default(),
        }
    }
}
