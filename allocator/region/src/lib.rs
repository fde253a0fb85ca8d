//! The format that a target writes and a reader maps: the only code both processes link.
//!
//! A region is a slice of 64-bit words. Each module is one table or protocol over such words, with
//! both of its ends:
//!
//! | module | holds | who writes |
//! |---|---|---|
//! | [`header`], [`layout`] | identity, section table | the target, once |
//! | [`live_table`] | live sampled blocks | whoever owns the block |
//! | [`stack_table`] | interned stacks and their totals | any thread |
//! | [`ring`], [`event`] | the journal | any thread, never waiting |
//! | [`module_table`], [`status`], [`bins`] | executable mappings; process and jemalloc figures | one thread at a time |
//! | [`counters`] | counts by cause, gauges | any thread |
//! | [`control`] | what a user asks of a running process, in a file of its own | the region's owner |
//! | [`view`] | all of them, checked against the file | — |
//!
//! **Invariants.** Whatever another process can write is an atomic word. Readers only load. No
//! function here panics, allocates, makes a system call or waits without bound, whatever the words
//! hold. Nothing here knows of processes, files or jemalloc.
//!
//! `FORMAT.md` beside this crate has the byte tables and the version history.
#![cfg_attr(not(loom), no_std)]

pub mod bins;
pub mod control;
pub mod counters;
pub mod event;
pub mod header;
pub mod layout;
pub mod live_table;
pub mod module_table;
pub mod primitive;
pub mod ring;
pub mod seqlock;
pub mod stack_table;
pub mod status;
pub mod view;
