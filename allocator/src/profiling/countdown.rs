//! The bytes that a thread may still allocate before it enters the slow path.
//!
//! A thread-local of its own, because every allocation of the program touches it. On x86-64 it is
//! reached by inline assembly: through the standard library's accessor the compiler makes a call of
//! it in a program's crate (5 instructions and a spilled register more, and a third more time on a
//! loop of allocations), as nothing inlines it there.
//!
//! Zero at first: the first allocation of a thread makes it negative.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "reaches a thread-local by inline assembly")
)]

/// Stands in the countdown while the thread takes no samples.
pub(crate) const NEVER: i64 = i64::MAX;

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use by_accessor::{charge, get, set};
#[cfg(target_arch = "x86_64")]
pub(crate) use by_assembly::{charge, get, set};

#[cfg(target_arch = "x86_64")]
mod by_assembly {
    use core::arch::{asm, global_asm};

    // Weak: a program with two copies of this crate links, and only the copy that is its global
    // allocator uses the word.
    global_asm!(
        ".pushsection .tbss.riptide_alloc_countdown,\"awT\",@nobits",
        ".balign 8",
        ".weak riptide_alloc_countdown",
        ".hidden riptide_alloc_countdown",
        ".type riptide_alloc_countdown, @object",
        ".size riptide_alloc_countdown, 8",
        "riptide_alloc_countdown:",
        ".zero 8",
        ".popsection",
    );

    /// Counts `size` down; true when the thread has to enter the slow path.
    #[inline(always)]
    pub(crate) fn charge(size: usize) -> bool {
        // SAFETY: the symbol is eight bytes of every thread's static thread-local block, at the
        // offset from the thread pointer that the linker or loader has put into the GOT. The
        // subtraction is one instruction, so a signal handler sees it done or not. It wraps only
        // for sizes that no allocation can have.
        unsafe {
            asm!(
                "mov {offset}, qword ptr [rip + riptide_alloc_countdown@gottpoff]",
                "sub qword ptr fs:[{offset}], {size}",
                "js {due}",
                offset = out(reg) _,
                size = in(reg) size,
                due = label { return true },
                options(nostack),
            );
        }
        false
    }

    /// Bytes left.
    pub(crate) fn get() -> i64 {
        let left;
        // SAFETY: as in `charge`.
        unsafe {
            asm!(
                "mov {left}, qword ptr [rip + riptide_alloc_countdown@gottpoff]",
                "mov {left}, qword ptr fs:[{left}]",
                left = out(reg) left,
                options(nostack, readonly, preserves_flags),
            );
        }
        left
    }

    /// Sets the bytes left.
    pub(crate) fn set(left: i64) {
        // SAFETY: as in `charge`.
        unsafe {
            asm!(
                "mov {offset}, qword ptr [rip + riptide_alloc_countdown@gottpoff]",
                "mov qword ptr fs:[{offset}], {left}",
                offset = out(reg) _,
                left = in(reg) left,
                options(nostack, preserves_flags),
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod by_accessor {
    use core::cell::Cell;

    thread_local! {
        static LEFT: Cell<i64> = const { Cell::new(0) };
    }

    /// Counts `size` down; true when the thread has to enter the slow path.
    #[inline(always)]
    pub(crate) fn charge(size: usize) -> bool {
        // Wraps only for sizes that no allocation can have.
        let left = get().wrapping_sub(size as i64);
        set(left);
        left < 0
    }

    /// Bytes left.
    #[inline(always)]
    pub(crate) fn get() -> i64 {
        LEFT.get()
    }

    /// Sets the bytes left.
    #[inline(always)]
    pub(crate) fn set(left: i64) {
        LEFT.set(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_counts_for_itself_and_begins_at_zero() {
        let before = get();
        std::thread::spawn(|| {
            assert_eq!(get(), 0);
            assert!(charge(1), "the first allocation enters the slow path");
            set(100);
            assert!(!charge(100));
            assert_eq!(get(), 0);
            assert!(charge(1));
            assert_eq!(get(), -1);
            set(NEVER);
            assert!(!charge(isize::MAX as usize));
        })
        .join()
        .unwrap();
        assert_eq!(get(), before);
    }
}
