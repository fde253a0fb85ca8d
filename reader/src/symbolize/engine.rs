//! The symboliser itself: blazesym behind a guard.
//!
//! Debug information is input from outside, so a panic in its parser is caught and counted, and
//! the address stays without lines. blazesym keeps all it ever parsed: when the process has grown
//! by more than the configured bound, the symboliser is made anew.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, atomic::Ordering},
};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolized, Symbolizer,
    source::{Elf, Source},
};
use riptide_region::module_table::Module;

use super::{
    Counters, SymbolConfig,
    inlined::{complete_paths, is_full_path},
    locate::{Located, Locator, SymbolFile},
};
use crate::profile::Frame;

/// Panics after which the debug information of a file is left alone.
const MAX_PANICS_A_FILE: u32 = 8;
/// Lookups between two renewals at least: a single huge file must not renew each time.
const MIN_LOOKUPS_A_RENEWAL: u32 = 512;

/// What tells the file of a mapping: path and build-id.
type FileKey = (Box<[u8]>, Box<[u8]>);

fn file_key(module: &Module) -> FileKey {
    (module.path().into(), module.build_id().into())
}

pub(super) struct Engine {
    locator: Locator,
    symbolizer: Symbolizer,
    files: HashMap<FileKey, Rc<Located>>,
    /// Files whose DWARF is indexed, which takes long the first time.
    lines_ready: HashSet<FileKey>,
    panics: HashMap<FileKey, u32>,
    max_growth_bytes: u64,
    memory_at_renewal: u64,
    lookups_since_renewal: u32,
    counters: Arc<Counters>,
}

impl Engine {
    pub(super) fn new(config: SymbolConfig, counters: Arc<Counters>) -> Self {
        let locator = Locator::new(config.pid, config.symbol_dirs);
        Self {
            symbolizer: symbolizer(&locator),
            locator,
            files: HashMap::new(),
            lines_ready: HashSet::new(),
            panics: HashMap::new(),
            max_growth_bytes: config.max_growth_bytes,
            memory_at_renewal: own_memory_bytes(),
            lookups_since_renewal: 0,
            counters,
        }
    }

    /// Function names from the symbol tables; `None` where there is none.
    pub(super) fn names(&mut self, module: &Module, addresses: &[u64]) -> Vec<Option<String>> {
        self.lookups_since_renewal = self.lookups_since_renewal.saturating_add(1);
        let mut names = vec![None; addresses.len()];
        let located = self.located(module);
        for file in located.files() {
            let missing: Vec<_> = addresses
                .iter()
                .zip(&names)
                .enumerate()
                .filter(|(_, (_, name))| name.is_none())
                .map(|(index, (address, _))| (index, *address))
                .collect();
            if missing.is_empty() {
                break;
            }
            let inputs: Vec<_> = missing
                .iter()
                .map(|(_, address)| file_address(file, module, *address))
                .collect();
            let source = source(file, false);
            let input = if file.debug_only {
                Input::VirtOffset(inputs.as_slice())
            } else {
                Input::FileOffset(inputs.as_slice())
            };
            let found = self.guarded(module, |symbolizer| {
                let symbols = symbolizer.symbolize(&source, input).ok()?;
                Some(symbols.into_iter().map(symbol_name).collect::<Vec<_>>())
            });
            for ((index, _), name) in missing.iter().zip(found.into_iter().flatten()) {
                if let Some(place) = names.get_mut(*index) {
                    *place = name;
                }
            }
        }
        names
    }

    /// Whether [`Engine::lines`] can add something for `module`.
    pub(super) fn has_lines(&mut self, module: &Module) -> bool {
        let panics = self.panics.get(&file_key(module)).copied().unwrap_or(0);
        panics < MAX_PANICS_A_FILE && self.located(module).lines().is_some()
    }

    /// Whether the first, slow look into the DWARF of `module` is behind us.
    pub(super) fn is_ready(&self, module: &Module) -> bool {
        self.lines_ready.contains(&file_key(module))
    }

    /// Frames with file, line and inlined functions, innermost first. `name` is what the symbol
    /// table calls the function.
    pub(super) fn lines(
        &mut self,
        module: &Module,
        address: u64,
        name: Option<&str>,
    ) -> Option<Vec<Frame>> {
        self.renew_when_grown();
        if !self.has_lines(module) {
            return None;
        }
        let located = self.located(module);
        let file = located.lines()?;
        self.lines_ready.insert(file_key(module));
        self.lookups_since_renewal = self.lookups_since_renewal.saturating_add(1);
        let offset = file_address(file, module, address);
        let input = if file.debug_only {
            Input::VirtOffset(offset)
        } else {
            Input::FileOffset(offset)
        };
        let source = source(file, true);
        let module_name = module_name(module);
        self.guarded(module, |symbolizer| {
            let symbolized = symbolizer.symbolize_single(&source, input).ok()?;
            Some(frames(symbolized.into_sym()?, name, module_name.as_deref()))
        })
    }

    fn located(&mut self, module: &Module) -> Rc<Located> {
        let key = file_key(module);
        if self
            .files
            .get(&key)
            .is_some_and(|known| !known.is_unchanged())
        {
            // What was parsed of it is void, and reading on could hit the file's end.
            self.files.remove(&key);
            self.renew();
        }
        let locator = &mut self.locator;
        let located = self.files.entry(key).or_insert_with(|| {
            let located = locator.locate(module);
            if located.files().next().is_none() {
                // Relaxed: a statistic.
                self.counters
                    .files_not_found
                    .fetch_add(1, Ordering::Relaxed);
            }
            Rc::new(located)
        });
        Rc::clone(located)
    }

    fn guarded<T>(
        &mut self,
        module: &Module,
        look_up: impl FnOnce(&Symbolizer) -> Option<T>,
    ) -> Option<T> {
        let symbolizer = &self.symbolizer;
        match catch_unwind(AssertUnwindSafe(|| look_up(symbolizer))) {
            Ok(found) => found,
            Err(_) => {
                // Relaxed: a statistic.
                self.counters.panics.fetch_add(1, Ordering::Relaxed);
                *self.panics.entry(file_key(module)).or_default() += 1;
                self.renew();
                None
            }
        }
    }

    fn renew_when_grown(&mut self) {
        if self.lookups_since_renewal < MIN_LOOKUPS_A_RENEWAL
            || !self.lookups_since_renewal.is_multiple_of(64)
        {
            return;
        }
        let grown = own_memory_bytes().saturating_sub(self.memory_at_renewal);
        if grown > self.max_growth_bytes {
            // Relaxed: a statistic.
            self.counters.renewals.fetch_add(1, Ordering::Relaxed);
            self.renew();
        }
    }

    /// Gives back what was parsed when nobody asks for a while.
    pub(super) fn rest(&mut self) {
        if !self.lines_ready.is_empty() || self.lookups_since_renewal > 0 {
            self.renew();
        }
    }

    /// Forgets what was parsed. The files stay open: what a process ran may be deleted by now,
    /// and the process gone.
    fn renew(&mut self) {
        self.symbolizer = symbolizer(&self.locator);
        self.lines_ready.clear();
        self.memory_at_renewal = own_memory_bytes();
        self.lookups_since_renewal = 0;
    }
}

fn symbolizer(locator: &Locator) -> Symbolizer {
    Symbolizer::builder()
        .enable_auto_reload(false)
        .enable_code_info(true)
        .enable_inlined_fns(true)
        .enable_demangling(true)
        .set_debug_dirs(Some(locator.debug_dirs()))
        .build()
}

fn source(file: &SymbolFile, debug_syms: bool) -> Source<'static> {
    let mut elf = Elf::new(&file.path);
    elf.debug_syms = debug_syms;
    Source::Elf(elf)
}

/// What `address` (avma) is in `file`: a file offset, or an address (svma) where the file has no
/// code.
fn file_address(file: &SymbolFile, module: &Module, address: u64) -> u64 {
    if file.debug_only {
        address.wrapping_sub(module.bias)
    } else {
        address
            .wrapping_sub(module.text_start)
            .wrapping_add(module.file_offset)
    }
}

fn symbol_name(symbolized: Symbolized<'_>) -> Option<String> {
    let symbol = symbolized.into_sym()?;
    // The nearest symbol below is no answer when the address lies behind its end.
    let outside = symbol
        .size
        .is_some_and(|size| size > 0 && symbol.offset >= size);
    (!outside && !symbol.name.is_empty()).then(|| symbol.name.into_owned())
}

fn frames(symbol: Sym<'_>, table_name: Option<&str>, module: Option<&str>) -> Vec<Frame> {
    let frame = |name: &str, code: Option<&CodeInfo<'_>>, inlined| Frame {
        function: if name.is_empty() { "??" } else { name }.to_owned(),
        file: code.map(|code| code.to_path().to_string_lossy().into_owned()),
        line: code.and_then(|code| code.line).filter(|line| *line > 0),
        inlined,
        module: module.map(str::to_owned),
    };
    let inlined = symbol.inlined.iter().rev();
    let mut frames: Vec<_> = inlined
        .map(|inlined| frame(&inlined.name, inlined.code_info.as_ref(), true))
        .collect();
    // With line tables only, DWARF has `push<u8>` where the symbol table has the full path.
    let name = match table_name {
        Some(table_name) if !is_full_path(&symbol.name) => table_name,
        _ => &symbol.name,
    };
    frames.push(frame(name, symbol.code_info.as_deref(), false));
    complete_paths(&mut frames, &symbol.name);
    frames
}

/// File name of the mapping.
pub(super) fn module_name(module: &Module) -> Option<String> {
    let path = String::from_utf8_lossy(module.path());
    let name = path.rsplit('/').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The frame of an address without a name: where it is in its file, which is the same in every
/// run, or in the process where the file is not known.
pub(super) fn unresolved(module: Option<&Module>, address: u64) -> Frame {
    let shown = module.map_or(address, |module| address.wrapping_sub(module.bias));
    Frame {
        function: format!("{shown:#x}"),
        file: None,
        line: None,
        inlined: false,
        module: module.and_then(module_name),
    }
}

/// Private memory of this process, 0 when unknown.
fn own_memory_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_parser_is_counted_and_ends_there() {
        let counters = Arc::new(Counters::default());
        let mut engine = Engine::new(SymbolConfig::default(), Arc::clone(&counters));
        let mut module = Module::default();
        let executable = std::env::current_exe().unwrap();
        module.set_path(executable.as_os_str().as_encoded_bytes());
        for count in 1..=MAX_PANICS_A_FILE {
            let found: Option<()> = engine.guarded(&module, |_| panic!("broken debug information"));
            assert_eq!(found, None);
            assert_eq!(counters.panics.load(Ordering::Relaxed), u64::from(count));
        }
        assert!(!engine.has_lines(&module));
        assert_eq!(engine.guarded(&module, |_| Some(7)), Some(7));
    }
}
