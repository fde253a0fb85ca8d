//! Simulated programs: a real region, written as the allocator writes it, under a clock that the
//! simulation moves.
//!
//! Only sampled blocks are simulated: a block of `S` bytes is a sample with `1 - e^(-S/R)` independently
//! of every other, so skipping the others by geometric gaps is exact.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{Arc, atomic::AtomicU64},
};

use bytemuck::Zeroable;
use riptide_reader::{
    estimate::weigh,
    ingest::{Ingest, Observation},
    leak::Finding,
    profile::{Frame, FreshMemory, Model, Resolver},
};
use riptide_region::{
    counters::{Counter, Gauge},
    event::{Event, EventKind},
    header::Header,
    layout::Plan,
    live_table::LiveBlock,
    ring::Publish,
    stack_table::{Interned, StackId, Weight},
    view::View,
};

pub(crate) const SECOND: u64 = 1_000_000_000;
/// The process starts so long after the machine.
const START_NS: u64 = 1_000 * SECOND;
/// Length of a step of the simulation.
pub(crate) const STEP: f64 = 0.1;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Uniform in (0, 1].
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in the logarithm.
    pub(crate) fn scale(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -self.unit().ln() * mean
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

/// A live sampled block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    slot: usize,
    stack: StackId,
    size: u64,
    birth_ns: u64,
    number: u64,
    interval: u64,
}

/// Names of the addresses that the simulation made up.
#[derive(Debug, Default)]
struct Names(HashMap<u64, Arc<[Frame]>>);

impl Resolver for Names {
    fn resolve(&mut self, return_address: u64, _: u64) -> Option<Arc<[Frame]>> {
        self.0.get(&return_address).cloned()
    }

    fn pending(&self) -> usize {
        0
    }

    fn version(&self) -> u64 {
        1
    }
}

/// One simulated process and the reader that follows it.
pub(crate) struct World {
    words: Vec<AtomicU64>,
    names: Names,
    pub(crate) random: Random,
    pub(crate) interval: u64,
    free_slots: Vec<usize>,
    due: BinaryHeap<Reverse<(u64, usize)>>,
    dying: HashMap<usize, Block>,
    now_ns: u64,
    next_address: u64,
}

impl World {
    pub(crate) fn new(seed: u64, interval: u64) -> Self {
        let plan = Plan::new(1 << 20, false).unwrap();
        let words: Vec<_> = (0..plan.region_bytes / 8)
            .map(|_| AtomicU64::new(0))
            .collect();
        let mut header = Header::zeroed();
        header.initial_interval = interval;
        let view = View::create(&words, &plan, &header).unwrap();
        view.counters.set(Gauge::IntervalBytes, interval);
        let slots = view.live.capacity();
        Self {
            words,
            names: Names::default(),
            random: Random::new(seed),
            interval,
            free_slots: (0..slots).rev().collect(),
            due: BinaryHeap::new(),
            dying: HashMap::new(),
            now_ns: START_NS,
            next_address: 0x10_0000,
        }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::open(&self.words).unwrap()
    }

    /// Seconds since the process started.
    pub(crate) fn now(&self) -> f64 {
        (self.now_ns - START_NS) as f64 / 1e9
    }

    /// A stack whose leaf is `function` at `line`, called from a place of its own.
    pub(crate) fn stack(&mut self, function: &str, line: u32) -> StackId {
        let mut frames = [0; 2];
        for (place, name) in [
            function.to_owned(),
            format!("app::caller_{}", self.next_address),
        ]
        .into_iter()
        .enumerate()
        {
            self.next_address += 16;
            frames[place] = self.next_address;
            let frame = Frame {
                function: name,
                file: Some("src/app.rs".to_owned()),
                line: Some(line),
                inlined: false,
                module: Some("app".to_owned()),
            };
            self.names.0.insert(self.next_address, Arc::new([frame]));
        }
        match self.view().stacks.intern(&frames, false, self.now_ns) {
            Interned::Id(id) => id,
            Interned::Full => panic!("no room for a stack"),
        }
    }

    /// Allocates `count` blocks of `size` bytes; the sampled ones with their place among them.
    pub(crate) fn allocate(&mut self, stack: StackId, size: u64, count: u64) -> Vec<(u64, Block)> {
        let probability = weigh(size, self.interval).probability;
        let mut sampled = Vec::new();
        let mut place = 0;
        loop {
            let gap = if probability >= 1.0 {
                0.0
            } else {
                (self.random.unit().ln() / (-probability).ln_1p()).floor()
            };
            place += gap.min(1e18) as u64;
            if place >= count {
                return sampled;
            }
            if let Some(block) = self.record(stack, size, None) {
                sampled.push((place, block));
            }
            place += 1;
        }
    }

    fn record(&mut self, stack: StackId, size: u64, birth_ns: Option<u64>) -> Option<Block> {
        let slot = self.free_slots.pop()?;
        let (now_ns, interval) = (self.now_ns, self.interval);
        let view = self.view();
        let probability = weigh(size, interval).probability;
        view.counters.add(Counter::Samples, 1);
        view.stacks
            .add_allocation(stack, Weight { size, probability }, now_ns);
        let mut block = Block {
            slot,
            stack,
            size,
            birth_ns: birth_ns.unwrap_or(now_ns),
            number: 0,
            interval,
        };
        block.number = publish(&view, &block, EventKind::Allocation, now_ns);
        view.live.publish(
            slot,
            &LiveBlock {
                address: 0x1000 + slot as u64 * 16,
                size,
                align_log2: 3,
                stack,
                thread: 7,
                interval,
                birth_ns: block.birth_ns,
                number: block.number,
            },
        );
        Some(block)
    }

    pub(crate) fn free(&mut self, block: Block) {
        let lifetime_ns = self.now_ns - block.birth_ns;
        let lifetime_ms = u32::try_from(lifetime_ns / 1_000_000).unwrap();
        self.end(block, EventKind::Free { lifetime_ms }, Some(lifetime_ns));
    }

    fn end(&mut self, block: Block, kind: EventKind, lifetime_ns: Option<u64>) {
        let view = self.view();
        view.counters.add(Counter::Frees, 1);
        view.live.clear(block.slot);
        view.stacks.add_free(block.stack, block.size, lifetime_ns);
        publish(&view, &block, kind, self.now_ns);
        self.free_slots.push(block.slot);
    }

    /// Frees a block `seconds` from now.
    pub(crate) fn free_in(&mut self, block: Block, seconds: f64) {
        let when = self.now_ns + (seconds.min(1e9) * 1e9) as u64;
        self.dying.insert(block.slot, block);
        self.due.push(Reverse((when, block.slot)));
    }

    /// Moves a block to `size` bytes, sampled or not before and after.
    pub(crate) fn reallocate(
        &mut self,
        stack: StackId,
        block: Option<Block>,
        size: u64,
    ) -> Option<Block> {
        if let Some(block) = block {
            self.end(block, EventKind::Move, None);
        }
        let hit = self.random.unit() <= weigh(size, self.interval).probability;
        let birth_ns = block.map(|block| block.birth_ns);
        if hit {
            self.record(stack, size, birth_ns)
        } else {
            None
        }
    }

    fn advance(&mut self, to: f64) {
        let to_ns = START_NS + (to * 1e9) as u64;
        while let Some(Reverse((when, slot))) = self.due.peek().copied()
            && when <= to_ns
        {
            self.due.pop();
            self.now_ns = self.now_ns.max(when);
            if let Some(block) = self.dying.remove(&slot) {
                self.free(block);
            }
        }
        self.now_ns = to_ns;
    }
}

fn publish(view: &View<'_>, block: &Block, kind: EventKind, time_ns: u64) -> u64 {
    let (shard, ring) = view.ring_of(7).unwrap();
    let event = Event {
        kind,
        address: 0x1000 + block.slot as u64 * 16,
        size: block.size,
        stack: block.stack,
        thread: 7,
        time_ns,
        number: block.number,
        interval: block.interval,
    };
    let (Publish::Published(ticket) | Publish::Dropped(ticket)) = ring.publish(&event.encode());
    u64::from(shard) << 48 | ticket
}

/// A part of a simulated program.
pub(crate) trait Source {
    /// What it does in the step that begins now.
    fn step(&mut self, world: &mut World);
}

/// Runs `sources` for `seconds`; `look` gets the verdicts every five seconds, beginning when the
/// reader attaches. It ends the run by returning false.
pub(crate) fn run(
    world: &mut World,
    sources: &mut [Box<dyn Source>],
    seconds: f64,
    attach_at: f64,
    mut look: impl FnMut(f64, Vec<Finding>) -> bool,
) {
    let mut reader: Option<(Ingest, Observation, Model)> = None;
    let steps = (seconds / STEP).round() as u64;
    for step in 0..steps {
        for source in sources.iter_mut() {
            source.step(world);
        }
        let now = (step + 1) as f64 * STEP;
        world.advance(now);
        if now + 1e-9 < attach_at {
            continue;
        }
        let view = world.view();
        let (ingest, observation, model) = reader.get_or_insert_with(|| {
            (
                Ingest::new(&view, false),
                Observation::default(),
                Model::default(),
            )
        });
        if (step + 1).is_multiple_of(5) {
            ingest.drain(&view, false);
            ingest.learn_stacks(&view, observation);
            model.follow(ingest.events(), &observation.stacks);
        }
        if (step + 1).is_multiple_of(10) {
            observation.time_ns = START_NS + (now * 1e9) as u64;
            ingest.read_tables(&view, world.interval, observation);
            model.observe(observation);
        }
        if (step + 1).is_multiple_of(50) {
            model.name(observation, &mut world.names, false);
            if !look(now, model.verdicts(observation, FreshMemory::default())) {
                return;
            }
        }
    }
}
