//! The reader's thread: finds targets, follows one, hands immutable snapshots to the dashboard.
//!
//! It never waits for the screen: a paused or slow dashboard does not stop the drain.
//!
//! | module | does |
//! |---|---|
//! | `followed` | a target that is followed |
//! | `parts` | what the screens show beside the snapshot, made as often as it is worth |
//! | `source` | what parts are made from: a session, or a moment of a recording |
//! | `recorded` | a recording: its whole in short, and one moment of it |
//! | `mailbox` | lets only the latest of what was seen wait |
//! | `watch` | the rules of alerts over what is shown |
//! | `excerpt` | finds and reads source files |
//! | `files` | writes exports and suppressions |

use std::{
    path::{Path, PathBuf},
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
    control::{self, Control},
    export::{Format, Metric},
    leak::Suppressions,
    profile::{Snapshot, TargetInfo},
    recording::is_recording,
};

use crate::{
    app::{History, SiteKey},
    look::{Excerpt, Parts},
};

mod excerpt;
mod files;
mod followed;
mod mailbox;
mod parts;
mod recorded;
mod source;
mod watch;

use followed::{Followed, SEARCH_FOR_SUCCESSOR};
pub use mailbox::{Mailbox, Posted};
use parts::Maker;
pub use parts::Part;
use recorded::Recorded;
use source::Source;
pub use watch::AlertSettings;
pub(crate) use watch::ago;

/// Between two looks at the ring.
const POLL: Duration = Duration::from_millis(100);
/// Between two searches for targets.
const SEARCH: Duration = Duration::from_millis(500);

/// What the dashboard asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Follow the target behind this region, or read this recording.
    Attach(PathBuf),
    /// Report the targets there are until the next [`Command::Attach`].
    Search,
    /// This part is looked at.
    Want(Option<Part>),
    /// Look closely at this site.
    Inspect(Option<SiteKey>),
    /// Find the source of a place.
    Source {
        /// File as the symbols name it.
        file: String,
        /// Line from 1.
        line: u32,
    },
    /// Write the target as it is now, or the moment of the recording, for another tool.
    Export {
        /// Format.
        format: Format,
        /// What it shows first.
        metric: Metric,
        /// File; a name is made up when there is none.
        path: Option<PathBuf>,
    },
    /// Leave findings with this function out from now on.
    Ignore(String),
    /// No longer leave out the findings with this function.
    TakeBack(String),
    /// Ask the target for another sampling interval; `None` takes it back.
    Interval(Option<u64>),
    /// Go to a moment of the recording, in seconds from its beginning.
    Seek(f64),
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
    /// What is shown beside the snapshot; the region it is of.
    Parts(PathBuf, Parts),
    /// The target asked for cannot be read (any more).
    Trouble(Trouble),
    /// A process that looks like the one that ended, anew.
    Restarted(TargetInfo),
    /// The whole of a recording in short, and its length in seconds.
    Recording(Box<History>, f64),
    /// A piece of source text.
    Excerpt(Excerpt),
    /// What came of something that was asked for.
    Done(Result<String, String>),
    /// The thread ended though nobody asked it to.
    Died,
}

/// What the thread is told at its start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// File with suppressions, read at the start and written when a finding is ignored.
    pub suppressions: Option<PathBuf>,
    /// Directory for exports without a path.
    pub exports: PathBuf,
    /// Rules of alerts.
    pub alerts: AlertSettings,
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
        options: Options,
        send: impl Fn(Update) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        thread::Builder::new()
            .name("riptide-reader".to_owned())
            .spawn(move || {
                let send = Alarm(send);
                Worker::new(&send.0, options).run(first, &inbox);
            })?;
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

/// Tells the dashboard when the thread panics: it would wait for ever.
struct Alarm<Send: Fn(Update) -> bool>(Send);

impl<Send: Fn(Update) -> bool> Drop for Alarm<Send> {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)(Update::Died);
        }
    }
}

/// What is read.
enum Subject {
    Nothing,
    Target(Box<Followed>),
    Recording(Box<Recorded>),
}

struct Worker<'a, Send> {
    send: &'a Send,
    options: Options,
    suppressions: Suppressions,
    searching: bool,
    last_search: Option<Instant>,
    subject: Subject,
    wanted: Option<Part>,
    inspect: Option<SiteKey>,
}

impl<'a, Send: Fn(Update) -> bool> Worker<'a, Send> {
    fn new(send: &'a Send, options: Options) -> Self {
        Self {
            send,
            options,
            suppressions: Suppressions::default(),
            searching: false,
            last_search: None,
            subject: Subject::Nothing,
            wanted: None,
            inspect: None,
        }
    }

    fn run(mut self, first: Command, inbox: &Receiver<Command>) {
        match files::read_suppressions(self.options.suppressions.as_deref()) {
            Ok(suppressions) => self.suppressions = suppressions,
            Err(problem) => {
                (self.send)(Update::Done(Err(problem)));
            }
        }
        let mut command = Some(first);
        loop {
            if let Some(command) = command.take() {
                self.obey(command);
            }
            // What has piled up is taken in before anything is made.
            while let Ok(command) = inbox.try_recv() {
                self.obey(command);
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

    fn obey(&mut self, command: Command) {
        match command {
            Command::Attach(path) => self.attach(&path),
            Command::Search => {
                self.searching = true;
                self.last_search = None;
            }
            Command::Want(part) => {
                self.wanted = part;
                if let Some(maker) = self.maker() {
                    maker.wanted = part;
                }
            }
            Command::Inspect(key) => {
                self.inspect.clone_from(&key);
                if let Some(maker) = self.maker() {
                    maker.inspect = key;
                    maker.make_anew(Some(Part::Inspected));
                }
            }
            Command::Source { file, line } => {
                let executable = match &self.subject {
                    Subject::Target(followed) => followed.snapshot.target.executable.clone(),
                    Subject::Recording(recorded) => recorded.snapshot.target.executable.clone(),
                    Subject::Nothing => None,
                };
                let excerpt = excerpt::read(&file, line, executable.as_deref());
                (self.send)(Update::Excerpt(excerpt));
            }
            Command::Export {
                format,
                metric,
                path,
            } => self.export(format, metric, path),
            Command::Ignore(function) => {
                self.change_suppressions(|path| files::ignore(path, &function));
            }
            Command::TakeBack(function) => {
                self.change_suppressions(|path| files::take_back(path, &function));
            }
            Command::Interval(interval) => self.ask_for(interval),
            Command::Seek(seconds) => {
                let outcome = match &mut self.subject {
                    Subject::Recording(recorded) => recorded.seek(seconds),
                    _ => Ok(()),
                };
                if let Err(error) = outcome {
                    (self.send)(Update::Trouble(Trouble::from(&error)));
                }
            }
        }
    }

    fn maker(&mut self) -> Option<&mut Maker> {
        match &mut self.subject {
            Subject::Nothing => None,
            Subject::Target(followed) => Some(&mut followed.maker),
            Subject::Recording(recorded) => Some(&mut recorded.maker),
        }
    }

    fn attach(&mut self, path: &Path) {
        self.searching = false;
        // Asked for again: go on where it is, its history included.
        match &mut self.subject {
            Subject::Target(followed) if followed.session.info().region == path => {
                followed.show_again();
                return;
            }
            Subject::Recording(recorded) if recorded.is_of(path) => {
                recorded.show_again();
                return;
            }
            _ => self.subject = Subject::Nothing,
        }
        let mut maker = Maker::new(self.suppressions.clone(), self.options.alerts.clone());
        maker.wanted = self.wanted;
        let opened = if is_recording(path) {
            Recorded::open(path, maker).map(|(recorded, history, length)| {
                (self.send)(Update::Recording(Box::new(history), length));
                Subject::Recording(Box::new(recorded))
            })
        } else {
            Session::attach(path)
                .map(|session| Subject::Target(Box::new(Followed::new(session, maker))))
        };
        match opened {
            Ok(subject) => self.subject = subject,
            Err(error) => {
                (self.send)(Update::Trouble(Trouble::from(&error)));
            }
        }
    }

    fn export(&mut self, format: Format, metric: Metric, path: Option<PathBuf>) {
        let capture = match &mut self.subject {
            Subject::Nothing => return,
            Subject::Target(followed) => Source::capture(&mut followed.session),
            Subject::Recording(recorded) => Source::capture(&mut recorded.replay),
        };
        let done = files::export(&capture, format, metric, path, &self.options.exports);
        (self.send)(Update::Done(done));
    }

    fn change_suppressions(
        &mut self,
        change: impl FnOnce(&Path) -> Result<(String, Suppressions), String>,
    ) {
        let Some(path) = self.options.suppressions.clone() else {
            let problem = "no file for suppressions: set HOME, or `suppressions` in the settings";
            (self.send)(Update::Done(Err(problem.to_owned())));
            return;
        };
        let done = change(&path).map(|(message, suppressions)| {
            self.suppressions = suppressions.clone();
            if let Some(maker) = self.maker() {
                maker.suppressions = suppressions;
                maker.make_anew(Some(Part::Findings));
            }
            message
        });
        (self.send)(Update::Done(done));
    }

    fn ask_for(&mut self, interval: Option<u64>) {
        let Subject::Target(followed) = &self.subject else {
            let problem = "a recording cannot be sampled anew".to_owned();
            (self.send)(Update::Done(Err(problem)));
            return;
        };
        let region = followed.session.info().region;
        let asked = match interval {
            Some(interval) => {
                let until_ns = u64::MAX;
                control::ask(&region, &Control { interval, until_ns })
            }
            None => control::take_back(&region),
        };
        let done = match asked {
            Ok(()) => Ok(interval.map_or_else(
                || "the target goes back to its own sampling interval".to_owned(),
                |bytes| {
                    format!(
                        "asked for one sample in {bytes} bytes; `:interval default` takes it back"
                    )
                },
            )),
            Err(error) => Err(error.to_string()),
        };
        (self.send)(Update::Done(done));
    }

    /// Does what is due; false when nobody listens any more.
    fn step(&mut self) -> bool {
        if self.searching && self.last_search.is_none_or(|last| last.elapsed() >= SEARCH) {
            if !(self.send)(Update::Targets(targets())) {
                return false;
            }
            self.last_search = Some(Instant::now());
        }
        match &mut self.subject {
            Subject::Nothing => true,
            Subject::Target(followed) => followed.step(self.send),
            Subject::Recording(recorded) => recorded.step(self.send),
        }
    }

    /// How long to wait for a command; `None` is for ever.
    fn pause(&self) -> Option<Duration> {
        match &self.subject {
            Subject::Target(followed) if !followed.is_done() => Some(POLL),
            // Not at once, so that keys that come in quick succession are taken in together.
            Subject::Recording(recorded) if !recorded.is_done() => Some(Duration::from_millis(1)),
            Subject::Target(_) => Some(SEARCH_FOR_SUCCESSOR),
            _ if self.searching => Some(SEARCH),
            _ => None,
        }
    }
}
