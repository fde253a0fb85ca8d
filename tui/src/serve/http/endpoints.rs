//! Health, metrics, alerts, and the live page with the one document that it polls.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use riptide_reader::{
    leak::Verdict,
    profile::{Estimate, SCHEMA_VERSION, Snapshot, TargetState},
    self_stats::self_stats,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{
        app::App,
        fleet::NoTarget,
        metrics::{self, Exposition},
        observer::AlertsDocument,
        target::Target,
        tick::Tick,
    },
    profiles::off_the_runtime,
};

const PAGE: &str = include_str!("page.html");
/// Nothing but what is in the page itself, and this server to ask.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Sites of the target that the page shows.
const PAGE_SITES: usize = 20;

/// An answer that says what is wrong.
pub(super) fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// The answer when the target that was meant is not clear, or not there.
pub(super) fn no_target(app: &App, error: &NoTarget) -> Response {
    let status = match error {
        NoTarget::Several(_) => StatusCode::BAD_REQUEST,
        NoTarget::None | NoTarget::Unknown(_) => StatusCode::NOT_FOUND,
    };
    let targets: Vec<Value> = app
        .fleet
        .live()
        .iter()
        .take(1_000)
        .map(|target| {
            let identity = target.identity();
            json!({ "pid": identity.pid, "process": identity.process })
        })
        .collect();
    let document = json!({ "error": error.to_string(), "targets": targets });
    (status, Json(document)).into_response()
}

pub(super) async fn not_found() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "there is / /health /livez /readyz /metrics /alerts /profiling/snapshot /debug/pprof/heap \
         /debug/pprof/allocs",
    )
}

pub(super) async fn livez() -> &'static str {
    "ok\n"
}

pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.fleet.is_ready() {
        "ok\n".into_response()
    } else {
        problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the first search is not done yet",
        )
    }
}

#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
    targets: usize,
}

pub(super) async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    Json(Health {
        status: if app.fleet.is_ready() {
            "ok"
        } else {
            "starting"
        },
        version: env!("CARGO_PKG_VERSION"),
        targets: app.fleet.live_count(),
    })
}

pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let exposition = Exposition::of(Some(&accept.join(",")));
    match metrics::render(&app, exposition) {
        Ok(text) => ([(header::CONTENT_TYPE, exposition.media_type())], text).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn all_alerts(app: &App) -> AlertsDocument {
    let mut all = AlertsDocument::default();
    for observer in app.fleet.observers() {
        let one = observer.alerts();
        all.active.extend(one.active);
        all.history.extend(one.history);
        all.delivery.extend(one.delivery);
    }
    all
}

pub(super) async fn alerts(State(app): State<Arc<App>>) -> Json<AlertsDocument> {
    Json(all_alerts(&app))
}

pub(super) async fn page() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE)).into_response()
}

#[derive(Deserialize)]
pub(super) struct LiveQuery {
    target: Option<String>,
}

/// What the page polls.
#[derive(Serialize)]
struct LiveDocument {
    schema_version: u32,
    version: &'static str,
    targets: Vec<Row>,
    alerts: AlertsDocument,
    serve: Own,
    /// The target that the page shows in full.
    selected: Option<Selected>,
}

#[derive(Serialize)]
struct Row {
    pid: u32,
    process: String,
    state: TargetState,
    uptime_seconds: Option<f64>,
    live_bytes: Estimate,
    rss_bytes: Option<u64>,
    limit_share: Option<f64>,
    growth_bytes_per_second: Option<Estimate>,
    time_to_limit_seconds: Option<Estimate>,
    leaks: usize,
    growing: usize,
    cpu_seconds: f64,
    memory_bytes: u64,
}

#[derive(Serialize)]
struct Own {
    cpu_seconds: f64,
    rss_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Selected {
    pid: u32,
    process: String,
    snapshot: Snapshot,
    findings: Vec<Value>,
}

impl Row {
    fn of(tick: &Tick) -> Self {
        let figures = &tick.figures;
        let count = |verdict| tick.verdicts.as_ref().map_or(0, |of| of.count(verdict));
        Self {
            pid: tick.identity.pid,
            process: tick.identity.process.clone(),
            state: figures.target.state,
            uptime_seconds: figures.target.uptime_seconds,
            live_bytes: figures.live.bytes,
            rss_bytes: figures.memory.rss,
            limit_share: tick.limit_share,
            growth_bytes_per_second: tick.growth_bytes_per_second,
            time_to_limit_seconds: tick.time_to_limit_seconds,
            leaks: count(Verdict::Leak),
            growing: count(Verdict::Growing),
            cpu_seconds: tick.cost.cpu_seconds,
            memory_bytes: tick.cost.memory_bytes,
        }
    }
}

impl Selected {
    fn of(target: &Target) -> Self {
        let mut snapshot = target.snapshot();
        snapshot.sites.truncate(PAGE_SITES);
        let latest = target.latest();
        let findings = latest.verdicts.as_ref().map(|verdicts| {
            let worst = verdicts.findings.iter();
            worst
                .filter(|finding| finding.verdict <= Verdict::Growing)
                .take(PAGE_SITES)
                .map(|finding| {
                    json!({
                        "verdict": finding.verdict,
                        "function": finding.function,
                        "file": finding.file,
                        "line": finding.line,
                        "growth_bytes_per_second": finding.growth_bytes_per_second,
                        "evidence": finding.evidence,
                    })
                })
                .collect()
        });
        Self {
            pid: target.identity().pid,
            process: target.identity().process.clone(),
            snapshot,
            findings: findings.unwrap_or_default(),
        }
    }
}

/// The list of targets, alerts, and in full the one that is asked for, or the only one there is.
pub(super) async fn live(State(app): State<Arc<App>>, Query(query): Query<LiveQuery>) -> Response {
    let live = app.fleet.live();
    let chosen = app.fleet.find(query.target.as_deref()).ok();
    let selected = match chosen {
        Some(target) => match off_the_runtime(move || Selected::of(&target)).await {
            Ok(selected) => Some(selected),
            Err(answer) => return answer,
        },
        None => None,
    };
    let own = self_stats();
    let rows = live.into_iter().chain(app.fleet.dead());
    Json(LiveDocument {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        targets: rows.map(|target| Row::of(&target.latest())).collect(),
        alerts: all_alerts(&app),
        serve: Own {
            cpu_seconds: own.cpu_seconds,
            rss_bytes: own.rss_bytes,
        },
        selected,
    })
    .into_response()
}
