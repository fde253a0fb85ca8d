//! ripgrep from the crate registry, with another global allocator: a real program that we did not
//! write. Version and dependencies are those that `tests/published` pins.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error,
    child::{Arguments, Program},
    layouts,
    workload::{Kind, Workload},
};

const PINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/published/registry");
const MAIN: &str = "crates/core/main.rs";
/// Words and three groups, so that there is something to match, to count and to put together.
const PATTERN: &str = r"\b(tide|reef|keel) (\w+) .*turn(\d{3})\b";

/// An allocator, as the manifest and the main file of a program name it.
#[derive(Clone, Debug)]
pub struct Allocator {
    /// Its name in paths.
    pub name: String,
    /// What stands under `[dependencies]`.
    pub dependency: String,
    /// The expression of the allocator, of the type before the `=`.
    pub line: String,
    /// The lock file that has the versions of what it needs.
    pub lock: PathBuf,
}

impl Allocator {
    /// Bare jemalloc.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            name: "bare".to_owned(),
            dependency: "tikv-jemallocator = \"0.7\"".to_owned(),
            line: "tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc".to_owned(),
            lock: workspace().join("Cargo.lock"),
        }
    }

    /// riptide.
    #[must_use]
    pub fn riptide() -> Self {
        let allocator = workspace().join("allocator");
        Self {
            name: "riptide".to_owned(),
            dependency: format!("riptide-alloc = {{ path = {:?} }}", allocator),
            line: "riptide_alloc::Riptide = riptide_alloc::Riptide::new()".to_owned(),
            lock: workspace().join("Cargo.lock"),
        }
    }
}

/// The row of the table.
#[must_use]
pub fn workload() -> Workload {
    Workload {
        name: "ripgrep".to_owned(),
        kind: Kind::Real,
        what: "ripgrep, one thread, over 8 MB of text".to_owned(),
    }
}

/// ripgrep over an allocator, in the profile of `like`, ready to search as many times as asked.
///
/// # Errors
/// When the sources cannot be fetched or do not build.
pub fn ripgrep(like: &Program, allocator: &Allocator) -> Result<Program, Error> {
    let (_, profile, target) = layouts::parts(&like.path).ok_or("not in a target directory")?;
    let place = target.join("published-benches");
    let corpus = corpus(&place)?;
    let source = place.join(format!("ripgrep-{}", allocator.name));
    let published = fetch(&place)?;
    copy(&published, &source)?;
    let manifest = fs::read_to_string(published.join("Cargo.toml"))?;
    // A workspace of its own: else cargo takes it for a package of the one around it.
    let manifest = manifest.replace(
        "[dependencies.anyhow]",
        &format!(
            "[dependencies]\n{}\n\n[dependencies.anyhow]",
            allocator.dependency
        ),
    ) + "\n[workspace]\n";
    write_if_new(&source.join("Cargo.toml"), &manifest)?;
    let main = fs::read_to_string(published.join(MAIN))?;
    let main = format!(
        "{main}\n#[global_allocator]\nstatic GLOBAL: {};\n",
        allocator.line
    );
    write_if_new(&source.join(MAIN), &main)?;
    let lock = merged_lock(&published.join("Cargo.lock"), &allocator.lock)?;
    // Cargo takes out of the lock what is not needed: that is left so.
    if write_if_new(&place.join(format!("{}.lock", allocator.name)), &lock)? {
        fs::write(source.join("Cargo.lock"), lock)?;
    }

    let build = place.join("build").join(&allocator.name);
    let mut command = clean(layouts::cargo());
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--bin",
            "rg",
            "--target-dir",
        ])
        .arg(build.join(&profile))
        .current_dir(&source);
    if profile == "lto" {
        command
            .env("CARGO_PROFILE_RELEASE_LTO", "fat")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    }
    succeed(command)?;
    let mut program = like.clone();
    program.path = build.join(&profile).join("release/rg");
    program.arguments = Arguments::Repeat {
        fixed: [
            "--no-config",
            "--threads",
            "1",
            "--sort",
            "path",
            "--line-number",
            "--only-matching",
        ]
        .into_iter()
        .chain(["--replace", "$3 $1 $2", PATTERN])
        .map(str::to_owned)
        .collect(),
        repeated: corpus.to_string_lossy().into_owned(),
    };
    Ok(program)
}

/// The sources as cargo unpacked them.
fn fetch(place: &Path) -> Result<PathBuf, Error> {
    let pins = fs::read_to_string(Path::new(PINS).join("Cargo.toml"))?;
    let version = pins
        .lines()
        .find_map(|line| line.strip_prefix("ripgrep = \"=")?.strip_suffix('"'))
        .ok_or("tests/published does not pin ripgrep")?;
    // A package that needs ripgrep and nothing else of what is pinned there.
    let stub = place.join("stub");
    fs::create_dir_all(&stub)?;
    let manifest = format!(
        "[package]\nname = \"stub\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n\
         [dependencies]\nripgrep = \"={version}\"\n[workspace]\n"
    );
    write_if_new(&stub.join("lib.rs"), "")?;
    if write_if_new(&stub.join("Cargo.toml"), &manifest)? {
        fs::copy(Path::new(PINS).join("Cargo.lock"), stub.join("Cargo.lock"))?;
    }
    let mut fetch = clean(layouts::cargo());
    fetch.args(["fetch", "--quiet"]).current_dir(&stub);
    succeed(fetch)?;
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let registries = fs::read_dir(home.join("registry/src"))?;
    registries
        .filter_map(Result::ok)
        .map(|registry| registry.path().join(format!("ripgrep-{version}")))
        .find(|path| path.is_dir())
        .ok_or_else(|| "cargo fetch left no sources of ripgrep".into())
}

/// 8 MB of lines of words, the same in every run.
fn corpus(place: &Path) -> Result<PathBuf, Error> {
    const WORDS: [&str; 16] = [
        "anchor", "tide", "beacon", "reef", "berth", "keel", "bollard", "current", "drift",
        "fathom", "harbour", "lagoon", "mast", "pilot", "rudder", "swell",
    ];
    let root = place.join("corpus");
    fs::create_dir_all(&root)?;
    let mut state = 11_u64;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % bound
    };
    for file in 0..64 {
        let mut text = String::new();
        while text.len() < 128 << 10 {
            for _ in 0..4 + below(12) {
                text.push_str(WORDS.get(below(WORDS.len())).unwrap_or(&"tide"));
                text.push(' ');
            }
            // Writing to a string cannot fail.
            let _ = writeln!(text, "turn{}", below(10_000));
        }
        write_if_new(&root.join(format!("log-{file:02}.txt")), &text)?;
    }
    Ok(root)
}

fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// Cargo without the settings of the build that runs this.
fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PROFILE_") || text.starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command
}

fn succeed(mut command: Command) -> Result<(), Error> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed:\n{text}").into())
}

/// Copies a tree but for the manifest, the lock and the main file, which are changed.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        fs::create_dir_all(to.join(&directory))?;
        for entry in fs::read_dir(from.join(&directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                directories.push(path);
            } else if !["Cargo.toml", "Cargo.lock", MAIN]
                .iter()
                .any(|own| path.as_path() == Path::new(own))
                && !to.join(&path).exists()
            {
                fs::copy(entry.path(), to.join(path))?;
            }
        }
    }
    Ok(())
}

/// Whether the file was not so before; one that was keeps its time, so that nothing is built again.
fn write_if_new(path: &Path, text: &str) -> Result<bool, Error> {
    let is_new = fs::read(path).map_or(true, |old| old != text.as_bytes());
    if is_new {
        fs::write(path, text)?;
    }
    Ok(is_new)
}

/// The lock of the program, and the packages of another that it does not have.
fn merged_lock(program: &Path, other: &Path) -> Result<String, Error> {
    let packages = |path: &Path| -> Result<Vec<String>, Error> {
        let text = fs::read_to_string(path)?;
        let packages = text.split("[[package]]\n").skip(1);
        Ok(packages
            .map(|package| package.trim_end().to_owned())
            .collect())
    };
    let identity = |package: &str| package.lines().take(2).collect::<Vec<_>>().join(" ");
    let mut merged = packages(program)?;
    let known: Vec<String> = merged.iter().map(|package| identity(package)).collect();
    let additions = packages(other)?.into_iter();
    merged.extend(additions.filter(|package| !known.contains(&identity(package))));
    Ok(merged
        .iter()
        .fold("version = 4\n".to_owned(), |text, package| {
            text + "\n[[package]]\n" + package + "\n"
        }))
}
