//! Finds region files: in the caller's directory, and in those of other mount namespaces.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use super::{
    Discovered,
    process::Proc,
    region::Region,
    target::{Target, describe},
};
use crate::{
    clock::Clock,
    error::ReaderError,
    profile::{TargetInfo, TargetState},
};

const SHARED_MEMORY: &str = "dev/shm";
const DIRECTORY_PREFIX: &str = "riptide-";
/// Files of one directory that a search looks into: more are left over from thousands of deaths, or somebody
/// fills the directory.
pub(crate) const FILES_MAX: usize = 10_000;
/// Names of one directory that are read at all.
const NAMES_MAX: usize = 1 << 20;

/// Directories in which regions of the caller may lie, each once, the nearest first.
pub(crate) fn directories(proc: &Proc, configured: Option<OsString>) -> Vec<PathBuf> {
    if let Some(directory) = configured.filter(|directory| !directory.is_empty()) {
        return vec![directory.into()];
    }
    let mut directories = riptide_directories(Path::new("/"));
    let mut seen: HashSet<_> = proc.own_namespace("mnt").into_iter().collect();
    for pid in proc.pids() {
        if let Some(namespace) = proc.namespace(pid, "mnt")
            && seen.insert(namespace)
        {
            directories.extend(riptide_directories(&proc.root_of(pid)));
        }
    }
    directories
}

/// `riptide-<uid>` below `/dev/shm` of a root directory: the caller's own, or everybody's for root.
fn riptide_directories(root: &Path) -> Vec<PathBuf> {
    let shared_memory = root.join(SHARED_MEMORY);
    let caller = geteuid();
    if !caller.is_root() {
        let own = shared_memory.join(format!("{DIRECTORY_PREFIX}{}", caller.as_raw()));
        return vec![own];
    }
    let Ok(entries) = fs::read_dir(shared_memory) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let is_ours = entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_prefix(DIRECTORY_PREFIX))
                .is_some_and(|uid| uid.parse::<u32>().is_ok());
            // `file_type` does not follow links.
            is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir())
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Pid and start time in the name of a region file: `<pid>-<starttime>-<nonce>`.
///
/// Temporary names begin with a dot, companions (control files) have one further on.
fn parse_name(name: &str) -> Option<(u32, u64)> {
    if name.contains('.') {
        return None;
    }
    let mut parts = name.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    let start = parts.next()?.parse().ok()?;
    (!parts.next()?.is_empty()).then_some((pid, start))
}

/// A region file by its name.
struct Named {
    path: PathBuf,
    pid: u32,
    start: u64,
}

/// Region files of a directory, and how many more there are: of too many those stay whose process runs, and
/// then the newest. A process in another pid namespace is not known by its name, so it stays by its age.
fn named(proc: &Proc, directory: &Path) -> (Vec<Named>, usize) {
    let Ok(entries) = fs::read_dir(directory) else {
        return (Vec::new(), 0);
    };
    let mut files: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let (pid, start) = parse_name(entry.file_name().to_str()?)?;
            Some(Named {
                path: entry.path(),
                pid,
                start,
            })
        })
        .take(NAMES_MAX)
        .collect();
    let left_out = files.len().saturating_sub(FILES_MAX);
    if left_out > 0 {
        files.sort_by_cached_key(|file| {
            let runs = proc.start_time_ticks(file.pid) == Some(file.start);
            let modified = file.path.symlink_metadata().and_then(|of| of.modified());
            (!runs, std::cmp::Reverse(modified.ok()))
        });
        files.truncate(FILES_MAX);
    }
    (files, left_out)
}

/// Region files in `directories` by their names, without a look into them, and how many more there are.
pub(crate) fn files(proc: &Proc, directories: &[PathBuf]) -> (Vec<PathBuf>, usize) {
    let mut paths = Vec::new();
    let mut left_out = 0;
    for directory in directories {
        let (files, more) = named(proc, directory);
        paths.extend(files.into_iter().map(|file| file.path));
        left_out += more;
    }
    (paths, left_out)
}

/// A target that was found, and where it was found in the reader's own pid namespace.
pub(crate) struct Found {
    pub(crate) discovered: Discovered,
    pub(crate) host_pid: Option<u32>,
}

/// Looks at the region files in `directories`: live targets first, then the newest.
pub(crate) fn search(proc: &Proc, clock: &dyn Clock, directories: &[PathBuf]) -> Vec<Found> {
    let proc = proc.with_namespaces();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for directory in directories {
        for file in named(&proc, directory).0 {
            found.extend(look(&proc, clock, &file, &mut seen));
        }
    }
    found.sort_by_key(|found| {
        let discovered = &found.discovered;
        (
            discovered.info.state != TargetState::Live,
            std::cmp::Reverse(discovered.created_realtime_ns),
        )
    });
    found
}

fn look(
    proc: &Proc,
    clock: &dyn Clock,
    file: &Named,
    seen: &mut HashSet<(u64, u64)>,
) -> Option<Found> {
    let region = match Region::open(&file.path) {
        Ok(region) => region,
        // Gone since the directory was read, or not a region at all.
        Err(
            ReaderError::NoSuchFile { .. }
            | ReaderError::NotAFile { .. }
            | ReaderError::ForeignOwner { .. },
        ) => return None,
        Err(problem) => return Some(unreadable(proc, file, 0, 0, problem)),
    };
    // One shared memory can be mounted in many namespaces.
    if !seen.insert((region.device, region.inode)) {
        return None;
    }
    let view = match region.view() {
        Ok(view) => view,
        Err(problem) => {
            let (bytes, owner) = (region.file_bytes, region.owner);
            return Some(unreadable(proc, file, bytes, owner, problem));
        }
    };
    let Target { info, host_pid } = describe(&region, &view, proc, clock, None);
    Some(Found {
        discovered: Discovered {
            info,
            problem: None,
            created_realtime_ns: Some(view.header().anchor_realtime_ns),
            file_bytes: region.file_bytes,
            owner: region.owner,
        },
        host_pid,
    })
}

/// What the name of a file tells when the file itself does not.
fn unreadable(
    proc: &Proc,
    file: &Named,
    file_bytes: u64,
    owner: u32,
    problem: ReaderError,
) -> Found {
    let (pid, start) = (file.pid, file.start);
    let lives = proc.start_time_ticks(pid) == Some(start);
    let name = lives.then(|| proc.comm(pid)).flatten();
    Found {
        discovered: Discovered {
            info: TargetInfo {
                pid,
                name: name.unwrap_or_else(|| "?".to_owned()),
                state: if lives {
                    TargetState::Live
                } else {
                    TargetState::Unknown
                },
                region: file.path.clone(),
                ..TargetInfo::default()
            },
            problem: Some(problem),
            created_realtime_ns: None,
            file_bytes,
            owner,
        },
        host_pid: lives.then_some(pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_regions_are_told_from_others() {
        assert_eq!(parse_name("12-345-9f"), Some((12, 345)));
        assert_eq!(parse_name("12-345-9f-x"), Some((12, 345)));
        for name in [
            "",
            "12",
            "12-345",
            "12-345-",
            ".12-345-9f",
            "12-345-9f.set",
            "a-b-c",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    /// Thousands of files before it in the directory, and one that is newer: what runs is looked into.
    #[test]
    fn of_too_many_files_those_stay_whose_process_runs() {
        let root = tempfile::tempdir().unwrap();
        let regions = root.path().join("regions");
        fs::create_dir(&regions).unwrap();
        let filler = "0 ".repeat(18);
        fs::create_dir_all(root.path().join("proc/7")).unwrap();
        let stat = format!("7 (app) S {filler}500 0");
        fs::write(root.path().join("proc/7/stat"), stat).unwrap();
        let file = fs::File::create(regions.join("7-500-a")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        for number in 0..FILES_MAX + 2 {
            fs::File::create(regions.join(format!("7-{number}-b"))).unwrap();
        }
        // The same pid at another time.
        fs::remove_file(regions.join("7-500-b")).unwrap();
        let oldest = fs::File::open(regions.join("7-3-b")).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        oldest.set_modified(long_ago).unwrap();
        let proc = Proc::at(&root.path().join("proc"));
        let (files, left_out) = files(&proc, std::slice::from_ref(&regions));
        assert_eq!((files.len(), left_out), (FILES_MAX, 2));
        assert_eq!(files[0], regions.join("7-500-a"));
        assert!(!files.contains(&regions.join("7-3-b")));
    }

    #[test]
    fn a_configured_directory_is_the_only_one() {
        let directories = directories(&Proc::default(), Some("/some/where".into()));
        assert_eq!(directories, [PathBuf::from("/some/where")]);
    }
}
