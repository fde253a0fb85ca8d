//! A process that leaks until the kernel kills it, and what it leaves.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;

use crate::harness::{Directory, clean_command, long, program, riptide, top};

const LIMIT: u64 = 96 << 20;
const STEP_KIB: u64 = 512;

/// A memory cgroup of our own, of the version that is mounted.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(number: u32) -> Self {
        let name = format!("riptide-test-{}-{number}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (path, limits) = if v1.join("memory.limit_in_bytes").exists() {
            let limits = [("memory.limit_in_bytes", LIMIT), ("memory.swappiness", 0)];
            (v1.join(name), limits)
        } else {
            let limits = [("memory.max", LIMIT), ("memory.swap.max", 0)];
            (Path::new("/sys/fs/cgroup").join(name), limits)
        };
        let made = fs::create_dir(&path);
        let cgroup = Self(path);
        for (place, (file, value)) in limits.into_iter().enumerate() {
            let set = fs::write(cgroup.0.join(file), value.to_string());
            assert!(
                (made.is_ok() && set.is_ok()) || (place > 0 && made.is_ok()),
                "{}: {made:?}, {file}: {set:?}: the test needs a memory cgroup that it may make: run it as \
                 root, in a container with `--privileged --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw`, \
                 and of version 2 with `+memory` in cgroup.subtree_control",
                cgroup.0.display()
            );
        }
        cgroup
    }

    /// Runs a program in it to its end; gives the lines that it printed.
    fn run(&self, program: &Path, directory: &Path, interval: &str) -> Vec<String> {
        let mut command = clean_command(Path::new("sh"));
        command
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.0)
            .arg(program)
            .arg(STEP_KIB.to_string())
            .env("RIPTIDE_DIR", directory)
            .env("RIPTIDE_SAMPLE_INTERVAL", interval)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map(Result::unwrap).collect();
        let status = child.wait().unwrap();
        assert!(!status.success(), "{status}");
        lines
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn an_oom_kill_leaves_the_leaking_site_and_its_cause() {
    for round in 0..if long() { 20 } else { 3 } {
        // Recorded block by block the truth is there to the byte. Sampled, it is in one interval of 95 %
        // in twenty not, so twice its width is what every round must keep.
        for (interval, widths) in [("1", 1.0), ("256KiB", 2.0)] {
            die(round, interval, widths);
        }
    }
    // What is told is of the kernel's own count, not a guess: a plain kill is not an OOM kill.
    let directory = Directory::new();
    let killed = clean_command(Path::new("sh"))
        .args(["-c", "\"$0\" 64 >/dev/null & sleep 0.5; kill -9 $!; wait"])
        .arg(program("victim-hoard"))
        .env("RIPTIDE_DIR", directory.path())
        .status();
    assert!(killed.is_ok());
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let list = riptide(&["list", "--json"], &environment);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list["targets"][0]["state"], "killed", "{list}");
    assert_eq!(list["targets"][0]["cause_of_death"], Value::Null, "{list}");
}

fn die(round: u32, interval: &str, widths: f64) {
    let directory = Directory::new();
    let cgroup = Cgroup::new(round);
    let lines = cgroup.run(&program("victim-hoard"), directory.path(), interval);
    let said: u64 = lines.last().expect("it held something").parse().unwrap();
    let region = directory.region();

    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let listed = riptide(&["list", "--json"], &environment);
    let list: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let target = &list["targets"][0];
    assert_eq!(target["region"], region.to_str().unwrap());
    assert_eq!(target["state"], "killed", "round {round}: {list}");
    assert_eq!(
        target["cause_of_death"], "oom-kill",
        "round {round}: {list}"
    );
    let text = riptide(&["list"], &environment);
    assert!(String::from_utf8_lossy(&text.stdout).contains("killed (oom-kill)"));

    let profile = top(&region);
    assert_eq!(profile.0["sites"][0]["function"], "victim_hoard::hoard");
    let (bytes, _) = profile.site("victim_hoard::hoard");
    // It died in the step after the last one that it told of.
    let (least, most) = (said as f64, (said + STEP_KIB * 1_024) as f64);
    println!("round {round}, {interval}: {least} to {most} bytes held, {bytes:?} seen");
    let low = bytes.estimate - widths * (bytes.estimate - bytes.low);
    let high = bytes.estimate + widths * (bytes.high - bytes.estimate);
    assert!(
        low <= most && high >= least,
        "round {round}, {interval}: {least} to {most} bytes held, {bytes:?} seen"
    );
}
