//! Where small sampled blocks lie: a jemalloc arena of our own whose extents are carved from one
//! reserved address range, so that `dealloc` tells a sampled block by its address alone.
//!
//! The range is reserved without access and without backing; the extent hook opens it piece by
//! piece. Beside it lies the *shadow*: one `u32` for every 16 bytes of the range, opened together
//! with the extent, which holds `1 +` the live slot of the block that begins there.
//!
//! **Invariants.** A block in the range is a genuine jemalloc block, recorded or not: "in range but
//! unrecorded" is a normal case and costs nothing but a statistic. The hooks run under jemalloc's
//! locks: they move one atomic and call `mprotect` or `madvise`, nothing else.
#![expect(
    unsafe_code,
    reason = "extent hooks are C callbacks over raw address ranges; the shadow is found by address"
)]

use core::{
    ffi::{c_uint, c_void},
    ptr,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use tikv_jemalloc_ctl::raw;
use tikv_jemalloc_sys::{extent_hooks_s, extent_hooks_t, mallctl};

use super::sys;

/// Largest request that lies in the range: jemalloc's largest small class. From 14,337 bytes on a
/// block is an extent of its own, and a sampled one is found by its address in a table.
pub(crate) const SMALL_MAX: usize = 14_336;
/// A shadow entry stands for this many bytes; sampled requests are raised to it.
pub(crate) const GRAIN: usize = 16;

const RANGE_MIN: usize = 64 << 20;
const RANGE_MAX: usize = 16 << 30;
/// Address space for each live slot: several times the largest block, for fragmentation.
const RANGE_PER_SLOT: usize = 32 << 10;
const SHADOW_SHIFT: u32 = 2;

/// The one range of the process. All fields are set once, before the arena exists.
struct Range {
    base: AtomicUsize,
    bytes: AtomicUsize,
    shadow: AtomicUsize,
    /// First address that no extent has had yet.
    next: AtomicUsize,
}

static RANGE: Range = Range {
    base: AtomicUsize::new(0),
    bytes: AtomicUsize::new(0),
    shadow: AtomicUsize::new(0),
    next: AtomicUsize::new(0),
};

/// `1 +` the arena's index, 0 before the first attempt to make it, [`REFUSED`] if that failed.
static ARENA: AtomicU32 = AtomicU32::new(0);
const REFUSED: u32 = u32::MAX;

/// The arena of sampled blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SampledArena {
    /// `MALLOCX_ARENA` of the arena; a choice of thread cache has to come with it.
    pub(crate) flags: i32,
    /// First address of the range.
    pub(crate) base: usize,
    /// Bytes of the range, a power of two; the base is a multiple of it.
    pub(crate) bytes: usize,
}

impl SampledArena {
    /// Reserves a range for `slots` live blocks and makes the arena, or finds the one that was made
    /// before a fork. `None` when there is no room for a range or jemalloc refuses; then for ever,
    /// as a child still holds blocks that its parent marked in another way.
    pub(crate) fn get_or_create(slots: usize) -> Option<Self> {
        // Relaxed: only the thread that sets up the profiler comes here.
        if ARENA.load(Ordering::Relaxed) == 0 {
            let made = Self::create(slots).unwrap_or(REFUSED);
            ARENA.store(made, Ordering::Relaxed);
        }
        let index = Some(ARENA.load(Ordering::Relaxed))
            .filter(|made| *made != REFUSED)?
            .checked_sub(1)?;
        Some(Self {
            flags: arena_flag(index)?,
            base: RANGE.base.load(Ordering::Relaxed),
            bytes: RANGE.bytes.load(Ordering::Relaxed),
        })
    }

    /// Makes range and arena; `1 +` the arena's index.
    fn create(slots: usize) -> Option<u32> {
        // A limit on address space is the program's to use up.
        if sys::resource_limit(libc::RLIMIT_AS).is_some() {
            return None;
        }
        reserve(slots)?;
        create_arena()?.checked_add(1)
    }

    /// Whether an address lies in the range.
    #[inline]
    pub(crate) fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base) < self.bytes
    }

    /// The shadow entry of a block in the range.
    pub(crate) fn shadow(&self, address: usize) -> Option<&'static AtomicU32> {
        let offset = address.checked_sub(self.base)?;
        // Relaxed: set before the arena existed, and the block came from the arena.
        let opened = RANGE.next.load(Ordering::Relaxed).checked_sub(self.base)?;
        if offset >= opened {
            return None;
        }
        let shadow = RANGE.shadow.load(Ordering::Relaxed);
        let entry = shadow + (offset / GRAIN) * size_of::<AtomicU32>();
        // SAFETY: the shadow was reserved for the whole range and is opened up to `next` before
        // `next` is moved past an extent; the entry is aligned because the shadow is page-aligned;
        // the mapping is never removed. Only atomics are ever made of it.
        Some(unsafe { &*(entry as *const AtomicU32) })
    }

    /// Bytes of the range that extents have had so far.
    pub(crate) fn opened_bytes(&self) -> usize {
        // Relaxed: a statistic.
        RANGE.next.load(Ordering::Relaxed).saturating_sub(self.base)
    }

    /// Address space taken: the range and its shadow.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.bytes + (self.bytes >> SHADOW_SHIFT)
    }
}

/// Whether kernel and jemalloc use pages of 4 KiB: size classes and alignments are judged by it.
pub(crate) fn pages_are_4_kib() -> bool {
    // SAFETY: the value of "arenas.page" is a size.
    let jemalloc = unsafe { raw::read::<usize>(b"arenas.page\0") };
    // SAFETY: reads a value of the auxiliary vector.
    let kernel = unsafe { libc::getauxval(libc::AT_PAGESZ) };
    jemalloc.is_ok_and(|bytes| bytes == 4096) && kernel == 4096
}

/// Reserves range and shadow, with a smaller range when the wanted one is refused.
fn reserve(slots: usize) -> Option<()> {
    let wanted = slots
        .saturating_mul(RANGE_PER_SLOT)
        .clamp(RANGE_MIN, RANGE_MAX)
        .next_power_of_two();
    let mut bytes = wanted;
    while bytes >= RANGE_MIN {
        if let Some(base) = reserve_aligned(bytes) {
            let Some(shadow) = sys::map_private(bytes >> SHADOW_SHIFT, libc::PROT_NONE) else {
                unmap(base, bytes);
                bytes /= 2;
                continue;
            };
            // Huge pages would back a sparse range many times over.
            sys::advise(base, bytes, libc::MADV_NOHUGEPAGE);
            sys::advise(shadow, bytes >> SHADOW_SHIFT, libc::MADV_NOHUGEPAGE);
            // A child finds every block of its parent unrecorded.
            sys::advise(shadow, bytes >> SHADOW_SHIFT, libc::MADV_WIPEONFORK);
            sys::advise(shadow, bytes >> SHADOW_SHIFT, libc::MADV_DONTDUMP);
            RANGE.base.store(base as usize, Ordering::Relaxed);
            RANGE.bytes.store(bytes, Ordering::Relaxed);
            RANGE.shadow.store(shadow as usize, Ordering::Relaxed);
            RANGE.next.store(base as usize, Ordering::Relaxed);
            return Some(());
        }
        bytes /= 2;
    }
    None
}

/// Reserves `bytes` at a multiple of `bytes`: twice as much, then the ends are given back. The
/// kernel's choice of the address keeps the base unpredictable.
fn reserve_aligned(bytes: usize) -> Option<*mut u8> {
    let whole = sys::map_private(bytes.checked_mul(2)?, libc::PROT_NONE)?;
    let base = (whole as usize).next_multiple_of(bytes);
    let before = base - whole as usize;
    unmap(whole, before);
    unmap(whole.wrapping_add(before + bytes), bytes - before);
    Some(whole.wrapping_add(before))
}

fn unmap(address: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: callers pass parts of mappings of this module that nothing uses.
        unsafe { libc::munmap(address.cast(), bytes) };
    }
}

fn create_arena() -> Option<u32> {
    struct Hooks(extent_hooks_s);
    // SAFETY: the hooks are constant function pointers; jemalloc only reads them.
    unsafe impl Sync for Hooks {}
    static HOOKS: Hooks = Hooks(extent_hooks_s {
        alloc: Some(extent_alloc),
        dalloc: Some(extent_dalloc),
        destroy: None,
        commit: None,
        decommit: None,
        purge_lazy: None,
        purge_forced: Some(extent_purge_forced),
        split: Some(extent_split),
        merge: Some(extent_merge),
    });
    let mut index: c_uint = 0;
    let mut length = size_of::<c_uint>();
    let mut hooks = &raw const HOOKS.0 as *mut extent_hooks_t;
    // SAFETY: "arenas.create" writes an unsigned and reads a pointer to hooks, which live for ever.
    let failed = unsafe {
        mallctl(
            c"arenas.create".as_ptr(),
            (&raw mut index).cast(),
            &mut length,
            (&raw mut hooks).cast(),
            size_of::<*mut extent_hooks_t>(),
        )
    } != 0;
    if failed {
        return None;
    }
    limit_growth(index);
    Some(index)
}

/// Keeps jemalloc from taking ever larger pieces of the range at once.
fn limit_growth(index: u32) {
    let mut mib = [0; 3];
    if raw::name_to_mib(b"arena.0.retain_grow_limit\0", &mut mib).is_ok() {
        if let Some(arena) = mib.get_mut(1) {
            *arena = index as usize;
        }
        // SAFETY: the value of "arena.<i>.retain_grow_limit" is a size.
        let _refused_is_fine = unsafe { raw::write_mib(&mib, 4_usize << 20) };
    }
}

fn arena_flag(index: u32) -> Option<i32> {
    // MALLOCX_ARENA of jemalloc's header.
    i32::try_from(index.checked_add(1)?.checked_mul(1 << 20)?).ok()
}

/// Makes an explicit thread cache; its flag for jemalloc's calls. Never given back: it belongs to a
/// lane, not to a thread.
pub(crate) fn create_thread_cache() -> Option<i32> {
    // SAFETY: the value of "tcache.create" is an unsigned.
    let index = unsafe { raw::read::<c_uint>(b"tcache.create\0") }.ok()?;
    // MALLOCX_TCACHE of jemalloc's header.
    i32::try_from(index.checked_add(2)?.checked_mul(1 << 8)?).ok()
}

/// Carves an extent from the range: moves `next`, opens the pages and their shadow.
unsafe extern "C" fn extent_alloc(
    _hooks: *mut extent_hooks_t,
    wanted: *mut c_void,
    size: usize,
    alignment: usize,
    zero: *mut bool,
    commit: *mut bool,
    _arena: c_uint,
) -> *mut c_void {
    let Some(start) = carve(wanted as usize, size, alignment) else {
        return ptr::null_mut();
    };
    // SAFETY: jemalloc passes pointers to two flags of its own.
    unsafe { *zero = true };
    // SAFETY: as above.
    unsafe { *commit = true };
    start as *mut c_void
}

fn carve(wanted: usize, size: usize, alignment: usize) -> Option<usize> {
    // Relaxed: set before the arena existed.
    let base = RANGE.base.load(Ordering::Relaxed);
    let end = base.checked_add(RANGE.bytes.load(Ordering::Relaxed))?;
    let shadow = RANGE.shadow.load(Ordering::Relaxed);
    // The shadow of an extent must be whole pages, so that opening one does not need its neighbour.
    let alignment = alignment.max(4096 << SHADOW_SHIFT);
    // Relaxed: extents only have to be disjoint; their pages are published by jemalloc's own locks.
    let mut next = RANGE.next.load(Ordering::Relaxed);
    loop {
        let start = next.checked_next_multiple_of(alignment)?;
        let stop = start
            .checked_add(size)?
            .checked_next_multiple_of(4096 << SHADOW_SHIFT)?;
        if stop > end || (wanted != 0 && wanted != start) {
            return None;
        }
        // Opened before `next` moves: an address below `next` always has its shadow.
        let opened = open_pages(start, size)
            && open_pages(
                shadow + ((start - base) >> SHADOW_SHIFT),
                (stop - start) >> SHADOW_SHIFT,
            );
        if !opened {
            return None;
        }
        match RANGE
            .next
            .compare_exchange(next, stop, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => return Some(start),
            Err(other) => next = other,
        }
    }
}

fn open_pages(address: usize, bytes: usize) -> bool {
    // SAFETY: the pages lie in the range or its shadow, which nobody else uses; opening pages that
    // another thread has opened at the same time changes nothing.
    unsafe {
        libc::mprotect(
            address as *mut c_void,
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
        ) == 0
    }
}

/// Refuses: address space of the range is jemalloc's to keep.
unsafe extern "C" fn extent_dalloc(
    _hooks: *mut extent_hooks_t,
    _address: *mut c_void,
    _size: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    true
}

/// Gives the memory of unused pages back.
unsafe extern "C" fn extent_purge_forced(
    _hooks: *mut extent_hooks_t,
    address: *mut c_void,
    _size: usize,
    offset: usize,
    length: usize,
    _arena: c_uint,
) -> bool {
    !sys::advise(
        address.cast::<u8>().wrapping_add(offset),
        length,
        libc::MADV_DONTNEED,
    )
}

unsafe extern "C" fn extent_split(
    _hooks: *mut extent_hooks_t,
    _address: *mut c_void,
    _size: usize,
    _size_a: usize,
    _size_b: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    false
}

unsafe extern "C" fn extent_merge(
    _hooks: *mut extent_hooks_t,
    _address_a: *mut c_void,
    _size_a: usize,
    _address_b: *mut c_void,
    _size_b: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    false
}

const _: () = assert!(GRAIN / size_of::<AtomicU32>() == 1 << SHADOW_SHIFT);
