//! A session over regions made by hand, on a clock that stands still until told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use riptide_reader::{
    ReaderError, Session, SessionOptions,
    clock::ManualClock,
    profile::{GroupBy, Snapshot, TargetState},
};
use riptide_region::{
    counters::{Counter, Gauge},
    event::{Event, EventKind},
    header::State,
    stack_table::StackId,
};
use support::{SECOND, TestRegion};

const MIB: u64 = 1 << 20;

fn attach(region: &TestRegion, clock: &Arc<ManualClock>, history: bool) -> Session {
    region.flush();
    let options = SessionOptions {
        history,
        clock: Some(Arc::clone(clock) as _),
        ..SessionOptions::default()
    };
    Session::attach_with(region.path(), options).unwrap()
}

fn settled(session: &mut Session) -> Snapshot {
    session.snapshot();
    assert!(session.wait_for_symbols(Duration::from_secs(20)));
    let snapshot = session.snapshot_of_last_look();
    assert_eq!(snapshot.pending_symbols, 0);
    snapshot
}

#[test]
fn an_exact_region_gives_exact_sites() {
    let mut region = TestRegion::new(MIB, false);
    let a = region.stack(&[0x1001, 0x2001], 1);
    let b = region.stack(&[0x3001, 0x2001], 1);
    region.allocate(a, 100, 1, SECOND);
    region.allocate(a, 300, 1, 3 * SECOND);
    region.allocate(a, 200, 1, 2 * SECOND);
    let gone = region.allocate(b, 5_000, 1, SECOND);
    region.free(gone, b, 5_000, 10);
    region.allocate(b, 50, 1, 4 * SECOND);
    let clock = Arc::new(ManualClock::new(10 * SECOND));
    let snapshot = settled(&mut attach(&region, &clock, false));

    assert_eq!(snapshot.target.state, TargetState::Live);
    assert_eq!(snapshot.target.name, "service");
    assert_eq!(snapshot.target.pid, std::process::id());
    assert_eq!(snapshot.live.bytes.low, 650.0);
    assert_eq!(snapshot.live.bytes.high, 650.0);
    assert_eq!(snapshot.live.objects.estimate, 4.0);
    assert_eq!(snapshot.rates.growth_bytes_per_second, None);
    assert_eq!(snapshot.sites.len(), 2);
    let first = &snapshot.sites[0];
    assert_eq!(
        (first.function.as_str(), first.live_bytes.estimate),
        ("0x1000", 600.0)
    );
    assert_eq!(first.live_objects.high, 3.0);
    assert_eq!(first.live_samples, 3);
    assert_eq!(first.median_age_seconds, Some(8.0));
    assert_eq!(first.stack.len(), 2);
    assert_eq!(first.stack[1].function, "0x2000");
    assert_eq!(snapshot.sites[1].allocated_bytes_total.estimate, 5_050.0);
}

#[test]
fn blocks_without_a_stack_have_a_site_of_their_own() {
    let mut region = TestRegion::new(MIB, false);
    region.allocate(StackId::UNKNOWN, 100, 1, SECOND);
    region.allocate(StackId(12_345), 20, 1, SECOND);
    let clock = Arc::new(ManualClock::new(SECOND));
    let snapshot = settled(&mut attach(&region, &clock, false));
    assert_eq!(snapshot.sites.len(), 1);
    assert_eq!(snapshot.sites[0].function, "[unknown stack]");
    assert_eq!(snapshot.sites[0].live_bytes.estimate, 120.0);
}

#[test]
fn growth_appears_after_two_seconds() {
    let mut region = TestRegion::new(MIB, false);
    let stack = region.stack(&[0x1001], 1);
    let old = region.allocate(stack, 1_000, 1, SECOND);
    let clock = Arc::new(ManualClock::new(10 * SECOND));
    let mut session = attach(&region, &clock, false);
    assert_eq!(session.snapshot().sites[0].growth_bytes_per_second, None);
    region.free(old, stack, 1_000, SECOND);
    for _ in 0..10 {
        region.allocate(stack, 500, 1, 12 * SECOND);
    }
    region.flush();
    clock.set(11 * SECOND);
    assert_eq!(session.snapshot().rates.growth_bytes_per_second, None);
    clock.set(14 * SECOND);
    let snapshot = session.snapshot();
    let growth = snapshot.sites[0].growth_bytes_per_second.unwrap();
    assert_eq!(
        (growth.low, growth.estimate, growth.high),
        (1_000.0, 1_000.0, 1_000.0)
    );
    assert_eq!(snapshot.rates.growth_bytes_per_second, Some(growth));
    assert_eq!(snapshot.rates.allocations_per_second, Some(2.5));
    assert_eq!(snapshot.sites[0].allocations_per_second, Some(2.5));
    session.restart_watch();
    assert_eq!(session.snapshot().sites[0].growth_bytes_per_second, None);
}

fn event(number: u64) -> Event {
    Event {
        kind: EventKind::Allocation,
        address: 16,
        size: 64,
        stack: StackId(1),
        thread: 1,
        time_ns: number,
        number,
        interval: 1,
    }
}

#[test]
fn loss_counts_from_the_moment_of_attaching() {
    let region = TestRegion::new(MIB, false);
    let ring = region.view().rings().next().unwrap();
    for number in 0..ring.capacity() * 3 {
        ring.publish(&event(number).encode());
    }
    let clock = Arc::new(ManualClock::new(SECOND));
    let mut once = attach(&region, &clock, false);
    let mut dashboard = attach(&region, &clock, true);
    assert_eq!(once.events().len(), 0);
    assert_eq!(dashboard.events().len() as u64, ring.capacity());
    for session in [&mut once, &mut dashboard] {
        assert_eq!(session.snapshot().loss.overwritten, 0);
        assert_eq!(session.account().delivered, 0);
    }
    for number in 0..ring.capacity() + 5 {
        ring.publish(&event(number).encode());
    }
    region.flush();
    for session in [&mut once, &mut dashboard] {
        let snapshot = session.snapshot();
        assert_eq!(snapshot.loss.overwritten, 5);
        assert_eq!(session.events().len() as u64, ring.capacity());
    }
}

#[test]
fn an_unfinished_record_is_torn_once_the_writers_are_gone() {
    let region = TestRegion::new(MIB, false);
    let clock = Arc::new(ManualClock::new(SECOND));
    let mut session = attach(&region, &clock, false);
    let ring = region.view().rings().next().unwrap();
    ring.claim_and_stop();
    region.flush();
    assert_eq!(session.snapshot().loss.torn, 0);
    assert_eq!(session.account().in_flight, 1);
    region.change_header(|header| header.start_time_ticks += 1);
    region.flush();
    let snapshot = session.snapshot();
    assert_eq!(snapshot.target.state, TargetState::Killed);
    assert_eq!(snapshot.loss.torn, 1);
}

#[test]
fn a_dead_target_is_read_as_of_its_last_sign_of_life() {
    let mut region = TestRegion::new(MIB, false);
    let stack = region.stack(&[0x1001], 1);
    region.allocate(stack, 100, 1, 2 * SECOND);
    region.view().counters.set(Gauge::HeartbeatNs, 5 * SECOND);
    region.publish_status(|status| {
        status.time_ns = Some(4 * SECOND);
        status.rss = Some(1_000_000);
        status.virtual_size = Some(9_000_000);
        status.reserved_range = Some(8_000_000);
        status.allocated = Some(500);
    });
    region.view().mark_exited();
    let clock = Arc::new(ManualClock::new(1_000 * SECOND));
    let snapshot = settled(&mut attach(&region, &clock, false));
    assert_eq!(snapshot.target.state, TargetState::Exited);
    assert_eq!(snapshot.sites[0].median_age_seconds, Some(3.0));
    assert_eq!(snapshot.memory.rss, Some(1_000_000));
    assert_eq!(snapshot.memory.r#virtual, Some(1_000_000));
    assert_eq!(snapshot.memory.age_seconds, Some(1.0));
    // 100 bytes are 112 usable.
    assert_eq!(snapshot.memory.not_seen_by_shim.unwrap().low, 388.0);
    assert_eq!(snapshot.memory.rounding.unwrap().estimate, 12.0);
}

#[test]
fn a_live_target_has_fresh_figures_of_the_kernel() {
    let region = TestRegion::new(MIB, false);
    region.publish_status(|status| {
        status.time_ns = Some(1);
        status.rss = Some(1);
    });
    region.flush();
    let mut session = Session::attach(region.path()).unwrap();
    let snapshot = session.snapshot();
    assert!(snapshot.memory.rss.unwrap() > 100_000);
    assert!(snapshot.target.uptime_seconds.is_some());
    assert!(snapshot.memory.files_and_shared.is_some());
}

#[test]
fn unrecorded_blocks_make_figures_lower_bounds() {
    let region = TestRegion::new(MIB, false);
    let counters = region.view().counters;
    counters.add(Counter::UnrecordedLiveTableFull, 2);
    counters.add(Counter::UnrecordedRangeExhausted, 3);
    let clock = Arc::new(ManualClock::new(SECOND));
    let snapshot = attach(&region, &clock, false).snapshot();
    assert_eq!(snapshot.loss.unrecorded_blocks, 5);
    assert!(snapshot.loss.makes_live_a_lower_bound());
}

#[test]
fn a_session_over_a_truncated_file_says_so_and_keeps_the_last_figures() {
    let mut region = TestRegion::new(MIB, false);
    let stack = region.stack(&[0x1001], 1);
    region.allocate(stack, 100, 1, SECOND);
    let clock = Arc::new(ManualClock::new(SECOND));
    let mut session = attach(&region, &clock, false);
    assert!(session.problem().is_none());
    region.file().set_len(8_192).unwrap();
    let snapshot = session.snapshot();
    assert!(matches!(
        session.problem(),
        Some(ReaderError::TruncatedWhileMapped { .. })
    ));
    assert_eq!(snapshot.live.bytes.estimate, 100.0);
    assert!(matches!(
        Session::attach(region.path()),
        Err(ReaderError::Region { .. })
    ));
}

#[test]
fn another_version_is_refused_with_its_own_exit_code() {
    let region = TestRegion::new(MIB, false);
    region.change_header(|header| header.abi_major = 99);
    region.flush();
    let error = Session::attach(region.path()).err().unwrap();
    assert_eq!(error.exit_code(), 4);
    let version = format!("99.{}", riptide_region::header::ABI_MINOR);
    assert!(error.to_string().contains(&version));
    region.change_header(|header| {
        header.abi_major = riptide_region::header::ABI_MAJOR;
        header.endian_mark = 0x0201;
    });
    region.flush();
    assert_eq!(Session::attach(region.path()).err().unwrap().exit_code(), 4);
}

#[test]
fn the_environment_error_is_shown_without_control_characters() {
    let region = TestRegion::new(MIB, false);
    region.change_header(|header| {
        header.config_error[..10].copy_from_slice(b"bad\x1b[2J\nxy");
        header.config_error_len = 10;
    });
    let clock = Arc::new(ManualClock::new(SECOND));
    let session = attach(&region, &clock, false);
    assert_eq!(session.config_error().unwrap(), "bad\u{fffd}[2J\nxy");
}

#[test]
fn stacks_carry_the_same_totals_as_sites() {
    let mut region = TestRegion::new(MIB, false);
    let a = region.stack(&[0x1001, 0x2001], 1);
    let b = region.stack(&[0x1001, 0x3001], 1);
    region.allocate(a, 100, 1, SECOND);
    region.allocate(b, 200, 1, SECOND);
    let clock = Arc::new(ManualClock::new(SECOND));
    let mut session = attach(&region, &clock, false);
    let snapshot = settled(&mut session);
    let stacks = session.stacks();
    assert_eq!(snapshot.sites.len(), 1);
    assert_eq!(snapshot.sites[0].live_bytes.estimate, 300.0);
    assert_eq!(snapshot.sites[0].stack[1].function, "0x3000");
    assert_eq!(stacks.len(), 2);
    assert_eq!(stacks[0].live_bytes + stacks[1].live_bytes, 300.0);
    assert_eq!(*stacks[0].addresses, [0x1001, 0x3001]);
    assert_eq!(region.view().state(), State::Ready);
}

#[test]
fn groups_and_shapes_carry_the_figures_of_their_blocks() {
    let mut region = TestRegion::new(MIB, false);
    let a = region.stack(&[0x1001, 0x2001], 1);
    let b = region.stack(&[0x3001, 0x2001], 2);
    region.allocate(a, 100, 1, SECOND);
    region.allocate(a, 300, 1, 3 * SECOND);
    let gone = region.allocate(b, 50, 1, 4 * SECOND);
    region.free(gone, b, 50, 500_000);
    let clock = Arc::new(ManualClock::new(10 * SECOND));
    let mut session = attach(&region, &clock, false);
    settled(&mut session);
    let of = |by| session.model().groups(session.observation(), by);
    let functions = of(GroupBy::Function);
    assert_eq!(functions.len(), 2);
    assert_eq!(
        (functions[0].name.as_str(), functions[0].live_bytes.high),
        ("0x1000", 400.0)
    );
    assert_eq!(functions[0].freed_share, Some(0.0));
    assert_eq!(functions[0].last_seen_seconds_ago, Some(7.0));
    assert_eq!(functions[1].freed_share, Some(1.0));
    assert_eq!(functions[1].temporary_share, Some(1.0));
    let threads = of(GroupBy::Thread);
    assert_eq!(threads.len(), 1);
    assert_eq!(
        (threads[0].name.as_str(), threads[0].live_objects.low),
        ("7", 2.0)
    );
    let shapes = session
        .model()
        .shapes(session.observation(), GroupBy::Function, "0x1000");
    assert_eq!(shapes.sizes_bytes.count, 2);
    assert!(shapes.sizes_bytes.max.abs_diff(300) <= 3);
    assert_eq!(shapes.lifetimes_ms.count, 0);
    assert_eq!(session.model().history().last(60).len(), 1);
}

#[test]
fn threads_sites_and_shapes_can_be_looked_at_closely() {
    let mut region = TestRegion::new(MIB, false);
    let a = region.stack(&[0x1001, 0x2001], 1);
    let b = region.stack(&[0x3001, 0x2001], 2);
    region.allocate(a, 100, 1, SECOND);
    region.allocate(a, 300, 1, 3 * SECOND);
    let gone = region.allocate(b, 50, 1, 4 * SECOND);
    region.free(gone, b, 50, 500_000);
    let clock = Arc::new(ManualClock::new(10 * SECOND));
    let mut session = attach(&region, &clock, false);
    settled(&mut session);
    let (model, seen) = (session.model(), session.observation());
    let threads = model.threads(seen);
    assert_eq!(threads.len(), 1);
    assert_eq!((threads[0].id, threads[0].live_bytes.high), (7, 400.0));
    assert_eq!(threads[0].sites[0].function, "0x1000");
    assert!((threads[0].kept_bytes_per_second.estimate - 400.0 / 60.0).abs() < 1e-9);
    let site = model.inspect(seen, "0x1000", None, None);
    assert_eq!((site.stacks, site.shapes.sizes_bytes.count), (1, 2));
    assert_eq!(site.last_seen_seconds_ago, Some(7.0));
    assert_eq!(site.freed_share, Some(0.0));
    let shape = model.heap_shape(seen);
    let classes: Vec<(u64, f64)> = shape
        .sizes
        .iter()
        .map(|class| (class.usable_bytes, class.live_objects.estimate))
        .collect();
    assert_eq!(classes, [(112, 1.0), (320, 1.0)]);
    assert_eq!(shape.lifetimes.len(), 1);
    assert_eq!(
        (shape.lifetimes[0].from_ms, shape.lifetimes[0].samples),
        (0, 1)
    );
    assert_eq!(shape.temporary[0].function, "0x3000");
    assert_eq!(shape.temporary[0].objects.estimate, 1.0);
    assert_eq!(session.stack_growth().len(), 0);
}

#[test]
fn a_recording_is_played_look_by_look() {
    use riptide_reader::recording::{Recorder, Replay, Span};
    let mut region = TestRegion::new(MIB, false);
    let stack = region.stack(&[0x1001, 0x2001], 1);
    region.allocate(stack, 100, 1, SECOND);
    let clock = Arc::new(ManualClock::new(10 * SECOND));
    let mut session = attach(&region, &clock, false);
    settled(&mut session);
    let path = std::env::temp_dir().join(format!("riptide-play-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let mut recorder = Recorder::begin(file, &session).unwrap();
    for second in 0..5 {
        clock.set((11 + second) * SECOND);
        session.snapshot();
        recorder.follow(&session);
        recorder.look(&mut session).unwrap();
    }
    recorder.finish(&mut session).unwrap();
    let mut seen = Vec::new();
    let replay = Replay::play(&path, None, &mut |replay| {
        replay.name_stacks();
        let live = replay.snapshot().live.objects.estimate;
        seen.push((replay.moment().as_secs(), live));
    })
    .unwrap();
    let expected: Vec<(u64, f64)> = (0..5).map(|look| (look, 1.0)).collect();
    assert_eq!(seen, expected);
    assert_eq!(replay.length().as_secs(), 4);
    // Each moment is the one that opening it alone gives.
    for (second, live) in seen {
        let at = std::time::Duration::from_secs(second);
        let mut alone = Replay::open(&path, Some(at), Span::Past).unwrap();
        assert_eq!(alone.snapshot().live.objects.estimate, live);
    }
    std::fs::remove_file(&path).unwrap();
}

/// The region may be of another time namespace, or of before the machine was restored from a snapshot: times
/// in it are those of another clock, and the reader's own may step. No figure is negative, and no rate is of
/// a time that has not passed.
#[test]
fn clocks_that_step_make_no_figure_that_cannot_be() {
    let mut region = TestRegion::new(MIB, false);
    let stack = region.stack(&[0x1001], 1);
    for second in 0..50 {
        region.allocate(stack, 100, 1, second * SECOND);
    }
    region.view().counters.set(Gauge::HeartbeatNs, 60 * SECOND);
    region.publish_status(|status| {
        status.time_ns = Some(60 * SECOND);
        status.epoch_time_ns = Some(59 * SECOND);
        status.allocated = Some(5_000);
    });
    let clock = Arc::new(ManualClock::new(61 * SECOND));
    let mut session = attach(&region, &clock, false);
    let steps = [62, 5, 0, 61, 1 << 33, 60, 63, 3, u64::MAX / SECOND, 64];
    for second in steps {
        clock.set(second * SECOND);
        let snapshot = session.snapshot();
        assert_eq!(snapshot.live.bytes.estimate, 5_000.0, "at {second} s");
        let not_negative = |figure: Option<f64>, what: &str| {
            let fits = figure.is_none_or(|figure| figure.is_finite() && figure >= 0.0);
            assert!(fits, "{what} is {figure:?} at {second} s");
        };
        not_negative(snapshot.target.uptime_seconds, "uptime");
        not_negative(snapshot.target.heartbeat_age_seconds, "heartbeat");
        not_negative(snapshot.memory.age_seconds, "age of the figures");
        not_negative(snapshot.rates.allocations_per_second, "allocations");
        not_negative(snapshot.rates.allocated_bytes_per_second, "bytes");
        not_negative(Some(session.watched_seconds()), "time watched");
        for site in &snapshot.sites {
            not_negative(site.median_age_seconds, "median age");
            not_negative(site.allocations_per_second, "allocations of the site");
            let growth = site.growth_bytes_per_second;
            // Nothing was allocated or freed since the session began.
            assert!(
                growth.is_none_or(|growth| growth.estimate == 0.0),
                "{growth:?}"
            );
        }
        for finding in session.findings() {
            assert!((0.0..=1.0).contains(&finding.confidence), "{finding:?}");
        }
    }
}
