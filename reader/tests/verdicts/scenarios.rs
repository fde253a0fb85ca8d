//! Labelled programs with parameters drawn anew for every seed.
//!
//! A buffer that fills at a constant rate and frees nothing cannot be told from a leak before it is
//! full, by anybody. Healthy programs that fill linearly therefore fill within the time that a leak of
//! the same rate may take to be called one ([`patience`]).

use std::f64::consts::TAU;

use crate::{
    engine::{Random, Source, World},
    sources::{Batches, Cache, Doubling, Fifo, Life, Rate, Stream},
};

pub(crate) const KIB: f64 = 1_024.0;
pub(crate) const MIB: f64 = 1_048_576.0;
/// Function that a leaking scenario leaks in.
pub(crate) const CULPRIT: &str = "app::culprit";
/// Function that a healthy scenario is about.
pub(crate) const SUBJECT: &str = "app::subject";

/// A program and what is true of it.
pub(crate) struct Program {
    pub(crate) sources: Vec<Box<dyn Source>>,
    pub(crate) seconds: f64,
    pub(crate) attach_at: f64,
    /// Bytes a second that leak in [`CULPRIT`], and since when; none for a healthy program.
    pub(crate) leak: Option<(f64, f64)>,
    /// When the subject of a healthy program really grows, in seconds.
    pub(crate) grows: Box<dyn Fn(f64) -> bool>,
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) leaks: bool,
    pub(crate) build: fn(&mut World) -> Program,
}

/// Seconds within which a leak of this rate is to be called one.
pub(crate) fn patience(rate: f64) -> f64 {
    match rate {
        rate if rate >= MIB => 120.0,
        rate if rate >= 100.0 * KIB => 300.0,
        _ => 900.0,
    }
}

fn constant(rate: f64) -> Rate {
    Box::new(move |_| rate)
}

/// A leak's rate, of the two faster classes.
fn leak_rate(random: &mut Random) -> f64 {
    if random.unit() < 0.5 {
        random.scale(100.0 * KIB, MIB)
    } else {
        random.scale(MIB, 6.0 * MIB)
    }
}

/// What services do besides: start up, serve requests, hold sessions.
fn background(world: &mut World) -> Vec<Box<dyn Source>> {
    let start = world.stack("app::start_up", 11);
    let requests: Vec<_> = (0..3).map(|n| world.stack("app::serve", 20 + n)).collect();
    let sessions = world.stack("app::hold_session", 31);
    let random = &mut world.random;
    let (size, until) = (
        random.scale(2.0 * MIB, 40.0 * MIB),
        random.between(0.5, 5.0),
    );
    let churn = random.scale(2.0 * MIB, 40.0 * MIB);
    let life = random.scale(0.001, 0.3);
    let (held, stay) = (random.scale(0.05 * MIB, 0.4 * MIB), random.scale(3.0, 20.0));
    vec![
        Stream::new(
            vec![start],
            vec![64, 512, 4_096],
            Box::new(move |now| if now < until { size / until } else { 0.0 }),
            Life::Forever,
        ),
        Stream::new(
            requests,
            vec![48, 200, 1_500],
            constant(churn),
            Life::Exponential(life),
        ),
        Stream::new(
            vec![sessions],
            vec![700, 2_100],
            constant(held),
            Life::Exponential(stay),
        ),
    ]
}

fn leak(world: &mut World, rate: f64, source: Vec<Box<dyn Source>>) -> Program {
    let mut sources = background(world);
    sources.extend(source);
    Program {
        sources,
        seconds: patience(rate) + 1.0,
        attach_at: 1.0,
        leak: Some((rate, 0.0)),
        grows: Box::new(|_| true),
    }
}

/// A leak of small blocks of these sizes at a rate of a drawn class.
fn steady_leak(world: &mut World, sizes: &[u64]) -> Program {
    let stack = world.stack(CULPRIT, 1);
    let rate = leak_rate(&mut world.random);
    let stream = Stream::new(vec![stack], sizes.to_vec(), constant(rate), Life::Forever);
    leak(world, rate, vec![stream])
}

pub(crate) const LEAKS: &[Scenario] = &[
    Scenario {
        name: "Rc cycle",
        leaks: true,
        build: |world| steady_leak(world, &[40, 56]),
    },
    Scenario {
        name: "forgotten map entries",
        leaks: true,
        build: |world| {
            // Most are removed after a while, some never.
            let stack = world.stack(CULPRIT, 1);
            let rate = leak_rate(&mut world.random);
            let share = world.random.between(0.05, 0.5);
            let life = Life::Exponential(world.random.scale(0.01, 2.0));
            let stream = Stream::new(vec![stack], vec![24, 180], constant(rate / share), life);
            leak(world, rate, vec![stream.keeping(share)])
        },
    },
    Scenario {
        name: "unbounded channel",
        leaks: true,
        build: |world| {
            // The sender bursts.
            let stack = world.stack(CULPRIT, 1);
            let rate = leak_rate(&mut world.random);
            let period = world.random.between(1.0, 6.0);
            let bursts: Rate = Box::new(move |now| {
                if now % period < period / 4.0 {
                    4.0 * rate
                } else {
                    0.0
                }
            });
            let stream = Stream::new(vec![stack], vec![1_056], bursts, Life::Forever);
            leak(world, rate, vec![stream])
        },
    },
    Scenario {
        name: "never-joined tasks",
        leaks: true,
        build: |world| steady_leak(world, &[2_048, 320]),
    },
    Scenario {
        name: "thread-local growth",
        leaks: true,
        build: |world| {
            // Boxes, and in the same place the vector that holds them, which `realloc` moves.
            let stacks: Vec<_> = (0..8).map(|_| world.stack(CULPRIT, 1)).collect();
            let rate = leak_rate(&mut world.random);
            let vector = Doubling::new(stacks[0], rate * 16.0 / 112.0, f64::INFINITY, 1);
            let boxes = constant(rate * 96.0 / 112.0);
            let boxes = Stream::new(stacks, vec![96], boxes, Life::Forever);
            leak(world, rate, vec![vector, boxes])
        },
    },
    Scenario {
        name: "interner",
        leaks: true,
        build: |world| {
            let sizes: Vec<u64> = (0..5).map(|_| 8 + world.random.below(90) as u64).collect();
            steady_leak(world, &sizes)
        },
    },
    Scenario {
        name: "mem::forget",
        leaks: true,
        build: |world| steady_leak(world, &[16_384]),
    },
    Scenario {
        name: "log buffer",
        leaks: true,
        build: |world| {
            let stack = world.stack(CULPRIT, 1);
            let rate = leak_rate(&mut world.random);
            let buffers = 30 + world.random.below(100);
            let source = Doubling::new(stack, rate, f64::INFINITY, buffers);
            leak(world, rate, vec![source])
        },
    },
    Scenario {
        name: "10 KiB/s under 500 MB/s of churn",
        leaks: true,
        build: |world| {
            let stack = world.stack(CULPRIT, 1);
            let churn = world.stack("app::parse", 9);
            let rate = 10.0 * KIB;
            let life = Life::Exponential(world.random.scale(0.001, 0.2));
            let sources: Vec<Box<dyn Source>> = vec![
                Stream::new(vec![stack], vec![120], constant(rate), Life::Forever),
                Stream::new(vec![churn], vec![64, 1_000, 9_000], constant(500e6), life),
            ];
            leak(world, rate, sources)
        },
    },
    Scenario {
        name: "realloc chain",
        leaks: true,
        build: |world| {
            let stack = world.stack(CULPRIT, 1);
            let rate = leak_rate(&mut world.random);
            let source = Doubling::new(stack, rate, f64::INFINITY, 1);
            leak(world, rate, vec![source])
        },
    },
    Scenario {
        name: "spread over 50 stacks",
        leaks: true,
        build: |world| {
            let lines = 1 + world.random.below(4) as u32;
            let stacks: Vec<_> = (0..50)
                .map(|n| world.stack(CULPRIT, 1 + n % lines))
                .collect();
            let rate = leak_rate(&mut world.random);
            let stream = Stream::new(stacks, vec![80], constant(rate), Life::Forever);
            leak(world, rate, vec![stream])
        },
    },
    Scenario {
        name: "large rare blocks",
        leaks: true,
        build: |world| {
            let stack = world.stack(CULPRIT, 1);
            let rate = leak_rate(&mut world.random);
            let every = world.random.between(2.0, 5.0);
            let size = (rate * every) as u64;
            let stream = Stream::new(vec![stack], vec![size], constant(rate), Life::Forever);
            leak(world, rate, vec![stream])
        },
    },
    Scenario {
        name: "leak beside churn in one place",
        leaks: true,
        build: |world| {
            let stack = world.stack(CULPRIT, 1);
            let rate = leak_rate(&mut world.random);
            let share = world.random.scale(0.003, 0.05);
            let life = Life::Exponential(world.random.scale(0.001, 0.5));
            let stream = Stream::new(vec![stack], vec![256], constant(rate / share), life);
            leak(world, rate, vec![stream.keeping(share)])
        },
    },
    Scenario {
        name: "slow leak, 10 to 100 KiB/s",
        leaks: true,
        build: |world| {
            let stack = world.stack(CULPRIT, 1);
            let rate = world.random.scale(10.0 * KIB, 100.0 * KIB);
            let stream = Stream::new(vec![stack], vec![72, 512], constant(rate), Life::Forever);
            leak(world, rate, vec![stream])
        },
    },
    Scenario {
        name: "slow leak after a large start",
        leaks: true,
        build: |world| {
            let stack = world.stack(CULPRIT, 1);
            let rate = world.random.scale(100.0 * KIB, 400.0 * KIB);
            let start = world.random.scale(20.0 * MIB, 300.0 * MIB);
            let shape: Rate = Box::new(move |now| if now < 2.0 { start / 2.0 } else { rate });
            let stream = Stream::new(vec![stack], vec![128], shape, Life::Forever);
            leak(world, rate, vec![stream])
        },
    },
];

fn healthy(
    world: &mut World,
    seconds: f64,
    grows: impl Fn(f64) -> bool + 'static,
    source: Vec<Box<dyn Source>>,
) -> Program {
    let mut sources = background(world);
    sources.extend(source);
    Program {
        sources,
        seconds,
        attach_at: 1.0,
        leak: None,
        grows: Box::new(grows),
    }
}

/// A rate and how long something may fill at it.
fn fill(random: &mut Random) -> (f64, f64) {
    let rate = random.scale(20.0 * KIB, 8.0 * MIB);
    // The rate itself is only known to within its error: 58 samples in five minutes at 100 KiB/s.
    let longest = 0.8 * patience(1.6 * rate);
    (rate, random.between(0.2, 1.0) * longest)
}

/// Grows until `at`.
fn until(at: f64) -> impl Fn(f64) -> bool {
    move |now| now <= at
}

/// Fills a first-in-first-out buffer for a while, then turns over.
fn filling(world: &mut World, size: u64) -> Program {
    let stack = world.stack(SUBJECT, 1);
    let (rate, filled) = fill(&mut world.random);
    let source = Fifo::new(stack, size, rate * filled, constant(rate));
    healthy(world, filled + 240.0, until(filled), vec![source])
}

/// A cache that misses less and less.
fn warming(world: &mut World, skew: f64) -> Program {
    let stack = world.stack(SUBJECT, 1);
    let keys = 20_000 + world.random.below(60_000);
    let time_constant = world.random.scale(5.0, 60.0);
    let plateau = world.random.scale(10.0 * MIB, 200.0 * MIB);
    let size = (plateau / keys as f64) as u64;
    let source = Cache::new(stack, size, keys, keys, keys as f64 / time_constant, skew);
    healthy(world, 8.0 * time_constant + 200.0, |_| true, vec![source])
}

/// Sessions at a rate that changes.
fn sessions(
    world: &mut World,
    life: Life,
    mean: f64,
    load: impl Fn(f64) -> f64 + 'static,
    seconds: f64,
) -> Program {
    let stack = world.stack(SUBJECT, 1);
    let level = world.random.scale(8.0 * MIB, 80.0 * MIB);
    let rate: Rate = Box::new(move |now| level / mean * load(now));
    let stream = Stream::new(vec![stack], vec![900, 3_100], rate, life);
    healthy(world, seconds, |_| true, vec![stream])
}

pub(crate) const HEALTHY: &[Scenario] = &[
    Scenario {
        name: "cache warms up over uniform keys",
        leaks: false,
        build: |world| warming(world, 0.0),
    },
    Scenario {
        name: "cache warms up over skewed keys",
        leaks: false,
        build: |world| warming(world, 1.0),
    },
    Scenario {
        name: "cache that fills at a constant rate",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let (rate, filled) = fill(&mut world.random);
            let shape: Rate = Box::new(move |now| if now < filled { rate } else { 0.0 });
            let stream = Stream::new(vec![stack], vec![1_200], shape, Life::Forever);
            healthy(world, filled + 200.0, until(filled), vec![stream])
        },
    },
    Scenario {
        name: "bounded LRU with churn",
        leaks: false,
        build: |world| filling(world, 700),
    },
    Scenario {
        name: "bounded cache, random eviction",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let keys = 60_000;
            let capacity = 10_000 + world.random.below(10_000);
            let size = 2_000 + world.random.below(4_000) as u64;
            let per_second = world.random.scale(300.0, 2_000.0);
            let source = Cache::new(stack, size, keys, capacity, per_second, 0.0);
            healthy(world, 300.0, |_| true, vec![source])
        },
    },
    Scenario {
        name: "sawtooth batches",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let (rate, filled) = fill(&mut world.random);
            let rest = world.random.between(0.5, 20.0);
            let source = Batches::new(stack, 3_000, rate, filled, rest);
            healthy(world, 3.0 * (filled + rest), |_| true, vec![source])
        },
    },
    Scenario {
        name: "short sawtooth",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let filled = world.random.between(3.0, 25.0);
            let source = Batches::new(stack, 500, 4.0 * MIB, filled, 1.0);
            healthy(world, 300.0, |_| true, vec![source])
        },
    },
    Scenario {
        name: "load ramp",
        leaks: false,
        build: |world| {
            let mean = world.random.scale(2.0, 30.0);
            let ramp = world.random.between(100.0, 300.0);
            sessions(
                world,
                Life::Exponential(mean),
                mean,
                move |now| (now / ramp).min(1.0),
                ramp + 150.0,
            )
        },
    },
    Scenario {
        name: "a day's cycle in minutes",
        leaks: false,
        build: |world| {
            let mean = world.random.scale(2.0, 20.0);
            let day = world.random.between(120.0, 400.0);
            let load = move |now: f64| 1.0 + 0.8 * (TAU * now / day - 1.6).sin();
            sessions(world, Life::Exponential(mean), mean, load, 2.0 * day)
        },
    },
    Scenario {
        name: "one late large init",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let at = world.random.between(50.0, 300.0);
            let takes = world.random.between(0.2, 20.0);
            let size = world.random.scale(20.0 * MIB, 300.0 * MIB);
            let shape: Rate = Box::new(move |now| {
                if (at..at + takes).contains(&now) {
                    size / takes
                } else {
                    0.0
                }
            });
            let stream = Stream::new(vec![stack], vec![64, 2_000], shape, Life::Forever);
            healthy(
                world,
                at + takes + 200.0,
                move |now| (at..=at + takes).contains(&now),
                vec![stream],
            )
        },
    },
    Scenario {
        name: "three inits",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let every = world.random.between(30.0, 110.0);
            let size = world.random.scale(10.0 * MIB, 60.0 * MIB);
            let shape: Rate = Box::new(move |now| {
                if now % every < 1.0 && now < 3.0 * every {
                    size
                } else {
                    0.0
                }
            });
            let stream = Stream::new(vec![stack], vec![4_096], shape, Life::Forever);
            let grows = move |now: f64| now % every < 1.0 && now < 3.0 * every;
            healthy(world, 3.0 * every + 200.0, grows, vec![stream])
        },
    },
    Scenario {
        name: "long sessions, exponential",
        leaks: false,
        build: |world| {
            let mean = world.random.scale(30.0, 150.0);
            sessions(world, Life::Exponential(mean), mean, |_| 1.0, 500.0)
        },
    },
    Scenario {
        name: "long sessions, uniform",
        leaks: false,
        build: |world| {
            let longest = world.random.scale(20.0, 110.0);
            sessions(
                world,
                Life::Uniform(0.0, longest),
                longest / 2.0,
                |_| 1.0,
                400.0,
            )
        },
    },
    Scenario {
        name: "heavy-tailed lifetimes",
        leaks: false,
        build: |world| {
            let least = world.random.scale(0.05, 3.0);
            sessions(world, Life::Pareto(least), 3.0 * least, |_| 1.0, 400.0)
        },
    },
    Scenario {
        name: "log-normal lifetimes",
        leaks: false,
        build: |world| {
            let median = world.random.scale(1.0, 15.0);
            let sigma = world.random.between(0.5, 1.2);
            let mean = median * (sigma * sigma / 2.0).exp();
            sessions(world, Life::Log { median, sigma }, mean, |_| 1.0, 500.0)
        },
    },
    Scenario {
        name: "history ring that fills",
        leaks: false,
        build: |world| filling(world, 160),
    },
    Scenario {
        name: "time-to-live cache",
        leaks: false,
        build: |world| {
            let (rate, lives) = fill(&mut world.random);
            let stack = world.stack(SUBJECT, 1);
            let stream = Stream::new(
                vec![stack],
                vec![400, 800],
                constant(rate),
                Life::Uniform(0.9 * lives, 1.1 * lives),
            );
            healthy(world, lives + 250.0, until(1.1 * lives), vec![stream])
        },
    },
    Scenario {
        name: "arena reset",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let filled = world.random.between(5.0, 80.0);
            let source = Batches::new(
                stack,
                262_144,
                world.random.scale(MIB, 6.0 * MIB),
                filled,
                0.2,
            );
            healthy(world, 350.0, |_| true, vec![source])
        },
    },
    Scenario {
        name: "doubling Vec that is full",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let filled = world.random.between(5.0, 40.0);
            let rate = world.random.scale(0.5 * MIB, 5.0 * MIB);
            let source = Doubling::new(stack, rate, rate * filled, 1);
            healthy(world, filled + 300.0, until(filled), vec![source])
        },
    },
    Scenario {
        name: "doubling Vec, cleared and begun anew",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let filled = world.random.between(5.0, 60.0);
            let rate = world.random.scale(0.5 * MIB, 4.0 * MIB);
            let source = Doubling::new(stack, rate, rate * filled, 1).anew();
            healthy(world, 350.0, |_| true, vec![source])
        },
    },
    Scenario {
        name: "many buffers that grow to their size",
        leaks: false,
        build: |world| {
            let stack = world.stack(SUBJECT, 1);
            let filled = world.random.between(10.0, 60.0);
            let rate = world.random.scale(0.3 * MIB, 3.0 * MIB);
            let source = Doubling::new(stack, rate, rate * filled, 100);
            healthy(world, filled + 250.0, until(filled), vec![source])
        },
    },
    Scenario {
        name: "connection pool",
        leaks: false,
        build: |world| {
            // Fills with the load, then stays: 64 KiB a connection.
            let stack = world.stack(SUBJECT, 1);
            let filled = world.random.between(5.0, 80.0);
            let bytes = world.random.scale(5.0 * MIB, 60.0 * MIB);
            let shape: Rate = Box::new(move |now| if now < filled { bytes / filled } else { 0.0 });
            let stream = Stream::new(vec![stack], vec![65_536], shape, Life::Forever);
            healthy(world, filled + 250.0, until(filled), vec![stream])
        },
    },
    Scenario {
        name: "nothing but churn, 500 MB/s",
        leaks: false,
        build: |world| {
            let life = Life::Exponential(world.random.scale(0.001, 0.2));
            let stack = world.stack(SUBJECT, 1);
            let stream = Stream::new(vec![stack], vec![64, 1_000, 9_000], constant(500e6), life);
            healthy(world, 320.0, |_| false, vec![stream])
        },
    },
    Scenario {
        name: "attached late to a steady service",
        leaks: false,
        build: |world| {
            let mean = world.random.scale(5.0, 60.0);
            let mut program = sessions(world, Life::Exponential(mean), mean, |_| 1.0, 700.0);
            program.attach_at = 6.0 * mean + 50.0;
            program
        },
    },
];
