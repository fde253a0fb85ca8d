//! Every command that takes a target or a file, given what is cut short, foreign or of a later
//! version: one message that names the file, and the documented exit code.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use crate::harness::{Directory, Victim, clean_command, program, riptide_path, victim_command};

/// Commands with a place for the file.
const COMMANDS: [&[&str]; 11] = [
    &["top", "FILE", "--once"],
    &["top", "FILE", "--once", "--json"],
    &["leaks", "FILE", "--for", "0"],
    &["leaks", "FILE", "--for", "0", "--json"],
    &["memory", "FILE"],
    &["export", "FILE", "--format", "html"],
    &["export", "FILE", "--format", "pprof"],
    &["diff", "FILE", "FILE"],
    &["advise", "FILE", "--for", "0.1"],
    &["record", "FILE", "-o", "OUT"],
    &["set", "FILE", "--interval", "64KiB"],
];

/// To the others a recording is a file that is no region.
fn reads_recordings(command: &[&str]) -> bool {
    !matches!(command[0], "advise" | "record" | "set")
}

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    code: i32,
    /// What the message says beside the file's name.
    word: &'static str,
}

/// A region and a recording of one victim, as they should be.
fn whole(directory: &Directory) -> (Vec<u8>, Vec<u8>) {
    let mut command = victim_command(&program("victim-sites"), directory.path());
    command
        .arg("5")
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .env("RIPTIDE_REGION_SIZE", "2MiB");
    let mut victim = Victim::start(command);
    victim.report();
    let region = directory.region();
    let file = directory.path().join("whole.riptide");
    let mut recorder = clean_command(riptide_path());
    recorder
        .args([
            "record",
            region.to_str().unwrap(),
            "-o",
            file.to_str().unwrap(),
        ])
        .stderr(Stdio::null());
    let mut recorder = recorder.spawn().unwrap();
    thread::sleep(Duration::from_secs(3));
    victim.kill();
    assert!(recorder.wait().unwrap().success());
    (fs::read(region).unwrap(), fs::read(file).unwrap())
}

fn cases(region: &[u8], recording: &[u8]) -> Vec<Case> {
    let case = |name, bytes: &[u8], code, word| Case {
        name,
        bytes: bytes.to_vec(),
        code,
        word,
    };
    let with = |bytes: &[u8], place: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[place] = value;
        bytes
    };
    // The version of a recording is under a checksum with what is before it.
    let mut newer = with(recording, 8, 99);
    let sum = crc32fast::hash(&newer[..12]);
    newer[12..16].copy_from_slice(&sum.to_le_bytes());
    vec![
        case("empty", b"", 5, "region"),
        case(
            "text",
            "this is no region\n".repeat(900).as_bytes(),
            5,
            "region",
        ),
        case("elf", &fs::read("/bin/true").unwrap(), 5, "region"),
        case("region-of-a-byte", &region[..1], 5, ""),
        case("region-of-a-page", &region[..4_096], 5, ""),
        case(
            "region-of-a-half",
            &region[..region.len() / 2],
            5,
            "truncated",
        ),
        case(
            "region-less-a-byte",
            &region[..region.len() - 1],
            5,
            "truncated",
        ),
        case("region-of-format-99", &with(region, 16, 99), 4, "99"),
        case("recording-of-a-header", &recording[..16], 5, ""),
        case("recording-without-a-look", &recording[..60], 5, ""),
        case("recording-of-version-99", &newer, 4, "99"),
        case(
            "recording-with-a-wrong-header",
            &with(recording, 9, 7),
            5,
            "",
        ),
    ]
}

fn run(command: &[&str], file: &Path, out: &Path) -> std::process::Output {
    let arguments = command.iter().map(|word| match *word {
        "FILE" => file.as_os_str(),
        "OUT" => out.as_os_str(),
        word => word.as_ref(),
    });
    clean_command(riptide_path())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn every_command_names_what_is_wrong_with_its_input() {
    let directory = Directory::new();
    let (region, recording) = whole(&directory);
    let mut wrong = Vec::new();
    let mut check = |name: &str, command: &[&str], file: &Path, code: i32, word: &str| {
        let out = directory.path().join("out");
        let _ = fs::remove_file(&out);
        let output = run(command, file, &out);
        let message = String::from_utf8_lossy(&output.stderr);
        let is_clear = message
            .lines()
            .filter(|line| line.starts_with("error:"))
            .count()
            == 1
            && message.lines().count() <= 4
            && message
                .lines()
                .last()
                .is_some_and(|line| line.trim_start().starts_with("try:"))
            && message.contains(file.file_name().unwrap().to_str().unwrap())
            && message.contains(word)
            && !message.contains("panicked");
        let is_right = output.status.code() == Some(code) && output.stdout.is_empty();
        if !(is_clear && is_right && !out.exists()) {
            wrong.push(format!(
                "{name}: {command:?}: {:?}: {message}",
                output.status.code()
            ));
        }
    };
    for case in cases(&region, &recording) {
        let file = file_of(&directory, case.name, &case.bytes);
        for command in COMMANDS {
            if case.name.starts_with("recording") && !reads_recordings(command) {
                check(case.name, command, &file, 5, "region");
            } else {
                check(case.name, command, &file, case.code, case.word);
            }
        }
    }
    let missing = directory.path().join("missing");
    for command in COMMANDS {
        check("missing", command, &missing, 3, "");
    }
    // Snapshots are inputs of `diff` alone.
    for (name, text, code, word) in [
        (
            "snapshot-cut.json",
            "{\"schema_version\": 1, \"target\": {",
            5,
            "snapshot",
        ),
        (
            "snapshot-foreign.json",
            "{\"name\": \"npm\"}",
            2,
            "snapshot",
        ),
        (
            "snapshot-of-version-99.json",
            "{\"schema_version\": 99}",
            4,
            "99",
        ),
    ] {
        let file = file_of(&directory, name, text.as_bytes());
        check(name, &["diff", "FILE", "FILE"], &file, code, word);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn file_of(directory: &Directory, name: &str, bytes: &[u8]) -> PathBuf {
    let file = directory.path().join(name);
    fs::write(&file, bytes).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}
