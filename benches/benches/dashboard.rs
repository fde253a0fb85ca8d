//! What the dashboard costs, and how quickly it answers, on a busy target: `cargo bench --bench
//! dashboard`.
//!
//! The target allocates at 20,000 places, 50,000 blocks a second, and frees as many; every one of them is
//! sampled, so that there are 100,000 events a second. The dashboard runs in a terminal of our own.
//! `--only hour` watches its memory for an hour (`--seconds S`: S hours).

use std::{
    path::{Path, PathBuf},
    process::{Child, ExitCode, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use riptide_benches::{
    Error, child::Program, layouts, machine, options::Options, session::Directory, telemetry,
    terminal::Terminal,
};
use riptide_reader::Session;

const SIZE: (u16, u16) = (132, 43);
const ALLOCATIONS_PER_SECOND: &str = "50000";
/// Each screen is watched for so long with `--seconds 1`.
const WATCHED: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(60);
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/many-sites/Cargo.toml");

/// Key, and what stands in the tabs when its screen is shown.
const SCREENS: [(&str, &str); 8] = [
    ("1", "[1 Overview]"),
    ("2", "[2 Sites]"),
    ("3", "[3 Flame]"),
    ("4", "[4 Leaks]"),
    ("5", "[5 Threads]"),
    ("6", "[6 Shapes]"),
    ("7", "[7 jemalloc]"),
    ("8", "[8 Alerts]"),
];

fn main() -> ExitCode {
    Options::run(measure)
}

/// The busy service, ended when dropped.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(options: &Options) -> Result<(), Error> {
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    let riptide = telemetry::riptide()?;
    let mut program = Program::new("many-sites", &build()?.to_string_lossy(), &[]);
    let directory = Directory::new()?;
    directory.keep(&mut program);
    for (name, value) in [
        ("RIPTIDE_SAMPLE_INTERVAL", "1"),
        ("RIPTIDE_BUDGET", "off"),
        ("RIPTIDE_REGION_SIZE", "64MiB"),
    ] {
        program
            .environment
            .push((name.to_owned(), value.to_owned()));
    }
    let target = program
        .command(&[])
        .arg(ALLOCATIONS_PER_SECOND)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let target = Target(target);
    println!("{}\n", machine::describe(&bare));

    let region = directory.wait()?;
    let region = region.to_string_lossy();
    let mut terminal = Terminal::start(&riptide, &[&region], &[], SIZE)?;
    let start = Instant::now();
    for (what, text) in [("first numbers", "live heap"), ("first names", "request_")] {
        terminal
            .wait(DEADLINE, |screen| screen.contains(text))?
            .ok_or_else(|| format!("no {what} on\n{}", terminal.text()))?;
        println!("{what} after {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    }
    // All sites have blocks, and all names are there.
    terminal.watch(Duration::from_secs(10))?;
    rates(Path::new(&*region))?;
    if options.wants("screens") {
        screens(&mut terminal, WATCHED.mul_f64(options.seconds))?;
    }
    if options.wants("keys") {
        keys(&mut terminal, options.runs)?;
    }
    if options.names("hour") {
        hours(&mut terminal, options.seconds)?;
    }
    drop(target);
    Ok(())
}

/// The service; nothing is done when it is there already.
fn build() -> Result<PathBuf, Error> {
    let bare = Path::new(env!("CARGO_BIN_EXE_bench-bare"));
    let (_, _, target) = layouts::parts(bare).ok_or("not in a target directory")?;
    let target = target.join("many-sites");
    let status = layouts::cargo()
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--manifest-path",
            MANIFEST,
            "--target-dir",
        ])
        .arg(&target)
        .status()?;
    if !status.success() {
        return Err("the service does not build".into());
    }
    Ok(target.join("release/many-sites"))
}

/// What the target does, by a reader of our own over five seconds.
fn rates(region: &Path) -> Result<(), Error> {
    let mut session = Session::attach(region)?;
    let first = session.figures();
    let start = Instant::now();
    let (mut events, mut lost) = (0, 0);
    while start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(100));
        session.poll();
        events += session.events().len();
    }
    let last = session.figures();
    events += session.events().len();
    lost += last.loss.overwritten + last.loss.dropped + last.loss.torn;
    println!(
        "{:.0} events/s ({} lost), {:.0} allocations/s, {} stacks, {} live records, {} without one\n",
        events as f64 / start.elapsed().as_secs_f64(),
        lost,
        (last.sampling.samples - first.sampling.samples) as f64 / start.elapsed().as_secs_f64(),
        session.stack_book().len(),
        session.live_samples().len(),
        last.loss.unrecorded_blocks,
    );
    Ok(())
}

/// CPU and memory with each screen in front.
fn screens(terminal: &mut Terminal, length: Duration) -> Result<(), Error> {
    println!("| screen | CPU, % of a core | resident, MiB |");
    println!("|---|---|---|");
    for (key, name) in SCREENS {
        show(terminal, key, name)?;
        // What it shows beside the figures is made first.
        terminal.watch(Duration::from_secs(3))?;
        let (start, cpu) = (Instant::now(), terminal.cpu_seconds()?);
        terminal.watch(length)?;
        let share = (terminal.cpu_seconds()? - cpu) / start.elapsed().as_secs_f64();
        println!(
            "| {} | {:.1} | {:.0} |",
            name.trim_matches(['[', ']']),
            share * 100.0,
            mib(terminal)?
        );
    }
    println!();
    Ok(())
}

/// From a key to the whole of what it changes, many times.
fn keys(terminal: &mut Terminal, runs: usize) -> Result<(), Error> {
    println!("| key | median, ms | 95th percentile, ms | longest, ms |");
    println!("|---|---|---|---|");
    let mut all = Vec::new();
    let mut tabs = Vec::new();
    for _ in 0..runs {
        for (key, name) in SCREENS {
            tabs.push(time(terminal, key, |_, text| text.contains(name))?);
        }
    }
    row("to another tab", &mut tabs, &mut all);
    let mut help = Vec::new();
    for (key, name) in SCREENS {
        show(terminal, key, name)?;
        for _ in 0..runs / 4 {
            help.push(time(terminal, "?", |_, text| text.contains("help, lines"))?);
            help.push(time(terminal, "?", |_, text| {
                !text.contains("help, lines")
            })?);
        }
    }
    row("help, on each screen", &mut help, &mut all);
    show(terminal, "2", "[2 Sites]")?;
    let mut down = Vec::new();
    for _ in 0..runs * 4 {
        // Which row that is changes with the order, as the selection stays with its site.
        down.push(time(terminal, "j", |before, text| text != before)?);
    }
    row("a row down, among all sites", &mut down, &mut all);
    let mut orders = Vec::new();
    for _ in 0..runs * 2 {
        for mark in ["growth▼", "live▼"] {
            let key = if mark == "live▼" { "<" } else { ">" };
            orders.push(time(terminal, key, |_, text| text.contains(mark))?);
        }
    }
    row("another order of all sites", &mut orders, &mut all);
    let mut typed = Vec::new();
    for _ in 0..runs {
        terminal.press("/")?;
        terminal.watch(Duration::from_millis(100))?;
        let word = "request_0";
        for end in 1..=word.len() {
            let (Some(text), Some(letter)) = (word.get(..end), word.get(end - 1..end)) else {
                continue;
            };
            typed.push(time(terminal, letter, |_, screen| {
                screen.contains(&format!("filter: {text}"))
            })?);
        }
        terminal.press("\x1b")?;
        terminal.watch(Duration::from_millis(100))?;
    }
    row("a letter of a filter", &mut typed, &mut all);
    row("all of them", &mut all, &mut Vec::new());
    println!();
    Ok(())
}

/// Resident memory, minute by minute.
fn hours(terminal: &mut Terminal, hours: f64) -> Result<(), Error> {
    println!("| minute | CPU, % of a core | resident, MiB |");
    println!("|---|---|---|");
    // Another screen each minute, so that all parts are made.
    let minutes = 1..=(hours * 60.0).ceil() as u32;
    for (minute, (key, name)) in minutes.zip(SCREENS.into_iter().cycle()) {
        show(terminal, key, name)?;
        let (start, cpu) = (Instant::now(), terminal.cpu_seconds()?);
        terminal.watch(Duration::from_secs(60))?;
        let share = (terminal.cpu_seconds()? - cpu) / start.elapsed().as_secs_f64();
        println!(
            "| {minute} | {:.1} | {:.0} |",
            share * 100.0,
            mib(terminal)?
        );
    }
    println!();
    Ok(())
}

fn mib(terminal: &Terminal) -> Result<f64, Error> {
    Ok(terminal.rss_bytes()? as f64 / f64::from(1 << 20))
}

fn show(terminal: &mut Terminal, key: &str, name: &str) -> Result<(), Error> {
    terminal.press(key)?;
    terminal
        .wait(DEADLINE, |text| text.contains(name))?
        .ok_or_else(|| format!("no {name} on\n{}", terminal.text()))?;
    Ok(())
}

/// Presses a key at a moment that has nothing to do with the dashboard's own, and waits for what it does.
fn time(
    terminal: &mut Terminal,
    key: &str,
    wanted: impl Fn(&str, &str) -> bool,
) -> Result<Duration, Error> {
    let chance = SystemTime::now()
        .duration_since(UNIX_EPOCH)?
        .subsec_micros()
        % 61;
    terminal.watch(Duration::from_millis(u64::from(40 + chance)))?;
    let before = terminal.text();
    terminal.press(key)?;
    let took = terminal.wait(DEADLINE, |text| wanted(&before, text))?;
    took.ok_or_else(|| format!("`{key}` did not do what it does on\n{}", terminal.text()).into())
}

fn row(name: &str, times: &mut Vec<Duration>, all: &mut Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| {
        let place = (times.len() as f64 * share).ceil() as usize;
        let time = times.get(place.saturating_sub(1)).copied();
        time.unwrap_or_default().as_secs_f64() * 1e3
    };
    println!(
        "| {name}, n = {} | {:.1} | {:.1} | {:.1} |",
        times.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );
    all.append(times);
}
