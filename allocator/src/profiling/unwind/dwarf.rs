//! The walk by unwind tables (`.eh_frame`), with framehop.
//!
//! The set of modules is replaced as a whole; an old set stays behind, as a walk may be using it.
//! framehop's caches are shared by all threads under try-locks, so a thread that ends leaves nothing
//! behind. On x86-64 they are seldom needed: what framehop says of an address is kept as a
//! [rule](super::rules).
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
    CacheNative, FrameAddress, Module, MustNotAllocateDuringUnwind, UnwindRegsNative, Unwinder,
    UnwinderNative,
};

#[cfg(target_arch = "x86_64")]
use super::rules::{self, Base, Caller, Rule, RuleTable};
use super::{
    super::{
        thread_state,
        try_lock::{Guard, TryLock},
    },
    Stack,
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

    /// Works out the rules that walks without room for it came to lack: each leads such a walk a frame
    /// further.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn learn(&self) {
        let Some(modules) = self.modules() else {
            return;
        };
        for code in self.rules.take_wanted() {
            let Some(mut cache) = self.caches.iter().find_map(TryLock::try_lock) else {
                return;
            };
            let Some(address) = FrameAddress::from_return_address(code.wrapping_add(1)) else {
                continue;
            };
            let rule = work_out(&modules.tables, filled(&mut cache), address);
            self.rules.keep(code, modules.generation, rule);
        }
    }

    fn modules(&self) -> Option<&ModuleSet> {
        // SYNC(tables-published): Acquire; pairs with the Release in `change`.
        let modules = self.modules.load(Ordering::Acquire);
        // SAFETY: null, or a set that was leaked by `change` and never changes.
        unsafe { modules.as_ref() }
    }

    /// Walks the stack into `stack`, which is empty; false when there are no tables or every cache is
    /// in use, and then it is empty as before. Without room for framehop (`tables_fit`) it ends at the
    /// first address that has no rule yet.
    pub(crate) fn walk(
        &self,
        registers: &Registers,
        bounds: &StackBounds,
        tables_fit: bool,
        stack: &mut Stack,
    ) -> bool {
        let Some(modules) = self.modules() else {
            return false;
        };
        #[cfg(target_arch = "x86_64")]
        if self
            .walk_by_rules(modules, registers, bounds, tables_fit, stack)
            .is_none()
        {
            stack.clear();
        }
        #[cfg(not(target_arch = "x86_64"))]
        if tables_fit && let Some(mut cache) = self.take_cache(registers) {
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
        tables_fit: bool,
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
                Some(Rule::Other) | None if !tables_fit => {
                    self.rules.ask(code);
                    stack.truncated = !stack.frames().is_empty();
                    return Some(());
                }
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
