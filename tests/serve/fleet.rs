//! Targets that come, die and come back; with the pid of another; in other mount namespaces; hundreds.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use riptide_tests::crowd;

use crate::{
    harness::{Directory, Victim, clean_command, long, program, victim_command, wait_for},
    report,
    server::{QUICK, Server, sum_of},
};

#[test]
fn targets_that_come_end_and_come_back_are_followed_each() {
    let directory = Directory::new();
    let mut first = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    let second = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(2);
    first.kill();
    server.wait_for_targets(1);
    let third = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    server.wait_for_targets(2);
    let (status, _) = second.finish();
    assert!(status.success());
    server.wait_for_targets(1);
    let text = server.get("/metrics").text();
    assert_eq!(
        sum_of(&text, "riptide_serve_targets_followed_total", &[]),
        Some(3.0)
    );
    assert_eq!(
        sum_of(&text, "riptide_serve_targets_ended_total", &[]),
        Some(2.0)
    );
    assert_eq!(text.matches("\nriptide_live_bytes{").count(), 1, "{text}");
    let snapshot = server.get("/profiling/snapshot").json();
    assert_eq!(snapshot["target"]["pid"], third.pid());
    let log = server.log();
    assert!(
        log.contains("state=Killed") && log.contains("state=Exited"),
        "{log}"
    );
}

#[test]
fn without_a_name_the_one_that_is_there_is_followed_and_then_its_successor() {
    let directory = Directory::new();
    let server = Server::start_with(directory.path(), QUICK, &[]);
    server.wait_for_targets(0);
    let mut first = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    server.wait_for_targets(1);
    let second = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    thread::sleep(Duration::from_secs(1));
    server.wait_for_targets(1);
    assert_eq!(
        server.get("/profiling/snapshot").json()["target"]["pid"],
        first.pid()
    );
    first.kill();
    wait_for("the successor", || {
        let answer = server.get(&format!("/profiling/snapshot?target={}", second.pid()));
        (answer.status == 200).then_some(())
    });
    server.wait_for_targets(1);
}

#[test]
fn a_name_may_come_later_and_others_are_left_alone() {
    let directory = Directory::new();
    let _other = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    let server = Server::start_with(directory.path(), QUICK, &["victim-leaks"]);
    thread::sleep(Duration::from_secs(1));
    server.wait_for_targets(0);
    let leaks = Victim::new("victim-leaks", &["mem-forget", "500"], &directory, "64KiB");
    server.wait_for_targets(1);
    assert_eq!(
        server.get("/profiling/snapshot").json()["target"]["pid"],
        leaks.pid()
    );
}

#[test]
fn a_pid_that_is_used_again_is_another_target() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), QUICK);
    let mut first = Victim::new("victim-sites", &["2"], &directory, "1");
    let pid = first.pid();
    first.report();
    server.wait_for_targets(1);
    first.kill();
    server.wait_for_targets(0);
    let mut second = wait_for("the pid to be given again", || {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
            .expect("pids can be chosen by root alone");
        let mut victim = Victim::new("victim-leaks", &["mem-forget", "500"], &directory, "64KiB");
        victim.line();
        (victim.pid() == pid).then_some(victim)
    });
    server.wait_for_targets(1);
    let labels = [format!("pid=\"{pid}\"")];
    let labels = [labels[0].as_str(), "process=\"victim-leaks\""];
    wait_for("its own series", || {
        server.metric("riptide_live_bytes", &labels)
    });
    let by_pid = server
        .get(&format!("/profiling/snapshot?target={pid}"))
        .json();
    assert_eq!(by_pid["target"]["name"], "victim-leaks");
    let by_name = server.get("/profiling/snapshot?target=victim-sites").json();
    assert_eq!(by_name["target"]["state"], "killed");
    second.kill();
}

#[test]
fn targets_of_other_mount_namespaces_are_found() {
    // Its own /dev/shm, as a container has it; no RIPTIDE_DIR on either side.
    let victim = program("victim-sites");
    let script = format!(
        "mount -t tmpfs none /dev/shm && exec {} 2",
        victim.display()
    );
    let mut command = clean_command("unshare".as_ref());
    command
        .args(["--mount", "sh", "-c", &script])
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut victim = Victim::start(command);
    victim.report();
    let pid = victim.pid().to_string();
    let command = clean_command(crate::harness::riptide_path());
    let server = Server::start_command(command, QUICK, &["--all"]);
    let label = format!("pid=\"{pid}\"");
    wait_for("its series", || {
        server.metric("riptide_live_bytes", &[&label])
    });
    let snapshot = server
        .get(&format!("/profiling/snapshot?target={pid}"))
        .json();
    let region = snapshot["target"]["region"].as_str().unwrap();
    assert!(
        region.starts_with(&format!("/proc/{pid}/root/dev/shm/")),
        "{region}"
    );
    // Named from the files that the process itself sees.
    let sites = snapshot["sites"].as_array().unwrap();
    assert!(
        sites
            .iter()
            .any(|site| site["function"] == "victim_sites::large_blocks")
    );
    let listed = Command::new(crate::harness::riptide_path())
        .args(["list", "--json"])
        .env_remove("RIPTIDE_DIR")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains(region));
}

#[test]
fn hundreds_of_targets_are_followed_and_each_says_what_it_takes() {
    let count = if long() { 300 } else { 40 };
    let directory = Directory::new();
    let start = |number: usize| {
        // Most rest, as most services do most of the time.
        let (name, arguments): (_, &[&str]) = match number % 10 {
            0 => ("victim-healthy", &["history", "500"]),
            1 => ("victim-leaks", &["mem-forget", "20"]),
            _ => ("victim-sites", &["1"]),
        };
        let mut command = victim_command(&program(name), directory.path());
        command
            .args(arguments)
            .env("RIPTIDE_REGION_SIZE", "1MiB")
            .env("RIPTIDE_SAMPLE_INTERVAL", "64KiB");
        Victim::start(command)
    };
    let mut victims: Vec<Victim> = (0..count).map(start).collect();
    let settings = QUICK
        .replace("interval_seconds = 0.5", "interval_seconds = 5")
        .replace("journal_seconds = 0.2", "journal_seconds = 1")
        .replace("search_seconds = 0.2", "search_seconds = 1")
        .replace("verdict_seconds = 2", "verdict_seconds = 30");
    let server = Server::start(directory.path(), &settings);
    server.wait_for_targets(count);
    thread::sleep(Duration::from_secs(12));
    let measure = || {
        let text = server.get("/metrics").text();
        let of = |name: &str| sum_of(&text, name, &[]).unwrap();
        (
            Instant::now(),
            of("riptide_serve_cpu_seconds_total"),
            of("riptide_serve_rss_bytes"),
            of("riptide_serve_target_cpu_seconds_total"),
            of("riptide_serve_target_memory_bytes"),
            text,
        )
    };
    let before = measure();
    thread::sleep(Duration::from_secs(if long() { 60 } else { 10 }));
    let after = measure();
    let seconds = (after.0 - before.0).as_secs_f64();
    for name in [
        "riptide_live_bytes",
        "riptide_rss_bytes",
        "riptide_serve_target_cpu_seconds_total",
        "riptide_serve_target_memory_bytes",
    ] {
        let series = after.5.matches(&format!("\n{name}{{")).count();
        assert_eq!(series, count, "{name}");
    }
    report(&format!(
        "{count} targets: {:.4} cores altogether, {:.1} µs of CPU a second and target for looks; RSS {:.1} MB, kept {:.0} kB a target",
        (after.1 - before.1) / seconds,
        (after.3 - before.3) / seconds / count as f64 * 1e6,
        after.2 / 1e6,
        after.4 / count as f64 / 1e3,
    ));
    // A bound for each target, however long it is followed.
    assert!(after.2 < 100e6 + 3e6 * count as f64, "{}", after.2);
    assert!(after.4 < 2e6 * count as f64, "{}", after.4);

    // A third dies at once and is replaced.
    for victim in victims.iter_mut().take(count / 3) {
        victim.kill();
    }
    server.wait_for_targets(count - count / 3);
    victims.drain(..count / 3);
    victims.extend((0..count / 3).map(start));
    server.wait_for_targets(count);
    let text = server.get("/metrics").text();
    let ended = sum_of(&text, "riptide_serve_targets_ended_total", &[]);
    assert_eq!(ended, Some((count / 3) as f64));
    assert_eq!(text.matches("\nriptide_live_bytes{").count(), count);
}

/// What runs is followed at once, whatever lies around it, and the dead cost a look at their headers.
#[test]
fn a_target_among_ten_thousand_dead_regions_is_followed() {
    let directory = Directory::new();
    let mut dead = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    dead.report();
    let region = directory.region();
    dead.kill();
    crowd::fill(directory.path(), &region, 10_000).unwrap();
    let mut living = Victim::new("victim-sites", &["2"], &directory, "64KiB");
    living.report();
    let start = Instant::now();
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    report(&format!(
        "10,001 dead regions: the living target is followed after {:?}",
        start.elapsed()
    ));
    let snapshot = server.get("/profiling/snapshot").json();
    assert_eq!(snapshot["target"]["pid"], living.pid());
    let text = server.get("/metrics").text();
    assert_eq!(
        sum_of(&text, "riptide_serve_targets_followed_total", &[]),
        Some(1.0)
    );
    assert!(server.log().contains("region files are not looked at"));
}
