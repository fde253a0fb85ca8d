//! Which addresses may be sampled blocks: those in the reserved range, or, without one, all that are
//! page-aligned. One test for both: the address under a mask is a value.
//!
//! Every free of the program makes this test. On x86-64 mask and value are reached, and the callee of a
//! free is chosen, by inline assembly: of a static in another crate the compiler loads the address first,
//! and it turns the choice into a branch or into moves, as it likes.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "reaches two words by inline assembly")
)]

use core::{
    ffi::{c_int, c_void},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

#[cfg(target_arch = "x86_64")]
pub(crate) use by_assembly::{callee, is_marked};
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use by_static::{callee, is_marked};

/// Frees a block, as `sdallocx` does.
pub(crate) type Free = unsafe extern "C" fn(*mut c_void, usize, c_int);

/// Nothing is marked at first: no address under a mask of 0 is 1.
const VALUE_AT_FIRST: usize = 1;

/// Somebody has claimed the words: no address under a mask of 0 is 3 either.
const VALUE_CLAIMED: usize = 3;

/// Whether this copy of the crate has claimed the words.
static CLAIMED: AtomicBool = AtomicBool::new(false);

#[repr(C)]
struct Mark {
    mask: AtomicUsize,
    value: AtomicUsize,
}

/// Marks the addresses of a range whose length is a power of two and divides its base.
pub(crate) fn range(base: usize, bytes: usize) {
    set(!(bytes - 1), base);
}

/// Marks all page-aligned addresses.
pub(crate) fn page_aligned() {
    set(4095, 0);
}

/// Claims the words for this copy of the crate: on x86-64 they are those of all copies in a program, and
/// what one of them marks only that one can free. False when another copy has them.
pub(crate) fn claim() -> bool {
    #[cfg(target_arch = "x86_64")]
    let mark = by_assembly::words();
    #[cfg(not(target_arch = "x86_64"))]
    let mark = by_static::words();
    // Relaxed: one caller at a time, and the exchange decides between copies.
    if !CLAIMED.load(Ordering::Relaxed) {
        let claimed = mark.value.compare_exchange(
            VALUE_AT_FIRST,
            VALUE_CLAIMED,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        CLAIMED.store(claimed.is_ok(), Ordering::Relaxed);
    }
    CLAIMED.load(Ordering::Relaxed)
}

/// The words are set before the first sampled block is handed out, and whoever frees a block has been
/// handed it. Seen half-set they mark too much or nothing, and the slow path knows better.
fn set(mask: usize, value: usize) {
    #[cfg(target_arch = "x86_64")]
    let mark = by_assembly::words();
    #[cfg(not(target_arch = "x86_64"))]
    let mark = by_static::words();
    // Relaxed: see above.
    mark.mask.store(mask, Ordering::Relaxed);
    mark.value.store(value, Ordering::Relaxed);
}

#[cfg(target_arch = "x86_64")]
mod by_assembly {
    use core::arch::{asm, global_asm};

    use tikv_jemalloc_sys::sdallocx;

    use super::{super::slow, Free, Mark, VALUE_AT_FIRST};

    // On lines of its own. Weak, as the countdown is: of two copies of this crate only the global
    // allocator's uses the words.
    global_asm!(
        ".pushsection .data.riptide_alloc_mark,\"aw\",@progbits",
        ".balign 128",
        ".weak riptide_alloc_mark",
        ".hidden riptide_alloc_mark",
        ".type riptide_alloc_mark, @object",
        ".size riptide_alloc_mark, 128",
        "riptide_alloc_mark:",
        ".quad 0",
        ".quad {value}",
        ".zero 112",
        ".popsection",
        value = const VALUE_AT_FIRST,
    );

    /// Whether a block may be sampled.
    #[inline(always)]
    pub(crate) fn is_marked(address: usize) -> bool {
        // SAFETY: reads two words of this crate's data.
        unsafe {
            asm!(
                "and {address}, qword ptr [rip + riptide_alloc_mark]",
                "cmp {address}, qword ptr [rip + riptide_alloc_mark + 8]",
                "je {marked}",
                address = inout(reg) address => _,
                marked = label { return true },
                options(nostack, readonly),
            );
        }
        false
    }

    /// What frees a block that is not too large to be told by its address: `slow::free` where the
    /// address is marked, else `sdallocx`.
    #[inline(always)]
    pub(crate) fn callee(address: usize) -> Free {
        let callee: usize;
        // SAFETY: reads two words of this crate's data and two addresses that the linker or loader has
        // put into the GOT. Not `pure`: the words may change between two frees.
        unsafe {
            asm!(
                "mov {callee}, qword ptr [rip + {plain}@GOTPCREL]",
                "and {address}, qword ptr [rip + riptide_alloc_mark]",
                "cmp {address}, qword ptr [rip + riptide_alloc_mark + 8]",
                "cmove {callee}, qword ptr [rip + {marked}@GOTPCREL]",
                callee = out(reg) callee,
                address = inout(reg) address => _,
                plain = sym sdallocx,
                marked = sym slow::free,
                options(nostack, readonly),
            );
        }
        // SAFETY: the address of one of two functions of this type.
        unsafe { core::mem::transmute::<usize, Free>(callee) }
    }

    /// Mask and value.
    pub(super) fn words() -> &'static Mark {
        let words: *const Mark;
        // SAFETY: computes an address.
        unsafe {
            asm!(
                "lea {words}, [rip + riptide_alloc_mark]",
                words = out(reg) words,
                options(nostack, pure, nomem, preserves_flags),
            );
        }
        // SAFETY: two words of this crate's data, which everybody reaches as atomics or by single
        // loads.
        unsafe { &*words }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod by_static {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use crossbeam_utils::CachePadded;
    use tikv_jemalloc_sys::sdallocx;

    use super::{super::slow, Free, Mark, VALUE_AT_FIRST};

    static MARK: CachePadded<Mark> = CachePadded::new(Mark {
        mask: AtomicUsize::new(0),
        value: AtomicUsize::new(VALUE_AT_FIRST),
    });

    /// Whether a block may be sampled.
    #[inline(always)]
    pub(crate) fn is_marked(address: usize) -> bool {
        // Relaxed: see `set`.
        address & MARK.mask.load(Ordering::Relaxed) == MARK.value.load(Ordering::Relaxed)
    }

    /// What frees a block that is not too large to be told by its address: `slow::free` where the
    /// address is marked, else `sdallocx`.
    #[inline(always)]
    pub(crate) fn callee(address: usize) -> Free {
        if is_marked(address) {
            slow::free
        } else {
            sdallocx
        }
    }

    /// Mask and value.
    pub(super) fn words() -> &'static Mark {
        &MARK
    }
}
