//! Little programs: built by rustc, started, their mappings read.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use riptide_region::module_table::Module;
use tempfile::TempDir;

use crate::{hex, modules_of_maps};

const SOURCE: &str = r#"
pub mod shop {
    #[inline(never)]
    pub fn grow(count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for index in 0..count {
            names.push(helper(index));
        }
        names
    }
    #[inline(always)]
    fn helper(index: usize) -> String {
        String::with_capacity(index + 100)
    }
}
fn main() {
    let names = shop::grow(std::env::args().count() + 3);
    assert_eq!(names.len(), 4);
    println!("{:#x}", shop::grow as fn(usize) -> Vec<String> as usize);
    let _ = std::io::stdin().read_line(&mut String::new());
}
"#;

/// A running program.
pub(crate) struct Victim {
    pub(crate) dir: TempDir,
    pub(crate) executable: PathBuf,
    pub(crate) modules: Vec<Module>,
    /// Address of `shop::grow`.
    pub(crate) grow: u64,
    child: Child,
}

impl Victim {
    /// Builds with `flags`, optimised, and starts.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let (dir, executable) = build(flags);
        let program = Command::new(&executable);
        Self::of(dir, executable, program).unwrap()
    }

    /// The same in a root directory of its own, as in a container; `None` where that is not
    /// permitted. The mappings have the path that the program itself sees.
    pub(crate) fn start_in_own_root(flags: &[&str]) -> Option<Self> {
        let (dir, executable) = build(&[flags, &["-Ctarget-feature=+crt-static"]].concat());
        let mut program = Command::new("unshare");
        program.args(["--map-root-user", "--root"]);
        program.arg(dir.path()).arg("/victim");
        let mut victim = Self::of(dir, executable, program)?;
        victim.modules = victim.modules_at(Path::new("/victim"));
        Some(victim)
    }

    fn of(dir: TempDir, executable: PathBuf, mut program: Command) -> Option<Self> {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
        if line.is_empty() {
            let _ = child.wait();
            return None;
        }
        Some(Self {
            dir,
            executable,
            modules: modules_of_maps(&maps),
            grow: hex(line.trim()),
            child,
        })
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Return addresses within `shop::grow`.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        (self.grow + 1..self.grow + 200).collect()
    }

    /// The mappings, as if the executable had been somewhere else.
    pub(crate) fn modules_at(&self, path: &Path) -> Vec<Module> {
        let mut modules = self.modules.clone();
        for module in &mut modules {
            module.set_path(path.as_os_str().as_encoded_bytes());
        }
        modules
    }
}

fn build(flags: &[&str]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("victim.rs");
    std::fs::write(&source, SOURCE).unwrap();
    let executable = dir.path().join("victim");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition=2024", "-Copt-level=3"])
        .args(flags)
        .arg(&source)
        .arg("-o")
        .arg(&executable)
        .status()
        .unwrap();
    assert!(status.success());
    (dir, executable)
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
