//! What `export` writes, opened by programs that others made; their figures are those of `top`.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use serde_json::Value;

use crate::harness::{
    Directory, Top, Victim, clean_command, program, riptide, riptide_path, top, truth,
    victim_command,
};

/// What the reader of `tests/readers/read.js` makes of a file.
pub(crate) fn read(kind: &str, files: &[&str]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/readers/read.js");
    let output = Command::new("node")
        .arg(script)
        .arg(kind)
        .args(files)
        .output()
        .expect("node is missing: `bash tests/run setup` installs it");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{kind}: {complaint} (`bash tests/run setup` installs the readers)"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn export(target: &Path, format: &str, file: &Path, arguments: &[&str]) {
    let mut all = vec!["export", target.to_str().unwrap(), "--format", format, "-o"];
    all.push(file.to_str().unwrap());
    all.extend(arguments);
    let output = riptide(&all, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// A victim of known numbers that was killed, from a program file of that name.
fn killed(directory: &Directory, file: &Path) -> Vec<crate::harness::Truth> {
    let mut command = victim_command(file, directory.path());
    command.arg("20").env("RIPTIDE_SAMPLE_INTERVAL", "1");
    let mut victim = Victim::start(command);
    let sites = truth(&victim.report());
    victim.kill();
    sites
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn in_thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn pprof_format_speedscope_chromium_and_jeprof_agree_with_top() {
    let directory = Directory::new();
    let victim = program("victim-sites");
    let sites = killed(&directory, &victim);
    let region = directory.region();
    let top = top(&region);
    let (bytes, blocks) = (top.live("bytes").estimate, top.live("objects").estimate);
    let at = |name: &str| directory.path().join(name);

    export(&region, "pprof", &at("heap.pb.gz"), &[]);
    let profile = read("pprof", &[at("heap.pb.gz").to_str().unwrap()]);
    assert_eq!(profile["sums"]["inuse_space"], bytes, "{profile}");
    assert_eq!(profile["sums"]["inuse_objects"], blocks, "{profile}");
    for site in &sites {
        let found = &profile["functions"][&site.function];
        assert_eq!(number(found), site.bytes, "{}", site.function);
    }

    export(&region, "flamegraph", &at("flame.svg"), &[]);
    let svg = read("svg", &[at("flame.svg").to_str().unwrap()]);
    assert_eq!(svg["errors"], serde_json::json!([]));
    let frames: Vec<&str> = strings(&svg["frames"]);
    let all = format!("all ({} bytes, 100%)", in_thousands(bytes));
    assert!(frames.contains(&all.as_str()), "{all}: {frames:?}");
    for site in &sites {
        let start = format!("{} ({} bytes, ", site.function, in_thousands(site.bytes));
        let found = frames.iter().any(|frame| frame.starts_with(&start));
        // Thinner than a pixel is not drawn.
        assert!(found || site.bytes < bytes / 1_000.0, "{start}: {frames:?}");
    }

    // Objects, as speedscope rounds bytes.
    let scope = at("scope.speedscope.json");
    export(&region, "speedscope", &scope, &["--metric", "live-objects"]);
    let scope = read("speedscope", &[scope.to_str().unwrap()]);
    assert!(scope["title"].as_str().unwrap().starts_with("victim-sites"));
    let rows = scope["rows"].as_array().unwrap();
    let starts = |cell: &Value, text: &str| cell.as_str().unwrap_or("").starts_with(text);
    for site in &sites {
        let total = format!("{} (", in_thousands(site.blocks));
        let found = rows
            .iter()
            .any(|row| row[2] == site.function.as_str() && starts(&row[0], &total));
        assert!(found, "{total}{}: {rows:?}", site.function);
    }

    export(&region, "jeprof", &at("jeprof.heap"), &[]);
    let output = Command::new("jeprof")
        .args([
            "--text",
            "--show_bytes",
            "--nodecount=10000",
            "--nodefraction=0",
        ])
        .arg(&victim)
        .arg(at("jeprof.heap"))
        .output()
        .expect("jeprof is missing: `bash tests/run setup` installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("Total: {bytes} B")), "{output:?}");
    for site in &sites {
        // flat, flat%, sum%, cum, cum%, function
        let last = site.function.rsplit("::").next().unwrap();
        let found = text.lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            columns.get(3) == Some(&format!("{}", site.bytes).as_str())
                && columns.last().is_some_and(|name| name.ends_with(last))
        });
        assert!(found, "{}: {text}", site.function);
    }
}

fn strings(values: &Value) -> Vec<&str> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value.as_str().unwrap()).collect()
}

/// Figures of the report are those of `top`, and its text is text, whatever the target is called.
fn assert_report(report: &Value, top: &Top) {
    assert_eq!(report["errors"], serde_json::json!([]), "{report}");
    assert_eq!(report["requests"], serde_json::json!([]));
    assert_eq!(report["drawn"], true);
    assert_eq!(number(&report["live_bytes"]), top.live("bytes").estimate);
    assert_eq!(
        number(&report["live_objects"]),
        top.live("objects").estimate
    );
    let rows = report["sites"].as_array().unwrap();
    let sites = top.0["sites"].as_array().unwrap();
    assert_eq!(rows.len(), sites.len());
    for (row, site) in rows.iter().zip(sites) {
        assert_eq!(row["function"], site["function"]);
        assert_eq!(
            number(&row["bytes"]),
            number(&site["live_bytes"]["estimate"])
        );
        assert_eq!(
            number(&row["objects"]),
            number(&site["live_objects"]["estimate"])
        );
    }
    let totals = &report["totals"];
    assert_eq!(
        number(&totals["live-bytes"]),
        top.live("bytes").estimate.round()
    );
    assert_eq!(
        number(&totals["live-objects"]),
        top.live("objects").estimate.round()
    );
    assert!(number(&totals["alloc-bytes"]) >= number(&totals["live-bytes"]));
}

#[test]
fn the_report_opens_offline_and_agrees_with_top() {
    let directory = Directory::new();
    // A path is bytes: this one would be a script if it were not escaped.
    let hostile = directory.path().join("<script>pwned=1<");
    fs::create_dir(&hostile).unwrap();
    let file = hostile.join("script><img src=x onerror=pwned=1>");
    fs::copy(program("victim-sites"), &file).unwrap();
    let regions = Directory::new();
    let sites = killed(&regions, &file);
    let region = regions.region();
    let out = directory.path().join("report.html");
    export(&region, "html", &out, &[]);
    let text = fs::read_to_string(&out).unwrap();
    assert!(
        text.contains("script&gt;&lt;img"),
        "the name is in it, as text"
    );
    for site in &sites {
        assert!(
            text.contains(&site.function),
            "{} in plain text",
            site.function
        );
    }
    let report = read("html", &[out.to_str().unwrap()]);
    assert_report(&report, &top(&region));
    assert_eq!(report["pwned"], false);
    assert_eq!(
        (&report["scripts"], &report["images"]),
        (&2.into(), &0.into())
    );
    assert!(report["title"].as_str().unwrap().starts_with("script><img"));
    // Of the sites, that of most bytes is in the graph with its own.
    let heaviest = sites
        .iter()
        .max_by(|a, b| a.bytes.total_cmp(&b.bytes))
        .unwrap();
    let frames = report["frames"].as_array().unwrap();
    let found = frames
        .iter()
        .any(|frame| frame[0] == heaviest.function.as_str() && number(&frame[1]) == heaviest.bytes);
    assert!(found, "{heaviest:?}: {frames:?}");
    let zoomed = &report["zoomed"];
    assert_eq!(zoomed["got"][0], zoomed["wanted"]);
    assert!(number(&zoomed["got"][1]) > 0.99, "{zoomed}");
    assert_eq!(
        (&zoomed["reset"], &zoomed["back"]),
        (&true.into(), &"all".into())
    );
    assert!(number(&report["hits"]) >= 1.0);
    assert!(report["found"].as_str().unwrap().ends_with('%'), "{report}");
    let ascending: Vec<f64> = report["ascending"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();
    assert!(
        ascending.is_sorted() && ascending.len() > 1,
        "{ascending:?}"
    );
}

/// Of a recording the report has the past: a timeline, growth and a verdict.
#[test]
fn the_report_of_a_recording_has_its_past() {
    let directory = Directory::new();
    let mut victim = Victim::by_default("victim-leaks", &["interner", "20000"], &directory);
    let function = victim.report()["function"].as_str().unwrap().to_owned();
    let region = directory.region();
    let (past, out) = (
        directory.path().join("past.riptide"),
        directory.path().join("r.html"),
    );
    let mut recorder = clean_command(riptide_path());
    recorder.args([
        "record",
        region.to_str().unwrap(),
        "-o",
        past.to_str().unwrap(),
    ]);
    let mut recorder = recorder
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_secs(20));
    victim.kill();
    assert!(recorder.wait().unwrap().success());
    export(&past, "html", &out, &[]);
    let report = read("html", &[out.to_str().unwrap()]);
    assert_report(&report, &top(&past));
    assert_eq!(report["points"], 1, "a line of the past");
    assert!(number(&report["totals"]["growth"]) > 0.0, "{report}");
    let finding = &report["findings"][0];
    assert!(
        finding["function"].as_str().unwrap().starts_with(&function),
        "{report}"
    );
    assert!(number(&finding["evidence"]) >= 1.0, "{report}");
}
