//! Who a target is: header, state and times put together.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use riptide_region::{counters::Gauge, header::Header, view::View};

use super::{
    identity::{FileFacts, Life, life, uptime_seconds},
    process::Proc,
    region::Region,
};
use crate::{
    clock::Clock,
    profile::{TargetInfo, TargetState},
};

/// A target and where it was found in the reader's own pid namespace.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) info: TargetInfo,
    pub(crate) host_pid: Option<u32>,
}

/// Describes the target of a region as of now.
pub(crate) fn describe(
    region: &Region,
    view: &View<'_>,
    proc: &Proc,
    clock: &dyn Clock,
    known_host_pid: Option<u32>,
) -> Target {
    let header = view.header();
    let file = FileFacts {
        path: region.path(),
        inode: region.inode,
    };
    let Life { state, host_pid } = life(proc, &header, view.state(), file, known_host_pid);
    let now_ns = clock.monotonic_ns();
    let last_sign_ns = last_sign_of_life_ns(view, &header);
    let live = state == TargetState::Live;
    let end_boottime_ns = if live {
        clock.boottime_ns()
    } else if state == TargetState::Unknown {
        // Another boot: how long that machine slept is not known.
        last_sign_ns
    } else {
        let slept_ns = clock.boottime_ns().saturating_sub(now_ns);
        last_sign_ns.saturating_add(slept_ns)
    };
    let info = TargetInfo {
        pid: header.pid,
        name: name_of(&header),
        state,
        region: region.path().to_owned(),
        uptime_seconds: uptime_seconds(&header, end_boottime_ns),
        executable: executable(&header),
        heartbeat_age_seconds: live.then(|| now_ns.saturating_sub(last_sign_ns) as f64 / 1e9),
    };
    Target { info, host_pid }
}

/// Nanoseconds of the region's clock at the last sign of life.
pub(crate) fn last_sign_of_life_ns(view: &View<'_>, header: &Header) -> u64 {
    view.counters
        .gauge(Gauge::HeartbeatNs)
        .max(header.anchor_monotonic_ns)
}

fn executable(header: &Header) -> Option<PathBuf> {
    let path = header.exe_path();
    (!path.is_empty()).then(|| Path::new(OsStr::from_bytes(path)).to_owned())
}

/// The process's name: what the kernel calls it, or else its executable's file name.
fn name_of(header: &Header) -> String {
    let comm = printable(header.comm());
    if !comm.is_empty() {
        return comm;
    }
    let path = executable(header);
    let name = path.as_deref().and_then(Path::file_name);
    name.map_or_else(|| "?".to_owned(), |name| printable(name.as_bytes()))
}

/// Text of a region for a terminal: control characters are replaced, as the bytes are hostile.
pub(crate) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|character| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        })
        .collect()
}
