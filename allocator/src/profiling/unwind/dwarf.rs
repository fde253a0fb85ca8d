//! The walk by unwind tables (`.eh_frame`), with framehop.
//!
//! The tables are taken from the files themselves, never unmapped, and not read where the dynamic
//! linker put them, which `dlclose` may remove during a walk. Those of the executable are mapped;
//! those of libraries are copied, as nothing keeps a library's file from being cut short, above all
//! once it was closed. The set of modules
//! is replaced as a whole; an old set stays behind, as a walk may be using it. framehop's caches are
//! shared by all threads under try-locks, so a thread that ends leaves nothing behind. On x86-64 they
//! are seldom needed: what framehop says of an address is kept as a [rule](super::rules).
#![expect(
    unsafe_code,
    reason = "reads the calling thread's own stack; publishes a module set by pointer"
)]

extern crate alloc;

use alloc::boxed::Box;
use core::{
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering},
};

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, FrameAddress, Module, MustNotAllocateDuringUnwind,
    UnwindRegsNative, Unwinder, UnwinderNative,
};

#[cfg(target_arch = "x86_64")]
use super::rules::{self, Base, Caller, Rule, RuleTable};
use super::{
    super::{
        sys::{self, File},
        thread_state,
        try_lock::{Guard, TryLock},
    },
    Stack,
    elf::{self, ElfFile},
    registers::Registers,
    stack_bounds::StackBounds,
};

type Tables = UnwinderNative<&'static [u8], MustNotAllocateDuringUnwind>;
type RuleCache = CacheNative<MustNotAllocateDuringUnwind>;

/// Caches of framehop's: as many threads use them at once. Made when first used.
const CACHES: usize = 64;
/// Caches among which a thread begins its search: more are used only by as many threads at once.
const FIRST_CACHES: usize = 8;
/// Module sets made in the life of a process: each replaced one stays behind, with its tables.
const GENERATIONS_MAX: u32 = 1_000;
#[cfg(target_arch = "x86_64")]
const _: () = assert!(GENERATIONS_MAX < rules::GENERATION_END);
/// Unwind tables of a library that are copied.
const COPY_MAX_BYTES: usize = 32 << 20;

pub(crate) struct Dwarf {
    modules: AtomicPtr<ModuleSet>,
    generations: AtomicU32,
    /// Each made by its first user.
    caches: [TryLock<Option<RuleCache>>; CACHES],
    #[cfg(target_arch = "x86_64")]
    rules: RuleTable,
}

/// The tables of all modules at a time.
struct ModuleSet {
    tables: Tables,
    /// Number of the set, from 1.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "there are no rules")
    )]
    generation: u32,
}

impl Dwarf {
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            modules: AtomicPtr::new(ptr::null_mut()),
            generations: AtomicU32::new(0),
            caches: core::array::from_fn(|_| TryLock::new(None)),
            #[cfg(target_arch = "x86_64")]
            rules: RuleTable::new()?,
        })
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
        let mut tables = self
            .modules()
            .map(|set| set.tables.clone())
            .unwrap_or_default();
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
            // Relaxed: one caller at a time.
            let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
            let set = Box::new(ModuleSet { tables, generation });
            // SYNC(tables-published): Release; pairs with the Acquire in `modules`. The old set is
            // left behind: a walk may be reading it.
            self.modules.store(Box::into_raw(set), Ordering::Release);
        }
    }

    fn modules(&self) -> Option<&ModuleSet> {
        // SYNC(tables-published): Acquire; pairs with the Release in `change`.
        let modules = self.modules.load(Ordering::Acquire);
        // SAFETY: null, or a set that was leaked by `change` and never changes.
        unsafe { modules.as_ref() }
    }

    /// Walks the stack into `stack`, which is empty; false when there are no tables or every cache is
    /// in use, and then it is empty as before.
    pub(crate) fn walk(
        &self,
        registers: &Registers,
        bounds: &StackBounds,
        stack: &mut Stack,
    ) -> bool {
        let Some(modules) = self.modules() else {
            return false;
        };
        #[cfg(target_arch = "x86_64")]
        if self
            .walk_by_rules(modules, registers, bounds, stack)
            .is_none()
        {
            stack.clear();
        }
        #[cfg(not(target_arch = "x86_64"))]
        if let Some(mut cache) = self.take_cache(registers) {
            walk_with(
                &modules.tables,
                filled(&mut cache),
                registers,
                bounds,
                stack,
            );
        }
        !stack.frames().is_empty()
    }

    /// Walks the stack without rules: what [`walk`](Self::walk) must come to.
    #[cfg(test)]
    pub(crate) fn walk_without_rules(
        &self,
        registers: &Registers,
        bounds: &StackBounds,
        stack: &mut Stack,
    ) {
        if let Some(modules) = self.modules()
            && let Some(mut cache) = self.take_cache(registers)
        {
            walk_with(
                &modules.tables,
                filled(&mut cache),
                registers,
                bounds,
                stack,
            );
        }
    }

    /// A cache of framehop's that nobody else uses.
    fn take_cache(&self, registers: &Registers) -> Option<Guard<'_, Option<RuleCache>>> {
        // Threads begin their search at different caches.
        let start = (registers.stack_pointer >> 12).wrapping_mul(0x9e37_79b9) >> 16;
        (0..CACHES).find_map(|step| {
            let first = (start + step) % FIRST_CACHES;
            let cache = self
                .caches
                .get(if step < FIRST_CACHES { first } else { step })?;
            cache.try_lock()
        })
    }

    /// Walks the stack by rules; `None` when every cache is in use.
    #[cfg(target_arch = "x86_64")]
    fn walk_by_rules(
        &self,
        modules: &ModuleSet,
        registers: &Registers,
        bounds: &StackBounds,
        stack: &mut Stack,
    ) -> Option<()> {
        let readable = Readable::new(registers, bounds);
        let mut cache = None;
        let mut address =
            FrameAddress::from_instruction_pointer(registers.instruction_pointer as u64);
        let (mut stack_pointer, mut frame_pointer) = (
            registers.stack_pointer as u64,
            registers.frame_pointer as u64,
        );
        loop {
            let code = address.address_for_lookup();
            let rule = match self.rules.find(code, modules.generation) {
                Some(rule) => rule,
                None => {
                    if cache.is_none() {
                        cache = Some(self.take_cache(registers)?);
                    }
                    let cache = filled(cache.as_deref_mut()?);
                    let rule = work_out(&modules.tables, cache, address);
                    self.rules.keep(code, modules.generation, rule);
                    rule
                }
            };
            let caller = match rule {
                Rule::Root => None,
                Rule::Step { base, words, saved } => {
                    let base = match base {
                        Base::StackPointer => stack_pointer,
                        // At the root, by the convention of frame pointers.
                        Base::FramePointer if frame_pointer == 0 => return Some(()),
                        Base::FramePointer => frame_pointer,
                    };
                    let above = base.checked_add(u64::from(words) * 8);
                    above
                        .filter(|above| *above > stack_pointer)
                        .and_then(|above| {
                            Some(Caller {
                                return_address: readable.read(above - 8)?,
                                stack_pointer: above,
                                frame_pointer: match saved {
                                    0 => frame_pointer,
                                    saved => readable.read(above - u64::from(saved) * 8)?,
                                },
                            })
                        })
                }
                Rule::Other => {
                    if cache.is_none() {
                        cache = Some(self.take_cache(registers)?);
                    }
                    let cache = filled(cache.as_deref_mut()?);
                    let mut read = |address| readable.read(address).ok_or(());
                    step(
                        &modules.tables,
                        cache,
                        address,
                        (stack_pointer, frame_pointer),
                        &mut read,
                    )
                    .ok()
                    .flatten()
                }
            };
            // The root, or an error, which ends the walk like the root does.
            let Some(caller) = caller else {
                return Some(());
            };
            match FrameAddress::from_return_address(caller.return_address) {
                Some(next) if stack.push(caller.return_address) => address = next,
                _ => return Some(()),
            }
            (stack_pointer, frame_pointer) = (caller.stack_pointer, caller.frame_pointer);
        }
    }
}

/// The cache, made if this is its first use.
fn filled(cache: &mut Option<RuleCache>) -> &mut RuleCache {
    cache.get_or_insert_with(|| thread_state::with_own_heap(RuleCache::new_in))
}

/// One step by framehop.
#[cfg(target_arch = "x86_64")]
fn step(
    tables: &Tables,
    cache: &mut RuleCache,
    address: FrameAddress,
    (stack_pointer, frame_pointer): (u64, u64),
    read: &mut impl FnMut(u64) -> Result<u64, ()>,
) -> Result<Option<Caller>, ()> {
    let mut registers = UnwindRegsNative::new(address.address(), stack_pointer, frame_pointer);
    let return_address = tables
        .unwind_frame(address, &mut registers, cache, read)
        .map_err(drop)?;
    Ok(return_address.map(|return_address| Caller {
        return_address,
        stack_pointer: registers.sp(),
        frame_pointer: registers.bp(),
    }))
}

/// What framehop says of an address, as a rule.
#[cfg(target_arch = "x86_64")]
#[cold]
fn work_out(tables: &Tables, cache: &mut RuleCache, address: FrameAddress) -> Rule {
    rules::work_out(|stack_pointer, frame_pointer, read| {
        let mut read = |address| Ok(read(address));
        step(
            tables,
            cache,
            address,
            (stack_pointer, frame_pointer),
            &mut read,
        )
    })
}

/// The part of the calling thread's stack that a walk may read.
struct Readable {
    first: u64,
    last: u64,
}

impl Readable {
    fn new(registers: &Registers, bounds: &StackBounds) -> Self {
        Self {
            first: registers.stack_pointer as u64,
            last: (bounds.high as u64).saturating_sub(8),
        }
    }

    /// The word at an address, if it may be read.
    #[inline]
    fn read(&self, address: u64) -> Option<u64> {
        if !(self.first..=self.last).contains(&address) || !address.is_multiple_of(8) {
            return None;
        }
        // SAFETY: the word lies in the calling thread's stack, at or above the stack pointer, in a
        // mapping that `stack_bounds` found readable; volatile because the compiler may keep
        // anything there.
        Some(unsafe { (address as *const u64).read_volatile() })
    }
}

/// Walks the stack by framehop alone.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn walk_with(
    tables: &Tables,
    cache: &mut RuleCache,
    registers: &Registers,
    bounds: &StackBounds,
    stack: &mut Stack,
) {
    let readable = Readable::new(registers, bounds);
    let mut read_stack = |address: u64| readable.read(address).ok_or(());
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
