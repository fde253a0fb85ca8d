//! Random keys at random sizes on random data: nothing panics, nothing is drawn outside, the keys stay.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    super::{MIN_HEIGHT, MIN_WIDTH},
    *,
};

fn any_input() -> impl Strategy<Value = Input> {
    let key = prop_oneof![
        any::<char>().prop_map(Key::Char),
        proptest::sample::select(
            "qQ?12345678a/s<>rxm#cdeyi`+- hjklgGnN~:(.>MR"
                .chars()
                .collect::<Vec<_>>()
        )
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
        1 => (0_u16..250, 0_u16..120)
            .prop_map(|(column, row)| Input::Drag { column, row }),
        1 => (0_u16..250, 0_u16..120)
            .prop_map(|(column, row)| Input::Release { column, row }),
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
                    let parts = sample::parts(&snapshot);
                    app.update(Update::Snapshot(Arc::new(snapshot)), now as f64);
                    if now % 3 != 0 {
                        app.update(Update::Parts(region(), parts), now as f64);
                    }
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
            let large_enough = app.size.width >= MIN_WIDTH && app.size.height >= MIN_HEIGHT;
            if !large_enough {
                draw(&app);
                continue;
            }
            let text = screen(&app);
            if !app.prompting() {
                // What leads out of anything is always to be read.
                prop_assert!(text.contains("q quit") && text.contains("? "), "{}", text);
            }
        }
    }
}
