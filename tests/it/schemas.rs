//! Every document that a command prints as JSON is as its shipped JSON Schema says, checked by ajv; a
//! field that the schema does not know fails here, though users are told to expect more.

use std::{fs, process::Stdio};

use serde_json::{Value, json};

use crate::{
    harness::{Directory, Victim, clean_command, program, riptide, riptide_path},
    readers::read,
};

const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tui/schema/riptide-1.schema.json"
);

/// Lets no object have what its schema does not name.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// Asserts that each line, or the whole, of `text` is a document of the command.
fn check(directory: &Directory, command: &str, text: &[u8]) {
    let mut schema: Value = serde_json::from_slice(&fs::read(SCHEMA).unwrap()).unwrap();
    assert!(
        schema["$defs"][command].is_object(),
        "no schema of {command}"
    );
    close(&mut schema);
    schema["$ref"] = json!(format!("#/$defs/{command}"));
    let at = directory.path().join(format!("{command}.schema.json"));
    let document = directory.path().join(format!("{command}.json"));
    fs::write(&at, schema.to_string()).unwrap();
    fs::write(&document, text).unwrap();
    let checked = read(
        "schema",
        &[at.to_str().unwrap(), document.to_str().unwrap()],
    );
    assert_eq!(checked["problems"], json!([]), "{command}");
    assert!(
        checked["documents"].as_u64().unwrap() >= 1,
        "{command}: {checked}"
    );
}

#[test]
fn every_document_is_as_its_schema_says() {
    let (directory, files) = (Directory::new(), Directory::new());
    let mut victim = Victim::by_default("victim-leaks", &["interner", "20000"], &directory);
    victim.report();
    let region = directory.region();
    let region = region.to_str().unwrap();
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let print = |command: &str, arguments: &[&str]| {
        let mut all = vec![command];
        all.extend(arguments);
        let output = riptide(&all, &environment);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stdout
    };
    check(
        &files,
        "leaks",
        &print("leaks", &[region, "--json", "--all", "--for", "12s"]),
    );
    check(
        &files,
        "top",
        &print("top", &[region, "--json", "--once", "--limit", "0"]),
    );
    check(&files, "memory", &print("memory", &[region, "--json"]));
    check(
        &files,
        "advise",
        &print("advise", &[region, "--json", "--for", "3s"]),
    );
    check(
        &files,
        "export",
        &print("export", &[region, "--format", "json"]),
    );
    check(&files, "diff", &print("diff", &[region, region, "--json"]));
    check(&files, "list", &print("list", &["--json"]));
    check(&files, "doctor", &print("doctor", &[region, "--json"]));
    check(
        &files,
        "set",
        &print(
            "set",
            &[region, "--json", "--interval", "1MiB", "--for", "30s"],
        ),
    );
    // One document a line, until nobody reads on.
    let mut watched = clean_command(riptide_path())
        .args(["top", region, "--json", "--watch", "0.2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = {
        use std::io::{BufRead, BufReader};
        let lines = BufReader::new(watched.stdout.take().unwrap()).lines();
        lines
            .take(3)
            .map(Result::unwrap)
            .collect::<Vec<_>>()
            .join("\n")
    };
    check(&files, "top", lines.as_bytes());
    watched.wait().unwrap();
    victim.kill();
    check(&files, "list", &print("list", &["--json"]));
    check(&files, "memory", &print("memory", &[region, "--json"]));
    check(
        &files,
        "leaks",
        &print("leaks", &[region, "--json", "--all"]),
    );
    check(&files, "prune", &print("prune", &["--json"]));
    let sites = program("victim-sites");
    let report = files.path().join("run-report");
    let run = [
        "-o",
        report.to_str().unwrap(),
        "--",
        sites.to_str().unwrap(),
        "5",
    ];
    print("run", &run);
    check(&files, "run", &fs::read(report).unwrap());
    check(
        &files,
        "top",
        &print("demo", &["--headless", "--seconds", "2", "--json"]),
    );
}
