//! Limit and usage of a process's memory cgroup, versions 1 and 2.
//!
//! A limit may stand on any level up to the root, and the smallest one counts. A group that lies
//! outside what can be seen here (a container) is looked for further up.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::process::Proc;

/// Levels up to the root that are looked at.
const LEVELS_MAX: usize = 32;
/// Version 1 says "no limit" with a number near 2^63.
const NO_LIMIT: u64 = 1 << 60;

/// What a memory cgroup allows and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupMemory {
    /// Version of the hierarchy, 1 or 2.
    pub version: u64,
    /// Smallest limit on the way to the root, in bytes; `None` when there is none.
    pub limit: Option<u64>,
    /// Usage of the process's own group, in bytes.
    pub usage: Option<u64>,
    /// Part of it that the kernel takes back before it kills: pages of files that were not used lately.
    pub reclaimable: Option<u64>,
}

/// The memory cgroup of a process, with the hierarchies mounted below `mounts`; `None` when it
/// cannot be seen.
pub(crate) fn memory_of(proc: &Proc, mounts: &Path, pid: u32) -> Option<CgroupMemory> {
    let text = proc.cgroup(pid)?;
    let mut fields = text
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let version_1 = fields
        .clone()
        .find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    if let Some((_, path)) = version_1 {
        let mount = mounts.join("memory");
        return read(
            1,
            &mount,
            path,
            &Names {
                limit: "memory.limit_in_bytes",
                usage: "memory.usage_in_bytes",
                reclaimable: "total_inactive_file",
            },
        );
    }
    let (_, path) = fields.find(|(controllers, _)| controllers.is_empty())?;
    read(
        2,
        mounts,
        path,
        &Names {
            limit: "memory.max",
            usage: "memory.current",
            reclaimable: "inactive_file",
        },
    )
}

/// What the files of a version are called, and a line of `memory.stat`.
struct Names {
    limit: &'static str,
    usage: &'static str,
    reclaimable: &'static str,
}

fn read(version: u64, mount: &Path, path: &str, of_version: &Names) -> Option<CgroupMemory> {
    let mut memory = CgroupMemory {
        version,
        limit: None,
        usage: None,
        reclaimable: None,
    };
    let names: Vec<&str> = path
        .split('/')
        .filter(|name| !name.is_empty() && *name != "..")
        .take(LEVELS_MAX)
        .collect();
    for depth in (0..=names.len()).rev() {
        let level: PathBuf = std::iter::once(mount)
            .chain(names.iter().take(depth).map(Path::new))
            .collect();
        if memory.usage.is_none() {
            memory.usage = number(&level.join(of_version.usage));
            memory.reclaimable = statistic(&level.join("memory.stat"), of_version.reclaimable);
        }
        let limit = number(&level.join(of_version.limit)).filter(|limit| *limit < NO_LIMIT);
        memory.limit = match (memory.limit, limit) {
            (Some(below), Some(here)) => Some(below.min(here)),
            (below, here) => below.or(here),
        };
    }
    (memory.usage.is_some() || memory.limit.is_some()).then_some(memory)
}

/// A number of a file with one name and number a line.
fn statistic(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, number) = lines.find(|(known, _)| *known == name)?;
    number.trim().parse().ok()
}

/// A file of one number; `max` is none.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_of_version_1_counts() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str, text: &str| write(root.path(), path, text);
        at("proc/7/cgroup", "5:cpu,memory:/a/b\n0::/other\n");
        at("cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
        at("cg/memory/a/memory.limit_in_bytes", "1000\n");
        at(
            "cg/memory/a/b/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        at("cg/memory/a/b/memory.usage_in_bytes", "700\n");
        at("cg/memory/a/memory.usage_in_bytes", "900\n");
        at(
            "cg/memory/a/b/memory.stat",
            "cache 300\ninactive_file 20\ntotal_inactive_file 250\n",
        );
        let proc = Proc::at(&root.path().join("proc"));
        let memory = memory_of(&proc, &root.path().join("cg"), 7).unwrap();
        assert_eq!(memory.version, 1);
        assert_eq!((memory.limit, memory.usage), (Some(1_000), Some(700)));
        assert_eq!(memory.reclaimable, Some(250));
    }

    #[test]
    fn version_2_says_max_for_no_limit() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str, text: &str| write(root.path(), path, text);
        at("proc/7/cgroup", "0::/a\n");
        at("cg/a/memory.max", "max\n");
        at("cg/a/memory.current", "123\n");
        at("cg/a/memory.stat", "file 99\ninactive_file 23\n");
        let proc = Proc::at(&root.path().join("proc"));
        let memory = memory_of(&proc, &root.path().join("cg"), 7).unwrap();
        assert_eq!((memory.version, memory.limit), (2, None));
        assert_eq!((memory.usage, memory.reclaimable), (Some(123), Some(23)));
    }

    /// In a container the path is that of the host, and the mount begins at the container's group.
    #[test]
    fn a_group_that_cannot_be_seen_is_the_next_one_above() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str, text: &str| write(root.path(), path, text);
        at("proc/7/cgroup", "4:memory:/docker/0123\n");
        at("cg/memory/memory.limit_in_bytes", "5000\n");
        at("cg/memory/memory.usage_in_bytes", "4000\n");
        let proc = Proc::at(&root.path().join("proc"));
        let memory = memory_of(&proc, &root.path().join("cg"), 7).unwrap();
        assert_eq!((memory.limit, memory.usage), (Some(5_000), Some(4_000)));
        assert_eq!(memory_of(&proc, &root.path().join("cg"), 8), None);
    }
}
