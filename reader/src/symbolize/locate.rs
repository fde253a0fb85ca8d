//! Which file has the symbols of a mapping.
//!
//! A file counts only when its build-id is the one recorded with the mapping. Where the mapping
//! has none the file must have none either, and its segments must lie as the mapping says.

use std::{
    ffi::OsStr,
    fs::{File, Metadata, OpenOptions},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
};

use riptide_region::module_table::Module;

use super::{elf::Headers, symbol_dirs::BuildIdIndex};

/// Where distributions put split debug information.
const SYSTEM_DEBUG_DIR: &str = "/usr/lib/debug";

/// A file that may be used for a mapping. Held open, so what was checked is what is read.
#[derive(Debug)]
pub(super) struct SymbolFile {
    file: File,
    /// The path to open it by.
    pub(super) path: PathBuf,
    /// Whether its file offsets are not those of the mapping.
    pub(super) debug_only: bool,
    /// Whether it leads to file names, lines and inlined functions.
    pub(super) has_lines: bool,
    has_symbol_table: bool,
    stamp: Stamp,
}

/// Tells whether a file was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl SymbolFile {
    /// Opens `path` if it is a regular file that `accept` takes.
    fn open(path: &Path, accept: impl FnOnce(&Headers) -> bool) -> Option<Self> {
        // A pipe or a device, named by a hostile region, could block the worker or worse.
        if !std::fs::metadata(path).ok()?.is_file() {
            return None;
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() {
            return None;
        }
        let headers = Headers::read(&file).ok()?;
        if !accept(&headers) {
            return None;
        }
        let mut package = path.as_os_str().to_owned();
        package.push(".dwp");
        // Another file may take the path at any moment, the descriptor stays. Only a DWARF
        // package is found by the path's name.
        let path = if Path::new(&package).is_file() {
            path.to_owned()
        } else {
            PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
        };
        Some(Self {
            path,
            debug_only: headers.is_debug_only(),
            has_lines: headers.has_debug_info() || headers.has_debug_link(),
            has_symbol_table: headers.has_symbol_table(),
            stamp: Stamp::from(&metadata),
            file,
        })
    }

    fn is_unchanged(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| Stamp::from(&metadata) == self.stamp)
    }
}

/// The files of a mapping.
#[derive(Debug, Default)]
pub(super) struct Located {
    /// The mapped file itself.
    pub(super) image: Option<SymbolFile>,
    /// Another file with the same build-id, looked for when the image lacks symbols or lines.
    pub(super) debug: Option<SymbolFile>,
}

impl Located {
    /// The file with lines and inlined functions.
    pub(super) fn lines(&self) -> Option<&SymbolFile> {
        self.files().find(|file| file.has_lines)
    }

    /// All files, the better first.
    pub(super) fn files(&self) -> impl Iterator<Item = &SymbolFile> {
        self.debug.iter().chain(&self.image)
    }

    /// Whether no file was written to since it was found.
    pub(super) fn is_unchanged(&self) -> bool {
        self.files().all(SymbolFile::is_unchanged)
    }
}

/// Finds the files of mappings.
#[derive(Debug)]
pub(super) struct Locator {
    pid: Option<u32>,
    symbol_dirs: Vec<PathBuf>,
    index: Option<BuildIdIndex>,
}

impl Locator {
    pub(super) fn new(pid: Option<u32>, symbol_dirs: Vec<PathBuf>) -> Self {
        Self {
            pid,
            symbol_dirs,
            index: None,
        }
    }

    /// The directories in which debug links may lead somewhere.
    pub(super) fn debug_dirs(&self) -> impl Iterator<Item = PathBuf> {
        let system = [SYSTEM_DEBUG_DIR, "/lib/debug"]
            .into_iter()
            .map(PathBuf::from);
        self.symbol_dirs.iter().cloned().chain(system)
    }

    /// The files of `module`.
    pub(super) fn locate(&mut self, module: &Module) -> Located {
        let accept = |headers: &Headers| is_file_of(headers, module);
        let image = self
            .image_paths(module)
            .iter()
            .find_map(|path| SymbolFile::open(path, accept));
        let enough = image
            .as_ref()
            .is_some_and(|image| image.has_lines && image.has_symbol_table);
        let debug = if enough {
            None
        } else {
            self.debug_file(module)
        };
        Located { image, debug }
    }

    fn image_paths(&self, module: &Module) -> Vec<PathBuf> {
        let path = Path::new(OsStr::from_bytes(module.path()));
        let whole = path.is_absolute() && !module.path_cut();
        let mut paths = Vec::new();
        if let Some(pid) = self.pid {
            let process = PathBuf::from(format!("/proc/{pid}"));
            if let (true, Ok(inside)) = (whole, path.strip_prefix("/")) {
                paths.push(process.join("root").join(inside));
            }
            let executable = process.join("exe");
            if !module.build_id().is_empty() || is_named(&executable, path) {
                paths.push(executable);
            }
            let range = format!("{:x}-{:x}", module.text_start, module.text_end);
            paths.push(process.join("map_files").join(range));
        }
        if whole {
            paths.push(path.to_owned());
        }
        paths
    }

    fn debug_file(&mut self, module: &Module) -> Option<SymbolFile> {
        let build_id = module.build_id();
        if build_id.len() < 2 {
            return None;
        }
        let accept = |headers: &Headers| headers.build_id() == build_id;
        let mut paths = Vec::new();
        let name = Path::new(OsStr::from_bytes(module.path())).file_name();
        for dir in &self.symbol_dirs {
            paths.extend(build_id_paths(dir, build_id));
            if let Some(name) = name {
                let mut debug = name.to_owned();
                debug.push(".debug");
                paths.push(dir.join(debug));
                paths.push(dir.join(name));
            }
        }
        if let Some(pid) = self.pid {
            let dir = PathBuf::from(format!("/proc/{pid}/root{SYSTEM_DEBUG_DIR}"));
            paths.extend(build_id_paths(&dir, build_id));
        }
        paths.extend(build_id_paths(Path::new(SYSTEM_DEBUG_DIR), build_id));
        if let Some(found) = best(&paths, accept) {
            return Some(found);
        }
        let dirs = &self.symbol_dirs;
        let index = self.index.get_or_insert_with(|| BuildIdIndex::scan(dirs));
        best(index.paths(build_id), accept)
    }
}

/// The first file with lines, else the first one at all.
fn best(paths: &[PathBuf], accept: impl Fn(&Headers) -> bool) -> Option<SymbolFile> {
    let mut second_best = None;
    for path in paths {
        let Some(file) = SymbolFile::open(path, &accept) else {
            continue;
        };
        if file.has_lines {
            return Some(file);
        }
        second_best = second_best.or(Some(file));
    }
    second_best
}

fn build_id_paths(dir: &Path, build_id: &[u8]) -> Vec<PathBuf> {
    let hex: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let Some((first, rest)) = hex.split_at_checked(2) else {
        return Vec::new();
    };
    let dir = dir.join(".build-id").join(first);
    vec![dir.join(format!("{rest}.debug")), dir.join(rest)]
}

fn is_file_of(headers: &Headers, module: &Module) -> bool {
    headers.build_id() == module.build_id()
        && (!module.build_id().is_empty()
            || headers.is_laid_out(
                module.file_offset,
                module.text_start.wrapping_sub(module.bias),
                module.text_end.saturating_sub(module.text_start),
            ))
}

/// Whether the link `executable` leads to a file named as `path`, which may be deleted by now.
fn is_named(executable: &Path, path: &Path) -> bool {
    let Ok(target) = std::fs::read_link(executable) else {
        return false;
    };
    let target = target.as_os_str().as_bytes();
    let target = target.strip_suffix(b" (deleted)").unwrap_or(target);
    Path::new(OsStr::from_bytes(target)) == path
}
