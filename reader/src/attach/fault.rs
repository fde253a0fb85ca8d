//! Keeps a truncated region file from killing the reader.
//!
//! Reading a page that the file no longer has raises SIGBUS. One handler for the process looks
//! whether the address lies in a guarded mapping; if so it puts a page of zeroes there and marks the
//! mapping, and the interrupted load is repeated. Any other SIGBUS gets the disposition that was
//! there before.
//!
//! **Invariants.** The handler only loads and stores atomics and calls `mmap` and `sigaction`, both
//! plain system calls, so it is async-signal-safe. A guard exists exactly as long as its pages.
#![expect(
    unsafe_code,
    reason = "a signal handler and a mapping at a fixed address: neither std nor rustix offers them safely"
)]

use std::{
    io,
    mem::MaybeUninit,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Mappings that can be guarded at once.
pub(crate) const GUARDED_MAX: usize = 1_024;

/// One guarded mapping. `start` is 0 for a place that is free, 1 while it is being filled.
struct Place {
    start: AtomicUsize,
    len: AtomicUsize,
    truncated: AtomicBool,
}

const FREE: usize = 0;
const CLAIMED: usize = 1;

static PLACES: [Place; GUARDED_MAX] = [const {
    Place {
        start: AtomicUsize::new(FREE),
        len: AtomicUsize::new(0),
        truncated: AtomicBool::new(false),
    }
}; GUARDED_MAX];

/// The disposition of SIGBUS before ours.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(4_096);
static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();

/// A mapping under guard; dropping it ends the guard.
#[derive(Debug)]
pub(crate) struct Guarded {
    place: usize,
}

impl Guarded {
    /// Whether pages of the mapping were found missing.
    pub(crate) fn truncated(&self) -> bool {
        // Relaxed: set by the handler on the thread that reads the pages, or on another one that
        // will make its own observation; nothing is reached through it.
        PLACES
            .get(self.place)
            .is_some_and(|place| place.truncated.load(Ordering::Relaxed))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(place) = PLACES.get(self.place) {
            // Release: the place's next owner sees it whole.
            place.start.store(FREE, Ordering::Release);
        }
    }
}

/// Guards `len` bytes at `start`; `None` when all places are taken.
pub(crate) fn guard(start: usize, len: usize) -> Option<Guarded> {
    for (index, place) in PLACES.iter().enumerate() {
        // Acquire: pairs with the Release in `Guarded::drop`. Relaxed on failure: just try the next.
        let claimed =
            place
                .start
                .compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed);
        if claimed.is_ok() {
            // Relaxed: ordered by the Release store of `start`.
            place.len.store(len, Ordering::Relaxed);
            place.truncated.store(false, Ordering::Relaxed);
            // SYNC(mapping-guarded): Release; pairs with the Acquire in `place_of`; makes the
            // length visible to the handler, on whichever thread it runs.
            place.start.store(start, Ordering::Release);
            return Some(Guarded { place: index });
        }
    }
    None
}

/// The place that guards an address.
fn place_of(address: usize) -> Option<&'static Place> {
    PLACES.iter().find(|place| {
        // SYNC(mapping-guarded): Acquire; pairs with the Release in `guard`.
        let start = place.start.load(Ordering::Acquire);
        start > CLAIMED
            && address
                .checked_sub(start)
                // Relaxed: ordered by the Acquire load of `start`.
                .is_some_and(|offset| offset < place.len.load(Ordering::Relaxed))
    })
}

/// Installs the handler, once for the process.
pub(crate) fn install() -> io::Result<()> {
    INSTALLED
        .get_or_init(|| {
            // Relaxed: the handler is installed after it, on this thread.
            PAGE_BYTES.store(rustix::param::page_size(), Ordering::Relaxed);
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: a `sigaction` of zeroes is valid: no flags, an empty mask, SIG_DFL.
            let ours = unsafe { action.assume_init_mut() };
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                on_fault;
            ours.sa_sigaction = handler as usize;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            // SAFETY: both pointers are to a `sigaction` of this frame; the handler has the
            // signature that SA_SIGINFO asks for and is async-signal-safe (see the module).
            let result =
                unsafe { libc::sigaction(libc::SIGBUS, action.as_ptr(), previous.as_mut_ptr()) };
            if result != 0 {
                return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
            }
            // SAFETY: filled in by the successful call above; zeroes are valid in any case.
            let previous = unsafe { previous.assume_init() };
            // A fault before this store finds nothing and restores the default, which is no worse.
            let _ = PREVIOUS.set(previous);
            Ok(())
        })
        .map_err(io::Error::from_raw_os_error)
}

extern "C" fn on_fault(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: with SA_SIGINFO the kernel passes a pointer to a `siginfo_t` on this stack.
    let info = unsafe { &*info };
    // SAFETY: the union's bytes are initialised in every signal; only one raised by the kernel (a
    // positive code, checked below) has an address in them.
    let address = unsafe { info.si_addr() } as usize;
    if info.si_code > 0
        && let Some(place) = place_of(address)
        && fill(address)
    {
        // Relaxed: see `Guarded::truncated`.
        place.truncated.store(true, Ordering::Relaxed);
        return;
    }
    let default = MaybeUninit::<libc::sigaction>::zeroed();
    let previous = PREVIOUS
        .get()
        .map_or(default.as_ptr(), ptr::from_ref::<libc::sigaction>);
    // SAFETY: a valid `sigaction` (the previous one, or zeroes for the default). The load that
    // faulted is repeated on return and meets it.
    unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
}

/// Puts a page of zeroes at `address`, which lies in a guarded mapping.
fn fill(address: usize) -> bool {
    // Relaxed: written before the handler was installed.
    let page = PAGE_BYTES.load(Ordering::Relaxed);
    let start = address & !(page - 1);
    // SAFETY: replaces one page of a mapping of ours: mappings begin at a page and the address lies
    // inside, so the page belongs to it; nobody else unmaps it while its place is taken. The page
    // stays read-only. errno is not kept: the interrupted code was a load, not a system call.
    let result = unsafe {
        libc::mmap(
            start as *mut libc::c_void,
            page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    result != libc::MAP_FAILED
}
