//! From a user's words to one region file.

use std::path::{Path, PathBuf};

use super::{discover::Found, process::Proc};
use crate::{error::ReaderError, profile::TargetState};

/// Bytes of a name that the kernel keeps.
const COMM_MAX_BYTES: usize = 15;

/// The region that `spec` means among those that were found.
pub(crate) fn resolve(
    spec: Option<&str>,
    proc: &Proc,
    searched: &[PathBuf],
    search: impl FnOnce() -> Vec<Found>,
) -> Result<PathBuf, ReaderError> {
    let Some(spec) = spec else {
        let mut found = search();
        if found.iter().all(|found| found.discovered.problem.is_some()) {
            // Nothing can be read: the reason is more use than "none".
            let problem = found.drain(..).find_map(|found| found.discovered.problem);
            return Err(problem.unwrap_or_else(|| ReaderError::NoTargets {
                searched: searched.to_vec(),
            }));
        }
        found.retain(|found| found.discovered.problem.is_none());
        return choose(None, found);
    };
    if spec.contains('/') {
        return existing(Path::new(spec));
    }
    if let Ok(pid) = spec.parse::<u32>() {
        let fits = |found: &Found| found.discovered.info.pid == pid || found.host_pid == Some(pid);
        let found: Vec<_> = search().into_iter().filter(fits).collect();
        if found.is_empty() {
            return Err(if proc.start_time_ticks(pid).is_some() {
                ReaderError::NotInstrumented { pid }
            } else {
                ReaderError::NoSuchProcess { pid }
            });
        }
        return choose(Some(spec), found);
    }
    let all = search();
    let (found, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|found| is_named(found, spec));
    if found.is_empty() {
        if Path::new(spec).exists() {
            return Ok(spec.into());
        }
        let mut known: Vec<_> = others
            .into_iter()
            .map(|found| found.discovered.info.name)
            .collect();
        known.sort();
        known.dedup();
        return Err(ReaderError::NoSuchName {
            name: spec.to_owned(),
            known,
        });
    }
    choose(Some(spec), found)
}

fn existing(path: &Path) -> Result<PathBuf, ReaderError> {
    // Not followed: whether a link is acceptable is decided where the file is opened.
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ReaderError::NoSuchFile { path: path.into() })
        }
        _ => Ok(path.into()),
    }
}

/// Whether a target has this name: that of the process, which the kernel cuts, or of its executable.
fn is_named(found: &Found, name: &str) -> bool {
    let info = &found.discovered.info;
    let executable = info.executable.as_deref().and_then(Path::file_name);
    info.name == name
        || executable.is_some_and(|executable| executable == name)
        || info.name.len() == COMM_MAX_BYTES && name.starts_with(&info.name)
}

/// The only live one, or else the only one.
fn choose(spec: Option<&str>, found: Vec<Found>) -> Result<PathBuf, ReaderError> {
    let is_live = |found: &&Found| found.discovered.info.state == TargetState::Live;
    let mut fitting: Vec<_> = found.iter().filter(is_live).collect();
    if fitting.is_empty() {
        fitting = found.iter().collect();
    }
    match fitting.as_slice() {
        [one] => Ok(one.discovered.info.region.clone()),
        several => Err(ReaderError::SeveralTargets {
            spec: spec.map(str::to_owned),
            candidates: several.iter().map(|found| candidate(found)).collect(),
        }),
    }
}

fn candidate(found: &Found) -> String {
    let info = &found.discovered.info;
    let state = match info.state {
        TargetState::Live => "live".to_owned(),
        // Pids of the dead repeat: only the path tells them apart.
        TargetState::Exited => format!("exited, {}", info.region.display()),
        TargetState::Killed => format!("killed, {}", info.region.display()),
        TargetState::Unknown => format!("unknown, {}", info.region.display()),
    };
    format!("{} (pid {}, {state})", info.name, info.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attach::Discovered, profile::TargetInfo};

    fn found(pid: u32, name: &str, state: TargetState) -> Found {
        Found {
            discovered: Discovered {
                info: TargetInfo {
                    pid,
                    name: name.to_owned(),
                    state,
                    region: format!("/r/{pid}-{name}-{state:?}").into(),
                    executable: Some(format!("/bin/{name}-and-a-long-name").into()),
                    ..TargetInfo::default()
                },
                problem: None,
                created_realtime_ns: None,
                file_bytes: 0,
                owner: 0,
            },
            host_pid: Some(pid + 1_000),
        }
    }

    fn ask(spec: Option<&str>, found: Vec<Found>) -> Result<PathBuf, ReaderError> {
        resolve(spec, &Proc::default(), &["/r".into()], || found)
    }

    #[test]
    fn without_words_the_only_live_target_is_meant() {
        use TargetState::{Killed, Live};
        assert!(matches!(
            ask(None, Vec::new()),
            Err(ReaderError::NoTargets { .. })
        ));
        let one = ask(None, vec![found(1, "a", Live), found(2, "b", Killed)]).unwrap();
        assert_eq!(one, Path::new("/r/1-a-Live"));
        let dead = ask(None, vec![found(2, "b", Killed)]).unwrap();
        assert_eq!(dead, Path::new("/r/2-b-Killed"));
        let several = ask(None, vec![found(1, "a", Live), found(2, "b", Live)]).unwrap_err();
        assert_eq!(several.exit_code(), 2);
        assert_eq!(
            several.to_string(),
            "several targets fit: a (pid 1, live), b (pid 2, live)"
        );
    }

    #[test]
    fn a_pid_is_that_of_either_namespace() {
        let targets = || {
            vec![
                found(1, "a", TargetState::Live),
                found(2, "b", TargetState::Live),
            ]
        };
        assert_eq!(ask(Some("2"), targets()).unwrap(), Path::new("/r/2-b-Live"));
        assert_eq!(
            ask(Some("1001"), targets()).unwrap(),
            Path::new("/r/1-a-Live")
        );
        let own = std::process::id().to_string();
        assert!(matches!(
            ask(Some(&own), Vec::new()),
            Err(ReaderError::NotInstrumented { .. })
        ));
        assert!(matches!(
            ask(Some("4294967295"), Vec::new()),
            Err(ReaderError::NoSuchProcess { .. })
        ));
    }

    #[test]
    fn a_name_is_that_of_the_process_or_the_executable() {
        let targets = || vec![found(1, "service", TargetState::Live)];
        assert!(ask(Some("service"), targets()).is_ok());
        assert!(ask(Some("service-and-a-long-name"), targets()).is_ok());
        let error = ask(Some("other"), targets()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            "no target is named \"other\" (there is service)"
        );
        assert!(matches!(
            ask(Some("/no/such/file"), targets()),
            Err(ReaderError::NoSuchFile { .. })
        ));
    }
}
