//! Somebody who means no good writes what riptide reads: over and over while it is read, as another user,
//! by links. Commands answer or refuse, in the end, and what they print is whole.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::{
        fs::{FileExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use riptide_tests::victim::Numbers;
use serde_json::Value;

use crate::{
    harness::{
        Directory, assert_refused, clean_command, long, riptide, riptide_path, seed, tally,
        wait_for,
    },
    record::recorded,
    refusals::copied_region,
};

const COMMANDS: [&[&str]; 9] = [
    &["top", "FILE", "--once", "--json"],
    &["top", "FILE", "--once"],
    &["leaks", "FILE", "--for", "0.2", "--json", "--all"],
    &["memory", "FILE", "--json"],
    &["export", "FILE", "--format", "json", "-o", "-"],
    &["export", "FILE", "--format", "pprof", "-o", "-"],
    &["export", "FILE", "--format", "html", "-o", "-"],
    &["advise", "FILE", "--for", "0.1", "--json"],
    &["diff", "FILE", "FILE", "--json"],
];

/// Runs a command to its end, which has to come.
fn answered(command: &[&str], file: &Path, directory: &Directory) -> Output {
    let arguments = command.iter().map(|word| match *word {
        "FILE" => file.as_os_str(),
        word => word.as_ref(),
    });
    let out = |name: &str| File::create(directory.path().join(name)).unwrap();
    let mut child = clean_command(riptide_path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out("stdout"))
        .stderr(out("stderr"))
        .spawn()
        .unwrap();
    let status = wait_for(&format!("the end of {command:?}"), || {
        child.try_wait().unwrap()
    });
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    Output {
        status,
        stdout: read("stdout"),
        stderr: read("stderr"),
    }
}

/// An answer that is whole, or a refusal that is clear.
fn check(command: &[&str], output: &Output) -> i32 {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!message.contains("panicked"), "{command:?}: {message}");
    assert!(message.lines().count() <= 6, "{command:?}: {message}");
    let code = output.status.code();
    match code {
        Some(0) => {
            if command.contains(&"--json") || command.contains(&"json") {
                let document: Result<Value, _> = serde_json::from_slice(&output.stdout);
                assert!(document.is_ok(), "{command:?}: {document:?}");
            }
        }
        Some(3..=5) => assert!(message.contains("error:"), "{command:?}: {message}"),
        _ => panic!("{command:?}: {output:?}"),
    }
    code.unwrap()
}

/// Runs all commands over `file` while `write` is called again and again by somebody else.
fn while_written(name: &str, file: &Path, mut write: impl FnMut(&mut Numbers, &File) + Send) {
    let scratch = Directory::new();
    let mut numbers = Numbers::new(seed(name));
    let stop = AtomicBool::new(false);
    let handle = OpenOptions::new().write(true).open(file).unwrap();
    let mut codes = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                write(&mut numbers, &handle);
            }
        });
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..if long() { 100 } else { 2 } {
                for command in COMMANDS {
                    codes.push(check(command, &answered(command, file, &scratch)));
                }
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = ran {
            std::panic::resume_unwind(panic);
        }
    });
    println!("{name}: {:?}", tally(codes.into_iter()));
}

/// A word somewhere in the file; every other time in the first pages, where header and heads of tables are.
fn scribble(numbers: &mut Numbers, file: &File, bytes: usize) {
    for _ in 0..64 {
        let most = if numbers.below(2) == 0 { 8_192 } else { bytes };
        // The magic number stays, or nothing would be read.
        let at = 8 + numbers.below(most / 8 - 1) * 8;
        let high = numbers.below(1 << 32) as u64;
        let value = match numbers.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << (high % 64),
            _ => high << 32 | numbers.below(1 << 32) as u64,
        };
        file.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
    }
}

#[test]
fn a_region_that_is_written_over_in_a_loop_is_read_or_refused() {
    let directory = Directory::new();
    let region = copied_region(&directory, "2MiB");
    let good = fs::read(&region).unwrap();
    let mut round = 0_u32;
    while_written(
        "a_region_that_is_written_over_in_a_loop",
        &region,
        |numbers, file| {
            // Good again now and then, so that readers get in before the next word.
            if round.is_multiple_of(64) {
                file.write_all_at(&good, 0).unwrap();
            }
            round += 1;
            scribble(numbers, file, good.len());
        },
    );
}

#[test]
fn a_region_that_shrinks_and_grows_in_a_loop_is_read_or_refused() {
    let directory = Directory::new();
    let region = copied_region(&directory, "2MiB");
    let good = fs::read(&region).unwrap();
    while_written(
        "a_region_that_shrinks_and_grows_in_a_loop",
        &region,
        |numbers, file| {
            file.set_len(numbers.below(good.len()) as u64).unwrap();
            thread::yield_now();
            file.write_all_at(&good, 0).unwrap();
        },
    );
}

#[test]
fn a_recording_that_is_written_over_in_a_loop_is_read_or_refused() {
    let directory = Directory::new();
    let (file, _, _) = recorded(&directory);
    let good = fs::read(&file).unwrap();
    while_written(
        "a_recording_that_is_written_over_in_a_loop",
        &file,
        |numbers, file| {
            file.set_len(numbers.below(good.len()) as u64).unwrap();
            file.write_all_at(&good, 0).unwrap();
            let at = numbers.below(good.len()) as u64;
            file.write_all_at(&[numbers.below(256) as u8], at).unwrap();
            file.write_all_at(&good, 0).unwrap();
        },
    );
}

/// What a directory may hold beside regions of one's own: those of others, and links to them.
#[test]
fn links_and_files_of_others_are_passed_over_and_named_when_asked_for() {
    let directory = Directory::new();
    let region = copied_region(&directory, "2MiB");
    // As root everybody's regions are read; as nobody the same files are foreign.
    if !riptide_is_root() {
        println!("not root: regions of another user are not made");
        return;
    }
    let at = |name: &str| directory.path().join(name);
    let public = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), public.clone()).unwrap();
    fs::set_permissions(&region, fs::Permissions::from_mode(0o444)).unwrap();
    symlink(&region, at("5-5-link")).unwrap();
    symlink(at("nowhere"), at("5-6-broken")).unwrap();
    symlink(at("5-7-loop"), at("5-7-loop")).unwrap();
    symlink("/dev/zero", at("5-8-device")).unwrap();
    fs::hard_link(&region, at("5-9-second-name")).unwrap();
    fs::create_dir(at("5-10-directory")).unwrap();
    assert!(
        clean_command(Path::new("mkfifo"))
            .arg(at("5-11-pipe"))
            .status()
            .unwrap()
            .success()
    );
    let binary = at("riptide");
    fs::copy(riptide_path(), &binary).unwrap();
    fs::set_permissions(&binary, public).unwrap();
    let as_nobody = |arguments: &[&str]| {
        clean_command(&binary)
            .args(arguments)
            .env("RIPTIDE_DIR", directory.path())
            .stdin(Stdio::null())
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap()
    };
    let targets = |output: &Output| -> Vec<Value> {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        list["targets"].as_array().unwrap().clone()
    };
    assert_eq!(
        targets(&as_nobody(&["list", "--json"])),
        Vec::<Value>::new()
    );
    let path = region.to_str().unwrap();
    assert_refused(
        &as_nobody(&["top", path, "--once", "--json"]),
        5,
        &[path, "user 0"],
    );
    for name in [
        "5-5-link",
        "5-7-loop",
        "5-8-device",
        "5-10-directory",
        "5-11-pipe",
    ] {
        let path = at(name);
        let path = path.to_str().unwrap();
        assert_refused(&as_nobody(&["top", path, "--once", "--json"]), 5, &[path]);
    }
    let own = at("7-7-own");
    fs::copy(&region, &own).unwrap();
    chown(&own, Some(65_534), Some(65_534)).unwrap();
    let seen = targets(&as_nobody(&["list", "--json"]));
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["region"], own.to_str().unwrap());
    // Root sees both files, each once, and no link.
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let seen = targets(&riptide(&["list", "--json"], &environment));
    assert_eq!(seen.len(), 2, "{seen:?}");
}

fn riptide_is_root() -> bool {
    rustix::process::geteuid().is_root()
}
