//! The sources of published programs, through cargo at pinned versions, and their builds.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use crate::{
    harness::{Directory, riptide},
    report,
};

/// A program of the crate registry. Its version stands in a manifest as well.
#[derive(Debug)]
pub(crate) struct Program {
    /// Name of the package.
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// Name of the executable.
    pub(crate) binary: &'static str,
    /// Name of the crate that has `main`, as its functions show it.
    pub(crate) crate_name: &'static str,
    /// The file with `main`.
    pub(crate) main: &'static str,
    /// The global allocator that the program declares itself; the one line takes its place.
    pub(crate) own_allocator: Option<&'static str>,
    /// Whether to leave its default features out.
    pub(crate) is_minimal: bool,
    /// What makes it leak, for [`Build::Leaking`].
    pub(crate) leak: Option<&'static Leak>,
    /// The manifest that names it, so that cargo fetches it; below `tests`.
    pub(crate) registry: &'static str,
}

/// A leak for a program that has none: what a change may bring in that looks harmless.
#[derive(Debug)]
pub(crate) struct Leak {
    /// The file that is changed.
    file: &'static str,
    /// A line that runs with each request, as published.
    line: &'static str,
    /// What is called behind it.
    call: &'static str,
    /// What is called.
    function: &'static str,
}

/// The function that leaks, and the beginning of its line that does.
pub(crate) const LEAKING: (&str, &str) = ("remember_request", "let mut record = vec![0; 1024]");

const LEAK: Leak = Leak {
    file: "src/handlers.rs",
    line: "    let path_for_log = percent_decode_lossy(req.uri().path(), false);\n",
    call: "    remember_request(&path_for_log);\n",
    function: "\n/// For a statistic that nobody asks for.\n\
        fn remember_request(path: &str) {\n\
        \x20   static SEEN: std::sync::Mutex<Vec<Box<[u8]>>> = std::sync::Mutex::new(Vec::new());\n\
        \x20   let mut record = vec![0; 1024].into_boxed_slice();\n\
        \x20   record[0] = path.len() as u8;\n\
        \x20   if let Ok(mut seen) = SEEN.lock() {\n\
        \x20       seen.push(record);\n\
        \x20   }\n\
        }\n",
};

impl Leak {
    fn added(&self, path: &str, text: Vec<u8>) -> Vec<u8> {
        if path != self.file {
            return text;
        }
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.matches(self.line).count(), 1);
        let called = format!("{}{}", self.line, self.call);
        let text = text.replace(self.line, &called);
        format!("{text}{}", self.function).into_bytes()
    }
}

/// The manifest that names the programs of this file.
const REGISTRY: &str = "published/registry/Cargo.toml";

/// A command-line tool.
pub(crate) const RIPGREP: Program = Program {
    package: "ripgrep",
    version: "15.2.0",
    binary: "rg",
    crate_name: "rg",
    main: "crates/core/main.rs",
    leak: None,
    own_allocator: Some(
        "#[cfg(all(target_env = \"musl\", target_pointer_width = \"64\"))]\n\
         #[global_allocator]\n\
         static ALLOC: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;\n",
    ),
    is_minimal: false,
    registry: REGISTRY,
};

/// A server on axum, hyper and tokio's threads.
pub(crate) const SIMPLE_HTTP_SERVER: Program = Program {
    package: "simple-http-server",
    version: "0.8.1",
    binary: "simple-http-server",
    crate_name: "simple_http_server",
    main: "src/main.rs",
    leak: Some(&LEAK),
    own_allocator: None,
    is_minimal: false,
    registry: REGISTRY,
};

/// A server on actix with some 280 dependencies: more than 100 MB when built with all its debug
/// information. Without TLS, whose C code takes long to build.
pub(crate) const MINISERVE: Program = Program {
    package: "miniserve",
    version: "0.35.0",
    binary: "miniserve",
    crate_name: "miniserve",
    main: "src/main.rs",
    leak: None,
    own_allocator: None,
    is_minimal: true,
    registry: REGISTRY,
};

const THE_LINE: &str = "#[global_allocator]\n\
    static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();\n";

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// In release, as published.
    Unchanged,
    /// In release with the one line and without debug information: names come from the symbol
    /// table, which neither of the programs built so strips.
    Names,
    /// In release with the one line and line tables.
    Lines,
    /// As [`Build::Lines`], and it leaks.
    Leaking,
    /// As `cargo build` does it, with the one line: all debug information, no optimisation.
    Development,
}

impl Build {
    fn is_changed(self) -> bool {
        self != Self::Unchanged
    }
}

/// A program that has been built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) binary: PathBuf,
    /// Where the sources of the package are, as debug information names it.
    pub(crate) source: PathBuf,
}

/// What `riptide advise` prints about the one target in a directory, watched for five seconds.
pub(crate) fn advice(directory: &Directory) -> String {
    let region = directory.region();
    let output = riptide(&["advise", region.to_str().unwrap(), "--for", "5s"], &[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // Without the heading.
    text.split_once("\n\n").unwrap().1.to_owned()
}

impl Program {
    /// Gets the sources, changes them and builds them, as far as that has not been done before.
    pub(crate) fn build(&self, build: Build) -> Built {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .canonicalize()
            .unwrap();
        let place = root.join("target/published");
        fs::create_dir_all(&place).unwrap();
        // One at a time, among all processes: they share sources and artefacts.
        let lock = File::create(place.join("lock")).unwrap();
        lock.lock().unwrap();

        let published = self.fetch();
        let suffix = match build {
            Build::Unchanged => "",
            Build::Leaking => "-leaking",
            _ => "-riptide",
        };
        let name = format!("{}-{}{suffix}", self.package, self.version);
        let source = place.join(&name);
        let riptide = build.is_changed().then_some(root.as_path());
        copy(&published, &source, |path, text| {
            let text = self.change(path, text, riptide)?;
            let leak = self.leak.filter(|_| build == Build::Leaking);
            Some(match leak {
                Some(leak) => leak.added(path, text),
                None => text,
            })
        });
        if build.is_changed() {
            let merged = merged_lock(&published.join("Cargo.lock"), &root.join("Cargo.lock"));
            let remembered = place.join(format!("{name}.lock"));
            // Cargo takes out of the lock what the program does not need: that is left so.
            if write_if_new(&remembered, merged.as_bytes()) || !source.join("Cargo.lock").exists() {
                fs::write(source.join("Cargo.lock"), merged).unwrap();
            }
        }
        let executable = self.compile(build, &source, &place.join("build"));
        let locked = downloads(&source.join("Cargo.lock"));
        for package in downloads(&published.join("Cargo.lock")) {
            assert!(locked.contains(&package), "not as published: {package}");
        }

        // Each build of a package takes the place of the last one, so it gets a name of its own.
        let binary = place.join(format!("{}-{build:?}", self.binary).to_lowercase());
        let _ = fs::remove_file(&binary);
        fs::hard_link(&executable, &binary).unwrap();
        Built { binary, source }
    }

    /// The sources as cargo unpacked them.
    fn fetch(&self) -> PathBuf {
        let mut fetch = cargo();
        fetch
            .args(["fetch", "--quiet", "--locked", "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(self.registry))
            .args(["--target", this_target()]);
        succeed(fetch);
        let home = std::env::var_os("CARGO_HOME").map_or_else(
            || Path::new(&std::env::var_os("HOME").unwrap()).join(".cargo"),
            PathBuf::from,
        );
        let registries = fs::read_dir(home.join("registry/src")).unwrap();
        registries
            .map(|registry| registry.unwrap().path())
            .map(|registry| registry.join(format!("{}-{}", self.package, self.version)))
            .find(|path| path.is_dir())
            .unwrap_or_else(|| panic!("cargo fetch left no sources of {self:?} in {home:?}"))
    }

    /// A file of the sources as it is to be built: with the one line when `riptide` is given.
    fn change(&self, path: &str, text: Vec<u8>, riptide: Option<&Path>) -> Option<Vec<u8>> {
        if path == "Cargo.lock" && riptide.is_some() {
            return None;
        }
        Some(if path == "Cargo.toml" {
            let mut manifest = String::from_utf8(text).unwrap();
            if let Some(root) = riptide {
                let allocator = root.join("allocator");
                manifest.push_str(&format!(
                    "\n[dependencies.riptide-alloc]\npath = {:?}\n",
                    allocator.to_str().unwrap()
                ));
            }
            // In both builds: else cargo takes the package for one of the workspace around it.
            manifest.push_str("\n[workspace]\n");
            manifest.into_bytes()
        } else if path == self.main && riptide.is_some() {
            let main = String::from_utf8(text).unwrap();
            assert_eq!(
                main.matches("global_allocator").count(),
                usize::from(self.own_allocator.is_some())
            );
            match self.own_allocator {
                Some(own) => {
                    assert!(main.contains(own));
                    main.replace(own, THE_LINE).into_bytes()
                }
                None => format!("{main}\n{THE_LINE}").into_bytes(),
            }
        } else {
            text
        })
    }

    fn compile(&self, build: Build, source: &Path, target: &Path) -> PathBuf {
        let mut compile = cargo();
        compile
            .args(["build", "--quiet", "--bin", self.binary, "--target-dir"])
            .arg(target)
            .args(self.is_minimal.then_some("--no-default-features"))
            .args((!build.is_changed()).then_some("--locked"))
            .args((build != Build::Development).then_some("--release"))
            .env("CARGO_INCREMENTAL", "0")
            .current_dir(source);
        if build == Build::Unchanged {
            // What it is anyway. Written out it tells the artefacts of this build from those of
            // the changed sources, which cargo would take for the same package changed back and
            // forth, while both share what their dependencies come to.
            compile.args([
                "--config",
                &format!(
                    "profile.release.package.{}.split-debuginfo=\"off\"",
                    self.package
                ),
            ]);
        }
        match build {
            Build::Unchanged | Build::Names => {
                compile.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
            }
            Build::Lines | Build::Leaking => {
                compile.env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
            }
            Build::Development => {}
        }
        let start = Instant::now();
        succeed(compile);
        let took = start.elapsed().as_secs_f64();
        let profile = match build {
            Build::Development => "debug",
            _ => "release",
        };
        let executable = target.join(profile).join(self.binary);
        if took > 1.0 {
            report(&format!(
                "{} {} built as {build:?}, {} bytes, in {took:.1} s",
                self.package,
                self.version,
                fs::metadata(&executable).unwrap().len()
            ));
        }
        executable
    }
}

/// Cargo without settings of the build that runs these tests.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.contains("RUSTFLAGS")
            || text.starts_with("CARGO_PROFILE_")
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text == "CARGO_TARGET_DIR"
        {
            command.env_remove(name);
        }
    }
    command
}

fn succeed(mut command: Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// This machine, for `cargo fetch`: the packages of other systems are large.
const fn this_target() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "aarch64-unknown-linux-gnu"
    } else {
        "x86_64-unknown-linux-gnu"
    }
}

/// Copies a tree through `change`, all but the lock of a changed program. A file that is right
/// already keeps its time, so that cargo builds nothing again.
fn copy(from: &Path, to: &Path, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) {
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(from.join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                directories.push(path);
            } else if let Some(text) =
                change(path.to_str().unwrap(), fs::read(entry.path()).unwrap())
            {
                write_if_new(&to.join(path), &text);
            }
        }
    }
}

/// Whether the file was not so before.
fn write_if_new(path: &Path, text: &[u8]) -> bool {
    let is_new = fs::read(path).map_or(true, |old| old != text);
    if is_new {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    is_new
}

/// The packages of a lock file, each with its version, checksum and dependencies.
fn packages(lock: &Path) -> Vec<String> {
    let text = fs::read_to_string(lock).unwrap();
    let packages = text.split("[[package]]\n").skip(1);
    packages
        .map(|package| package.trim_end().to_owned())
        .collect()
}

/// The packages of a lock file that come from a registry: name, version, source and checksum.
fn downloads(lock: &Path) -> BTreeSet<String> {
    let packages = packages(lock).into_iter();
    packages
        .filter(|package| package.contains("\nchecksum = "))
        .map(|package| package.lines().take(4).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The lock of the program, and the packages of our own lock that it does not have: what riptide
/// brings along then has the versions that it has here.
fn merged_lock(program: &Path, riptide: &Path) -> String {
    let identity = |package: &str| package.lines().take(2).collect::<Vec<_>>().join(" ");
    let mut merged = packages(program);
    let known: BTreeSet<String> = merged.iter().map(|package| identity(package)).collect();
    let additions = packages(riptide).into_iter();
    merged.extend(additions.filter(|package| !known.contains(&identity(package))));
    merged
        .iter()
        .fold("version = 4\n".to_owned(), |text, package| {
            text + "\n[[package]]\n" + package + "\n"
        })
}
