//! Which allocation is a sample: a Poisson process over the bytes that a thread allocates.
//!
//! Gaps between sampling points are exponential with the interval `R` as their mean, so a block of
//! `S` bytes is sampled with `p = 1 - e^(-S/R)`, whatever was allocated before. A block that holds
//! several points is one sample; the gap is drawn anew at its end, which the exponential's lack of
//! memory allows, as it allows a new draw whenever the interval changes between two points.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{
    config::{self, Config},
    countdown::{self, NEVER},
    sys,
    thread_state::ThreadState,
};

/// A thread looks at the interval in force at least once in this many bytes.
const STRETCH: u64 = 128 << 20;

/// Interval in force, 0 while sampling is off.
static INTERVAL: AtomicU64 = AtomicU64::new(0);
/// Threads seeded so far, for reproducible seeds.
static THREADS: AtomicU32 = AtomicU32::new(0);

/// The interval in force.
pub(crate) fn interval() -> u64 {
    // Relaxed: a thread may use the interval before for one more gap.
    INTERVAL.load(Ordering::Relaxed)
}

/// Changes the interval for every thread, from its next gap on.
pub(crate) fn set_interval(interval: u64) {
    // Relaxed: as above.
    INTERVAL.store(interval, Ordering::Relaxed);
}

/// What a thread that entered the slow path has to do with its allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Pass,
    /// Record it; the interval with which it was drawn.
    Sample(u64),
}

/// Decides on an allocation of `size` bytes that has made the countdown negative, and sets the
/// countdown anew.
pub(crate) fn decide(state: &ThreadState, size: usize, on_by_default: bool) -> Decision {
    if state.interval.get() == 0 && !seed(state, size, on_by_default) {
        return Decision::Pass;
    }
    // What is left of the gap behind this allocation; negative: a sampling point lies in it.
    let left = i128::from(countdown::get()) + i128::from(state.rest.get());
    if left < 0 {
        let drawn_with = state.interval.get();
        draw(state);
        return Decision::Sample(drawn_with);
    }
    if interval() == state.interval.get() {
        set_gap(state, u64::try_from(left).unwrap_or(u64::MAX));
    } else {
        draw(state);
    }
    Decision::Pass
}

/// Starts a thread: false when it is not to sample, or not yet.
fn seed(state: &ThreadState, size: usize, on_by_default: bool) -> bool {
    let Some(config) = config::get(on_by_default) else {
        // Another thread reads the configuration: ask again at the next allocation.
        countdown::set(0);
        return false;
    };
    if !config.enabled {
        stop(state);
        return false;
    }
    if interval() == 0 {
        // Relaxed: whoever is first sets the same value; a change made since stays.
        let _ = INTERVAL.compare_exchange(0, config.interval, Ordering::Relaxed, Ordering::Relaxed);
    }
    state.random.set(first_random(config));
    draw(state);
    countdown::set(countdown::get().wrapping_sub(size as i64));
    countdown::get() < 0
}

/// Stops sampling in this thread.
pub(crate) fn stop(state: &ThreadState) {
    countdown::set(NEVER);
    state.rest.set(0);
}

/// Draws the next gap with the interval in force.
pub(crate) fn draw(state: &ThreadState) {
    let interval = interval();
    state.interval.set(interval);
    let random = state.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    state.random.set(random);
    set_gap(state, gap(mix(random), interval));
}

fn set_gap(state: &ThreadState, gap: u64) {
    let stretch = gap.min(STRETCH);
    countdown::set(stretch as i64);
    state.rest.set(gap - stretch);
}

/// Bytes before the next sampling point: `floor(-ln(u) · interval)` with a 53-bit `u` in (0, 1].
///
/// Rounding down is what makes a block of `S` bytes hold the point (gap < S) with probability
/// `1 - e^(-S/interval)` exactly. An interval of 1 means every allocation.
fn gap(random: u64, interval: u64) -> u64 {
    if interval <= 1 {
        return 0;
    }
    let uniform = ((random >> 11) + 1) as f64 * (1.0 / (1_u64 << 53) as f64);
    (-uniform.ln() * interval as f64) as u64
}

fn first_random(config: &Config) -> u64 {
    // Relaxed: only counts.
    let number = THREADS.fetch_add(1, Ordering::Relaxed);
    match config.seed {
        Some(seed) => mix(seed ^ u64::from(number) << 40),
        None => {
            let address_of_a_static = &raw const INTERVAL as u64;
            mix(sys::cycles() ^ u64::from(sys::thread_id()) << 32 ^ address_of_a_static)
        }
    }
}

/// The finaliser of splitmix64: every input bit moves every output bit.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_sampled_with_the_probability_of_the_formula() {
        let interval = 4096;
        for size in [1_u64, 16, 700, 4096, 10_000] {
            let trials = 2_000_000_u64;
            let hits = (0..trials)
                .filter(|trial| {
                    gap(mix(trial.wrapping_mul(0x9e37_79b9_7f4a_7c15)), interval) < size
                })
                .count() as f64;
            let probability = -(-(size as f64) / interval as f64).exp_m1();
            let expected = trials as f64 * probability;
            let sigma = (expected * (1.0 - probability)).sqrt();
            assert!(
                (hits - expected).abs() < 5.0 * sigma,
                "size {size}: {hits} hits, expected {expected} ± {sigma}"
            );
        }
    }

    #[test]
    fn the_largest_gap_is_finite_and_the_smallest_is_zero() {
        assert_eq!(gap(u64::MAX, 1 << 20), 0);
        assert_eq!(
            gap(0, 1 << 20),
            (53.0 * 2_f64.ln() * (1 << 20) as f64) as u64
        );
        assert_eq!(gap(0, 1), 0);
    }
}
