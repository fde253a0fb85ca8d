//! Profiles of one target: as `top` prints them, and in every format of `export`; for scrapers of pprof
//! under the paths that they ask for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use riptide_reader::export::{Capture, Format, Metric};
use serde::Deserialize;

use super::{
    super::{app::App, target::Target},
    endpoints::{no_target, problem},
};

/// Sites of `/profiling/snapshot` unless told otherwise, as `top` has them.
const LIMIT: usize = 20;

/// Does what may take long on a thread of its own.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the profile could not be made",
        )
    })
}

#[derive(Deserialize)]
pub(super) struct SnapshotQuery {
    target: Option<String>,
    format: Option<String>,
    metric: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn snapshot(
    State(app): State<Arc<App>>,
    Query(query): Query<SnapshotQuery>,
) -> Response {
    let format = match query.format.as_deref() {
        None | Some("") => None,
        Some(name) => match Format::from_name(name) {
            Some(format) => Some(format),
            None => {
                let known = Format::ALL.map(Format::name).join(", ");
                let message = format!("there is no format {name:?}; there is {known}");
                return problem(StatusCode::BAD_REQUEST, &message);
            }
        },
    };
    let metric = match query.metric.as_deref() {
        None => Metric::default(),
        Some(name) => match Metric::from_name(name) {
            Some(metric) => metric,
            None => {
                let known = Metric::ALL.map(Metric::name).join(", ");
                let message = format!("there is no metric {name:?}; there is {known}");
                return problem(StatusCode::BAD_REQUEST, &message);
            }
        },
    };
    let target = match app.fleet.find(query.target.as_deref()) {
        Ok(target) => target,
        Err(error) => return no_target(&app, &error),
    };
    let limit = query.limit.unwrap_or(LIMIT);
    match format {
        Some(format) => {
            let made = off_the_runtime(move || encode(&target.capture(), format, metric)).await;
            answer(made, format, "snapshot")
        }
        None => {
            let made = off_the_runtime(move || {
                let mut snapshot = target.snapshot();
                if limit > 0 {
                    snapshot.sites.truncate(limit);
                }
                snapshot
            });
            match made.await {
                Ok(snapshot) => Json(snapshot).into_response(),
                Err(answer) => answer,
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct PprofQuery {
    target: Option<String>,
    /// As Go has it: the difference over so many seconds.
    seconds: Option<f64>,
    /// As Go has it: text for people.
    debug: Option<u32>,
}

pub(super) async fn heap(state: State<Arc<App>>, query: Query<PprofQuery>) -> Response {
    pprof(state, query, Metric::LiveBytes, "heap").await
}

pub(super) async fn allocs(state: State<Arc<App>>, query: Query<PprofQuery>) -> Response {
    pprof(state, query, Metric::AllocatedBytes, "allocs").await
}

async fn pprof(
    State(app): State<Arc<App>>,
    Query(query): Query<PprofQuery>,
    metric: Metric,
    name: &'static str,
) -> Response {
    let target = match app.fleet.find(query.target.as_deref()) {
        Ok(target) => target,
        Err(error) => return no_target(&app, &error),
    };
    let format = match query.debug {
        None | Some(0) => Format::Pprof,
        Some(_) => Format::Jeprof,
    };
    let made = match query.seconds.filter(|seconds| *seconds > 0.0) {
        None => off_the_runtime(move || encode(&target.capture(), format, metric)).await,
        Some(seconds) => {
            let most = app.config.http.request_timeout_seconds;
            let Some(pause) = Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|_| seconds < most)
            else {
                let message = format!(
                    "seconds={seconds} is not less than http.request_timeout_seconds, {most}"
                );
                return problem(StatusCode::BAD_REQUEST, &message);
            };
            difference(target, pause, format, metric).await
        }
    };
    answer(made, format, name)
}

/// What came since, less what went, in the time.
async fn difference(
    target: Arc<Target>,
    pause: Duration,
    format: Format,
    metric: Metric,
) -> Result<std::io::Result<Vec<u8>>, Response> {
    let at_first = Arc::clone(&target);
    let before = off_the_runtime(move || at_first.capture()).await?;
    tokio::time::sleep(pause).await;
    off_the_runtime(move || encode(&less(&target.capture(), &before), format, metric)).await
}

/// A capture less an earlier one, stack by stack. What shrank is shown as nothing, as in Go's heap
/// profiles a delta has no negative values for allocations, and formats hold none.
fn less(after: &Capture, before: &Capture) -> Capture {
    let earlier: HashMap<&[u64], _> = before
        .stacks
        .iter()
        .map(|stack| (&*stack.addresses, stack))
        .collect();
    let mut difference = after.clone();
    for stack in &mut difference.stacks {
        if let Some(before) = earlier.get(&*stack.addresses) {
            stack.live_bytes = (stack.live_bytes - before.live_bytes).max(0.0);
            stack.live_objects = (stack.live_objects - before.live_objects).max(0.0);
            stack.allocated_bytes = (stack.allocated_bytes - before.allocated_bytes).max(0.0);
            stack.allocated_objects = (stack.allocated_objects - before.allocated_objects).max(0.0);
        }
    }
    difference.lived_ns = after.unix_ns.saturating_sub(before.unix_ns);
    difference
}

fn encode(capture: &Capture, format: Format, metric: Metric) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    capture.write(format, metric, &mut bytes)?;
    Ok(bytes)
}

fn answer(
    made: Result<std::io::Result<Vec<u8>>, Response>,
    format: Format,
    name: &str,
) -> Response {
    match made {
        Ok(Ok(bytes)) => {
            let disposition = format!("inline; filename=\"{name}.{}\"", format.extension());
            let headers = [
                (header::CONTENT_TYPE, format.media_type().to_owned()),
                (header::CONTENT_DISPOSITION, disposition),
            ];
            (headers, bytes).into_response()
        }
        Ok(Err(error)) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(answer) => answer,
    }
}
