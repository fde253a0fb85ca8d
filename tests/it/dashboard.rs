//! The dashboard as a user sees it, in a real terminal.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    harness::{Directory, Victim, clean_command, riptide_path, wait_for},
    screen::{Screen, TABS},
};

/// What must not be drawn for so long.
const STILL: Duration = Duration::from_secs(10);

/// The bundled service, which leaks, without its own dashboard.
struct Demo(Child);

impl Demo {
    fn start(directory: &Directory) -> Self {
        let child = clean_command(riptide_path())
            .args(["demo", "--headless", "--seconds", "600"])
            .env("RIPTIDE_DIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Pid of the process behind a region.
fn pid_of(region: &Path) -> u32 {
    let name = region.file_name().unwrap().to_string_lossy().into_owned();
    name.split('-').next().unwrap().parse().unwrap()
}

#[test]
fn from_a_fresh_start_one_key_leads_to_the_leaking_line() {
    let directory = Directory::new();
    let _demo = Demo::start(&directory);
    directory.region();
    let screen = Screen::start(&directory);
    screen.wait("the leak as the next thing to look at", |picture| {
        let mut lines = picture.lines();
        lines.any(|line| line.contains("next:") && line.contains("sessions"))
    });
    screen.press("Enter");
    // The line itself, marked, from the file that the symbols name.
    let picture = screen.wait("the leaking line", |picture| {
        picture.lines().any(|line| line.contains('▶'))
    });
    let line = picture.lines().find(|line| line.contains('▶')).unwrap();
    let place = picture.lines().find_map(|line| {
        let (_, number) = line.split_once("sessions.rs:")?;
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        Some(digits)
    });
    let place = place.expect("file and line");
    let (_, marked) = line.split_once('▶').unwrap();
    assert!(
        marked.trim_start().starts_with(&place),
        "{place} is not the line marked in\n{picture}"
    );
}

#[test]
fn a_killed_target_is_shown_on_every_screen_and_its_successor_is_offered() {
    let directory = Directory::new();
    let demo = Demo::start(&directory);
    let region = directory.region();
    let screen = Screen::start(&directory);
    screen.see("LIVE");
    screen.see("sessions");
    signal(pid_of(&region), "-KILL");
    screen.see("EXITED");
    for (key, tab) in TABS {
        screen.press(key);
        let picture = screen.wait(tab, |picture| {
            picture.contains(tab) && !picture.contains("reading the target")
        });
        assert!(picture.contains("EXITED"), "{picture}");
    }
    screen.press("Enter");
    screen.see("heaviest stack");
    screen.press("Escape");
    // Its parent saw it die, and takes the region along when it ends.
    let kept = directory.path().join("kept");
    let _ = fs::copy(&region, kept);
    drop(demo);
    let _again = Demo::start(&directory);
    let picture = screen.see("RESTARTED");
    assert!(picture.contains("R follows it"), "{picture}");
    screen.press("R");
    screen.see("LIVE");
}

#[test]
fn the_terminal_is_given_back_after_a_stop_and_after_a_signal() {
    let directory = Directory::new();
    let victim = Victim::new("victim-sites", &["20"], &directory, "1");
    directory.region();
    let screen = Screen::run(&["bash", "--norc", "--noprofile"], &directory);
    let back = |number: u32| {
        wait_for("the ordinary screen", || {
            (!screen.is_alternate()).then_some(())
        });
        // Echo, and lines: the terminal is no longer raw. What is typed before the shell has it back is lost.
        wait_for("the shell", || {
            screen.say(&format!("echo back-$(({number} + 0))"));
            thread::sleep(Duration::from_millis(300));
            let lines = screen.lines();
            lines
                .iter()
                .any(|line| line.starts_with(&format!("back-{number}")))
                .then_some(())
        });
    };
    screen.see("shell>");
    screen.say(riptide_path().to_str().unwrap());
    screen.see("live heap");
    screen.resize(80, 24);
    let picture = screen.wait("the narrow form", |picture| {
        picture.lines().count() <= 24 && picture.contains("live heap")
    });
    assert!(picture.contains("q quit"), "{picture}");
    screen.resize(50, 10);
    screen.see("riptide needs 60×16, this is 50×10");
    screen.resize(132, 43);
    screen.see("live heap");
    screen.press("C-z");
    back(1);
    screen.say("fg");
    screen.see("live heap");
    screen.press("C-z");
    back(2);
    screen.say("fg");
    screen.see("live heap");
    // Of the shell's children the dashboard is the only one.
    let children = format!("/proc/{0}/task/{0}/children", screen.pid());
    let children = fs::read_to_string(children).unwrap();
    signal(children.trim().parse().unwrap(), "-TERM");
    back(3);
    // By the way that keeps the last picture it stays to be read.
    screen.say(riptide_path().to_str().unwrap());
    screen.see("live heap");
    screen.press("Q");
    back(4);
    // Its first lines have gone up by the ones that were typed since.
    screen.see("next:");
    drop(victim);
}

#[test]
fn a_lost_terminal_ends_the_dashboard() {
    let directory = Directory::new();
    let _victim = Victim::new("victim-sites", &["20"], &directory, "1");
    directory.region();
    let screen = Screen::start(&directory);
    screen.see("live heap");
    let pid = screen.pid();
    drop(screen);
    wait_for("the dashboard to end", || {
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}

#[test]
fn nothing_is_drawn_while_nothing_happens_or_the_picture_is_held() {
    let directory = Directory::new();
    let idle = Victim::new("victim-sites", &["20"], &directory, "1");
    directory.region();
    let screen = Screen::start(&directory);
    screen.see("QUIET");
    let tap = screen.tap(&directory);
    let written = || fs::metadata(&tap).unwrap().len();
    for key in ["1", "2", "3", "4", "5", "6", "7"] {
        screen.press(key);
    }
    // What the keys drew.
    wait_for("the last key's picture", || (written() > 0).then_some(()));
    thread::sleep(Duration::from_secs(2));
    let before = written();
    thread::sleep(STILL);
    assert_eq!(written(), before, "{}", screen.lines().join("\n"));
    drop((screen, idle));

    let directory = Directory::new();
    let _busy = Demo::start(&directory);
    directory.region();
    let screen = Screen::start(&directory);
    screen.see("sessions");
    let tap = screen.tap(&directory);
    let written = || fs::metadata(&tap).unwrap().len();
    wait_for("the living picture", || (written() > 0).then_some(()));
    screen.press("Space");
    screen.see("PAUSED");
    thread::sleep(Duration::from_secs(1));
    let before = written();
    thread::sleep(STILL);
    assert_eq!(written(), before, "{}", screen.lines().join("\n"));
}

#[test]
fn a_recording_is_shown_on_the_same_screens() {
    let directory = Directory::new();
    let _demo = Demo::start(&directory);
    let region = directory.region();
    let file = directory.path().join("recording");
    let output = clean_command(riptide_path())
        .args(["record", region.to_str().unwrap(), "--for", "5s", "-o"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let riptide = riptide_path().to_str().unwrap();
    let screen = Screen::run(&[riptide, "replay", file.to_str().unwrap()], &directory);
    screen.see("REPLAY");
    screen.see("live heap");
    let shown = |picture: &str| picture.lines().next().unwrap().to_owned();
    let end = shown(&screen.lines().join("\n"));
    for _ in 0..3 {
        screen.press("Left");
    }
    screen.wait("an earlier moment", |picture| shown(picture) != end);
    for key in ["2", "3", "4", "5", "6", "7"] {
        screen.press(key);
        screen.see("REPLAY");
    }
    screen.press("q");
}

#[test]
fn bad_settings_name_line_and_key() {
    let directory = Directory::new();
    let settings = directory.path().join("settings.toml");
    fs::write(&settings, "theme = \"ansi\"\n\n[keys]\npuase = \"p\"\n").unwrap();
    let riptide = riptide_path().to_str().unwrap();
    let command = format!(
        "{riptide} --settings {}; echo code-$?; cat",
        settings.display()
    );
    let screen = Screen::run(&["bash", "-c", &command], &directory);
    let picture = screen.see("code-2");
    assert!(
        picture.contains("settings.toml:4") && picture.contains("`keys.puase`"),
        "{picture}"
    );
    // With the mistake mended the key is the user's.
    fs::write(&settings, "[keys]\npause = \"p\"\n").unwrap();
    let victim = Victim::new("victim-sites", &["20"], &directory, "1");
    directory.region();
    let command = [riptide, "--settings", settings.to_str().unwrap()];
    let screen = Screen::run(&command, &directory);
    screen.see("live heap");
    screen.press("p");
    screen.see("PAUSED");
    drop(victim);
}
