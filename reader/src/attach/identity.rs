//! Whose region it is, and where that process is in its life.
//!
//! A process is known by pid, start time and boot: pids are reused. An `exec` keeps pid and start
//! time but orphans the region, so where that is possible the process is asked whether it still maps
//! the file.

use std::path::Path;

use riptide_region::header::{Header, State};

use super::process::Proc;
use crate::profile::TargetState;

/// What is known of a region file beside its contents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileFacts<'a> {
    /// Path of the file.
    pub(crate) path: &'a Path,
    /// Inode of the file.
    pub(crate) inode: u64,
}

/// Where a target is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// State by the contract.
    pub(crate) state: TargetState,
    /// The process's pid in the reader's own pid namespace, while it lives.
    pub(crate) host_pid: Option<u32>,
}

/// Finds out where the target of a region is in its life.
///
/// `known_host_pid` is the answer of the last time, which saves a search in other pid namespaces.
pub(crate) fn life(
    proc: &Proc,
    header: &Header,
    region_state: State,
    file: FileFacts<'_>,
    known_host_pid: Option<u32>,
) -> Life {
    let ended = |state| Life {
        state,
        host_pid: None,
    };
    if region_state == State::Exited {
        return ended(TargetState::Exited);
    }
    if header.boot_id != [0; 16]
        && proc
            .boot_id()
            .is_some_and(|boot_id| boot_id != header.boot_id)
    {
        return ended(TargetState::Unknown);
    }
    let host_pid = match locate(proc, header, known_host_pid) {
        Located::Here(pid) => pid,
        Located::Gone => return ended(TargetState::Killed),
        Located::NotVisible => return ended(TargetState::Unknown),
    };
    if orphaned(proc, header, file, host_pid) {
        return ended(TargetState::Killed);
    }
    Life {
        state: TargetState::Live,
        host_pid: Some(host_pid),
    }
}

enum Located {
    Here(u32),
    Gone,
    NotVisible,
}

fn locate(proc: &Proc, header: &Header, known: Option<u32>) -> Located {
    let started = |pid| proc.start_time_ticks(pid) == Some(header.start_time_ticks);
    let same_namespace = header.pid_namespace == 0
        || proc
            .own_namespace("pid")
            .is_none_or(|inode| inode == header.pid_namespace);
    if same_namespace {
        return if started(header.pid) {
            Located::Here(header.pid)
        } else {
            Located::Gone
        };
    }
    let inside = |pid| proc.namespace(pid, "pid") == Some(header.pid_namespace);
    let is_it = |pid| started(pid) && inside(pid) && proc.innermost_pid(pid) == Some(header.pid);
    if let Some(pid) = known.filter(|pid| is_it(*pid)) {
        return Located::Here(pid);
    }
    let inside = proc.pids_of_namespace(header.pid_namespace);
    if inside.is_empty() {
        return Located::NotVisible;
    }
    inside
        .into_iter()
        .find(|pid| is_it(*pid))
        .map_or(Located::Gone, Located::Here)
}

/// Whether the process has replaced itself by `exec` since it made the region.
///
/// Asked only when there is a reason to: another executable, or another region of the same process
/// beside this one. Reading `maps` of a large process takes its lock.
fn orphaned(proc: &Proc, header: &Header, file: FileFacts<'_>, pid: u32) -> bool {
    let other_executable = proc
        .exe(pid)
        .is_some_and(|exe| header.exe_path_len > 0 && exe != header.exe_path());
    if !other_executable && !has_sibling(file.path) {
        return false;
    }
    let name = file.path.file_name().map(|name| name.to_string_lossy());
    proc.maps_inode(pid, file.inode, &name.unwrap_or_default()) == Some(false)
}

/// Whether another region of the same pid and start time lies beside this one.
fn has_sibling(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let Some((process, _)) = name.rsplit_once('-') else {
        return false;
    };
    let Some(entries) = path.parent().and_then(|parent| parent.read_dir().ok()) else {
        return false;
    };
    entries.flatten().any(|entry| {
        entry.file_name().to_str().is_some_and(|other| {
            other != name
                && !other.contains('.')
                && other
                    .strip_prefix(process)
                    .is_some_and(|rest| rest.starts_with('-'))
        })
    })
}

/// Seconds from the start of the process until `end_boottime_ns`.
pub(crate) fn uptime_seconds(header: &Header, end_boottime_ns: u64) -> Option<f64> {
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
    let start = header.start_time_ticks as f64 / ticks_per_second;
    let uptime = end_boottime_ns as f64 / 1e9 - start;
    // A start time is exact to a tick.
    (header.start_time_ticks > 0 && uptime > -1.0).then_some(uptime.max(0.0))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use bytemuck::Zeroable;

    use super::*;

    const BOOT: &str = "00112233-4455-6677-8899-aabbccddeeff";

    /// A `/proc` with one process 7 that started at 500 and runs `/bin/app`.
    struct World {
        root: tempfile::TempDir,
        header: Header,
        region: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let at = |name: &str| root.path().join(name);
            fs::create_dir_all(at("7/ns")).unwrap();
            fs::create_dir_all(at("self/ns")).unwrap();
            fs::create_dir_all(at("sys/kernel/random")).unwrap();
            fs::create_dir_all(at("regions")).unwrap();
            fs::write(at("sys/kernel/random/boot_id"), BOOT).unwrap();
            fs::write(at("self/ns/pid"), "").unwrap();
            fs::hard_link(at("self/ns/pid"), at("7/ns/pid")).unwrap();
            let filler = "0 ".repeat(18);
            fs::write(at("7/stat"), format!("7 (app) S {filler}500 0")).unwrap();
            fs::write(at("7/status"), "NSpid:\t7\n").unwrap();
            std::os::unix::fs::symlink("/bin/app", at("7/exe")).unwrap();
            fs::write(at("7/maps"), "").unwrap();
            let region = at("regions/7-500-a");
            fs::write(&region, "").unwrap();
            let mut header = Header::zeroed();
            header.pid = 7;
            header.start_time_ticks = 500;
            header.boot_id = [
                0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
                0xee, 0xff,
            ];
            header.exe_path[..8].copy_from_slice(b"/bin/app");
            header.exe_path_len = 8;
            let mut world = Self {
                root,
                header,
                region,
            };
            world.header.pid_namespace = world.proc().own_namespace("pid").unwrap();
            world
        }

        fn proc(&self) -> Proc {
            Proc::at(self.root.path())
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.root.path().join(name), text).unwrap();
        }

        fn state(&self, region_state: State) -> TargetState {
            let file = FileFacts {
                path: &self.region,
                inode: 99,
            };
            life(&self.proc(), &self.header, region_state, file, None).state
        }
    }

    #[test]
    fn a_running_process_is_live_and_a_clean_mark_is_exited() {
        let world = World::new();
        assert_eq!(world.state(State::Ready), TargetState::Live);
        assert_eq!(world.state(State::Exited), TargetState::Exited);
    }

    #[test]
    fn a_reused_pid_is_not_the_target() {
        let mut world = World::new();
        world.header.start_time_ticks = 499;
        assert_eq!(world.state(State::Ready), TargetState::Killed);
    }

    #[test]
    fn another_boot_is_unknown() {
        let mut world = World::new();
        world.header.boot_id[0] = 1;
        assert_eq!(world.state(State::Ready), TargetState::Unknown);
    }

    #[test]
    fn a_process_of_another_pid_namespace_is_found_or_unknown() {
        let mut world = World::new();
        world.header.pid = 1;
        world.header.pid_namespace = u64::MAX;
        assert_eq!(world.state(State::Ready), TargetState::Unknown);
        // Process 7 moves to a namespace in which it has pid 1.
        fs::remove_file(world.root.path().join("7/ns/pid")).unwrap();
        world.write("7/ns/pid", "");
        world.header.pid_namespace = world.proc().namespace(7, "pid").unwrap();
        world.write("7/status", "NSpid:\t7\t1\n");
        assert_eq!(world.state(State::Ready), TargetState::Live);
        world.header.start_time_ticks = 1;
        assert_eq!(world.state(State::Ready), TargetState::Killed);
    }

    #[test]
    fn exec_of_another_program_orphans_the_region() {
        let mut world = World::new();
        world.header.exe_path[5] = b'b';
        assert_eq!(world.state(State::Ready), TargetState::Killed);
        world.write(
            "7/maps",
            "7f00-7f01 rw-s 00000000 00:01 99 /dev/shm/r/7-500-a\n",
        );
        assert_eq!(world.state(State::Ready), TargetState::Live);
    }

    #[test]
    fn exec_of_the_same_program_orphans_the_older_region() {
        let world = World::new();
        world.write("regions/7-500-b", "");
        world.write(
            "7/maps",
            "7f00-7f01 rw-s 00000000 00:01 98 /dev/shm/r/7-500-b\n",
        );
        assert_eq!(world.state(State::Ready), TargetState::Killed);
    }

    #[test]
    fn uptime_is_from_the_start_of_the_process() {
        let mut header = Header::zeroed();
        let second = rustix::param::clock_ticks_per_second();
        header.start_time_ticks = 10 * second;
        assert_eq!(uptime_seconds(&header, 12_500_000_000), Some(2.5));
        assert_eq!(uptime_seconds(&header, 1_000_000_000), None);
    }
}
