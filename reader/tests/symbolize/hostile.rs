//! Files that are broken on purpose: the answer is an address, and it comes.

use std::{
    fs::{self, File},
    io::Write,
    time::Duration,
};

use riptide_reader::symbolize::{SymbolConfig, Symbols};

use crate::{resolve_all, victim::Victim};

#[test]
fn a_truncated_file_gives_addresses() {
    let victim = Victim::start(&["-Cdebuginfo=2"]);
    let path = victim.dir.path().join("cut/victim");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let whole = fs::read(&victim.executable).unwrap();
    for share in [0, 1, 10, 50, 90, 99] {
        fs::write(&path, &whole[..whole.len() * share / 100]).unwrap();
        let modules = victim.modules_at(&path);
        for frames in resolve_all(SymbolConfig::default(), &modules, &victim.addresses()) {
            assert_eq!(frames.len(), 1);
            assert!(
                frames[0].function.starts_with("0x"),
                "{share} %: {frames:?}"
            );
            assert_eq!(frames[0].module.as_deref(), Some("victim"));
        }
    }
}

/// Flips bytes all over the file: whatever comes out, something does.
#[test]
fn a_corrupted_file_neither_kills_nor_blocks() {
    let victim = Victim::start(&["-Cdebuginfo=2"]);
    let path = victim.dir.path().join("bent");
    let whole = fs::read(&victim.executable).unwrap();
    let modules = victim.modules_at(&path);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..25 {
        let mut bent = whole.clone();
        for _ in 0..bent.len() / 200 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state % bent.len() as u64).unwrap();
            // The headers decide whether the file is looked at: leave the build-id.
            if at > 0x1000 {
                bent[at] ^= (state >> 32) as u8;
            }
        }
        let _ = fs::remove_file(&path);
        fs::write(&path, &bent).unwrap();
        let found = resolve_all(SymbolConfig::default(), &modules, &victim.addresses());
        assert!(found.iter().all(|frames| !frames.is_empty()));
    }
}

/// Each part of the debug information and of the symbol table by itself is filled with what lengths, offsets
/// and counts break at: names may be missing, an answer comes.
#[test]
fn no_section_of_a_file_is_trusted() {
    let victim = Victim::start(&["-Cdebuginfo=2"]);
    let path = victim.dir.path().join("filled");
    let whole = fs::read(&victim.executable).unwrap();
    let modules = victim.modules_at(&path);
    let addresses: Vec<u64> = victim.addresses().into_iter().step_by(8).collect();
    let sections = sections(&whole);
    let names = sections.iter().map(|section| section.0.as_str());
    for expected in [".debug_info", ".debug_abbrev", ".debug_line", ".symtab"] {
        assert!(names.clone().any(|name| name == expected), "{sections:?}");
    }
    fs::write(&path, &whole).unwrap();
    let good = resolve_all(SymbolConfig::default(), &modules, &addresses);
    let mut lost = 0;
    for (_, at, len) in &sections {
        for fill in [0_u8, 0x7f, 0xff] {
            // All of it, and all but its beginning, which has lengths and versions.
            for skipped in [0, 32] {
                let mut bent = whole.clone();
                bent[(at + skipped).min(at + len)..at + len].fill(fill);
                let _ = fs::remove_file(&path);
                fs::write(&path, &bent).unwrap();
                let found = resolve_all(SymbolConfig::default(), &modules, &addresses);
                assert!(found.iter().all(|frames| !frames.is_empty()));
                lost += usize::from(found != good);
            }
        }
    }
    assert!(lost > 0, "nothing that was filled is needed");
}

/// Name, offset and length of the sections with symbols and debug information.
fn sections(elf: &[u8]) -> Vec<(String, usize, usize)> {
    let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap()) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let (table, stride, count, names) = (word(0x28), half(0x3a), half(0x3c), half(0x3e));
    let names_at = word(table + names * stride + 0x18);
    (0..count)
        .map(|number| table + number * stride)
        .map(|header| {
            let name =
                names_at + u32::from_le_bytes(elf[header..header + 4].try_into().unwrap()) as usize;
            let name = elf[name..].split(|byte| *byte == 0).next().unwrap();
            let name = String::from_utf8_lossy(name).into_owned();
            (name, word(header + 0x18), word(header + 0x20))
        })
        .filter(|(name, _, _)| {
            name.starts_with(".debug_") || name == ".symtab" || name == ".strtab"
        })
        .collect()
}

#[test]
fn a_pipe_or_a_device_in_place_of_the_file_does_not_block() {
    let victim = Victim::start(&[]);
    let pipe = victim.dir.path().join("pipe");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(status.unwrap().success());
    for path in [
        pipe.as_path(),
        "/dev/zero".as_ref(),
        "/".as_ref(),
        "".as_ref(),
    ] {
        let modules = victim.modules_at(path);
        let found = resolve_all(SymbolConfig::default(), &modules, &victim.addresses());
        assert!(found[0][0].function.starts_with("0x"), "{path:?}");
    }
}

#[test]
fn a_file_that_changes_between_lookups_is_read_anew() {
    let victim = Victim::start(&["-Cdebuginfo=2"]);
    let path = victim.dir.path().join("copy");
    fs::copy(&victim.executable, &path).unwrap();
    let mut symbols = Symbols::spawn(SymbolConfig::default());
    symbols.set_modules(&victim.modules_at(&path));
    assert_eq!(symbols.resolve(victim.grow + 1, 1), None);
    assert!(symbols.wait(Duration::from_secs(60)));
    assert_eq!(
        symbols.resolve(victim.grow + 1, 1).unwrap()[0].function,
        "victim::shop::grow"
    );
    // Cut short in place: reading on in the old mapping would be SIGBUS.
    let mut file = File::create(&path).unwrap();
    file.write_all(b"nothing").unwrap();
    assert_eq!(symbols.resolve(victim.grow + 2, 1), None);
    assert!(symbols.wait(Duration::from_secs(60)));
    let frames = symbols.resolve(victim.grow + 2, 1).unwrap();
    assert!(frames[0].function.starts_with("0x"), "{frames:?}");
}
