//! What keys, clicks and news do, as far as it shows.

use std::{path::PathBuf, sync::Arc};

use ratatui::{
    layout::Size,
    style::{Color, Modifier},
};

use super::*;
use crate::{
    app::{Mode, Request, Screen},
    feed::Command,
    keys::Scope,
    view::{MIN_HEIGHT, MIN_WIDTH, footer},
};

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
    let attached = |of: &Request| matches!(of, Request::Feed(Command::Attach(_)));
    assert_eq!(
        app.take_requests().iter().filter(|of| attached(of)).count(),
        1
    );
}

#[test]
fn escape_goes_up_and_never_out() {
    let mut app = watching(SMALL);
    press(&mut app, &[Key::Char('2'), Key::Enter]);
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
fn enter_on_the_overview_leads_to_the_growing_site_and_its_line() {
    let mut app = watching(SMALL);
    app.take_requests();
    press(&mut app, &[Key::Enter]);
    assert_eq!(app.screen, Screen::Detail);
    let site = app.detail_site().unwrap();
    assert_eq!(site.function, "service::sessions::remember_session");
    let asked = app.take_requests();
    assert!(
        asked.contains(&Request::Feed(Command::Source {
            file: "src/sessions.rs".to_owned(),
            line: 57
        })),
        "{asked:?}"
    );
    // The table stands on it, and back leads to where it was opened.
    press(&mut app, &[Key::Esc]);
    assert_eq!(app.screen, Screen::Overview);
    press(&mut app, &[Key::Char('2')]);
    assert_eq!(
        app.selected_site().unwrap().function,
        "service::sessions::remember_session"
    );
}

#[test]
fn the_selected_frame_is_the_one_whose_source_is_shown() {
    let mut app = watching(LARGE);
    press(&mut app, &[Key::Enter, Key::Down]);
    let asked = app.take_requests();
    let handlers = Command::Source {
        file: "src/handlers.rs".to_owned(),
        line: 88,
    };
    assert!(asked.contains(&Request::Feed(handlers)), "{asked:?}");
}

#[test]
fn time_travel_shows_the_past_and_comes_back() {
    let mut app = watching(SMALL);
    let now = screen(&app);
    press(&mut app, &[Key::Left, Key::Left]);
    assert!(matches!(app.mode(), Mode::Replay(_)));
    let past = app.picture().unwrap();
    assert!(past.at_seconds < 40.0, "{}", past.at_seconds);
    let live = past.snapshot.live.bytes.estimate;
    let expected = later(past.at_seconds).live.bytes.estimate;
    assert_eq!(live, expected);
    // What comes in meanwhile is kept and not shown.
    assert!(!app.update(Update::Snapshot(Arc::new(later(41.0))), 41.0));
    assert_eq!(app.snapshot().unwrap().live.bytes.estimate, expected);
    for key in "234567".chars() {
        press(&mut app, &[Key::Char(key)]);
        assert!(screen(&app).contains("REPLAY"));
    }
    press(&mut app, &[Key::Char('1'), Key::Char('`')]);
    assert_eq!(app.mode(), Mode::Live);
    assert_ne!(screen(&app), now);
    press(&mut app, &[Key::Left]);
    press(&mut app, &[Key::Right; 3]);
    assert_eq!(app.mode(), Mode::Live);
}

#[test]
fn charts_zoom_and_a_dragged_range_is_looked_at_closer() {
    let mut app = watching(LARGE);
    let (start, end) = app.chart_range();
    press(&mut app, &[Key::Char('+')]);
    let (closer, _) = app.chart_range();
    assert!(closer > start);
    press(&mut app, &[Key::Char('-'), Key::Char('-')]);
    assert!(app.chart_range().0 < start);
    // Columns 20 to 40 of the chart.
    app.input(Input::Click { column: 20, row: 6 });
    app.input(Input::Drag { column: 40, row: 8 });
    assert!(app.travel_marked.is_some());
    app.input(Input::Release { column: 40, row: 8 });
    let (from, to) = app.chart_range();
    assert!(to - from < end - start && app.travel_marked.is_none());
    press(&mut app, &[Key::Char('`')]);
    // Zoom stays; the range is gone.
    assert_ne!(app.chart_range(), (from, to));
    // A click alone goes to the moment.
    app.input(Input::Click { column: 60, row: 6 });
    app.input(Input::Release { column: 60, row: 6 });
    assert!(matches!(app.mode(), Mode::Replay(_)));
}

#[test]
fn a_recording_is_gone_through_by_asking_for_its_moments() {
    let mut app = app(SMALL);
    let mut history = crate::app::History::default();
    for second in 0..=40 {
        history.record(f64::from(second), &later(f64::from(second)));
    }
    app.update(Update::Recording(Box::new(history), 40.0), 0.0);
    app.update(Update::Snapshot(Arc::new(later(40.0))), 0.0);
    app.take_requests();
    press(&mut app, &[Key::Left]);
    let asked = app.take_requests();
    let at = app.picture().unwrap().at_seconds;
    assert!(
        asked.contains(&Request::Feed(Command::Seek(at))),
        "{asked:?}"
    );
    // The whole moment takes the place of the short one.
    let mut exact = later(at);
    exact.sites.truncate(3);
    app.update(Update::Snapshot(Arc::new(exact)), 0.0);
    assert_eq!(app.snapshot().unwrap().sites.len(), 3);
    press(&mut app, &[Key::Char('`')]);
    let asked = app.take_requests();
    assert!(
        asked.contains(&Request::Feed(Command::Seek(40.0))),
        "{asked:?}"
    );
}

#[test]
fn what_is_asked_for_goes_to_the_feed() {
    let mut app = watching(SMALL);
    app.take_requests();
    press(&mut app, &[Key::Char('4'), Key::Char('i')]);
    let asked = app.take_requests();
    let ignored = "service::sessions::remember_session".to_owned();
    assert!(
        asked.contains(&Request::Feed(Command::Ignore(ignored))),
        "{asked:?}"
    );
    press(&mut app, &[Key::Char('e'), Key::Enter]);
    let asked = app.take_requests();
    assert!(
        asked
            .iter()
            .any(|of| matches!(of, Request::Feed(Command::Export { .. }))),
        "{asked:?}"
    );
    press(&mut app, &[Key::Char('y')]);
    let asked = app.take_requests();
    let Some(Request::Copy(text)) = asked.iter().find(|of| matches!(of, Request::Copy(_))) else {
        panic!("{asked:?}");
    };
    assert!(
        text.contains("src/sessions.rs:57") && text.contains("service::main"),
        "{text}"
    );
    app.update(Update::Done(Err("disk full".to_owned())), 40.0);
    assert!(screen(&app).contains("! disk full"));
    press(&mut app, &[Key::Down]);
    assert!(!screen(&app).contains("disk full"));
}

#[test]
fn commands_do_what_keys_do() {
    let mut app = watching(SMALL);
    app.run_command("group crate");
    assert!(screen(&app).contains("crate 1/2"), "{}", screen(&app));
    app.run_command("filter verdict:leak");
    app.run_command("group site");
    assert!(screen(&app).contains("1 of 25"), "{}", screen(&app));
    app.run_command("at 10s");
    assert!(matches!(app.mode(), Mode::Replay(_)));
    app.run_command("now");
    app.run_command("jemalloc");
    assert_eq!(app.screen, Screen::Jemalloc);
    app.run_command("interval 64KiB");
    let asked = app.take_requests();
    assert!(
        asked.contains(&Request::Feed(Command::Interval(Some(65_536)))),
        "{asked:?}"
    );
    app.run_command("export nothing");
    assert!(
        screen(&app).contains("`export` takes pprof"),
        "{}",
        screen(&app)
    );
}

#[test]
fn a_base_shows_what_changed_on_sites_and_flame() {
    let mut app = watching(LARGE);
    press(&mut app, &[Key::Char('d'), Key::Char('2')]);
    for second in 41..=50 {
        let snapshot = later(f64::from(second));
        let parts = sample::parts(&snapshot);
        app.update(Update::Snapshot(Arc::new(snapshot)), f64::from(second));
        app.update(Update::Parts(region(), parts), f64::from(second));
    }
    assert!(screen(&app).contains("+16.2 MiB"), "{}", screen(&app));
    press(&mut app, &[Key::Char('3')]);
    assert!(
        screen(&app).contains("+service::sessions"),
        "{}",
        screen(&app)
    );
    press(&mut app, &[Key::Char('d')]);
    assert!(app.base.is_none());
}

#[test]
fn the_flame_graph_is_walked_zoomed_and_clicked() {
    let mut app = watching(LARGE);
    press(&mut app, &[Key::Char('3')]);
    let first = app.flame.selected.clone();
    press(&mut app, &[Key::Down]);
    assert_eq!(app.flame.selected.len(), first.len() + 1);
    press(&mut app, &[Key::Down, Key::Right]);
    let beside = app.flame.selected.clone();
    press(&mut app, &[Key::Left]);
    assert_ne!(app.flame.selected, beside);
    press(&mut app, &[Key::Enter]);
    assert_eq!(app.flame.zoom, app.flame.selected);
    press(&mut app, &[Key::Esc]);
    assert!(app.flame.zoom.len() < app.flame.selected.len());
    press(&mut app, &[Key::Esc, Key::Esc]);
    assert!(app.flame.zoom.is_empty());
    // The first row of the graph is that of all stacks.
    app.input(Input::Click { column: 3, row: 4 });
    assert_eq!(app.flame.selected.len(), 1);
}

#[test]
fn titles_are_clicked_to_sort() {
    let mut app = watching(SMALL);
    press(&mut app, &[Key::Char('2')]);
    app.input(Input::Click { column: 4, row: 2 });
    assert_eq!(app.sites.sort, crate::app::SortBy::Function);
    app.input(Input::Click { column: 4, row: 2 });
    assert!(app.sites.reversed);
}

#[test]
fn sites_are_sorted_by_what_changed_and_by_verdict() {
    let mut app = watching(LARGE);
    app.run_command("sort verdict");
    let functions = |app: &App| -> Vec<String> {
        let sites = app.grouped();
        let rows = app.sites.rows.iter();
        rows.map(|row| sites[*row].function.clone()).collect()
    };
    let verdicts = functions(&app);
    assert!(verdicts[0].ends_with("remember_session"), "{verdicts:?}");
    assert!(verdicts[1].ends_with("Lru::insert"), "{verdicts:?}");
    // Groups have none: back to the natural order, whose mark is seen.
    press(&mut app, &[Key::Char('#')]);
    assert_eq!(app.sites.sort, crate::app::SortBy::Live);
    press(&mut app, &[Key::Char('#'); 3]);
    // Without a base there is no change to sort by.
    app.run_command("sort change");
    assert!(
        screen(&app).contains("no base to compare"),
        "{}",
        screen(&app)
    );
    press(&mut app, &[Key::Char('>')]);
    assert_eq!(app.sites.sort, crate::app::SortBy::Growth);
    press(&mut app, &[Key::Char('d'), Key::Char('<')]);
    assert_eq!(app.sites.sort, crate::app::SortBy::Change);
    app.update(Update::Snapshot(Arc::new(later(50.0))), 50.0);
    assert!(functions(&app)[0].ends_with("remember_session"));
    assert!(screen(&app).contains("since base▼"), "{}", screen(&app));
    press(&mut app, &[Key::Char('r')]);
    assert!(functions(&app)[24].ends_with("remember_session"));
    press(&mut app, &[Key::Char('d')]);
    assert_eq!(app.sites.sort, crate::app::SortBy::Live);
}

#[test]
fn what_is_ignored_is_shown_and_taken_back() {
    let mut app = watching(SMALL);
    press(&mut app, &[Key::Char('4')]);
    let text = screen(&app);
    assert!(!text.contains("Ring::push"), "{text}");
    assert!(text.contains("1 finding is ignored; I shows it"), "{text}");
    press(&mut app, &[Key::Char('I'), Key::Char('G')]);
    let text = screen(&app);
    assert!(
        text.contains("ignored") && text.contains("Ring::push"),
        "{text}"
    );
    assert!(text.contains("i no longer ignore"), "{text}");
    app.take_requests();
    press(&mut app, &[Key::Char('i')]);
    let back = Command::TakeBack("service::history::Ring::push".to_owned());
    assert!(app.take_requests().contains(&Request::Feed(back)));
    press(&mut app, &[Key::Char('I')]);
    assert!(!screen(&app).contains("Ring::push"));
}

#[test]
fn nothing_is_offered_on_a_target_that_cannot_be_read() {
    let mut app = app(SMALL);
    app.update(
        Update::Trouble(Trouble {
            kind: TroubleKind::Denied,
            message: "not yours".to_owned(),
            hint: "run as its user".to_owned(),
        }),
        0.0,
    );
    let text = screen(&app);
    assert!(
        text.contains("esc targets") && text.contains("q quit"),
        "{text}"
    );
    assert!(
        !text.contains("export") && !text.contains("pause"),
        "{text}"
    );
}

#[test]
fn a_restarted_target_is_offered_and_followed() {
    let mut app = watching(SMALL);
    let mut snapshot = later(41.0);
    snapshot.target.state = TargetState::Killed;
    app.update(Update::Snapshot(Arc::new(snapshot)), 41.0);
    assert!(screen(&app).contains("EXITED"));
    let new = sample::target(4_999, "service", TargetState::Live);
    app.update(Update::Restarted(new.clone()), 42.0);
    let text = screen(&app);
    assert!(text.contains("RESTARTED as 4999: R follows it"), "{text}");
    app.take_requests();
    press(&mut app, &[Key::Char('R')]);
    let asked = app.take_requests();
    assert!(
        asked.contains(&Request::Feed(Command::Attach(new.region))),
        "{asked:?}"
    );
}

/// Views in which every key of the table has something to do.
fn prepared(scope: Scope) -> App {
    let mut app = watching_since(LARGE, 34);
    let keys: &[Key] = match scope {
        Scope::Picker => {
            press(&mut app, &[Key::Esc]);
            app.update(Update::Targets(targets()), 41.0);
            return app;
        }
        Scope::Overview => &[],
        Scope::Sites => &[Key::Char('2')],
        Scope::Flame => &[Key::Char('3'), Key::Down],
        Scope::Leaks => &[Key::Char('4')],
        Scope::Threads => &[Key::Char('5')],
        Scope::Shapes => &[Key::Char('6')],
        Scope::Jemalloc => &[Key::Char('7')],
        Scope::Alerts => &[Key::Char('8')],
        Scope::Detail => &[Key::Enter],
        Scope::Help => &[Key::Char('?')],
        Scope::SortMenu => &[Key::Char('2'), Key::Char('s')],
        Scope::ColumnMenu => &[Key::Char('2'), Key::Char('c')],
        Scope::ExportMenu => &[Key::Char('e')],
    };
    press(&mut app, keys);
    assert_eq!(app.scope(), scope);
    app
}

/// Every key that a view lists does something there: shows another picture, or asks for something.
#[test]
fn every_key_does_something_in_each_view_that_lists_it() {
    for scope in Scope::ALL {
        let rows = crate::keys::Keymap::default();
        for row in rows.rows().iter().filter(|row| row.binding.holds_in(scope)) {
            for key in &row.keys {
                // Also from the middle of lists, from a moment in the past, and where a search was made.
                let lead: [&[Key]; 7] = [
                    &[],
                    &[Key::Down],
                    &[Key::Down, Key::Enter],
                    &[Key::Down, Key::Right],
                    &[Key::Char('-'), Key::Left, Key::Left],
                    &[
                        Key::Down,
                        Key::Down,
                        Key::Down,
                        Key::Down,
                        Key::Down,
                        Key::Down,
                        Key::Down,
                    ],
                    &[Key::Char('/'), Key::Char('s'), Key::Enter],
                ];
                let does_something = lead.iter().any(|lead| {
                    let mut app = prepared(scope);
                    if scope == Scope::Jemalloc || scope == Scope::Help {
                        app.size = Size::new(80, 24);
                    }
                    press(&mut app, lead);
                    if app.scope() != scope {
                        return false;
                    }
                    // With attributes: a selection may be told by them alone.
                    let picture = |app: &App| draw(app).backend().buffer().clone();
                    let before = picture(&app);
                    app.take_requests();
                    press(&mut app, &[*key]);
                    let asked = !app.take_requests().is_empty();
                    app.exit.is_some() || asked || picture(&app) != before
                });
                assert!(
                    does_something,
                    "{key:?} ({}) does nothing in {scope:?}",
                    row.binding.name
                );
            }
        }
    }
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
            &[Key::Char('3')],
            &[Key::Char('4')],
            &[Key::Char('5')],
            &[Key::Char('6')],
            &[Key::Char('7')],
            &[Key::Enter],
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
