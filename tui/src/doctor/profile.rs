//! A region that can be read: format, configuration, heartbeat, loss, sampling, unwinder.

use riptide_reader::profile::{Snapshot, TargetState, UnwinderKind};

use super::Check;
use crate::units;

/// Seconds without a word from the shim that are normal in a busy process.
const HEARTBEAT_SECONDS: f64 = 10.0;

/// What the header says beyond the snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Format, major.
    pub abi_major: u16,
    /// Format, minor.
    pub abi_minor: u16,
    /// Version of the allocator crate.
    pub allocator_version: String,
    /// What was wrong with the environment.
    pub config_error: Option<String>,
    /// Bytes of the region.
    pub region_bytes: u64,
    /// Stacks that were walked both ways, and of those, how many agreed; `None` when not known.
    pub unwinders_agree: Option<(u64, u64)>,
}

/// The checks of a region.
#[must_use]
pub fn checks(snapshot: &Snapshot, header: &HeaderFacts) -> Vec<Check> {
    let mut checks = vec![Check::ok(
        "region",
        format!(
            "{}, {}",
            snapshot.target.region.display(),
            units::bytes(header.region_bytes as f64)
        ),
    )];
    checks.push(Check::ok(
        "format",
        format!(
            "{}.{}, written by riptide-alloc {}",
            header.abi_major, header.abi_minor, header.allocator_version
        ),
    ));
    checks.push(match &header.config_error {
        None => Check::ok("configuration", "understood"),
        Some(error) => Check::warn(
            "configuration",
            error.lines().collect::<Vec<_>>().join("; "),
            "correct the variable and start the program again; until then its default holds",
        ),
    });
    checks.push(heartbeat(snapshot));
    checks.push(sampling(snapshot));
    checks.extend(loss(snapshot));
    checks.push(unwinder(snapshot, header));
    checks
}

fn heartbeat(snapshot: &Snapshot) -> Check {
    const NAME: &str = "heartbeat";
    match (snapshot.target.state, snapshot.target.heartbeat_age_seconds) {
        (TargetState::Live, Some(age)) if age <= HEARTBEAT_SECONDS => {
            Check::ok(NAME, format!("{} ago", units::duration(age)))
        }
        (TargetState::Live, Some(age)) => Check::warn(
            NAME,
            format!("{} ago", units::duration(age)),
            "normal when the program allocates little; else look whether it hangs",
        ),
        (TargetState::Live, None) => Check::warn(
            NAME,
            "none yet",
            "wait until the program has allocated something",
        ),
        (TargetState::Exited, _) => Check::ok(NAME, "the process ended cleanly"),
        (TargetState::Killed, _) => Check::warn(
            NAME,
            "the process ended without a word",
            "look for an OOM kill or a crash in the system log; its heap can still be read",
        ),
        (TargetState::Unknown, _) => Check::warn(
            NAME,
            "from another boot or pid namespace: whether the process runs is not known",
            "run riptide where the process runs",
        ),
    }
}

fn sampling(snapshot: &Snapshot) -> Check {
    let sampling = &snapshot.sampling;
    let cost = format!(
        "{:.2}% of the process's CPU time",
        sampling.cost_fraction * 100.0
    );
    let interval = if sampling.interval_bytes == 1 {
        "every allocation is recorded".to_owned()
    } else {
        format!(
            "1 sample per {}",
            units::bytes(sampling.interval_bytes as f64)
        )
    };
    let detail = format!(
        "{interval}, {} samples, {cost}",
        units::count(sampling.samples as f64)
    );
    if sampling.cost_fraction > 0.01 {
        Check::warn(
            "sampling",
            detail,
            "raise RIPTIDE_SAMPLE_INTERVAL, or set RIPTIDE_BUDGET=0.5",
        )
    } else if sampling.samples == 0 {
        Check::warn(
            "sampling",
            detail,
            "wait until the program has allocated something",
        )
    } else {
        Check::ok("sampling", detail)
    }
}

fn loss(snapshot: &Snapshot) -> Vec<Check> {
    let loss = &snapshot.loss;
    let mut checks = Vec::new();
    checks.push(if loss.unrecorded_blocks > 0 {
        Check::warn(
            "loss",
            format!(
                "{} sampled blocks ({}) have no record: live figures are lower bounds",
                loss.unrecorded_blocks,
                units::bytes(loss.unrecorded_bytes as f64)
            ),
            "start the program with a larger RIPTIDE_REGION_SIZE or RIPTIDE_SAMPLE_INTERVAL",
        )
    } else {
        Check::ok("loss", "every sampled block has its record")
    });
    if loss.stack_table_full > 0 {
        checks.push(Check::warn(
            "stacks",
            format!(
                "{} samples found no room for their stack",
                loss.stack_table_full
            ),
            "start the program with a larger RIPTIDE_REGION_SIZE",
        ));
    }
    let samples = snapshot.sampling.samples;
    if loss.truncated_stacks.saturating_mul(20) > samples && samples > 0 {
        checks.push(Check::warn(
            "stacks",
            format!(
                "{} of {samples} stacks were cut short",
                loss.truncated_stacks
            ),
            "start the program with RIPTIDE_UNWIND=dwarf",
        ));
    }
    checks
}

fn unwinder(snapshot: &Snapshot, header: &HeaderFacts) -> Check {
    const NAME: &str = "unwinder";
    let agreement = header
        .unwinders_agree
        .filter(|(checked, _)| *checked > 0)
        .map(|(checked, agreed)| {
            format!(
                "; both ways agreed on {agreed} of {checked} stacks ({})",
                units::percent(agreed as f64, checked as f64)
            )
        })
        .unwrap_or_default();
    match snapshot.sampling.unwinder {
        UnwinderKind::FramePointers => Check::ok(NAME, format!("frame pointers{agreement}")),
        UnwinderKind::Dwarf => Check::warn(
            NAME,
            format!("unwind tables{agreement}"),
            "build with RUSTFLAGS=\"-C force-frame-pointers=yes\" for samples that cost ten times \
             less",
        ),
        UnwinderKind::Undecided => Check::ok(NAME, format!("not chosen yet{agreement}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::Status, sample::snapshot};

    fn status(checks: &[Check], name: &str) -> Status {
        checks
            .iter()
            .find(|check| check.name == name)
            .unwrap()
            .status
    }

    #[test]
    fn a_healthy_target_passes() {
        let checks = checks(&snapshot(), &HeaderFacts::default());
        assert!(
            checks.iter().all(|check| check.status == Status::Ok),
            "{checks:?}"
        );
    }

    #[test]
    fn what_is_wrong_is_found() {
        let mut snapshot = snapshot();
        snapshot.loss.unrecorded_blocks = 3;
        snapshot.target.heartbeat_age_seconds = Some(99.0);
        snapshot.sampling.unwinder = UnwinderKind::Dwarf;
        snapshot.sampling.cost_fraction = 0.2;
        let header = HeaderFacts {
            config_error: Some("RIPTIDE_BUDGET: \"x\"".to_owned()),
            unwinders_agree: Some((64, 10)),
            ..HeaderFacts::default()
        };
        let checks = checks(&snapshot, &header);
        for name in ["loss", "heartbeat", "unwinder", "sampling", "configuration"] {
            assert_eq!(status(&checks, name), Status::Warn, "{name}");
        }
        assert!(checks.iter().any(|check| check.detail.contains("10 of 64")));
    }
}
