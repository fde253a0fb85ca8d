//! Symbolises addresses of this process and of little programs built in different ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod hostile;
mod large;
mod line_tables;
mod own_process;
mod programs;
mod victim;

use std::{sync::Arc, time::Duration};

use riptide_reader::{
    profile::Frame,
    symbolize::{SymbolConfig, Symbols},
};
use riptide_region::module_table::Module;

/// Final frames of return addresses.
fn resolve_all(config: SymbolConfig, modules: &[Module], addresses: &[u64]) -> Vec<Arc<[Frame]>> {
    let mut symbols = Symbols::spawn(config);
    symbols.set_modules(modules);
    for address in addresses {
        let _ = symbols.resolve(*address, 1);
    }
    assert!(
        symbols.wait(Duration::from_secs(120)),
        "{:?}",
        symbols.stats()
    );
    addresses
        .iter()
        .map(|address| symbols.resolve(*address, 1).unwrap())
        .collect()
}

/// Mappings of executable code in the text of a `/proc/PID/maps`, with build-ids and biases.
fn modules_of_maps(maps: &str) -> Vec<Module> {
    let mut modules = Vec::new();
    let mut first = (String::new(), 0);
    for line in maps.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let Some(path) = fields.get(5).filter(|path| path.starts_with('/')) else {
            continue;
        };
        let (start, end) = fields[0].split_once('-').unwrap();
        let (start, end) = (hex(start), hex(end));
        if first.0 != *path {
            first = ((*path).to_owned(), start);
        }
        if fields[1].contains('x') {
            let mut module = Module::default();
            (module.text_start, module.text_end) = (start, end);
            module.file_offset = hex(fields[2]);
            module.bias = first.1;
            module.set_path(path.as_bytes());
            let build_id = blazesym::helper::read_elf_build_id(path).ok().flatten();
            module.set_build_id(build_id.as_deref().unwrap_or_default());
            modules.push(module);
        }
    }
    modules
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}
