//! Threads that write into the rings of a region as fast as they can, each noting in a second file
//! what it began and how that ended, until somebody kills the process.
//!
//! `victim-ring REGION WITNESS`

use std::{io, path::Path, process::ExitCode, thread};

use riptide_region::{
    header::Header,
    layout::{Plan, REGION_MIN_BYTES},
    view::View,
};
use riptide_tests::{
    journal::{RECORDS_MAX, WITNESS_WORDS, WRITERS, Witness, record},
    shared::SharedWords,
    victim::say,
};

fn write(view: &View<'_>, witness: &SharedWords, writer: usize) {
    // Two writers share a shard.
    let Some((_, ring)) = view.ring_of(writer as u32 % 2) else {
        return;
    };
    let Some(witness) = Witness::new(witness.words(), writer) else {
        return;
    };
    for number in 0..RECORDS_MAX {
        witness.begin(number);
        let outcome = ring.publish(&record(writer, number));
        witness.end(number, outcome);
    }
}

fn run(region: &Path, witness: &Path) -> io::Result<()> {
    let plan = Plan::new(REGION_MIN_BYTES, true).ok_or(io::ErrorKind::InvalidInput)?;
    let words = SharedWords::create(region, plan.region_bytes as usize / 8)?;
    let witness = SharedWords::create(witness, WITNESS_WORDS)?;
    let header = Header {
        pid: std::process::id(),
        ..bytemuck::Zeroable::zeroed()
    };
    let view = View::create(words.words(), &plan, &header).ok_or(io::ErrorKind::InvalidData)?;
    say("writing");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (view, witness) = (&view, &witness);
            scope.spawn(move || write(view, witness, writer));
        }
    });
    say("written");
    // Killed before it ends of itself.
    loop {
        thread::park();
    }
}

fn main() -> ExitCode {
    let mut paths = std::env::args_os().skip(1);
    let (Some(region), Some(witness)) = (paths.next(), paths.next()) else {
        return ExitCode::from(2);
    };
    match run(Path::new(&region), Path::new(&witness)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
