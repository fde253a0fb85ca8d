//! Files that the dashboard writes when asked: exports and suppressions.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use riptide_reader::{
    export::{Capture, Format, Metric},
    leak::Suppressions,
};

/// `riptide-<name>-<pid>-<seconds since 1970>.<ending>`.
fn name(capture: &Capture, format: Format) -> String {
    let target = &capture.snapshot.target;
    let name: String = target
        .name
        .chars()
        .map(|letter| {
            if letter.is_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    format!(
        "riptide-{name}-{}-{}.{}",
        target.pid,
        capture.unix_ns / 1_000_000_000,
        format.extension()
    )
}

/// Writes an export; the message says where it is.
pub(super) fn export(
    capture: &Capture,
    format: Format,
    metric: Metric,
    path: Option<PathBuf>,
    directory: &Path,
) -> Result<String, String> {
    let path = path.unwrap_or_else(|| directory.join(name(capture, format)));
    let written = File::create(&path).and_then(|file| {
        let mut out = BufWriter::new(file);
        capture.write(format, metric, &mut out)?;
        out.flush()
    });
    match written {
        Ok(()) => Ok(format!(
            "{} of {} stacks is in {}",
            format.name(),
            capture.stacks.len(),
            path.display()
        )),
        Err(error) => Err(format!("cannot write {}: {error}", path.display())),
    }
}

/// The suppressions of a file; none when it is not there.
pub(super) fn read_suppressions(path: Option<&Path>) -> Result<Suppressions, String> {
    let Some(path) = path else {
        return Ok(Suppressions::default());
    };
    match fs::read_to_string(path) {
        Ok(text) => {
            Suppressions::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Suppressions::default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// The suppression of a function.
fn line_of(function: &str) -> String {
    format!("leak:^{function}$")
}

/// Takes the suppression of a function out, and reads the file anew.
pub(super) fn take_back(path: &Path, function: &str) -> Result<(String, Suppressions), String> {
    let line = line_of(function);
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let kept: String = text
        .split_inclusive('\n')
        .filter(|known| known.trim() != line)
        .collect();
    if kept == text {
        return Err(format!(
            "a line of {} that is not `{line}` silences it: take that out there",
            path.display()
        ));
    }
    // Beside it, then in its place: the other lines survive whatever happens.
    let new = path.with_extension("new");
    fs::write(&new, kept)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let suppressions = read_suppressions(Some(path))?;
    let message = format!("no longer ignored: {line} is out of {}", path.display());
    Ok((message, suppressions))
}

/// Adds a suppression for a function, and reads the file anew.
pub(super) fn ignore(path: &Path, function: &str) -> Result<(String, Suppressions), String> {
    let failed = |error: io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let line = format!("{}\n", line_of(function));
    let known = fs::read_to_string(path).unwrap_or_default();
    if !known.lines().any(|known| known == line.trim_end()) {
        let separator = if known.is_empty() || known.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        file.write_all(format!("{separator}{line}").as_bytes())
            .map_err(failed)?;
    }
    let suppressions = read_suppressions(Some(path))?;
    let message = format!(
        "ignored from now on by {}: {}",
        path.display(),
        line.trim_end()
    );
    Ok((message, suppressions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::frame;

    #[test]
    fn an_ignored_function_is_silent_and_written_once() {
        let root = std::env::temp_dir().join(format!("riptide-ignore-{}", std::process::id()));
        let path = root.join("deeper").join("suppressions");
        let (message, _) = ignore(&path, "app::<T as U>::remember").unwrap();
        assert!(
            message.contains("leak:^app::<T as U>::remember$"),
            "{message}"
        );
        let (_, suppressions) = ignore(&path, "app::<T as U>::remember").unwrap();
        assert_eq!(suppressions.len(), 1);
        assert!(suppressions.silence(&[frame("app::<T as U>::remember", None, false)]));
        assert!(!suppressions.silence(&[frame("app::other", None, false)]));
        // Taken back, it is heard of again, and nothing else in the file has changed.
        ignore(&path, "app::other").unwrap();
        let (message, suppressions) = take_back(&path, "app::<T as U>::remember").unwrap();
        assert!(message.contains("no longer ignored"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "leak:^app::other$\n");
        assert!(!suppressions.silence(&[frame("app::<T as U>::remember", None, false)]));
        // What a user wrote is a user's to take out.
        fs::write(&path, "# ours\nleak:app\n").unwrap();
        let problem = take_back(&path, "app::other").unwrap_err();
        assert!(problem.contains("suppressions"), "{problem}");
        fs::write(&path, "race:x\n").unwrap();
        assert!(
            read_suppressions(Some(&path))
                .unwrap_err()
                .contains("line 1")
        );
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(read_suppressions(Some(&path)).unwrap().len(), 0);
    }
}
