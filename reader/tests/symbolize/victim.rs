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
        Self::start_program(&[("victim.rs", SOURCE)], flags)
    }

    /// The same of other sources, the first of which is the root. The program prints some address
    /// and waits for its input.
    pub(crate) fn start_program(sources: &[(&str, &str)], flags: &[&str]) -> Self {
        let (dir, executable) = build(sources, flags);
        let program = Command::new(&executable);
        Self::of(dir, executable, program).expect("the program starts")
    }

    /// The same in a root directory of its own, as in a container. The mappings have the path that
    /// the program itself sees.
    pub(crate) fn start_in_own_root(flags: &[&str]) -> Self {
        let flags = [flags, &["-Ctarget-feature=+crt-static"]].concat();
        let (dir, executable) = build(&[("victim.rs", SOURCE)], &flags);
        let mut program = Command::new("unshare");
        program.args(["--map-root-user", "--root"]);
        program.arg(dir.path()).arg("/victim");
        let mut victim = Self::of(dir, executable, program).expect(
            "no root directory of its own for the program: run as root (in a container with \
             --cap-add SYS_ADMIN), or allow user namespaces: sysctl user.max_user_namespaces=1000 \
             kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0; \
             unshare comes with util-linux",
        );
        victim.modules = victim.modules_at(Path::new("/victim"));
        victim
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

    /// Return addresses within all functions whose symbol contains one of `words`.
    pub(crate) fn addresses_of(&self, words: &[&str]) -> Vec<u64> {
        let output = Command::new("nm")
            .args(["--print-size", "--defined-only"])
            .arg(&self.executable)
            .output()
            .expect("nm runs: it comes with binutils");
        let bias = self.modules.first().unwrap().bias;
        let mut addresses = Vec::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [start, size, "t" | "T", symbol] = fields[..] else {
                continue;
            };
            if words.iter().any(|word| symbol.contains(word)) {
                let start = bias + hex(start);
                addresses.extend(start + 1..=start + hex(size));
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses
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

fn build(sources: &[(&str, &str)], flags: &[&str]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in sources {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let source = dir.path().join(sources.first().unwrap().0);
    let executable = dir.path().join("victim");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition=2024", "-Copt-level=3", "--crate-name=victim"])
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
