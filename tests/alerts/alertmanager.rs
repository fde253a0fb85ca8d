//! From a leak through Alertmanager to a person's webhook, and back to quiet.

use serde_json::{Value, json};

use crate::{
    harness::{Directory, Victim, wait_for},
    stand::{Alertmanager, Receiver, Serve, first, get},
};

/// The newest state of an alert in what Alertmanager told.
fn told(receiver: &Receiver, name: &str, severity: &str) -> Option<Value> {
    let posted = receiver.posted("/person");
    let alerts = posted
        .iter()
        .rev()
        .flat_map(|body| body["alerts"].as_array().unwrap());
    let mut fitting = alerts.filter(|alert| {
        alert["labels"]["alertname"] == name && alert["labels"]["severity"] == severity
    });
    fitting.next().cloned()
}

#[test]
fn a_leak_reaches_a_person_with_evidence_and_what_to_do() {
    let (regions, files) = (Directory::new(), Directory::new());
    let receiver = Receiver::start();
    let person = format!("http://127.0.0.1:{}/person", receiver.http);
    let alertmanager = Alertmanager::start(files.path(), &person);
    // 2 MB/s: a verdict of leak takes about two minutes at any rate.
    let mut victim = Victim::new("victim-leaks", &["mem-forget", "2000"], &regions, "4096");
    victim.line();
    let config = format!(
        "[profiling]\ninterval_seconds = 0.5\nverdict_seconds = 2.0\n\
         [thresholds]\nwarning_mb = 30.0\ncritical_mb = 60.0\n\
         [alerts]\nchannels = [\"alertmanager\", \"webhook\"]\nresolve_seconds = 1.0\n\
         alertmanager_url = \"http://127.0.0.1:{}\"\nwebhook_url = \"http://127.0.0.1:{}/own\"\n\
         [telemetry]\nenabled = false\n",
        alertmanager.port, receiver.http
    );
    let serve = Serve::start(&regions, &files, &config, &[]);

    let rss = wait_for("RSS", || told(&receiver, "RiptideRss", "critical"));
    assert_eq!(rss["status"], "firing");
    assert_eq!(rss["labels"]["process"], "victim-leaks");
    assert_eq!(rss["labels"]["pid"], victim.pid().to_string());
    assert_eq!(rss["annotations"]["threshold"], "60000000");
    let sites = rss["annotations"]["sites"].as_str().unwrap();
    assert!(sites.contains("victim_leaks::mem_forget"), "{sites}");
    // A warning that became a critical one is over as a warning.
    wait_for("the end of the warning", || {
        let warning = told(&receiver, "RiptideRss", "warning");
        // Either never told, as it was over within Alertmanager's own waiting, or told to be over.
        warning
            .is_none_or(|of| of["status"] == "resolved")
            .then_some(())
    });

    let leak = wait_for("the verdict", || told(&receiver, "RiptideLeak", "alert"));
    assert_eq!(leak["labels"]["category"], "leak");
    assert_eq!(leak["labels"]["component"], "site");
    let site = leak["labels"]["site"].as_str().unwrap();
    assert!(
        site.starts_with("victim_leaks::mem_forget (") && site.contains("leaks.rs:"),
        "{site}"
    );
    let annotation = |name: &str| leak["annotations"][name].as_str().unwrap();
    assert!(annotation("summary").contains("leaks"), "{leak}");
    assert!(
        annotation("description").contains("Verdict leak with confidence"),
        "{leak}"
    );
    assert!(
        annotation("description").contains("95 % interval"),
        "{leak}"
    );
    assert!(
        annotation("recommendation").contains("victim_leaks::mem_forget"),
        "{leak}"
    );
    // Riptide's own webhook was told as well.
    let own = first("riptide's own webhook", || {
        let posted = receiver.posted("/own").into_iter();
        posted
            .flat_map(|body| body["alerts"].as_array().unwrap().clone())
            .filter(|alert| alert["rule"] == "leak")
            .collect()
    });
    assert_eq!(own["severity"], "alert");
    assert!(own["evidence"]["sites"][0]["line"].as_u64().unwrap() > 0);

    // The process goes: everything is over at once, for Alertmanager too.
    victim.kill();
    wait_for("the end", || {
        let leak = told(&receiver, "RiptideLeak", "alert")?;
        let rss = told(&receiver, "RiptideRss", "critical")?;
        (leak["status"] == "resolved" && rss["status"] == "resolved").then_some(())
    });
    wait_for("nothing active", || {
        let text = get(alertmanager.port, "/api/v2/alerts?active=true")?;
        (serde_json::from_str::<Value>(&text).unwrap() == json!([])).then_some(())
    });
    assert_eq!(serve.metric("riptide_alerts_active", &[]), 0.0);
}
