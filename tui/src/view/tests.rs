use std::{path::PathBuf, sync::Arc};

use ratatui::{Terminal, backend::TestBackend, layout::Size};
use riptide_reader::profile::{Snapshot, TargetState};

use super::render;
use crate::{
    app::App,
    feed::{Target, Trouble, TroubleKind, Update},
    input::Input,
    keys::Key,
    sample,
    theme::Theme,
};

mod behaviour;
mod random;
mod screens;

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
    watching_since(size, 0)
}

/// A dashboard that has watched from some second to the fortieth.
fn watching_since(size: (u16, u16), first: u32) -> App {
    let mut app = app(size);
    for second in first..=40 {
        let snapshot = later(f64::from(second));
        let parts = sample::parts(&snapshot);
        app.update(Update::Snapshot(Arc::new(snapshot)), f64::from(second));
        app.update(Update::Parts(region(), parts), f64::from(second));
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
