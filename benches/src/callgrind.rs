//! Instructions of a run, and of functions in it. Needs valgrind.

use std::{fs, path::Path, process::Command};

use crate::{Error, child::Program, workload::Workload};

/// Instructions that a run executes in user mode.
///
/// # Errors
/// When valgrind or the program fails.
pub fn instructions(program: &Program, workload: &Workload, rounds: u64) -> Result<u64, Error> {
    run(program, workload, rounds, Path::new("/dev/null"))
}

/// Instructions of a run, and of those the ones spent in functions whose path ends with one of
/// `names`, with all that these call.
///
/// # Errors
/// When valgrind, its annotation or the program fails.
pub fn inclusive(
    program: &Program,
    workload: &Workload,
    rounds: u64,
    names: &[&str],
) -> Result<(u64, u64), Error> {
    let file = std::env::temp_dir().join(format!("riptide-callgrind-{}", std::process::id()));
    let all = run(program, workload, rounds, &file)?;
    let output = Command::new("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100", "--tree=none"])
        .arg(&file)
        .output()
        .map_err(|error| format!("callgrind_annotate: {error}"));
    // Whether or not it could be read.
    let _ = fs::remove_file(&file);
    let text = String::from_utf8_lossy(&output?.stdout).into_owned();
    // A function has a line for each file whose code was inlined into it, and each of them counts the
    // calls made further in: the largest is the function.
    let of = |name: &&str| {
        let lines = text.lines().filter(|line| is_of(line, name));
        let figures = lines.filter_map(|line| {
            let figure = line.split_whitespace().next()?.replace(',', "");
            figure.parse::<u64>().ok()
        });
        figures.max().unwrap_or(0)
    };
    let within = names.iter().map(of).sum();
    Ok((all, within))
}

/// Whether a line of the annotation is about the function `name`, and not one whose name is longer
/// or lies inside it.
fn is_of(line: &str, name: &str) -> bool {
    line.split_once(name).is_some_and(|(_, after)| {
        let is_longer = after.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        !is_longer && !after.contains("{{closure}}")
    })
}

fn run(program: &Program, workload: &Workload, rounds: u64, file: &Path) -> Result<u64, Error> {
    let mut wrapped = program.clone();
    wrapped.wrapper = vec![
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", file.display()),
    ];
    let output = wrapped
        .command_for(workload, rounds)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    // "==1234== Collected : 5678", one figure for each event; instructions come first.
    text.lines()
        .find_map(|line| {
            let (_, figures) = line.split_once("Collected :")?;
            figures.split_whitespace().next()?.parse().ok()
        })
        .ok_or_else(|| format!("callgrind on {}: no count in\n{text}", program.name).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_function_itself_is_counted() {
        let name = "profiling::slow::alloc";
        assert!(is_of(
            "1,234 ( 5%)  ???:riptide_alloc::profiling::slow::alloc [/bin/x]",
            name
        ));
        assert!(is_of(
            "1,234  ???:riptide_alloc::profiling::slow::alloc::h0123 [/bin/x]",
            name
        ));
        assert!(!is_of(
            "1,234  ???:riptide_alloc::profiling::slow::alloc_sampled [/bin/x]",
            name
        ));
        assert!(!is_of(
            "1,234  ???:riptide_alloc::profiling::slow::free [/bin/x]",
            name
        ));
    }
}
