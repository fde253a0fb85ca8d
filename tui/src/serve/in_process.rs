//! One connection without a socket: the routes, limits and protocol of `serve` over the bytes of a client.
//! Fuzz targets search here for requests that should not get through.

use std::{path::PathBuf, sync::Arc};

use axum::{Router, body::Body};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use riptide_reader::{ReaderError, Session};
use tower::ServiceExt;

use super::{
    app::{App, Counts},
    fleet::{Fleet, Wanted},
    http::{self, listen},
    snapshots::Snapshots,
};
use crate::config::{Config, Http};

/// A server of given regions, without threads of its own: it looks at them when it is made and when it is
/// asked for a profile.
pub struct InProcess {
    router: Router,
    http: Http,
}

impl InProcess {
    /// A server of these regions; with a `token` it wants that of its clients.
    ///
    /// # Errors
    /// A region cannot be read.
    pub fn new(
        regions: &[PathBuf],
        config: Config,
        token: Option<String>,
    ) -> Result<Self, ReaderError> {
        let config = Arc::new(config);
        let snapshots = Snapshots::new(&config);
        let fleet = Fleet::new(Wanted::All, Arc::clone(&config), Arc::clone(&snapshots));
        for (id, region) in (1..).zip(regions) {
            fleet.follow(id, Session::attach(region)?);
        }
        let http = config.http.clone();
        let router = http::router(&Arc::new(App {
            fleet,
            snapshots,
            config,
            token,
            counts: Arc::new(Counts::default()),
        }));
        Ok(Self { router, http })
    }

    /// What a client is sent that sends `bytes` and then no more.
    pub async fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            self.router.clone().oneshot(request.map(Body::new))
        });
        let connection = tokio::io::join(bytes, &mut answer);
        // That the client broke off, or sent no HTTP, is its own affair.
        let _ = listen::protocol(&self.http)
            // These bytes end at once, and what they asked for is still of interest.
            .half_close(true)
            .serve_connection(TokioIo::new(connection), service)
            .await;
        answer
    }
}
