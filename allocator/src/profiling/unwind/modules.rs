//! Executable mappings: found in `/proc/self/maps`, written to the region's module table for
//! readers, and their unwind tables given to the walker.
//!
//! One caller at a time (under the tick's lock).

extern crate alloc;

use alloc::vec::Vec;

use riptide_region::{
    counters::{Counter, Counters},
    module_table::{Module, ModuleTable},
    stack_table::{MAX_FRAMES, StackId, StackTable},
};

use super::{
    super::{
        sys::{File, Text},
        thread_state,
    },
    dwarf::Dwarf,
    elf::ElfFile,
    maps::{self, Mapping},
    tables,
};

/// Executable mappings looked at.
const MODULES_MAX: usize = 1_024;

struct Known {
    start: u64,
    end: u64,
    inode: u64,
    /// Entry of the region's table, if there was room.
    index: Option<usize>,
    seen: bool,
}

/// What is known of the executable mappings.
#[derive(Default)]
pub(crate) struct Modules {
    known: Vec<Known>,
    copies: tables::Copies,
    /// Stacks whose addresses were looked at.
    checked_stacks: usize,
}

impl Modules {
    /// Whether a stack added since the last call has an address outside all known mappings.
    pub(crate) fn misses_text(&mut self, stacks: &StackTable<'_>) -> bool {
        let mut frames = [0; MAX_FRAMES];
        let mut missing = false;
        while self.checked_stacks < stacks.len() {
            let Ok(number) = u32::try_from(self.checked_stacks + 1) else {
                return missing;
            };
            let Some((len, _)) = stacks.frames(StackId(number), &mut frames) else {
                // Not ready yet: look again at the next tick.
                return missing;
            };
            self.checked_stacks += 1;
            missing |= frames.iter().take(len).any(|address| {
                !self
                    .known
                    .iter()
                    .any(|known| (known.start..known.end).contains(address))
            });
        }
        missing
    }

    /// Reads the mappings anew: new ones are added, those that are gone are marked.
    pub(crate) fn scan(
        &mut self,
        table: &ModuleTable<'_>,
        counters: &Counters<'_>,
        dwarf: &Dwarf,
        scratch: &mut [u8],
        now_ns: u64,
    ) {
        for known in &mut self.known {
            known.seen = false;
        }
        thread_state::with_own_heap(|| self.scan_here(table, counters, dwarf, scratch, now_ns));
    }

    fn scan_here(
        &mut self,
        table: &ModuleTable<'_>,
        counters: &Counters<'_>,
        dwarf: &Dwarf,
        scratch: &mut [u8],
        now_ns: u64,
    ) {
        let mut with_tables = Vec::new();
        let complete = maps::for_each(scratch, |mapping| {
            if mapping.executable && mapping.path.starts_with(b"/") {
                self.see(mapping, table, counters, dwarf, now_ns, &mut with_tables);
            }
            true
        });
        let gone = self.known.iter().filter(|known| complete && !known.seen);
        dwarf.change(gone.map(|known| known.start), with_tables.into_iter());
        if complete {
            self.mark_gone(table, now_ns);
        } else {
            counters.add(Counter::TickErrors, 1);
        }
    }

    fn see(
        &mut self,
        mapping: &Mapping<'_>,
        table: &ModuleTable<'_>,
        counters: &Counters<'_>,
        dwarf: &Dwarf,
        now_ns: u64,
        with_tables: &mut Vec<framehop::Module<&'static [u8]>>,
    ) {
        let known = self.known.iter_mut().find(|known| {
            known.start == mapping.start && known.end == mapping.end && known.inode == mapping.inode
        });
        if let Some(known) = known {
            known.seen = true;
            return;
        }
        if self.known.len() >= MODULES_MAX || self.known.try_reserve(1).is_err() {
            counters.add(Counter::ModuleTableFull, 1);
            return;
        }
        let path = mapping
            .path
            .strip_suffix(b" (deleted)")
            .unwrap_or(mapping.path);
        let mut module = Module::default();
        module.text_start = mapping.start;
        module.text_end = mapping.end;
        module.file_offset = mapping.file_offset;
        module.bias = mapping.start.wrapping_sub(mapping.file_offset);
        module.valid_from_ns = now_ns;
        module.set_path(path);
        if let Some(file) = open(path, mapping.inode)
            && let Some(elf) = ElfFile::read(&file)
            && let Some(bias) = elf.bias(mapping.start, mapping.file_offset)
        {
            module.bias = bias;
            module.set_build_id(elf.build_id());
            if dwarf.takes_changes()
                && let Some(tables) = tables::module(
                    &file,
                    &elf,
                    mapping.start..mapping.end,
                    bias,
                    &mut self.copies,
                )
                && with_tables.try_reserve(1).is_ok()
            {
                with_tables.push(tables);
            }
        }
        let index = table.len();
        let added = table.append(&module);
        if !added {
            counters.add(Counter::ModuleTableFull, 1);
        }
        self.known.push(Known {
            start: mapping.start,
            end: mapping.end,
            inode: mapping.inode,
            index: added.then_some(index),
            seen: true,
        });
    }

    fn mark_gone(&mut self, table: &ModuleTable<'_>, now_ns: u64) {
        self.known.retain(|known| {
            if !known.seen
                && let Some(index) = known.index
                && let Some(mut module) = table.read(index)
            {
                module.valid_to_ns = now_ns;
                table.update(index, &module);
            }
            known.seen
        });
    }
}

/// Opens the file of a mapping, if it is still the same file.
fn open(path: &[u8], inode: u64) -> Option<File> {
    let mut text = Text::<4097>::new();
    text.push(path);
    File::open(text.as_c_str())
        .filter(|file| file.inode() == Some(inode))
        .or_else(|| {
            // The executable may have been replaced since.
            File::open(c"/proc/self/exe").filter(|file| file.inode() == Some(inode))
        })
}
