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
/// Files looked at in one search; more would be somebody filling the directory.
const FILES_MAX: usize = 10_000;

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

/// Region files in `directories` by their names, without a look into them.
pub(crate) fn files(directories: &[PathBuf]) -> Vec<PathBuf> {
    let entries = directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(|entries| entries.flatten());
    entries
        .filter(|entry| entry.file_name().to_str().and_then(parse_name).is_some())
        .take(FILES_MAX)
        .map(|entry| entry.path())
        .collect()
}

/// A target that was found, and where it was found in the reader's own pid namespace.
pub(crate) struct Found {
    pub(crate) discovered: Discovered,
    pub(crate) host_pid: Option<u32>,
}

/// Looks at every region file in `directories`: live targets first, then the newest.
pub(crate) fn search(proc: &Proc, clock: &dyn Clock, directories: &[PathBuf]) -> Vec<Found> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut looked_at = 0;
    for directory in directories {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((pid, start)) = name.to_str().and_then(parse_name) else {
                continue;
            };
            looked_at += 1;
            if looked_at > FILES_MAX {
                break;
            }
            found.extend(look(proc, clock, &entry.path(), (pid, start), &mut seen));
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
    path: &Path,
    (pid, start): (u32, u64),
    seen: &mut HashSet<(u64, u64)>,
) -> Option<Found> {
    let region = match Region::open(path) {
        Ok(region) => region,
        // Gone since the directory was read, or not a region at all.
        Err(
            ReaderError::NoSuchFile { .. }
            | ReaderError::NotAFile { .. }
            | ReaderError::ForeignOwner { .. },
        ) => return None,
        Err(problem) => return Some(unreadable(proc, path, (pid, start), 0, 0, problem)),
    };
    // One shared memory can be mounted in many namespaces.
    if !seen.insert((region.device, region.inode)) {
        return None;
    }
    let view = match region.view() {
        Ok(view) => view,
        Err(problem) => {
            let (bytes, owner) = (region.file_bytes, region.owner);
            return Some(unreadable(proc, path, (pid, start), bytes, owner, problem));
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
    path: &Path,
    (pid, start): (u32, u64),
    file_bytes: u64,
    owner: u32,
    problem: ReaderError,
) -> Found {
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
                region: path.to_owned(),
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

    #[test]
    fn a_configured_directory_is_the_only_one() {
        let directories = directories(&Proc::default(), Some("/some/where".into()));
        assert_eq!(directories, [PathBuf::from("/some/where")]);
    }
}
