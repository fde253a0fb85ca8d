//! Connections: so many and no more, with time limits on their heads and on readers that do not read.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, Sleep},
};
use tower::ServiceExt;

use super::super::{app::Counts, fleet::seconds};
use crate::config::Http;

/// The routes in force: a reload puts others in their place, and requests that have begun keep theirs.
#[derive(Clone)]
pub(in super::super) struct Routes(Arc<RwLock<(Router, Http)>>);

impl Routes {
    pub(in super::super) fn new(router: Router, http: Http) -> Self {
        Self(Arc::new(RwLock::new((router, http))))
    }

    pub(in super::super) fn replace(&self, router: Router, http: Http) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (router, http);
    }

    fn router(&self) -> Router {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    fn http(&self) -> Http {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone()
    }
}

/// Said to a connection beyond the last one.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";
/// Connections that are told so at the same time; further ones are just closed.
const TOLD_AT_ONCE: usize = 64;

/// Answers connections until `stop` changes, then lets requests under way finish within the time of the
/// configuration.
pub(in super::super) async fn serve(
    listener: TcpListener,
    routes: Routes,
    counts: Arc<Counts>,
    mut stop: watch::Receiver<bool>,
) {
    let graceful = GracefulShutdown::new();
    // Of the configuration at the start: the number of connections does not change at a reload.
    let most = usize::try_from(routes.http().max_connections).unwrap_or(usize::MAX);
    let connections = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let told = Arc::new(Semaphore::new(TOLD_AT_ONCE));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: others give theirs back in a while.
                if !is_of_the_connection(&error) {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        // Answers are whole when they are written.
        let _ = stream.set_nodelay(true);
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            counts.refused_connections.fetch_add(1, Ordering::Relaxed);
            if let Ok(telling) = Arc::clone(&told).try_acquire_owned() {
                tokio::spawn(async move {
                    let _telling = telling;
                    tell_full(stream).await;
                });
            }
            continue;
        };
        let http = routes.http();
        let service = {
            let routes = routes.clone();
            service_fn(move |request: hyper::Request<Incoming>| {
                let router = routes.router();
                async move { router.oneshot(request.map(Body::new)).await }
            })
        };
        let patience = seconds(http.request_timeout_seconds);
        let connection =
            protocol(&http).serve_connection(TokioIo::new(Patient::new(stream, patience)), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            // What a client does to its connection is its own affair.
            let _ = connection.await;
        });
    }
    drop(listener);
    let last = seconds(routes.http().shutdown_seconds);
    let _ = tokio::time::timeout(last, graceful.shutdown()).await;
}

/// What a client may send as the head of a request, and how slowly.
pub(in super::super) fn protocol(http: &Http) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(seconds(http.header_timeout_seconds))
        .max_buf_size(
            usize::try_from(http.max_header_bytes.0)
                .unwrap_or(8_192)
                .max(8_192),
        )
        .half_close(false);
    protocol
}

async fn tell_full(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        stream.write_all(FULL).await?;
        stream.shutdown().await?;
        // To close with something unread is a reset, which takes the answer with it.
        let mut request = [0; 4_096];
        while stream.read(&mut request).await? > 0 {}
        Ok::<_, io::Error>(())
    })
    .await;
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Connections that may wait to be accepted: a burst of scrapers beyond it waits a second each.
const BACKLOG: u32 = 4_096;

/// Listens on an address.
pub(in super::super) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // At a restart the last connections of the one before may still be known to the kernel.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// A stream that breaks off when nothing of an answer was taken for so long.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    /// Runs while an answer is not taken.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            waiting: None,
        }
    }

    fn wait<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wait(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wait(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
