//! Regions made by hand: the writing half of the format over a file that a session attaches to.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    fs::{self, File},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytemuck::Zeroable;
use riptide_region::{
    counters::{Counter, Gauge},
    header::Header,
    layout::Plan,
    live_table::LiveBlock,
    stack_table::{Interned, StackId, Weight},
    status::Status,
    view::View,
};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A region in memory and its file, which belongs to this very process.
pub(crate) struct TestRegion {
    words: Vec<AtomicU64>,
    directory: tempfile::TempDir,
    path: PathBuf,
    file: File,
    next_slot: usize,
    next_number: u64,
}

impl TestRegion {
    pub(crate) fn new(bytes: u64, dense: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let plan = Plan::new(bytes, dense).unwrap();
        let words: Vec<_> = (0..plan.region_bytes / 8)
            .map(|_| AtomicU64::new(0))
            .collect();
        let header = own_header();
        View::create(&words, &plan, &header).unwrap();
        let name = format!("{}-{}-1", header.pid, header.start_time_ticks);
        let path = directory.path().join(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        let region = Self {
            words,
            directory,
            path,
            file,
            next_slot: 0,
            next_number: 0,
        };
        region.view().counters.set(Gauge::IntervalBytes, 1);
        region.flush();
        region
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::open(&self.words).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let words = self.words.iter();
        words
            .flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes())
            .collect()
    }

    /// Makes the file equal to the memory.
    pub(crate) fn flush(&self) {
        self.file.write_all_at(&self.bytes(), 0).unwrap();
    }

    pub(crate) fn stack(&self, frames: &[u64], now_ns: u64) -> StackId {
        match self.view().stacks.intern(frames, false, now_ns) {
            Interned::Id(id) => id,
            Interned::Full => StackId::UNKNOWN,
        }
    }

    /// Records an allocation as the shim does; returns its slot.
    pub(crate) fn allocate(
        &mut self,
        stack: StackId,
        size: u64,
        interval: u64,
        now_ns: u64,
    ) -> usize {
        let view = self.view();
        let probability = if interval <= 1 {
            1.0
        } else {
            -(-(size as f64) / interval as f64).exp_m1()
        };
        view.counters.add(Counter::Samples, 1);
        view.stacks
            .add_allocation(stack, Weight { size, probability }, now_ns);
        let slot = self.next_slot;
        view.live.publish(
            slot,
            &LiveBlock {
                address: 0x1000 + slot as u64 * 16,
                size,
                align_log2: 3,
                stack,
                thread: 7,
                interval,
                birth_ns: now_ns,
                number: self.next_number,
            },
        );
        self.next_slot += 1;
        self.next_number += 1;
        slot
    }

    pub(crate) fn free(&self, slot: usize, stack: StackId, size: u64, lifetime_ns: u64) {
        let view = self.view();
        view.counters.add(Counter::Frees, 1);
        view.live.clear(slot);
        view.stacks.add_free(stack, size, Some(lifetime_ns));
    }

    pub(crate) fn publish_status(&self, fill: impl FnOnce(&mut Status)) {
        let mut status = Status::default();
        fill(&mut status);
        self.view().publish_status(&status);
    }

    /// Changes the header in place (the magic stays).
    pub(crate) fn change_header(&self, change: impl FnOnce(&mut Header)) {
        let mut header = Header::read(&self.words).unwrap();
        change(&mut header);
        let source: &[u64; size_of::<Header>() / 8] = bytemuck::cast_ref(&header);
        for (word, value) in self.words.iter().zip(source) {
            word.store(*value, Ordering::Relaxed);
        }
    }
}

/// A header that names this process.
pub(crate) fn own_header() -> Header {
    let mut header = Header::zeroed();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let rest = stat.rsplit_once(')').unwrap().1;
    header.pid = std::process::id();
    header.start_time_ticks = rest.split_whitespace().nth(19).unwrap().parse().unwrap();
    header.pid_namespace = fs::metadata("/proc/self/ns/pid").unwrap().ino();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let digits: String = boot.trim().split('-').collect();
    for (at, byte) in header.boot_id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    }
    let exe = fs::read_link("/proc/self/exe").unwrap();
    let exe = exe.as_os_str().as_bytes();
    let len = exe.len().min(header.exe_path.len());
    header.exe_path[..len].copy_from_slice(&exe[..len]);
    header.exe_path_len = len as u32;
    header.comm[..7].copy_from_slice(b"service");
    header.initial_interval = 1;
    header
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
