//! What each way of building leaves to be found, and where.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use riptide_reader::{
    profile::Frame,
    symbolize::{SymbolConfig, Symbols, leaf_index},
};

use crate::{resolve_all, victim::Victim};

fn frames(victim: &Victim, config: SymbolConfig) -> Vec<Arc<[Frame]>> {
    resolve_all(config, &victim.modules, &victim.addresses())
}

/// The stack in which the inlined helper allocates: its leaf.
fn assert_has_helper(frames: &[Arc<[Frame]>], helper: &str) {
    let leaf = frames
        .iter()
        .filter(|frames| frames.len() > 2)
        .map(|frames| &frames[leaf_index(frames)])
        .find(|leaf| leaf.function == helper)
        .unwrap_or_else(|| panic!("no {helper} in {frames:#?}"));
    assert!(leaf.inlined);
    assert!(leaf.file.as_deref().unwrap().ends_with("victim.rs"));
    assert_eq!(leaf.line, Some(13));
}

fn assert_unresolved(frames: &[Arc<[Frame]>], victim: &Victim) {
    let module = victim.modules.first().unwrap();
    for (frames, address) in frames.iter().zip(victim.addresses()) {
        let expected = Frame {
            function: format!("{:#x}", address - 1 - module.bias),
            file: None,
            line: None,
            inlined: false,
            module: Some("victim".to_owned()),
        };
        assert_eq!(**frames, [expected]);
    }
}

#[test]
fn debug_info_gives_files_lines_and_inlined_functions() {
    for flags in [
        ["-Cdebuginfo=2", "-Csymbol-mangling-version=v0"].as_slice(),
        &["-Cdebuginfo=2"],
        &["-Cdebuginfo=1"],
    ] {
        let victim = Victim::start(flags);
        let found = frames(&victim, SymbolConfig::default());
        let entry = found[0].last().unwrap();
        assert_eq!(entry.function, "victim::shop::grow", "{flags:?}");
        assert_eq!(entry.line, Some(4));
        assert_eq!(entry.module.as_deref(), Some("victim"));
        assert_has_helper(&found, "victim::shop::helper");
    }
}

/// DWARF has bare names then: functions get theirs from the symbol table, inlined ones from what
/// they are inlined into.
#[test]
fn line_tables_give_full_names() {
    let victim = Victim::start(&["-Cdebuginfo=line-tables-only"]);
    let found = frames(&victim, SymbolConfig::default());
    assert_eq!(found[0].last().unwrap().function, "victim::shop::grow");
    assert_has_helper(&found, "victim::shop::helper");
}

#[test]
fn without_debug_info_there_are_names() {
    for flags in [
        ["-Cdebuginfo=2", "-Cstrip=debuginfo"].as_slice(),
        &["-Cstrip=debuginfo", "-Csymbol-mangling-version=v0"],
    ] {
        let victim = Victim::start(flags);
        for frames in frames(&victim, SymbolConfig::default()).iter().take(50) {
            let [frame] = frames.as_ref() else {
                panic!("{frames:?}");
            };
            assert_eq!(frame.function, "victim::shop::grow");
            assert_eq!((frame.file.as_ref(), frame.line), (None, None));
        }
    }
}

#[test]
fn a_stripped_program_gives_addresses_and_its_symbol_dir_the_rest() {
    let victim = Victim::start(&["-Cdebuginfo=2"]);
    let unstripped = victim.dir.path().join("unstripped");
    fs::copy(&victim.executable, &unstripped).unwrap();
    let stripped = victim.dir.path().join("stripped");
    objcopy(&["--strip-all"], &victim.executable, &stripped);
    fs::remove_file(&victim.executable).unwrap();
    fs::rename(&stripped, &victim.executable).unwrap();
    assert_unresolved(&frames(&victim, SymbolConfig::default()), &victim);

    let symbol_dir = tempfile::tempdir().unwrap();
    let config = SymbolConfig {
        symbol_dirs: vec![symbol_dir.path().to_owned()],
        ..SymbolConfig::default()
    };
    assert_unresolved(&frames(&victim, config.clone()), &victim);

    // Anywhere below, under any name.
    let below = symbol_dir.path().join("builds/17");
    fs::create_dir_all(&below).unwrap();
    objcopy(&["--only-keep-debug"], &unstripped, &below.join("x.dbg"));
    assert_has_helper(&frames(&victim, config.clone()), "victim::shop::helper");

    // Where debuggers look.
    let build_id = victim.modules.first().unwrap().build_id();
    let hex: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let by_id = symbol_dir.path().join(".build-id").join(&hex[..2]);
    fs::create_dir_all(&by_id).unwrap();
    fs::rename(
        below.join("x.dbg"),
        by_id.join(format!("{}.debug", &hex[2..])),
    )
    .unwrap();
    assert_has_helper(&frames(&victim, config.clone()), "victim::shop::helper");

    // The program itself is gone as well.
    fs::remove_file(&victim.executable).unwrap();
    assert_has_helper(&frames(&victim, config), "victim::shop::helper");
}

#[test]
fn a_debug_link_is_followed() {
    let victim = Victim::start(&["-Cdebuginfo=2"]);
    let debug = victim.dir.path().join("victim.debug");
    objcopy(&["--only-keep-debug"], &victim.executable, &debug);
    let stripped = victim.dir.path().join("stripped");
    let link = format!("--add-gnu-debuglink={}", debug.display());
    objcopy(&["--strip-all", &link], &victim.executable, &stripped);
    fs::remove_file(&victim.executable).unwrap();
    fs::rename(&stripped, &victim.executable).unwrap();
    assert_has_helper(
        &frames(&victim, SymbolConfig::default()),
        "victim::shop::helper",
    );
}

#[test]
fn a_dwarf_package_beside_the_program_is_used() {
    let victim = Victim::start(&["-Cdebuginfo=2", "-Csplit-debuginfo=packed"]);
    assert!(victim.dir.path().join("victim.dwp").exists());
    assert_has_helper(
        &frames(&victim, SymbolConfig::default()),
        "victim::shop::helper",
    );
}

#[test]
fn a_deleted_or_replaced_executable_is_read_while_its_process_lives() {
    let victim = Victim::start(&["-Cdebuginfo=2"]);
    let alive = SymbolConfig {
        pid: Some(victim.pid()),
        ..SymbolConfig::default()
    };
    fs::remove_file(&victim.executable).unwrap();
    assert_has_helper(&frames(&victim, alive.clone()), "victim::shop::helper");
    assert_unresolved(&frames(&victim, SymbolConfig::default()), &victim);

    // Another build took its place.
    let other = Victim::start(&["-Cdebuginfo=2", "-Ccodegen-units=1"]);
    fs::copy(&other.executable, &victim.executable).unwrap();
    assert_has_helper(&frames(&victim, alive), "victim::shop::helper");
    assert_unresolved(&frames(&victim, SymbolConfig::default()), &victim);
}

#[test]
fn a_deleted_executable_once_found_outlives_its_process() {
    let mut victim = Victim::start(&["-Cdebuginfo=2"]);
    let mut symbols = Symbols::spawn(SymbolConfig {
        pid: Some(victim.pid()),
        idle: Duration::from_millis(1),
        ..SymbolConfig::default()
    });
    symbols.set_modules(&victim.modules);
    fs::remove_file(&victim.executable).unwrap();
    let mut line_at = |address| {
        assert_eq!(symbols.resolve(address, 1), None);
        assert!(symbols.wait(Duration::from_secs(60)));
        symbols.resolve(address, 1).unwrap()[0].line
    };
    assert_eq!(line_at(victim.grow + 1), Some(4));
    victim.kill();
    // The worker has rested meanwhile, and opens the file again.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(line_at(victim.grow + 2), Some(4));
}

#[test]
fn a_container_is_read_through_its_root() {
    let victim = Victim::start_in_own_root(&["-Cdebuginfo=2"]);
    let alive = SymbolConfig {
        pid: Some(victim.pid()),
        ..SymbolConfig::default()
    };
    assert_has_helper(&frames(&victim, alive), "victim::shop::helper");
    assert_unresolved(&frames(&victim, SymbolConfig::default()), &victim);
}

#[test]
fn a_file_of_another_build_id_is_not_used() {
    let mut victim = Victim::start(&["-Cdebuginfo=2"]);
    for module in &mut victim.modules {
        module.set_build_id(&[7; 20]);
    }
    let config = SymbolConfig {
        pid: Some(victim.pid()),
        symbol_dirs: vec![victim.dir.path().to_owned()],
        ..SymbolConfig::default()
    };
    assert_unresolved(&frames(&victim, config), &victim);
}

#[test]
fn without_build_ids_the_layout_must_agree() {
    let mut victim = Victim::start(&["-Cdebuginfo=2", "-Clink-arg=-Wl,--build-id=none"]);
    assert!(victim.modules.first().unwrap().build_id().is_empty());
    assert_has_helper(
        &frames(&victim, SymbolConfig::default()),
        "victim::shop::helper",
    );
    for module in &mut victim.modules {
        module.bias = module.bias.wrapping_sub(0x1000);
    }
    assert_unresolved(&frames(&victim, SymbolConfig::default()), &victim);
}

fn objcopy(flags: &[&str], from: &Path, to: &Path) {
    let status = Command::new("objcopy")
        .args(flags)
        .args([from, to])
        .status()
        .unwrap();
    assert!(status.success());
}
