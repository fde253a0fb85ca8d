//! Which addresses a walk of the calling thread's stack may read.
//!
//! A walk reads upwards from the stack pointer. Its upper bound is the end of the mapping that the
//! stack pointer lies in, found once a thread. For a thread's own stack that end is cut at the
//! thread control block, which the C library puts at the top of the stack, so that a neighbouring
//! mapping that the kernel has merged is left alone. On a foreign stack (coroutines, signal
//! stacks) the mapping is asked for every time: it may change behind our back.
#![expect(unsafe_code, reason = "asks the kernel and the processor directly")]

use super::{
    super::{
        sys::{self, File},
        thread_state::ThreadState,
    },
    maps,
};

/// Bytes of `/proc/self/maps` read at once, on the stack in question.
const TEXT_BYTES: usize = 1_024;
/// How far the main thread's stack may grow where there is no limit, as far as we count on it.
const MAIN_STACK_BYTES: u64 = 8 << 20;

/// A stack: readable at and above the stack pointer, mapped from `low` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackBounds {
    pub(crate) low: usize,
    pub(crate) high: usize,
    /// Whether it is the thread's own, which begins where the mapping does. A foreign one may lie
    /// anywhere in its mapping: in a block of the heap there are other blocks below it.
    is_own: bool,
}

/// The stack that `stack_pointer` lies on; `None` when the kernel does not tell.
pub(crate) fn find(state: &ThreadState, stack_pointer: usize) -> Option<StackBounds> {
    let (low, high) = (state.stack_low.get(), state.stack_high.get());
    if (low..high).contains(&stack_pointer) {
        let is_own = true;
        return Some(StackBounds { low, high, is_own });
    }
    let mapping = mapping_of(stack_pointer)?;
    let thread_pointer = thread_pointer();
    let own_high = if (mapping.low..mapping.high).contains(&thread_pointer)
        && thread_pointer > stack_pointer
    {
        Some(thread_pointer)
    } else if (mapping.low..mapping.high).contains(&main_stack_top()) {
        Some(mapping.high)
    } else {
        None
    };
    let Some(high) = own_high else {
        return Some(mapping);
    };
    state.stack_low.set(mapping.low);
    state.stack_high.set(high);
    Some(StackBounds {
        low: mapping.low,
        high,
        is_own: true,
    })
}

/// An address near the top of the main thread's stack: the kernel puts the random bytes for libc
/// there.
fn main_stack_top() -> usize {
    // SAFETY: reads a value of the auxiliary vector; 0 when it is not there.
    unsafe { libc::getauxval(libc::AT_RANDOM) as usize }
}

fn thread_pointer() -> usize {
    let value: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: on x86-64 Linux the first word of the thread control block is its own address.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) value, options(nostack, preserves_flags, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads the thread pointer register.
    unsafe {
        core::arch::asm!("mrs {}, tpidr_el0", out(reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// `struct procmap_query` of `linux/fs.h` (since Linux 6.11).
#[repr(C)]
#[derive(Default)]
struct ProcmapQuery {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

/// `PROCMAP_QUERY`: `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: u64 = 0xc068_6611;
const _: () = assert!(size_of::<ProcmapQuery>() == 0x68);

fn mapping_of(address: usize) -> Option<StackBounds> {
    ask_for_mapping(address).or_else(|| read_for_mapping(address))
}

fn ask_for_mapping(address: usize) -> Option<StackBounds> {
    let file = File::open(c"/proc/self/maps")?;
    let mut query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        query_addr: address as u64,
        ..ProcmapQuery::default()
    };
    // SAFETY: the request reads and writes one procmap_query, whose size it is told; a kernel that
    // does not know it refuses.
    let failed =
        unsafe { libc::ioctl(file.raw(), PROCMAP_QUERY as libc::Ioctl, &raw mut query) } != 0;
    if failed {
        return None;
    }
    Some(StackBounds {
        low: query.vma_start as usize,
        high: query.vma_end as usize,
        is_own: false,
    })
}

#[inline(never)]
fn read_for_mapping(address: usize) -> Option<StackBounds> {
    let mut found = None;
    maps::for_each(&mut [0; TEXT_BYTES], |mapping| {
        if (mapping.start..mapping.end).contains(&(address as u64)) {
            found = Some(StackBounds {
                low: mapping.start as usize,
                high: mapping.end as usize,
                is_own: false,
            });
        }
        found.is_none()
    });
    found
}

/// Whether `bytes` are left between the lower end of the stack and the stack pointer; never of a
/// foreign stack. The main thread's mapping grows with its use, so there the limit counts.
pub(crate) fn holds(bounds: &StackBounds, stack_pointer: usize, bytes: usize) -> bool {
    (bounds.is_own && stack_pointer.saturating_sub(bounds.low) >= bytes)
        || ((bounds.low..bounds.high).contains(&main_stack_top())
            && main_stack_holds(bounds.high, stack_pointer, bytes))
}

fn main_stack_holds(high: usize, stack_pointer: usize, bytes: usize) -> bool {
    let limit = sys::resource_limit(libc::RLIMIT_STACK).unwrap_or(MAIN_STACK_BYTES);
    high.checked_sub(stack_pointer)
        .and_then(|used| used.checked_add(bytes))
        .is_some_and(|needed| needed as u64 <= limit)
}

/// Whether the calling thread has `bytes` of stack left. Where the kernel does not tell, the main
/// thread's stack is known all the same, and no other is counted on.
pub(crate) fn has_room(state: &ThreadState, bytes: usize) -> bool {
    let stack_pointer = stack_pointer();
    match find(state, stack_pointer) {
        Some(bounds) => holds(&bounds, stack_pointer, bytes),
        None => main_stack_holds(main_stack_top(), stack_pointer, bytes),
    }
}

/// The calling function's stack pointer, roughly.
#[inline(always)]
fn stack_pointer() -> usize {
    let value: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) value, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> StackBounds {
        super::super::super::thread_state::with(|state| {
            state.stack_low.set(0);
            state.stack_high.set(0);
            find(state, stack_pointer()).unwrap()
        })
    }

    #[test]
    fn a_thread_reads_its_own_stack_and_no_further() {
        let bounds = std::thread::Builder::new()
            .stack_size(5 << 20)
            .spawn(here)
            .unwrap()
            .join()
            .unwrap();
        let size = bounds.high - bounds.low;
        assert!((4 << 20..=6 << 20).contains(&size), "{size} bytes");
    }

    #[test]
    fn kernel_query_and_text_agree() {
        let sp = stack_pointer();
        let read = read_for_mapping(sp).unwrap();
        assert!((read.low..read.high).contains(&sp));
        if let Some(asked) = ask_for_mapping(sp) {
            assert_eq!(asked.high, read.high);
        }
    }

    #[test]
    fn a_small_stack_has_no_room_for_much() {
        let has_room = |bytes: usize| {
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || {
                    super::super::super::thread_state::with(|state| has_room(state, bytes))
                })
                .unwrap()
                .join()
                .unwrap()
        };
        assert!(has_room(64 << 10));
        assert!(!has_room(512 << 10));
    }
}
