//! The reader's thread: finds targets, follows one, hands immutable snapshots to the dashboard.
//!
//! It never waits for the screen: a paused or slow dashboard does not stop the drain.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use riptide_reader::{
    ReaderError, Session,
    attach::discover,
    profile::{Snapshot, TargetInfo, TargetState},
};

/// Between two looks at the ring.
const POLL: Duration = Duration::from_millis(100);
/// Between two snapshots.
const SNAPSHOT: Duration = Duration::from_secs(1);
/// Between two snapshots while symbols arrive.
const SNAPSHOT_WHILE_SYMBOLS_ARRIVE: Duration = Duration::from_millis(250);
/// Between two searches for targets.
const SEARCH: Duration = Duration::from_millis(500);

/// What the dashboard asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Follow the target behind this region.
    Attach(PathBuf),
    /// Report the targets there are until the next [`Command::Attach`].
    Search,
}

/// How a target cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// Region of another version or machine.
    Incompatible,
    /// Not allowed.
    Denied,
    /// Anything else.
    Unreadable,
}

/// Why a target cannot be read, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In which way.
    pub kind: TroubleKind,
    /// What is wrong.
    pub message: String,
    /// What to try.
    pub hint: String,
}

impl From<&ReaderError> for Trouble {
    fn from(error: &ReaderError) -> Self {
        let denied = match error {
            ReaderError::ForeignOwner { .. } => true,
            ReaderError::Io { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
            _ => false,
        };
        let kind = if denied {
            TroubleKind::Denied
        } else if error.exit_code() == 4 {
            TroubleKind::Incompatible
        } else {
            TroubleKind::Unreadable
        };
        Self {
            kind,
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

/// A target that can be picked.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Who it is.
    pub info: TargetInfo,
    /// Why it cannot be read, if so.
    pub trouble: Option<Trouble>,
}

/// What the reader has to say.
#[derive(Clone, Debug)]
pub enum Update {
    /// The targets there are.
    Targets(Vec<Target>),
    /// The target followed, as of now.
    Snapshot(Arc<Snapshot>),
    /// The target asked for cannot be read (any more).
    Trouble(Trouble),
}

/// The thread's other end.
#[derive(Debug)]
pub struct Feed {
    commands: Sender<Command>,
}

impl Feed {
    /// Starts the thread. It ends when the feed is dropped or `send` returns false.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(
        first: Command,
        send: impl Fn(Update) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        thread::Builder::new()
            .name("riptide-reader".to_owned())
            .spawn(move || Worker::new(send).run(first, &inbox))?;
        Ok(Self { commands })
    }

    /// Asks for something.
    pub fn send(&self, command: Command) {
        // The thread is gone only when the dashboard is going too.
        let _ = self.commands.send(command);
    }
}

/// The targets there are, as the picker shows them.
#[must_use]
pub fn targets() -> Vec<Target> {
    discover()
        .into_iter()
        .map(|found| Target {
            trouble: found.problem.as_ref().map(Trouble::from),
            info: found.info,
        })
        .collect()
}

struct Followed {
    session: Session,
    next_snapshot: Instant,
    /// Nothing more will come: the target is gone and all symbols are there.
    complete: bool,
}

struct Worker<Send> {
    send: Send,
    searching: bool,
    last_search: Option<Instant>,
    followed: Option<Followed>,
}

impl<Send: Fn(Update) -> bool> Worker<Send> {
    fn new(send: Send) -> Self {
        Self {
            send,
            searching: false,
            last_search: None,
            followed: None,
        }
    }

    fn run(mut self, first: Command, inbox: &Receiver<Command>) {
        let mut command = Some(first);
        loop {
            match command.take() {
                Some(Command::Attach(path)) => self.attach(&path),
                Some(Command::Search) => {
                    self.searching = true;
                    self.last_search = None;
                }
                None => {}
            }
            if !self.step() {
                return;
            }
            command = match self.pause() {
                Some(pause) => match inbox.recv_timeout(pause) {
                    Ok(command) => Some(command),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match inbox.recv() {
                    Ok(command) => Some(command),
                    Err(_) => return,
                },
            };
        }
    }

    fn attach(&mut self, path: &std::path::Path) {
        self.searching = false;
        // Asked for again: go on where it is, its history included.
        if let Some(followed) = &mut self.followed
            && followed.session.info().region == path
        {
            followed.next_snapshot = Instant::now();
            followed.complete = false;
            return;
        }
        self.followed = None;
        match Session::attach(path) {
            Ok(session) => {
                self.followed = Some(Followed {
                    session,
                    next_snapshot: Instant::now(),
                    complete: false,
                });
            }
            Err(error) => {
                (self.send)(Update::Trouble(Trouble::from(&error)));
            }
        }
    }

    /// Does what is due; false when nobody listens any more.
    fn step(&mut self) -> bool {
        if self.searching && self.last_search.is_none_or(|last| last.elapsed() >= SEARCH) {
            if !(self.send)(Update::Targets(targets())) {
                return false;
            }
            self.last_search = Some(Instant::now());
        }
        let Some(followed) = &mut self.followed else {
            return true;
        };
        if followed.complete {
            return true;
        }
        followed.session.poll();
        let now = Instant::now();
        if now < followed.next_snapshot {
            return true;
        }
        let snapshot = followed.session.snapshot();
        let symbols_arrive = snapshot.pending_symbols > 0;
        followed.complete = snapshot.target.state != TargetState::Live && !symbols_arrive;
        followed.next_snapshot = now
            + if symbols_arrive {
                SNAPSHOT_WHILE_SYMBOLS_ARRIVE
            } else {
                SNAPSHOT
            };
        if !(self.send)(Update::Snapshot(Arc::new(snapshot))) {
            return false;
        }
        match followed.session.problem() {
            Some(problem) => {
                followed.complete = true;
                (self.send)(Update::Trouble(Trouble::from(&problem)))
            }
            None => true,
        }
    }

    /// How long to wait for a command; `None` is for ever.
    fn pause(&self) -> Option<Duration> {
        match &self.followed {
            Some(followed) if !followed.complete => Some(POLL),
            _ if self.searching => Some(SEARCH),
            _ => None,
        }
    }
}
