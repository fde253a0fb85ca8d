//! Follows every process that makes a region in one directory.
//!
//! **Invariants.** A process that has ended is judged and its region let go, so that a test run of many
//! processes holds no more than the living ones. What cannot be read is a message, never the end of
//! the run.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use riptide_reader::{
    Session, SessionOptions,
    attach::discover_in,
    leak::{Finding, Verdict},
    profile::{Snapshot, TargetState},
};

/// Between two looks at the tables.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at the directory, once there is something in it.
const SEARCH: Duration = Duration::from_millis(500);
/// Between two looks at the tables, as a multiple of what the last one took.
const SPACING: u32 = 20;
/// Looks in a row with less and less live for which a process is taken to be on its way out.
const FALLING_MAX: u32 = 10;
/// Processes followed at once; others are read when these have ended.
const SESSIONS_MAX: usize = 24;
/// Processes reported at most.
const REPORTS_MAX: usize = 1_000;
/// How long symbols are waited for, at the end of each process.
const SYMBOLS: Duration = Duration::from_secs(10);

/// What is known of a process at its end.
pub(super) struct Report {
    pub(super) snapshot: Snapshot,
    pub(super) watched_seconds: f64,
    pub(super) findings: Vec<Finding>,
}

struct One {
    session: Session,
    due: Instant,
    /// Of the last look while it ran and did not take itself down.
    findings: Vec<Finding>,
    /// Live bytes at the last look, and how many looks in a row found less than the one before.
    live: f64,
    falling: u32,
}

/// The processes of a run.
pub(super) struct Followed {
    directory: PathBuf,
    searched: Option<Instant>,
    known: HashSet<PathBuf>,
    living: Vec<One>,
    reports: Vec<Report>,
    problems: Vec<String>,
}

impl Followed {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            searched: None,
            known: HashSet::new(),
            living: Vec::new(),
            reports: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Follows the journals; now and then looks at the tables and for new processes.
    pub(super) fn look(&mut self) {
        let is_due = self
            .searched
            .is_none_or(|at| self.known.is_empty() || at.elapsed() >= SEARCH);
        if is_due {
            self.search(false);
            self.searched = Some(Instant::now());
        }
        let mut index = 0;
        while let Some(one) = self.living.get_mut(index) {
            one.look();
            let running = one.session.info().state == TargetState::Live;
            if running && one.session.problem().is_none() {
                index += 1;
            } else {
                let ended = self.living.swap_remove(index);
                self.end(ended);
            }
        }
    }

    /// What was found, when the program has ended: processes that it left behind are reported as
    /// they are.
    pub(super) fn finish(mut self) -> (Vec<Report>, Vec<String>) {
        for one in std::mem::take(&mut self.living) {
            self.end(one);
        }
        self.search(true);
        self.reports
            .sort_by_key(|report| std::cmp::Reverse(report.snapshot.live.bytes.estimate as u64));
        (self.reports, self.problems)
    }

    fn search(&mut self, at_the_end: bool) {
        for found in discover_in(std::slice::from_ref(&self.directory)) {
            let path = found.info.region;
            if self.known.contains(&path) || self.reports.len() >= REPORTS_MAX {
                continue;
            }
            if let Some(problem) = found.problem {
                // It may be on its way; at the end it is not.
                if at_the_end {
                    self.problems.push(problem.to_string());
                }
                continue;
            }
            if self.living.len() >= SESSIONS_MAX {
                return;
            }
            self.known.insert(path.clone());
            let options = SessionOptions {
                // From its first allocation on.
                history: true,
                ..SessionOptions::default()
            };
            match Session::attach_with(&path, options) {
                Ok(session) => {
                    let one = One {
                        session,
                        due: Instant::now(),
                        findings: Vec::new(),
                        live: 0.0,
                        falling: 0,
                    };
                    if at_the_end {
                        self.end(one);
                    } else {
                        self.living.push(one);
                    }
                }
                Err(problem) => self.problems.push(problem.to_string()),
            }
        }
    }

    fn end(&mut self, mut one: One) {
        one.session.snapshot();
        one.session.wait_for_symbols(SYMBOLS);
        let snapshot = one.session.snapshot_of_last_look();
        if let Some(problem) = one.session.problem() {
            self.problems.push(problem.to_string());
        }
        let findings = worse(one.session.findings(), one.findings);
        if snapshot.target.state != TargetState::Live {
            // The directory is this command's own: nobody else reads it, and memory is given back.
            let _ = std::fs::remove_file(&snapshot.target.region);
        }
        self.reports.push(Report {
            watched_seconds: one.session.watched_seconds(),
            snapshot,
            findings,
        });
    }
}

impl One {
    fn look(&mut self) {
        self.session.poll();
        let start = Instant::now();
        if start < self.due {
            return;
        }
        let live = self.session.snapshot().live.bytes.estimate;
        let findings = self.session.findings();
        self.falling = if live < self.live {
            self.falling + 1
        } else {
            0
        };
        self.live = live;
        // What a process does on its way out is not what it does.
        let runs = self.session.info().state == TargetState::Live;
        if runs && (self.falling == 0 || self.falling > FALLING_MAX) {
            self.findings = findings;
        }
        self.due = Instant::now() + LOOK.max(start.elapsed().saturating_mul(SPACING));
    }
}

/// The findings at the end, with what was worse shortly before: a program that ends well frees what it
/// had let grow.
fn worse(at_the_end: Vec<Finding>, before: Vec<Finding>) -> Vec<Finding> {
    let mut findings = at_the_end;
    for mut old in before {
        if old.verdict > Verdict::Growing {
            continue;
        }
        let same = |new: &&mut Finding| {
            (&new.function, &new.file, new.line) == (&old.function, &old.file, old.line)
        };
        match findings.iter_mut().find(same) {
            Some(new) if new.verdict <= old.verdict => {}
            Some(new) => {
                old.evidence.push(LATER.to_owned());
                *new = old;
            }
            None => {
                old.evidence.push(LATER.to_owned());
                findings.push(old);
            }
        }
    }
    findings.sort_by_key(|finding| finding.verdict);
    findings
}

const LATER: &str = "figures of the last look before the process ended";

#[cfg(test)]
mod tests {
    use riptide_reader::profile::Estimate;

    use super::*;

    fn finding(function: &str, verdict: Verdict) -> Finding {
        Finding {
            verdict,
            confidence: 0.9,
            function: function.to_owned(),
            file: None,
            line: None,
            live_bytes: Estimate::default(),
            live_objects: Estimate::default(),
            growth_bytes_per_second: None,
            time_to_limit_seconds: None,
            evidence: Vec::new(),
            stack: [].into(),
        }
    }

    #[test]
    fn the_worse_of_two_verdicts_counts() {
        use Verdict::{Growing, Healthy, Leak};
        let merged = worse(
            vec![
                finding("a", Healthy),
                finding("b", Leak),
                finding("c", Healthy),
            ],
            vec![
                finding("a", Growing),
                finding("b", Growing),
                finding("d", Leak),
            ],
        );
        let words: Vec<_> = merged
            .iter()
            .map(|finding| (finding.function.as_str(), finding.verdict))
            .collect();
        assert_eq!(
            words,
            [("b", Leak), ("d", Leak), ("a", Growing), ("c", Healthy)]
        );
    }
}
