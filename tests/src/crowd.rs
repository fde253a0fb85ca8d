//! Regions of the dead by the thousand: what years without `riptide prune`, or a program that dies all the
//! time, leave in a directory.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use riptide_region::header::HEADER_PAGE_BYTES;

/// Above the kernel's limit of pids, so that no such process runs.
pub const FIRST_PID: u32 = 4_200_000;
const PID_AT: usize = 40;

/// Fills `directory` with `count` regions that are made of the header of `region` and tables of zeroes, each
/// with a pid of its own. They have holes: a page of memory each.
///
/// # Errors
/// A file cannot be read or written.
pub fn fill(directory: &Path, region: &Path, count: u32) -> io::Result<()> {
    let whole = fs::read(region)?;
    let mut page = whole
        .get(..HEADER_PAGE_BYTES)
        .ok_or(io::ErrorKind::UnexpectedEof)?
        .to_vec();
    for pid in (FIRST_PID..).take(count as usize) {
        if let Some(place) = page.get_mut(PID_AT..PID_AT + 4) {
            place.copy_from_slice(&pid.to_le_bytes());
        }
        let path = directory.join(format!("{pid}-1-crowd"));
        let mut file = File::create(&path)?;
        file.write_all(&page)?;
        file.set_len(whole.len() as u64)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
    }
    Ok(())
}
