//! Call stacks of sampled allocations.
//!
//! Two walkers: frame pointers (about a nanosecond a frame, right only where every frame keeps
//! one) and unwind tables (right wherever there are tables). Without orders the first
//! [`EVIDENCE`] samples are walked both ways; frame pointers stay only if at least 95 % of the
//! stacks agree, and one sample in [`RECHECK`] is compared again afterwards.
//!
//! Neither walker allocates, takes a lock that another thread could hold for long, calls into the
//! dynamic linker, or reads outside the stack's own mapping.

pub(crate) mod dwarf;
pub(crate) mod elf;
mod frame_pointers;
pub(crate) mod maps;
pub(crate) mod modules;
mod registers;
#[cfg(target_arch = "x86_64")]
mod rules;
pub(crate) mod scratch;
pub(crate) mod stack_bounds;
mod tables;

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use riptide_region::{
    counters::{Counter, Counters, Gauge, Unwinder},
    stack_table::MAX_FRAMES,
};

pub(crate) use self::registers::Registers;
use self::{dwarf::Dwarf, scratch::ScratchPool};
use super::{config::UnwindChoice, thread_state::ThreadState};

/// Samples walked both ways before the choice.
const EVIDENCE: u32 = 64;
/// One sample in this many is compared again once frame pointers are chosen.
const RECHECK: u64 = 1024;
/// Share of the compared stacks that must agree, in percent.
const AGREEMENT_PERCENT: u32 = 95;
/// Frames at the root (C start-up code without frame pointers) in which the walkers may differ.
const ROOT_TOLERANCE: usize = 3;
/// A thread with less stack than this left is walked by the rules that are known, not by unwind tables: 20 KiB were
/// measured from the walk on, without optimisation 130.
const DWARF_STACK_ROOM: usize = if cfg!(debug_assertions) { 164 } else { 28 } << 10;

/// A call stack: return addresses, leaf first.
pub(crate) struct Stack {
    frames: [u64; MAX_FRAMES],
    len: usize,
    truncated: bool,
}

impl Stack {
    pub(crate) const fn new() -> Self {
        Self {
            frames: [0; MAX_FRAMES],
            len: 0,
            truncated: false,
        }
    }

    /// Takes all frames out.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.truncated = false;
    }

    pub(crate) fn frames(&self) -> &[u64] {
        self.frames.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }

    /// Adds a frame; false when there is no room for another, which marks the stack as cut.
    fn push(&mut self, return_address: u64) -> bool {
        match self.frames.get_mut(self.len) {
            Some(place) => {
                *place = return_address;
                self.len += 1;
                true
            }
            None => {
                self.truncated = true;
                false
            }
        }
    }
}

/// Both walkers, and the evidence between them.
pub(crate) struct StackWalker {
    choice: UnwindChoice,
    /// An [`Unwinder`].
    decision: AtomicU64,
    compared: AtomicU32,
    agreed: AtomicU32,
    pub(crate) dwarf: Dwarf,
    pub(crate) scratch: ScratchPool,
}

impl StackWalker {
    pub(crate) fn new(choice: UnwindChoice) -> Option<Self> {
        let decision = match choice {
            UnwindChoice::Auto => Unwinder::Undecided,
            UnwindChoice::FramePointers => Unwinder::FramePointers,
            UnwindChoice::Dwarf => Unwinder::Dwarf,
        };
        Some(Self {
            choice,
            decision: AtomicU64::new(decision as u64),
            compared: AtomicU32::new(0),
            agreed: AtomicU32::new(0),
            dwarf: Dwarf::new()?,
            scratch: ScratchPool::new()?,
        })
    }

    /// Walks the calling thread's stack into `stack`, from the caller of the function that captured
    /// `registers`, which must not have returned.
    #[inline(never)]
    pub(crate) fn walk(
        &self,
        registers: &Registers,
        state: &ThreadState,
        counters: &Counters<'_>,
        stack: &mut Stack,
    ) {
        let Some(bounds) = stack_bounds::find(state, registers.stack_pointer) else {
            return;
        };
        // Asked only where it matters: near the end of the main thread's stack it is a system call.
        let tables_fit = || stack_bounds::holds(&bounds, registers.stack_pointer, DWARF_STACK_ROOM);
        // Relaxed: a choice of method; either is safe at any time.
        match Unwinder::from_word(self.decision.load(Ordering::Relaxed)) {
            Unwinder::Dwarf => {
                if !self.dwarf.walk(registers, &bounds, tables_fit(), stack) {
                    frame_pointers::walk(registers, &bounds, stack);
                }
            }
            Unwinder::FramePointers => {
                frame_pointers::walk(registers, &bounds, stack);
                if self.choice == UnwindChoice::Auto && is_rechecked(state) && tables_fit() {
                    self.compare(registers, &bounds, counters, stack);
                }
            }
            Unwinder::Undecided => {
                frame_pointers::walk(registers, &bounds, stack);
                if tables_fit() {
                    self.compare(registers, &bounds, counters, stack);
                }
            }
        }
    }

    /// Walks by unwind tables as well, keeps the better stack, and decides when there is enough
    /// evidence. `stack` holds the frame-pointer walk.
    #[inline(never)]
    fn compare(
        &self,
        registers: &Registers,
        bounds: &stack_bounds::StackBounds,
        counters: &Counters<'_>,
        stack: &mut Stack,
    ) {
        let mut other = Stack::new();
        if !self.dwarf.walk(registers, bounds, true, &mut other) {
            return;
        }
        let agrees = agree(stack, &other);
        counters.add(Counter::UnwindChecked, 1);
        // Relaxed: evidence; a race moves the decision by a sample.
        let agreed = if agrees {
            counters.add(Counter::UnwindAgreed, 1);
            self.agreed.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            core::mem::swap(stack, &mut other);
            self.agreed.load(Ordering::Relaxed)
        };
        let compared = self.compared.fetch_add(1, Ordering::Relaxed) + 1;
        if compared >= EVIDENCE {
            let decision = if agreed * 100 >= compared * AGREEMENT_PERCENT {
                Unwinder::FramePointers
            } else {
                Unwinder::Dwarf
            };
            self.decision.store(decision as u64, Ordering::Relaxed);
            // The next comparisons weigh as much as the last ones did.
            self.compared.store(EVIDENCE / 2, Ordering::Relaxed);
            self.agreed.store(
                agreed.min(compared) * (EVIDENCE / 2) / compared,
                Ordering::Relaxed,
            );
        }
        self.show(counters);
    }

    /// Shows the choice in the region.
    pub(crate) fn show(&self, counters: &Counters<'_>) {
        counters.set(Gauge::Unwinder, self.decision.load(Ordering::Relaxed));
    }
}

/// Whether a thread's sample is compared again. The state of its random numbers goes up by an odd
/// number with each sample, so its low bits come by each value once in [`RECHECK`] samples.
fn is_rechecked(state: &ThreadState) -> bool {
    state.random.get().is_multiple_of(RECHECK)
}

/// Whether the frame-pointer walk found what the unwind tables say, but for start-up code at the
/// root.
fn agree(frame_pointers: &Stack, tables: &Stack) -> bool {
    let same = frame_pointers
        .frames()
        .iter()
        .zip(tables.frames())
        .take_while(|(a, b)| a == b)
        .count();
    same + ROOT_TOLERANCE >= tables.len && same > 0
}

#[cfg(test)]
mod tests {
    use riptide_region::{module_table::ModuleTable, primitive::AtomicU64};

    use super::*;
    use crate::profiling::thread_state;

    /// A walker that knows this process.
    fn with_walker<R>(
        choice: UnwindChoice,
        body: impl FnOnce(&StackWalker, &Counters<'_>) -> R,
    ) -> R {
        let words: Vec<AtomicU64> = (0..1 << 16).map(|_| AtomicU64::new(0)).collect();
        let (counter_words, table_words) = words.split_at(128);
        let counters = Counters::new(counter_words);
        let table = ModuleTable::new(table_words).unwrap();
        let walker = StackWalker::new(choice).unwrap();
        modules::Modules::default().scan(&table, &counters, &walker.dwarf, &mut vec![0; 8192], 1);
        assert!(table.len() >= 2, "the program and libc at least");
        body(&walker, &counters)
    }

    fn walk(walker: &StackWalker, counters: &Counters<'_>) -> Vec<u64> {
        let mut stack = Stack::new();
        thread_state::with(|state| walker.walk(&Registers::capture(), state, counters, &mut stack));
        stack.frames().to_vec()
    }

    /// The same stack as the `backtrace` crate sees it.
    fn oracle() -> Vec<u64> {
        let mut frames = Vec::new();
        backtrace::trace(|frame| {
            frames.push(frame.ip() as u64);
            true
        });
        frames
    }

    #[inline(never)]
    fn deep(depth: u32, body: &mut dyn FnMut()) {
        if depth == 0 {
            body();
        } else {
            deep(depth - 1, body);
        }
        std::hint::black_box(depth);
    }

    #[test]
    fn unwind_tables_give_the_stack_that_the_systems_unwinder_gives() {
        with_walker(UnwindChoice::Dwarf, |walker, counters| {
            deep(20, &mut || {
                let (ours, theirs) = (walk(walker, counters), oracle());
                let common: Vec<u64> = theirs
                    .iter()
                    .copied()
                    .filter(|address| ours.contains(address))
                    .collect();
                assert!(
                    common.len() >= 20 && common.len() + 8 >= theirs.len(),
                    "{} of {} frames in common: {ours:x?} {theirs:x?}",
                    common.len(),
                    theirs.len()
                );
            });
        });
    }

    /// Walks by rules and without; the same addresses both times.
    #[inline(never)]
    fn both_ways(walker: &StackWalker) -> Vec<u64> {
        let registers = Registers::capture();
        let bounds =
            thread_state::with(|state| stack_bounds::find(state, registers.stack_pointer)).unwrap();
        let (mut ours, mut theirs) = (Stack::new(), Stack::new());
        let found = walker.dwarf.walk(&registers, &bounds, true, &mut ours);
        assert_eq!(found, !ours.frames().is_empty());
        walker
            .dwarf
            .walk_without_rules(&registers, &bounds, &mut theirs);
        assert_eq!(ours.frames(), theirs.frames());
        assert_eq!(ours.truncated(), theirs.truncated());
        ours.frames().to_vec()
    }

    #[repr(align(256))]
    struct Aligned(u8);

    /// A frame whose stack pointer is rounded, so that it is found through the frame pointer.
    #[inline(never)]
    fn in_an_aligned_frame(body: &mut dyn FnMut()) {
        let aligned = std::hint::black_box(Aligned(1));
        body();
        std::hint::black_box(&aligned.0);
    }

    /// A frame larger than a rule has room for.
    #[inline(never)]
    fn in_a_large_frame(body: &mut dyn FnMut()) {
        let large = std::hint::black_box([1_u8; 40_000]);
        body();
        std::hint::black_box(&large);
    }

    #[test]
    fn rules_lead_where_framehop_leads() {
        with_walker(UnwindChoice::Dwarf, |walker, _| {
            let mut depths = Vec::new();
            for _twice in 0..2 {
                deep(5, &mut || {
                    in_an_aligned_frame(&mut || {
                        in_a_large_frame(&mut || {
                            [2, 1].sort_by(|a: &i32, b| {
                                depths.push(both_ways(walker).len());
                                a.cmp(b)
                            });
                        });
                    });
                });
            }
            assert!(depths.iter().all(|depth| *depth >= 12), "{depths:?}");
        });
    }

    /// As on a coroutine's stack.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn without_room_for_tables_a_walk_learns_its_way_to_the_root() {
        with_walker(UnwindChoice::Dwarf, |walker, _| {
            deep(5, &mut || {
                let registers = Registers::capture();
                let bounds =
                    thread_state::with(|state| stack_bounds::find(state, registers.stack_pointer))
                        .unwrap();
                let mut lengths = Vec::new();
                let mut stack = Stack::new();
                for _ in 0..MAX_FRAMES {
                    stack.clear();
                    walker.dwarf.walk(&registers, &bounds, false, &mut stack);
                    lengths.push(stack.frames().len());
                    walker.dwarf.learn();
                }
                let mut whole = Stack::new();
                walker
                    .dwarf
                    .walk_without_rules(&registers, &bounds, &mut whole);
                assert_eq!(lengths[0], 0);
                assert!(lengths.is_sorted(), "{lengths:?}");
                assert_eq!(stack.frames(), whole.frames());
            });
        });
    }

    #[test]
    fn rules_of_modules_that_are_gone_are_not_used() {
        with_walker(UnwindChoice::Dwarf, |walker, _| {
            let before = both_ways(walker).len();
            let own = maps_start_of(both_ways as *const () as u64);
            walker.dwarf.change([own].into_iter(), [].into_iter());
            // Without the program's own tables framehop falls back to frame pointers; the rules that
            // were kept would still lead to the root.
            let after = both_ways(walker).len();
            assert!(after < before, "{after} of {before} frames");
        });
    }

    /// Where the executable mapping of an address begins.
    fn maps_start_of(address: u64) -> u64 {
        let mut found = 0;
        maps::for_each(&mut [0; 8192], |mapping| {
            if (mapping.start..mapping.end).contains(&address) {
                found = mapping.start;
            }
            found == 0
        });
        found
    }

    #[test]
    fn a_deep_stack_is_cut_at_the_root_and_marked() {
        with_walker(UnwindChoice::Dwarf, |walker, counters| {
            deep(300, &mut || {
                let mut stack = Stack::new();
                thread_state::with(|state| {
                    walker.walk(&Registers::capture(), state, counters, &mut stack)
                });
                assert_eq!(stack.frames().len(), MAX_FRAMES);
                assert!(stack.truncated());
            });
        });
    }

    #[test]
    fn the_choice_falls_on_tables_where_frame_pointers_are_missing() {
        // Test builds keep no frame pointers.
        with_walker(UnwindChoice::Auto, |walker, counters| {
            deep(10, &mut || {
                for _ in 0..EVIDENCE {
                    walk(walker, counters);
                }
            });
            assert_eq!(counters.get(Counter::UnwindChecked), u64::from(EVIDENCE));
            assert_eq!(
                Unwinder::from_word(counters.gauge(Gauge::Unwinder)),
                Unwinder::Dwarf
            );
        });
    }
}
