//! The same programs with their functions in another order.
//!
//! A loop can run a few per cent faster or slower because of the addresses where the linker put it.
//! Two programs that differ in their allocator are linked differently throughout, so a single build
//! of each cannot tell the allocator from the addresses; several builds with shuffled sections can.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, child::Program};

/// A program in several layouts.
#[derive(Clone, Debug)]
pub struct Layouts {
    programs: Vec<Program>,
}

impl Layouts {
    /// A program as it is.
    #[must_use]
    pub fn only(program: &Program) -> Self {
        Self {
            programs: vec![program.clone()],
        }
    }

    /// Builds `count` layouts of a program in its own profile; none means the program as it is.
    ///
    /// # Errors
    /// When Cargo or the linker fails: shuffling is an option of LLD.
    pub fn build(program: &Program, count: usize) -> Result<Self, Error> {
        if count == 0 {
            return Ok(Self::only(program));
        }
        let (binary, profile, target) = parts(&program.path).ok_or("not in a target directory")?;
        let target = target.join("layouts");
        let mut programs = Vec::new();
        for seed in 1..=count {
            let status = cargo()
                .args(["rustc", "--quiet", "--manifest-path", MANIFEST])
                .args(["--profile", &profile, "--bin", &binary, "--target-dir"])
                .arg(&target)
                .arg("--")
                .arg(format!("-Clink-arg=-Wl,--shuffle-sections=.text*={seed}"))
                .status()?;
            if !status.success() {
                return Err(format!("layout {seed} of {binary} does not build").into());
            }
            let built = target.join(&profile).join(&binary);
            let kept = target.join(&profile).join(format!("{binary}-{seed}"));
            fs::rename(built, &kept)?;
            programs.push(Program {
                path: kept,
                ..program.clone()
            });
        }
        Ok(Self { programs })
    }

    /// The program in the layout of round `number`.
    pub fn of_round(&self, number: usize) -> impl Iterator<Item = Program> {
        let index = number % self.programs.len().max(1);
        self.programs.get(index).cloned().into_iter()
    }
}

/// This package's manifest.
pub const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// The Cargo that runs the bench.
#[must_use]
pub fn cargo() -> Command {
    Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
}

/// Name, profile and target directory of a program that Cargo built.
#[must_use]
pub fn parts(program: &Path) -> Option<(String, String, PathBuf)> {
    let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    let directory = program.parent()?;
    Some((
        name(program)?,
        name(directory)?,
        directory.parent()?.to_owned(),
    ))
}
