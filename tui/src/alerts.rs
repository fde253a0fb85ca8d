//! Alerts: from what a target does with memory to messages that somebody acts on.
//!
//! | module | does |
//! |---|---|
//! | `alert` | what an alert is, and the notification that tells of it |
//! | `reading` | what the rules look at: one target at one moment |
//! | `rules` | the rules and their thresholds |
//! | `condition` | when a rule begins and ends to hold: hysteresis and holding times |
//! | `configured` | rules and times from the configuration |
//! | `engine` | which alerts are active, and what is said about them when: cooldown, grouping, history |
//! | `words` | summaries and recommendations |
//! | `channels` | stdout, log, webhook, Alertmanager: threads of their own behind bounded queues |
//!
//! **Invariants.** The engine is a pure state machine: time and readings are handed in, notifications
//! come out. A threshold counts as passed by the estimate; evidence carries the interval. What is said
//! about one alert within the cooldown is bounded however its value moves. Everything kept is bounded.
//! Delivery never waits in the analysis: a message that finds its queue full is dropped and counted.
//!
//! Thresholds are in MB of 10^6 bytes, shares in percent.

mod alert;
#[cfg(feature = "serve")]
mod channels;
mod condition;
mod configured;
mod engine;
mod reading;
mod rules;
mod words;

#[cfg(test)]
mod engine_tests;

pub use alert::{
    Alert, Category, Change, Component, Evidence, Notice, Notification, Severity, SiteEvidence,
    TargetName, rfc3339,
};
#[cfg(feature = "serve")]
pub use channels::{
    Alertmanager, AlertmanagerSettings, Channel, Delivery, Failure, Http, HttpError, Log, Queue,
    Retry, Sink, Stdout, Webhook,
};
pub use configured::{rules_of, severity, timing_of};
pub use engine::{ActiveAlert, Engine, Now, Timing};
pub use reading::{Reading, VerdictReading};
pub use rules::{LeakRule, Levels, Rule, Rules};
