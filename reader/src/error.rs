//! What can go wrong between a user's words and a profile: one enum, each case naming the thing,
//! with an exit code and a line that says what to try.

use std::{io, path::PathBuf};

use riptide_region::view::ViewError;

/// Why a target cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// No region file anywhere that was looked at.
    #[error("no riptide targets found (looked in {})", join_paths(.searched))]
    NoTargets {
        /// Directories that were searched.
        searched: Vec<PathBuf>,
    },
    /// More than one target fits.
    #[error("several targets fit{}: {}", for_spec(.spec), .candidates.join(", "))]
    SeveralTargets {
        /// What was asked for, if anything.
        spec: Option<String>,
        /// One description for each candidate: `name (pid 1234, live)`.
        candidates: Vec<String>,
    },
    /// A process that runs without riptide.
    #[error("process {pid} runs, but not with riptide as its allocator")]
    NotInstrumented {
        /// The process.
        pid: u32,
    },
    /// No such process, and no region of one.
    #[error("there is no process {pid}, and no region of one")]
    NoSuchProcess {
        /// What was asked for.
        pid: u32,
    },
    /// Neither a target of this name nor a file.
    #[error("no target is named \"{name}\"{}", known_names(.known))]
    NoSuchName {
        /// What was asked for.
        name: String,
        /// Names of the targets there are.
        known: Vec<String>,
    },
    /// The region file does not exist.
    #[error("{} does not exist", .path.display())]
    NoSuchFile {
        /// The file.
        path: PathBuf,
    },
    /// The path leads to something that is not a plain file.
    #[error("{} is not a regular file ({what})", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file belongs to another user.
    #[error("{} belongs to user {owner}, and this is user {caller}", .path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// User id of its owner.
        owner: u32,
        /// User id of the caller.
        caller: u32,
    },
    /// The operating system refused.
    #[error("cannot {operation} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a region that can be read.
    #[error("{}: {}", .path.display(), describe(.error))]
    Region {
        /// The file.
        path: PathBuf,
        /// In which way.
        error: ViewError,
    },
    /// The file lost pages while it was mapped.
    #[error("{} was truncated while it was being read", .path.display())]
    TruncatedWhileMapped {
        /// The file.
        path: PathBuf,
    },
    /// A recording of another version of the format.
    #[error(
        "{} is a recording of version {version}, and this reader knows {}",
        .path.display(),
        crate::recording::VERSION
    )]
    RecordingVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Nothing of a recording can be read.
    #[error("{} is a recording that cannot be read: {what}", .path.display())]
    RecordingDamaged {
        /// The file.
        path: PathBuf,
        /// In which way.
        what: String,
    },
    /// A moment behind the end of a recording.
    #[error("{} is {seconds:.0} s long", .path.display())]
    RecordingTooShort {
        /// The file.
        path: PathBuf,
        /// From its first to its last look.
        seconds: f64,
    },
    /// More regions are mapped at once than the fault handler can guard.
    #[error("cannot map {}: {limit} regions are open already", .path.display())]
    TooManyRegions {
        /// The file.
        path: PathBuf,
        /// How many can be open.
        limit: usize,
    },
}

impl ReaderError {
    /// The exit code that a command ends with: 2 usage, 3 no such target, 4 ABI, 5 I/O.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SeveralTargets { .. } | Self::RecordingTooShort { .. } => 2,
            Self::NoTargets { .. }
            | Self::NotInstrumented { .. }
            | Self::NoSuchProcess { .. }
            | Self::NoSuchName { .. }
            | Self::NoSuchFile { .. } => 3,
            Self::Region {
                error: ViewError::UnsupportedAbi { .. } | ViewError::ForeignMachine,
                ..
            }
            | Self::RecordingVersion { .. } => 4,
            Self::RecordingDamaged { .. }
            | Self::NotAFile { .. }
            | Self::ForeignOwner { .. }
            | Self::Io { .. }
            | Self::Region { .. }
            | Self::TruncatedWhileMapped { .. }
            | Self::TooManyRegions { .. } => 5,
        }
    }

    /// What to try, in one line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoTargets { .. } => {
                "start a program that uses riptide_alloc::Riptide as its global allocator, or try \
                 `riptide demo`; set RIPTIDE_DIR if the program does"
                    .into()
            }
            Self::SeveralTargets { .. } => {
                "name one by its pid or by the path of its region (see `riptide list`)".into()
            }
            Self::NotInstrumented { pid } => format!(
                "add riptide-alloc to it and start it without RIPTIDE=off; if it uses another \
                 RIPTIDE_DIR (`tr '\\0' '\\n' </proc/{pid}/environ`), set the same here"
            ),
            Self::NoSuchProcess { .. } | Self::NoSuchName { .. } => {
                "`riptide list` shows the targets there are".into()
            }
            Self::NoSuchFile { .. } => {
                "check the path; a process that ends cleanly removes its region unless RIPTIDE_KEEP \
                 is set"
                    .into()
            }
            Self::NotAFile { .. } => "give the path of the region file itself".into(),
            Self::ForeignOwner { owner, .. } => {
                format!("run as user {owner} (`sudo -u '#{owner}' riptide …`) or as root")
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    "run as the user of the process, or as root".into()
                }
                _ => "check the file and the file system it lies on".into(),
            },
            Self::Region { error, .. } => match error {
                ViewError::UnsupportedAbi { .. } => {
                    "use the riptide of the same release as the program's riptide-alloc".into()
                }
                ViewError::ForeignMachine => {
                    "read it on a machine of the same byte order and word size".into()
                }
                ViewError::NotReady => {
                    "the process is still starting (try again), or died while it made the file, \
                     which may then be deleted"
                        .into()
                }
                _ => "check that the file is a riptide region and was copied whole".into(),
            },
            Self::TruncatedWhileMapped { .. } => {
                "somebody cut the file; restart the program to get a new region".into()
            }
            Self::RecordingVersion { .. } => {
                "use the riptide of the release that recorded it".into()
            }
            Self::RecordingDamaged { .. } => "check that the file was copied whole".into(),
            Self::RecordingTooShort { .. } => "name a moment within it: --at 10s".into(),
            Self::TooManyRegions { .. } => "follow fewer targets with one reader".into(),
        }
    }
}

fn join_paths(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}

fn for_spec(spec: &Option<String>) -> String {
    spec.as_ref()
        .map_or_else(String::new, |spec| format!(" \"{spec}\""))
}

fn known_names(known: &[String]) -> String {
    if known.is_empty() {
        " (there are no targets)".into()
    } else {
        format!(" (there is {})", known.join(", "))
    }
}

/// What is wrong with a region, in words.
fn describe(error: &ViewError) -> String {
    match error {
        ViewError::NotARegion => "not a riptide region".into(),
        ViewError::NotReady => "the region was never opened by its process".into(),
        ViewError::Truncated { expected, actual } => {
            format!("truncated: {actual} of {expected} bytes are there")
        }
        ViewError::ForeignMachine => {
            "made on a machine with another byte order or word size".into()
        }
        ViewError::UnsupportedAbi { major, minor } => format!(
            "region format {major}.{minor} is not supported (this reader knows {}.x)",
            riptide_region::header::ABI_MAJOR
        ),
        ViewError::BadSection { kind } => format!("damaged: section {kind:?} is out of bounds"),
        ViewError::MissingSection { kind } => format!("damaged: section {kind:?} is missing"),
    }
}
