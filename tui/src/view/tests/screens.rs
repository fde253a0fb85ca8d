//! Pictures of every screen, each looked at by somebody when it changed.

use super::*;

macro_rules! pictures {
    ($($name:ident at $sizes:expr => $prepare:expr;)*) => {$(
        #[test]
        fn $name() {
            for size in $sizes {
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

const BOTH: [(u16, u16); 2] = [SMALL, LARGE];
const ONCE: [(u16, u16); 1] = [SMALL];
/// Both ends of what is drawn, too.
const ALL: [(u16, u16); 4] = [(60, 16), SMALL, LARGE, (200, 60)];

fn pressed(size: (u16, u16), keys: &str) -> App {
    let mut app = watching(size);
    typed(&mut app, keys);
    app
}

/// The dashboard with the base set halfway.
fn compared(size: (u16, u16), keys: &str) -> App {
    let mut app = app(size);
    for second in 0..=40 {
        let snapshot = later(f64::from(second));
        let parts = sample::parts(&snapshot);
        app.update(Update::Snapshot(Arc::new(snapshot)), f64::from(second));
        app.update(Update::Parts(region(), parts), f64::from(second));
        if second == 30 {
            typed(&mut app, "d");
        }
    }
    typed(&mut app, keys);
    app
}

fn ended(size: (u16, u16), state: TargetState) -> App {
    let mut app = watching(size);
    let mut snapshot = later(41.0);
    snapshot.target.state = state;
    snapshot.target.heartbeat_age_seconds = None;
    app.update(Update::Snapshot(Arc::new(snapshot)), 41.0);
    app
}

fn troubled(size: (u16, u16), kind: TroubleKind, message: &str, hint: &str) -> App {
    let mut app = app(size);
    app.update(
        Update::Trouble(Trouble {
            kind,
            message: message.to_owned(),
            hint: hint.to_owned(),
        }),
        0.0,
    );
    app
}

fn excerpt() -> crate::look::Excerpt {
    let lines = [
        "impl Sessions {",
        "    /// Remembers a session; nobody ever forgets one.",
        "    pub fn remember_session(&self, id: u64) {",
        "        let session = Session::new(id);",
        "        let mut all = self.all.lock();",
        "        all.push(Box::new(session));",
        "    }",
        "}",
    ];
    crate::look::Excerpt {
        file: "src/sessions.rs".to_owned(),
        line: 57,
        place: Ok("/home/user/service/src/sessions.rs".to_owned()),
        first: 52,
        lines: lines.map(str::to_owned).into(),
    }
}

fn one_site(size: (u16, u16), keys: &[Key]) -> App {
    let mut app = watching(size);
    press(&mut app, &[Key::Enter]);
    app.update(Update::Excerpt(excerpt()), 40.0);
    press(&mut app, keys);
    app
}

pictures! {
    overview at ALL => watching;
    overview_in_the_past at BOTH => |size| {
        let mut app = watching(size);
        press(&mut app, &[Key::Left; 9]);
        app
    };
    overview_of_a_dead_target at BOTH => |size| {
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
    sites at ALL => |size| {
        let mut app = pressed(size, "2");
        press(&mut app, &[Key::Down]);
        app
    };
    sites_by_change at ONCE => |size| compared(size, "2>");
    sites_by_verdict at BOTH => |size| pressed(size, "2<<<<<");
    sites_by_crate at BOTH => |size| pressed(size, "2##");
    sites_by_thread at ONCE => |size| pressed(size, "2###");
    sites_against_a_base at BOTH => |size| compared(size, "2");
    sites_filtered at BOTH => |size| pressed(size, "2/route live>100K");
    sites_of_a_verdict at ONCE => |size| {
        let mut app = pressed(size, "2/verdict:leak");
        press(&mut app, &[Key::Enter]);
        app
    };
    sites_with_a_wrong_filter at ONCE => |size| pressed(size, "2/fn:~(");
    flame at BOTH => |size| pressed(size, "3");
    flame_with_runtime_frames at ONCE => |size| pressed(size, "3x");
    flame_zoomed_and_searched at BOTH => |size| {
        let mut app = pressed(size, "3");
        press(&mut app, &[Key::Down, Key::Enter]);
        typed(&mut app, "/route");
        press(&mut app, &[Key::Enter]);
        app
    };
    flame_against_a_base at BOTH => |size| compared(size, "3");
    flame_of_growth at ONCE => |size| pressed(size, "3mmm");
    leaks at BOTH => |size| pressed(size, "4");
    leaks_with_ignored at ONCE => |size| pressed(size, "4IG");
    threads at BOTH => |size| pressed(size, "5j");
    shapes at BOTH => |size| pressed(size, "6");
    jemalloc at BOTH => |size| pressed(size, "7");
    alerts at BOTH => |size| pressed(size, "8ja");
    detail at BOTH => |size| one_site(size, &[]);
    detail_with_runtime_frames at BOTH => |size| {
        one_site(size, &[Key::Char('x'), Key::Down, Key::Down, Key::Down])
    };
    detail_source at ONCE => |size| one_site(size, &[Key::Enter]);
    help at BOTH => |size| pressed(size, "?");
    sort_menu at ONCE => |size| pressed(size, "2sj");
    column_menu at ONCE => |size| {
        let mut app = pressed(size, "2cj");
        press(&mut app, &[Key::Enter]);
        app
    };
    export_menu at ONCE => |size| pressed(size, "ejj");
    command_line at ONCE => |size| pressed(size, ":group cra");
    wrong_command at ONCE => |size| {
        let mut app = pressed(size, ":exprt pprof");
        press(&mut app, &[Key::Enter]);
        app
    };
    picker at BOTH => |size| {
        let mut app = App::new(Theme::new(false), Size::new(size.0, size.1), None);
        app.update(Update::Targets(targets()), 0.0);
        press(&mut app, &[Key::Down, Key::Down]);
        app
    };
}

// The states of a connection; LIVE is in the pictures above.
pictures! {
    state_searching at BOTH => |size| App::new(Theme::new(false), Size::new(size.0, size.1), None);
    state_paused at ONCE => |size| {
        let mut app = pressed(size, " ");
        app.update(Update::Snapshot(Arc::new(later(60.0))), 60.0);
        app
    };
    state_replay at ONCE => |size| {
        let mut app = app(size);
        let mut history = crate::app::History::default();
        for second in 0..=40 {
            history.record(f64::from(second), &later(f64::from(second)));
        }
        app.update(Update::Recording(Box::new(history), 40.0), 0.0);
        app.update(Update::Snapshot(Arc::new(later(40.0))), 0.0);
        app
    };
    state_quiet at ONCE => |size| {
        let mut app = watching(size);
        for second in 41..46 {
            app.update(Update::Snapshot(Arc::new(later(40.0))), f64::from(second));
        }
        app
    };
    state_stale at ONCE => |size| {
        let mut app = watching(size);
        let mut snapshot = later(41.0);
        snapshot.target.heartbeat_age_seconds = Some(12.3);
        app.update(Update::Snapshot(Arc::new(snapshot)), 41.0);
        app
    };
    state_exited at ONCE => |size| ended(size, TargetState::Exited);
    state_killed at ONCE => |size| ended(size, TargetState::Killed);
    state_restarted at BOTH => |size| {
        let mut app = ended(size, TargetState::Killed);
        let new = sample::target(4_999, "service", TargetState::Live);
        app.update(Update::Restarted(new), 44.0);
        app
    };
    state_incompatible at ONCE => |size| troubled(
        size,
        TroubleKind::Incompatible,
        "region format 9.0 is not supported (this reader knows 1.x)",
        "use the riptide of the same release as the program's riptide-alloc",
    );
    state_denied at ONCE => |size| troubled(
        size,
        TroubleKind::Denied,
        "/dev/shm/riptide-1000/4242-8812-5f0c belongs to user 1000, and this is user 33",
        "run as user 1000 (`sudo -u '#1000' riptide …`) or as root",
    );
    state_dropping at BOTH => |size| {
        let mut app = app(size);
        let mut snapshot = sample::snapshot();
        snapshot.loss.unrecorded_blocks = 12;
        snapshot.pending_symbols = 3;
        app.update(Update::Snapshot(Arc::new(snapshot)), 0.0);
        app
    };
}

/// Every screen of a target, by the keys that lead to it.
pub(super) const SCREENS: [(&str, &str); 9] = [
    ("overview", "1"),
    ("sites", "2"),
    ("flame", "3"),
    ("leaks", "4"),
    ("threads", "5"),
    ("shapes", "6"),
    ("jemalloc", "7"),
    ("alerts", "8"),
    ("help", "?"),
];

#[test]
fn screens_in_ascii() {
    for (name, keys) in SCREENS {
        let mut app = pressed(SMALL, keys);
        app.theme.is_ascii = true;
        let text = screen(&app);
        // The quotes around each line are the test's.
        assert!(text.is_ascii(), "{text}");
        insta::assert_snapshot!(format!("ascii_{name}"), text);
    }
}

#[test]
fn nothing_is_said_by_colour_alone() {
    use crate::theme::ThemeChoice;
    for (name, keys) in SCREENS {
        let plain = screen(&pressed(LARGE, keys));
        for choice in [ThemeChoice::Ansi, ThemeChoice::True] {
            let mut app = pressed(LARGE, keys);
            app.theme = Theme::new(true).with(choice);
            assert_eq!(screen(&app), plain, "{name}");
        }
    }
}
