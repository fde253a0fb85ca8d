//! A terminal of 132 by 43 characters with the dashboard in it.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::harness::{Directory, clean_command, riptide_path};

/// A tmux server of its own; ended when dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    socket: String,
}

impl Screen {
    /// Starts `riptide`, which finds its target in `directory`.
    pub(crate) fn start(directory: &Directory) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let screen = Self {
            socket: format!("riptide-published-{}-{number}", std::process::id()),
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
            .arg(riptide_path())
            .env("RIPTIDE_DIR", directory.path());
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

    /// The lines that are to be seen now.
    pub(crate) fn lines(&self) -> Vec<String> {
        let output = self.tmux().args(["capture-pane", "-p"]).output().unwrap();
        assert!(
            output.status.success(),
            "the dashboard ended: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn press(&self, key: &str) {
        let status = self.tmux().args(["send-keys", key]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").status();
    }
}
