//! Times for a large binary:
//! `RIPTIDE_LARGE_BINARY=… cargo test --release -p riptide-reader --test symbolize large -- --nocapture`.
//! Without one, this test's own program takes its place.

use std::{
    fs,
    time::{Duration, Instant},
};

use riptide_reader::symbolize::{SymbolConfig, Symbols};
use riptide_region::module_table::Module;

/// The code segment of an ELF file, as if mapped where the file wants it.
fn text_of(path: &str) -> Module {
    let bytes = fs::read(path).unwrap();
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let table = usize::try_from(u64_at(32)).unwrap();
    let header = (table..)
        .step_by(56)
        .find(|at| bytes[*at..*at + 8] == [1, 0, 0, 0, 5, 0, 0, 0])
        .unwrap();
    let mut module = Module::default();
    module.file_offset = u64_at(header + 8);
    module.text_start = u64_at(header + 16);
    module.text_end = module.text_start + u64_at(header + 32);
    module.set_path(path.as_bytes());
    let build_id = blazesym::helper::read_elf_build_id(path).unwrap();
    module.set_build_id(&build_id.unwrap_or_default());
    module
}

fn memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        >> 10
}

#[test]
fn times_of_a_large_binary() {
    let (path, counts) = match std::env::var("RIPTIDE_LARGE_BINARY") {
        Ok(path) => (path, &[200, 2_000, 20_000][..]),
        Err(_) => {
            let own = std::env::current_exe().unwrap();
            (own.to_str().unwrap().to_owned(), &[200][..])
        }
    };
    let module = text_of(&path);
    for count in counts.iter().copied() {
        let step = (module.text_end - module.text_start) / count;
        let addresses: Vec<_> = (0..count)
            .map(|index| module.text_start + index * step + 7)
            .collect();
        let before = memory_mib();
        let start = Instant::now();
        let mut symbols = Symbols::spawn(SymbolConfig::default());
        symbols.set_modules(&[module]);
        for address in &addresses {
            let _ = symbols.resolve(*address, 1);
        }
        let mut named = 0;
        let mut first = None;
        while named < addresses.len() {
            std::thread::sleep(Duration::from_millis(1));
            named = addresses
                .iter()
                .filter(|address| symbols.resolve(**address, 1).is_some())
                .count();
            if named > 0 {
                first.get_or_insert_with(|| start.elapsed());
            }
        }
        let names = start.elapsed();
        while symbols.pending() >= addresses.len() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let first_line = start.elapsed();
        assert!(symbols.wait(Duration::from_secs(600)));
        let all = start.elapsed();
        let known = addresses
            .iter()
            .filter(|address| symbols.resolve(**address, 1).unwrap()[0].line.is_some())
            .count();
        println!(
            "{count} addresses: first name {first:?}, all names {names:?}, first line {first_line:?}, \
             all lines {all:?}, with line {known}, +{} MiB, {:?}",
            memory_mib().saturating_sub(before),
            symbols.stats(),
        );
    }
}
