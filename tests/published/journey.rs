//! From a fresh start of the dashboard to the line that leaks, in a server that we did not write.

use std::process::Command;

use crate::{
    harness::Directory,
    program::{Build, LEAKING, SIMPLE_HTTP_SERVER},
    report,
    screen::{Screen, TABS},
    server::{Load, Server, write_pages},
};

const ARGUMENTS: [&str; 5] = [
    "--index",
    "--silent",
    "--ip=127.0.0.1",
    "--port=PORT",
    "--threads=2",
];
/// Small answers: it leaks with each of them.
const QUESTIONS: &[&str] = &["GET /nothing"];

#[test]
fn a_few_keys_lead_from_the_shell_to_the_leaking_line_and_a_kill_loses_nothing() {
    let (root, directory) = (Directory::new(), Directory::new());
    write_pages(root.path());
    let binary = SIMPLE_HTTP_SERVER.build(Build::Leaking).binary;
    let start = || Server::start(&binary, &ARGUMENTS, root.path(), &directory, Some("64KiB"));
    let server = start();
    let load = Load::start(server.port, QUESTIONS);
    load.wait_for_answers(20);
    let (function, leaking) = LEAKING;

    let screen = Screen::start(&directory);
    screen.wait("the leak as the next thing to look at", |picture| {
        let mut lines = picture.lines();
        lines.any(|line| line.contains("next:") && line.contains(function))
    });
    screen.press("Enter");
    let picture = screen.wait("the leaking line", |picture| picture.contains('▶'));
    let marked = picture.lines().find(|line| line.contains('▶')).unwrap();
    assert!(marked.contains(leaking), "{picture}");
    report("one key led to the leaking line of simple-http-server");
    // Whoever called it stands there, too: a function of the program's own.
    assert!(picture.contains("handle_request"), "{picture}");
    screen.press("Escape");

    load.finish();
    let mut kill = Command::new("kill");
    kill.args(["-KILL", &server.pid().to_string()]);
    assert!(kill.status().unwrap().success());
    screen.see("EXITED, killed");
    for (key, tab) in TABS {
        screen.press(key);
        let picture = screen.wait(tab, |picture| {
            picture.contains(tab) && !picture.contains("reading the target")
        });
        assert!(picture.contains("EXITED, killed"), "{picture}");
    }
    screen.press("Enter");
    screen.wait("the line once more", |picture| picture.contains(leaking));
    screen.press("Escape");
    drop(server);

    let again = start();
    screen.see("RESTARTED as");
    screen.press("R");
    screen.see("LIVE");
    let shown = screen.lines().join("\n");
    assert!(shown.contains(&format!("[{}]", again.pid())), "{shown}");
}
