//! Ways to die, children, threads that come and go.

use std::os::unix::process::ExitStatusExt;

use super::compare::{Fault, assert_exact, assert_keeps, regions};
use crate::harness::{long, top};

/// Ends a program in a way, while four threads of it allocate, and reads what it left.
fn dies(way: &str, code: Option<i32>, signal: Option<i32>, state: &str) {
    let (directory, deed) = Fault::new(&[way]).assert_same_always();
    assert_eq!((deed.status.code(), deed.status.signal()), (code, signal));
    assert_eq!(deed.lines.last().unwrap(), "dying");
    assert_keeps(&directory, &deed, state);
}

#[test]
fn sigkill() {
    dies("kill", None, Some(libc::SIGKILL), "killed");
}

#[test]
fn abort() {
    dies("abort", None, Some(libc::SIGABRT), "killed");
}

#[test]
fn exit_without_handlers() {
    dies("exit-now", Some(7), None, "killed");
}

#[test]
fn exit_beside_running_threads() {
    dies("exit", Some(3), None, "exited");
}

#[test]
fn panic_that_aborts() {
    dies("panic-aborts", None, Some(libc::SIGABRT), "killed");
}

#[test]
fn panic_of_the_main_thread() {
    dies("panic", Some(101), None, "exited");
}

#[test]
fn exec_beside_running_threads() {
    let (directory, deed) = Fault::new(&["execs", "5"]).assert_same_always();
    deed.assert_complete();
    // Each program that the process was has left a region.
    let regions = regions(&directory);
    assert_eq!(regions.len(), 6, "{regions:?}");
    for region in regions {
        top(&region).assert_exact(&deed.truth());
    }
}

#[test]
fn a_storm_of_vforks() {
    let count = if long() { "2000" } else { "100" };
    let (directory, deed) = Fault::new(&["vforks", count]).assert_same_always();
    deed.assert_complete();
    assert!(deed.lines[2].contains(" 0 failed"), "{deed:?}");
    // Those children used their parent's memory, and are counted in it.
    assert_exact(&directory, &deed);
}

/// A child that is forked while another thread makes the profiler is not left without one.
#[test]
fn forks_while_the_profiler_is_made() {
    let fault = Fault::new(&["forks-at-start", "40"]).prepared(|command| {
        command
            .env("RIPTIDE_FORK", "follow")
            .env("RIPTIDE_REGION_SIZE", "1MiB");
    });
    let bare = fault.on_bare();
    assert_eq!(bare.lines, ["40 children, 0 failed"]);
    for _ in 0..if long() { 50 } else { 3 } {
        // Each of them allocates 16 MiB, so that it has samples.
        let regions = regions(&fault.assert_same("64KiB", &bare));
        assert_eq!(regions.len(), 41);
    }
}

#[test]
fn threads_that_come_and_go() {
    let count = if long() { "100000" } else { "2000" };
    let (directory, deed) = Fault::new(&["threads", count]).assert_same_always();
    deed.assert_complete();
    assert_exact(&directory, &deed);
}

#[test]
fn destructors_of_thread_locals_that_allocate() {
    let count = if long() { "5000" } else { "200" };
    let (directory, deed) = Fault::new(&["destructors", count]).assert_same_always();
    deed.assert_complete();
    assert_exact(&directory, &deed);
}
