//! System calls as the shim needs them: no allocation, no panic, errors as values.
//!
//! Calls on files go past the C library's functions of that name: those are points where a thread
//! that somebody has cancelled ends, and libraries put functions of their own before them; neither
//! may happen inside `malloc`.
#![expect(unsafe_code, reason = "raw system calls: std's wrappers allocate")]

use core::ffi::CStr;

/// The number of the last failed call.
pub(crate) fn errno() -> i32 {
    // SAFETY: the call has no preconditions.
    let location = unsafe { libc::__errno_location() };
    // SAFETY: the location is the calling thread's own and always valid.
    unsafe { *location }
}

/// Gives the program back the `errno` that it had before the shim made system calls.
pub(crate) struct ErrnoGuard(i32);

impl ErrnoGuard {
    pub(crate) fn new() -> Self {
        Self(errno())
    }
}

impl Drop for ErrnoGuard {
    fn drop(&mut self) {
        // SAFETY: as in `errno`.
        let location = unsafe { libc::__errno_location() };
        // SAFETY: as in `errno`.
        unsafe { *location = self.0 };
    }
}

/// A file descriptor that is closed on drop.
pub(crate) struct File(i32);

impl File {
    /// Opens `path` for reading.
    pub(crate) fn open(path: &CStr) -> Option<Self> {
        Self::open_at(libc::AT_FDCWD, path, libc::O_RDONLY, 0)
    }

    /// Opens or makes `path`, seen from the directory `directory`, to be closed by `exec`.
    pub(crate) fn open_at(directory: i32, path: &CStr, flags: i32, mode: u32) -> Option<Self> {
        // SAFETY: the path ends in a zero byte; the other arguments are integers.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat,
                directory,
                path.as_ptr(),
                flags | libc::O_CLOEXEC,
                mode,
            )
        };
        Self::from_raw(fd)
    }

    /// Takes over a descriptor that a system call returned; negative ones are errors.
    pub(crate) fn from_raw(fd: libc::c_long) -> Option<Self> {
        i32::try_from(fd).ok().filter(|fd| *fd >= 0).map(Self)
    }

    pub(crate) fn raw(&self) -> i32 {
        self.0
    }

    /// Reads up to the end of `buffer`; the bytes read, or `None` on an error.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        for _ in 0..8 {
            // SAFETY: the buffer is writable for its length.
            let count =
                unsafe { libc::syscall(libc::SYS_read, self.0, buffer.as_mut_ptr(), buffer.len()) };
            if count >= 0 {
                return usize::try_from(count).ok();
            }
            if errno() != libc::EINTR {
                return None;
            }
        }
        None
    }

    /// Fills `buffer` from `offset` as far as the file goes.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Option<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..)
            && !rest.is_empty()
        {
            let place = i64::try_from(offset.checked_add(done as u64)?).ok()?;
            // SAFETY: the buffer is writable for its length.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_pread64,
                    self.0,
                    rest.as_mut_ptr(),
                    rest.len(),
                    place,
                )
            };
            match usize::try_from(count) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(_) if errno() == libc::EINTR => {}
                Err(_) => return None,
            }
        }
        Some(done)
    }

    /// Inode of the file.
    pub(crate) fn inode(&self) -> Option<u64> {
        Some(self.stat()?.st_ino)
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> Option<u64> {
        u64::try_from(self.stat()?.st_size).ok()
    }

    /// Whether both are the same file.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let id = |file: &Self| file.stat().map(|stat| (stat.st_dev, stat.st_ino));
        id(self).is_some_and(|ours| id(other) == Some(ours))
    }

    /// Whether this is a plain file of the process's own user that nobody else can write.
    pub(crate) fn is_ours_alone(&self) -> bool {
        self.stat().is_some_and(|stat| {
            stat.st_mode & libc::S_IFMT == libc::S_IFREG
                && stat.st_uid == user_id()
                && stat.st_mode & 0o022 == 0
        })
    }

    fn stat(&self) -> Option<libc::stat> {
        let mut stat = core::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the target is large enough for a stat.
        if unsafe { libc::fstat(self.0, stat.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: fstat succeeded and so has filled it.
        Some(unsafe { stat.assume_init() })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and not used after this.
        unsafe { libc::syscall(libc::SYS_close, self.0) };
    }
}

/// Reads a small file whole, or as much of it as the buffer holds.
pub(crate) fn read_file<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = File::open(path)?;
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..)
        && !rest.is_empty()
    {
        match file.read(rest)? {
            0 => break,
            count => len += count,
        }
    }
    buffer.get(..len)
}

/// Maps private, zeroed memory of our own; `None` when the system has none.
pub(crate) fn map_private(bytes: usize, protection: i32) -> Option<*mut u8> {
    // SAFETY: a new anonymous mapping at an address that the kernel chooses disturbs nothing.
    let address = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            bytes,
            protection,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return None;
    }
    if protection != libc::PROT_NONE {
        // The shim's own tables: of no use in a core dump, and so the kernel does not merge them with
        // jemalloc's mappings, which a reader counts.
        advise(address.cast(), bytes, libc::MADV_DONTDUMP);
    }
    Some(address.cast())
}

/// Private zeroed memory for `count` values of `T`, never given back.
pub(crate) fn map_slice<T: ZeroIsValid>(count: usize) -> Option<&'static [T]> {
    let address = map_private(
        count.checked_mul(size_of::<T>())?.max(1),
        libc::PROT_READ | libc::PROT_WRITE,
    )?;
    // SAFETY: the mapping is page-aligned, long enough, zero (valid for T) and never unmapped.
    Some(unsafe { core::slice::from_raw_parts(address.cast(), count) })
}

/// Types for which zeroed memory is a value.
///
/// # Safety
/// All-zero bytes must be a valid value, and the alignment at most a page.
pub(crate) unsafe trait ZeroIsValid {}
// SAFETY: zero is an integer.
unsafe impl ZeroIsValid for core::sync::atomic::AtomicU32 {}
// SAFETY: zero is an integer.
unsafe impl ZeroIsValid for core::sync::atomic::AtomicU64 {}

/// Advice to the kernel about memory that the shim mapped; false when refused.
pub(crate) fn advise(address: *mut u8, bytes: usize, advice: i32) -> bool {
    // SAFETY: callers pass ranges of the shim's own mappings, and advice that keeps contents or
    // drops contents that the caller has given up.
    unsafe { libc::madvise(address.cast(), bytes, advice) == 0 }
}

/// Nanoseconds of a clock.
pub(crate) fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the target is a timespec.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec as u64)
}

/// Nanoseconds of the region's clock, to the kernel's tick (1–4 ms).
pub(crate) fn now_coarse_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC_COARSE)
}

/// Ticks of the processor's time counter.
#[inline]
pub(crate) fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction and Linux allows it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let value: u64;
        // SAFETY: reading the virtual counter is allowed in user mode on Linux.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack));
        }
        value
    }
}

/// Asks for a word's cache line, to write to it soon.
#[inline]
pub(crate) fn prefetch_to_write(word: Option<&core::sync::atomic::AtomicU64>) {
    let Some(word) = word else { return };
    let address: *const _ = word;
    // SAFETY: a hint, which changes nothing.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, readonly, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("prfm pstl1keep, [{}]", in(reg) address, options(nostack, readonly, preserves_flags));
    }
}

/// Kernel thread id.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// Process id.
pub(crate) fn process_id() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::getpid() as u32 }
}

/// Whether the program was started with more rights than its caller has (`AT_SECURE`).
pub(crate) fn is_privileged() -> bool {
    // SAFETY: reads a value of the auxiliary vector; 0 when it is not there.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Effective user id.
pub(crate) fn user_id() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// A resource limit; `None` when there is none. One that cannot be read is taken for the lowest.
pub(crate) fn resource_limit(resource: Resource) -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the target is an rlimit.
    let failed = unsafe { libc::getrlimit(resource, &mut limit) } != 0;
    if failed {
        return Some(0);
    }
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Text of at most `N` bytes, put together without allocation; what does not fit is cut.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // The last byte stays zero, so that the text is also a C string.
        let room = N.saturating_sub(self.len + 1);
        for (to, from) in self
            .bytes
            .iter_mut()
            .skip(self.len)
            .zip(bytes.iter().take(room))
        {
            *to = *from;
        }
        self.len += bytes.len().min(room);
    }

    pub(crate) fn push_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut rest = number;
        let mut first = digits.len();
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            first = place;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default());
    }

    pub(crate) fn push_hex(&mut self, number: u64) {
        for nibble in (0..16).rev() {
            let digit = (number >> (nibble * 4) & 0xf) as u8;
            self.push(&[if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            }]);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The text up to its first zero byte.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// Parses a decimal number that fills the whole of `bytes`.
pub(crate) fn parse_number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Parses a hexadecimal number that fills the whole of `bytes`.
pub(crate) fn parse_hex(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| {
        let digit = (*byte as char).to_digit(16)?;
        Some(value << 4 | u64::from(digit))
    })
}

/// Where a symbolic link leads; the bytes written.
pub(crate) fn read_link(path: &CStr, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the path ends in a zero byte and the buffer is writable for its length.
    let len = unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(len).ok()
}

/// Maps a part of a file, private and read-only.
pub(crate) fn map_file_read_only(file: &File, offset: i64, bytes: usize) -> Option<*const u8> {
    // SAFETY: a new mapping at an address that the kernel chooses disturbs nothing.
    let address = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            bytes,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.raw(),
            offset,
        )
    };
    (address != libc::MAP_FAILED).then_some(address.cast_const().cast())
}
