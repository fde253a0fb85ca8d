//! Bad input gets one clear message and the exit code that scripts rely on.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::harness::{Directory, Victim, assert_refused, program, riptide, top, victim_command};

fn top_of(target: &str, directory: &Directory) -> std::process::Output {
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    riptide(&["top", target, "--once", "--json"], &environment)
}

#[test]
fn a_pid_that_is_not_there() {
    let directory = Directory::new();
    // Above the kernel's limit of pids.
    assert_refused(&top_of("4194305", &directory), 3, &["4194305"]);
}

#[test]
fn a_process_without_riptide() {
    let directory = Directory::new();
    let mut sleep = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = sleep.id().to_string();
    let output = top_of(&pid, &directory);
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert_refused(&output, 3, &[&pid]);
}

#[test]
fn no_target_at_all() {
    let directory = Directory::new();
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let output = riptide(&["top", "--once", "--json"], &environment);
    assert_refused(&output, 3, &[]);
    // A list of none is no error.
    let output = riptide(&["list", "--json"], &environment);
    assert_eq!(output.status.code(), Some(0));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list["targets"], serde_json::json!([]));
}

#[test]
fn a_choice_of_targets() {
    let directory = Directory::new();
    let mut victims: Vec<_> = (0..2)
        .map(|_| Victim::new("victim-threads", &["3"], &directory, "1"))
        .collect();
    for victim in &mut victims {
        victim.report();
    }
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let output = riptide(&["top", "--once", "--json"], &environment);
    assert!(matches!(output.status.code(), Some(2 | 3)), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    for victim in &victims {
        assert!(message.contains(&victim.pid().to_string()), "{message}");
    }
}

#[test]
fn a_file_that_is_no_region() {
    let directory = Directory::new();
    let path = directory.path().join("notes.txt");
    fs::write(
        &path,
        "RIPTIDE1 is what a region does not begin with".repeat(500),
    )
    .unwrap();
    let output = top_of(path.to_str().unwrap(), &directory);
    assert_refused(&output, 5, &["notes.txt"]);
    fs::write(&path, "").unwrap();
    let output = top_of(path.to_str().unwrap(), &directory);
    assert_refused(&output, 5, &["notes.txt"]);
}

#[test]
fn a_region_of_another_major_version() {
    let directory = Directory::new();
    let copy = copied_region(&directory, "2MiB");
    let mut bytes = fs::read(&copy).unwrap();
    bytes[16] = 99;
    fs::write(&copy, bytes).unwrap();
    assert_refused(&top_of(copy.to_str().unwrap(), &directory), 4, &["99"]);
}

/// A copy of the region of a victim, with leave to write.
pub(crate) fn copied_region(directory: &Directory, region_size: &str) -> std::path::PathBuf {
    let regions = Directory::new();
    let mut command = victim_command(&program("victim-threads"), regions.path());
    command
        .arg("3")
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .env("RIPTIDE_REGION_SIZE", region_size);
    let mut victim = Victim::start(command);
    victim.report();
    let region = regions.region();
    let copy = directory.path().join(region.file_name().unwrap());
    fs::copy(&region, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    copy
}

#[test]
fn a_region_cut_short() {
    let directory = Directory::new();
    let copy = copied_region(&directory, "2MiB");
    let whole = fs::read(&copy).unwrap();
    top(&copy);
    for keep in [
        1,
        7,
        8,
        100,
        4_095,
        4_096,
        10_000,
        whole.len() / 2,
        whole.len() - 1,
    ] {
        fs::write(&copy, &whole[..keep]).unwrap();
        let output = top_of(copy.to_str().unwrap(), &directory);
        assert_refused(&output, 5, &[copy.file_name().unwrap().to_str().unwrap()]);
    }
}

/// A region that is cut short while it is being read: an error, never a SIGBUS.
#[test]
fn a_region_cut_short_while_it_is_read() {
    let directory = Directory::new();
    let copy = copied_region(&directory, "64MiB");
    let whole = fs::read(&copy).unwrap();
    let path = copy.to_str().unwrap();
    let mut refused = 0;
    for round in 0..20 {
        fs::write(&copy, &whole).unwrap();
        let reader = {
            let path = path.to_owned();
            let environment = directory.path().to_owned();
            std::thread::spawn(move || {
                riptide(
                    &["top", &path, "--once", "--json"],
                    &[("RIPTIDE_DIR", environment.to_str().unwrap())],
                )
            })
        };
        std::thread::sleep(std::time::Duration::from_millis(round));
        let file = fs::OpenOptions::new().write(true).open(&copy).unwrap();
        file.set_len(8_192).unwrap();
        let output = reader.join().unwrap();
        match output.status.code() {
            Some(0) => {}
            Some(5 | 3) => refused += 1,
            _ => panic!("{output:?}"),
        }
    }
    println!("{refused} of 20 were refused, the others were read before");
}

#[test]
fn usage_errors() {
    for arguments in [&["top", "--no-such-flag"][..], &["no", "such", "command"]] {
        let output = riptide(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
    }
}
