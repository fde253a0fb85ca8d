//! Findings as CI systems read them, beside the report of `run` and `leaks`: `JUnit` XML, and SARIF.
//!
//! **Invariants.** A case fails, and a result is an error, exactly when it makes the command end with
//! 1. Names are hostile text: nothing in them can end an element or begin a new one.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
};

use riptide_reader::{
    leak::{Finding, Verdict},
    profile::TargetInfo,
};

use super::{CliError, leaks::FailOn};

mod junit;
mod sarif;

/// Files for CI systems.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct GateArgs {
    /// File for the findings as `JUnit` XML, for the test report of a CI system
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// File for the findings as SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
}

/// One process with the findings that were not suppressed.
pub(super) struct Judged<'a> {
    pub(super) target: &'a TargetInfo,
    pub(super) watched_seconds: f64,
    pub(super) findings: &'a [Finding],
}

impl Judged<'_> {
    /// What is told finding by finding.
    fn told(&self) -> impl Iterator<Item = &Finding> {
        let told = |finding: &&Finding| finding.verdict <= Verdict::Growing;
        self.findings.iter().filter(told)
    }
}

/// The files, open, so that what cannot be written is known before minutes have gone by.
pub(super) struct GateFiles {
    junit: Option<File>,
    sarif: Option<File>,
}

impl GateFiles {
    pub(super) fn open(args: &GateArgs) -> Result<Self, CliError> {
        let create = |path: &Option<PathBuf>| {
            let file = path.as_ref().map(File::create).transpose();
            file.map_err(|source| CliError::io("create the file of the report", source))
        };
        Ok(Self {
            junit: create(&args.junit)?,
            sarif: create(&args.sarif)?,
        })
    }

    pub(super) fn write(
        self,
        processes: &[Judged<'_>],
        fail_on: Option<FailOn>,
    ) -> Result<(), CliError> {
        let failed = |source| CliError::io("write the report", source);
        if let Some(file) = self.junit {
            let mut out = BufWriter::new(file);
            junit::write(processes, fail_on, &mut out)
                .and_then(|()| out.flush())
                .map_err(failed)?;
        }
        if let Some(file) = self.sarif {
            let mut out = BufWriter::new(file);
            sarif::write(processes, fail_on, &mut out)
                .and_then(|()| out.flush())
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// Whether the finding makes the command fail.
fn fails(finding: &Finding, fail_on: Option<FailOn>) -> bool {
    fail_on.is_some_and(|fail_on| fail_on.is_met_by(finding.verdict))
}

/// The finding in one line.
fn headline(finding: &Finding) -> String {
    let growth = finding
        .growth_bytes_per_second
        .as_ref()
        .map_or_else(String::new, |growth| {
            format!(", growth {}", super::table::growth(Some(growth)))
        });
    format!(
        "{} ({:.0} % confident): live {} in {} blocks{growth}",
        finding.verdict.word(),
        100.0 * finding.confidence,
        crate::units::bytes_with_error(&finding.live_bytes),
        crate::units::count_with_error(&finding.live_objects),
    )
}

#[cfg(test)]
mod tests {
    use riptide_reader::profile::{Estimate, Frame};

    use super::*;

    fn finding(verdict: Verdict, function: &str) -> Finding {
        Finding {
            verdict,
            confidence: 0.97,
            function: function.to_owned(),
            file: Some("/srv/my shop/src/cart.rs".to_owned()),
            line: Some(7),
            live_bytes: Estimate {
                estimate: 1_000.0,
                low: 900.0,
                high: 1_100.0,
            },
            live_objects: Estimate::default(),
            growth_bytes_per_second: None,
            time_to_limit_seconds: None,
            evidence: vec!["it stays".to_owned()],
            stack: [Frame {
                function: function.to_owned(),
                file: None,
                line: None,
                inlined: false,
                module: None,
            }]
            .into(),
        }
    }

    const HOSTILE: &str = "</failure>]]><&\"'\x1b[2J\u{ffff}";

    fn written(fail_on: Option<FailOn>) -> (String, serde_json::Value) {
        let target = TargetInfo {
            name: HOSTILE.to_owned(),
            pid: 42,
            ..TargetInfo::default()
        };
        let findings = [
            finding(Verdict::Leak, HOSTILE),
            finding(Verdict::Growing, "shop::grow"),
            finding(Verdict::Healthy, "shop::rest"),
        ];
        let processes = [Judged {
            target: &target,
            watched_seconds: 2.5,
            findings: &findings,
        }];
        let (mut xml, mut json) = (Vec::new(), Vec::new());
        junit::write(&processes, fail_on, &mut xml).unwrap();
        sarif::write(&processes, fail_on, &mut json).unwrap();
        (
            String::from_utf8(xml).unwrap(),
            serde_json::from_slice(&json).unwrap(),
        )
    }

    #[test]
    fn what_fails_the_command_fails_in_the_reports() {
        for (fail_on, failures) in [
            (None, 0),
            (Some(FailOn::Leak), 1),
            (Some(FailOn::Growing), 2),
        ] {
            let (xml, json) = written(fail_on);
            assert_eq!(xml.matches("<failure ").count(), failures, "{xml}");
            assert!(xml.contains(&format!("failures=\"{failures}\"")), "{xml}");
            assert_eq!(xml.matches("<testcase ").count(), 3, "{xml}");
            let results = json["runs"][0]["results"].as_array().unwrap();
            let errors = results.iter().filter(|result| result["level"] == "error");
            assert_eq!((results.len(), errors.count()), (2, failures), "{json:#}");
        }
    }

    #[test]
    fn hostile_names_stay_text() {
        let (xml, json) = written(Some(FailOn::Leak));
        assert_eq!(xml.matches("</failure>").count(), 1, "{xml}");
        assert!(!xml.contains('\x1b') && !xml.contains('\u{ffff}'), "{xml}");
        let place = &json["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(
            place["artifactLocation"]["uri"],
            "file:///srv/my%20shop/src/cart.rs"
        );
        assert_eq!(place["region"]["startLine"], 7);
    }
}
