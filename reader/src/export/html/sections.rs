//! The page's text: identity, loss, verdicts, memory, sites.

use std::{
    io::{self, Write},
    time::{Duration, UNIX_EPOCH},
};

use super::{
    super::Capture,
    text::{Escaped, bytes, count, duration, estimate, figure, rate},
};
use crate::{
    leak::{Finding, Verdict},
    profile::{Frame, Loss, Memory, Site, TargetState, UnwinderKind},
};

/// Rows of the table; the rest is summed up.
const SITES_MAX: usize = 2_000;
/// Findings shown that are neither leaks nor growing.
const QUIET_MAX: usize = 500;

pub(super) fn write(capture: &Capture, title: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<header>\n<h1>{}</h1>", Escaped(title))?;
    identity(capture, out)?;
    writeln!(out, "</header>\n<main>")?;
    findings(capture, out)?;
    timeline(capture, out)?;
    out.write_all(FLAME.as_bytes())?;
    memory(&capture.snapshot.memory, out)?;
    sites(capture, out)?;
    writeln!(
        out,
        "</main>\n<footer>Written by riptide {}. Intervals hold the true figure with a probability of \
         95 %.</footer>",
        env!("CARGO_PKG_VERSION")
    )
}

const FLAME: &str = "<section>\n<h2>Flame graph</h2>\n<div class=\"tools\">\n\
    <span id=\"metrics\" class=\"tools\" role=\"group\" aria-label=\"Metric\"></span>\n\
    <button type=\"button\" id=\"runtime\" aria-pressed=\"false\" \
    title=\"Frames between the site and the allocator\">Runtime frames</button>\n\
    <button type=\"button\" id=\"reset\" disabled>Reset zoom</button>\n\
    <input type=\"search\" id=\"search\" placeholder=\"Search functions (/)\" \
    aria-label=\"Search functions\">\n<span id=\"found\" class=\"soft\"></span>\n</div>\n\
    <div id=\"graph\"></div>\n<p id=\"about\" class=\"mono\" aria-live=\"polite\"></p>\n\
    <p class=\"soft\">Click a frame to zoom, Esc to go back. Of growth, red grew and blue shrank.</p>\n\
    <noscript>The flame graph and the timeline need scripts; all other figures do not.</noscript>\n\
    </section>\n";

fn identity(capture: &Capture, out: &mut dyn Write) -> io::Result<()> {
    let snapshot = &capture.snapshot;
    let target = &snapshot.target;
    let at_least = snapshot.loss.makes_live_a_lower_bound();
    let state = match target.state {
        TargetState::Live => "live",
        TargetState::Exited => "exited",
        TargetState::Killed => "killed",
        TargetState::Unknown => "unknown",
    };
    let moment = u64::try_from(capture.unix_ns).unwrap_or(0);
    writeln!(
        out,
        "<p class=\"soft\">{state} at {}{}</p>\n<dl class=\"facts\">",
        utc(UNIX_EPOCH + Duration::from_nanos(moment)),
        match capture.watched_seconds {
            seconds if seconds >= 1.0 => format!(", watched for {}", duration(seconds)),
            _ => String::new(),
        }
    )?;
    let mut fact =
        |name: &str, value: &str| writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    let live = &snapshot.live;
    fact(
        "Live bytes",
        &format!(
            "<span id=\"live-bytes\">{}</span>",
            estimate(&live.bytes, at_least, bytes)
        ),
    )?;
    fact(
        "Live blocks",
        &format!(
            "<span id=\"live-objects\">{}</span>",
            estimate(&live.objects, at_least, count)
        ),
    )?;
    let sampling = &snapshot.sampling;
    let interval = match sampling.interval_bytes {
        1 => "every allocation".to_owned(),
        interval => format!("one sample in {}", bytes(interval as f64)),
    };
    let unwinder = match sampling.unwinder {
        UnwinderKind::Undecided => "",
        UnwinderKind::FramePointers => ", walked by frame pointers",
        UnwinderKind::Dwarf => ", walked by unwind tables",
    };
    fact(
        "Sampling",
        &format!(
            "{interval}, {} samples{unwinder}, {:.2} % of the CPU time used",
            count(sampling.samples as f64),
            100.0 * sampling.cost_fraction
        ),
    )?;
    if let Some(seconds) = target.uptime_seconds {
        fact("Uptime", &duration(seconds))?;
    }
    if let Some(executable) = &target.executable {
        let executable = executable.to_string_lossy();
        fact(
            "Executable",
            &format!("<code>{}</code>", Escaped(&executable)),
        )?;
    }
    let region = target.region.to_string_lossy();
    fact("Region", &format!("<code>{}</code>", Escaped(&region)))?;
    fact("Lost", &losses(&snapshot.loss))?;
    writeln!(out, "</dl>")?;
    if at_least {
        writeln!(
            out,
            "<p class=\"warning\">Live figures are lower bounds: {} blocks of {} went \
             unrecorded.</p>",
            count(snapshot.loss.unrecorded_blocks as f64),
            bytes(snapshot.loss.unrecorded_bytes as f64)
        )?;
    }
    if snapshot.pending_symbols > 0 {
        writeln!(
            out,
            "<p class=\"warning\">{} stacks had no names yet and are shown as addresses.</p>",
            count(snapshot.pending_symbols as f64)
        )?;
    }
    Ok(())
}

fn losses(loss: &Loss) -> String {
    let causes = [
        ("records overwritten", loss.overwritten),
        ("records dropped", loss.dropped),
        ("records torn", loss.torn),
        ("blocks unrecorded", loss.unrecorded_blocks),
        ("samples inside the profiler", loss.skipped_reentrant),
        ("samples while it was set up", loss.skipped_set_up),
        ("stacks cut", loss.truncated_stacks),
        ("stacks without room", loss.stack_table_full),
        ("torn live records", loss.torn_live_records),
    ];
    let told: Vec<String> = causes
        .iter()
        .filter(|(_, number)| *number > 0)
        .map(|(cause, number)| format!("{} {cause}", count(*number as f64)))
        .collect();
    if told.is_empty() {
        "nothing".to_owned()
    } else {
        told.join(", ")
    }
}

fn findings(capture: &Capture, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<section id=\"findings\">\n<h2>Findings</h2>")?;
    let (loud, quiet): (Vec<&Finding>, Vec<&Finding>) = capture
        .findings
        .iter()
        .partition(|finding| finding.verdict <= Verdict::Growing);
    if loud.is_empty() {
        writeln!(out, "<p>No leak, and nothing that grows.</p>")?;
    }
    for finding in loud {
        write_finding(finding, out)?;
    }
    if !quiet.is_empty() {
        writeln!(
            out,
            "<details><summary>{} others: cache-like, warm-up, healthy, too early</summary>",
            count(quiet.len() as f64)
        )?;
        for finding in quiet.iter().take(QUIET_MAX) {
            write_finding(finding, out)?;
        }
        if quiet.len() > QUIET_MAX {
            writeln!(
                out,
                "<p class=\"soft\">The first {QUIET_MAX} are shown.</p>"
            )?;
        }
        writeln!(out, "</details>")?;
    }
    writeln!(out, "</section>")
}

fn write_finding(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let word = finding.verdict.word();
    writeln!(
        out,
        "<article class=\"finding {word}\">\n<p><span class=\"verdict\">{word}</span> \
         <span class=\"soft\">{:.0} % confident</span> <code>{}</code>{}</p>",
        100.0 * finding.confidence,
        Escaped(&finding.function),
        place(finding.file.as_deref(), finding.line)
    )?;
    let growth = finding
        .growth_bytes_per_second
        .as_ref()
        .map_or_else(String::new, |growth| {
            format!(
                "; growth {} ({} to {})",
                rate(growth.estimate),
                rate(growth.low),
                rate(growth.high)
            )
        });
    let limit = finding
        .time_to_limit_seconds
        .as_ref()
        .map_or_else(String::new, |left| {
            format!("; memory limit reached in {}", duration(left.estimate))
        });
    writeln!(
        out,
        "<p>live {} in {} blocks{growth}{limit}</p>",
        figure(
            finding.live_bytes.estimate,
            &bytes(finding.live_bytes.estimate)
        ),
        count(finding.live_objects.estimate)
    )?;
    if !finding.evidence.is_empty() {
        writeln!(out, "<ul>")?;
        for sentence in &finding.evidence {
            writeln!(out, "<li>{}</li>", Escaped(sentence))?;
        }
        writeln!(out, "</ul>")?;
    }
    if !finding.stack.is_empty() {
        writeln!(out, "<details><summary>Stack</summary>")?;
        stack(&finding.stack, out)?;
        writeln!(out, "</details>")?;
    }
    writeln!(out, "</article>")
}

fn stack(frames: &[Frame], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<ol class=\"stack\">")?;
    for frame in frames {
        let inlined = if frame.inlined {
            " <span class=\"soft\">inlined</span>"
        } else {
            ""
        };
        writeln!(
            out,
            "<li><code>{}</code>{}{inlined}</li>",
            Escaped(&frame.function),
            place(frame.file.as_deref(), frame.line)
        )?;
    }
    writeln!(out, "</ol>")
}

fn place(file: Option<&str>, line: Option<u32>) -> String {
    match (file, line) {
        (None, _) => String::new(),
        (Some(file), None) => format!(" <span class=\"soft mono\">{}</span>", Escaped(file)),
        (Some(file), Some(line)) => {
            format!(" <span class=\"soft mono\">{}:{line}</span>", Escaped(file))
        }
    }
}

fn timeline(capture: &Capture, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<section>\n<h2>Timeline</h2>")?;
    if capture.history.len() > 1 {
        writeln!(out, "<div id=\"chart\"></div>")?;
    } else {
        writeln!(
            out,
            "<p class=\"soft\">The past is not known: <code>export --for 60s</code> watches a target \
             first, and <code>riptide record</code> keeps its past.</p>"
        )?;
    }
    writeln!(out, "</section>")
}

fn memory(memory: &Memory, out: &mut dyn Write) -> io::Result<()> {
    let rows = [
        ("allocated", memory.allocated),
        ("active", memory.active),
        ("resident", memory.resident),
        ("retained", memory.retained),
        ("metadata", memory.metadata),
        ("rss", memory.rss),
        ("virtual", memory.r#virtual),
        ("cgroup usage", memory.cgroup_usage),
        ("cgroup limit", memory.cgroup_limit),
    ];
    writeln!(out, "<section>\n<h2>Memory</h2>\n<dl class=\"facts\">")?;
    for (name, value) in rows {
        let value = value.map_or_else(
            || "unknown".to_owned(),
            |value| figure(value as f64, &bytes(value as f64)),
        );
        writeln!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    writeln!(out, "</dl>\n</section>")
}

fn sites(capture: &Capture, out: &mut dyn Write) -> io::Result<()> {
    let sites = &capture.snapshot.sites;
    let at_least = capture.snapshot.loss.makes_live_a_lower_bound();
    let shown = sites.get(..SITES_MAX).unwrap_or(sites);
    writeln!(
        out,
        "<section>\n<h2>Sites</h2>\n<div class=\"wide\">\n<table id=\"sites\">\n<thead><tr>\
         <th class=\"name\">Function</th><th>Live bytes</th><th>Live blocks</th>\
         <th>Allocated in all</th><th>Growth</th><th>Median age</th></tr></thead>\n<tbody>"
    )?;
    for site in shown {
        write_site(site, at_least, out)?;
    }
    writeln!(out, "</tbody>\n</table>\n</div>")?;
    if let Some(rest) = sites.get(SITES_MAX..).filter(|rest| !rest.is_empty()) {
        let sum: f64 = rest.iter().map(|site| site.live_bytes.estimate).sum();
        writeln!(
            out,
            "<p class=\"soft\">{} more sites hold {}.</p>",
            count(rest.len() as f64),
            bytes(sum)
        )?;
    }
    writeln!(out, "</section>")
}

fn write_site(site: &Site, at_least: bool, out: &mut dyn Write) -> io::Result<()> {
    let unknown = || "<span class=\"soft\">unknown</span>".to_owned();
    let growth = site
        .growth_bytes_per_second
        .as_ref()
        .map_or_else(unknown, |growth| estimate(growth, false, rate));
    let age = site
        .median_age_seconds
        .map_or_else(unknown, |age| figure(age, &duration(age)));
    writeln!(
        out,
        "<tr><td class=\"name\"><code>{}</code>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td>{growth}</td><td>{age}</td></tr>",
        Escaped(&site.function),
        place(site.file.as_deref(), site.line),
        estimate(&site.live_bytes, at_least, bytes),
        estimate(&site.live_objects, at_least, count),
        estimate(&site.allocated_bytes_total, false, bytes),
    )
}

/// `2026-01-31 12:00:00 UTC`, by Howard Hinnant's `civil_from_days`.
fn utc(moment: std::time::SystemTime) -> String {
    let seconds = moment
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_their_date() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(at(1_700_000_000), "2023-11-14 22:13:20 UTC");
        assert_eq!(at(1_709_164_799), "2024-02-28 23:59:59 UTC");
        assert_eq!(at(1_709_164_800), "2024-02-29 00:00:00 UTC");
    }
}
