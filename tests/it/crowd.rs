//! A directory with ten thousand regions of the dead in it: the living are found among them, the dead are
//! listed, and all of them can be removed. In bounded memory, which is a limit here, and in bounded time,
//! which is printed.

use std::{process::Stdio, time::Instant};

use riptide_tests::crowd::{self, FIRST_PID};
use serde_json::Value;

use crate::{
    harness::{Directory, Victim, clean_command, riptide_path},
    resource_limits::limit,
    screen::Screen,
};

const DEAD: u32 = 10_000;
/// Address space of a command: the regions alone are 20 GB, and an idle jemalloc of ours maps some tens of MB.
const ADDRESS_SPACE: u64 = 512 << 20;

/// A directory with one killed victim's region and those of the crowd.
fn crowded() -> Directory {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-threads", &["3"], &directory, "64KiB");
    victim.report();
    let region = directory.region();
    victim.kill();
    crowd::fill(directory.path(), &region, DEAD).unwrap();
    directory
}

fn run(directory: &Directory, arguments: &[&str]) -> (std::process::Output, String) {
    let mut command = clean_command(riptide_path());
    command
        .args(arguments)
        .env("RIPTIDE_DIR", directory.path())
        .stdin(Stdio::null());
    limit(&mut command, libc::RLIMIT_AS, ADDRESS_SPACE);
    let start = Instant::now();
    let output = command.output().unwrap();
    println!("{arguments:?} among {DEAD} dead: {:?}", start.elapsed());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, message)
}

fn json(directory: &Directory, arguments: &[&str]) -> (Value, String) {
    let (output, message) = run(directory, arguments);
    assert_eq!(output.status.code(), Some(0), "{message}");
    (serde_json::from_slice(&output.stdout).unwrap(), message)
}

#[test]
fn the_living_are_found_among_ten_thousand_dead_which_all_can_be_removed() {
    let directory = crowded();
    let mut living = Victim::new("victim-threads", &["3"], &directory, "64KiB");
    living.report();
    let pid = living.pid().to_string();

    let (list, message) = json(&directory, &["list", "--json"]);
    let targets = list["targets"].as_array().unwrap();
    assert_eq!(targets.len(), DEAD as usize);
    assert_eq!(targets[0]["pid"], living.pid(), "the living first");
    assert_eq!(targets[0]["state"], "live");
    assert!(
        targets[1..]
            .iter()
            .all(|target| target["state"] == "killed")
    );
    // One is too many, and the living one is not it.
    assert!(message.contains("2 older region files"), "{message}");

    for target in [&[][..], &["victim-threads"], &[&*pid]] {
        let arguments = [&["top", "--once", "--json"], target].concat();
        let (top, _) = json(&directory, &arguments);
        assert_eq!(top["target"]["pid"], living.pid(), "{arguments:?}");
    }
    let (pruned, _) = json(&directory, &["prune", "--json"]);
    let removed = pruned["removed"].as_array().unwrap().len();
    assert_eq!(removed, DEAD as usize + 1);
    let (list, message) = json(&directory, &["list", "--json"]);
    assert_eq!(list["targets"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(message, "");
}

#[test]
fn the_picker_shows_ten_thousand_dead() {
    let directory = crowded();
    let screen = Screen::start(&directory);
    // The newest first.
    let picture = screen.see(&(FIRST_PID + DEAD - 1).to_string());
    assert!(picture.contains("killed"), "{picture}");
    screen.press("G");
    screen.see(&(FIRST_PID + 5).to_string());
    let mut living = Victim::new("victim-threads", &["3"], &directory, "64KiB");
    living.report();
    screen.press("g");
    // What runs comes before all of them.
    screen.see(&living.pid().to_string());
}
