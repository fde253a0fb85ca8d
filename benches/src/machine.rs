//! What was measured on: without it a figure says nothing.

use std::{fs, process::Command, thread};

use crate::{child::Program, layouts};

/// A few lines for the head of a report.
#[must_use]
pub fn describe(jemalloc: &Program) -> String {
    let unknown = || "unknown".to_owned();
    let cpu = first_line_after("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| unknown());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| unknown());
    let load: Vec<&str> = load.split(' ').take(3).collect();
    format!(
        "CPU: {cpu}, {} cores\nkernel: {}\n{}\njemalloc: {}\nprofile: {}\nload average at the start: {}",
        thread::available_parallelism().map_or(0, usize::from),
        kernel.trim(),
        rustc(),
        jemalloc
            .ask("jemalloc-version")
            .unwrap_or_else(|_| unknown()),
        profile(jemalloc),
        load.join(" "),
    )
}

/// The compiler's version.
#[must_use]
pub fn rustc() -> String {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    Command::new(compiler)
        .arg("--version")
        .output()
        .map_or_else(
            |_| "rustc unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
}

/// The Cargo profile that a program was built in, by the directory where it lies.
#[must_use]
pub fn profile(program: &Program) -> String {
    layouts::parts(&program.path).map_or_else(String::new, |(_, profile, _)| profile)
}

fn first_line_after(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
