//! A terminal of our own with a program in it: keys go in, and what stands on it is read.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::Error;

/// Clock ticks a second in `/proc/PID/stat`; the same on every Linux that is about.
const TICKS: f64 = 100.0;

/// A program in a terminal.
pub struct Terminal {
    master: File,
    program: Child,
    screen: vt100::Parser,
}

impl Terminal {
    /// Starts a program in a terminal of this size.
    ///
    /// # Errors
    /// There is no terminal to be had, or the program does not start.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        (columns, rows): (u16, u16),
    ) -> Result<Self, Error> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size)?;
        let name = ptsname(&master, Vec::new())?;
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let open = || OpenOptions::new().read(true).write(true).open(path);
        let (input, output, errors) = (open()?, open()?, open()?);
        // Its own session, with this as the terminal: else it takes the size of the one around us.
        let program = Command::new("setsid")
            .arg("--ctty")
            .arg(program)
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env("COLORTERM", "truecolor")
            .envs(environment.iter().copied())
            .stdin(Stdio::from(OwnedFd::from(input)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(Stdio::from(OwnedFd::from(errors)))
            .spawn()?;
        Ok(Self {
            master: File::from(master),
            program,
            screen: vt100::Parser::new(rows, columns, 0),
        })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.program.id()
    }

    /// The text on the screen.
    #[must_use]
    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Presses keys.
    ///
    /// # Errors
    /// The program has gone.
    pub fn press(&mut self, keys: &str) -> Result<(), Error> {
        self.master.write_all(keys.as_bytes())?;
        Ok(())
    }

    /// Takes in what is drawn until the text is as wanted, and gives the time that took; `None` when it
    /// is not within `most`.
    ///
    /// # Errors
    /// The program has gone.
    pub fn wait(
        &mut self,
        most: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<Duration>, Error> {
        let start = Instant::now();
        loop {
            if wanted(&self.text()) {
                return Ok(Some(start.elapsed()));
            }
            if !self.take_in(most.saturating_sub(start.elapsed()))? {
                return Ok(None);
            }
        }
    }

    /// Takes in what is drawn for so long.
    ///
    /// # Errors
    /// The program has gone.
    pub fn watch(&mut self, length: Duration) -> Result<(), Error> {
        let start = Instant::now();
        while self.take_in(length.saturating_sub(start.elapsed()))? {}
        Ok(())
    }

    /// Waits for one piece of what is drawn; false when none came in time.
    fn take_in(&mut self, most: Duration) -> Result<bool, Error> {
        let most = Timespec::try_from(most)?;
        let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
        if poll(&mut ready, Some(&most))? == 0 {
            return Ok(false);
        }
        let mut piece = [0; 1 << 16];
        let read = self.master.read(&mut piece)?;
        self.screen.process(piece.get(..read).unwrap_or_default());
        Ok(true)
    }

    /// CPU time that the program has had.
    ///
    /// # Errors
    /// It has gone.
    pub fn cpu_seconds(&self) -> Result<f64, Error> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        // Fields 14 and 15, of which the first two are before the bracket.
        let ticks = fields.split_whitespace().skip(11).take(2);
        Ok(ticks
            .filter_map(|field| field.parse::<f64>().ok())
            .sum::<f64>()
            / TICKS)
    }

    /// Its resident set now.
    ///
    /// # Errors
    /// It has gone.
    pub fn rss_bytes(&self) -> Result<u64, Error> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kib.ok_or("no VmRSS")?.parse::<u64>()? * 1024)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
