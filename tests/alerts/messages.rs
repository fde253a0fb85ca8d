//! Cooldown, hysteresis, grouping, escalation and the end, as a webhook, stdout and the log see them.

use std::{fs, thread, time::Duration};

use serde_json::Value;

use crate::{
    harness::{Directory, Victim, wait_for},
    stand::{Receiver, Serve, first},
};

fn config(receiver: &Receiver, more: &str) -> String {
    format!(
        "[profiling]\ninterval_seconds = 0.2\n\
         [thresholds]\nwarning_mb = 50.0\nalert_mb = 80.0\nleak = false\n\
         [alerts]\nchannels = [\"webhook\", \"stdout\", \"log\"]\n\
         webhook_url = \"http://127.0.0.1:{}/hook\"\nresolve_seconds = 1.0\ngroup_seconds = 1.0\n\
         {more}\n[telemetry]\nenabled = false\n",
        receiver.http
    )
}

/// Rule and change of every alert told of, in order.
fn told(receiver: &Receiver) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let posted = receiver.posted("/hook").into_iter();
    posted
        .flat_map(|body| body["alerts"].as_array().unwrap().clone())
        .map(|alert| (text(&alert["rule"]), text(&alert["change"])))
        .collect()
}

/// Changes of the rule on live bytes.
fn of_live(receiver: &Receiver) -> Vec<String> {
    let told = told(receiver).into_iter();
    told.filter(|(rule, _)| rule == "live")
        .map(|(_, change)| change)
        .collect()
}

fn is_live_active(serve: &Serve) -> bool {
    let active = serve.alerts()["active"].clone();
    active
        .as_array()
        .unwrap()
        .iter()
        .any(|alert| alert["rule"] == "live")
}

fn hold(victim: &mut Victim, megabytes: u32) {
    victim.say(&megabytes.to_string());
    victim.report();
}

#[test]
fn an_alert_is_told_once_goes_on_quietly_and_ends() {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let snapshots = files.path().join("snapshots");
    let more = format!("cooldown_seconds = 300.0\n[snapshot]\ndirectory = {snapshots:?}");
    let mut serve = Serve::start(&regions, &files, &config(&receiver, &more), &[]);
    hold(&mut victim, 60);
    let notification = first("a message", || receiver.posted("/hook"));
    assert_eq!(notification["status"], "firing");
    assert_eq!(notification["target"]["pid"], victim.pid());
    assert!(
        notification["text"]
            .as_str()
            .unwrap()
            .starts_with("WARNING victim-level")
    );
    // Live heap and RSS passed the threshold together: one message.
    let rules: Vec<&Value> = notification["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| &alert["rule"])
        .collect();
    assert_eq!(rules, ["live", "rss"]);
    let alert = &notification["alerts"][0];
    assert_eq!(alert["severity"], "warning");
    assert_eq!(alert["threshold"], 50e6);
    let value = alert["value"].as_f64().unwrap();
    assert!((60e6..61e6).contains(&value), "{alert}");
    assert_eq!(
        alert["evidence"]["low"], alert["value"],
        "exact at an interval of 1"
    );
    let site = &alert["evidence"]["sites"][0];
    assert_eq!(site["function"], "victim_level::hold");
    assert!(
        site["file"]
            .as_str()
            .unwrap()
            .ends_with("programs/level.rs")
    );
    assert!(site["line"].as_u64().unwrap() > 0);
    let path = alert["evidence"]["snapshot"].as_str().unwrap();
    assert!(fs::metadata(path).unwrap().len() > 100, "{path}");
    let advice = alert["recommendations"][0].as_str().unwrap();
    assert!(advice.contains("victim_level::hold"), "{advice}");
    assert_eq!(
        serve.metric("riptide_alerts_active", &["severity=\"warning\""]),
        2.0
    );

    // Within the hysteresis of 5 %: still the same alert, and nothing to say. RSS may fall as it likes.
    hold(&mut victim, 49);
    thread::sleep(Duration::from_secs(4));
    assert_eq!(of_live(&receiver), ["fired"]);
    let active = serve.alerts()["active"].clone();
    let live = active
        .as_array()
        .unwrap()
        .iter()
        .find(|of| of["rule"] == "live");
    let live = live.expect("it goes on");
    assert!(live["value"].as_f64().unwrap() < 50e6, "{live}");
    assert!(live["cooldown_left_seconds"].as_f64().unwrap() > 200.0);

    hold(&mut victim, 40);
    wait_for("the end", || {
        (of_live(&receiver) == ["fired", "resolved"]).then_some(())
    });
    let history = serve.alerts()["history"].clone();
    let ended = history
        .as_array()
        .unwrap()
        .iter()
        .find(|of| of["rule"] == "live")
        .unwrap()
        .clone();
    assert_eq!(ended["id"], live["id"]);
    assert!(ended["resolved"].as_str().unwrap() > ended["since"].as_str().unwrap());

    // What the webhook got is on stdout and in the log as well.
    let on_stdout: Vec<Value> = serve
        .running
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    wait_for("the same on stdout", || {
        (on_stdout.len() <= receiver.posted("/hook").len()).then_some(())
    });
    assert_eq!(on_stdout[0], notification);
    let log = serve.log();
    assert!(
        log.contains("WARN") && log.contains("warning threshold of 50.0 MB"),
        "{log}"
    );
    serve.stop();
}

#[test]
fn a_value_that_flaps_does_not_spam() {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let serve = Serve::start(
        &regions,
        &files,
        &config(&receiver, "cooldown_seconds = 20.0"),
        &[],
    );
    let start = std::time::Instant::now();
    // Six crossings, each long enough to be an alert and its end.
    for _ in 0..6 {
        hold(&mut victim, 60);
        wait_for("an active alert", || is_live_active(&serve).then_some(()));
        thread::sleep(Duration::from_millis(500));
        hold(&mut victim, 10);
        wait_for("its end", || (!is_live_active(&serve)).then_some(()));
    }
    thread::sleep(Duration::from_secs(3));
    let cooldowns = start.elapsed().as_secs() as usize / 20 + 1;
    let said = of_live(&receiver);
    let fired = said.iter().filter(|change| *change == "fired").count();
    assert!(
        (1..=cooldowns).contains(&fired),
        "{said:?} in {cooldowns} cooldowns"
    );
    assert_eq!(
        said.iter().filter(|change| *change == "resolved").count(),
        fired,
        "{said:?}"
    );
    let history = serve.alerts()["history"].clone();
    let of_live = history.as_array().unwrap().iter();
    let of_live = of_live.filter(|alert| alert["rule"] == "live").count();
    assert_eq!(of_live, 6, "every one is in the history");
}

#[test]
fn what_gets_worse_is_said_at_once_and_what_goes_on_after_the_cooldown() {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let serve = Serve::start(
        &regions,
        &files,
        &config(&receiver, "cooldown_seconds = 12.0"),
        &[],
    );
    hold(&mut victim, 60);
    wait_for("a message", || {
        (of_live(&receiver) == ["fired"]).then_some(())
    });
    hold(&mut victim, 90);
    wait_for("that it is worse", || {
        (of_live(&receiver) == ["fired", "escalated"]).then_some(())
    });
    let newest = receiver.posted("/hook").pop().unwrap();
    assert_eq!(newest["alerts"][0]["severity"], "alert");
    assert_eq!(newest["alerts"][0]["threshold"], 80e6);
    wait_for("that it goes on", || {
        (of_live(&receiver) == ["fired", "escalated", "repeated"]).then_some(())
    });

    // Other thresholds by SIGHUP: over.
    let higher = config(&receiver, "")
        .replace("80.0", "800.0")
        .replace("50.0", "500.0");
    serve.reload(&higher);
    wait_for("the end by other thresholds", || {
        of_live(&receiver)
            .ends_with(&["resolved".to_owned()])
            .then_some(())
    });
}

#[test]
fn a_webhook_that_is_down_is_counted_and_told_when_it_is_back() {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let mut victim = Victim::new("victim-level", &[], &regions, "1");
    victim.report();
    let nobody = crate::stand::free_port();
    let config = config(&receiver, "retries = 100").replace(
        &format!("127.0.0.1:{}/hook", receiver.http),
        &format!("127.0.0.1:{nobody}/hook"),
    );
    let serve = Serve::start(&regions, &files, &config, &[]);
    hold(&mut victim, 60);
    let failed = || serve.metric("riptide_alert_failed_attempts_total", &["webhook"]);
    wait_for("failed attempts", || (failed() >= 2.0).then_some(()));
    // Everything else goes on meanwhile.
    assert_eq!(serve.alerts()["active"].as_array().unwrap().len(), 2);
    let delivery = serve.alerts()["delivery"].clone();
    let webhook = delivery
        .as_array()
        .unwrap()
        .iter()
        .find(|of| of["channel"] == "webhook");
    assert!(webhook.unwrap()["last_error"].is_string(), "{delivery}");
    let late = Receiver::on(nobody);
    first("the message", || late.posted("/hook"));
    assert_eq!(
        serve.metric("riptide_alert_messages_total", &["webhook", "delivered"]),
        1.0
    );
}
