//! Every field of metrics, log records and profiles, as a decoder that is not ours reads them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    harness::{Directory, Victim, top},
    stand::{Collector, Receiver, Serve, attributes, first},
};

const MB: f64 = 1e6;

fn config(endpoint: &str, protocol: &str, more: &str) -> String {
    format!(
        "[profiling]\ninterval_seconds = 0.5\n[thresholds]\nwarning_mb = 50.0\nleak = false\n\
         [alerts]\nchannels = [\"otlp\"]\nresolve_seconds = 0.5\ngroup_seconds = 0.0\n\
         [telemetry]\nendpoint = \"{endpoint}\"\nprotocol = \"{protocol}\"\ninterval_seconds = 0.5\n{more}"
    )
}

/// Resource attributes and metrics by name, of the newest request about a process.
fn newest_metrics(
    receiver: &Receiver,
    pid: u32,
) -> Option<(Map<String, Value>, BTreeMap<String, Value>)> {
    let requests = receiver.received("metrics");
    let resources = requests
        .iter()
        .rev()
        .flat_map(|of| of["body"]["resource_metrics"].as_array().unwrap());
    for of in resources {
        let resource = attributes(&of["resource"]["attributes"]);
        if resource.get("process.pid") != Some(&json!(pid)) {
            continue;
        }
        let scope = &of["scope_metrics"][0];
        assert_eq!(scope["scope"]["name"], "riptide");
        let metrics = scope["metrics"].as_array().unwrap().iter();
        let by_name = metrics.map(|of| (of["name"].as_str().unwrap().to_owned(), of.clone()));
        return Some((resource, by_name.collect()));
    }
    None
}

fn figure(metric: &Value) -> f64 {
    let point = &metric["gauge"]["data_points"][0];
    match point.get("as_double") {
        Some(value) => value.as_f64().unwrap(),
        None => whole(&point["as_int"]),
    }
}

fn whole(value: &Value) -> f64 {
    value.as_str().map_or(0.0, |text| text.parse().unwrap())
}

/// Total count, and count of the bucket that a value lies in.
fn histogram(metric: &Value, unit: &str, value: f64) -> (f64, f64, f64) {
    assert_eq!(metric["unit"], unit);
    let of = &metric["histogram"];
    assert_eq!(
        of["aggregation_temporality"],
        "AGGREGATION_TEMPORALITY_CUMULATIVE"
    );
    let point = &of["data_points"][0];
    let counts: Vec<f64> = point["bucket_counts"]
        .as_array()
        .unwrap()
        .iter()
        .map(whole)
        .collect();
    let bounds: Vec<f64> = point["explicit_bounds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bound| bound.as_f64().unwrap())
        .collect();
    assert_eq!(counts.len(), bounds.len() + 1);
    assert!(bounds.is_sorted());
    let count = whole(&point["count"]);
    assert_eq!(count, counts.iter().sum::<f64>());
    let bucket = bounds.partition_point(|bound| *bound < value);
    (count, counts[bucket], point["sum"].as_f64().unwrap())
}

fn metrics_and_alerts(protocol: &str) {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let collector = Collector::start(&receiver);
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let port = match protocol {
        "grpc" => collector.grpc,
        _ => collector.http,
    };
    // Without a scheme, as collectors are named in practice.
    let endpoint = format!("localhost:{port}");
    let environment = [
        ("OTEL_SERVICE_NAME", "shop"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test%20bed",
        ),
    ];
    let serve = Serve::start(
        &regions,
        &files,
        &config(&endpoint, protocol, ""),
        &environment,
    );
    victim.say("70");
    victim.report();
    // Ten of its megabytes are freed: a hundred lifetimes.
    victim.say("60");
    let truth = victim.report();
    assert_eq!(truth["sites"][0]["bytes"], 60_000_000);

    let live = top(&regions.region()).live("bytes");
    let (resource, metrics) = first("metrics of all that", || {
        let newest = newest_metrics(&receiver, victim.pid());
        let is_there =
            newest.filter(|(_, metrics)| figure(&metrics["riptide.live"]) == live.estimate);
        is_there.into_iter().collect::<Vec<_>>()
    });
    for (key, value) in [
        ("service.name", json!("shop")),
        ("process.executable.name", json!("victim-level")),
        ("deployment.environment.name", json!("test bed")),
    ] {
        assert_eq!(resource.get(key), Some(&value), "{resource:?}");
    }
    for key in [
        "host.name",
        "service.instance.id",
        "process.executable.path",
    ] {
        assert!(resource.contains_key(key), "no {key} in {resource:?}");
    }
    assert_eq!(figure(&metrics["riptide.live.low"]), live.low);
    assert_eq!(figure(&metrics["riptide.live.high"]), live.high);
    for (name, unit, least) in [
        ("riptide.live", "By", 60.0 * MB),
        ("riptide.live.objects", "{object}", 600.0),
        ("riptide.rss", "By", 60.0 * MB),
        ("riptide.virtual", "By", 60.0 * MB),
        // A program that falls silent does not look at jemalloc's figures any more.
        ("riptide.jemalloc.allocated", "By", 1.0),
        ("riptide.jemalloc.active", "By", 1.0),
        ("riptide.jemalloc.resident", "By", 1.0),
        ("riptide.jemalloc.retained", "By", 0.0),
        ("riptide.jemalloc.metadata", "By", 1.0),
    ] {
        let metric = &metrics[name];
        assert_eq!(metric["unit"], unit, "{name}");
        assert!(figure(metric) >= least, "{metric}");
        let point = &metric["gauge"]["data_points"][0];
        let labels = attributes(&point["attributes"]);
        assert_eq!(labels["pid"], json!(victim.pid()));
        assert_eq!(labels["process"], "victim-level");
        assert!(whole(&point["time_unix_nano"]) > whole(&point["start_time_unix_nano"]));
    }
    let lost = &metrics["riptide.events.lost"]["sum"];
    assert_eq!(lost["is_monotonic"], true);
    assert_eq!(
        lost["aggregation_temporality"],
        "AGGREGATION_TEMPORALITY_CUMULATIVE"
    );
    let causes = lost["data_points"].as_array().unwrap().iter();
    let causes: Vec<Value> = causes
        .map(|point| {
            assert_eq!(whole(&point["as_int"]), 0.0);
            attributes(&point["attributes"])["cause"].clone()
        })
        .collect();
    assert!(causes.contains(&json!("overwritten")) && causes.contains(&json!("torn")));
    // 700 blocks of 100,000 bytes came, 100 of them went.
    let (count, in_bucket, sum) = histogram(&metrics["riptide.allocation.size"], "By", 100_000.0);
    assert!(count >= 700.0 && sum >= 70.0 * MB, "{count} {sum}");
    assert_eq!(in_bucket, 700.0);
    let (count, _, _) = histogram(&metrics["riptide.allocation.lifetime"], "s", 1.0);
    assert!(count >= 100.0);

    // The alert, and its end.
    let fired = first("the log record", || records(&receiver, "fired"));
    assert_eq!(fired["severity_text"], "WARN");
    assert_eq!(fired["severity_number"], "SEVERITY_NUMBER_WARN");
    let body = fired["body"]["string_value"].as_str().unwrap();
    assert!(
        body.contains("victim-level") && body.contains("warning threshold of 50.0 MB"),
        "{body}"
    );
    let of = attributes(&fired["attributes"]);
    for (key, value) in [
        ("alert.severity", json!("warning")),
        ("alert.category", json!("usage")),
        ("alert.metric", json!("live_bytes")),
        ("alert.component", json!("heap")),
        ("alert.threshold", json!(50.0 * MB)),
    ] {
        assert_eq!(of.get(key), Some(&value), "{of:?}");
    }
    let value = of["alert.value"].as_f64().unwrap();
    assert!(value >= 50.0 * MB, "{of:?}");
    // Recorded without sampling, so the interval is the value itself.
    assert_eq!(of["alert.value.low"], of["alert.value"]);
    assert_eq!(of["alert.value.high"], of["alert.value"]);
    assert!(!of["alert.recommendations"].as_array().unwrap().is_empty());
    let site = &of["alert.sites"][0];
    assert_eq!(site["code.function.name"], "victim_level::hold");
    assert!(
        site["code.file.path"]
            .as_str()
            .unwrap()
            .ends_with("programs/level.rs")
    );
    assert!(site["code.line.number"].as_i64().unwrap() > 0);
    assert!(site["live_bytes"].as_f64().unwrap() > 0.0);
    victim.say("10");
    let ended = first("the end of the alert", || records(&receiver, "resolved"));
    assert_eq!(ended["severity_text"], "INFO");
    assert_eq!(
        serve.metric("riptide_otlp_exports_total", &["outcome=\"failed\""]),
        0.0
    );
}

/// Log records about live bytes that say so.
pub(crate) fn records(receiver: &Receiver, change: &str) -> Vec<Value> {
    let requests = receiver.received("logs").into_iter();
    requests
        .flat_map(|of| of["body"]["resource_logs"].as_array().unwrap().clone())
        .flat_map(|of| {
            of["scope_logs"][0]["log_records"]
                .as_array()
                .unwrap()
                .clone()
        })
        .filter(|record| {
            let of = attributes(&record["attributes"]);
            of["alert.change"] == change && of["alert.rule"] == "live"
        })
        .collect()
}

#[test]
fn a_collector_gets_metrics_and_alerts_over_grpc() {
    metrics_and_alerts("grpc");
}

#[test]
fn a_collector_gets_metrics_and_alerts_over_http() {
    metrics_and_alerts("http/protobuf");
}

#[test]
fn headers_go_with_every_export_and_variables_count_more_than_files() {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let endpoint = format!("http://127.0.0.1:{}", receiver.http);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s%20ecret"),
    ];
    let nowhere = config("http://127.0.0.1:9", "grpc", "");
    let _serve = Serve::start(&regions, &files, &nowhere, &environment);
    let request = first("metrics", || receiver.received("metrics"));
    assert_eq!(request["over"], "http");
    assert_eq!(request["headers"]["api-key"], "s ecret");
    assert_eq!(request["headers"]["content-type"], "application/x-protobuf");
}

#[test]
fn nothing_is_exported_when_the_environment_says_so() {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let config = config(&format!("127.0.0.1:{}", receiver.grpc), "grpc", "");
    let mut serve = Serve::start(&regions, &files, &config, &[("OTEL_SDK_DISABLED", "true")]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    serve.stop();
    assert!(receiver.received("metrics").is_empty());
}

/// What the stacks with a function in them sum up to, in one profile.
fn sum_of(function: &str, profile: &Value, dictionary: &Value) -> f64 {
    let entry = |table: &str, index: &Value| {
        dictionary[table][index.as_u64().unwrap_or(0) as usize].clone()
    };
    let empty = Vec::new();
    let mut sum = 0.0;
    for sample in profile["samples"].as_array().unwrap() {
        let stack = entry("stack_table", &sample["stack_index"]);
        let locations = stack["location_indices"].as_array().unwrap_or(&empty);
        let mut names = locations.iter().flat_map(|location| {
            let location = entry("location_table", location);
            let lines = location["lines"].as_array().cloned().unwrap_or_default();
            lines.into_iter().map(|line| {
                let function = entry("function_table", &line["function_index"]);
                entry("string_table", &function["name_strindex"])
            })
        });
        if names.any(|name| name == function) {
            sum += whole(&sample["values"][0]);
        }
    }
    sum
}

fn profiles(protocol: &str) {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    victim.say("70");
    victim.report();
    victim.say("60");
    victim.report();
    let port = match protocol {
        "grpc" => receiver.grpc,
        _ => receiver.http,
    };
    let config = config(&format!("localhost:{port}"), protocol, "profiles = true\n");
    let _serve = Serve::start(&regions, &files, &config, &[]);
    let request = first(
        "profiles; the binary has to be built with the feature otlp-profiles",
        || receiver.received("profiles"),
    );
    let over = if protocol == "grpc" { "grpc" } else { "http" };
    assert_eq!(request["over"], over);
    let of = &request["body"]["resource_profiles"][0];
    let resource = attributes(&of["resource"]["attributes"]);
    assert_eq!(resource["process.pid"], json!(victim.pid()));
    let dictionary = &request["body"]["dictionary"];
    assert_eq!(dictionary["string_table"][0], "");
    for table in [
        "mapping_table",
        "location_table",
        "function_table",
        "link_table",
        "attribute_table",
        "stack_table",
    ] {
        assert_eq!(
            dictionary[table][0],
            json!({}),
            "{table} begins with nothing"
        );
    }
    let mut seen = BTreeMap::new();
    for profile in of["scope_profiles"][0]["profiles"].as_array().unwrap() {
        let text =
            |index: &Value| dictionary["string_table"][index.as_u64().unwrap() as usize].clone();
        let kind = &profile["sample_type"];
        let name = (text(&kind["type_strindex"]), text(&kind["unit_strindex"]));
        assert_eq!(profile["period"], "1");
        assert!(whole(&profile["time_unix_nano"]) > 0.0 && whole(&profile["duration_nano"]) > 0.0);
        let sum = sum_of("victim_level::hold", profile, dictionary);
        seen.insert(
            format!("{}/{}", name.0.as_str().unwrap(), name.1.as_str().unwrap()),
            sum,
        );
    }
    let truth = [
        ("alloc_objects/count", 700.0),
        ("alloc_space/bytes", 70e6),
        ("inuse_objects/count", 600.0),
        ("inuse_space/bytes", 60e6),
    ];
    assert_eq!(
        seen,
        truth.map(|(name, value)| (name.to_owned(), value)).into()
    );
    let mappings = dictionary["mapping_table"].as_array().unwrap();
    let program = mappings.iter().find(|mapping| {
        let index = mapping["filename_strindex"].as_u64().unwrap_or(0) as usize;
        dictionary["string_table"][index]
            .as_str()
            .unwrap()
            .ends_with("/victim-level")
    });
    let program = program.expect("the program's own mapping");
    let index = program["attribute_indices"][0].as_u64().unwrap() as usize;
    let attribute = &dictionary["attribute_table"][index];
    let key = attribute["key_strindex"].as_u64().unwrap() as usize;
    assert_eq!(
        dictionary["string_table"][key],
        "process.executable.build_id.gnu"
    );
    assert!(attribute["value"]["string_value"].as_str().unwrap().len() >= 32);
}

#[test]
fn profiles_are_decoded_over_grpc() {
    profiles("grpc");
}

#[test]
fn profiles_are_decoded_over_http() {
    profiles("http/protobuf");
}
