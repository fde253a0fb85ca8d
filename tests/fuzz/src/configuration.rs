//! The configuration of `serve`: a file, variables and flags.

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use riptide::config::{KEYS, Loaded, Origin, Sources, load};

use crate::with_file;

/// A TOML file; behind a byte of 0 variables, one a line; behind another one flags, one a line.
pub fn configuration(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let file = parts.next().unwrap_or_default();
    let variables = pairs(parts.next().unwrap_or_default());
    let flags = pairs(parts.next().unwrap_or_default());
    let sources = |path: &std::path::Path| Sources {
        explicit: Some(path.to_owned()),
        variables: variables
            .iter()
            .map(|(name, value)| (os(name), os(value)))
            .collect(),
        flags: flags
            .iter()
            .map(|(key, value)| ("--set".to_owned(), text(key), text(value)))
            .collect(),
        ..Sources::default()
    };
    match with_file(file, |path| load(&sources(path))) {
        Ok(loaded) => comes_back(&loaded),
        Err(problems) => {
            assert!(!problems.0.is_empty());
            let lines = file.iter().filter(|byte| **byte == b'\n').count() + 1;
            for problem in &problems.0 {
                assert!(!problem.message.is_empty() && !problem.suggestion.is_empty());
                if let Origin::File { line, column, .. } = problem.origin {
                    assert!((1..=lines).contains(&line), "{problem}");
                    assert!((1..=file.len() + 1).contains(&column), "{problem}");
                }
            }
            std::hint::black_box(problems.to_string());
        }
    }
}

/// What was understood, written as a file, is understood as the same.
fn comes_back(loaded: &Loaded) {
    let shown = |loaded: &Loaded| -> Vec<Option<String>> {
        KEYS.iter().map(|key| key.show(&loaded.config)).collect()
    };
    let before = shown(loaded);
    let is_hidden = |name: &str| name == "http.token";
    let mut file = String::new();
    for (key, value) in KEYS.iter().zip(&before) {
        if let Some(value) = value.as_ref().filter(|_| !is_hidden(key.name)) {
            file += &format!("{} = {value}\n", key.name);
        }
    }
    let again = with_file(file.as_bytes(), |path| {
        load(&Sources {
            explicit: Some(path.to_owned()),
            // It is not shown, and others depend on it.
            flags: loaded
                .origins
                .is_set("http.token")
                .then(|| {
                    let token = "0123456789abcdef".to_owned();
                    ("--set".to_owned(), "http.token".to_owned(), token)
                })
                .into_iter()
                .collect(),
            ..Sources::default()
        })
    });
    let again = again.unwrap_or_else(|problems| panic!("{problems}\n{file}"));
    assert_eq!(shown(&again), before, "{file}");
}

fn pairs(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            Some((line[..at].to_vec(), line[at + 1..].to_vec()))
        })
        .collect()
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
