//! Everything that riptide reads from others, one function each: arbitrary bytes go in, and whatever
//! they are, what comes out is an answer that holds together or an error, in bounded time.
//!
//! | function | reads |
//! |---|---|
//! | [`region()`] | the view of a region, every table through it, and writes as the target does |
//! | [`snapshot()`] | a region through the reader: snapshot, verdicts, groups, waterfall, exports |
//! | [`recording()`] | a recording, at its end and at a moment |
//! | [`configuration()`] | a TOML file, variables and flags |
//! | [`filter()`] | the filter language over sites |
//! | [`http()`] | a connection to `serve` |
//!
//! Where random bytes would not get past a magic number or a checksum, the function makes these right
//! first: the bytes say how a good region is changed, or what stands in the frames of a recording.
//!
//! The same functions are run by cargo-fuzz (`tests/fuzz/run`) and, over the kept corpora, by the test
//! `corpus`. A finding is a panic, so asserts here are the properties that are searched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "fuzz targets fail by panicking"
)]

use std::{cell::RefCell, io::Write, os::fd::AsRawFd, path::PathBuf, process::ExitCode};

mod configuration;
mod filter;
mod http;
mod recording;
mod region;
mod small_region;
mod snapshot;

pub use configuration::configuration;
pub use filter::filter;
pub use http::http;
pub use recording::recording;
pub use region::region;
pub use snapshot::snapshot;

/// Runs a target over the files that the command line names: how a finding is looked at.
#[must_use]
pub fn replay(target: fn(&[u8])) -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("name the files to run; to search for others: bash tests/fuzz/run");
        return ExitCode::from(2);
    }
    for file in files {
        println!("{}", file.display());
        target(&std::fs::read(file).unwrap());
    }
    ExitCode::SUCCESS
}

/// Calls `read` with the path of a file that holds `bytes`: in memory, and the same one each time.
fn with_file<T>(bytes: &[u8], read: impl FnOnce(&std::path::Path) -> T) -> T {
    thread_local! {
        static FILE: RefCell<std::fs::File> = RefCell::new(
            rustix::fs::memfd_create("riptide-fuzz", rustix::fs::MemfdFlags::CLOEXEC)
                .unwrap()
                .into(),
        );
    }
    FILE.with_borrow_mut(|file| {
        file.set_len(0).unwrap();
        std::io::Seek::rewind(file).unwrap();
        file.write_all(bytes).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        read(path.as_ref())
    })
}

/// A number that is taken off the front of `bytes`; 0 when there are none left.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (front, rest) = bytes.split_at(bytes.len().min(N));
    *bytes = rest;
    let mut taken = [0; N];
    taken[..front.len()].copy_from_slice(front);
    taken
}
