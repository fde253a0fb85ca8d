//! What the system gives and takes: system calls, descriptors, rights, files, memory, libraries.
#![expect(
    unsafe_code,
    reason = "system calls, and functions of loaded libraries"
)]

use std::{
    ffi::{CString, c_int, c_long, c_void},
    os::unix::process::CommandExt,
    process::Command,
};

use super::work::{self, sum};
use crate::victim::say;

/// System calls that riptide makes and jemalloc does without, or nearly.
const CALLS: [(&str, c_long); 24] = [
    ("openat", libc::SYS_openat),
    ("read", libc::SYS_read),
    ("pread64", libc::SYS_pread64),
    ("mprotect", libc::SYS_mprotect),
    ("madvise", libc::SYS_madvise),
    ("newfstatat", libc::SYS_newfstatat),
    ("fstat", libc::SYS_fstat),
    ("fallocate", libc::SYS_fallocate),
    ("memfd_create", libc::SYS_memfd_create),
    #[cfg(target_arch = "x86_64")]
    ("mkdir", libc::SYS_mkdir),
    #[cfg(not(target_arch = "x86_64"))]
    ("mkdir", libc::SYS_mkdirat),
    ("mkdirat", libc::SYS_mkdirat),
    ("fstatfs", libc::SYS_fstatfs),
    ("renameat", libc::SYS_renameat),
    ("renameat2", libc::SYS_renameat2),
    ("unlinkat", libc::SYS_unlinkat),
    #[cfg(target_arch = "x86_64")]
    ("unlink", libc::SYS_unlink),
    #[cfg(not(target_arch = "x86_64"))]
    ("unlink", libc::SYS_unlinkat),
    ("fchmod", libc::SYS_fchmod),
    ("readlinkat", libc::SYS_readlinkat),
    #[cfg(target_arch = "x86_64")]
    ("readlink", libc::SYS_readlink),
    #[cfg(not(target_arch = "x86_64"))]
    ("readlink", libc::SYS_readlinkat),
    ("ioctl", libc::SYS_ioctl),
    ("prlimit64", libc::SYS_prlimit64),
    ("gettid", libc::SYS_gettid),
    ("geteuid", libc::SYS_geteuid),
    ("clock_gettime", libc::SYS_clock_gettime),
];

/// Makes the named calls fail with `errno` from now on, in this process and what it becomes.
fn forbid(errno: u32, names: &[String]) -> bool {
    let statement = |code: u32, k: u32, jt, jf| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    // The number of the call, then a comparison and an answer for each name.
    let mut filter = vec![statement(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        0,
        0,
    )];
    for (name, number) in CALLS {
        if names.iter().any(|wanted| wanted == name || wanted == "all") {
            let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
            filter.push(statement(equal, number as u32, 0, 1));
            let answer = libc::SECCOMP_RET_ERRNO | errno;
            filter.push(statement(libc::BPF_RET | libc::BPF_K, answer, 0, 0));
        }
    }
    let allow = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0);
    filter.push(allow);
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program and its filter are locals, of the length given.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) == 0 }
}

/// `ERRNO NAME…`: works after the calls were forbidden.
pub(super) fn sandbox(arguments: &[String]) {
    let errno = arguments.first().and_then(|text| text.parse().ok());
    let names = arguments.get(1..).unwrap_or_default();
    let forbidden = forbid(errno.unwrap_or(1), names);
    say(&format!("forbidden {forbidden}"));
    work::say_sums(4_000);
}

/// `ERRNO NAME…`: becomes the same program in which the calls are forbidden from its first moment on.
pub(super) fn enter_sandbox(arguments: &[String]) {
    let errno = arguments.first().and_then(|text| text.parse().ok());
    let names = arguments.get(1..).unwrap_or_default();
    let Ok(own) = std::env::current_exe() else {
        return say("no program");
    };
    let mut command = Command::new(own);
    command.arg("plain");
    say(&format!("forbidden {}", forbid(errno.unwrap_or(1), names)));
    say(&command.exec().to_string());
}

/// Works when no file can be opened any more.
pub(super) fn without_files() {
    let limit = libc::rlimit {
        rlim_cur: 3,
        rlim_max: 3,
    };
    // SAFETY: a local struct.
    let failed = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    say(&format!("limited {failed}"));
    work::say_sums(4_000);
}

/// Works after giving up being root; it keeps what it has open.
pub(super) fn without_rights() {
    const NOBODY: u32 = 65_534;
    // SAFETY: numbers only; glibc does it for all threads.
    let group = unsafe { libc::setgid(NOBODY) };
    // SAFETY: as above.
    let user = unsafe { libc::setuid(NOBODY) };
    say(&format!("group {group}, user {user}"));
    work::say_sums(4_000);
}

/// `DIRECTORY`: works where there is neither `/proc` nor `/dev/shm`.
pub(super) fn in_another_root(arguments: &[String]) {
    let path = CString::new(arguments.first().map_or("", String::as_str)).unwrap_or_default();
    // SAFETY: the path ends in a zero byte.
    let failed = unsafe { libc::chroot(path.as_ptr()) };
    say(&format!("chroot {failed}"));
    work::say_sums(4_000);
}

/// What the test's library has: calls `each` with numbers, from a frame of its own.
type Visit = unsafe extern "C" fn(extern "C" fn(c_int) -> c_int, c_int) -> c_int;

extern "C" fn allocate(number: c_int) -> c_int {
    sum(number as u64, 20) as c_int
}

/// `ROUNDS PATH…`: loads libraries, allocates from frames of theirs, and unloads them, in two threads.
pub(super) fn libraries(arguments: &[String]) {
    let rounds = arguments.first().and_then(|text| text.parse().ok());
    let paths: Vec<CString> = arguments
        .iter()
        .skip(1)
        .filter_map(|path| CString::new(path.as_str()).ok())
        .collect();
    let visit_all = |rounds: usize| {
        let mut total = 0_u64;
        for round in 0..rounds {
            for path in &paths {
                // SAFETY: the test's own library, which does nothing when loaded.
                let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
                // SAFETY: a handle, or null, which finds nothing of that name.
                let visit = unsafe { libc::dlsym(library, c"visit".as_ptr()) };
                if library.is_null() || visit.is_null() {
                    return None;
                }
                // SAFETY: the function has this type in the library's source.
                let visit = unsafe { std::mem::transmute::<*mut c_void, Visit>(visit) };
                // SAFETY: the library is loaded.
                let sum = unsafe { visit(allocate, round as c_int % 50) };
                total = total.wrapping_add(sum as u64);
                // SAFETY: opened above; nothing of it is used any more.
                unsafe { libc::dlclose(library) };
            }
        }
        Some(total)
    };
    let rounds = rounds.unwrap_or(100);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| visit_all(rounds));
        say(&format!("{:?}", visit_all(rounds)));
        say(&format!("{:?}", other.join().ok()));
    });
    work::say_sums(500);
}

/// Takes all the memory that its limits allow, gives it back, and goes on.
pub(super) fn out_of_memory() {
    let is_limited = |resource| {
        let mut limit = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: a local struct.
        unsafe { libc::getrlimit(resource, &raw mut limit) };
        limit.rlim_cur != libc::RLIM_INFINITY
    };
    if !is_limited(libc::RLIMIT_AS) && !is_limited(libc::RLIMIT_DATA) {
        return say("no limit");
    }
    for _ in 0..3 {
        let mut blocks = Vec::with_capacity(1 << 20);
        let mut size = 1 << 20;
        while size >= 16 {
            let mut block = Vec::<u8>::new();
            let grown = block.try_reserve_exact(size).is_ok() && {
                block.resize(size / 2, 7);
                block.try_reserve_exact(size * 2).is_ok()
            };
            if !grown {
                size /= 2;
            }
            if blocks.len() < blocks.capacity() {
                blocks.push(block);
            }
        }
        let whole = blocks.iter().flatten().all(|byte| *byte == 7);
        say(&format!("no more, {whole}"));
    }
    say(&format!("{:x}", sum(1, 2_000)));
}

/// Asks for more than any system has.
pub(super) fn too_much() {
    let mut block = vec![1_u8; 100];
    for size in [isize::MAX as usize, isize::MAX as usize - 200, 1 << 62] {
        say(&format!("{}", block.try_reserve_exact(size).is_err()));
        say(&format!(
            "{}",
            Vec::<u8>::new().try_reserve_exact(size).is_err()
        ));
    }
    say(&format!("{:x}", sum(1, 2_000)));
    std::hint::black_box(Vec::<u8>::with_capacity(1 << 61));
}
