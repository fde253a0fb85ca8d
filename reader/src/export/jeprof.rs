//! The text heap profile of gperftools, as jeprof and google-pprof read it.
//!
//! `heapprofile` in the first line says that the figures are not to be scaled: they are estimates of
//! the whole already, block by block, which these tools could only do for one size a stack.

use std::io::{self, Write};

use super::{Capture, Metric};

pub(super) fn write(capture: &Capture, out: &mut dyn Write) -> io::Result<()> {
    let sum = |metric: Metric| -> u64 {
        capture
            .stacks
            .iter()
            .fold(0, |sum, stack| sum.saturating_add(metric.of(stack)))
    };
    writeln!(
        out,
        "heap profile: {:6}: {:8} [{:6}: {:8}] @ heapprofile",
        sum(Metric::LiveObjects),
        sum(Metric::LiveBytes),
        sum(Metric::AllocatedObjects),
        sum(Metric::AllocatedBytes)
    )?;
    for stack in &capture.stacks {
        write!(
            out,
            "{:6}: {:8} [{:6}: {:8}] @",
            Metric::LiveObjects.of(stack),
            Metric::LiveBytes.of(stack),
            Metric::AllocatedObjects.of(stack),
            Metric::AllocatedBytes.of(stack)
        )?;
        for address in stack.addresses.iter() {
            write!(out, " 0x{address:016x}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "\nMAPPED_LIBRARIES:")?;
    let mapped = capture
        .modules
        .iter()
        .filter(|module| module.valid_to_ns == 0);
    for module in mapped {
        writeln!(
            out,
            "{:08x}-{:08x} r-xp {:08x} 00:00 0 {}",
            module.text_start,
            module.text_end,
            module.file_offset,
            String::from_utf8_lossy(module.path())
        )?;
    }
    Ok(())
}
