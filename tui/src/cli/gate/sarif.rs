//! SARIF 2.1.0: one run, a result for each leak or growing site, its stack with it.
//!
//! Files below the current directory are named relative to it, as GitHub's code scanning wants them;
//! a leak makes the command fail, so it is an error there, what does not is a warning.

use std::{
    io::{self, Write},
    path::Path,
};

use riptide_reader::leak::{Finding, Verdict};
use serde_json::{Value, json};

use super::{FailOn, Judged, fails, headline};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn write(
    processes: &[Judged<'_>],
    fail_on: Option<FailOn>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let here = std::env::current_dir().unwrap_or_default();
    let results: Vec<Value> = processes
        .iter()
        .flat_map(|process| process.told().map(move |finding| (process, finding)))
        .map(|(process, finding)| result(process, finding, fails(finding, fail_on), &here))
        .collect();
    let rules = [
        (
            Verdict::Leak,
            "Blocks are allocated all the time and stay for good.",
        ),
        (
            Verdict::Growing,
            "More is allocated than is freed; whether for good cannot be said yet.",
        ),
    ]
    .map(|(verdict, text)| {
        json!({
            "id": verdict.word(),
            "shortDescription": { "text": text },
            "properties": { "tags": ["memory"] },
        })
    });
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "riptide",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                },
            },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document).map_err(io::Error::from)?;
    writeln!(out)
}

fn result(process: &Judged<'_>, finding: &Finding, is_failure: bool, here: &Path) -> Value {
    let message = format!(
        "{} [{}]: {} {}. {}",
        process.target.name,
        process.target.pid,
        finding.function,
        headline(finding),
        finding.evidence.join(" ")
    );
    let frames: Vec<Value> = finding
        .stack
        .iter()
        .map(|frame| {
            let place = location(&frame.function, frame.file.as_deref(), frame.line, here);
            json!({ "location": place })
        })
        .collect();
    let mut result = json!({
        "ruleId": finding.verdict.word(),
        "level": if is_failure { "error" } else { "warning" },
        "rank": 100.0 * finding.confidence,
        "message": { "text": message },
        "locations": [
            location(&finding.function, finding.file.as_deref(), finding.line, here)
        ],
        // The line moves with every edit above it, the function does not.
        "partialFingerprints": { "riptideSite/v1": finding.function },
        "properties": {
            "live_bytes": finding.live_bytes,
            "live_objects": finding.live_objects,
            "growth_bytes_per_second": finding.growth_bytes_per_second,
        },
    });
    if let (false, Some(result)) = (frames.is_empty(), result.as_object_mut()) {
        result.insert("stacks".to_owned(), json!([{ "frames": frames }]));
    }
    result
}

fn location(function: &str, file: Option<&str>, line: Option<u32>, here: &Path) -> Value {
    let mut location = json!({
        "logicalLocations": [{ "fullyQualifiedName": function, "kind": "function" }],
    });
    if let (Some(file), Some(location)) = (file, location.as_object_mut()) {
        let mut place = json!({ "artifactLocation": artifact(file, here) });
        if let (Some(line), Some(place)) = (line.filter(|line| *line > 0), place.as_object_mut()) {
            place.insert("region".to_owned(), json!({ "startLine": line }));
        }
        location.insert("physicalLocation".to_owned(), place);
    }
    location
}

fn artifact(file: &str, here: &Path) -> Value {
    match Path::new(file).strip_prefix(here) {
        Ok(inside) => json!({
            "uri": encoded(&inside.to_string_lossy()),
            "uriBaseId": "%SRCROOT%",
        }),
        Err(_) if file.starts_with('/') => json!({ "uri": format!("file://{}", encoded(file)) }),
        Err(_) => json!({ "uri": encoded(file) }),
    }
}

/// RFC 3986: what is not unreserved or a `/` is percent-encoded.
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
