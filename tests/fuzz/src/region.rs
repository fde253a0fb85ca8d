//! The view of a region: opened, read through every table, written as the target does, read again.

use std::{cell::RefCell, sync::atomic::Ordering::Relaxed};

use riptide_region::{
    counters::{Counter, Gauge, Marking, Unwinder},
    event::Event,
    header::{MAGIC, State},
    live_table::{LiveBlock, Slot},
    module_table::Module,
    primitive::AtomicU64,
    ring::{Cursor, Ring},
    stack_table::{MAX_FRAMES, StackId, Weight},
    status::Status,
    view::View,
};

use crate::{
    small_region::{change, template},
    take,
};

thread_local! {
    static REGION: RefCell<(Vec<u64>, Vec<AtomicU64>)> = RefCell::new({
        let template = template();
        let words = template.iter().map(|_| AtomicU64::new(0)).collect();
        (template, words)
    });
}

/// The first byte says what the others are: words as they are (0), words behind a right magic number
/// (1), or changes to a good region.
pub fn region(mut bytes: &[u8]) {
    let [mode] = take::<1>(&mut bytes);
    if mode < 2 {
        let mut words: Vec<AtomicU64> = bytes
            .chunks(8)
            .map(|mut chunk| AtomicU64::new(u64::from_le_bytes(take(&mut chunk))))
            .collect();
        if mode == 1 {
            words.insert(0, AtomicU64::new(MAGIC));
        }
        exercise(&words);
        return;
    }
    REGION.with_borrow(|(template, words)| {
        for (word, value) in words.iter().zip(template) {
            word.store(*value, Relaxed);
        }
        change(words, &mut bytes);
        // Some are cut short.
        let kept = match mode {
            2..=15 => words.len() * usize::from(mode) / 16,
            _ => words.len(),
        };
        exercise(&words[..kept]);
    });
}

fn exercise(words: &[AtomicU64]) {
    let Ok(view) = View::open(words) else {
        return;
    };
    read_everything(&view);
    write_everywhere(&view);
    read_everything(&view);
}

fn read_everything(view: &View<'_>) {
    let header = view.header();
    let mut read = header.exe_path().len()
        + header.exe_build_id().len()
        + header.config_error().len()
        + header.comm().len()
        + header.allocator_version().len();
    read += usize::from(view.state() == State::Ready);
    read += view.status().cgroup_path().len() + view.bins().all().len();
    let _ = Unwinder::from_word(view.counters.gauge(Gauge::Unwinder));
    let _ = Marking::from_word(view.counters.gauge(Gauge::Marking));
    assert!(view.modules.len() <= view.modules.capacity());
    for index in (0..=view.modules.len()).chain([usize::MAX]) {
        if let Some(module) = view.modules.read(index) {
            read += module.path().len() + module.build_id().len();
        }
    }
    assert!(view.stacks.len() <= view.stacks.capacity());
    let mut frames = [0; MAX_FRAMES];
    for id in (0..=view.stacks.len() as u32 + 1).chain([u32::MAX]) {
        if let Some((len, _)) = view.stacks.frames(StackId(id), &mut frames) {
            read += frames[..len].len();
        }
        if let Some(totals) = view.stacks.totals(StackId(id)) {
            for figure in [
                totals.objects,
                totals.bytes,
                totals.objects_variance,
                totals.bytes_variance,
            ] {
                assert!(figure.is_finite() && figure >= 0.0, "{totals:?}");
            }
        }
    }
    let mut live = 0;
    for index in (0..view.live.capacity()).chain([usize::MAX]) {
        if let Slot::Live(block) = view.live.read(index) {
            assert_ne!(block.address, 0);
            live += 1;
        }
    }
    assert!(live <= view.live.capacity());
    for ring in view.rings() {
        follow(&ring);
    }
    std::hint::black_box(read);
}

fn follow(ring: &Ring<'_>) {
    let head = ring.head();
    for mut cursor in [
        Cursor::at(0),
        Cursor::at(u64::MAX),
        Cursor::oldest(ring),
        Cursor::at(head),
    ] {
        let mut handed = 0;
        for gone in [false, true] {
            cursor.poll(ring, gone, |_, payload| {
                handed += 1;
                std::hint::black_box(Event::decode(payload));
            });
        }
        assert!(handed <= ring.capacity());
        // Each ticket is classed once.
        let account = cursor.account();
        let classed = u128::from(account.delivered)
            + u128::from(account.overwritten)
            + u128::from(account.dropped)
            + u128::from(account.torn)
            + u128::from(account.in_flight);
        assert_eq!(
            classed,
            u128::from(head.saturating_sub(cursor.start())),
            "{account:?}"
        );
        assert_eq!(account.in_flight, 0);
    }
}

/// What a target does while somebody scribbles over its region.
fn write_everywhere(view: &View<'_>) {
    let mut module = Module::default();
    module.set_path(&[b'x'; 500]);
    view.modules.append(&module);
    view.modules.update(0, &module);
    view.modules.update(usize::MAX, &module);
    for stack in [&[1_u64, 2, 3][..], &[4; MAX_FRAMES + 9], &[]] {
        view.stacks.intern(stack, true, 5);
    }
    let weight = Weight {
        size: u64::MAX,
        probability: 0.25,
    };
    for id in [0, 1, 2, u32::MAX] {
        view.stacks.add_allocation(StackId(id), weight, 6);
        view.stacks.add_free(StackId(id), u64::MAX, Some(u64::MAX));
    }
    let block = LiveBlock {
        address: 4_096,
        ..LiveBlock::default()
    };
    view.live.publish(3, &block);
    view.live.publish(usize::MAX, &block);
    view.live.clear(4);
    for ring in view.rings() {
        for _ in 0..3 {
            ring.publish(&[1, 2, 3, 4, 5, 6]);
        }
    }
    view.publish_status(&Status::default());
    view.counters.add(Counter::Samples, u64::MAX);
    view.counters.set(Gauge::HeartbeatNs, 1);
}
