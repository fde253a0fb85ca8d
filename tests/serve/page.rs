//! The live page in a real browser, light and dark. The screenshots are left in `target/serve-page`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    harness::{Directory, Victim},
    server::{QUICK, Server},
};

fn chromium(place: &Path, arguments: &[&str]) -> String {
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args([
            "--disable-sync",
            "--no-first-run",
            "--window-size=1280,1100",
        ])
        .arg(format!(
            "--user-data-dir={}",
            place.join("profile").display()
        ))
        .args(["--virtual-time-budget=9000"])
        .args(arguments)
        .output()
        .expect("chromium is missing: `bash tests/run setup serve` installs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Red, green and blue of the first pixel: the ground of the page.
fn first_pixel(picture: &Path) -> [u8; 3] {
    // The first pixel of a PNG is as it is, whatever the filter of its row.
    let script = "
import struct, sys, zlib
data = open(sys.argv[1], 'rb').read()
at, packed = 8, b''
while at < len(data):
    length, kind = struct.unpack('>I4s', data[at:at + 8])
    if kind == b'IDAT':
        packed += data[at + 8:at + 8 + length]
    at += length + 12
print(*zlib.decompress(packed)[1:4])
";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(picture)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let bytes: Vec<u8> = text
        .split_whitespace()
        .map(|byte| byte.parse().unwrap())
        .collect();
    bytes.try_into().unwrap()
}

/// Every request whose initiator is the page, from Chromium's own log.
fn requests(log: &Path, origin: &str) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap();
    // A browser that is ended by its budget leaves the list open.
    let log: Value = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(&format!("{}]}}", text.trim_end().trim_end_matches(','))))
        .unwrap();
    let events = log["events"].as_array().unwrap().iter();
    events
        .filter_map(|event| {
            let params = &event["params"];
            let url = params["url"].as_str()?;
            let initiator = params["initiator"].as_str()?;
            (initiator == origin || url.starts_with(origin)).then(|| url.to_owned())
        })
        .collect()
}

#[test]
fn the_live_page_shows_the_target_light_and_dark_and_asks_nobody_else() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "64KiB");
    victim.report();
    let _leaks = Victim::new("victim-leaks", &["mem-forget", "2000"], &directory, "64KiB");
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(2);
    std::thread::sleep(Duration::from_secs(4));
    let place = Directory::new();
    let shots = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/serve-page"));
    fs::create_dir_all(shots).unwrap();
    let shot = |name: &str| -> PathBuf { shots.join(name) };

    let page = server.url(&format!("/?target={}", victim.pid()));
    let dump = chromium(place.path(), &["--dump-dom", &page]);
    for text in [
        "victim_sites::large_blocks",
        "Live heap",
        &victim.pid().to_string(),
        "victim-leaks",
        "<path",
        "programs/sites.rs:",
    ] {
        assert!(dump.contains(text), "no {text} in {dump}");
    }
    // Without a choice the list is what there is.
    let list = chromium(place.path(), &["--dump-dom", &server.url("/")]);
    assert!(list.contains("2 targets; choose one below"), "{list}");

    let log = place.path().join("net.json");
    let light = shot("light.png");
    let dark = shot("dark.png");
    chromium(
        place.path(),
        &[
            &format!("--screenshot={}", light.display()),
            &format!("--log-net-log={}", log.display()),
            &page,
        ],
    );
    chromium(
        place.path(),
        &[
            &format!("--screenshot={}", dark.display()),
            "--blink-settings=preferredColorScheme=0",
            &page,
        ],
    );
    let [light, dark] = [first_pixel(&light), first_pixel(&dark)];
    assert!(light.iter().all(|of| *of > 0xe0), "{light:?}");
    assert!(dark.iter().all(|of| *of < 0x30), "{dark:?}");

    let origin = server.url("");
    let asked = requests(&log, &origin);
    assert!(
        asked.iter().any(|url| url.contains("/live.json")),
        "{asked:?}"
    );
    for url in &asked {
        assert!(
            url.starts_with(&format!("{origin}/")) || url.starts_with("data:"),
            "{url}"
        );
    }
    let policy = server
        .get("/")
        .header("content-security-policy")
        .unwrap()
        .to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
}

#[test]
fn a_page_behind_a_token_asks_for_it() {
    let directory = Directory::new();
    let settings = format!("{QUICK}\n[http]\ntoken = \"a-token-of-this-test\"\n");
    let server = Server::start(directory.path(), &settings);
    let place = Directory::new();
    let dump = chromium(place.path(), &["--dump-dom", &server.url("/")]);
    assert!(dump.contains("a token is needed"), "{dump}");
    assert!(dump.contains("class=\"asked\""), "{dump}");
}
