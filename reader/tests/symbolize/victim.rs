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
        let mut child = Command::new(&executable)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
        Self {
            dir,
            executable,
            modules: modules_of_maps(&maps),
            grow: hex(line.trim()),
            child,
        }
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

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
