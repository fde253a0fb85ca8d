//! What the kernel tells about a death, and what the dead leave behind.
//!
//! **Invariants.** Only files that their processes can never need again are removed: regions of
//! processes that are known to be gone in this boot, with their companions, and files that were never
//! finished. What is live or not known stays.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use riptide_region::{control, status::Status};

use crate::{
    attach::{Discovered, process::Proc, region::Region},
    error::ReaderError,
    profile::TargetState,
};

const CGROUPS: &str = "/sys/fs/cgroup";
const TEMPORARY_PREFIX: &str = ".tmp-";
/// A region is made in milliseconds: one that is not finished after so long never will be, whatever
/// pid namespace its process is of.
const NEVER_FINISHED: Duration = Duration::from_secs(60);
/// Levels up to the root that are looked at.
const LEVELS_MAX: usize = 32;

/// Whether the kernel has killed for want of memory in the target's cgroup since the target last
/// looked; `None` when that cannot be told.
#[must_use]
pub fn oom_kill_since(region: &Path) -> Option<bool> {
    let region = Region::open(region).ok()?;
    let status = region.view().ok()?.status();
    oom_kill(&Proc::default(), Path::new(CGROUPS), &status)
}

fn oom_kill(proc: &Proc, mounts: &Path, status: &Status) -> Option<bool> {
    let then = status.cgroup_oom_kills?;
    let (mount, name) = match status.cgroup_version? {
        1 => (mounts.join("memory"), "memory.oom_control"),
        _ => (mounts.to_owned(), "memory.events"),
    };
    let path = status.cgroup_path();
    let path = Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
    if path
        .components()
        .any(|part| !matches!(part, std::path::Component::Normal(_)))
    {
        return None;
    }
    let counted = |group: &Path| oom_kills(&mount.join(group).join(name));
    let now = counted(path).or_else(|| {
        // In a container the path is that of the host, and both ends see the group above. Elsewhere
        // a group above would count the deaths of others.
        let own = proc.cgroup(std::process::id())?;
        let same = own.lines().any(|line| {
            let own = line.splitn(3, ':').nth(2);
            own.is_some_and(|own| Path::new(own) == Path::new("/").join(path))
        });
        let above = path.ancestors().skip(1).take(LEVELS_MAX);
        same.then(|| above.into_iter().find_map(counted)).flatten()
    })?;
    Some(now > then)
}

fn oom_kills(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|number| number.trim().parse().ok())
}

/// A file that was, or could not be, removed.
#[derive(Debug)]
pub struct Removed {
    /// The file.
    pub path: PathBuf,
    /// Bytes of it.
    pub bytes: u64,
    /// Why it is still there.
    pub problem: Option<ReaderError>,
}

/// Whether the files of this target may be removed: it is gone, in this boot.
#[must_use]
pub fn is_dead(target: &Discovered) -> bool {
    target.problem.is_none()
        && matches!(target.info.state, TargetState::Exited | TargetState::Killed)
}

/// Removes the regions of dead targets, what lies beside them, and what was never finished in
/// `directories`.
pub fn prune(targets: &[Discovered], directories: &[PathBuf]) -> Vec<Removed> {
    let mut removed = Vec::new();
    for target in targets.iter().filter(|target| is_dead(target)) {
        let region = &target.info.region;
        let mut companion = region.clone().into_os_string();
        companion.push(control::SUFFIX);
        removed.extend(remove(region));
        removed.extend(remove(Path::new(&companion)));
    }
    let now = SystemTime::now();
    for directory in directories {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        for entry in entries.flatten() {
            if is_never_finished(&entry, now) {
                removed.extend(remove(&entry.path()));
            }
        }
    }
    removed
}

fn is_never_finished(entry: &fs::DirEntry, now: SystemTime) -> bool {
    let name = entry.file_name();
    let named = name.to_str().is_some_and(|name| {
        name.strip_prefix(TEMPORARY_PREFIX).is_some_and(|rest| {
            // `<pid>-<start time>-<nonce>`, as the region would be named.
            let mut parts = rest.splitn(3, '-');
            let is_number =
                |part: Option<&str>| part.is_some_and(|part| part.parse::<u64>().is_ok());
            is_number(parts.next()) && is_number(parts.next())
        })
    });
    named
        && entry.metadata().is_ok_and(|metadata| {
            let age = metadata
                .modified()
                .ok()
                .and_then(|at| now.duration_since(at).ok());
            metadata.is_file() && age.is_some_and(|age| age >= NEVER_FINISHED)
        })
}

fn remove(path: &Path) -> Option<Removed> {
    let bytes = path.symlink_metadata().ok()?.len();
    let problem = match fs::remove_file(path) {
        // Somebody else was quicker.
        Err(source) if source.kind() == io::ErrorKind::NotFound => return None,
        Err(source) => Some(ReaderError::Io {
            operation: "remove",
            path: path.to_owned(),
            source,
        }),
        Ok(()) => None,
    };
    Some(Removed {
        path: path.to_owned(),
        bytes,
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::TargetInfo;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn status(version: u64, path: &[u8], kills: u64) -> Status {
        let mut status = Status::default();
        status.cgroup_version = Some(version);
        status.cgroup_oom_kills = Some(kills);
        status.set_cgroup_path(path);
        status
    }

    #[test]
    fn a_count_that_has_grown_is_an_oom_kill() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "cg/a/memory.events", "oom 3\noom_kill 2\n");
        write(
            root.path(),
            "cg/memory/b/memory.oom_control",
            "under_oom 0\noom_kill 1\n",
        );
        write(root.path(), "cg/memory.events", "oom_kill 9\n");
        let proc = Proc::at(&root.path().join("proc"));
        let mounts = root.path().join("cg");
        let ask =
            |version, path: &[u8], kills| oom_kill(&proc, &mounts, &status(version, path, kills));
        assert_eq!(ask(2, b"/a", 1), Some(true));
        assert_eq!(ask(2, b"/a", 2), Some(false));
        assert_eq!(ask(1, b"/b", 0), Some(true));
        // The group is gone; that above it has counted the deaths of others.
        assert_eq!(ask(2, b"/gone", 1), None);
        assert_eq!(ask(2, b"/../a", 1), None);
        assert_eq!(oom_kill(&proc, &mounts, &Status::default()), None);
    }

    #[test]
    fn only_what_is_dead_or_was_never_finished_goes() {
        let root = tempfile::tempdir().unwrap();
        let states = [
            TargetState::Live,
            TargetState::Exited,
            TargetState::Killed,
            TargetState::Unknown,
        ];
        let mut targets = Vec::new();
        for (number, state) in states.into_iter().enumerate() {
            let name = format!("{number}-5-a");
            write(root.path(), &name, "region");
            write(root.path(), &format!("{name}.control"), "control");
            targets.push(Discovered {
                info: TargetInfo {
                    state,
                    region: root.path().join(name),
                    ..TargetInfo::default()
                },
                problem: None,
                created_realtime_ns: None,
                file_bytes: 0,
                owner: 0,
            });
        }
        let old = SystemTime::now() - Duration::from_secs(3_600);
        for (name, is_old) in [
            (".tmp-7-5-a", true),
            (".tmp-8-5-a", false),
            (".tmp-x", true),
            ("notes", true),
        ] {
            write(root.path(), name, "x");
            if is_old {
                let file = fs::File::open(root.path().join(name)).unwrap();
                file.set_modified(old).unwrap();
            }
        }
        let removed = prune(&targets, &[root.path().to_owned()]);
        assert!(removed.iter().all(|removed| removed.problem.is_none()));
        let mut names: Vec<_> = removed
            .iter()
            .map(|removed| removed.path.file_name().unwrap().to_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                ".tmp-7-5-a",
                "1-5-a",
                "1-5-a.control",
                "2-5-a",
                "2-5-a.control"
            ]
        );
        assert!(removed.iter().all(|removed| !removed.path.exists()));
        for stays in [
            "0-5-a",
            "3-5-a",
            "3-5-a.control",
            ".tmp-8-5-a",
            ".tmp-x",
            "notes",
        ] {
            assert!(root.path().join(stays).exists(), "{stays}");
        }
    }
}
