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
