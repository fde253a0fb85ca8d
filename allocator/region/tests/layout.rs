//! The layout of a region, byte by byte, against `layout-MAJOR.MINOR.golden` and the tables of
//! `FORMAT.md`.
//!
//! A change here is a change of the format: raise `ABI_MINOR` when old readers still read it, else
//! `ABI_MAJOR`, then `RIPTIDE_BLESS=1 cargo test -p riptide-region --test layout` writes the golden
//! of the new version and the tables. The golden of a version that was given to anybody stays as
//! it is.
#![cfg(all(not(loom), not(miri)))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::{fmt::Write as _, fs, mem::offset_of, path::PathBuf};

use riptide_region::{
    bins::{Bin, Bins},
    counters::{COUNTER_WORDS, Counter, Gauge, Marking, Unwinder},
    header::{
        ABI_MAJOR, ABI_MINOR, ENDIAN_MARK, FLAG_CAPPED, FLAG_DENSE, FLAG_TMPFS, HEADER_BYTES,
        HEADER_PAGE_BYTES, Header, MAGIC, SECTIONS_MAX, State,
    },
    layout::{FIELDS_MAX, Plan, REGION_MAX_BYTES, REGION_MIN_BYTES, SectionEntry, SectionKind},
    live_table::{LiveBlock, LiveTable},
    module_table::{Module, ModuleTable},
    primitive::{AtomicU64, Ordering},
    ring::Ring,
    stack_table::{Interned, StackId, StackTable, Weight},
    status::Status,
};

/// A table: its title, its columns, its rows.
struct Table {
    title: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

macro_rules! row {
    ($($cell:expr),+ $(,)?) => { vec![$($cell.to_string()),+] };
}

macro_rules! fields {
    ($type:ty: $($field:ident),+ $(,)?) => {{
        fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize { size_of::<F>() }
        vec![$(row![
            offset_of!($type, $field),
            size_of_field(|value: &$type| &value.$field),
            stringify!($field),
        ]),+]
    }};
}

const KINDS: [(SectionKind, &str); 9] = [
    (
        SectionKind::Status,
        "sequence time_ns rss virtual_size cpu_ns cgroup_version cgroup_limit cgroup_usage cgroup_oom_kills allocated active metadata resident mapped retained dirty muzzy epoch_ns epoch_time_ns arenas reserved_range committed_range cgroup_path_length cgroup_path rss_shared thread_caches ring_heads",
    ),
    (SectionKind::Counters, "value"),
    (
        SectionKind::Modules,
        "sequence text_start text_end file_offset bias valid_from_ns valid_to_ns lengths build_id path",
    ),
    (SectionKind::StackIndex, "tag_and_id"),
    (
        SectionKind::StackEntries,
        "ready hash first_seen_ns last_seen_ns samples sampled_bytes freed_samples freed_sampled_bytes certain_objects certain_bytes estimated_objects estimated_bytes variance_objects variance_bytes lifetimes",
    ),
    (SectionKind::StackFrames, "return_address"),
    (
        SectionKind::Live,
        "sequence address size_and_align stack_and_thread interval birth_ns number",
    ),
    (
        SectionKind::Ring,
        "sequence dropped kind_and_size address stack_and_thread time_ns number interval_and_lifetime",
    ),
    (SectionKind::Bins, "sequence time_ns took_ns count bins"),
];

/// Every variant of an enum; a variant that is missing here does not compile.
macro_rules! every {
    ($type:ident: $($variant:ident),+ $(,)?) => {{
        fn complete(value: $type) {
            match value {
                $($type::$variant => {})+
            }
        }
        let all = [$($type::$variant),+];
        all.iter().copied().for_each(complete);
        all
    }};
}

/// Sizes of region whose plans are kept.
const PLANS: [(&str, u64, bool); 3] = [
    ("1 MiB", 1 << 20, false),
    ("16 MiB", 16 << 20, false),
    ("256 MiB, dense", 256 << 20, true),
];

fn tables() -> Vec<Table> {
    let kinds = every!(
        SectionKind: Status, Counters, Modules, StackIndex, StackEntries, StackFrames, Live, Ring, Bins
    );
    assert_eq!(kinds, KINDS.map(|(kind, _)| kind));
    let [init, ready, exited] = every!(State: Init, Ready, Exited);
    let mut tables = vec![
        Table {
            title: "Constants".into(),
            columns: &["value", "name"],
            rows: vec![
                row![format!("{MAGIC:#018x}"), "magic"],
                row![format!("{ENDIAN_MARK:#06x}"), "endian_mark"],
                row![HEADER_BYTES, "bytes of the fixed header"],
                row![HEADER_PAGE_BYTES, "bytes of the header page"],
                row![SECTIONS_MAX, "section entries at most"],
                row![FIELDS_MAX, "fields of a section entry at most"],
                row![REGION_MIN_BYTES, "smallest region"],
                row![REGION_MAX_BYTES, "largest region"],
                row![init as u64, "state init"],
                row![ready as u64, "state ready"],
                row![exited as u64, "state exited"],
                row![FLAG_TMPFS, "flag tmpfs"],
                row![FLAG_DENSE, "flag dense"],
                row![FLAG_CAPPED, "flag capped"],
            ],
        },
        Table {
            title: "Header".into(),
            columns: &["offset", "bytes", "field"],
            rows: fields!(Header: magic, state, abi_major, abi_minor, endian_mark, word_bytes,
                region_bytes, section_count, page_bytes, pid, uid, start_time_ticks, boot_id,
                pid_namespace, anchor_monotonic_ns, anchor_realtime_ns, flags, nonce,
                initial_interval, exe_path_len, config_error_len, exe_build_id_len, reserved, comm,
                allocator_version, exe_build_id, exe_path, config_error, padding),
        },
        Table {
            title: "Section entry".into(),
            columns: &["offset", "bytes", "field"],
            rows: fields!(SectionEntry: kind, shard, offset, length, stride, header_bytes, count,
                field_count, reserved, fields),
        },
    ];
    for (kind, names) in KINDS {
        let (header, stride, offsets) = kind.shape();
        let names: Vec<&str> = names.split(' ').collect();
        assert_eq!(names.len(), offsets.len(), "{kind:?}");
        tables.push(Table {
            title: format!(
                "Section kind {} {kind:?}: {header} bytes, then elements of {stride}",
                kind as u32
            ),
            columns: &["offset", "field"],
            rows: offsets
                .iter()
                .zip(names)
                .map(|(offset, name)| row![offset, name])
                .collect(),
        });
    }
    tables.push(Table {
        title: format!("Counters and gauges, of {COUNTER_WORDS} words"),
        columns: &["word", "name"],
        rows: every!(Counter: Samples, Frees, UnrecordedLiveTableFull, UnrecordedRangeExhausted, UnrecordedLargeTableFull, UnrecordedBytes, SkippedReentrant, TruncatedStack, StackTableFull, FailedUnwind, SlowPathCalls, SlowPathNs, SlowPathPreempted, ModuleTableFull, UnwindChecked, UnwindAgreed, FreesUnrecorded, Ticks, TickErrors, SkippedSetUp)
            .iter()
            .map(|counter| row![*counter as u16, format!("{counter:?}")])
            .chain(
                every!(Gauge: IntervalBytes, Unwinder, HeartbeatNs, CostPpb, Marking, BudgetPpm, LiveSlotsUsed)
                    .iter()
                    .map(|gauge| row![*gauge as u16, format!("{gauge:?} (gauge)")]),
            )
            .collect(),
    });
    tables.push(Table {
        title: "Values of gauges".into(),
        columns: &["value", "meaning"],
        rows: every!(Unwinder: Undecided, FramePointers, Dwarf)
            .iter()
            .map(|value| row![*value as u64, format!("Unwinder {value:?}")])
            .chain(
                every!(Marking: None, ReservedRange, PageAligned)
                    .iter()
                    .map(|value| row![*value as u64, format!("Marking {value:?}")]),
            )
            .collect(),
    });
    for (name, bytes, dense) in PLANS {
        let plan = Plan::new(bytes, dense).unwrap();
        tables.push(Table {
            title: format!("Plan of {name}"),
            columns: &["offset", "length", "elements", "section"],
            rows: plan
                .sections()
                .iter()
                .map(|section| {
                    let kind = KINDS
                        .iter()
                        .find(|(kind, _)| *kind as u32 == section.kind)
                        .unwrap()
                        .0;
                    row![
                        section.offset,
                        section.length,
                        section.count,
                        format!("{kind:?} {}", section.shard)
                    ]
                })
                .collect(),
        });
    }
    tables
}

fn golden_text(tables: &[Table]) -> String {
    let mut text = format!("riptide region format {ABI_MAJOR}.{ABI_MINOR}\n");
    for table in tables {
        let _ = write!(text, "\n{}\n", table.title);
        for row in &table.rows {
            let _ = writeln!(text, "  {}", row.join("  "));
        }
    }
    text
}

fn markdown(tables: &[Table]) -> String {
    let mut text = String::new();
    for table in tables {
        let _ = write!(
            text,
            "\n### {}\n\n| {} |\n",
            table.title,
            table.columns.join(" | ")
        );
        let _ = writeln!(text, "|{}", "---|".repeat(table.columns.len()));
        for row in &table.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
    }
    text.push('\n');
    text
}

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn bless() -> bool {
    std::env::var_os("RIPTIDE_BLESS").is_some()
}

#[test]
fn layout_is_the_golden_one() {
    let path = here(&format!("tests/layout-{ABI_MAJOR}.{ABI_MINOR}.golden"));
    let text = golden_text(&tables());
    if bless() {
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "the layout is not that of ABI {ABI_MAJOR}.{ABI_MINOR} any more: raise ABI_MINOR if old \
         readers still read it, else ABI_MAJOR, and see the head of this file.\n{}",
        first_difference(&golden, &text)
    );
}

#[test]
fn format_md_has_the_same_tables() {
    const BEGIN: &str = "<!-- tables: written by `RIPTIDE_BLESS=1 cargo test -p riptide-region --test layout` -->\n";
    const END: &str = "<!-- end of the tables -->";
    let path = here("FORMAT.md");
    let page = fs::read_to_string(&path).unwrap();
    let begin = page.find(BEGIN).expect("FORMAT.md marks its tables") + BEGIN.len();
    let end = page.find(END).expect("FORMAT.md ends its tables");
    let tables = markdown(&tables());
    if bless() {
        fs::write(&path, format!("{}{tables}{}", &page[..begin], &page[end..])).unwrap();
        return;
    }
    assert!(
        page[begin..end] == tables,
        "FORMAT.md differs from the code.\n{}",
        first_difference(&page[begin..end], &tables)
    );
    assert!(
        page.contains(&format!("| {ABI_MAJOR}.{ABI_MINOR} |")),
        "FORMAT.md's history has no version {ABI_MAJOR}.{ABI_MINOR}"
    );
}

fn first_difference(left: &str, right: &str) -> String {
    let mut lines = left.lines().zip(right.lines());
    lines.find(|(left, right)| left != right).map_or_else(
        || {
            format!(
                "{} lines against {}",
                left.lines().count(),
                right.lines().count()
            )
        },
        |(left, right)| format!("written: {left}\nin code: {right}"),
    )
}

/// No byte of the header or of a section entry is in no field or in two.
#[test]
fn fields_cover_their_structs() {
    for table in &tables()[1..3] {
        let mut next = 0;
        for row in &table.rows {
            let (offset, bytes): (usize, usize) =
                (row[0].parse().unwrap(), row[1].parse().unwrap());
            assert_eq!(offset, next, "{}: {}", table.title, row[2]);
            next += bytes;
        }
        let whole = if table.title == "Header" {
            HEADER_BYTES
        } else {
            128
        };
        assert_eq!(next, whole, "{}", table.title);
    }
}

/// Of every size, sections lie behind the header page, inside the region, on pages of their own,
/// and hold as many elements as they say.
#[test]
fn plans_are_sound() {
    assert!(Plan::new(REGION_MIN_BYTES - 1, false).is_none());
    let sizes = (0..64)
        .map(|step| REGION_MIN_BYTES + step * 77_777)
        .chain((20..=30).map(|bit| 1 << bit))
        .chain([u64::MAX, REGION_MAX_BYTES + 1]);
    for bytes in sizes {
        for dense in [false, true] {
            let plan = Plan::new(bytes, dense).unwrap();
            assert!(plan.region_bytes <= bytes.min(REGION_MAX_BYTES));
            assert!(plan.region_bytes + 4096 > bytes.min(REGION_MAX_BYTES));
            let mut end = HEADER_PAGE_BYTES as u64;
            for section in plan.sections() {
                assert_eq!(section.offset, end, "{bytes}: {section:?}");
                assert!(section.offset.is_multiple_of(4096));
                assert!(section.count > 0);
                let elements = section.count * u64::from(section.stride);
                let used = u64::from(section.header_bytes) + elements;
                assert!(used <= section.length);
                assert!(used + u64::from(section.stride) > section.length);
                end = (section.offset + section.length).next_multiple_of(4096);
            }
            assert_eq!(end, plan.region_bytes, "{bytes}");
            let count = |kind: SectionKind| {
                let sections = plan.sections().iter();
                sections
                    .filter(|section| section.kind == kind as u32)
                    .count()
            };
            for (kind, _) in KINDS {
                let expected = if kind == SectionKind::Ring && dense {
                    8
                } else {
                    1
                };
                assert_eq!(count(kind), expected, "{kind:?}");
            }
            let elements = |kind: SectionKind| {
                let mut sections = plan.sections().iter();
                sections
                    .find(|section| section.kind == kind as u32)
                    .unwrap()
                    .count
            };
            assert!(elements(SectionKind::StackIndex).is_power_of_two());
            assert!(elements(SectionKind::StackIndex) >= 2 * elements(SectionKind::StackEntries));
            assert!(elements(SectionKind::Ring).is_power_of_two());
        }
    }
}

// ---- the fields lie where the section table says ----------------------------------------------

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// Words of the fields of element 0, in the order of the section table.
fn element(kind: SectionKind, words: &[AtomicU64]) -> Vec<u64> {
    let (header, _, offsets) = kind.shape();
    offsets
        .iter()
        .map(|offset| words[(header as usize + usize::from(*offset)) / 8].load(Ordering::Relaxed))
        .collect()
}

#[test]
fn live_fields_lie_where_the_table_says() {
    let words = words(8);
    LiveTable::new(&words).publish(
        0,
        &LiveBlock {
            address: 1,
            size: 2,
            align_log2: 3,
            stack: StackId(4),
            thread: 5,
            interval: 6,
            birth_ns: 7,
            number: 8,
        },
    );
    assert_eq!(
        element(SectionKind::Live, &words),
        [2, 1, 3 << 56 | 2, 5 << 32 | 4, 6, 7, 8]
    );
}

#[test]
fn ring_fields_lie_where_the_table_says() {
    let words = words(32 + 8);
    let ring = Ring::new(&words).unwrap();
    ring.publish(&[11, 12, 13, 14, 15, 16]);
    assert_eq!(
        element(SectionKind::Ring, &words),
        [2, 0, 11, 12, 13, 14, 15, 16]
    );
    ring.claim_and_stop();
    ring.publish(&[0; 6]);
    // Held by ticket 1; ticket 2, of lap 2, was given up; the header counts both.
    assert_eq!(element(SectionKind::Ring, &words)[..2], [3, 3 << 16 | 1]);
    assert_eq!(words[0].load(Ordering::Relaxed), 3);
    assert_eq!(words[16].load(Ordering::Relaxed), 1);
}

#[test]
fn module_fields_lie_where_the_table_says() {
    let words = words(16 + 64);
    let mut module = Module::default();
    module.text_start = 1;
    module.text_end = 2;
    module.file_offset = 3;
    module.bias = 4;
    module.valid_from_ns = 5;
    module.valid_to_ns = 6;
    module.set_build_id(b"abcdefgh");
    module.set_path(b"/lib/xyz");
    assert!(ModuleTable::new(&words).unwrap().append(&module));
    assert_eq!(words[0].load(Ordering::Relaxed), 1);
    assert_eq!(
        element(SectionKind::Modules, &words),
        [
            2,
            1,
            2,
            3,
            4,
            5,
            6,
            8 << 16 | 8,
            u64::from_le_bytes(*b"abcdefgh"),
            u64::from_le_bytes(*b"/lib/xyz")
        ]
    );
}

#[test]
fn status_fields_lie_where_the_table_says() {
    let words = words(128);
    let mut status = Status::default();
    for (place, field) in [
        &mut status.time_ns,
        &mut status.rss,
        &mut status.virtual_size,
        &mut status.cpu_ns,
        &mut status.cgroup_version,
        &mut status.cgroup_limit,
        &mut status.cgroup_usage,
        &mut status.cgroup_oom_kills,
        &mut status.allocated,
        &mut status.active,
        &mut status.metadata,
        &mut status.resident,
        &mut status.mapped,
        &mut status.retained,
        &mut status.dirty,
        &mut status.muzzy,
        &mut status.epoch_ns,
        &mut status.epoch_time_ns,
        &mut status.arenas,
        &mut status.reserved_range,
        &mut status.committed_range,
        &mut status.rss_shared,
        &mut status.thread_caches,
    ]
    .into_iter()
    .enumerate()
    {
        *field = Some(place as u64 + 1);
    }
    status.set_cgroup_path(b"/system.");
    status.ring_heads[0] = Some(40);
    status.publish(&words);
    let mut expected: Vec<u64> = std::iter::once(2).chain(1..=21).collect();
    expected.extend([8, u64::from_le_bytes(*b"/system."), 22, 23, 41]);
    assert_eq!(element(SectionKind::Status, &words), expected);
}

#[test]
fn bin_fields_lie_where_the_table_says() {
    let words = words(256);
    let mut bins = Bins::at(7);
    bins.took_ns = 8;
    bins.push(Bin {
        size: 16,
        slab_bytes: 4096,
        slab_blocks: 256,
        blocks: 5,
        slabs: 2,
        nonfull_slabs: 1,
    });
    bins.publish(&words);
    assert_eq!(element(SectionKind::Bins, &words), [2, 7, 8, 1, 16]);
    let bin: Vec<u64> = words[4..10]
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    assert_eq!(bin, [16, 4096, 256, 5, 2, 1]);
    assert_eq!(Bins::read(&words), bins);
}

/// A region of version 1.0 has neither the later fields of the status nor the section of bins.
#[test]
fn a_region_of_the_first_version_is_read() {
    use riptide_region::view::View;
    let plan = Plan::new(REGION_MIN_BYTES, false).unwrap();
    let words = words(plan.region_bytes as usize / 8);
    let header = bytemuck::Zeroable::zeroed();
    let view = View::create(&words, &plan, &header).unwrap();
    let mut status = Status::default();
    status.rss = Some(5);
    view.publish_status(&status);
    for (place, section) in plan.sections().iter().enumerate() {
        let start = HEADER_BYTES / 8 + place * 16;
        if section.kind == SectionKind::Bins as u32 {
            words[start].store(77, Ordering::Relaxed);
        } else if section.kind == SectionKind::Status as u32 {
            words[start + 5].store(24, Ordering::Relaxed);
        }
    }
    let view = View::open(&words).unwrap();
    assert_eq!(view.status(), status);
    assert_eq!(view.bins(), Bins::default());
    // Fewer fields than any version had.
    let status_entry = HEADER_BYTES / 8;
    words[status_entry + 5].store(23, Ordering::Relaxed);
    assert!(View::open(&words).is_err());
}

#[test]
fn stack_fields_lie_where_the_table_says() {
    let (index, entries, frames) = (words(4), words(32 + 40), words(8));
    let table = StackTable::new(&index, &entries, &frames).unwrap();
    let Interned::Id(id) = table.intern(&[70, 71], true, 9) else {
        panic!("no room");
    };
    let weight = |probability| Weight {
        size: 8,
        probability,
    };
    table.add_allocation(id, weight(1.0), 10);
    table.add_allocation(id, weight(0.5), 11);
    table.add_free(id, 8, Some(0));
    let read = element(SectionKind::StackEntries, &entries);
    let hash = read[1];
    let two = 2.0_f64.to_bits();
    assert_eq!(
        read,
        [
            1 << 63 | 1 << 62 | 2 << 48,
            hash,
            9,
            11,
            2,
            16,
            1,
            8,
            1,
            8,
            two,
            16.0_f64.to_bits(),
            two,
            128.0_f64.to_bits(),
            1
        ]
    );
    assert_eq!(entries[0].load(Ordering::Relaxed), 1);
    assert_eq!(entries[16].load(Ordering::Relaxed), 2);
    assert_eq!(frames[0].load(Ordering::Relaxed), 70);
    assert_eq!(frames[1].load(Ordering::Relaxed), 71);
    let indexed: Vec<u64> = index
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .filter(|word| *word != 0)
        .collect();
    assert_eq!(indexed, [hash >> 32 << 32 | 1]);
}

#[test]
fn section_entries_lie_behind_the_header() {
    use riptide_region::view::View;
    let plan = Plan::new(REGION_MIN_BYTES, true).unwrap();
    let words = words(plan.region_bytes as usize / 8);
    let header = bytemuck::Zeroable::zeroed();
    View::create(&words, &plan, &header).unwrap();
    for (place, section) in plan.sections().iter().enumerate() {
        let entry: &[u64; 16] = bytemuck::cast_ref(section);
        let start = HEADER_BYTES / 8 + place * 16;
        for (word, expected) in words[start..].iter().zip(entry) {
            assert_eq!(word.load(Ordering::Relaxed), *expected);
        }
    }
}
