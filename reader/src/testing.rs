//! For tests of a program that has riptide: does a block of code leave memory behind?
//!
//! The process reads its own region, in exact mode, so a single byte is found, with the stack that
//! allocated it. The reader runs in a thread of its own, and only blocks of the calling thread count:
//! tests that run beside it, and the reader itself, do not disturb.
//!
//! ```no_run
//! // In the test's crate, beside `riptide-alloc` as its global allocator, and with
//! // RIPTIDE_SAMPLE_INTERVAL=1 in the environment:
//! riptide_reader::testing::assert_no_leaks(|| {
//!     let numbers: Vec<u64> = (0..100).collect();
//!     drop(numbers);
//! });
//! ```

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    Session, attach::resolve_target, error::ReaderError, profile::Frame, symbolize::display_name,
};

/// How long names are waited for.
const SYMBOLS: Duration = Duration::from_secs(30);
/// Frames of a stack that a message has.
const FRAMES_MAX: usize = 12;

/// What a block of code left behind, by the stack that allocated it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaked {
    /// Requested bytes.
    pub bytes: u64,
    /// Blocks.
    pub blocks: u64,
    /// The stack, from the site that is named for it outward.
    pub stack: Vec<Frame>,
}

impl fmt::Display for Leaked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes in {} blocks", self.bytes, self.blocks)?;
        for frame in self.stack.iter().take(FRAMES_MAX) {
            write!(formatter, "\n    at {}", display_name(&frame.function))?;
            if let (Some(file), Some(line)) = (&frame.file, frame.line) {
                write!(formatter, " ({file}:{line})")?;
            }
        }
        Ok(())
    }
}

/// Why it cannot be told whether something leaks.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The region of this process cannot be read.
    #[error(
        "this process cannot be read: {0}; make riptide_alloc::Riptide the global allocator of the \
         test, and set RIPTIDE_SAMPLE_INTERVAL=1"
    )]
    Reader(#[from] ReaderError),
    /// Only some allocations are recorded.
    #[error("one sample in {interval} bytes is recorded; set RIPTIDE_SAMPLE_INTERVAL=1")]
    NotExact {
        /// Interval in force.
        interval: u64,
    },
    /// There was no room for some records.
    #[error("{blocks} blocks went unrecorded; set a larger RIPTIDE_REGION_SIZE")]
    Unrecorded {
        /// Blocks without a record.
        blocks: u64,
    },
    /// The reader's thread cannot be started, or ended early.
    #[error("there is no thread to read with")]
    NoThread,
}

/// Runs `block` and panics when memory that it allocated on this thread is still there afterwards.
///
/// What lives longer on purpose counts as well: a cache that is filled once, the buffer of stdout. Run
/// the code once before, so that it is there already.
///
/// # Panics
/// Something leaks, with its bytes and stacks in the message; or it cannot be told, with the reason.
#[track_caller]
pub fn assert_no_leaks(block: impl FnOnce()) {
    let message = match leaks_of(block) {
        Ok(leaks) if leaks.is_empty() => return,
        Ok(leaks) => {
            let told: Vec<String> = leaks.iter().map(Leaked::to_string).collect();
            format!("memory leaked:\n{}", told.join("\n"))
        }
        Err(error) => format!("leaks cannot be told: {error}"),
    };
    assert!(message.is_empty(), "{message}");
}

/// Runs `block` and returns what it allocated on this thread and did not free, the largest first.
///
/// # Errors
/// The process has no riptide, is not in exact mode, or lost records.
pub fn leaks_of(block: impl FnOnce()) -> Result<Vec<Leaked>, CheckError> {
    let shared = Arc::new(Shared::default());
    let of = Arc::clone(&shared);
    let thread = rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .cast_unsigned();
    // All that this thread allocates for the reader, it allocates before the first look.
    let reader = thread::Builder::new()
        .name("riptide-leaks".to_owned())
        .spawn(move || read(&of, thread))
        .map_err(|_| CheckError::NoThread)?;
    // Also when `block` panics, so that the reader ends.
    let guard = EndOfBlock(&shared);
    let is_ready = shared.wait_until_ready();
    if is_ready {
        block();
    }
    drop(guard);
    reader.join().map_err(|_| CheckError::NoThread)?
}

/// Where the two threads are; a lock and a condition allocate nothing.
#[derive(Default)]
struct Shared {
    step: Mutex<Step>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Starting,
    /// The first look is over, or there was none.
    Ready {
        looked: bool,
    },
    Over,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, step: Step) {
        *self.lock() = step;
        self.changed.notify_all();
    }

    fn wait_while(&self, step: impl Fn(Step) -> bool) -> Step {
        *self
            .changed
            .wait_while(self.lock(), |now| step(*now))
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_ready(&self) -> bool {
        self.wait_while(|step| step == Step::Starting) == Step::Ready { looked: true }
    }
}

struct EndOfBlock<'a>(&'a Shared);

impl Drop for EndOfBlock<'_> {
    fn drop(&mut self) {
        self.0.set(Step::Over);
    }
}

fn read(shared: &Shared, thread: u32) -> Result<Vec<Leaked>, CheckError> {
    let first = look(thread);
    shared.set(Step::Ready {
        looked: first.is_ok(),
    });
    let (mut session, before) = first?;
    shared.wait_while(|step| step != Step::Over);
    let missed = session.snapshot().loss.unrecorded_blocks;
    if let Some(problem) = session.problem() {
        return Err(problem.into());
    }
    check(&session)?;
    if missed > before.unrecorded_blocks {
        return Err(CheckError::Unrecorded {
            blocks: missed - before.unrecorded_blocks,
        });
    }
    let mut sums: HashMap<usize, (u64, u64)> = HashMap::new();
    let is_new = |number: &u64| before.numbers.binary_search(number).is_err();
    for record in session.live_samples() {
        if record.thread == thread && is_new(&record.number) {
            let sum = sums.entry(record.stack.place()).or_default();
            *sum = (sum.0 + record.size, sum.1 + 1);
        }
    }
    if !sums.is_empty() {
        session.wait_for_symbols(SYMBOLS);
    }
    let mut leaks: Vec<Leaked> = Vec::new();
    for (place, (bytes, blocks)) in sums {
        let (frames, leaf) = session.model().whole_stack(place, session.observation());
        let stack = frames.get(leaf..).unwrap_or_default();
        // An unrolled loop has several addresses for one line.
        match leaks.iter_mut().find(|leak| leak.stack == stack) {
            Some(leak) => {
                leak.bytes += bytes;
                leak.blocks += blocks;
            }
            None => leaks.push(Leaked {
                bytes,
                blocks,
                stack: stack.to_vec(),
            }),
        }
    }
    leaks.sort_by_key(|leak| std::cmp::Reverse(leak.bytes));
    Ok(leaks)
}

/// What was there before.
struct Before {
    /// Numbers of the thread's live records, in order.
    numbers: Vec<u64>,
    unrecorded_blocks: u64,
}

fn look(thread: u32) -> Result<(Session, Before), CheckError> {
    let region = resolve_target(Some(&std::process::id().to_string()))?;
    let mut session = Session::attach(&region)?;
    let unrecorded_blocks = session.snapshot().loss.unrecorded_blocks;
    check(&session)?;
    let of_thread = session.live_samples().iter();
    let mut numbers: Vec<u64> = of_thread
        .filter(|record| record.thread == thread)
        .map(|record| record.number)
        .collect();
    numbers.sort_unstable();
    Ok((
        session,
        Before {
            numbers,
            unrecorded_blocks,
        },
    ))
}

fn check(session: &Session) -> Result<(), CheckError> {
    match session.counts().interval_bytes {
        1 => Ok(()),
        interval => Err(CheckError::NotExact { interval }),
    }
}
