//! Addresses of the test process.

use std::{hint::black_box, time::Duration};

use riptide_reader::symbolize::{SymbolConfig, Symbols, leaf_index};

use crate::{modules_of_maps, resolve_all};

const KNOWN_LINE: u32 = line!() + 2;
#[inline(never)]
fn known_function(from: &mut Vec<u64>) {
    inlined_function(from);
    black_box(());
}

const INLINED_LINE: u32 = line!() + 3;
#[inline(always)]
fn inlined_function(from: &mut Vec<u64>) {
    *from = return_addresses();
}

#[inline(never)]
fn return_addresses() -> Vec<u64> {
    vec![known_function as fn(&mut Vec<u64>) as usize as u64]
}

fn own_modules() -> Vec<riptide_region::module_table::Module> {
    modules_of_maps(&std::fs::read_to_string("/proc/self/maps").unwrap())
}

#[test]
fn functions_of_this_process_have_name_file_and_line() {
    let mut start = Vec::new();
    known_function(&mut start);
    let start = start[0];
    let addresses: Vec<_> = (start + 1..start + 64).collect();
    let config = SymbolConfig {
        pid: Some(std::process::id()),
        ..SymbolConfig::default()
    };
    let frames = resolve_all(config, &own_modules(), &addresses);
    let entry = frames[0].last().unwrap();
    assert_eq!(entry.function, "symbolize::own_process::known_function");
    assert!(
        entry
            .file
            .as_deref()
            .unwrap()
            .ends_with("reader/tests/symbolize/own_process.rs")
    );
    assert_eq!(entry.line, Some(KNOWN_LINE));
    assert!(!entry.inlined);
    assert!(entry.module.as_deref().unwrap().starts_with("symbolize-"));
    let inlined = frames
        .iter()
        .find(|frames| frames.len() > 1 && frames[0].line == Some(INLINED_LINE))
        .expect("the inlined function is seen");
    assert_eq!(
        inlined[0].function,
        "symbolize::own_process::inlined_function"
    );
    assert!(inlined[0].inlined);
    assert_eq!(leaf_index(inlined), 0);
    assert_eq!(
        inlined.last().unwrap().function,
        "symbolize::own_process::known_function"
    );
}

#[test]
fn an_address_outside_all_mappings_is_shown_as_itself() {
    let frames = resolve_all(SymbolConfig::default(), &own_modules(), &[0x1235]);
    assert_eq!(frames[0][0].function, "0x1234");
    assert_eq!(frames[0][0].module, None);
}

#[test]
fn names_come_before_lines_and_each_raises_the_version() {
    let mut symbols = Symbols::spawn(SymbolConfig::default());
    symbols.set_modules(&own_modules());
    let address = known_function as fn(&mut Vec<u64>) as usize as u64 + 1;
    assert_eq!(symbols.version(), 0);
    assert_eq!(symbols.resolve(address, 1), None);
    assert_eq!(symbols.pending(), 1);
    let first = loop {
        if let Some(frames) = symbols.resolve(address, 1) {
            break frames;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(
        first.last().unwrap().function,
        "symbolize::own_process::known_function"
    );
    assert!(symbols.wait(Duration::from_secs(60)));
    assert_eq!((symbols.version(), symbols.pending()), (2, 0));
    assert!(symbols.resolve(address, 1).unwrap()[0].line.is_some());
}

#[test]
fn a_mapping_that_is_gone_is_not_used() {
    let mut modules = own_modules();
    for module in &mut modules {
        module.valid_to_ns = 5;
    }
    let address = known_function as fn(&mut Vec<u64>) as usize as u64 + 1;
    let mut symbols = Symbols::spawn(SymbolConfig::default());
    symbols.set_modules(&modules);
    assert_eq!(symbols.resolve(address, 3), None, "asked for");
    let gone = symbols.resolve(address, 9).unwrap();
    assert_eq!(gone[0].function, format!("{:#x}", address - 1));
}

#[test]
fn a_process_that_grew_makes_its_symboliser_anew() {
    let mut symbols = Symbols::spawn(SymbolConfig {
        max_growth_bytes: 0,
        ..SymbolConfig::default()
    });
    symbols.set_modules(&own_modules());
    let start = known_function as fn(&mut Vec<u64>) as usize as u64;
    assert_eq!(symbols.resolve(start + 1, 1), None);
    assert!(symbols.wait(Duration::from_secs(60)));
    // More than the tests beside this one may give back meanwhile.
    let ballast = black_box(vec![1_u8; 256 << 20]);
    for address in start + 2..start + 3_000 {
        let _ = symbols.resolve(address, 1);
    }
    assert!(symbols.wait(Duration::from_secs(120)));
    drop(ballast);
    assert!(symbols.stats().renewals > 0, "{:?}", symbols.stats());
    let last = symbols.resolve(start + 1, 1).unwrap();
    assert!(last[0].line.is_some());
}
