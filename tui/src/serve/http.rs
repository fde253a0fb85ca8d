//! The HTTP side: routes, and around them what a request has to pass.
//!
//! | module | does |
//! |---|---|
//! | `endpoints` | what is answered |
//! | `profiles` | `/debug/pprof/…` and `/profiling/snapshot` |
//! | `guard` | concurrency, rate, token, body and time, in this order |
//! | `listen` | connections: their number, slow heads, slow readers, graceful end |
//!
//! **Invariants.** A request is counted against the limits before anything is done for it, and until its
//! answer is sent. `/livez` passes them: it says that the process runs. Nothing is done on a thread of
//! the runtime that may take long.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware,
    response::Response,
    routing::get,
};
use tokio::sync::Semaphore;
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor,
};

use super::app::App;

mod endpoints;
mod guard;
pub(super) mod listen;
mod profiles;

/// All routes with the limits of the configuration around them.
pub(super) fn router(app: &Arc<App>) -> Router {
    let open = Router::new()
        .route("/", get(endpoints::page))
        .route("/readyz", get(endpoints::readyz));
    let closed = Router::new()
        .route("/health", get(endpoints::health))
        .route("/metrics", get(endpoints::metrics))
        .route("/alerts", get(endpoints::alerts))
        .route("/live.json", get(endpoints::live))
        .route("/profiling/snapshot", get(profiles::snapshot))
        .route("/debug/pprof/heap", get(profiles::heap))
        .route("/debug/pprof/allocs", get(profiles::allocs))
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            guard::need_token,
        ));
    let mut limited =
        open.merge(closed)
            .fallback(endpoints::not_found)
            .layer(middleware::from_fn_with_state(
                Arc::clone(app),
                guard::within_size_and_time,
            ));
    let limits = &app.config.limits;
    if limits.requests_per_second > 0 {
        let one_every = Duration::from_nanos(1_000_000_000 / limits.requests_per_second.max(1));
        let governor = GovernorConfigBuilder::default()
            .key_extractor(GlobalKeyExtractor)
            .period(one_every)
            .burst_size(u32::try_from(limits.burst).unwrap_or(u32::MAX))
            .finish();
        if let Some(governor) = governor {
            limited = limited.layer(GovernorLayer::new(governor));
        }
    }
    if let Ok(most @ 1..) = usize::try_from(limits.max_concurrent) {
        let permits = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        limited = limited.layer(middleware::from_fn_with_state(
            permits,
            guard::within_concurrency,
        ));
    }
    Router::new()
        .route("/livez", get(endpoints::livez))
        .merge(limited)
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            guard::own_host_only,
        ))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app.counts),
            guard::count,
        ))
        .layer(middleware::map_response(plain_answers))
        .with_state(Arc::clone(app))
}

/// What every answer says to a browser.
async fn plain_answers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
