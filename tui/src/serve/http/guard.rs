//! What a request has to pass before anything is done for it.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{
        app::{App, Counts},
        fleet::seconds,
    },
    endpoints::problem,
};

fn note(count: &AtomicU64) {
    // Relaxed: a figure on its own.
    count.fetch_add(1, Ordering::Relaxed);
}

/// Counts requests, and those that the layers below refused.
pub(super) async fn count(
    State(counts): State<Arc<Counts>>,
    request: Request,
    next: Next,
) -> Response {
    note(&counts.requests);
    let mut response = next.run(request).await;
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => {
            note(&counts.refused_rate);
            // Less than a second is said as 0, which clients take for "at once".
            let at_once = response.headers().get(header::RETRY_AFTER);
            if at_once.is_none_or(|seconds| seconds == "0") {
                let second = HeaderValue::from_static("1");
                response.headers_mut().insert(header::RETRY_AFTER, second);
            }
        }
        StatusCode::SERVICE_UNAVAILABLE if response.headers().contains_key(header::RETRY_AFTER) => {
            note(&counts.refused_concurrency);
        }
        _ => {}
    }
    response
}

/// Without a token the only guard is that nobody else reaches loopback. A page in a browser of this
/// host does, under a name that it had pointed here: what asks for another name than this host's is
/// refused.
pub(super) async fn own_host_only(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST);
    let is_own = match host.map(HeaderValue::to_str) {
        None => true,
        Some(Ok(host)) => is_own_name(host),
        Some(Err(_)) => false,
    };
    if app.token.is_none() && !is_own {
        return problem(
            StatusCode::MISDIRECTED_REQUEST,
            "this server answers to localhost and to addresses, not to other names",
        );
    }
    next.run(request).await
}

fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok()
}

/// At most so many requests at once; a permit is held until the answer is sent.
pub(super) async fn within_concurrency(
    State(permits): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(permit) = permits.try_acquire_owned() else {
        let mut response = problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are under way",
        );
        let second = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, second);
        return response;
    };
    next.run(request).await.map(|body| {
        Body::new(Held {
            body,
            _permit: permit,
        })
    })
}

/// A body with the permit of its request.
struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads the body, which no endpoint needs but a client may send, and gives the rest so much time.
pub(super) async fn within_size_and_time(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let http = &app.config.http;
    let answer = async {
        let (parts, body) = request.into_parts();
        let most = usize::try_from(http.max_body_bytes.0).unwrap_or(usize::MAX);
        if body.size_hint().lower() > http.max_body_bytes.0 {
            return too_large(&app.counts);
        }
        match to_bytes(body, most).await {
            Ok(bytes) => {
                next.run(Request::from_parts(parts, Body::from(bytes)))
                    .await
            }
            Err(_) => too_large(&app.counts),
        }
    };
    match tokio::time::timeout(seconds(http.request_timeout_seconds), answer).await {
        Ok(response) => response,
        Err(_) => {
            note(&app.counts.refused_time);
            let mut response = problem(StatusCode::REQUEST_TIMEOUT, "this took too long");
            // What is left of the request is not worth waiting for.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            response
        }
    }
}

fn too_large(counts: &Counts) -> Response {
    note(&counts.refused_size);
    let mut response = problem(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is too large, or broken off; no endpoint needs one",
    );
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// The bearer token, where there is one.
pub(super) async fn need_token(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = &app.token else {
        return next.run(request).await;
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_first_chunk::<7>())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
        .map(|(_, given)| given.trim_ascii());
    // The time does not tell how much of it is right; that the length does is no secret of the token.
    if given.is_some_and(|given| bool::from(given.ct_eq(token.as_bytes()))) {
        return next.run(request).await;
    }
    note(&app.counts.refused_token);
    (
        [(header::WWW_AUTHENTICATE, "Bearer realm=\"riptide\"")],
        problem(
            StatusCode::UNAUTHORIZED,
            "send the token: Authorization: Bearer …",
        ),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_host_are_told_from_others() {
        for own in [
            "localhost",
            "localhost:7070",
            "LOCALHOST:1",
            "127.0.0.1:7070",
            "[::1]:7070",
            "10.1.2.3",
            "riptide.localhost:80",
        ] {
            assert!(is_own_name(own), "{own}");
        }
        for other in [
            "evil.example",
            "evil.example:7070",
            "localhost.evil.example",
            "",
        ] {
            assert!(!is_own_name(other), "{other}");
        }
    }
}
