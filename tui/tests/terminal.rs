//! A panic while the terminal is the dashboard's: it is given back, and what was said can be read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Set where the panic is to happen: in a process of its own, inside a terminal.
const HERE: &str = "RIPTIDE_TEST_PANICS_HERE";
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn panics_in_the_terminal() {
    if std::env::var_os(HERE).is_some() {
        let _guard = riptide::terminal::Guard::enter().unwrap();
        panic!("boom in the dashboard");
    }
}

struct Tmux(String);

impl Tmux {
    fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-L", &self.0, "-f", "/dev/null"])
            .args(arguments)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .env("PS1", "shell> ")
            .output()
            .expect("tmux is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn see(&self, text: &str) {
        let start = Instant::now();
        loop {
            let picture = self.ask(&["capture-pane", "-p"]);
            if picture.contains(text) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "no {text} on\n{picture}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", &self.0, "kill-server"])
            .output();
    }
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let tmux = Tmux(format!("riptide-panic-{}", std::process::id()));
    tmux.ask(&[
        "new-session",
        "-d",
        "-x",
        "132",
        "-y",
        "43",
        "bash",
        "--norc",
        "--noprofile",
    ]);
    tmux.see("shell>");
    let test = std::env::current_exe().unwrap();
    let line = format!(
        "{HERE}=1 RUST_BACKTRACE=0 {} --exact panics_in_the_terminal --nocapture",
        test.display()
    );
    tmux.ask(&["send-keys", "-l", &line]);
    tmux.ask(&["send-keys", "Enter"]);
    tmux.see("boom in the dashboard");
    // Lines and echo again, on the ordinary screen.
    tmux.see("test result: FAILED");
    tmux.ask(&["send-keys", "-l", "echo back-$((1 + 1))"]);
    tmux.ask(&["send-keys", "Enter"]);
    tmux.see("back-2");
    let alternate = tmux.ask(&["display-message", "-p", "#{alternate_on}"]);
    assert_eq!(alternate.trim(), "0");
}
