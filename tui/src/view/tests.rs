use std::{path::PathBuf, sync::Arc};

use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    layout::Size,
    style::{Color, Modifier},
};
use riptide_reader::profile::{Snapshot, TargetState};

use super::{MIN_HEIGHT, MIN_WIDTH, footer, render};
use crate::{
    app::{App, Mode, Screen},
    feed::{Target, Trouble, TroubleKind, Update},
    input::Input,
    keys::Key,
    sample,
    theme::Theme,
};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (132, 43);

fn region() -> PathBuf {
    sample::snapshot().target.region
}

fn app(size: (u16, u16)) -> App {
    App::new(Theme::new(false), Size::new(size.0, size.1), Some(region()))
}

/// The sample with the leak grown for so many seconds, and the other sites as they are.
fn later(seconds: f64) -> Snapshot {
    let mut snapshot = sample::snapshot();
    let grown = (seconds - 40.0) * 1.62 * 1024.0 * 1024.0;
    for value in [&mut snapshot.sites[1].live_bytes, &mut snapshot.live.bytes] {
        let error = value.high - value.estimate;
        value.estimate = (value.estimate + grown).max(1.0);
        value.low = value.estimate - error;
        value.high = value.estimate + error;
    }
    snapshot.sampling.samples += seconds as u64;
    snapshot
}

/// A dashboard that has watched for 40 seconds.
fn watching(size: (u16, u16)) -> App {
    let mut app = app(size);
    for second in 0..=40 {
        let snapshot = later(f64::from(second));
        app.update(Update::Snapshot(Arc::new(snapshot)), f64::from(second));
    }
    app
}

fn press(app: &mut App, keys: &[Key]) {
    for key in keys {
        app.input(Input::Key(*key));
    }
}

fn typed(app: &mut App, text: &str) {
    for letter in text.chars() {
        app.input(Input::Key(Key::Char(letter)));
    }
}

fn draw(app: &App) -> Terminal<TestBackend> {
    let backend = TestBackend::new(app.size.width, app.size.height);
    let mut terminal = Terminal::new(backend).unwrap();
    terminal.draw(|frame| render(frame, app)).unwrap();
    terminal
}

fn screen(app: &App) -> String {
    draw(app).backend().to_string()
}

fn targets() -> Vec<Target> {
    let target = |pid, name, state| Target {
        info: sample::target(pid, name, state),
        trouble: None,
    };
    let mut old = target(17, "importer", TargetState::Exited);
    old.trouble = Some(Trouble {
        kind: TroubleKind::Incompatible,
        message: "region format 9.0 is not supported (this reader knows 1.x)".to_owned(),
        hint: "use the riptide of the same release as the program's riptide-alloc".to_owned(),
    });
    vec![
        target(4_242, "service", TargetState::Live),
        target(811, "worker", TargetState::Killed),
        old,
    ]
}

macro_rules! pictures {
    ($($name:ident => $prepare:expr;)*) => {$(
        #[test]
        fn $name() {
            for size in [SMALL, LARGE] {
                let prepare: fn((u16, u16)) -> App = $prepare;
                let app = prepare(size);
                insta::assert_snapshot!(
                    format!("{}_{}x{}", stringify!($name), size.0, size.1),
                    screen(&app)
                );
            }
        }
    )*};
}

pictures! {
    overview => watching;
    overview_of_a_dead_target => |size| {
        let mut app = app(size);
        let mut snapshot = sample::snapshot();
        snapshot.target.state = TargetState::Killed;
        snapshot.target.heartbeat_age_seconds = None;
        snapshot.rates = Default::default();
        for site in &mut snapshot.sites {
            site.growth_bytes_per_second = None;
        }
        app.update(Update::Snapshot(Arc::new(snapshot)), 0.0);
        app
    };
    overview_with_lost_blocks => |size| {
        let mut app = app(size);
        let mut snapshot = sample::snapshot();
        snapshot.loss.unrecorded_blocks = 12;
        snapshot.pending_symbols = 3;
        app.update(Update::Snapshot(Arc::new(snapshot)), 0.0);
        app
    };
    overview_paused => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Char(' ')]);
        let now = later(60.0);
        app.update(Update::Snapshot(Arc::new(now)), 60.0);
        app
    };
    overview_denied => |size| {
        let mut app = app(size);
        app.update(
            Update::Trouble(Trouble {
                kind: TroubleKind::Denied,
                message: "/dev/shm/riptide-1000/4242-8812-5f0c belongs to user 1000, and this is user 33".to_owned(),
                hint: "run as user 1000 (`sudo -u '#1000' riptide …`) or as root".to_owned(),
            }),
            0.0,
        );
        app
    };
    sites => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Char('2'), Key::Down]);
        app
    };
    sites_filtered => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Char('2'), Key::Char('/')]);
        typed(&mut app, "route live>100K");
        app
    };
    sites_with_a_wrong_filter => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Char('2'), Key::Char('/')]);
        typed(&mut app, "fn:~(");
        app
    };
    sort_menu => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Char('2'), Key::Char('s'), Key::Down]);
        app
    };
    detail => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Enter, Key::Enter]);
        app
    };
    detail_with_runtime_frames => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Enter, Key::Enter, Key::Char('x')]);
        app
    };
    help => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Char('?')]);
        app
    };
    searching => |size| App::new(Theme::new(false), Size::new(size.0, size.1), None);
    picker => |size| {
        let mut app = App::new(Theme::new(false), Size::new(size.0, size.1), None);
        app.update(Update::Targets(targets()), 0.0);
        press(&mut app, &[Key::Down, Key::Down]);
        app
    };
}

#[test]
fn a_terminal_that_is_too_small_is_told_so() {
    let app = watching((50, 10));
    let text = screen(&app);
    assert!(
        text.contains("riptide needs 60×16, this is 50×10"),
        "{text}"
    );
}

#[test]
fn one_target_is_shown_at_once_and_several_are_offered() {
    let mut app = App::new(Theme::new(false), Size::new(80, 24), None);
    let mut all = targets();
    app.update(Update::Targets(all.split_off(2)), 0.0);
    assert_eq!(app.screen, Screen::Overview);
    let mut app = App::new(Theme::new(false), Size::new(80, 24), None);
    app.update(Update::Targets(targets()), 0.0);
    assert_eq!(app.screen, Screen::Picker);
    press(&mut app, &[Key::Enter]);
    assert_eq!(app.screen, Screen::Overview);
    assert_eq!(app.take_requests().len(), 1);
}

#[test]
fn escape_goes_up_and_never_out() {
    let mut app = watching(SMALL);
    press(&mut app, &[Key::Enter, Key::Enter]);
    assert_eq!(app.screen, Screen::Detail);
    press(&mut app, &[Key::Char('?')]);
    let mut screens = Vec::new();
    for _ in 0..8 {
        press(&mut app, &[Key::Esc]);
        screens.push(app.screen);
    }
    assert_eq!(
        screens.first_chunk(),
        Some(&[
            Screen::Detail,
            Screen::Sites,
            Screen::Picker,
            Screen::Picker
        ])
    );
    assert_eq!(app.exit, None);
}

#[test]
fn enter_on_the_overview_leads_to_the_growing_site() {
    let mut app = watching(SMALL);
    press(&mut app, &[Key::Enter]);
    assert_eq!(app.screen, Screen::Sites);
    assert_eq!(
        app.selected_site().unwrap().function,
        "service::sessions::remember_session"
    );
}

#[test]
fn a_pause_holds_the_picture_and_draws_nothing() {
    let mut app = watching(SMALL);
    press(&mut app, &[Key::Char(' ')]);
    assert!(matches!(app.mode(), Mode::Paused(_)));
    let held = screen(&app);
    for second in 41..50 {
        let snapshot = later(f64::from(second));
        assert!(!app.update(Update::Snapshot(Arc::new(snapshot)), f64::from(second)));
    }
    assert_eq!(screen(&app), held);
    press(&mut app, &[Key::Char(' ')]);
    assert_ne!(screen(&app), held);
}

#[test]
fn a_quiet_target_is_not_drawn() {
    let mut app = app(SMALL);
    let snapshot = Arc::new(sample::snapshot());
    let mut drawn = 0;
    for second in 0..60 {
        drawn += u32::from(app.update(Update::Snapshot(Arc::clone(&snapshot)), f64::from(second)));
    }
    assert_eq!(app.mode(), Mode::Quiet);
    assert!(drawn <= 4, "{drawn} draws");
}

#[test]
fn snapshots_of_a_target_that_was_left_are_not_shown() {
    let mut app = watching(SMALL);
    let mut other = sample::snapshot();
    other.target.region = PathBuf::from("/elsewhere");
    other.target.name = "other".to_owned();
    assert!(!app.update(Update::Snapshot(Arc::new(other)), 41.0));
    assert!(!screen(&app).contains("other"));
}

#[test]
fn a_click_selects_and_a_second_one_opens() {
    let mut app = watching(SMALL);
    // The second tab.
    app.input(Input::Click { column: 16, row: 1 });
    assert_eq!(app.screen, Screen::Sites);
    app.input(Input::Click { column: 5, row: 5 });
    assert_eq!(app.sites.cursor.selected, 2);
    app.input(Input::Click { column: 5, row: 5 });
    assert_eq!(app.screen, Screen::Detail);
}

#[test]
fn colours_are_the_sixteen_on_the_background_of_the_terminal() {
    for prepare in [
        |app: &mut App| press(app, &[]),
        |app: &mut App| press(app, &[Key::Char('2')]),
        |app: &mut App| press(app, &[Key::Char('?')]),
    ] {
        let mut app = watching(LARGE);
        app.theme = Theme::new(true);
        prepare(&mut app);
        let terminal = draw(&app);
        let mut colored = 0;
        for cell in &terminal.backend().buffer().content {
            assert_eq!(cell.bg, Color::Reset);
            assert!(!matches!(cell.fg, Color::Rgb(..) | Color::Indexed(_)));
            colored += u32::from(cell.fg != Color::Reset);
        }
        assert!(colored > 0);
    }
}

#[test]
fn without_colours_only_attributes_are_used() {
    let terminal = draw(&watching(LARGE));
    for cell in &terminal.backend().buffer().content {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
    assert!(
        terminal
            .backend()
            .buffer()
            .content
            .iter()
            .any(|cell| cell.modifier.contains(Modifier::REVERSED))
    );
}

#[test]
fn figures_are_shown_whole_at_every_width() {
    for width in MIN_WIDTH..=160 {
        let mut app = watching((width, 24));
        press(&mut app, &[Key::Char('2')]);
        let text = screen(&app);
        assert!(text.contains("18.3 MiB ±1.1"), "{width}\n{text}");
        press(&mut app, &[Key::Char('1')]);
        let text = screen(&app);
        assert!(text.contains("+1.62 MiB/s ±0.20"), "{width}\n{text}");
        assert!(text.contains("44.1 MiB ±1.3"), "{width}\n{text}");
    }
}

#[test]
fn the_keys_of_a_view_fit_its_footer() {
    for width in MIN_WIDTH..=160 {
        for keys in [
            &[][..],
            &[Key::Char('2')],
            &[Key::Enter, Key::Enter],
            &[Key::Char('?')],
        ] {
            let mut app = watching((width, MIN_HEIGHT));
            press(&mut app, keys);
            let text = screen(&app);
            assert!(footer::height(&app, width) <= 3);
            assert!(text.contains("q quit"), "{width}\n{text}");
        }
    }
}

fn any_input() -> impl Strategy<Value = Input> {
    let key = prop_oneof![
        any::<char>().prop_map(Key::Char),
        proptest::sample::select("qQ?12/s<>rx hjklgGn~:(.>M".chars().collect::<Vec<_>>())
            .prop_map(Key::Char),
        proptest::sample::select(vec!['c', 'u', 'd', 'w', 'l', 'z', 'b', 'f']).prop_map(Key::Ctrl),
        proptest::sample::select(vec![
            Key::Enter,
            Key::Enter,
            Key::Esc,
            Key::Tab,
            Key::BackTab,
            Key::Up,
            Key::Down,
            Key::Left,
            Key::Right,
            Key::PageUp,
            Key::PageDown,
            Key::Home,
            Key::End,
            Key::Backspace,
            Key::Delete,
        ]),
    ];
    prop_oneof![
        6 => key.prop_map(Input::Key),
        1 => (0_u16..250, 0_u16..120)
            .prop_map(|(column, row)| Input::Click { column, row }),
        1 => Just(Input::WheelUp),
        1 => Just(Input::WheelDown),
        1 => ".{0,20}".prop_map(Input::Paste),
        1 => (0_u16..200, 0_u16..70)
            .prop_map(|(width, height)| Input::Resize { width, height }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Input(Input),
    Snapshot(u8, bool),
    Targets(usize),
    Trouble,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any_input().prop_map(Step::Input),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(sites, odd)| Step::Snapshot(sites, odd)),
        1 => (0_usize..4).prop_map(Step::Targets),
        1 => Just(Step::Trouble),
    ]
}

fn odd(snapshot: &mut Snapshot) {
    snapshot.live.bytes.estimate = f64::NAN;
    snapshot.live.objects.high = f64::INFINITY;
    snapshot.memory = Default::default();
    snapshot.rates = Default::default();
    snapshot.target.name = "a\x1b[2J名前\u{301}".repeat(9);
    snapshot.target.uptime_seconds = Some(f64::NAN);
    for (n, site) in snapshot.sites.iter_mut().enumerate() {
        site.live_bytes.estimate = [f64::NAN, -1.0, 1e300, 0.0][n % 4];
        site.function = "<α::β as γ>::{{closure}}".repeat(n % 5);
        site.file = None;
        site.stack = Vec::new().into();
        site.growth_bytes_per_second = None;
        site.median_age_seconds = Some(f64::INFINITY);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_keys_at_no_size_panic(
        size in (0_u16..200, 0_u16..70),
        steps in proptest::collection::vec(any_step(), 0..60),
    ) {
        let mut app = app(size);
        for (now, step) in steps.into_iter().enumerate() {
            match step {
                Step::Input(input) => {
                    app.input(input);
                }
                Step::Snapshot(sites, is_odd) => {
                    let mut snapshot = later(now as f64);
                    snapshot.sites.truncate(usize::from(sites));
                    if is_odd {
                        odd(&mut snapshot);
                    }
                    app.update(Update::Snapshot(Arc::new(snapshot)), now as f64);
                }
                Step::Targets(count) => {
                    app.update(Update::Targets(targets().into_iter().take(count).collect()), now as f64);
                }
                Step::Trouble => {
                    app.update(
                        Update::Trouble(Trouble {
                            kind: TroubleKind::Unreadable,
                            message: "x".repeat(300),
                            hint: String::new(),
                        }),
                        now as f64,
                    );
                }
            }
            app.take_requests();
            draw(&app);
        }
    }
}
