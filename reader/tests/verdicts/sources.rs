//! What programs are made of.

use std::collections::VecDeque;

use riptide_region::stack_table::StackId;

use crate::engine::{Block, Random, STEP, Source, World};

/// How long blocks live, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Life {
    Forever,
    Exponential(f64),
    Uniform(f64, f64),
    /// Pareto with this least value and shape 1.5: heavy-tailed.
    Pareto(f64),
    Log {
        median: f64,
        sigma: f64,
    },
}

impl Life {
    pub(crate) fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Forever => f64::INFINITY,
            Self::Exponential(mean) => random.exponential(mean),
            Self::Uniform(low, high) => random.between(low, high),
            Self::Pareto(least) => least * random.unit().powf(-1.0 / 1.5),
            Self::Log { median, sigma } => {
                let radius = (-2.0 * random.unit().ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * random.unit()).cos();
                median * (sigma * normal).exp()
            }
        }
    }
}

/// Bytes a second as a function of the time.
pub(crate) type Rate = Box<dyn Fn(f64) -> f64>;

/// Allocates at a rate; each block lives as it likes. Of the blocks a share lives forever.
pub(crate) struct Stream {
    pub(crate) stacks: Vec<StackId>,
    pub(crate) sizes: Vec<u64>,
    pub(crate) rate: Rate,
    pub(crate) life: Life,
    pub(crate) kept_share: f64,
    pub(crate) owed: f64,
}

impl Stream {
    pub(crate) fn new(stacks: Vec<StackId>, sizes: Vec<u64>, rate: Rate, life: Life) -> Box<Self> {
        Box::new(Self {
            stacks,
            sizes,
            rate,
            life,
            kept_share: 0.0,
            owed: 0.0,
        })
    }

    pub(crate) fn keeping(mut self: Box<Self>, share: f64) -> Box<Self> {
        self.kept_share = share;
        self
    }
}

impl Source for Stream {
    fn step(&mut self, world: &mut World) {
        // One block of each size a round; whole blocks only, and the rest is owed.
        let round: u64 = self.sizes.iter().sum();
        self.owed += (self.rate)(world.now()) * STEP;
        let rounds = (self.owed / round as f64).floor();
        if rounds < 1.0 {
            return;
        }
        self.owed -= rounds * round as f64;
        let share = rounds as u64 / self.stacks.len() as u64;
        let extra = rounds as u64 % self.stacks.len() as u64;
        let first = world.random.below(self.stacks.len());
        for (place, stack) in self.stacks.clone().into_iter().enumerate() {
            let turn = (place + self.stacks.len() - first) % self.stacks.len();
            let count = share + u64::from((turn as u64) < extra);
            for size in self.sizes.clone() {
                for (_, block) in world.allocate(stack, size, count) {
                    if self.kept_share > 0.0 && world.random.unit() <= self.kept_share {
                        continue;
                    }
                    let seconds = self.life.draw(&mut world.random);
                    if seconds.is_finite() {
                        world.free_in(block, seconds);
                    }
                }
            }
        }
    }
}

/// First in, first out, at most so many blocks.
pub(crate) struct Fifo {
    pub(crate) stack: StackId,
    pub(crate) size: u64,
    pub(crate) capacity: u64,
    pub(crate) rate: Rate,
    pushed: u64,
    owed: f64,
    live: VecDeque<(u64, Block)>,
}

impl Fifo {
    pub(crate) fn new(stack: StackId, size: u64, capacity_bytes: f64, rate: Rate) -> Box<Self> {
        Box::new(Self {
            stack,
            size,
            capacity: (capacity_bytes / size as f64) as u64,
            rate,
            pushed: 0,
            owed: 0.0,
            live: VecDeque::new(),
        })
    }
}

impl Source for Fifo {
    fn step(&mut self, world: &mut World) {
        self.owed += (self.rate)(world.now()) * STEP / self.size as f64;
        let count = self.owed.floor() as u64;
        self.owed -= count as f64;
        for (place, block) in world.allocate(self.stack, self.size, count) {
            self.live.push_back((self.pushed + place, block));
        }
        self.pushed += count;
        while let Some((number, block)) = self.live.front().copied()
            && number + self.capacity < self.pushed
        {
            self.live.pop_front();
            world.free(block);
        }
    }
}

/// A cache over keys that are asked for at random: misses allocate. `capacity` evicts at random.
pub(crate) struct Cache {
    pub(crate) stack: StackId,
    pub(crate) size: u64,
    pub(crate) keys: usize,
    pub(crate) capacity: usize,
    pub(crate) requests_per_second: f64,
    /// 0 for uniform keys; above it the first keys are asked for more often.
    pub(crate) skew: f64,
    present: Vec<u32>,
    /// Keys that are there, with their block where it is a sample.
    held: Vec<(usize, Option<Block>)>,
    owed: f64,
}

impl Cache {
    pub(crate) fn new(
        stack: StackId,
        size: u64,
        keys: usize,
        capacity: usize,
        requests_per_second: f64,
        skew: f64,
    ) -> Box<Self> {
        Box::new(Self {
            stack,
            size,
            keys,
            capacity,
            requests_per_second,
            skew,
            present: vec![0; keys],
            held: Vec::new(),
            owed: 0.0,
        })
    }
}

impl Source for Cache {
    fn step(&mut self, world: &mut World) {
        self.owed += self.requests_per_second * STEP;
        let count = self.owed.floor();
        self.owed -= count;
        for _ in 0..count as u64 {
            let unit = world.random.unit() - f64::EPSILON;
            let key = (unit.powf(1.0 + self.skew) * self.keys as f64) as usize;
            let key = key.min(self.keys - 1);
            if self.present[key] != 0 {
                continue;
            }
            if self.held.len() >= self.capacity {
                let victim = world.random.below(self.held.len());
                let (gone, block) = self.held.swap_remove(victim);
                self.present[gone] = 0;
                if let Some(block) = block {
                    world.free(block);
                }
            }
            let block = world.allocate(self.stack, self.size, 1).pop();
            self.held.push((key, block.map(|(_, block)| block)));
            self.present[key] = 1;
        }
    }
}

/// Vectors that grow by doubling, byte by byte, up to a length; then they stay, or begin anew.
pub(crate) struct Doubling {
    pub(crate) stack: StackId,
    pub(crate) rate: f64,
    pub(crate) until_bytes: f64,
    pub(crate) begin: f64,
    pub(crate) begin_anew: bool,
    buffers: Vec<(u64, Option<Block>)>,
    length: f64,
}

impl Doubling {
    pub(crate) fn new(stack: StackId, rate: f64, until_bytes: f64, buffers: usize) -> Box<Self> {
        Box::new(Self {
            stack,
            rate,
            until_bytes,
            begin: 0.0,
            begin_anew: false,
            buffers: vec![(0, None); buffers],
            length: 0.0,
        })
    }

    pub(crate) fn anew(mut self: Box<Self>) -> Box<Self> {
        self.begin_anew = true;
        self
    }
}

impl Source for Doubling {
    fn step(&mut self, world: &mut World) {
        if world.now() < self.begin {
            return;
        }
        if self.length >= self.until_bytes {
            if self.begin_anew {
                self.length = 0.0;
                for (capacity, block) in &mut self.buffers {
                    *capacity = 0;
                    if let Some(block) = block.take() {
                        world.free(block);
                    }
                }
            }
            return;
        }
        self.length += self.rate * STEP;
        let count = self.buffers.len();
        let each = self.length / count as f64;
        let mut buffers = std::mem::take(&mut self.buffers);
        for (number, (capacity, block)) in buffers.iter_mut().enumerate() {
            // Not all double in the same moment.
            let wanted = each * (0.75 + 0.5 * (number as f64 + 0.5) / count as f64);
            while (*capacity as f64) < wanted {
                *capacity = (*capacity * 2).max(64);
                *block = world.reallocate(self.stack, block.take(), *capacity);
            }
        }
        self.buffers = buffers;
    }
}

/// Fills at a rate for a time, frees all, rests, begins again.
pub(crate) struct Batches {
    pub(crate) stack: StackId,
    pub(crate) size: u64,
    pub(crate) rate: f64,
    pub(crate) fill: f64,
    pub(crate) rest: f64,
    owed: f64,
    live: Vec<Block>,
}

impl Batches {
    pub(crate) fn new(stack: StackId, size: u64, rate: f64, fill: f64, rest: f64) -> Box<Self> {
        Box::new(Self {
            stack,
            size,
            rate,
            fill,
            rest,
            owed: 0.0,
            live: Vec::new(),
        })
    }
}

impl Source for Batches {
    fn step(&mut self, world: &mut World) {
        let phase = world.now() % (self.fill + self.rest);
        if phase < self.fill {
            self.owed += self.rate * STEP / self.size as f64;
            let count = self.owed.floor();
            self.owed -= count;
            let sampled = world.allocate(self.stack, self.size, count as u64);
            self.live
                .extend(sampled.into_iter().map(|(_, block)| block));
        } else {
            for block in self.live.drain(..) {
                world.free(block);
            }
        }
    }
}
