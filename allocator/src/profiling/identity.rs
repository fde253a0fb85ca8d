//! Who this process is: read from `/proc` once, when the region is made.

use core::ffi::CStr;

use riptide_region::header::{EXE_PATH_MAX_BYTES, Header};

use super::{
    sys::{self, File},
    unwind::elf::ElfFile,
};

/// Fills in the part of the header that says who the process is.
pub(crate) fn describe(header: &mut Header) {
    header.pid = sys::process_id();
    header.uid = sys::user_id();
    header.start_time_ticks = start_time_ticks().unwrap_or(0);
    header.boot_id = boot_id().unwrap_or_default();
    header.pid_namespace = pid_namespace().unwrap_or(0);
    header.page_bytes = 4096;
    header.anchor_monotonic_ns = sys::clock_ns(libc::CLOCK_MONOTONIC);
    header.anchor_realtime_ns = sys::clock_ns(libc::CLOCK_REALTIME);
    copy(
        &mut header.allocator_version,
        env!("CARGO_PKG_VERSION").as_bytes(),
    );
    let mut buffer = [0; 64];
    if let Some(comm) = sys::read_file(c"/proc/self/comm", &mut buffer) {
        copy(&mut header.comm, comm.strip_suffix(b"\n").unwrap_or(comm));
    }
    let mut path = [0; EXE_PATH_MAX_BYTES];
    let len = read_link(c"/proc/self/exe", &mut path);
    header.exe_path = path;
    header.exe_path_len = len as u32;
    if let Some(file) = File::open(c"/proc/self/exe")
        && let Some(elf) = ElfFile::read(&file)
    {
        let id = elf.build_id();
        copy(&mut header.exe_build_id, id);
        header.exe_build_id_len = id.len().min(header.exe_build_id.len()) as u32;
    }
}

/// Field 22 of `/proc/self/stat`: the name in field 2 may hold anything, so fields are counted from
/// its closing parenthesis.
pub(crate) fn start_time_ticks() -> Option<u64> {
    stat_field(22)
}

fn stat_field(number: usize) -> Option<u64> {
    let mut buffer = [0; 1024];
    let stat = sys::read_file(c"/proc/self/stat", &mut buffer)?;
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let field = stat
        .get(name_end + 2..)?
        .split(|byte| *byte == b' ')
        .nth(number - 3)?;
    sys::parse_number(field)
}

fn boot_id() -> Option<[u8; 16]> {
    let mut buffer = [0; 64];
    let text = sys::read_file(c"/proc/sys/kernel/random/boot_id", &mut buffer)?;
    let mut digits = text
        .iter()
        .filter_map(|byte| (*byte as char).to_digit(16))
        .map(|digit| digit as u8);
    let mut id = [0; 16];
    for byte in &mut id {
        *byte = digits.next()? << 4 | digits.next()?;
    }
    Some(id)
}

fn pid_namespace() -> Option<u64> {
    let mut buffer = [0; 64];
    let len = read_link(c"/proc/self/ns/pid", &mut buffer);
    let text = buffer.get(..len)?;
    // "pid:[4026531836]"
    let number = text
        .strip_prefix(b"pid:[")?
        .split(|byte| *byte == b']')
        .next()?;
    sys::parse_number(number)
}

fn read_link(path: &CStr, buffer: &mut [u8]) -> usize {
    sys::read_link(path, buffer).unwrap_or(0)
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
