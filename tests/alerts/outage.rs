//! A collector that goes away and comes back.

use std::{thread, time::Duration};

use crate::{
    harness::{Directory, Victim, long, wait_for},
    otlp::records,
    stand::{Collector, Receiver, Serve, first},
};

fn outage() -> Duration {
    Duration::from_secs(if long() { 60 } else { 10 })
}

/// Growth of the server that is more than noise.
const GROWTH: u64 = 8 << 20;

fn comes_back(protocol: &str) {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut collector = Collector::start(&receiver);
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let port = match protocol {
        "grpc" => collector.grpc,
        _ => collector.http,
    };
    let config = format!(
        "[profiling]\ninterval_seconds = 0.2\n[thresholds]\nwarning_mb = 50.0\nleak = false\n\
         [alerts]\nchannels = [\"otlp\"]\ngroup_seconds = 0.0\nresolve_seconds = 0.5\ncooldown_seconds = 1.0\n\
         [telemetry]\nendpoint = \"127.0.0.1:{port}\"\nprotocol = \"{protocol}\"\n\
         interval_seconds = 0.2\ntimeout_seconds = 2.0\n"
    );
    let mut serve = Serve::start(&regions, &files, &config, &[]);
    let exported = |serve: &Serve| {
        serve.metric(
            "riptide_otlp_exports_total",
            &["signal=\"metrics\"", "outcome=\"exported\""],
        )
    };
    let failed =
        |serve: &Serve| serve.metric("riptide_otlp_exports_total", &["outcome=\"failed\""]);
    wait_for("some exports", || (exported(&serve) >= 5.0).then_some(()));
    // An alert and its end: symbols are read once, which is no growth of the outage.
    victim.say("60");
    victim.report();
    first("the alert", || records(&receiver, "fired"));
    victim.say("10");
    victim.report();
    let ended = first("the end of the alert", || records(&receiver, "resolved"));
    assert_eq!(ended["severity_text"], "INFO");
    let told = records(&receiver, "fired").len();
    let before = serve.rss();
    collector.stop();
    wait_for("failures", || (failed(&serve) >= 3.0).then_some(()));
    // An alert that nobody can be told of now.
    victim.say("60");
    victim.report();
    thread::sleep(outage());
    assert!(serve.running.is_running(), "{}", serve.log());
    let grown = serve.rss().saturating_sub(before);
    println!(
        "{protocol}: {} s without a collector, {} failed exports, {} KiB more RSS",
        outage().as_secs(),
        failed(&serve),
        grown / 1_024
    );
    assert!(grown < GROWTH, "grew by {grown} bytes in the outage");
    let log = serve.log();
    let complaints = log
        .lines()
        .filter(|line| line.contains("cannot export metrics"));
    assert_eq!(complaints.count(), 1, "said once: {log}");
    assert_eq!(serve.alerts()["active"].as_array().unwrap().len(), 2);

    let stalled = exported(&serve);
    let had = receiver.received("metrics").len();
    collector.restart();
    wait_for("exports again", || {
        (exported(&serve) > stalled && receiver.received("metrics").len() > had).then_some(())
    });
    // The alert was not forgotten.
    wait_for("the alert of the outage", || {
        (records(&receiver, "fired").len() > told).then_some(())
    });
    assert!(serve.log().contains("exported again"), "{}", serve.log());
    // What comes last is exported before the end.
    let had = receiver.received("metrics").len();
    serve.stop();
    wait_for("the last export", || {
        (receiver.received("metrics").len() > had).then_some(())
    });
}

#[test]
fn a_collector_comes_back_over_grpc() {
    comes_back("grpc");
}

#[test]
fn a_collector_comes_back_over_http() {
    comes_back("http/protobuf");
}
