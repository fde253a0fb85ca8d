//! The resident memory of a live process by who mapped it, from `/proc/PID/smaps`.
//!
//! | group | told by |
//! |---|---|
//! | jemalloc | anonymous, mapped without reservation of swap (`nr`): jemalloc asks for it, stacks and the C library's heap do not |
//! | C heap | `[heap]` |
//! | C arenas | begins at a multiple of 64 MiB, and what is missing to the next one follows without access |
//! | stacks | `[stack]`; or begins right above a guard page |
//! | region, tables of the profiler | the region's name; anonymous and left out of core dumps (`dd`) |
//! | programs and libraries | a file of which some part is executable |
//! | files, shared memory | the rest of what has an inode |
//! | other anonymous memory | large blocks of the C library, and what the program maps by itself |
//!
//! Where the kernel does not overcommit (`vm.overcommit_memory` 2) nothing is mapped without
//! reservation, and jemalloc's group is all anonymous memory that is nothing else.

use std::collections::HashSet;

use serde::Serialize;

/// Bytes of an arena of glibc (`HEAP_MAX_SIZE`), and their alignment.
const C_ARENA_BYTES: u64 = 64 << 20;
/// Largest gap without access that is taken for the guard of a stack.
const GUARD_MAX_BYTES: u64 = 1 << 20;

/// Who mapped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// jemalloc.
    Jemalloc,
    /// The C library's heap (`brk`).
    CHeap,
    /// The C library's arenas of threads.
    CArenas,
    /// Anonymous memory of nobody in particular.
    OtherAnonymous,
    /// Stacks of threads.
    Stacks,
    /// Executables and libraries: text, tables, data.
    Programs,
    /// Other files.
    Files,
    /// Shared memory.
    SharedMemory,
    /// The profiler's region.
    Region,
    /// The profiler's private tables.
    ProfilerTables,
    /// The kernel's own pages.
    Kernel,
}

impl Owner {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Jemalloc,
        Self::CHeap,
        Self::CArenas,
        Self::OtherAnonymous,
        Self::Stacks,
        Self::Programs,
        Self::Files,
        Self::SharedMemory,
        Self::Region,
        Self::ProfilerTables,
        Self::Kernel,
    ];

    /// In words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Jemalloc => "mappings of jemalloc",
            Self::CHeap => "heap of the C library",
            Self::CArenas => "thread arenas of the C library",
            Self::OtherAnonymous => "large blocks of the C library, and what is mapped by hand",
            Self::Stacks => "stacks",
            Self::Programs => "executable and libraries",
            Self::Files => "mapped files",
            Self::SharedMemory => "shared memory",
            Self::Region => "the profiler's region",
            Self::ProfilerTables => "the profiler's private tables",
            Self::Kernel => "pages of the kernel",
        }
    }

    /// Whether the memory is an allocator's other than jemalloc.
    pub(crate) fn is_other_allocator(self) -> bool {
        matches!(self, Self::CHeap | Self::CArenas | Self::OtherAnonymous)
    }
}

/// Mappings of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Who mapped them.
    pub owner: Owner,
    /// How many there are.
    pub mappings: u64,
    /// Address space, in bytes; what cannot be accessed is left out.
    pub virtual_bytes: u64,
    /// Resident, in bytes.
    pub resident_bytes: u64,
    /// Swapped out, in bytes.
    pub swapped_bytes: u64,
}

/// One mapping of `smaps`.
#[derive(Clone, Debug, Default)]
struct Mapping<'a> {
    start: u64,
    end: u64,
    readable: bool,
    accessible: bool,
    executable: bool,
    inode: u64,
    name: &'a str,
    resident: u64,
    swapped: u64,
    no_reserve: bool,
    not_dumped: bool,
}

impl Mapping<'_> {
    fn is_anonymous(&self) -> bool {
        self.inode == 0 && (self.name.is_empty() || self.name.starts_with("[anon:"))
    }
}

/// Groups the mappings of an `smaps` text. `region` is the name of the region's file.
pub(crate) fn group(smaps: &str, region: &str, overcommits: bool) -> Vec<Group> {
    let mappings = parse(smaps);
    let programs: HashSet<u64> = mappings
        .iter()
        .filter(|mapping| mapping.executable && mapping.inode != 0)
        .map(|mapping| mapping.inode)
        .collect();
    let flags_known = overcommits && mappings.iter().any(|mapping| mapping.no_reserve);
    let mut groups = Owner::ALL.map(|owner| Group {
        owner,
        mappings: 0,
        virtual_bytes: 0,
        resident_bytes: 0,
        swapped_bytes: 0,
    });
    for (place, mapping) in mappings.iter().enumerate() {
        if !mapping.accessible && mapping.resident == 0 {
            continue;
        }
        let before = place.checked_sub(1).and_then(|place| mappings.get(place));
        let owner = owner(
            mapping,
            before,
            mappings.get(place + 1),
            &programs,
            region,
            flags_known,
        );
        if let Some(group) = groups.iter_mut().find(|group| group.owner == owner) {
            group.mappings += 1;
            group.virtual_bytes += mapping.end.saturating_sub(mapping.start);
            group.resident_bytes = group.resident_bytes.saturating_add(mapping.resident);
            group.swapped_bytes = group.swapped_bytes.saturating_add(mapping.swapped);
        }
    }
    groups
        .into_iter()
        .filter(|group| group.mappings > 0)
        .collect()
}

fn owner(
    mapping: &Mapping<'_>,
    before: Option<&Mapping<'_>>,
    after: Option<&Mapping<'_>>,
    programs: &HashSet<u64>,
    region: &str,
    flags_known: bool,
) -> Owner {
    match mapping.name {
        "[heap]" => return Owner::CHeap,
        name if name.starts_with("[stack") => return Owner::Stacks,
        name if name.starts_with("[v") => return Owner::Kernel,
        _ => {}
    }
    if mapping.inode != 0 {
        let name = mapping
            .name
            .strip_suffix(" (deleted)")
            .unwrap_or(mapping.name);
        return if programs.contains(&mapping.inode) {
            Owner::Programs
        } else if name.rsplit('/').next() == Some(region) {
            Owner::Region
        } else if ["/dev/shm/", "/memfd:", "/SYSV", "/dev/zero"]
            .iter()
            .any(|shared| name.starts_with(shared))
        {
            Owner::SharedMemory
        } else {
            Owner::Files
        };
    }
    // What follows an executable's data is its zeroed data, and has no name.
    let follows_program = before.is_some_and(|before| {
        before.end == mapping.start && programs.contains(&before.inode) && !mapping.no_reserve
    });
    if follows_program {
        return Owner::Programs;
    }
    if !mapping.is_anonymous() {
        return Owner::OtherAnonymous;
    }
    if mapping.not_dumped {
        return Owner::ProfilerTables;
    }
    let missing = after.filter(|after| {
        after.start == mapping.end
            && !after.accessible
            && after.is_anonymous()
            && after.end.is_multiple_of(C_ARENA_BYTES)
    });
    if mapping.start.is_multiple_of(C_ARENA_BYTES)
        && missing.is_some_and(|missing| missing.end - mapping.start == C_ARENA_BYTES)
    {
        return Owner::CArenas;
    }
    let guarded = before.is_some_and(|before| {
        before.end == mapping.start
            && !before.accessible
            && before.is_anonymous()
            && before.end.saturating_sub(before.start) <= GUARD_MAX_BYTES
    });
    if guarded && !mapping.no_reserve && mapping.readable {
        return Owner::Stacks;
    }
    if mapping.no_reserve || !flags_known {
        Owner::Jemalloc
    } else {
        Owner::OtherAnonymous
    }
}

fn parse(smaps: &str) -> Vec<Mapping<'_>> {
    let mut mappings: Vec<Mapping<'_>> = Vec::new();
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(field) = first.strip_suffix(':') {
            let Some(mapping) = mappings.last_mut() else {
                continue;
            };
            let kib = || {
                let number = rest.split_whitespace().next()?.parse::<u64>().ok()?;
                number.checked_mul(1_024)
            };
            match field {
                "Rss" => mapping.resident = kib().unwrap_or(0),
                "Swap" => mapping.swapped = kib().unwrap_or(0),
                "VmFlags" => {
                    mapping.no_reserve = rest.split_whitespace().any(|flag| flag == "nr");
                    mapping.not_dumped = rest.split_whitespace().any(|flag| flag == "dd");
                }
                _ => {}
            }
        } else if let Some(mapping) = head(first, rest) {
            mappings.push(mapping);
        }
    }
    mappings
}

/// `start-end perms offset device inode   name`
fn head<'a>(range: &str, rest: &'a str) -> Option<Mapping<'a>> {
    let (start, end) = range.split_once('-')?;
    let mut fields = rest.splitn(5, ' ');
    let permissions = fields.next()?;
    let inode = fields.nth(2)?.parse().ok()?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        readable: permissions.starts_with('r'),
        accessible: !permissions.starts_with("---"),
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        inode,
        name: fields.next().unwrap_or("").trim(),
        ..Mapping::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(
        range: &str,
        permissions: &str,
        inode_and_name: &str,
        kib: u64,
        flags: &str,
    ) -> String {
        format!(
            "{range} {permissions} 00000000 00:00 {inode_and_name}\nSize: 4 kB\nRss: {kib} kB\n\
             Swap: 1 kB\nVmFlags: {flags}\n"
        )
    }

    fn resident(groups: &[Group], owner: Owner) -> u64 {
        let group = groups.iter().find(|group| group.owner == owner);
        group.map_or(0, |group| group.resident_bytes / 1_024)
    }

    #[test]
    fn every_mapping_has_its_owner() {
        let smaps = [
            mapping("1000-2000", "r-xp", "5      /bin/service", 1, "rd ex"),
            mapping("2000-3000", "rw-p", "5      /bin/service", 2, "rd wr"),
            mapping("3000-4000", "rw-p", "0", 4, "rd wr ac"),
            mapping("9000-a000", "rw-p", "0      [heap]", 8, "rd wr ac"),
            mapping("10000-11000", "rw-p", "0", 16, "rd wr nr"),
            mapping("20000-21000", "---p", "0", 0, ""),
            mapping("21000-31000", "rw-p", "0", 32, "rd wr ac"),
            mapping("40000-41000", "rw-p", "0", 64, "rd wr ac"),
            mapping("4000000-4021000", "rw-p", "0", 128, "rd wr nr"),
            mapping("4021000-8000000", "---p", "0", 0, "nr"),
            mapping(
                "9000000-9001000",
                "rw-s",
                "9    /dev/shm/x/7-8-9 (deleted)",
                256,
                "rd wr dd",
            ),
            mapping("9100000-9101000", "r--s", "10   /data/a b", 512, "rd"),
            mapping("9200000-9201000", "rw-p", "0", 1_024, "rd wr nr dd"),
            mapping(
                "9300000-9301000",
                "rw-s",
                "11   /memfd:y (deleted)",
                2_048,
                "rd wr",
            ),
            mapping(
                "9400000-9401000",
                "rw-p",
                "0    [stack]",
                4_096,
                "rd wr gd ac",
            ),
            mapping("9500000-9501000", "r-xp", "0    [vdso]", 8_192, "rd ex"),
        ]
        .concat();
        let groups = group(&smaps, "7-8-9", true);
        let expected = [
            (Owner::Programs, 7),
            (Owner::CHeap, 8),
            (Owner::Jemalloc, 16),
            (Owner::Stacks, 32 + 4_096),
            (Owner::OtherAnonymous, 64),
            (Owner::CArenas, 128),
            (Owner::Region, 256),
            (Owner::Files, 512),
            (Owner::ProfilerTables, 1_024),
            (Owner::SharedMemory, 2_048),
            (Owner::Kernel, 8_192),
        ];
        for (owner, kib) in expected {
            assert_eq!(resident(&groups, owner), kib, "{owner:?}");
        }
        assert_eq!(groups.iter().map(|group| group.mappings).sum::<u64>(), 14);
        // Without overcommit nothing has the flag.
        let groups = group(&smaps.replace(" nr", ""), "7-8-9", false);
        assert_eq!(resident(&groups, Owner::Jemalloc), 16 + 64);
        assert_eq!(resident(&groups, Owner::OtherAnonymous), 0);
    }

    #[test]
    fn nonsense_is_passed_over() {
        assert_eq!(group("Rss: 5 kB\nx-y z\n7-\n: :\n", "r", true), []);
        let hostile = "ffffffffffffffff-0 rw-p 0 0 0\nRss: 18446744073709551615 kB\n";
        let groups = group(hostile, "r", true);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups.first().unwrap().resident_bytes, 0);
    }
}
