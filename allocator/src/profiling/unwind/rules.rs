//! How to step from a frame to its caller, by address: what the unwind tables say, worked out once
//! and kept in one word.
//!
//! Nearly every frame of x86-64 code steps in one way: the caller's stack pointer is the frame's own
//! stack or frame pointer and a constant, the return address lies right below it, and the caller's
//! frame pointer, if it was saved, a few words further down. Such a [`Rule`] is two loads; framehop's
//! own cache, with its checks and its kinds of rules, takes three times as long for each of thirty
//! frames.
//!
//! **Invariants.** An entry is one word, and it says itself for which address and which set of
//! modules it is: the place in the table and the tag in the word are together a one-to-one image of
//! the address, the generation is never used again. So an entry is right or not found, whoever
//! wrote it when. All accesses are Relaxed: nothing is reached through an entry.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::sys;

/// Entries that an address may be in.
const WAYS: usize = 4;
/// Bits of an address of code that the table takes.
const ADDRESS_BITS: u32 = 47;
const SET_BITS: u32 = 12;
const WANTED: usize = 64;
const TAG_BITS: u32 = ADDRESS_BITS - SET_BITS;
const GENERATION_BITS: u32 = 10;
const KIND_BITS: u32 = 2;
const WORDS_BITS: u32 = 12;
const SAVED_BITS: u32 = 5;
const RULE_BITS: u32 = KIND_BITS + WORDS_BITS + SAVED_BITS;
const _: () = assert!(TAG_BITS + GENERATION_BITS + RULE_BITS == 64);

/// Generations must be below this, and not 0.
pub(super) const GENERATION_END: u32 = 1 << GENERATION_BITS;

/// What stands in a rule's place for the caller's stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    StackPointer,
    FramePointer,
}

/// How to step from a frame to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The frame has no caller.
    Root,
    /// In a way that no word has room for.
    Other,
    /// The caller's stack pointer is the base and `words` words; the return address is the word below
    /// it, the caller's frame pointer the word `saved` below it, unless that is 0: then it is as it was.
    Step { base: Base, words: u16, saved: u8 },
}

impl Rule {
    /// A step, unless it has no room in an entry.
    fn step(base: Base, words: u64, saved: u64) -> Self {
        match (u16::try_from(words), u8::try_from(saved)) {
            (Ok(words), Ok(saved))
                if (1..1 << WORDS_BITS).contains(&words) && saved < 1 << SAVED_BITS =>
            {
                Self::Step { base, words, saved }
            }
            _ => Self::Other,
        }
    }

    fn to_bits(self) -> u64 {
        let (kind, words, saved) = match self {
            Self::Root => (0, 0, 0),
            Self::Other => (1, 0, 0),
            Self::Step { base, words, saved } => match base {
                Base::StackPointer => (2, words, saved),
                Base::FramePointer => (3, words, saved),
            },
        };
        kind << (WORDS_BITS + SAVED_BITS) | u64::from(words) << SAVED_BITS | u64::from(saved)
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        let base = match bits >> (WORDS_BITS + SAVED_BITS) {
            0 => return Self::Root,
            1 => return Self::Other,
            2 => Base::StackPointer,
            _ => Base::FramePointer,
        };
        Self::Step {
            base,
            words: (bits >> SAVED_BITS & ((1 << WORDS_BITS) - 1)) as u16,
            saved: (bits & ((1 << SAVED_BITS) - 1)) as u8,
        }
    }
}

/// What a way to step made of made-up registers and a made-up stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) return_address: u64,
    pub(super) stack_pointer: u64,
    pub(super) frame_pointer: u64,
}

/// Works out a rule from outside: `step` steps once with the given stack and frame pointers and
/// reads the stack through the given function; `None` at the root, an error when it cannot.
///
/// Every word of the made-up stack says where it lies, so what was read where is known from the
/// results. Two attempts with other registers and another stack must come to the same rule.
pub(super) fn work_out(
    mut step: impl FnMut(u64, u64, &mut dyn FnMut(u64) -> u64) -> Result<Option<Caller>, ()>,
) -> Rule {
    let mut attempt = |stack_pointer: u64, frame_pointer: u64, salt: u64| {
        let word = |address: u64| (address ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let caller = match step(stack_pointer, frame_pointer, &mut |address| word(address)) {
            Ok(Some(caller)) => caller,
            Ok(None) => return Rule::Root,
            Err(()) => return Rule::Other,
        };
        let below = |words: u64| word(caller.stack_pointer.wrapping_sub(words * 8));
        let base = [
            (Base::StackPointer, stack_pointer),
            (Base::FramePointer, frame_pointer),
        ]
        .into_iter()
        .find_map(|(base, value)| {
            let distance = caller.stack_pointer.checked_sub(value)?;
            (distance.is_multiple_of(8) && distance / 8 < 1 << WORDS_BITS)
                .then_some((base, distance / 8))
        });
        let saved = if caller.frame_pointer == frame_pointer {
            Some(0)
        } else {
            (1..1 << SAVED_BITS).find(|words| below(*words) == caller.frame_pointer)
        };
        match (base, saved) {
            (Some((base, words)), Some(saved)) if caller.return_address == below(1) => {
                Rule::step(base, words, saved)
            }
            _ => Rule::Other,
        }
    };
    // Far apart, so that it shows which of the two was the base.
    let first = attempt(0x1000_0000_0000, 0x2000_0000_0000, 0x5bd1_e995_0000_0000);
    let second = attempt(0x3000_0000_1000, 0x3800_0000_0770, 0x2545_f491_0000_0000);
    if first == second { first } else { Rule::Other }
}

/// Rules by address.
pub(super) struct RuleTable {
    words: &'static [AtomicU64],
    /// Addresses without a rule that walks came to which could not work it out.
    wanted: [AtomicU64; WANTED],
}

impl RuleTable {
    pub(super) fn new() -> Option<Self> {
        Some(Self {
            words: sys::map_slice(WAYS << SET_BITS)?,
            wanted: [const { AtomicU64::new(0) }; WANTED],
        })
    }

    /// Asks for the rule of the code at `address`.
    pub(super) fn ask(&self, address: u64) {
        if let Some(place) = self.wanted.get(address as usize % WANTED) {
            place.store(address, Ordering::Relaxed);
        }
    }

    /// The addresses asked for since the last call.
    pub(super) fn take_wanted(&self) -> impl Iterator<Item = u64> {
        let taken = self.wanted.iter();
        taken
            .map(|place| place.swap(0, Ordering::Relaxed))
            .filter(|address| *address != 0)
    }

    /// The rule for the code at `address` in the modules of `generation`.
    #[inline]
    pub(super) fn find(&self, address: u64, generation: u32) -> Option<Rule> {
        let (set, key) = self.place(address, generation)?;
        set.iter().find_map(|entry| {
            let word = entry.load(Ordering::Relaxed);
            (word >> RULE_BITS == key).then(|| Rule::from_bits(word & ((1 << RULE_BITS) - 1)))
        })
    }

    /// Keeps a rule, in an entry of an older generation if there is one.
    pub(super) fn keep(&self, address: u64, generation: u32, rule: Rule) {
        let Some((set, key)) = self.place(address, generation) else {
            return;
        };
        let is_current = |entry: &AtomicU64| {
            let kept = entry.load(Ordering::Relaxed) >> RULE_BITS;
            kept & (u64::from(GENERATION_END) - 1) == u64::from(generation)
        };
        let entry = set
            .iter()
            .find(|entry| !is_current(entry))
            .or_else(|| set.get((key >> GENERATION_BITS) as usize % WAYS));
        if let Some(entry) = entry {
            entry.store(key << RULE_BITS | rule.to_bits(), Ordering::Relaxed);
        }
    }

    /// The entries that an address may be in, and what its entry begins with. Multiplication by an
    /// odd number is one-to-one; the upper bits of the product choose the set, the lower are the tag.
    #[inline]
    fn place(&self, address: u64, generation: u32) -> Option<(&'static [AtomicU64; WAYS], u64)> {
        if address >> ADDRESS_BITS != 0 || !(1..GENERATION_END).contains(&generation) {
            return None;
        }
        let image = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) & ((1 << ADDRESS_BITS) - 1);
        let tag = image & ((1 << TAG_BITS) - 1);
        let (sets, _) = self.words.as_chunks::<WAYS>();
        let set = sets.get((image >> TAG_BITS) as usize)?;
        Some((set, tag << GENERATION_BITS | u64::from(generation)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Rule> {
        let mut rules = vec![Rule::Root, Rule::Other];
        for base in [Base::StackPointer, Base::FramePointer] {
            for (words, saved) in [(1, 0), (2, 2), (9, 7), (4095, 31)] {
                rules.push(Rule::Step { base, words, saved });
            }
        }
        rules
    }

    #[test]
    fn a_rule_is_found_at_its_address_and_in_its_generation_only() {
        let table = RuleTable::new().unwrap();
        for (index, rule) in steps().into_iter().enumerate() {
            let address = 0x7f12_3456_0000 + index as u64 * 3;
            table.keep(address, 5, rule);
            assert_eq!(table.find(address, 5), Some(rule));
            assert_eq!(table.find(address, 6), None);
            assert_eq!(table.find(address + 1, 5), None);
            // Same set and tag but for one bit above or below.
            for bit in 0..ADDRESS_BITS {
                assert_eq!(table.find(address ^ 1 << bit, 5), None, "bit {bit}");
            }
        }
        assert_eq!(table.find(0, 0), None, "an empty entry is nobody's");
        assert_eq!(table.find(1 << 47, 5), None);
    }

    #[test]
    fn a_full_table_forgets_rules_and_mistakes_none() {
        let table = RuleTable::new().unwrap();
        let rule_of = |address: u64| Rule::step(Base::StackPointer, address % 4000 + 1, 0);
        let addresses = || (0..100_000_u64).map(|n| 0x5555_5555_0000 + n * 5);
        for address in addresses() {
            table.keep(address, 1, rule_of(address));
            assert_eq!(table.find(address, 1), Some(rule_of(address)));
        }
        let found = addresses()
            .filter_map(|address| Some((address, table.find(address, 1)?)))
            .inspect(|(address, rule)| assert_eq!(*rule, rule_of(*address)))
            .count();
        assert!((10_000..=WAYS << SET_BITS).contains(&found), "{found}");
        // The next generation takes the places of this one.
        table.keep(4096, 2, Rule::Root);
        assert_eq!(table.find(4096, 2), Some(Rule::Root));
    }

    /// Steps as a rule says.
    fn follow(rule: Rule) -> Rule {
        work_out(|sp, bp, read| match rule {
            Rule::Root => Ok(None),
            Rule::Other => Err(()),
            Rule::Step { base, words, saved } => {
                let base = if base == Base::StackPointer { sp } else { bp };
                let stack_pointer = base + u64::from(words) * 8;
                Ok(Some(Caller {
                    return_address: read(stack_pointer - 8),
                    stack_pointer,
                    frame_pointer: match saved {
                        0 => bp,
                        saved => read(stack_pointer - u64::from(saved) * 8),
                    },
                }))
            }
        })
    }

    #[test]
    fn a_rule_is_worked_out_from_what_it_does() {
        for rule in steps() {
            assert_eq!(follow(rule), rule);
        }
    }

    #[test]
    fn what_no_rule_says_is_left_to_others() {
        let caller = |return_address, stack_pointer, frame_pointer| {
            Ok(Some(Caller {
                return_address,
                stack_pointer,
                frame_pointer,
            }))
        };
        // A return address elsewhere, a stack pointer read from memory, a frame pointer out of thin
        // air, a frame too large, one that is not a number of words, one that depends on a value.
        assert_eq!(
            work_out(|sp, bp, read| caller(read(sp), sp + 16, bp)),
            Rule::Other
        );
        assert_eq!(
            work_out(|sp, bp, read| caller(read(sp - 8), read(sp), bp)),
            Rule::Other
        );
        assert_eq!(
            work_out(|sp, _, read| caller(read(sp + 8), sp + 16, 77)),
            Rule::Other
        );
        assert_eq!(
            work_out(|sp, bp, read| caller(read(sp + 32760), sp + 32768, bp)),
            Rule::Other
        );
        assert_eq!(
            work_out(|sp, bp, read| caller(read(sp - 4), sp + 4, bp)),
            Rule::Other
        );
        assert_eq!(
            work_out(|sp, bp, read| {
                let size = 16 + (bp & 0x10);
                caller(read(sp + size - 8), sp + size, bp)
            }),
            Rule::Other
        );
    }
}
