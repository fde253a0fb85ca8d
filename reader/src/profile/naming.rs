//! Names for stacks: frames as the symboliser knows them so far, and the frame that a site is named
//! for.
//!
//! **Invariants.** Nothing waits for symbols. A stack is asked for again only while its answer may
//! improve; a stack whose answers did not change is not touched. Frames are shared with the
//! symboliser; whole stacks are put together only for those that are shown.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use riptide_region::module_table::Module;

use crate::{
    attach::target::printable,
    ingest::{Stack, StackBook},
    profile::Frame,
    symbolize::{Symbols, leaf_index},
};

/// Function of the site that stands for blocks whose stack is not known.
pub const UNKNOWN_STACK: &str = "[unknown stack]";

/// Who knows the frames of addresses: the symboliser, a recording, or a test.
pub trait Resolver {
    /// Frames of a return address, innermost inlined one first; `None` while they are looked up.
    fn resolve(&mut self, return_address: u64, time_ns: u64) -> Option<Arc<[Frame]>>;
    /// Addresses without their final answer.
    fn pending(&self) -> usize;
    /// Grows when answers arrived or improved.
    fn version(&self) -> u64;
}

impl Resolver for Symbols {
    fn resolve(&mut self, return_address: u64, time_ns: u64) -> Option<Arc<[Frame]>> {
        Self::resolve(self, return_address, time_ns)
    }

    fn pending(&self) -> usize {
        Self::pending(self)
    }

    fn version(&self) -> u64 {
        Self::version(self)
    }
}

/// The answers for one address of a stack.
type Answer = Option<Arc<[Frame]>>;

/// One stack's names so far.
#[derive(Debug, Default)]
struct Named {
    /// One answer for each address.
    answers: Box<[Answer]>,
    /// Index of the leaf among all frames.
    leaf: usize,
    /// The frame that the site is named for.
    leaf_frame: Option<Frame>,
    /// Frames from the leaf outward, once somebody asked.
    leaf_outward: Option<Arc<[Frame]>>,
    asked: Asked,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    /// Not yet.
    #[default]
    Never,
    /// Some answers are missing.
    Incomplete,
    /// All answers are there, as of this version of the symboliser.
    Complete(u64),
    /// All answers are there and none will improve.
    Final,
}

/// Names of all stacks.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    named: Vec<Named>,
    /// Grows when a name changed or a stack was added: sites have to be grouped anew.
    generation: u64,
    modules: usize,
}

/// What an answer is taken to hold in text, shared or not.
const ANSWER_BYTES: usize = 128;

impl Naming {
    /// Bytes kept; frames that stacks share are counted for each.
    pub(crate) fn kept_bytes(&self) -> usize {
        let answers: usize = self.named.iter().map(|named| named.answers.len()).sum();
        self.named.capacity() * size_of::<Named>() + answers * ANSWER_BYTES
    }

    /// Asks for the names of the stacks in `order` (places, the most important first), for as long
    /// as `budget` allows.
    pub(crate) fn update(
        &mut self,
        stacks: &StackBook,
        order: &[u32],
        modules: &[Module],
        resolver: &mut impl Resolver,
        budget: Option<Duration>,
    ) {
        if self.named.len() != stacks.len() {
            self.named.resize_with(stacks.len(), Named::default);
            self.generation += 1;
        }
        if self.modules != modules.len() {
            // What had no mapping may have one now.
            self.modules = modules.len();
            for named in &mut self.named {
                if named.asked == Asked::Final {
                    named.asked = Asked::Incomplete;
                }
            }
        }
        let deadline = budget.map(|budget| Instant::now() + budget);
        // Read before the questions: an answer that comes in between is asked for again.
        let version = resolver.version();
        // Addresses repeat from stack to stack. Mappings that come and go make answers depend on
        // the time as well.
        let timeless = modules.iter().all(|module| module.valid_to_ns == 0);
        let mut memo: HashMap<(u64, u64), Answer> = HashMap::new();
        for place in order {
            let place = *place as usize;
            let (Some(stack), Some(named)) = (stacks.all().get(place), self.named.get_mut(place))
            else {
                continue;
            };
            match named.asked {
                Asked::Final => continue,
                Asked::Complete(at) if at == version => continue,
                _ => {}
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            let time_ns = stack.first_seen_ns;
            let answers = stack.addresses.iter().map(|address| {
                memo.entry((*address, if timeless { 0 } else { time_ns }))
                    .or_insert_with(|| resolver.resolve(*address, time_ns))
                    .clone()
            });
            let answers: Box<[Answer]> = answers.collect();
            named.asked = if answers.iter().all(Option::is_some) {
                Asked::Complete(version)
            } else {
                Asked::Incomplete
            };
            if named.leaf_frame.is_none() || !same(&named.answers, &answers) {
                named.answers = answers;
                let frames = expand(stack, &named.answers, modules);
                named.leaf = leaf_index(&frames);
                named.leaf_frame = Some(
                    frames
                        .get(named.leaf)
                        .cloned()
                        .unwrap_or_else(|| frame(UNKNOWN_STACK.to_owned(), None)),
                );
                named.leaf_outward = None;
                self.generation += 1;
            }
        }
        if resolver.pending() == 0 && resolver.version() == version {
            for named in &mut self.named {
                if named.asked == Asked::Complete(version) {
                    named.asked = Asked::Final;
                }
            }
        }
    }

    /// Grows when sites have to be grouped anew.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether some stack's names may still change.
    pub(crate) fn unsettled(&self, order: &[u32]) -> usize {
        order
            .iter()
            .filter_map(|place| self.named.get(*place as usize))
            .filter(|named| named.asked != Asked::Final)
            .count()
    }

    /// The frame that a stack's site is named for; `None` before it was first asked for.
    pub(crate) fn leaf_frame(&self, place: usize) -> Option<&Frame> {
        self.named.get(place)?.leaf_frame.as_ref()
    }

    /// A stack's frames from the leaf outward.
    pub(crate) fn leaf_outward(
        &mut self,
        place: usize,
        stacks: &StackBook,
        modules: &[Module],
    ) -> Arc<[Frame]> {
        let (Some(stack), Some(named)) = (stacks.all().get(place), self.named.get_mut(place))
        else {
            return Arc::new([]);
        };
        let leaf = named.leaf;
        let answers = &named.answers;
        let frames = named.leaf_outward.get_or_insert_with(|| {
            let frames = expand(stack, answers, modules);
            frames.into_iter().skip(leaf).collect()
        });
        Arc::clone(frames)
    }

    /// All frames of a stack, and the index of its leaf.
    pub(crate) fn whole(
        &self,
        place: usize,
        stacks: &StackBook,
        modules: &[Module],
    ) -> (Arc<[Frame]>, usize) {
        match (stacks.all().get(place), self.named.get(place)) {
            (Some(stack), Some(named)) => {
                let frames = expand(stack, &named.answers, modules);
                (frames.into(), named.leaf)
            }
            _ => (Arc::new([]), 0),
        }
    }
}

fn same(a: &[Answer], b: &[Answer]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        })
}

/// All frames of a stack; an address without an answer stands for itself.
fn expand(stack: &Stack, answers: &[Answer], modules: &[Module]) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(stack.addresses.len());
    for (place, address) in stack.addresses.iter().enumerate() {
        match answers.get(place) {
            Some(Some(answer)) => frames.extend_from_slice(answer),
            _ => frames.push(unresolved(*address, modules)),
        }
    }
    frames
}

fn unresolved(return_address: u64, modules: &[Module]) -> Frame {
    let address = return_address.wrapping_sub(1);
    let module = modules
        .iter()
        .rfind(|module| (module.text_start..module.text_end).contains(&address))
        .and_then(|module| module.path().rsplit(|byte| *byte == b'/').next())
        .map(printable);
    frame(format!("{address:#x}"), module)
}

fn frame(function: String, module: Option<String>) -> Frame {
    Frame {
        function,
        file: None,
        line: None,
        inlined: false,
        module,
    }
}
