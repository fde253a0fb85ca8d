//! Verdicts on the sites of a model.
//!
//! Every site is judged, and every function that has several of them: what is spread thinly over many
//! lines may only show in their sum.

use std::collections::HashMap;

use super::{FreshMemory, Model, NO_SITE};
use crate::{
    estimate::Totals,
    ingest::Observation,
    leak::{
        Finding, Verdict,
        evidence::{Evidence, seconds_between},
        judge::{self, Candidate, Judgement, Moment, Reason, Thresholds},
        plateau,
        statistics::{benjamini_hochberg, theil_sen},
        words,
    },
};

/// Sites whose verdict `leak` is remembered.
const HELD_MAX: usize = 4_096;

/// What names a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SiteName {
    function: String,
    file: Option<String>,
    line: Option<u32>,
}

/// Sites that were called leaks: when last, and why.
pub(crate) type Held = HashMap<SiteName, (u64, Judgement)>;

/// A site, or a function as the sum of its sites.
#[derive(Clone, Debug, Default)]
struct Group {
    evidence: Evidence,
    live: Totals,
    places: Vec<u32>,
    candidate: Candidate,
}

impl Model {
    /// Verdicts on all sites as of the last look, the worst first and then by growth.
    pub fn verdicts(&mut self, observation: &Observation, fresh: FreshMemory) -> Vec<Finding> {
        let headroom = self.memory(observation, fresh).cgroup_headroom();
        let headroom_bytes = headroom.map(|bytes| bytes as f64);
        self.group();
        let mut evidence = std::mem::take(&mut self.evidence);
        self.tracker.gather(observation, &mut evidence);
        let moment = Moment {
            covered_seconds: self.tracker.covered_seconds(observation),
            watched_seconds: seconds_between(self.tracker.began_ns(), observation.time_ns),
            now_ns: observation.time_ns,
            began_ns: self.tracker.began_ns(),
        };
        let mut sites = self.site_groups(&evidence);
        self.evidence = evidence;
        for site in &mut sites {
            site.candidate = judge::examine(&site.evidence, &moment);
        }
        let thresholds = thresholds(&sites);
        let judged: Vec<Judgement> = sites
            .iter()
            .map(|site| {
                let judgement =
                    judge::decide(&site.evidence, &site.candidate, &thresholds, &moment);
                self.uphold(site, judgement, &moment)
            })
            .collect();
        let functions = self.functions(&sites, &judged, &moment);
        let mut findings: Vec<Finding> = Vec::with_capacity(sites.len());
        for (site, judgement) in sites.iter().zip(&judged) {
            findings.extend(self.finding(observation, site, judgement, &moment, headroom_bytes));
        }
        for (function, judgement) in &functions {
            let finding = self.finding(observation, function, judgement, &moment, headroom_bytes);
            findings.extend(finding.map(|finding| Finding {
                file: None,
                line: None,
                ..finding
            }));
        }
        let growth = |finding: &Finding| {
            let of = finding.growth_bytes_per_second;
            of.map_or(f64::NEG_INFINITY, |growth| growth.estimate)
        };
        findings.sort_by(|a, b| {
            a.verdict
                .cmp(&b.verdict)
                .then_with(|| growth(b).total_cmp(&growth(a)))
                .then_with(|| b.live_bytes.estimate.total_cmp(&a.live_bytes.estimate))
                .then_with(|| a.function.cmp(&b.function))
                .then_with(|| a.line.cmp(&b.line))
        });
        findings
    }

    /// Keeps the verdict `leak` for as long as its window after it was last reached, unless blocks die
    /// after all: chance makes births pause, and a leak is not mended by a quiet minute.
    fn uphold(&mut self, site: &Group, judgement: Judgement, moment: &Moment) -> Judgement {
        let leaf = site.places.first();
        let Some(leaf) = leaf.and_then(|place| self.naming.leaf_frame(*place as usize)) else {
            return judgement;
        };
        let key = SiteName {
            function: leaf.function.clone(),
            file: leaf.file.clone(),
            line: leaf.line,
        };
        if judgement.verdict == Verdict::Leak {
            if self.held.len() < HELD_MAX || self.held.contains_key(&key) {
                self.held.insert(key, (moment.now_ns, judgement));
            }
            return judgement;
        }
        let Some((reached_ns, held)) = self.held.get(&key).copied() else {
            return judgement;
        };
        let window_seconds = match held.reason {
            Reason::Plateau(of) if plateau::upheld(&site.evidence, of.window_seconds) => {
                of.window_seconds
            }
            Reason::Buffers(buffers) => buffers.seconds,
            _ => 0.0,
        };
        let quiet = judgement.verdict != Verdict::CacheLike;
        if quiet && seconds_between(reached_ns, moment.now_ns) <= window_seconds {
            Judgement {
                confidence: held.confidence.min(0.9),
                ..held
            }
        } else {
            self.held.remove(&key);
            judgement
        }
    }

    /// Sums up the evidence of each site.
    fn site_groups(&self, evidence: &[Evidence]) -> Vec<Group> {
        let mut groups = vec![Group::default(); self.sites.named_by.len()];
        for place in &self.order {
            let site = self.sites.of_stack.get(*place as usize);
            let site = site.copied().unwrap_or(NO_SITE);
            if let (Some(group), Some(evidence), Some(live)) = (
                groups.get_mut(site as usize),
                evidence.get(*place as usize),
                self.live.by_stack.get(*place as usize),
            ) {
                group.evidence.merge(evidence);
                group.live.add(live);
                group.places.push(*place);
            }
        }
        groups
    }

    /// Functions whose sites say less than their sum does.
    fn functions(
        &self,
        sites: &[Group],
        judged: &[Judgement],
        moment: &Moment,
    ) -> Vec<(Group, Judgement)> {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, site) in sites.iter().enumerate() {
            let place = site.places.first();
            if let Some(leaf) = place.and_then(|place| self.naming.leaf_frame(*place as usize)) {
                by_name.entry(&leaf.function).or_default().push(index);
            }
        }
        let mut functions = Vec::new();
        let mut worst = Vec::new();
        for members in by_name.into_values().filter(|members| members.len() > 1) {
            let mut sum = Group::default();
            let mut least = Verdict::TooEarly;
            for index in members {
                if let (Some(site), Some(judgement)) = (sites.get(index), judged.get(index)) {
                    sum.evidence.merge(&site.evidence);
                    sum.live.add(&site.live);
                    sum.places.extend(&site.places);
                    least = least.min(judgement.verdict);
                }
            }
            sum.candidate = judge::examine(&sum.evidence, moment);
            functions.push(sum);
            worst.push(least);
        }
        let thresholds = thresholds(&functions);
        let judged = functions.into_iter().zip(worst).map(|(function, worst)| {
            let judgement =
                judge::decide(&function.evidence, &function.candidate, &thresholds, moment);
            (function, judgement, worst)
        });
        judged
            .filter(|(_, judgement, worst)| {
                judgement.verdict < *worst && judgement.verdict <= Verdict::Growing
            })
            .map(|(function, judgement, _)| (function, judgement))
            .collect()
    }

    fn finding(
        &mut self,
        observation: &Observation,
        group: &Group,
        judgement: &Judgement,
        moment: &Moment,
        headroom_bytes: Option<f64>,
    ) -> Option<Finding> {
        let place = *group.places.first()? as usize;
        let leaf = self.naming.leaf_frame(place)?.clone();
        let grows = judgement.verdict <= Verdict::Growing;
        let time_to_limit = judgement
            .rate
            .filter(|_| grows)
            .zip(headroom_bytes)
            .and_then(|(rate, headroom)| rate.time_to_use_up(headroom));
        let slope = grows.then(|| theil_sen(&self.tracker.levels(&group.places)));
        let evidence = words::sentences(
            &group.evidence,
            judgement,
            slope.flatten(),
            moment,
            time_to_limit.as_ref(),
        );
        let stack = if grows || group.live.samples > 0 {
            self.naming
                .leaf_outward(place, &observation.stacks, &observation.modules)
        } else {
            std::sync::Arc::new([])
        };
        Some(Finding {
            verdict: judgement.verdict,
            confidence: judgement.confidence,
            function: leaf.function,
            file: leaf.file,
            line: leaf.line,
            live_bytes: group.live.bytes.interval(),
            live_objects: group.live.objects.interval(),
            growth_bytes_per_second: judgement.rate,
            time_to_limit_seconds: time_to_limit,
            evidence,
            stack,
        })
    }
}

/// Which p-values count, by Benjamini and Hochberg. Groups that could not have been found whatever
/// happened, because they have too few samples, are no tests (Tarone 1990).
fn thresholds(groups: &[Group]) -> Thresholds {
    let testable = |group: &&Group| group.evidence.live.count >= 5.0;
    let p_values = |of: fn(&Candidate) -> Option<f64>| {
        let mut values: Vec<f64> = groups
            .iter()
            .filter(testable)
            .map(|group| of(&group.candidate).unwrap_or(1.0))
            .collect();
        benjamini_hochberg(&mut values, judge::FALSE_DISCOVERIES)
    };
    Thresholds {
        plateau: p_values(|candidate| candidate.plateau.map(|of| of.p_value)),
        growth: p_values(|candidate| candidate.growth.map(|of| of.p_value)),
    }
}
