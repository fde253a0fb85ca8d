//! The walk along frame pointers.
//!
//! A frame record is two words: the caller's frame pointer and the return address. Where code keeps
//! its own data in the register, the chain leads anywhere; so every step stays within the stack,
//! is aligned, moves strictly upwards, and must show a plausible return address.
#![expect(unsafe_code, reason = "reads the calling thread's own stack")]

use super::{Stack, registers::Registers, stack_bounds::StackBounds};

/// Lowest address that code can have.
const LOWEST_CODE: usize = 4096;
/// User addresses end here.
const HIGHEST_CODE: usize = 1 << 47;
const WORD: usize = size_of::<usize>();

pub(crate) fn walk(registers: &Registers, bounds: &StackBounds, stack: &mut Stack) {
    let mut record = registers.frame_pointer;
    let mut floor = registers.stack_pointer;
    while record >= floor
        && record.is_multiple_of(WORD)
        && record <= bounds.high.saturating_sub(2 * WORD)
    {
        let return_address = strip(read(record + WORD));
        if !(LOWEST_CODE..HIGHEST_CODE).contains(&return_address)
            || !stack.push(return_address as u64)
        {
            return;
        }
        floor = record + 2 * WORD;
        record = read(record);
    }
}

/// Reads a word of the stack. The caller has checked that the address is aligned and lies between
/// the stack pointer and the stack's upper bound.
fn read(address: usize) -> usize {
    // SAFETY: the word lies in the calling thread's stack, at or above the stack pointer, in a
    // mapping that `stack_bounds` found readable; volatile because the compiler may keep anything
    // there.
    unsafe { (address as *const usize).read_volatile() }
}

/// Takes pointer authentication bits off a return address.
fn strip(address: usize) -> usize {
    if cfg!(target_arch = "aarch64") {
        address & ((1 << 48) - 1)
    } else {
        address
    }
}
