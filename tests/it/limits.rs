//! Where there is no room, no leave or no sense in the environment, the program does not notice and
//! `riptide doctor` knows.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Output},
};

use riptide_region::counters::Marking;

use crate::{
    harness::{Directory, Victim, program, riptide, top, victim_command},
    resource_limits::limit,
};

/// The lines that the guest prints when nothing is in its way.
fn plain() -> Vec<String> {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-guest"), directory.path());
    command.env("RIPTIDE", "off");
    let (status, lines) = Victim::start(command).finish();
    assert!(status.success());
    assert!(directory.files().is_empty());
    lines
}

/// Runs the guest with `prepare`d limits, asks the doctor meanwhile, and asserts that the guest did
/// what it always does.
fn guest(
    directory: &Path,
    prepare: impl FnOnce(&mut Command),
    look: impl FnOnce(&Victim) -> Output,
) -> Output {
    let mut command = victim_command(&program("victim-guest"), directory);
    command.env("RIPTIDE_SAMPLE_INTERVAL", "4KiB");
    prepare(&mut command);
    let mut victim = Victim::start(command);
    let first = victim.line();
    let seen = look(&victim);
    let (status, rest) = victim.finish();
    assert!(status.success(), "{status}");
    let mut lines = vec![first];
    lines.extend(rest);
    assert_eq!(lines, plain());
    seen
}

fn doctor(victim: &Victim, directory: &Path) -> Output {
    riptide(
        &["doctor", &victim.pid().to_string()],
        &[("RIPTIDE_DIR", directory.to_str().unwrap())],
    )
}

fn assert_says(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{text}");
    let low = text.to_lowercase();
    assert!(
        words.iter().any(|word| low.contains(&word.to_lowercase())),
        "none of {words:?} in {text}"
    );
}

#[test]
fn off_leaves_nothing() {
    let directory = Directory::new();
    guest(
        directory.path(),
        |command| {
            command.env("RIPTIDE", "off");
        },
        |victim| {
            assert!(directory.files().is_empty());
            doctor(victim, directory.path())
        },
    );
}

#[test]
fn wrong_values_are_told_by_the_doctor_and_never_printed() {
    let directory = Directory::new();
    let seen = guest(
        directory.path(),
        |command| {
            command
                .env("RIPTIDE_SAMPLE_INTERVAL", "64 bananas")
                .env("RIPTIDE_FORK", "spoon")
                .env("RIPTIDE_NO_SUCH_KEY", "1")
                // Small enough for a sample in a short program.
                .env("RIPTIDE_KEEP", "0");
        },
        |victim| {
            directory.region();
            doctor(victim, directory.path())
        },
    );
    assert_says(&seen, &["RIPTIDE_SAMPLE_INTERVAL=64 bananas"]);
    assert_says(&seen, &["RIPTIDE_FORK=spoon"]);
    assert_says(&seen, &["RIPTIDE_NO_SUCH_KEY"]);
}

/// Too little address space for the reserved range.
#[test]
fn little_address_space() {
    let directory = Directory::new();
    guest(
        directory.path(),
        |command| limit(command, libc::RLIMIT_AS, 200 << 20),
        |victim| {
            let region = directory.region();
            let profile = top(&region);
            assert_eq!(profile.state(), "live");
            assert!(profile.live("bytes").estimate > 1e5);
            assert_eq!(crate::ring::marking(&region), Marking::PageAligned);
            doctor(victim, directory.path())
        },
    );
}

/// There, blocks are told by their alignment: every way to allocate, grow and free still works.
#[test]
fn little_address_space_harms_no_block() {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-totals"), directory.path());
    command
        .args(["random", "4", "20000"])
        .env("RIPTIDE_SAMPLE_INTERVAL", "64KiB");
    limit(&mut command, libc::RLIMIT_AS, 1 << 30);
    let mut victim = Victim::start(command);
    assert_eq!(victim.line(), "start");
    victim.say("go");
    let report = victim.report();
    let region = directory.region();
    assert_eq!(crate::ring::marking(&region), Marking::PageAligned);
    let live = top(&region).live("bytes");
    let truth = report["bytes"].as_f64().unwrap();
    println!("{live:?}, truth {truth}");
    assert!(
        (0.5..2.0).contains(&(live.estimate / truth)),
        "{live:?}, {truth}"
    );
    let (status, rest) = victim.finish();
    assert!(status.success());
    assert_eq!(rest, ["done"]);
}

/// A limit of the size of files below the smallest region: no SIGXFSZ, no region.
#[test]
fn small_file_size_limit() {
    let directory = Directory::new();
    let seen = guest(
        directory.path(),
        |command| limit(command, libc::RLIMIT_FSIZE, 256 << 10),
        |victim| {
            assert!(directory.files().is_empty(), "{:?}", directory.files());
            doctor(victim, directory.path())
        },
    );
    assert_says(&seen, &["RLIMIT_FSIZE", "file size"]);
}

/// A limit that leaves room for a small region: it is smaller, and says so.
#[test]
fn file_size_limit_with_room_for_a_small_region() {
    let directory = Directory::new();
    guest(
        directory.path(),
        |command| limit(command, libc::RLIMIT_FSIZE, 2 << 20),
        |victim| {
            let region = directory.region();
            let bytes = fs::metadata(&region).unwrap().len();
            assert!((1 << 20..=2 << 20).contains(&bytes), "{bytes}");
            top(&region);
            doctor(victim, directory.path())
        },
    );
}

#[test]
fn no_such_directory() {
    let directory = Directory::new();
    let missing = directory.path().join("missing/deeper");
    let seen = guest(&missing, |_| {}, |victim| doctor(victim, &missing));
    assert_says(&seen, &["missing/deeper"]);
}

#[test]
fn something_that_is_no_directory() {
    let directory = Directory::new();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let seen = guest(&file, |_| {}, |victim| doctor(victim, &file));
    assert_says(&seen, &["file"]);
    assert_eq!(fs::read(&file).unwrap(), b"");
}

/// Mounts a tmpfs for as long as the value lives.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// Needs root, itself or by sudo; elsewhere it is said aloud.
    fn new(path: &'a Path, options: &str) -> Option<Self> {
        let mounted = as_root(&["mount", "-t", "tmpfs", "-o", options, "tmpfs"], path);
        if !mounted {
            assert!(
                std::env::var_os("RIPTIDE_NO_ROOT").is_some(),
                "mounting a tmpfs needs root; RIPTIDE_NO_ROOT=1 leaves this test out"
            );
            println!("left out: no leave to mount");
        }
        mounted.then_some(Self(path))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        as_root(&["umount", "-l"], self.0);
    }
}

fn as_root(command: &[&str], path: &Path) -> bool {
    let run = |command: &[&str]| {
        let (program, arguments) = command.split_first().unwrap();
        let status = Command::new(program).args(arguments).arg(path).status();
        status.is_ok_and(|status| status.success())
    };
    run(command) || run(&[&["sudo", "-n"], command].concat())
}

#[test]
fn a_read_only_directory() {
    let directory = Directory::new();
    let Some(_mount) = Mount::new(directory.path(), "ro,size=64m") else {
        return;
    };
    let seen = guest(
        directory.path(),
        |_| {},
        |victim| {
            assert!(directory.files().is_empty());
            doctor(victim, directory.path())
        },
    );
    assert_says(&seen, &["read-only", "writable"]);
}

/// A tmpfs of 512 KiB: too small for any region. A sparse file there would be SIGBUS later.
#[test]
fn a_full_directory() {
    let directory = Directory::new();
    let Some(_mount) = Mount::new(directory.path(), "size=512k") else {
        return;
    };
    let seen = guest(
        directory.path(),
        |_| {},
        |victim| {
            assert!(directory.files().is_empty(), "{:?}", directory.files());
            doctor(victim, directory.path())
        },
    );
    assert_says(&seen, &["space", "too small", "full"]);
}

/// A tmpfs of 8 MiB: a quarter of it, no more.
#[test]
fn a_small_directory() {
    let directory = Directory::new();
    let Some(_mount) = Mount::new(directory.path(), "size=8m") else {
        return;
    };
    guest(
        directory.path(),
        |_| {},
        |victim| {
            let region = directory.region();
            let bytes = fs::metadata(&region).unwrap().len();
            assert!((1 << 20..=2 << 20).contains(&bytes), "{bytes}");
            top(&region);
            doctor(victim, directory.path())
        },
    );
}

#[test]
fn a_region_cannot_be_written_by_a_slip() {
    let directory = Directory::new();
    guest(
        directory.path(),
        |_| {},
        |victim| {
            let mode = fs::metadata(directory.region())
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o400);
            doctor(victim, directory.path())
        },
    );
}

/// Without `RIPTIDE_DIR`: a directory of the user's own.
#[test]
fn the_default_directory_is_the_users_own() {
    let mut command = victim_command(&program("victim-guest"), Path::new("/"));
    command
        .env_remove("RIPTIDE_DIR")
        .env("RIPTIDE_SAMPLE_INTERVAL", "4KiB");
    let mut victim = Victim::start(command);
    victim.line();
    let user = fs::metadata("/proc/self").unwrap().uid();
    let directory = format!("/dev/shm/riptide-{user}");
    let mode = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let own = || {
        let start = format!("{}-", victim.pid());
        let files = fs::read_dir(&directory).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&start)).count()
    };
    assert_eq!(own(), 1);
    let pid = victim.pid().to_string();
    let output = riptide(&["top", &pid, "--once", "--json"], &[]);
    assert!(output.status.success(), "{output:?}");
    // Ends by itself, so that nothing stays behind there.
    let (status, _) = victim.finish();
    assert!(status.success());
}
