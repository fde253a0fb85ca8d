use std::{collections::BTreeMap, ffi::OsString, fs, path::Path};

use super::*;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn with_variables(variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load(&Sources {
        variables: variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect(),
        ..Sources::default()
    })
}

fn of_text(text: &str) -> Result<Loaded, Problems> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("riptide.toml");
    fs::write(&path, text).unwrap();
    load(&Sources {
        explicit: Some(path),
        ..Sources::default()
    })
}

#[test]
fn every_key_can_be_set_by_its_variable() {
    let defaults = Config::default();
    for key in KEYS {
        let other = key.other(&defaults);
        let mut variables = vec![(key.variable(), other.clone())];
        // What the value demands of other keys, if anything.
        if key.name == "snapshot.interval_seconds" {
            variables.push(("RIPTIDE__SNAPSHOT__DIRECTORY".to_owned(), "/tmp".to_owned()));
        }
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let loaded = with_variables(&variables).unwrap_or_else(|problems| panic!("{problems}"));
        assert_ne!(
            key.show(&loaded.config),
            key.show(&defaults),
            "{}",
            key.name
        );
        assert_eq!(
            loaded.origins.of(key.name),
            Origin::Variable(key.variable()),
            "{}",
            key.name
        );
        // And nothing else changed.
        for other in KEYS.iter().filter(|other| other.name != key.name) {
            if !variables.iter().any(|(name, _)| *name == other.variable()) {
                assert_eq!(
                    other.show(&loaded.config),
                    other.show(&defaults),
                    "{}",
                    key.name
                );
            }
        }
    }
}

#[test]
fn names_of_keys_and_variables_are_told_apart() {
    let mut names = BTreeMap::new();
    for key in KEYS {
        assert!(
            names.insert(key.variable(), key.name).is_none(),
            "{}",
            key.name
        );
        assert!(key.doc.trim().ends_with('.'), "{}", key.name);
    }
    assert!(names.len() > 60);
}

#[test]
fn what_gen_config_writes_is_the_defaults() {
    let loaded = of_text(&toml()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.config, Config::default());
    // Every key is in it, those without a default as comments.
    for key in KEYS {
        assert!(
            toml().contains(&format!("{} = ", key.short())),
            "{}",
            key.name
        );
    }
    let commented = toml().replace("\n# token = ", "\ntoken = ");
    assert!(of_text(&commented).unwrap().config.http.token.0.is_some());
}

#[test]
fn the_page_in_the_repository_is_what_gen_config_writes() {
    let page = fs::read_to_string(root().join("config/README.md")).unwrap();
    assert!(
        page == markdown(),
        "write it anew: riptide gen-config --format markdown > config/README.md"
    );
}

#[test]
fn both_shipped_configurations_load_and_say_what_they_are_said_to() {
    let load_file = |name: &str| {
        let path = root().join("config").join(name);
        let sources = Sources {
            explicit: Some(path),
            ..Sources::default()
        };
        load(&sources)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .config
    };
    let production = load_file("production.toml");
    let of = &production.thresholds;
    assert_eq!(
        (of.warning_mb, of.alert_mb, of.critical_mb),
        (650.0, 700.0, 750.0)
    );
    assert_eq!(production.snapshot.interval_seconds, 30.0);
    assert_eq!(production.telemetry.interval_seconds, 60.0);
    assert_eq!(production.alerts.cooldown_seconds, 300.0);
    assert_eq!(production.limits.max_concurrent, 1_000);
    assert_eq!(production.limits.requests_per_second, 100);
    let development = load_file("development.toml");
    let of = &development.thresholds;
    assert_eq!(
        (of.warning_mb, of.alert_mb, of.critical_mb),
        (400.0, 500.0, 600.0)
    );
    assert_eq!(development.profiling.interval_seconds, 5.0);
    let channels = [Channel::Stdout, Channel::Log, Channel::Otlp];
    assert_eq!(development.alerts.channels, channels);
    assert_eq!(development.limits.max_concurrent, 0);
    assert_eq!(development.limits.requests_per_second, 0);
    let formats = [SnapshotFormat::Pprof, SnapshotFormat::Flamegraph];
    assert_eq!(development.snapshot.formats, formats);
}

/// Each file of `tests/serve/broken` says at its end what is wrong with it.
#[test]
fn twenty_broken_configurations_give_all_their_problems_at_once() {
    let mut files: Vec<_> = fs::read_dir(root().join("tests/serve/broken"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 20);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let (_, expected) = text.split_once("# Expected").unwrap();
        let expected: Vec<Vec<&str>> = expected
            .lines()
            .skip(1)
            .map(|line| line.trim_start_matches("# ").splitn(3, " | ").collect())
            .collect();
        let sources = Sources {
            explicit: Some(path.clone()),
            ..Sources::default()
        };
        let Err(Problems(problems)) = load(&sources) else {
            panic!("{} loads", path.display());
        };
        let mut left = problems.clone();
        for parts in &expected {
            let [place, message, suggestion] = parts[..] else {
                panic!("{}: {parts:?}", path.display());
            };
            let found = left.iter().position(|problem| {
                problem.origin.to_string().contains(&format!(":{place}"))
                    && problem.message.contains(message)
                    && problem.suggestion.contains(suggestion)
            });
            let found = found.unwrap_or_else(|| panic!("{parts:?} not in {left:#?}"));
            left.remove(found);
        }
        assert!(left.is_empty(), "{}: {left:#?}", path.display());
    }
}

#[test]
fn later_layers_win() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let sources = Sources {
        usual: vec![
            file("etc.toml", "[limits]\nburst = 1\n[log]\nlevel = \"warn\"\n"),
            directory.path().join("is-not-there.toml"),
            file(
                "user.toml",
                "[limits]\nburst = 2\nrequests_per_second = 2\n",
            ),
        ],
        explicit: Some(file(
            "explicit.toml",
            "[limits]\nburst = 3\nmax_concurrent = 3\n",
        )),
        variables: vec![
            ("RIPTIDE__LIMITS__BURST".into(), "4".into()),
            ("RIPTIDE__HTTP__ADDR".into(), "127.0.0.1:1".into()),
            ("RIPTIDE_DIR".into(), "/not/a/key".into()),
            ("PATH".into(), "/bin".into()),
        ],
        flags: vec![("--listen".into(), "http.addr".into(), "127.0.0.1:2".into())],
    };
    let config = load(&sources).unwrap().config;
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(config.limits.requests_per_second, 2);
    assert_eq!(config.limits.max_concurrent, 3);
    assert_eq!(config.limits.burst, 4);
    assert_eq!(config.http.addr.port(), 2);
}

#[test]
fn unknown_variables_and_flags_are_errors_too() {
    let Problems(problems) = with_variables(&[
        ("RIPTIDE__HTTP__ADR", "127.0.0.1:1"),
        ("RIPTIDE__LOG__LEVEL", "loud"),
    ])
    .unwrap_err();
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(
        texts[0],
        "RIPTIDE__HTTP__ADR: there is no key http.adr; did you mean http.addr?"
    );
    assert!(
        texts[1].starts_with("RIPTIDE__LOG__LEVEL: log.level is \"loud\""),
        "{texts:?}"
    );
}

#[test]
fn a_file_that_must_be_there_is_missed_and_one_that_is_not_text_is_refused() {
    let missing = load(&Sources {
        explicit: Some("/is/not/there.toml".into()),
        ..Sources::default()
    });
    let Problems(problems) = missing.unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("/is/not/there.toml:1:1: cannot be read")
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("binary.toml");
    fs::write(&path, b"[http]\naddr = \"\xff\"\n").unwrap();
    let Problems(problems) = load(&Sources {
        explicit: Some(path),
        ..Sources::default()
    })
    .unwrap_err();
    assert!(
        problems[0].to_string().contains(":2:9: not UTF-8"),
        "{problems:?}"
    );
}

#[test]
fn a_token_is_never_shown() {
    let Problems(problems) = of_text("[http]\ntoken = \"hunter2\"\n").unwrap_err();
    assert!(!format!("{problems:?}").contains("hunter2"));
    let loaded = of_text("[http]\ntoken = \"0123456789abcdef-hunter2\"\n").unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let key = KEYS.iter().find(|key| key.name == "http.token").unwrap();
    assert!(!key.show(&loaded.config).unwrap().contains("hunter2"));
}
