//! The victim's side of a test: it prints one JSON line of numbers that it knows by its own
//! arithmetic, then waits for a line on stdin. At the end of stdin it exits.

use std::{
    io::{BufRead, Read, Write, stdin, stdout},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What is live at one place, by the victim's own arithmetic.
#[derive(Clone, Debug)]
pub struct Site {
    /// Full path of the function, as a profile must show it.
    pub function: &'static str,
    /// Requested bytes.
    pub bytes: usize,
    /// Blocks.
    pub blocks: usize,
}

impl Site {
    /// `blocks` blocks of `bytes` in all, allocated in `function`.
    pub fn new<F>(_: F, bytes: usize, blocks: usize) -> Self {
        Self {
            function: std::any::type_name::<F>(),
            bytes,
            blocks,
        }
    }
}

/// Prints a line and makes sure that it leaves the process.
pub fn say(line: &str) {
    let mut out = stdout().lock();
    // A test that went away is no reason to panic.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints the true numbers of `sites`.
pub fn report(sites: &[Site]) {
    let sites: Vec<_> = sites
        .iter()
        .map(|site| {
            serde_json::json!({
                "function": site.function,
                "bytes": site.bytes,
                "blocks": site.blocks,
            })
        })
        .collect();
    say(&serde_json::json!({ "sites": sites }).to_string());
}

/// Waits for the next command; `None` at the end of stdin.
pub fn command() -> Option<String> {
    let mut line = String::new();
    match stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim().to_owned()),
    }
}

/// Waits until the test has seen enough.
pub fn wait() {
    while command().is_some() {}
}

/// Calls `work` a hundred times a second until the end of stdin, with the number of the tick and the
/// seconds since the one before, so that a rate is kept on a busy machine too.
pub fn every_tick(mut work: impl FnMut(u64, f64)) {
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    thread::spawn(move || {
        let mut rest = Vec::new();
        // However stdin ends, the program does.
        let _ = stdin().read_to_end(&mut rest);
        // Relaxed: a mark of its own.
        told.store(true, Ordering::Relaxed);
    });
    let (mut tick, mut last) = (0, Instant::now());
    // Relaxed: as above.
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
        let seconds = last.elapsed().as_secs_f64();
        last = Instant::now();
        tick += 1;
        work(tick, seconds);
    }
}

/// The argument at `place`, or `otherwise`.
pub fn argument(place: usize, otherwise: usize) -> usize {
    std::env::args()
        .nth(place)
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// A stream of numbers that is the same in every run.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number (xorshift64*).
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() >> 33) as usize % bound.max(1)
    }
}
