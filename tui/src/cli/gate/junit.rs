//! `JUnit` XML: a suite for each process, a case for each leak or growing site, and one for the rest.

use std::io::{self, Write};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use riptide_reader::leak::Finding;

use super::{FailOn, Judged, fails, headline};
use crate::cli::output::printable;

pub(super) fn write(
    processes: &[Judged<'_>],
    fail_on: Option<FailOn>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("testsuites")
        .with_attribute(("name", "riptide"))
        .write_inner_content(|xml| {
            for process in processes {
                suite(process, fail_on, xml)?;
            }
            Ok(())
        })?;
    writeln!(xml.get_mut())
}

fn suite(
    process: &Judged<'_>,
    fail_on: Option<FailOn>,
    xml: &mut Writer<&mut dyn Write>,
) -> io::Result<()> {
    let class = text(&process.target.name);
    let name = format!("{class} [{}]", process.target.pid);
    let failures = process.told().filter(|of| fails(of, fail_on)).count();
    let told = process.told().count();
    let seconds = format!("{:.3}", process.watched_seconds);
    xml.create_element("testsuite")
        .with_attributes([
            ("name", name.as_str()),
            ("tests", &(told + 1).to_string()),
            ("failures", &failures.to_string()),
            ("errors", "0"),
            ("skipped", "0"),
            ("time", &seconds),
        ])
        .write_inner_content(|xml| {
            for finding in process.told() {
                case(finding, &class, fails(finding, fail_on), xml)?;
            }
            // So that a run without findings is a test that passed, not an empty report.
            let others = process.findings.len() - told;
            xml.create_element("testcase")
                .with_attributes([
                    ("classname", class.as_str()),
                    ("name", &format!("{others} other sites")),
                    ("time", &seconds),
                ])
                .write_empty()?;
            Ok(())
        })?;
    Ok(())
}

fn case(
    finding: &Finding,
    class: &str,
    is_failure: bool,
    xml: &mut Writer<&mut dyn Write>,
) -> io::Result<()> {
    let name = text(&finding.function);
    let file = finding.file.as_deref().map(text);
    let line = finding.line.map(|line| line.to_string());
    let mut element = xml.create_element("testcase").with_attributes([
        ("classname", class),
        ("name", &name),
        ("time", "0"),
    ]);
    if let Some(file) = &file {
        element = element.with_attribute(("file", file.as_str()));
    }
    if let Some(line) = &line {
        element = element.with_attribute(("line", line.as_str()));
    }
    let told = details(finding);
    element.write_inner_content(|xml| {
        let inner = if is_failure {
            xml.create_element("failure").with_attributes([
                ("type", finding.verdict.word()),
                ("message", &text(&headline(finding))),
            ])
        } else {
            xml.create_element("system-out")
        };
        inner.write_text_content(BytesText::new(&told))?;
        Ok(())
    })?;
    Ok(())
}

/// Headline, evidence and stack, a line each.
fn details(finding: &Finding) -> String {
    let mut lines = vec![text(&headline(finding))];
    lines.extend(finding.evidence.iter().map(|of| format!("- {}", text(of))));
    for frame in finding.stack.iter() {
        let place = match (&frame.file, frame.line) {
            (Some(file), Some(line)) => format!(" ({}:{line})", text(file)),
            (Some(file), None) => format!(" ({})", text(file)),
            (None, _) => String::new(),
        };
        lines.push(format!("    at {}{place}", text(&frame.function)));
    }
    lines.join("\n")
}

/// Characters that XML 1.0 has no place for do not come into it.
fn text(name: &str) -> String {
    printable(name).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
