//! A process: does it run riptide, and if not, why not; may it be looked at; how is jemalloc set.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::Check;

/// Name of the mapping that the shim leaves when it could not make a region.
const OFF_MARK: &str = "memfd:riptide-off:";

/// What `/proc/PID` tells.
#[derive(Debug, Default)]
pub struct ProcessFacts {
    /// The process.
    pub pid: u32,
    /// Whether there is one.
    pub exists: bool,
    /// `comm`.
    pub name: String,
    /// Real user id.
    pub uid: Option<u32>,
    /// The environment it was started with; `None` when it may not be read.
    pub environment: Option<HashMap<String, String>>,
    /// The mappings; `None` when they may not be read.
    pub maps: Option<String>,
    /// Pid namespace.
    pub pid_namespace: Option<PathBuf>,
    /// User namespace.
    pub user_namespace: Option<PathBuf>,
    /// The program.
    pub executable: Option<PathBuf>,
}

impl ProcessFacts {
    /// Reads them.
    #[must_use]
    pub fn read(pid: u32) -> Self {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        let Ok(metadata) = fs::metadata(&directory) else {
            return Self {
                pid,
                ..Self::default()
            };
        };
        Self {
            pid,
            exists: true,
            name: fs::read_to_string(directory.join("comm"))
                .map(|name| name.trim_end().to_owned())
                .unwrap_or_default(),
            uid: Some(metadata.uid()),
            environment: fs::read(directory.join("environ"))
                .ok()
                .map(|bytes| parse_environment(&bytes)),
            maps: read_lossy(&directory.join("maps")).ok(),
            pid_namespace: fs::read_link(directory.join("ns/pid")).ok(),
            user_namespace: fs::read_link(directory.join("ns/user")).ok(),
            executable: fs::read_link(directory.join("exe")).ok(),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.as_ref()?.get(name).map(String::as_str)
    }
}

fn read_lossy(path: &Path) -> io::Result<String> {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn parse_environment(bytes: &[u8]) -> HashMap<String, String> {
    bytes
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let text = String::from_utf8_lossy(entry);
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Why the shim made no region, as it left it in the mappings.
#[must_use]
pub fn off_reason(maps: &str) -> Option<&str> {
    let at = maps.find(OFF_MARK)? + OFF_MARK.len();
    let rest = maps.get(at..)?;
    let end = rest
        .find(|letter: char| letter.is_whitespace())
        .unwrap_or(rest.len());
    rest.get(..end).filter(|reason| !reason.is_empty())
}

/// Whether the mappings show a region.
#[must_use]
pub fn maps_region(maps: &str, pid: u32) -> Option<&str> {
    maps.lines().find_map(|line| {
        let path = line.get(line.find('/')?..)?;
        let file = path.rsplit('/').next()?;
        let mut parts = file.split('-');
        let is_region = parts.next()?.parse() == Ok(pid)
            && parts.next()?.parse::<u64>().is_ok()
            && parts.next().is_some();
        is_region.then_some(path)
    })
}

/// Why a running process has no region that was found; each answer with its fix.
#[must_use]
pub fn why_no_region(facts: &ProcessFacts) -> Check {
    const NAME: &str = "region";
    let pid = facts.pid;
    let Some(maps) = &facts.maps else {
        return Check::fail(
            NAME,
            format!("process {pid} belongs to another user and may not be looked at"),
            "run riptide as the user of the process, or as root",
        );
    };
    if facts.variable("RIPTIDE") == Some("off") {
        return Check::fail(
            NAME,
            "the process was started with RIPTIDE=off",
            "start it without this variable",
        );
    }
    if let Some(reason) = off_reason(maps) {
        return Check::fail(
            NAME,
            format!(
                "the allocator could not make a region: {}",
                reason.replace('-', " ")
            ),
            fix_for(reason),
        );
    }
    if let Some(path) = maps_region(maps, pid) {
        let deleted = path.ends_with("(deleted)");
        let path = path.trim_end_matches(" (deleted)");
        return if deleted {
            Check::fail(
                NAME,
                format!("{path} was deleted while the process runs"),
                "restart the process; `riptide` itself never deletes the region of a live one",
            )
        } else {
            Check::fail(
                NAME,
                format!("the process maps {path}, where riptide does not look"),
                format!(
                    "give the path itself, or set RIPTIDE_DIR={}",
                    Path::new(path).parent().unwrap_or(Path::new("/")).display()
                ),
            )
        };
    }
    Check::fail(
        NAME,
        format!(
            "process {pid} ({}) has no region: it does not use riptide-alloc, or has not allocated \
             enough for a first sample yet",
            facts.name
        ),
        "make riptide_alloc::Riptide its #[global_allocator] and rebuild; with it, a first sample \
         comes after about 512 KiB of allocations (RIPTIDE_SAMPLE_INTERVAL)",
    )
}

fn fix_for(reason: &str) -> String {
    match reason {
        "directory-not-usable" => {
            "the directory must belong to the user of the process with mode 0700: check \
             /dev/shm/riptide-UID or RIPTIDE_DIR"
        }
        "file-system-full" => "free room in /dev/shm, or enlarge it (docker run --shm-size=256m)",
        "cgroup-limit-near" => {
            "raise the memory limit of the cgroup, or set RIPTIDE_REGION_SIZE=1MiB"
        }
        "file-size-limit" => "raise RLIMIT_FSIZE (ulimit -f)",
        "address-space-limit" => "raise RLIMIT_AS (ulimit -v)",
        "file-not-created" | "file-not-allocated" => {
            "check that the directory is writable and on a tmpfs with room: /dev/shm or RIPTIDE_DIR"
        }
        "file-not-mapped" | "no-memory" => "the process is out of memory or address space",
        _ => "check RIPTIDE_DIR, room in /dev/shm and the limits of the process",
    }
    .to_owned()
}

/// Same user, same namespaces.
#[must_use]
pub fn access(facts: &ProcessFacts, own: &ProcessFacts) -> Vec<Check> {
    let mut checks = Vec::new();
    match (facts.uid, own.uid) {
        (Some(theirs), Some(ours)) if theirs == ours => {
            checks.push(Check::ok("user", format!("same user, {ours}")));
        }
        (Some(theirs), Some(0)) => {
            checks.push(Check::ok("user", format!("user {theirs}, read as root")));
        }
        (Some(theirs), Some(ours)) => checks.push(Check::fail(
            "user",
            format!("the process belongs to user {theirs}, this is user {ours}"),
            format!("run as that user: sudo -u '#{theirs}' riptide …"),
        )),
        _ => {}
    }
    let namespaces = [
        ("pid namespace", &facts.pid_namespace, &own.pid_namespace),
        ("user namespace", &facts.user_namespace, &own.user_namespace),
    ];
    for (name, theirs, ours) in namespaces {
        match (theirs, ours) {
            (Some(theirs), Some(ours)) if theirs == ours => {
                checks.push(Check::ok(name, "the same"))
            }
            (Some(_), Some(_)) => checks.push(Check::warn(
                name,
                "the process lives in another one: its pid there differs from the pid here",
                "run riptide inside the container, or give the region by its path",
            )),
            _ => checks.push(Check::warn(
                name,
                "not visible",
                "run riptide as the user of the process, or as root",
            )),
        }
    }
    checks
}

/// How jemalloc is set by the environment.
#[must_use]
pub fn jemalloc_options(facts: &ProcessFacts) -> Check {
    const NAME: &str = "jemalloc options";
    if facts.environment.is_none() {
        return Check::warn(
            NAME,
            "the environment of the process may not be read",
            "run riptide as the user of the process, or as root",
        );
    }
    match (
        facts.variable("_RJEM_MALLOC_CONF"),
        facts.variable("MALLOC_CONF"),
    ) {
        (Some(options), _) => {
            let costly: Vec<&str> = options
                .split(',')
                .filter(|option| {
                    [
                        "cache_oblivious:false",
                        "retain:false",
                        "tcache:false",
                        "junk:",
                    ]
                    .iter()
                    .any(|costly| option.trim().starts_with(costly))
                })
                .collect();
            if costly.is_empty() {
                Check::ok(NAME, format!("_RJEM_MALLOC_CONF={options}"))
            } else {
                Check::warn(
                    NAME,
                    format!("_RJEM_MALLOC_CONF={options}"),
                    format!(
                        "{} costs speed: leave it out unless it was measured",
                        costly.join(", ")
                    ),
                )
            }
        }
        (None, Some(options)) => Check::warn(
            NAME,
            format!("MALLOC_CONF={options} has no effect: Rust's jemalloc has prefixed names"),
            "set _RJEM_MALLOC_CONF instead",
        ),
        (None, None) => Check::ok(NAME, "defaults"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn facts(environment: &[(&str, &str)], maps: &str) -> ProcessFacts {
        ProcessFacts {
            pid: 7,
            exists: true,
            name: "service".to_owned(),
            uid: Some(1_000),
            environment: Some(
                environment
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            maps: Some(maps.to_owned()),
            ..ProcessFacts::default()
        }
    }

    #[test]
    fn each_reason_for_no_region_is_told_apart() {
        let line = |name: &str| format!("7f00-7f01 r--s 00000000 00:01 99    {name}\n");
        let cases = [
            (facts(&[("RIPTIDE", "off")], ""), "RIPTIDE=off"),
            (
                facts(&[], &line("/memfd:riptide-off:file-system-full (deleted)")),
                "file system full",
            ),
            (
                facts(&[], &line("/run/x/7-123-ab")),
                "where riptide does not look",
            ),
            (
                facts(&[], &line("/dev/shm/riptide-0/7-123-ab (deleted)")),
                "was deleted",
            ),
            (
                facts(&[], &line("/usr/lib/libc.so.6")),
                "does not use riptide-alloc",
            ),
            (
                ProcessFacts {
                    pid: 7,
                    exists: true,
                    ..ProcessFacts::default()
                },
                "another user",
            ),
        ];
        for (facts, part) in cases {
            let check = why_no_region(&facts);
            assert_eq!(check.status, Status::Fail);
            assert!(check.detail.contains(part), "{}", check.detail);
            assert!(check.fix.is_some());
        }
    }

    #[test]
    fn options_under_the_wrong_name_are_pointed_out() {
        let wrong = jemalloc_options(&facts(&[("MALLOC_CONF", "narenas:2")], ""));
        assert_eq!(wrong.status, Status::Warn);
        let right = jemalloc_options(&facts(&[("_RJEM_MALLOC_CONF", "narenas:2")], ""));
        assert_eq!(right.status, Status::Ok);
        let costly = jemalloc_options(&facts(&[("_RJEM_MALLOC_CONF", "retain:false")], ""));
        assert_eq!(costly.status, Status::Warn);
    }
}
