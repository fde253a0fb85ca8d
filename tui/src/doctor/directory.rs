//! Where regions lie: is it there, whose is it, is it a tmpfs, is there room.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::Check;
use crate::units;

const TMPFS: i64 = 0x0102_1994;
/// What a region takes by default.
const REGION_BYTES: u64 = 16 << 20;
/// Below this the allocator runs without a region.
const REGION_MIN_BYTES: u64 = 1 << 20;

/// Looks at a directory, or at the one above it while it is not there.
#[must_use]
pub fn checks(directory: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    let shown = directory.display();
    let existing = match fs::symlink_metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => {
            checks.push(Check::fail(
                "directory",
                format!("{shown} is not a directory"),
                "remove it, or set RIPTIDE_DIR to a directory on a tmpfs",
            ));
            return checks;
        }
        Ok(metadata) => {
            checks.push(owner(directory, &metadata));
            directory
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            checks.push(Check::ok(
                "directory",
                format!("{shown} is not there yet; the first target makes it"),
            ));
            directory.parent().unwrap_or(Path::new("/"))
        }
        Err(error) => {
            checks.push(Check::fail(
                "directory",
                format!("{shown} cannot be looked at: {error}"),
                "run riptide as the user of the process, or as root",
            ));
            return checks;
        }
    };
    checks.extend(file_system(existing));
    checks
}

fn owner(directory: &Path, metadata: &fs::Metadata) -> Check {
    let mode = metadata.mode() & 0o7777;
    let shown = directory.display();
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Check::fail(
            "directory",
            format!("{shown} has mode {mode:04o}: others may write to it"),
            format!("chmod 0700 {shown}"),
        );
    }
    if let Err(error) = fs::read_dir(directory) {
        return Check::fail(
            "directory",
            format!(
                "{shown} (user {}, mode {mode:04o}) cannot be read: {error}",
                metadata.uid()
            ),
            format!("run as user {}, or as root", metadata.uid()),
        );
    }
    Check::ok(
        "directory",
        format!("{shown}, user {}, mode {mode:04o}", metadata.uid()),
    )
}

fn file_system(path: &Path) -> Vec<Check> {
    let shown = path.display();
    let figures = match rustix::fs::statfs(path) {
        Ok(figures) => figures,
        Err(error) => {
            return vec![Check::warn(
                "file system",
                format!("{shown} cannot be measured: {error}"),
                "run riptide as the user of the process, or as root",
            )];
        }
    };
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the field's type differs between architectures"
    )]
    let kind = figures.f_type as i64;
    let block = u64::try_from(figures.f_bsize).unwrap_or(0);
    let size = figures.f_blocks.saturating_mul(block);
    let free = figures.f_bavail.saturating_mul(block);
    let mut checks = Vec::new();
    checks.push(if kind == TMPFS {
        Check::ok("file system", format!("{shown} is on a tmpfs"))
    } else {
        Check::warn(
            "file system",
            format!("{shown} is not on a tmpfs: writeback can stall threads of the program"),
            "use /dev/shm, or mount a tmpfs and point RIPTIDE_DIR to it (Kubernetes: emptyDir with \
             medium: Memory)",
        )
    });
    let room = format!(
        "{} free of {}",
        units::bytes(free as f64),
        units::bytes(size as f64)
    );
    // A region takes at most a quarter of what is free.
    checks.push(if free / 4 >= REGION_BYTES {
        Check::ok("room", room)
    } else if free / 4 >= REGION_MIN_BYTES {
        Check::warn(
            "room",
            format!(
                "{room}: a new region gets {} instead of {}",
                units::bytes((free / 4) as f64),
                units::bytes(REGION_BYTES as f64)
            ),
            "enlarge it (docker run --shm-size=256m) or remove the regions of dead processes",
        )
    } else {
        Check::fail(
            "room",
            format!("{room}: too little for a region, new processes run without"),
            "enlarge it (docker run --shm-size=256m) or remove the regions of dead processes",
        )
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_directory_that_is_not_there_is_measured_by_the_one_above() {
        let checks = checks(Path::new("/dev/shm/riptide-no-such"));
        assert_eq!(checks[0].status, Status::Ok);
        assert_eq!(checks.len(), 3);
    }

    #[test]
    fn a_file_is_no_directory() {
        assert_eq!(checks(Path::new("/proc/self/comm"))[0].status, Status::Fail);
    }
}
