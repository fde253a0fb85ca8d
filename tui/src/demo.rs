//! The bundled service: an HTTP server under load from inside its own process, with one leak among
//! healthy look-alikes.
//!
//! | module | keeps memory | how |
//! |---|---|---|
//! | [`sessions`] | **for ever** | the leak: logging out looks for another key than logging in stored |
//! | [`cache`] | bounded | least recently used entries give way, with steady churn |
//! | [`catalog`] | a plateau | a search index that grows while it warms up, then stays |
//! | [`history`] | bounded | a ring of the last orders |
//! | [`pool`] | bounded | buffers that are handed out and given back |
//! | [`service`] | not at all | the handlers: what a request needs is freed with it |
//!
//! [`load`] plays the users, [`child`] starts all this in a process of its own, profiled by
//! `RIPTIDE=on`, and ends it with the one that started it.

pub mod cache;
pub mod catalog;
pub mod child;
pub mod history;
pub mod load;
pub mod pool;
pub mod random;
pub mod service;
pub mod sessions;
