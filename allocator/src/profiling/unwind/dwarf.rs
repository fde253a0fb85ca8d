//! The walk by unwind tables (`.eh_frame`), with framehop.
//!
//! The tables are taken from the files themselves, never unmapped, and not read where the dynamic
//! linker put them, which `dlclose` may remove during a walk. Those of the executable are mapped;
//! those of libraries are copied, as nothing keeps a library's file from being cut short, above all
//! once it was closed. The set of modules
//! is replaced as a whole; an old set stays behind, as a walk may be using it. Rule caches are
//! shared by all threads under try-locks, so a thread that ends leaves nothing behind.
#![expect(
    unsafe_code,
    reason = "reads the calling thread's own stack; publishes a module set by pointer; caches under try-locks"
)]

extern crate alloc;

use alloc::boxed::Box;
use core::{
    cell::UnsafeCell,
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering},
};

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, FrameAddress, Module, MustNotAllocateDuringUnwind,
    UnwindRegsNative, Unwinder, UnwinderNative,
};

use super::{
    super::{
        sys::{self, File},
        thread_state,
    },
    Stack,
    elf::{self, ElfFile},
    registers::Registers,
    stack_bounds::StackBounds,
};

type Tables = UnwinderNative<&'static [u8], MustNotAllocateDuringUnwind>;
type RuleCache = CacheNative<MustNotAllocateDuringUnwind>;

/// Rule caches: as many threads walk at once. Made when first used.
const CACHES: usize = 64;
/// Caches among which a thread begins its search: more are used only by as many threads at once.
const FIRST_CACHES: usize = 8;
/// Module sets made in the life of a process: each replaced one stays behind, with its tables.
const GENERATIONS_MAX: u32 = 1_000;
/// Unwind tables of a library that are copied.
const COPY_MAX_BYTES: usize = 32 << 20;

pub(crate) struct Dwarf {
    tables: AtomicPtr<Tables>,
    generations: AtomicU32,
    caches: [SharedCache; CACHES],
}

struct SharedCache {
    taken: AtomicBool,
    /// Made by the first user.
    cache: UnsafeCell<Option<RuleCache>>,
}

// SAFETY: the cache is only reached by whoever moved `taken` from false to true.
unsafe impl Sync for SharedCache {}
// SAFETY: the cache is plain memory that no thread owns.
unsafe impl Send for SharedCache {}

impl Dwarf {
    pub(crate) fn new() -> Self {
        Self {
            tables: AtomicPtr::new(ptr::null_mut()),
            generations: AtomicU32::new(0),
            caches: core::array::from_fn(|_| SharedCache {
                taken: AtomicBool::new(false),
                cache: UnsafeCell::new(None),
            }),
        }
    }

    /// Whether the set of modules may be replaced once more.
    pub(crate) fn takes_changes(&self) -> bool {
        // Relaxed: one caller at a time.
        self.generations.load(Ordering::Relaxed) < GENERATIONS_MAX
    }

    /// Removes the modules that begin at `gone` and adds others; one caller at a time.
    pub(crate) fn change(
        &self,
        gone: impl Iterator<Item = u64>,
        modules: impl Iterator<Item = Module<&'static [u8]>>,
    ) {
        if !self.takes_changes() {
            return;
        }
        let mut tables = self.tables().cloned().unwrap_or_default();
        let mut changed = false;
        for start in gone {
            tables.remove_module(start);
            changed = true;
        }
        for module in modules {
            // An older module at this address is gone.
            tables.remove_module(module.avma_range().start);
            tables.add_module(module);
            changed = true;
        }
        if changed {
            self.generations.fetch_add(1, Ordering::Relaxed);
            // SYNC(tables-published): Release; pairs with the Acquire in `tables`. The old set is
            // left behind: a walk may be reading it.
            self.tables
                .store(Box::into_raw(Box::new(tables)), Ordering::Release);
        }
    }

    fn tables(&self) -> Option<&Tables> {
        // SYNC(tables-published): Acquire; pairs with the Release in `add`.
        let tables = self.tables.load(Ordering::Acquire);
        // SAFETY: null, or a set that was leaked by `add` and never changes.
        unsafe { tables.as_ref() }
    }

    /// Walks the stack into `stack`; false when there are no tables or every cache is in use, and
    /// then `stack` is as it was.
    pub(crate) fn walk(
        &self,
        registers: &Registers,
        bounds: &StackBounds,
        stack: &mut Stack,
    ) -> bool {
        let Some(tables) = self.tables() else {
            return false;
        };
        // Threads begin their search at different caches.
        let start = (registers.stack_pointer >> 12).wrapping_mul(0x9e37_79b9) >> 16;
        let shared = (0..CACHES).find_map(|step| {
            let shared = self.caches.get(if step < FIRST_CACHES {
                (start + step) % FIRST_CACHES
            } else {
                step
            })?;
            // SYNC(cache-taken): Acquire; pairs with the Release store below.
            (!shared.taken.swap(true, Ordering::Acquire)).then_some(shared)
        });
        let Some(shared) = shared else {
            return false;
        };
        // SAFETY: `taken` was false and is now ours.
        let cache = unsafe { &mut *shared.cache.get() };
        walk_with(
            tables,
            cache.get_or_insert_with(|| thread_state::with_own_heap(RuleCache::new_in)),
            registers,
            bounds,
            stack,
        );
        // SYNC(cache-taken): Release; pairs with the Acquire swap above.
        shared.taken.store(false, Ordering::Release);
        !stack.frames().is_empty()
    }
}

fn walk_with(
    tables: &Tables,
    cache: &mut RuleCache,
    registers: &Registers,
    bounds: &StackBounds,
    stack: &mut Stack,
) {
    let readable = registers.stack_pointer as u64..=(bounds.high as u64).saturating_sub(8);
    let mut read_stack = |address: u64| {
        if readable.contains(&address) && address.is_multiple_of(8) {
            // SAFETY: the word lies in the calling thread's stack, at or above the stack pointer,
            // in a mapping that `stack_bounds` found readable; volatile because the compiler may
            // keep anything there.
            Ok(unsafe { (address as *const u64).read_volatile() })
        } else {
            Err(())
        }
    };
    #[cfg(target_arch = "x86_64")]
    let unwind_registers = UnwindRegsNative::new(
        registers.instruction_pointer as u64,
        registers.stack_pointer as u64,
        registers.frame_pointer as u64,
    );
    #[cfg(target_arch = "aarch64")]
    let unwind_registers = UnwindRegsNative::new(
        registers.link_register as u64,
        registers.stack_pointer as u64,
        registers.frame_pointer as u64,
    );
    let mut frames = tables.iter_frames(
        registers.instruction_pointer as u64,
        unwind_registers,
        cache,
        &mut read_stack,
    );
    // The first address is the walk's own; an error ends the walk like the root does.
    while let Ok(Some(frame)) = frames.next() {
        if let FrameAddress::ReturnAddress(address) = frame
            && !stack.push(address.get())
        {
            return;
        }
    }
}

/// The unwind tables of a file, for a mapping of it that begins at `start` and is moved by `bias`.
/// `None` when the file has none, or none that can be searched.
pub(crate) fn module(
    file: &File,
    elf: &ElfFile,
    text: core::ops::Range<u64>,
    bias: u64,
) -> Option<Module<&'static [u8]>> {
    let header = elf.eh_frame_header?;
    let segment = elf.segment_of(header.svma)?;
    let mut beginning = [0; 8];
    let header_offset = header.svma - segment.svma;
    file.read_at(
        &mut beginning,
        segment.file_offset.checked_add(header_offset)?,
    )?;
    let frame_svma = elf::eh_frame_svma(&beginning, header.svma)?;
    let frame_end = segment.svma.checked_add(segment.file_bytes)?;
    // The segment from the first of both tables on.
    let first = header.svma.min(frame_svma);
    let skipped = first.checked_sub(segment.svma)?;
    let bytes = segment.file_bytes.checked_sub(skipped)?;
    let offset = segment.file_offset.checked_add(skipped)?;
    let tables = if File::open(c"/proc/self/exe").is_some_and(|exe| exe.is_same(file)) {
        map_file(file, offset, bytes)?
    } else {
        copy_file(file, offset, bytes)?
    };
    let part = |svma: u64, bytes: u64| {
        let start = usize::try_from(svma.checked_sub(first)?).ok()?;
        tables.get(start..start.checked_add(usize::try_from(bytes).ok()?)?)
    };
    let header_bytes = part(header.svma, header.file_bytes)?;
    let frame_bytes = part(frame_svma, frame_end.checked_sub(frame_svma)?)?;
    Some(Module::new(
        alloc::string::String::new(),
        text,
        bias,
        ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_svma: Some(frame_svma..frame_end),
            eh_frame: Some(frame_bytes),
            eh_frame_hdr_svma: Some(header.svma..header.svma.checked_add(header.file_bytes)?),
            eh_frame_hdr: Some(header_bytes),
            ..Default::default()
        },
    ))
}

/// Whether a file is as long as its headers say.
fn holds(file: &File, offset: u64, bytes: u64) -> bool {
    let end = offset.checked_add(bytes);
    file.len()
        .is_some_and(|len| end.is_some_and(|end| end <= len))
}

/// Copies a part of a file.
fn copy_file(file: &File, offset: u64, bytes: u64) -> Option<&'static [u8]> {
    let len = usize::try_from(bytes)
        .ok()
        .filter(|len| (1..=COPY_MAX_BYTES).contains(len))?;
    if !holds(file, offset, bytes) {
        return None;
    }
    let address = sys::map_private(len, libc::PROT_READ | libc::PROT_WRITE)?;
    // SAFETY: a fresh, zeroed mapping of this length that is never unmapped.
    let copy = unsafe { core::slice::from_raw_parts_mut(address, len) };
    // What a file that is cut short at this moment lacks stays zero, which ends a table.
    file.read_at(copy, offset)?;
    Some(copy)
}

/// Maps a part of the executable for ever.
fn map_file(file: &File, offset: u64, bytes: u64) -> Option<&'static [u8]> {
    if !holds(file, offset, bytes) {
        return None;
    }
    let page_offset = offset / 4096 * 4096;
    let before = usize::try_from(offset - page_offset).ok()?;
    let bytes = usize::try_from(bytes).ok()?;
    let address = sys::map_file_read_only(
        file,
        i64::try_from(page_offset).ok()?,
        before.checked_add(bytes)?,
    )?;
    // SAFETY: the mapping covers the range, is readable and is never unmapped. The file is the
    // executable: the kernel lets nobody write to it while it runs, and were it cut short all the
    // same, the process's own text would be gone too.
    let whole = unsafe { core::slice::from_raw_parts(address, before + bytes) };
    whole.get(before..)
}
