//! How soon the dashboard shows something of a process that runs already.
//!
//! The aim is the first number within 1 s and the first stack with symbols within 3 s. Times are
//! printed, not asserted: a loaded machine proves nothing about them.

use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{DEADLINE, Directory, Ended, clean_command, riptide_path, wait_for},
    program::{Build, MINISERVE, SIMPLE_HTTP_SERVER},
    report,
    screen::Screen,
    server::{Load, Server, write_pages},
};

/// Between two looks at the screen.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until the screen shows something, which `find` takes from its lines.
fn see(screen: &Screen, what: &str, find: impl Fn(&[String]) -> Option<String>) -> String {
    let start = Instant::now();
    loop {
        let lines = screen.lines();
        if let Some(found) = find(&lines) {
            return found;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "waited in vain for {what}:\n{}",
            lines.join("\n")
        );
        thread::sleep(LOOK);
    }
}

/// The live heap, as the Overview shows it.
fn live_heap(lines: &[String]) -> Option<String> {
    let line = lines
        .iter()
        .find_map(|line| line.strip_prefix("live heap "))?;
    let figure = line.split(" in ").next()?;
    figure
        .starts_with(|letter: char| letter.is_ascii_digit())
        .then(|| figure.to_owned())
}

/// A function in the Overview's list of sites.
fn function(lines: &[String]) -> Option<String> {
    let list = lines.iter().position(|line| {
        line.starts_with("largest sites ") || line.starts_with("growing sites ")
    })?;
    lines[list + 1..]
        .iter()
        .filter_map(|line| line.split_whitespace().next_back())
        // Not the end of a list of type parameters.
        .find(|word| word.contains("::") && !word.ends_with('>'))
        .map(str::to_owned)
}

/// A frame with file and line in the stack beside the table of sites.
fn frame(lines: &[String]) -> Option<String> {
    let stack = lines
        .iter()
        .position(|line| line.contains("heaviest stack"))?;
    lines[stack + 1..]
        .iter()
        .filter_map(|line| line.split_whitespace().next_back())
        .find(|word| {
            word.split_once(".rs:").is_some_and(|(_, line)| {
                !line.is_empty() && line.chars().all(|digit| digit.is_ascii_digit())
            })
        })
        .map(str::to_owned)
}

/// Opens the dashboard on the one target in `directory`.
fn measure(target: &str, binary: &Path, directory: &Directory) {
    // It is there before the clock starts.
    let region = directory.region();
    riptide_path();
    let start = Instant::now();
    let screen = Screen::start(directory);
    let number = see(&screen, "the live heap", live_heap);
    let number_after = start.elapsed();
    let function = see(&screen, "a function", function);
    let function_after = start.elapsed();
    screen.press("2");
    let frame = see(&screen, "a stack with file and line", frame);
    let frame_after = start.elapsed();
    assert!(region.exists());
    report(&format!(
        "first light on {target}, {} MB: {number} after {} ms, {function} after {} ms, its stack \
         with {frame} after {} ms",
        fs::metadata(binary).unwrap().len() / 1_000_000,
        number_after.as_millis(),
        function_after.as_millis(),
        frame_after.as_millis(),
    ));
}

#[test]
fn the_dashboard_shows_a_number_and_a_stack_of_the_demo() {
    let directory = Directory::new();
    let demo = clean_command(riptide_path())
        .args(["demo", "--headless", "--seconds", "600"])
        .env("RIPTIDE_DIR", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let demo = Ended(demo);
    measure("riptide demo", riptide_path(), &directory);
    drop(demo);
    // Its service ends with it, and takes its region along.
    wait_for("the service to end", || {
        directory.files().is_empty().then_some(())
    });
}

#[test]
fn the_dashboard_shows_a_number_and_a_stack_of_a_release_build_with_line_tables() {
    let (root, directory) = (Directory::new(), Directory::new());
    write_pages(root.path());
    let binary = SIMPLE_HTTP_SERVER.build(Build::Lines).binary;
    let arguments = ["--index", "--silent", "--ip=127.0.0.1", "--port=PORT"];
    let server = Server::start(&binary, &arguments, root.path(), &directory, Some("64KiB"));
    let load = Load::start(server.port, &["GET /pages/"]);
    load.wait_for_answers(100);
    measure("simple-http-server in release", &binary, &directory);
    load.finish();
}

#[test]
fn the_dashboard_shows_a_number_and_a_stack_of_a_binary_of_more_than_100_megabytes() {
    let (root, directory) = (Directory::new(), Directory::new());
    write_pages(root.path());
    let binary = MINISERVE.build(Build::Development).binary;
    let size = fs::metadata(&binary).unwrap().len();
    assert!(
        size >= 100_000_000,
        "{size} bytes are too few for this test"
    );
    let arguments = ["--interfaces=127.0.0.1", "--port=PORT"];
    let server = Server::start(&binary, &arguments, root.path(), &directory, Some("64KiB"));
    let load = Load::start(server.port, &["GET /pages/"]);
    load.wait_for_answers(20);
    measure("miniserve with all debug information", &binary, &directory);
    load.finish();
}
