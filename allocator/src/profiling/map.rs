//! The region file: made, filled, opened to readers, and taken away again at a clean exit.
//!
//! **Invariants.** Every page is allocated before it is mapped, so that a full file system is an
//! error here and never a signal in the program. The size stays under every limit that could make
//! allocating it hurt. Once readers can find the file nobody can open it for writing any more
//! (mode 0400), and its descriptor is closed.
#![expect(
    unsafe_code,
    reason = "makes and maps a shared file with raw system calls"
)]

use core::{ffi::CStr, mem::MaybeUninit, ptr, sync::atomic::AtomicU64};

use riptide_region::{
    control::{self, CONTROL_BYTES, Control},
    header::{FLAG_CAPPED, FLAG_DENSE, FLAG_TMPFS, Header},
    layout::{Plan, REGION_DEFAULT_BYTES, REGION_MIN_BYTES},
    view::View,
};

use super::{
    config::Config,
    identity,
    sys::{self, File, Text},
};

/// Size of a region that records every allocation, without other wishes or caps.
const DENSE_BYTES: u64 = 256 << 20;
/// Allocated at once: a tenth of a millisecond.
const PIECE_BYTES: u64 = 256 << 10;
const PATH_BYTES: usize = 768;

/// Why there is no region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Directory,
    FileSystemFull,
    CgroupFull,
    FileSizeLimit,
    AddressSpaceLimit,
    Create,
    Allocate,
    Map,
    Memory,
    Pages,
    OtherCopy,
}

impl Refusal {
    /// The reason as the name of a mapping, for `riptide doctor` to find in `/proc/PID/maps`.
    fn mapping_name(self) -> &'static CStr {
        match self {
            Self::Directory => c"riptide-off:directory-not-usable",
            Self::FileSystemFull => c"riptide-off:file-system-full",
            Self::CgroupFull => c"riptide-off:cgroup-limit-near",
            Self::FileSizeLimit => c"riptide-off:file-size-limit",
            Self::AddressSpaceLimit => c"riptide-off:address-space-limit",
            Self::Create => c"riptide-off:file-not-created",
            Self::Allocate => c"riptide-off:file-not-allocated",
            Self::Map => c"riptide-off:file-not-mapped",
            Self::Memory => c"riptide-off:no-memory",
            Self::Pages => c"riptide-off:pages-not-of-4-kib",
            Self::OtherCopy => c"riptide-off:other-copy-of-riptide",
        }
    }

    /// Leaves the reason where `riptide doctor` looks: a page without access, mapped from a
    /// memory file of that name. It takes no memory and no descriptor.
    pub(crate) fn leave_mark(self) {
        // SAFETY: the name ends in a zero byte.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_memfd_create,
                self.mapping_name().as_ptr(),
                libc::MFD_CLOEXEC,
            )
        };
        let Some(file) = File::from_raw(fd) else {
            return;
        };
        // SAFETY: a new mapping at an address that the kernel chooses disturbs nothing.
        unsafe {
            libc::mmap(
                ptr::null_mut(),
                4096,
                libc::PROT_NONE,
                libc::MAP_SHARED,
                file.raw(),
                0,
            )
        };
    }
}

/// A mapped region and the path of its file.
pub(crate) struct MappedRegion {
    pub(crate) view: View<'static>,
    path: Text<PATH_BYTES>,
    control_path: Text<PATH_BYTES>,
}

impl MappedRegion {
    /// Makes the region of this process.
    pub(crate) fn create(config: &Config, nonce: u64) -> Result<Self, Refusal> {
        let directory = Directory::open(config)?;
        let dense = config.is_exact();
        let wanted = config.region_bytes.unwrap_or(if dense {
            DENSE_BYTES
        } else {
            REGION_DEFAULT_BYTES
        });
        let (bytes, cap) = capped_size(wanted, &directory);
        let plan = Plan::new(bytes, dense).ok_or(cap.unwrap_or(Refusal::Memory))?;
        let mut header: Header = bytemuck_zeroed();
        identity::describe(&mut header);
        header.nonce = nonce;
        header.initial_interval = config.interval;
        header.flags = [
            (directory.is_tmpfs, FLAG_TMPFS),
            (dense, FLAG_DENSE),
            (bytes < wanted, FLAG_CAPPED),
        ]
        .into_iter()
        .filter(|(is_set, _)| *is_set)
        .fold(0, |flags, (_, flag)| flags | flag);
        for (to, from) in header.config_error.iter_mut().zip(config.errors()) {
            *to = *from;
        }
        header.config_error_len = config.errors().len() as u32;
        let mut name = Text::<96>::new();
        name.push_number(u64::from(header.pid));
        name.push(b"-");
        name.push_number(header.start_time_ticks);
        name.push(b"-");
        name.push_hex(nonce);
        let view = directory.create_file(&name, &plan, &header)?;
        let mut path = Text::new();
        for part in [directory.path.bytes(), b"/", name.bytes()] {
            path.push(part);
        }
        let mut control_path = Text::new();
        for part in [path.bytes(), control::SUFFIX.as_bytes()] {
            control_path.push(part);
        }
        Ok(Self {
            view,
            path,
            control_path,
        })
    }

    /// Takes the file away, and the control file. The mapping stays: other threads may still write.
    pub(crate) fn unlink(&self) {
        for path in [&self.path, &self.control_path] {
            // SAFETY: the path ends in a zero byte.
            unsafe { libc::unlink(path.as_c_str().as_ptr()) };
        }
    }

    /// What the control file asks for, if it is there, whole, and nobody else's.
    pub(crate) fn control(&self) -> Option<Control> {
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = File::open_at(libc::AT_FDCWD, self.control_path.as_c_str(), flags, 0)?;
        let mut bytes = [0; CONTROL_BYTES + 1];
        let len = file
            .is_ours_alone()
            .then(|| file.read_at(&mut bytes, 0))??;
        Control::decode(bytes.get(..len)?)
    }
}

fn bytemuck_zeroed() -> Header {
    // SAFETY: the header is integers and arrays of them, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The directory of the regions, opened.
struct Directory {
    file: File,
    path: Text<PATH_BYTES>,
    is_tmpfs: bool,
    free_bytes: u64,
}

impl Directory {
    /// `RIPTIDE_DIR`, or `/dev/shm/riptide-<uid>` with mode 0700, made when missing.
    fn open(config: &Config) -> Result<Self, Refusal> {
        let mut path = Text::new();
        match config.directory() {
            Some(directory) => path.push(directory),
            None => {
                path.push(b"/dev/shm/riptide-");
                path.push_number(u64::from(sys::user_id()));
            }
        }
        let c_path = path.as_c_str();
        // SAFETY: the path ends in a zero byte. One that exists already is checked below.
        unsafe { libc::mkdir(c_path.as_ptr(), 0o700) };
        let mut flags = libc::O_RDONLY | libc::O_DIRECTORY;
        if config.directory().is_none() {
            // Anybody may put a link or a directory of that name into /dev/shm.
            flags |= libc::O_NOFOLLOW;
        }
        let file = File::open_at(libc::AT_FDCWD, c_path, flags, 0).ok_or(Refusal::Directory)?;
        if config.directory().is_none() && !is_private(&file) {
            return Err(Refusal::Directory);
        }
        let mut statistics = MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the target is large enough for a statfs.
        if unsafe { libc::fstatfs(file.raw(), statistics.as_mut_ptr()) } != 0 {
            return Err(Refusal::Directory);
        }
        // SAFETY: fstatfs succeeded and so has filled it.
        let statistics = unsafe { statistics.assume_init() };
        // A file system without a limit (size=0) reports no blocks at all.
        let free_bytes = if statistics.f_blocks == 0 {
            u64::MAX
        } else {
            statistics
                .f_bavail
                .saturating_mul(statistics.f_bsize as u64)
        };
        // The program may change its directory: the way from the root stays.
        let path = path_of(&file).unwrap_or(path);
        Ok(Self {
            file,
            path,
            is_tmpfs: statistics.f_type == libc::TMPFS_MAGIC,
            free_bytes,
        })
    }

    /// Makes the file under a temporary name, allocates and maps it, writes the header, closes it
    /// to writers and gives it its name.
    fn create_file(
        &self,
        name: &Text<96>,
        plan: &Plan,
        header: &Header,
    ) -> Result<View<'static>, Refusal> {
        let mut temporary = Text::<128>::new();
        temporary.push(b".tmp-");
        temporary.push(name.bytes());
        let temporary = temporary.as_c_str();
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let file =
            File::open_at(self.file.raw(), temporary, flags, 0o600).ok_or(Refusal::Create)?;
        let made = self.fill(&file, temporary, name.as_c_str(), plan, header);
        if made.is_err() {
            // SAFETY: the name ends in a zero byte and the directory is open.
            unsafe { libc::unlinkat(self.file.raw(), temporary.as_ptr(), 0) };
        }
        made
    }

    fn fill(
        &self,
        file: &File,
        temporary: &CStr,
        name: &CStr,
        plan: &Plan,
        header: &Header,
    ) -> Result<View<'static>, Refusal> {
        let bytes = plan.region_bytes;
        if !allocate(file, bytes) {
            return Err(Refusal::Allocate);
        }
        let words = map_shared(file, bytes).ok_or(Refusal::Map)?;
        let view = View::create(words, plan, header).ok_or(Refusal::Map)?;
        // SAFETY: the descriptor is open.
        if unsafe { libc::fchmod(file.raw(), 0o400) } != 0 {
            return Err(Refusal::Create);
        }
        // SAFETY: both names end in a zero byte and the directory is open.
        let renamed = unsafe {
            libc::renameat(
                self.file.raw(),
                temporary.as_ptr(),
                self.file.raw(),
                name.as_ptr(),
            )
        };
        if renamed == 0 {
            Ok(view)
        } else {
            Err(Refusal::Create)
        }
    }
}

/// The path of an opened directory from the root.
fn path_of(directory: &File) -> Option<Text<PATH_BYTES>> {
    let mut link = Text::<64>::new();
    link.push(b"/proc/self/fd/");
    link.push_number(u64::try_from(directory.raw()).ok()?);
    let mut buffer = [0; PATH_BYTES - 128];
    let len = sys::read_link(link.as_c_str(), &mut buffer)?;
    let path = buffer.get(..len).filter(|path| path.starts_with(b"/"))?;
    let mut text = Text::new();
    // One that fills the buffer may have been cut.
    (len < buffer.len()).then(|| text.push(path))?;
    Some(text)
}

/// Whether a directory is ours alone.
fn is_private(directory: &File) -> bool {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the target is large enough for a stat.
    if unsafe { libc::fstat(directory.raw(), stat.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: fstat succeeded and so has filled it.
    let stat = unsafe { stat.assume_init() };
    stat.st_uid == sys::user_id() && stat.st_mode & 0o077 == 0
}

/// Allocates every page of the file, a piece at a time: a signal makes the kernel undo what it has done
/// of a call, and beside a profiler by signals a whole region would never be done.
fn allocate(file: &File, bytes: u64) -> bool {
    let mut offset = 0;
    while offset < bytes {
        let piece = PIECE_BYTES.min(bytes - offset);
        if !allocate_piece(file, offset, piece) {
            return false;
        }
        offset += piece;
    }
    true
}

/// Bounded when signals interrupt it: a file system that cannot do it is one that the region does not
/// belong on.
fn allocate_piece(file: &File, offset: u64, bytes: u64) -> bool {
    let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(bytes)) else {
        return false;
    };
    for _ in 0..16 {
        // SAFETY: the descriptor is open for writing.
        if unsafe { libc::syscall(libc::SYS_fallocate, file.raw(), 0, offset, len) } == 0 {
            return true;
        }
        if sys::errno() != libc::EINTR {
            return false;
        }
    }
    false
}

fn map_shared(file: &File, bytes: u64) -> Option<&'static [AtomicU64]> {
    let len = usize::try_from(bytes).ok()?;
    // SAFETY: a new mapping at an address that the kernel chooses disturbs nothing.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.raw(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return None;
    }
    sys::advise(address.cast(), len, libc::MADV_DONTDUMP);
    // SAFETY: the mapping is page-aligned, as long as the file that was just allocated, and never
    // unmapped; the words are only ever reached as atomics, by this process and by readers.
    Some(unsafe { core::slice::from_raw_parts(address.cast::<AtomicU64>().cast_const(), len / 8) })
}

/// The wanted size under all caps, and the cap that bites if that is too small for a region.
fn capped_size(wanted: u64, directory: &Directory) -> (u64, Option<Refusal>) {
    let caps = [
        (Some(directory.free_bytes / 4), Refusal::FileSystemFull),
        (
            CgroupMemory::read().and_then(|cgroup| cgroup.headroom.map(|bytes| bytes / 16)),
            Refusal::CgroupFull,
        ),
        (
            sys::resource_limit(libc::RLIMIT_FSIZE),
            Refusal::FileSizeLimit,
        ),
        (
            sys::resource_limit(libc::RLIMIT_AS).map(|bytes| bytes / 16),
            Refusal::AddressSpaceLimit,
        ),
        (
            // The tables beside the region grow with it.
            sys::resource_limit(libc::RLIMIT_DATA).map(|bytes| bytes / 16),
            Refusal::AddressSpaceLimit,
        ),
    ];
    let mut size = wanted;
    let mut smallest = None;
    for (cap, refusal) in caps {
        if let Some(cap) = cap
            && cap < size
        {
            size = cap;
            smallest = Some(refusal);
        }
    }
    (size, smallest.filter(|_| size < REGION_MIN_BYTES))
}

/// The process's memory cgroup.
pub(crate) struct CgroupMemory {
    /// 1 or 2.
    pub(crate) version: u64,
    /// Smallest limit on the way to the root.
    pub(crate) limit: Option<u64>,
    /// Usage of the process's own group; of the nearest one above it that can be seen (a container
    /// sees no deeper than its own root).
    pub(crate) usage: Option<u64>,
    pub(crate) oom_kills: Option<u64>,
    /// Smallest distance from a limit on the way to the root.
    pub(crate) headroom: Option<u64>,
    path: Text<512>,
}

impl CgroupMemory {
    /// Reads limits and usage of the process's group and of those above it; `None` without a memory
    /// cgroup.
    pub(crate) fn read() -> Option<Self> {
        let mut buffer = [0; 2048];
        let text = sys::read_file(c"/proc/self/cgroup", &mut buffer)?;
        let lines = || text.split(|byte| *byte == b'\n');
        let v1 = lines().find_map(|line| {
            let mut fields = line.splitn(3, |byte| *byte == b':');
            let controllers = fields.nth(1)?;
            let has_memory = controllers
                .split(|byte| *byte == b',')
                .any(|name| name == b"memory");
            has_memory.then(|| fields.next()).flatten()
        });
        let v2 = lines().find_map(|line| line.strip_prefix(b"0::"));
        match (v1, v2) {
            (Some(path), _) => Self::read_at(1, b"/sys/fs/cgroup/memory", path),
            (None, Some(path)) => Self::read_at(2, b"/sys/fs/cgroup", path),
            (None, None) => None,
        }
    }

    /// The group's path in its hierarchy.
    pub(crate) fn path(&self) -> &[u8] {
        self.path.bytes()
    }

    fn read_at(version: u64, mount: &[u8], path: &[u8]) -> Option<Self> {
        let (limit_name, usage_name): (&[u8], &[u8]) = if version == 1 {
            (b"memory.limit_in_bytes", b"memory.usage_in_bytes")
        } else {
            (b"memory.max", b"memory.current")
        };
        let mut group = Self {
            version,
            limit: None,
            usage: None,
            oom_kills: None,
            headroom: None,
            path: Text::new(),
        };
        group.path.push(path);
        let mut level = path.strip_suffix(b"/").unwrap_or(path);
        for _ in 0..16 {
            let usage = number_in(mount, level, usage_name);
            // Version 1 says "no limit" with a number near 2^63.
            let limit = number_in(mount, level, limit_name).filter(|limit| *limit < 1 << 60);
            if group.usage.is_none() {
                group.usage = usage;
                group.oom_kills = oom_kills(version, mount, level);
            }
            if let Some(limit) = limit {
                group.limit = Some(group.limit.map_or(limit, |before| before.min(limit)));
                let room = limit.saturating_sub(usage.unwrap_or(0));
                group.headroom = Some(group.headroom.map_or(room, |before| before.min(room)));
            }
            let Some(slash) = level.iter().rposition(|byte| *byte == b'/') else {
                break;
            };
            level = level.get(..slash).unwrap_or_default();
        }
        Some(group)
    }
}

fn number_in(mount: &[u8], level: &[u8], name: &[u8]) -> Option<u64> {
    let mut buffer = [0; 32];
    let text = read_in(mount, level, name, &mut buffer)?;
    sys::parse_number(text.strip_suffix(b"\n").unwrap_or(text))
}

fn oom_kills(version: u64, mount: &[u8], level: &[u8]) -> Option<u64> {
    let mut buffer = [0; 512];
    let name: &[u8] = if version == 1 {
        b"memory.oom_control"
    } else {
        b"memory.events"
    };
    let text = read_in(mount, level, name, &mut buffer)?;
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"oom_kill "))
        .and_then(sys::parse_number)
}

fn read_in<'a>(mount: &[u8], level: &[u8], name: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut path = Text::<PATH_BYTES>::new();
    for part in [mount, level, b"/", name] {
        path.push(part);
    }
    sys::read_file(path.as_c_str(), buffer)
}
