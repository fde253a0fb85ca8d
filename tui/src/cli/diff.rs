//! `riptide diff`: what two moments differ in, site by site.

use std::{
    collections::BTreeMap, fs::File, io::Read, path::Path, process::ExitCode, time::Duration,
};

use riptide_reader::{
    Session,
    attach::resolve_target,
    estimate::{self, Sum},
    profile::{Estimate, SCHEMA_VERSION, Snapshot},
    recording::Span,
    symbolize::display_name,
};
use serde::Serialize;
use serde_json::Value;

use super::{CliError, Output, leaks, output::Ink, recorded, table};
use crate::units::{self, Trend};

/// How long symbols are waited for.
const SYMBOLS: Duration = Duration::from_secs(10);
/// Largest snapshot file that is read.
const FILE_MAX_BYTES: u64 = 1 << 30;

/// Arguments of `diff`.
///
/// A and B are each a target, a region file, a recording (FILE@90s for a moment of it), or a snapshot from
/// `riptide export --format json`. The two are taken for independent; of one process they share blocks,
/// and the intervals are then wider than they had to be.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Before
    #[arg(value_name = "A")]
    before: String,
    /// After
    #[arg(value_name = "B")]
    after: String,
    /// Sites printed; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

type SiteKey = (String, Option<String>, Option<u64>);

/// What is compared of a moment.
#[derive(Debug, Default)]
struct Moment {
    title: String,
    interval: u64,
    live: Figures,
    sites: BTreeMap<SiteKey, Figures>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    bytes: Estimate,
    objects: Estimate,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    before: String,
    after: String,
    live_bytes_change: Estimate,
    live_objects_change: Estimate,
    sites: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    function: String,
    file: Option<String>,
    line: Option<u64>,
    /// `grew` or `shrank` when 0 lies outside the interval of the change.
    direction: &'static str,
    before_live_bytes: Estimate,
    after_live_bytes: Estimate,
    live_bytes_change: Estimate,
    live_objects_change: Estimate,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let before = moment(&args.before)?;
    let after = moment(&args.after)?;
    let mut document = compare(&before, &after);
    let all = document.sites.len();
    if args.limit > 0 {
        document.sites.truncate(args.limit);
    }
    if args.json {
        out.json(&document, false)?;
    } else {
        print(out, &document, all - document.sites.len())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn moment(spec: &str) -> Result<Moment, CliError> {
    if let Some((path, at)) = spec.rsplit_once('@')
        && !Path::new(spec).exists()
    {
        let at = leaks::parse_duration(at).map_err(|hint| CliError::Usage {
            message: format!("{at} is no moment of {path}"),
            hint,
        })?;
        if let Some(mut replay) = recorded::open(Some(path), Some(at), Span::Moment)? {
            return Ok(Moment::of(spec, &replay.snapshot()));
        }
    }
    if let Some(mut replay) = recorded::open(Some(spec), None, Span::Moment)? {
        return Ok(Moment::of(spec, &replay.snapshot()));
    }
    if let Some(document) = snapshot_file(spec)? {
        let version = document.get("schema_version").and_then(Value::as_u64);
        if let Some(version) = version.filter(|version| *version > u64::from(SCHEMA_VERSION)) {
            return Err(CliError::Newer {
                message: format!(
                    "{spec} is a snapshot of version {version} (this riptide knows {SCHEMA_VERSION})"
                ),
                hint: "use the riptide of the release that wrote it".to_owned(),
            });
        }
        return Moment::parse(spec, &document).ok_or_else(|| CliError::Usage {
            message: format!("{spec} is JSON, but no snapshot of riptide"),
            hint: "make one: riptide export TARGET --format json -o FILE".to_owned(),
        });
    }
    let mut session = Session::attach(&resolve_target(Some(spec))?)?;
    session.snapshot();
    session.wait_for_symbols(SYMBOLS);
    let snapshot = session.snapshot_of_last_look();
    match session.problem() {
        Some(problem) => Err(problem.into()),
        None => Ok(Moment::of(spec, &snapshot)),
    }
}

/// A file that begins as a JSON object does.
fn snapshot_file(spec: &str) -> Result<Option<Value>, CliError> {
    let path = Path::new(spec);
    if spec.parse::<u32>().is_ok() || !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let failed = |error| CliError::io("read the snapshot", error);
    let mut file = File::open(path).map_err(failed)?;
    let mut first = [0];
    let is_json = file.read(&mut first).map_err(failed)? == 1 && first == *b"{";
    if !is_json {
        return Ok(None);
    }
    let rest = std::io::Cursor::new(first).chain(file.take(FILE_MAX_BYTES));
    serde_json::from_reader(std::io::BufReader::new(rest))
        .map(Some)
        .map_err(|error| CliError::Io {
            operation: "read the snapshot",
            source: std::io::Error::other(format!("{spec}: {error}")),
        })
}

impl Moment {
    fn of(spec: &str, snapshot: &Snapshot) -> Self {
        let target = &snapshot.target;
        let sites = snapshot.sites.iter().map(|site| {
            let line = site.line.map(u64::from);
            let key = (site.function.clone(), site.file.clone(), line);
            let figures = Figures {
                bytes: site.live_bytes,
                objects: site.live_objects,
            };
            (key, figures)
        });
        Self {
            title: format!("{} [{}] ({spec})", target.name, target.pid),
            interval: snapshot.sampling.interval_bytes,
            live: Figures {
                bytes: snapshot.live.bytes,
                objects: snapshot.live.objects,
            },
            sites: sites.collect(),
        }
    }

    /// Of the document that `export --format json` and `top --json` write.
    fn parse(spec: &str, document: &Value) -> Option<Self> {
        let figures = |of: &Value, bytes: &str, objects: &str| {
            Some(Figures {
                bytes: parse_estimate(of.get(bytes)?)?,
                objects: parse_estimate(of.get(objects)?)?,
            })
        };
        let target = document.get("target")?;
        let mut sites = BTreeMap::new();
        for site in document.get("sites")?.as_array()? {
            let key = (
                site.get("function")?.as_str()?.to_owned(),
                site.get("file")?.as_str().map(str::to_owned),
                site.get("line")?.as_u64(),
            );
            sites.insert(key, figures(site, "live_bytes", "live_objects")?);
        }
        Some(Self {
            title: format!(
                "{} [{}] ({spec})",
                target.get("name")?.as_str()?,
                target.get("pid")?.as_u64()?
            ),
            interval: document.get("sampling")?.get("interval_bytes")?.as_u64()?,
            live: figures(document.get("live")?, "bytes", "objects")?,
            sites,
        })
    }

    /// A site of which no sample is live: nothing, or too little to be seen.
    fn figures(&self, key: &SiteKey) -> Figures {
        let unseen = |unseen: f64| {
            Sum {
                unseen,
                ..Sum::default()
            }
            .interval()
        };
        self.sites
            .get(key)
            .copied()
            .unwrap_or_else(|| match self.interval {
                0 | 1 => Figures::default(),
                interval => Figures {
                    bytes: unseen(interval as f64),
                    objects: Estimate::default(),
                },
            })
    }
}

fn parse_estimate(value: &Value) -> Option<Estimate> {
    let number = |name: &str| {
        value
            .get(name)?
            .as_f64()
            .filter(|number| number.is_finite())
    };
    Some(Estimate {
        estimate: number("estimate")?,
        low: number("low")?,
        high: number("high")?,
    })
}

fn compare(before: &Moment, after: &Moment) -> Document {
    let mut keys: Vec<&SiteKey> = before.sites.keys().chain(after.sites.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut sites: Vec<Row> = keys
        .into_iter()
        .map(|key| {
            let (old, new) = (before.figures(key), after.figures(key));
            let change = estimate::difference(&new.bytes, &old.bytes);
            let (function, file, line) = key.clone();
            Row {
                function,
                file,
                line,
                direction: direction(&change),
                before_live_bytes: old.bytes,
                after_live_bytes: new.bytes,
                live_bytes_change: change,
                live_objects_change: estimate::difference(&new.objects, &old.objects),
            }
        })
        .filter(|row| {
            row.live_bytes_change.estimate != 0.0 || row.live_objects_change.estimate != 0.0
        })
        .collect();
    let size = |row: &Row| row.live_bytes_change.estimate.abs();
    sites.sort_by(|a, b| size(b).total_cmp(&size(a)));
    Document {
        schema_version: SCHEMA_VERSION,
        before: before.title.clone(),
        after: after.title.clone(),
        live_bytes_change: estimate::difference(&after.live.bytes, &before.live.bytes),
        live_objects_change: estimate::difference(&after.live.objects, &before.live.objects),
        sites,
    }
}

fn direction(change: &Estimate) -> &'static str {
    if change.low > 0.0 {
        "grew"
    } else if change.high < 0.0 {
        "shrank"
    } else {
        "unclear"
    }
}

fn print(out: &mut Output, document: &Document, hidden: usize) -> Result<(), CliError> {
    out.line(Ink::Plain, &format!("before  {}", document.before))?;
    out.line(Ink::Plain, &format!("after   {}", document.after))?;
    let total = signed(&document.live_bytes_change);
    out.line(Ink::Strong, &format!("live heap {total}"))?;
    out.line(Ink::Plain, "")?;
    if document.sites.is_empty() {
        return out.line(Ink::Dim, "no site differs");
    }
    let rows: Vec<Vec<String>> = document
        .sites
        .iter()
        .map(|row| {
            let place = match (&row.file, row.line) {
                (Some(file), Some(line)) => format!("  {file}:{line}"),
                _ => String::new(),
            };
            vec![
                signed(&row.live_bytes_change),
                units::bytes(row.before_live_bytes.estimate),
                units::bytes(row.after_live_bytes.estimate),
                row.direction.to_owned(),
                format!("{}{place}", display_name(&row.function)),
            ]
        })
        .collect();
    table::print(
        out,
        &["CHANGE", "BEFORE", "AFTER", "", "SITE"],
        &["right", "right", "right", "left", "left"],
        &rows,
        |index| match document.sites.get(index) {
            Some(row) if units::trend(Some(&row.live_bytes_change)) == Trend::Grows => Ink::Bad,
            Some(row) if row.direction == "shrank" => Ink::Good,
            _ => Ink::Plain,
        },
    )?;
    if hidden > 0 {
        out.line(
            Ink::Dim,
            &format!("{hidden} more sites (--limit 0 prints all)"),
        )?;
    }
    Ok(())
}

/// A change with its sign and error.
fn signed(change: &Estimate) -> String {
    let sign = if change.estimate < 0.0 { '-' } else { '+' };
    format!(
        "{sign}{} ±{}",
        units::bytes(change.estimate.abs()),
        units::bytes(units::half_width(change))
    )
}
