use std::{io::Read, sync::Arc};

use serde_json::Value;

use super::*;
use crate::profile::{Estimate, Frame, Live};

fn frame(function: &str, inlined: bool) -> Frame {
    Frame {
        function: function.to_owned(),
        file: Some(format!("src/{function}.rs")),
        line: Some(7),
        inlined,
        module: Some("shop".to_owned()),
    }
}

fn stack(frames: &[Frame], addresses: &[u64], figures: [f64; 4]) -> StackProfile {
    StackProfile {
        frames: Arc::from(frames),
        leaf: 0,
        addresses: Arc::from(addresses),
        live_bytes: figures[0],
        live_objects: figures[1],
        allocated_bytes: figures[2],
        allocated_objects: figures[3],
    }
}

fn capture() -> Capture {
    let mut module = Module::default();
    (module.text_start, module.text_end) = (0x1000, 0x9000);
    module.set_path(b"/srv/shop");
    module.set_build_id(&[0xab, 0xcd]);
    let mut snapshot = Snapshot::default();
    snapshot.target.name = "shop".to_owned();
    snapshot.target.pid = 42;
    snapshot.sampling.interval_bytes = 524_288;
    snapshot.live = Live {
        bytes: Estimate {
            estimate: 4_096.0,
            low: 1_000.0,
            high: 9_000.0,
        },
        ..Live::default()
    };
    Capture {
        snapshot,
        stacks: vec![
            stack(
                &[
                    frame("insert<[u8; 4]>", true),
                    frame("remember", false),
                    frame("main", false),
                ],
                &[0x2001, 0x3001],
                [4_000.4, 10.0, 9_000.0, 30.0],
            ),
            stack(
                &[frame("load", false), frame("main", false)],
                &[0x4001, 0x3001],
                [96.0, 1.0, 96.0, 1.0],
            ),
            stack(
                &[frame("scratch", false), frame("main", false)],
                &[0x5001, 0x3001],
                [0.0, 0.0, 5_000.0, 50.0],
            ),
        ],
        modules: vec![module],
        unix_ns: 1_700_000_000_000_000_000,
        lived_ns: 5_000_000_000,
        findings: Vec::new(),
        watched_seconds: 5.0,
        growth: vec![10.0, -2.5, 0.0],
        history: Vec::new(),
    }
}

fn written(format: Format, metric: Metric) -> Vec<u8> {
    let mut bytes = Vec::new();
    capture().write(format, metric, &mut bytes).unwrap();
    bytes
}

fn text(format: Format, metric: Metric) -> String {
    String::from_utf8(written(format, metric)).unwrap()
}

#[test]
fn names_lead_back_to_what_they_name() {
    for format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
    }
    for metric in Metric::ALL {
        assert_eq!(Metric::from_name(metric.name()), Some(metric));
    }
    assert_eq!(Metric::from_name("live"), Some(Metric::LiveBytes));
    assert_eq!(Format::from_name("exe"), None);
}

#[test]
fn folded_stacks_begin_at_the_root_and_leave_out_what_has_nothing() {
    assert_eq!(
        text(Format::Folded, Metric::LiveBytes),
        "main;remember;insert<[u8, 4]> 4000\nmain;load 96\n"
    );
    assert_eq!(
        text(Format::Folded, Metric::AllocatedObjects),
        "main;remember;insert<[u8, 4]> 30\nmain;load 1\nmain;scratch 50\n"
    );
}

#[test]
fn the_flame_graph_is_an_svg_with_the_names_and_the_error() {
    let svg = text(Format::Flamegraph, Metric::LiveBytes);
    for part in ["<svg", "remember", "live bytes", "1000 to 9000", "524288"] {
        assert!(svg.contains(part), "no {part}");
    }
    let mut empty = capture();
    empty.stacks.clear();
    let mut bytes = Vec::new();
    empty
        .write(Format::Flamegraph, Metric::LiveBytes, &mut bytes)
        .unwrap();
    assert!(bytes.starts_with(b"<?xml"));
}

#[test]
fn speedscope_has_every_metric_the_chosen_one_first() {
    let file: Value =
        serde_json::from_slice(&written(Format::Speedscope, Metric::AllocatedBytes)).unwrap();
    let profiles = file["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), 4);
    assert_eq!(profiles[0]["endValue"], 9_000 + 96 + 5_000);
    assert_eq!(profiles[0]["unit"], "bytes");
    let frames = file["shared"]["frames"].as_array().unwrap();
    let first: Vec<_> = profiles[0]["samples"][0]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| &frames[place.as_u64().unwrap() as usize]["name"])
        .collect();
    assert_eq!(first, ["main", "remember", "insert<[u8; 4]>"]);
}

#[test]
fn the_firefox_profile_holds_what_is_live() {
    let file: Value = serde_json::from_slice(&written(Format::Firefox, Metric::LiveBytes)).unwrap();
    let allocations = &file["threads"][0]["nativeAllocations"];
    assert_eq!(allocations["weight"], serde_json::json!([4_000, 96]));
}

#[test]
fn jeprof_gets_live_and_allocated_figures_and_the_mappings() {
    let file = text(Format::Jeprof, Metric::LiveBytes);
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>().join(" "),
        "heap profile: 11: 4096 [ 81: 14096] @ heapprofile"
    );
    assert!(lines[1].ends_with("@ 0x0000000000002001 0x0000000000003001"));
    assert!(file.contains("00001000-00009000 r-xp 00000000 00:00 0 /srv/shop"));
}

#[test]
fn json_has_sites_stacks_and_modules() {
    let file: Value = serde_json::from_slice(&written(Format::Json, Metric::LiveBytes)).unwrap();
    assert_eq!(file["live"]["bytes"]["low"], 1_000.0);
    assert_eq!(file["stacks"].as_array().unwrap().len(), 3);
    assert_eq!(file["modules"][0]["build_id"], "abcd");
}

#[test]
fn pprof_is_gzipped_and_names_what_tools_look_for() {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&written(Format::Pprof, Metric::LiveBytes)[..])
        .read_to_end(&mut bytes)
        .unwrap();
    for part in ["inuse_space", "alloc_objects", "abcd", "insert<[u8; 4]>"] {
        let found = bytes
            .windows(part.len())
            .any(|window| window == part.as_bytes());
        assert!(found, "no {part}");
    }
}

/// Whatever the target and its functions are called, they stay text: two elements of script, and no
/// other way to run one.
#[test]
fn the_report_holds_hostile_names_as_text() {
    let hostile = "</script><script>pwned=1</script><!--<img src=x onerror=pwned=1>";
    let mut capture = capture();
    capture.snapshot.target.name = hostile.to_owned();
    capture.stacks.push(stack(
        &[frame(hostile, false), frame("Vec<T>::push", false)],
        &[0x6001],
        [1.0, 1.0, 1.0, 1.0],
    ));
    let mut bytes = Vec::new();
    capture
        .write(Format::Html, Metric::LiveBytes, &mut bytes)
        .unwrap();
    let page = String::from_utf8(bytes).unwrap();
    assert_eq!(page.matches("<script").count(), 2, "{page}");
    assert_eq!(page.matches("</script").count(), 2, "{page}");
    assert_eq!(page.matches("<!--").count(), 0, "{page}");
    assert!(
        page.contains("&lt;/script&gt;&lt;script&gt;pwned"),
        "{page}"
    );
    let heads = page.split("<body>").next().unwrap();
    assert!(!heads.contains("<img"), "{heads}");
    // Names are there to be found as they are.
    assert!(
        page.contains("\"Vec<T>::push\"") && page.contains("\"remember\""),
        "{page}"
    );
    for origin in ["http:", "https:", "src=", "href="] {
        let own = page.replace("src=x onerror", "");
        let own = own.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(origin), "{origin}");
    }
}
