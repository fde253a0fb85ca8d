//! A terminal with the dashboard, or a shell, in it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::harness::{Directory, clean_command, riptide_path, wait_for};

/// Every tab, by its key and as the screen shows it, the first one last.
pub(crate) const TABS: [(&str, &str); 8] = [
    ("2", "[2 Sites]"),
    ("3", "[3 Flame]"),
    ("4", "[4 Leaks]"),
    ("5", "[5 Threads]"),
    ("6", "[6 Shapes]"),
    ("7", "[7 jemalloc]"),
    ("8", "[8 Alerts]"),
    ("1", "[1 Overview]"),
];

/// A tmux server of its own; ended when dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    socket: String,
}

impl Screen {
    /// Starts `riptide`, which finds its target in `directory`, on 132 by 43 characters.
    pub(crate) fn start(directory: &Directory) -> Self {
        Self::run(&[riptide_path().to_str().unwrap()], directory)
    }

    /// Starts a program with its arguments.
    pub(crate) fn run(command: &[&str], directory: &Directory) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let screen = Self {
            socket: format!("riptide-test-{}-{number}", std::process::id()),
        };
        let mut start = screen.tmux();
        start
            .args([
                "-f",
                "/dev/null",
                "new-session",
                "-d",
                "-x",
                "132",
                "-y",
                "43",
            ])
            .args(command)
            .env("RIPTIDE_DIR", directory.path())
            // The settings of whoever runs the tests are left alone.
            .env("XDG_CONFIG_HOME", directory.path().join("config"))
            .env("PS1", "shell> ");
        assert!(start.status().unwrap().success());
        screen
    }

    fn tmux(&self) -> Command {
        let mut command = clean_command(Path::new("tmux"));
        command
            .args(["-u", "-L", &self.socket])
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.tmux().args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "the terminal ended: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The lines that are to be seen now.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = self.ask(&["capture-pane", "-p"]);
        text.lines().map(str::to_owned).collect()
    }

    /// Presses a key, as tmux names it.
    pub(crate) fn press(&self, key: &str) {
        self.ask(&["send-keys", key]);
    }

    /// Types a line.
    pub(crate) fn say(&self, line: &str) {
        self.ask(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// Waits until a text is to be seen, and gives the whole picture.
    pub(crate) fn see(&self, text: &str) -> String {
        self.wait(text, |picture| picture.contains(text))
    }

    /// Waits until the picture is as wanted.
    pub(crate) fn wait(&self, what: &str, ready: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, || {
                last = self.lines().join("\n");
                ready(&last).then(|| last.clone())
            })
        }));
        seen.unwrap_or_else(|_| panic!("no {what} on\n{last}"))
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.ask(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// Whether the program has the alternate screen.
    pub(crate) fn is_alternate(&self) -> bool {
        self.ask(&["display-message", "-p", "#{alternate_on}"])
            .trim()
            == "1"
    }

    /// Process id of what was started.
    pub(crate) fn pid(&self) -> u32 {
        let pid = self.ask(&["display-message", "-p", "#{pane_pid}"]);
        pid.trim().parse().unwrap()
    }

    /// Everything that the program writes from now on goes into a file, too.
    pub(crate) fn tap(&self, directory: &Directory) -> PathBuf {
        let file = directory.path().join(format!("tap-{}", self.socket));
        std::fs::write(&file, "").unwrap();
        let command = format!("cat >> '{}'", file.display());
        self.ask(&["pipe-pane", "-o", &command]);
        file
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").status();
    }
}
