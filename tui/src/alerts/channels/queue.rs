//! A bounded queue with a thread behind it.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Channel, Delivery};
use crate::alerts::Notification;

/// Messages that may wait.
const QUEUE_MAX: usize = 256;

/// Why a message could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub message: String,
    /// Whether another try may help.
    pub may_pass: bool,
}

/// Delivers one message; may take its time.
pub trait Sink: Send {
    /// The channel's word in configuration and metrics.
    fn name(&self) -> &'static str;
    /// One attempt.
    ///
    /// # Errors
    /// The message did not arrive.
    fn deliver(&mut self, notification: &Notification) -> Result<(), Failure>;
}

/// How often, and after which pauses, a delivery is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Further attempts.
    pub retries: u64,
    /// Before the first of them; each pause is twice the one before.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Retry {
    /// The pause after so many failed attempts in a row.
    pub(super) fn pause(&self, failed: u64) -> Duration {
        let doubled = u32::try_from(failed.saturating_sub(1).min(16)).unwrap_or(16);
        let pause = self.first_pause.saturating_mul(1 << doubled);
        pause.min(self.longest_pause)
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            retries: 3,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Notification>>,
    delivery: Delivery,
    /// Until when what waits may still be delivered.
    stop: Option<Instant>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the counts whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sink behind a bounded queue, on a thread of its own.
#[derive(Debug)]
pub struct Queue {
    name: &'static str,
    shared: Arc<Shared>,
}

impl Queue {
    /// Starts the thread. It ends with [`Channel::stop`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(sink: impl Sink + 'static, retry: Retry) -> io::Result<Self> {
        let name = sink.name();
        let shared = Arc::new(Shared::default());
        shared.state().delivery.channel = name;
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name(format!("riptide-{name}"))
            .spawn(move || work(&of_thread, sink, retry))?;
        Ok(Self { name, shared })
    }
}

impl Channel for Queue {
    fn name(&self) -> &'static str {
        self.name
    }

    fn send(&self, notification: &Arc<Notification>) {
        let mut state = self.shared.state();
        if state.waiting.len() < QUEUE_MAX && state.stop.is_none() {
            state.waiting.push_back(Arc::clone(notification));
        } else {
            state.delivery.dropped += 1;
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    fn delivery(&self) -> Delivery {
        let state = self.shared.state();
        Delivery {
            queued: state.waiting.len() as u64,
            ..state.delivery.clone()
        }
    }

    fn stop(&self, deadline: Instant) {
        let mut state = self.shared.state();
        state.stop = Some(deadline);
        self.shared.changed.notify_all();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn work(shared: &Shared, mut sink: impl Sink, retry: Retry) {
    while let Some(notification) = next(shared) {
        let mut failed = 0;
        loop {
            let result = sink.deliver(&notification);
            let mut state = shared.state();
            let Err(failure) = result else {
                state.delivery.delivered += 1;
                break;
            };
            failed += 1;
            state.delivery.failed_attempts += 1;
            state.delivery.last_error = Some(failure.message);
            let gives_up = !failure.may_pass || failed > retry.retries;
            drop(state);
            if gives_up || !pause(shared, retry.pause(failed)) {
                shared.state().delivery.failed += 1;
                break;
            }
        }
        let mut state = shared.state();
        state.waiting.pop_front();
    }
    shared.state().ended = true;
    shared.changed.notify_all();
}

/// The next message, which stays in the queue until it is dealt with; none when it is time to end.
fn next(shared: &Shared) -> Option<Arc<Notification>> {
    let mut state = shared.state();
    loop {
        let over = state
            .stop
            .is_some_and(|deadline| Instant::now() >= deadline);
        if let Some(first) = state.waiting.front().filter(|_| !over) {
            return Some(Arc::clone(first));
        }
        if state.stop.is_some() {
            let left = state.waiting.len() as u64;
            state.delivery.failed += left;
            state.waiting.clear();
            return None;
        }
        let woken = shared.changed.wait(state);
        state = woken.unwrap_or_else(PoisonError::into_inner);
    }
}

/// Waits, though not beyond the end; false when there is no time for another attempt.
fn pause(shared: &Shared, duration: Duration) -> bool {
    let until = Instant::now() + duration;
    let mut state = shared.state();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        // Another try at once, and no further pauses, once the server stops.
        if let Some(deadline) = state.stop {
            return Instant::now() < deadline.min(until) && until < deadline;
        }
        let waited = shared.changed.wait_timeout(state, left);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Scripted {
        answers: VecDeque<Result<(), Failure>>,
        calls: mpsc::Sender<String>,
        gate: Option<mpsc::Receiver<()>>,
    }

    impl Sink for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn deliver(&mut self, notification: &Notification) -> Result<(), Failure> {
            if let Some(gate) = &self.gate {
                let _ = gate.recv();
            }
            let _ = self.calls.send(notification.text.clone());
            self.answers.pop_front().unwrap_or(Ok(()))
        }
    }

    fn note(text: &str) -> Arc<Notification> {
        Arc::new(Notification {
            schema_version: 1,
            status: "firing",
            time: Duration::ZERO,
            target: crate::alerts::TargetName::default(),
            text: text.to_owned(),
            alerts: Vec::new(),
        })
    }

    fn failure(may_pass: bool) -> Result<(), Failure> {
        Err(Failure {
            message: "no".to_owned(),
            may_pass,
        })
    }

    fn retry() -> Retry {
        Retry {
            retries: 2,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(2),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn what_may_pass_is_tried_again_and_the_rest_given_up() {
        let (calls, called) = mpsc::channel();
        let answers = [
            failure(true),
            Ok(()),
            failure(false),
            failure(true),
            failure(true),
            failure(true),
        ];
        let sink = Scripted {
            answers: answers.into_iter().collect(),
            calls,
            gate: None,
        };
        let queue = Queue::start(sink, retry()).unwrap();
        for text in ["a", "b", "c", "d"] {
            queue.send(&note(text));
        }
        let tried: Vec<String> = called.iter().take(7).collect();
        assert_eq!(tried, ["a", "a", "b", "c", "c", "c", "d"]);
        queue.stop(soon());
        let delivery = queue.delivery();
        assert_eq!((delivery.delivered, delivery.failed), (2, 2));
        assert_eq!((delivery.failed_attempts, delivery.queued), (5, 0));
        assert_eq!(delivery.last_error.as_deref(), Some("no"));
    }

    #[test]
    fn a_sink_that_hangs_fills_its_queue_and_nothing_more() {
        let (calls, called) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let sink = Scripted {
            answers: VecDeque::new(),
            calls,
            gate: Some(gate),
        };
        let queue = Queue::start(sink, retry()).unwrap();
        for _ in 0..QUEUE_MAX + 10 {
            queue.send(&note("x"));
        }
        assert_eq!(queue.delivery().dropped, 10);
        assert_eq!(queue.delivery().queued, QUEUE_MAX as u64);
        drop(open);
        queue.stop(soon());
        assert_eq!(queue.delivery().delivered, QUEUE_MAX as u64);
        assert_eq!(called.iter().count(), QUEUE_MAX);
        queue.send(&note("late"));
        assert_eq!(queue.delivery().dropped, 11);
    }

    #[test]
    fn stopping_gives_up_what_has_no_time_left() {
        let (calls, called) = mpsc::channel();
        let sink = Scripted {
            answers: (0..1_000).map(|_| failure(true)).collect(),
            calls,
            gate: None,
        };
        let endless = Retry {
            retries: 1_000,
            first_pause: Duration::from_secs(3_600),
            longest_pause: Duration::from_secs(3_600),
        };
        let queue = Queue::start(sink, endless).unwrap();
        queue.send(&note("a"));
        queue.send(&note("b"));
        assert_eq!(called.recv().unwrap(), "a");
        queue.stop(soon());
        // No pause of an hour is waited for; each is tried once.
        assert_eq!(called.iter().collect::<Vec<_>>(), ["b"]);
        assert_eq!(queue.delivery().failed, 2);
    }
}
