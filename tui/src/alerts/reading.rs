//! What the rules look at: one target at one moment.

use riptide_reader::{
    leak::{Finding, Verdict},
    profile::{Estimate, Site},
};

use super::alert::{SiteEvidence, TargetName};

/// A site with a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictReading {
    /// The verdict.
    pub verdict: Verdict,
    /// Probability that the verdict is right.
    pub confidence: f64,
    /// The site with its growth.
    pub site: SiteEvidence,
    /// Why, in sentences.
    pub evidence: Vec<String>,
}

/// One target at one moment; `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Who it is.
    pub target: TargetName,
    /// Live requested bytes.
    pub live: Estimate,
    /// Resident set size.
    pub rss: Option<u64>,
    /// Limit of the memory cgroup.
    pub cgroup_limit: Option<u64>,
    /// Usage of the memory cgroup without file pages that the kernel takes back before it kills.
    pub cgroup_in_use: Option<u64>,
    /// jemalloc's allocated bytes.
    pub allocated: Option<u64>,
    /// jemalloc's bytes in pages with blocks.
    pub active: Option<u64>,
    /// Growth of the live heap over the last minutes.
    pub growth_bytes_per_second: Option<Estimate>,
    /// Seconds until that growth reaches the cgroup's limit; none when it may be no growth.
    pub time_to_limit_seconds: Option<Estimate>,
    /// Journal records lost, or samples without a record, as a share of all; whichever is more.
    pub lost_share: f64,
    /// Sampled blocks without a record since the process started.
    pub unrecorded_blocks: u64,
    /// The last verdicts, the worst first and then by growth.
    pub verdicts: Vec<VerdictReading>,
    /// The sites that grow most.
    pub sites: Vec<SiteEvidence>,
    /// The newest heap snapshot on disk.
    pub snapshot: Option<String>,
}

impl From<&Site> for SiteEvidence {
    fn from(site: &Site) -> Self {
        Self {
            function: site.function.clone(),
            file: site.file.clone(),
            line: site.line,
            live_bytes: site.live_bytes,
            growth_bytes_per_second: site.growth_bytes_per_second,
        }
    }
}

impl From<&Finding> for VerdictReading {
    fn from(finding: &Finding) -> Self {
        Self {
            verdict: finding.verdict,
            confidence: finding.confidence,
            site: SiteEvidence {
                function: finding.function.clone(),
                file: finding.file.clone(),
                line: finding.line,
                live_bytes: finding.live_bytes,
                growth_bytes_per_second: finding.growth_bytes_per_second,
            },
            evidence: finding.evidence.clone(),
        }
    }
}
