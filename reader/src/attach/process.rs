//! What `/proc` says about processes: plain questions with optional answers.
//!
//! Everything is read below a root that tests replace by a directory of their own.

use std::{
    collections::HashMap,
    fs,
    os::unix::{
        ffi::OsStringExt,
        fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

/// Pages of a C heap beyond which its resident part is not counted (16 GiB; 32 MiB to read).
const C_HEAP_PAGES_MAX: u64 = 4 << 20;

/// Threads whose names are read.
const THREADS_MAX: usize = 4_096;

/// A process file system.
#[derive(Clone, Debug)]
pub(crate) struct Proc {
    root: PathBuf,
    /// Processes by pid namespace, where they were looked up once for many questions.
    namespaces: Option<Arc<HashMap<u64, Vec<u32>>>>,
}

impl Default for Proc {
    fn default() -> Self {
        Self {
            root: "/proc".into(),
            namespaces: None,
        }
    }
}

/// Memory figures of `/proc/PID/status`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessMemory {
    /// `VmRSS`.
    pub(crate) rss: Option<u64>,
    /// `VmSize`.
    pub(crate) virtual_size: Option<u64>,
    /// `RssFile` + `RssShmem`: pages that belong to no heap.
    pub(crate) rss_file_and_shmem: Option<u64>,
    /// `VmHWM`: the most that was ever resident.
    pub(crate) peak_rss: Option<u64>,
}

impl Proc {
    /// A process file system below `root`.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.into(),
            namespaces: None,
        }
    }

    fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(name)
    }

    /// Every process that is shown.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut pids: Vec<_> = names.filter_map(|name| name.parse().ok()).collect();
        pids.sort_unstable();
        pids
    }

    /// The same, with the pid namespaces as they are now: a search asks for each of thousands of files, and
    /// would go through all processes each time.
    pub(crate) fn with_namespaces(&self) -> Self {
        let mut namespaces: HashMap<u64, Vec<u32>> = HashMap::new();
        for pid in self.pids() {
            if let Some(namespace) = self.namespace(pid, "pid") {
                namespaces.entry(namespace).or_default().push(pid);
            }
        }
        Self {
            root: self.root.clone(),
            namespaces: Some(Arc::new(namespaces)),
        }
    }

    /// Every process of a pid namespace that is shown.
    pub(crate) fn pids_of_namespace(&self, namespace: u64) -> Vec<u32> {
        match &self.namespaces {
            Some(known) => known.get(&namespace).cloned().unwrap_or_default(),
            None => {
                let mut pids = self.pids();
                pids.retain(|pid| self.namespace(*pid, "pid") == Some(namespace));
                pids
            }
        }
    }

    /// Names of a process's threads by their ids in the process's own pid namespace.
    pub(crate) fn thread_names(&self, pid: u32) -> HashMap<u32, String> {
        let Ok(entries) = fs::read_dir(self.path(pid, "task")) else {
            return HashMap::new();
        };
        let name = |entry: fs::DirEntry| {
            let status = fs::read(entry.path().join("status")).ok()?;
            let status = String::from_utf8_lossy(&status);
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
            // The last one is that of the innermost namespace.
            let id = field("NSpid:").or_else(|| field("Pid:"))?;
            let id = id.split_whitespace().next_back()?.parse().ok()?;
            let name: String = field("Name:")?
                .trim()
                .chars()
                .filter(|letter| !letter.is_control())
                .collect();
            Some((id, name))
        };
        let threads = entries.flatten().take(THREADS_MAX);
        threads.filter_map(name).collect()
    }

    /// A variable of a process's environment as it was started; empty when it is not set, `None` when
    /// the environment cannot be read.
    pub(crate) fn environment_variable(&self, pid: u32, name: &str) -> Option<String> {
        let environment = fs::read(self.path(pid, "environ")).ok()?;
        let value = environment.split(|byte| *byte == 0).find_map(|entry| {
            let rest = entry.strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=")
        });
        Some(super::target::printable(value.unwrap_or_default()))
    }

    /// Start time in clock ticks since boot (field 22 of `stat`) of a process that runs: not of a
    /// zombie, unless only its first thread is one.
    pub(crate) fn start_time_ticks(&self, pid: u32) -> Option<u64> {
        let text = fs::read(self.path(pid, "stat")).ok()?;
        let text = String::from_utf8_lossy(&text);
        // The name in field 2 may hold spaces and parentheses; what follows its last one may not.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        // Fields 3 (state), 20 (threads) and 22 (start time).
        let state = fields.next()?;
        let threads: u64 = fields.nth(16)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        let gone = matches!(state, "Z" | "X") && threads <= 1;
        (!gone).then_some(start)
    }

    /// The executable, without the kernel's ` (deleted)`.
    pub(crate) fn exe(&self, pid: u32) -> Option<Vec<u8>> {
        let path = fs::read_link(self.path(pid, "exe")).ok()?;
        let mut path = path.into_os_string().into_vec();
        if path.ends_with(b" (deleted)") {
            path.truncate(path.len() - b" (deleted)".len());
        }
        Some(path)
    }

    /// The process's name.
    pub(crate) fn comm(&self, pid: u32) -> Option<String> {
        let text = fs::read(self.path(pid, "comm")).ok()?;
        Some(String::from_utf8_lossy(&text).trim_end().to_owned())
    }

    /// Inode of a namespace (`pid`, `mnt`).
    pub(crate) fn namespace(&self, pid: u32, kind: &str) -> Option<u64> {
        namespace_inode(&self.path(pid, "ns").join(kind))
    }

    /// Inode of a namespace of the caller.
    pub(crate) fn own_namespace(&self, kind: &str) -> Option<u64> {
        namespace_inode(&self.root.join("self/ns").join(kind))
    }

    /// The process's root directory, as seen from here.
    pub(crate) fn root_of(&self, pid: u32) -> PathBuf {
        self.path(pid, "root")
    }

    /// The pid in the process's own pid namespace.
    pub(crate) fn innermost_pid(&self, pid: u32) -> Option<u32> {
        let text = fs::read_to_string(self.path(pid, "status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_whitespace().next_back()?.parse().ok()
    }

    /// Whether the process maps a file; `None` when that cannot be told.
    pub(crate) fn maps_inode(&self, pid: u32, inode: u64, name: &str) -> Option<bool> {
        let text = fs::read(self.path(pid, "maps")).ok()?;
        let text = String::from_utf8_lossy(&text);
        Some(text.lines().any(|line| {
            // address perms offset dev inode path
            line.split_whitespace()
                .nth(4)
                .and_then(|field| field.parse().ok())
                == Some(inode)
                && line.contains(name)
        }))
    }

    /// Resident bytes of the C library's own heap (`brk`), which jemalloc does not use; `None` when
    /// that cannot be told.
    ///
    /// Asks `pagemap` about this one mapping: `smaps` would walk the page tables of the whole
    /// target under its memory lock.
    pub(crate) fn c_heap_rss(&self, pid: u32) -> Option<u64> {
        let text = fs::read(self.path(pid, "maps")).ok()?;
        let text = String::from_utf8_lossy(&text);
        if text.is_empty() {
            return None;
        }
        let page = rustix::param::page_size() as u64;
        let mut sum: u64 = 0;
        for line in text.lines().filter(|line| line.ends_with("[heap]")) {
            let (start, end) = line.split_whitespace().next()?.split_once('-')?;
            let start = u64::from_str_radix(start, 16).ok()?;
            let end = u64::from_str_radix(end, 16).ok()?;
            let pages = end.checked_sub(start)? / page;
            if pages > C_HEAP_PAGES_MAX {
                return None;
            }
            let present = self.present_pages(pid, start / page, pages)?;
            sum = sum.saturating_add(present.saturating_mul(page));
        }
        Some(sum)
    }

    /// How many of `count` pages from page number `first` on are resident.
    fn present_pages(&self, pid: u32, first: u64, count: u64) -> Option<u64> {
        let pagemap = fs::File::open(self.path(pid, "pagemap")).ok()?;
        let mut entries = vec![0; usize::try_from(count.checked_mul(8)?).ok()?];
        pagemap
            .read_exact_at(&mut entries, first.checked_mul(8)?)
            .ok()?;
        // Little-endian words; bit 63 is "present".
        let present = entries
            .chunks(8)
            .filter(|entry| entry.last().is_some_and(|byte| byte & 0x80 != 0));
        Some(present.count() as u64)
    }

    /// The control groups of a process.
    pub(crate) fn cgroup(&self, pid: u32) -> Option<String> {
        let text = fs::read(self.path(pid, "cgroup")).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// All mappings of a process with their resident pages. Walks the page tables of the target
    /// under its memory lock: for commands that ask for it, never for a refresh.
    pub(crate) fn smaps(&self, pid: u32) -> Option<String> {
        let text = fs::read(self.path(pid, "smaps")).ok()?;
        (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether the kernel lets processes map more memory than there is.
    pub(crate) fn overcommits(&self) -> bool {
        let text = fs::read_to_string(self.root.join("sys/vm/overcommit_memory"));
        text.is_ok_and(|text| text.trim() != "2")
    }

    /// Memory figures of a process.
    pub(crate) fn memory(&self, pid: u32) -> ProcessMemory {
        let Ok(text) = fs::read_to_string(self.path(pid, "status")) else {
            return ProcessMemory::default();
        };
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
            kib.checked_mul(1_024)
        };
        ProcessMemory {
            rss: field("VmRSS:"),
            virtual_size: field("VmSize:"),
            rss_file_and_shmem: field("RssFile:")
                .zip(field("RssShmem:"))
                .map(|(file, shmem)| file.saturating_add(shmem)),
            peak_rss: field("VmHWM:"),
        }
    }

    /// The boot id of this machine.
    pub(crate) fn boot_id(&self) -> Option<[u8; 16]> {
        let text = fs::read_to_string(self.root.join("sys/kernel/random/boot_id")).ok()?;
        parse_boot_id(&text)
    }
}

fn namespace_inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

/// The 16 bytes of a UUID in text.
fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .trim()
        .chars()
        .filter(|character| *character != '-')
        .map(|character| character.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let mut id = [0; 16];
    if digits.len() != 2 * id.len() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("7")).unwrap();
        let fields: Vec<_> = (4..=30).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) (b c) R {}", fields.join(" "));
        fs::write(root.path().join("7/stat"), stat).unwrap();
        assert_eq!(Proc::at(root.path()).start_time_ticks(7), Some(22));
        let zombie = format!("7 (a) Z {}", fields.join(" "));
        fs::write(root.path().join("7/stat"), &zombie).unwrap();
        assert_eq!(Proc::at(root.path()).start_time_ticks(7), Some(22));
        fs::write(root.path().join("7/stat"), zombie.replace(" 20 ", " 1 ")).unwrap();
        assert_eq!(Proc::at(root.path()).start_time_ticks(7), None);
    }

    #[test]
    fn this_process_is_there() {
        let proc = Proc::default();
        let pid = std::process::id();
        assert!(proc.start_time_ticks(pid).unwrap() > 0);
        assert!(proc.pids().contains(&pid));
        assert!(proc.memory(pid).rss.unwrap() > 0);
        assert_eq!(proc.namespace(pid, "pid"), proc.own_namespace("pid"));
        assert!(proc.boot_id().is_some());
        assert_eq!(proc.innermost_pid(pid), Some(pid));
    }

    #[test]
    fn resident_pages_of_the_c_heap_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let page = rustix::param::page_size() as u64;
        fs::create_dir(root.path().join("7")).unwrap();
        let maps = format!(
            "{:x}-{:x} rw-p 00000000 00:00 0    [heap]\n7f00-7f01 rw-p 00000000 00:00 0 \n",
            2 * page,
            5 * page
        );
        fs::write(root.path().join("7/maps"), maps).unwrap();
        let present = 1_u64 << 63;
        let entries = [present, present, present, 1 << 62, present | 5, present];
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|entry| entry.to_le_bytes())
            .collect();
        fs::write(root.path().join("7/pagemap"), bytes).unwrap();
        assert_eq!(Proc::at(root.path()).c_heap_rss(7), Some(2 * page));
        assert_eq!(Proc::at(root.path()).c_heap_rss(8), None);
    }

    #[test]
    fn a_boot_id_is_sixteen_bytes() {
        let id = parse_boot_id("00112233-4455-6677-8899-aabbccddeeff\n").unwrap();
        assert_eq!(id[..3], [0x00, 0x11, 0x22]);
        assert_eq!(id[15], 0xff);
        assert_eq!(parse_boot_id("0011"), None);
        assert_eq!(parse_boot_id("zz112233-4455-6677-8899-aabbccddeeff"), None);
    }
}
