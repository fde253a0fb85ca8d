//! Where notifications go.
//!
//! | module | does |
//! |---|---|
//! | `queue` | a bounded queue with a thread behind it: retries, counts, a bounded end |
//! | `text` | stdout and log |
//! | `http` | POST with a time limit, and which answers are worth another try |
//! | `webhook` | the notification as JSON |
//! | `alertmanager` | the active alerts, again and again, as Alertmanager's API wants them |
//!
//! **Invariants.** Nothing here waits in the thread that follows targets. What cannot be delivered is
//! counted by its channel and never an error of the server.

mod alertmanager;
mod http;
mod queue;
mod text;
mod webhook;

use std::{sync::Arc, time::Instant};

pub use alertmanager::{Alertmanager, AlertmanagerSettings};
pub use http::{Http, HttpError};
pub use queue::{Failure, Queue, Retry, Sink};
use serde::Serialize;
pub use text::{Log, Stdout};
pub use webhook::Webhook;

use super::alert::Notification;

/// What became of the messages of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The channel.
    pub channel: &'static str,
    /// Messages delivered.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Messages given up after the last attempt.
    pub failed: u64,
    /// Messages that found the queue full.
    pub dropped: u64,
    /// Messages that wait.
    pub queued: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// A channel as the engine's side sees it. No function waits but `stop`.
pub trait Channel: Send + Sync {
    /// Its word in the configuration.
    fn name(&self) -> &'static str;
    /// There is something to say.
    fn send(&self, notification: &Arc<Notification>);
    /// The set of active alerts changed.
    fn changed(&self) {}
    /// What became of its messages.
    fn delivery(&self) -> Delivery;
    /// Brings what is queued to its end, until the deadline.
    fn stop(&self, deadline: Instant);
}
