//! Limits, sandboxes, directories, jemalloc's options, memory.

use std::{fs, os::unix::fs::PermissionsExt, process::Command, sync::atomic::Ordering};

use riptide_tests::{shared::SharedWords, victim::Numbers};

use super::compare::{Fault, assert_exact, assert_keeps, regions};
use crate::{
    harness::{Directory, long, program, seed, top, wait_for},
    resource_limits::limit,
};

/// Works under a limit of each kind, as it does on bare jemalloc.
#[test]
fn resource_limits() {
    let limits = [
        (libc::RLIMIT_AS, 1 << 30),
        (libc::RLIMIT_DATA, 256 << 20),
        (libc::RLIMIT_FSIZE, 100 << 10),
        (libc::RLIMIT_FSIZE, 0),
        (libc::RLIMIT_MEMLOCK, 0),
        (libc::RLIMIT_STACK, 256 << 10),
        (libc::RLIMIT_STACK, libc::RLIM_INFINITY),
        (libc::RLIMIT_CORE, 0),
    ];
    for (resource, value) in limits {
        let fault = Fault::new(&["plain"]).prepared(|command| limit(command, resource, value));
        let (_, deed) = fault.assert_same_always();
        deed.assert_complete();
    }
}

#[test]
fn no_file_can_be_opened() {
    let (directory, deed) = Fault::new(&["no-files"]).assert_same_always();
    deed.assert_complete();
    assert_exact(&directory, &deed);
}

/// Root in a container gives itself up: the region was made before, and is another user's then.
#[test]
fn rights_given_up() {
    let (directory, deed) = Fault::new(&["no-rights"]).assert_same_always();
    deed.assert_complete();
    assert_keeps(&directory, &deed, "exited");
}

#[test]
fn a_root_without_proc_and_shm() {
    let root = Directory::new();
    let root = root.path().to_str().unwrap();
    let (directory, deed) = Fault::new(&["chroot", root]).assert_same_always();
    deed.assert_complete();
    assert_exact(&directory, &deed);
}

/// What a program is sandboxed from: `EPERM` and `ENOSYS`.
const ERRORS: [&str; 2] = ["1", "38"];

#[test]
fn system_calls_forbidden_after_the_start() {
    for errno in ERRORS {
        let calls = [
            "openat",
            "read",
            "pread64",
            "mprotect",
            "madvise",
            "newfstatat",
            "ioctl",
            "prlimit64",
            "gettid",
            "clock_gettime",
            "all",
        ];
        for call in calls {
            let (_, deed) = Fault::new(&["sandbox", errno, call]).assert_same_always();
            deed.assert_complete();
            assert_eq!(deed.lines[1], "forbidden true");
        }
    }
}

/// Those that the dynamic linker can do without.
#[test]
fn system_calls_forbidden_from_the_start() {
    let calls = [
        "fallocate",
        "memfd_create",
        "mkdir",
        "fstatfs",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "fchmod",
        "readlink",
        "ioctl",
        "prlimit64",
        "gettid",
        "geteuid",
        "clock_gettime",
    ];
    for errno in ERRORS {
        for call in calls.iter().map(std::slice::from_ref).chain([&calls[..]]) {
            let arguments = [&["enter-sandbox", errno], call].concat();
            let (_, deed) = Fault::new(&arguments).assert_same_always();
            deed.assert_complete();
            assert_eq!(deed.lines[0], "forbidden true");
        }
    }
}

/// A limit of the size of files that the program cannot ask for: it gets no SIGXFSZ.
#[test]
fn a_limit_that_cannot_be_read() {
    let fault = Fault::new(&["enter-sandbox", "1", "prlimit64"])
        .prepared(|command| limit(command, libc::RLIMIT_FSIZE, 1 << 20));
    let (_, deed) = fault.assert_same_always();
    deed.assert_complete();
}

/// Everything that a user can tell jemalloc, but what prints jemalloc's own figures.
#[test]
fn options_of_jemalloc() {
    let options = [
        "narenas:1",
        "narenas:4094",
        "tcache:false",
        "tcache_max:8388608",
        "tcache_max:32",
        "retain:false",
        "percpu_arena:percpu",
        "percpu_arena:phycpu",
        "background_thread:true,dirty_decay_ms:0,muzzy_decay_ms:0",
        "dirty_decay_ms:0,muzzy_decay_ms:0",
        "dirty_decay_ms:-1,muzzy_decay_ms:-1",
        "cache_oblivious:false",
        "metadata_thp:always,thp:always",
        "thp:never",
        "dss:primary",
        "dss:disabled",
        "zero:true",
        "junk:true",
        "zero_realloc:abort",
        "oversize_threshold:1",
        "oversize_threshold:0",
        "hpa:true",
        "hpa:true,hpa_slab_max_alloc:262144",
        "slab_sizes:1-4096:17|4097-16384:8",
        "bin_shards:1-160:16|161-4096:8",
        "lg_extent_max_active_fit:0",
        "lg_tcache_flush_small_div:4,lg_tcache_nslots_mul:3",
        "trust_madvise:true",
        "abort_conf:false,nonsense:1,narenas:many",
        "abort_conf:true,nonsense:1",
        "prof:true,prof_active:true,lg_prof_sample:10",
        "junk:true,tcache:false,retain:false,narenas:1,dirty_decay_ms:0,cache_oblivious:false",
    ];
    for option in options {
        let fault =
            Fault::new(&["plain"]).prepared(|command| _ = command.env("_RJEM_MALLOC_CONF", option));
        let (directory, deed) = fault.assert_same_always();
        println!("{option}: {:?}", deed.status);
        if deed.status.success() {
            deed.assert_complete();
            // Exact with every option that leaves room for an arena of our own.
            if option != "narenas:4094" {
                assert_exact(&directory, &deed);
            }
        } else {
            assert!(option.contains("abort_conf:true"), "{option}");
        }
    }
}

/// A directory in a mount namespace of the program's own, with `options` of a tmpfs, filled by `fill`.
fn in_a_mount(options: &str, fill: &str) {
    let place = Directory::new();
    let path = place.path().to_str().unwrap();
    let with = |name: &str| {
        let script = format!(
            "mount -t tmpfs -o {options} tmpfs {path} && {fill} && exec {} plain 20000",
            program(name).display()
        );
        let arguments = ["--mount", "--propagation", "private", "sh", "-c", &script];
        let mut fault = Fault::new(&arguments).prepared(|command| {
            command.env("RIPTIDE_DIR", path);
        });
        fault.program = "unshare".into();
        fault.bare = "unshare".into();
        fault
    };
    let bare = with("victim-fault-bare").on_bare();
    bare.assert_complete();
    for interval in ["1", "4KiB", "512KiB"] {
        with("victim-fault").assert_same(interval, &bare);
    }
}

#[test]
fn full_file_system() {
    let fill = "{ head -c 100M /dev/zero >DIR/filler 2>DIR/none || true; }";
    let place = "$RIPTIDE_DIR";
    in_a_mount(
        "size=8m",
        &fill.replace("DIR/none", "/dev/null").replace("DIR", place),
    );
    // It fills while the program runs.
    let slowly = "{ (sleep 0.02; exec head -c 100M) </dev/zero >DIR/filler 2>/dev/null & }";
    in_a_mount("size=64m", &slowly.replace("DIR", place));
    in_a_mount("size=64m,nr_inodes=1", "true");
}

#[test]
fn read_only_file_system() {
    in_a_mount("ro,size=64m", "true");
    let remount = "{ (sleep 0.02; mount -o remount,ro $RIPTIDE_DIR) 2>/dev/null & }";
    in_a_mount("size=64m", remount);
}

/// The region's file goes away, and its directory.
#[test]
fn unlinked_region() {
    let fault = Fault::new(&["plain", "100000"]).meanwhile(|directory, child| {
        let found = wait_for("a region or the end", || match regions(directory).pop() {
            Some(region) => Some(Some(region)),
            None => child.try_wait().unwrap().map(|_| None),
        });
        if let Some(region) = found {
            fs::remove_file(region).unwrap();
            fs::remove_dir(directory.path()).unwrap();
            // What the program does with a directory of that name now is its own.
            fs::create_dir(directory.path()).unwrap();
        }
    });
    let bare = fault.on_bare();
    bare.assert_complete();
    for interval in ["1", "4KiB"] {
        let directory = fault.assert_same(interval, &bare);
        assert!(directory.files().is_empty(), "{:?}", directory.files());
    }
}

/// Somebody writes into the region as fast as it can, everywhere.
#[test]
fn scribbled_region() {
    let seed = seed("scribbled_region");
    for round in 0..if long() { 100 } else { 3 } {
        let fault = Fault::new(&["plain", "60000"]).meanwhile(|directory, child| {
            let region = directory.region();
            fs::set_permissions(&region, fs::Permissions::from_mode(0o600)).unwrap();
            let shared = SharedWords::open(&region).unwrap();
            let words = shared.words();
            let mut numbers = Numbers::new(seed + round);
            let mut written = 0_u64;
            while child.try_wait().unwrap().is_none() {
                for _ in 0..10_000 {
                    // Heads and figures lie at the beginning; most of the rest is empty.
                    let bound = if numbers.below(2) == 0 {
                        1 << 14
                    } else {
                        words.len()
                    };
                    let value = match numbers.below(4) {
                        0 => 0,
                        1 => u64::MAX,
                        2 => numbers.below(1 << 20) as u64,
                        _ => numbers.draw(),
                    };
                    words[numbers.below(bound)].store(value, Ordering::Relaxed);
                    written += 1;
                }
            }
            println!("round {round}: {written} words written");
            assert!(written > 10_000);
        });
        let bare = fault.on_bare();
        bare.assert_complete();
        for interval in ["1", "4KiB"] {
            fault.assert_same(interval, &bare);
        }
    }
}

#[test]
fn out_of_memory() {
    // With and without a reserved range.
    for resource in [libc::RLIMIT_DATA, libc::RLIMIT_AS] {
        let fault = Fault::new(&["oom"]).prepared(|command| limit(command, resource, 512 << 20));
        let (directory, deed) = fault.assert_same_always();
        deed.assert_complete();
        assert_eq!(deed.lines[1], "no more, true");
        if resource == libc::RLIMIT_DATA {
            assert_exact(&directory, &deed);
        }
    }
}

#[test]
fn more_than_any_system_has() {
    let (directory, deed) = Fault::new(&["too-much"]).assert_same_always();
    assert!(!deed.status.success());
    assert_keeps(&directory, &deed, "killed");
}

/// Sets the system's policy of overcommit for as long as the value lives.
struct Overcommit(String);

const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";

impl Overcommit {
    fn off() -> Self {
        let before = fs::read_to_string(OVERCOMMIT).unwrap();
        let set = fs::write(OVERCOMMIT, "2");
        assert!(set.is_ok(), "{OVERCOMMIT}: {set:?}: the test needs root");
        Self(before)
    }
}

impl Drop for Overcommit {
    fn drop(&mut self) {
        let _ = fs::write(OVERCOMMIT, &self.0);
    }
}

/// In the long run only: it is the whole system's.
#[test]
fn overcommit_off() {
    if !long() {
        println!("left out: RIPTIDE_LONG runs it");
        return;
    }
    let _off = Overcommit::off();
    let (directory, deed) = Fault::new(&["plain"]).assert_same_always();
    deed.assert_complete();
    assert_exact(&directory, &deed);
}

/// A program without symbols, and one without unwind tables.
#[test]
fn stripped_binaries() {
    let own = Directory::new();
    for arguments in [
        &["--strip-all"][..],
        &[
            "--strip-all",
            "--remove-section=.eh_frame_hdr",
            "--remove-section=.comment",
        ],
    ] {
        let program = own.path().join("stripped");
        let status = Command::new("strip")
            .args(arguments)
            .arg("-o")
            .args([&program, &crate::harness::program("victim-fault")])
            .status();
        assert!(status.unwrap().success());
        let mut fault = Fault::new(&["plain"]);
        fault.program = program;
        let (directory, deed) = fault.assert_same_always();
        deed.assert_complete();
        // Sites have no names; their figures are there.
        crate::ring::assert_books_balance(&regions(&directory)[0]);
        top(&regions(&directory)[0]);
    }
}
