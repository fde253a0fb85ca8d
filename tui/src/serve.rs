//! `riptide serve`: follows one or many targets and says over HTTP what it sees.
//!
//! | module | does |
//! |---|---|
//! | `fleet` | targets that come, are looked at in turn, and end |
//! | `target` | one target: looks, verdicts, captures |
//! | `tick` | what each look at a target yields |
//! | `observer` | the doors to rules and exports |
//! | `alerting`, `exporting` | rules and OTLP, fed by ticks |
//! | `snapshots` | heap snapshots on disk |
//! | `metrics` | `/metrics` in both text formats |
//! | `http` | routes, limits, connections |
//! | `log` | the log on stderr |
//! | `in_process` | one connection without a socket, for tests |
//!
//! **Invariants.** Whatever targets do, come, die or come back with the same pid, the server goes on.
//! All memory is bounded by the number of targets and their regions. No stack is given its name
//! unless somebody asks. A configuration that is not right never replaces one that is.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

mod alerting;
mod app;
mod exporting;
mod fleet;
mod http;
mod in_process;
mod log;
mod metrics;
pub mod observer;
pub mod snapshots;
pub mod target;
pub mod tick;

use alerting::Alerting;
use app::{App, Counts};
use exporting::{Exporting, Given};
pub use fleet::{Fleet, NoTarget, Wanted};
use http::listen::{self, Routes};
pub use in_process::InProcess;
pub use observer::{AlertsDocument, Observer, OwnMetric};
pub use snapshots::Snapshots;
pub use target::Target;
pub use tick::{Cost, Identity, Tick, Verdicts};

use crate::config::{self, Config, Origin, Problem, Problems, Secret, Sources};

/// Why the server ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is not right.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Threads, signals or the runtime.
    #[error("cannot {operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn system(operation: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |source| ServeError::System { operation, source }
}

/// Runs until SIGTERM or SIGINT. `sources` are read again at SIGHUP.
///
/// # Errors
/// The configuration is not right, or the system refuses what is needed to start.
pub fn run(sources: &Sources, wanted: Wanted) -> Result<(), ServeError> {
    let loaded = config::load(sources)?;
    let token = token_of(&loaded.config)?;
    log::start(&loaded.config.log);
    raise_open_files();
    let config = Arc::new(loaded.config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("riptide-http")
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    runtime.block_on(async {
        let addr = config.http.addr;
        let listener = listen::bind(addr).map_err(|source| ServeError::Listen { addr, source })?;
        Server::start(sources, wanted, config, token)?
            .run(listener)
            .await
    })?;
    // What still runs on threads of its own (a client that waits for symbols) is not waited for.
    runtime.shutdown_background();
    Ok(())
}

/// Whoever hears of ticks: exports and rules.
fn observers(
    sources: &Sources,
    config: &Arc<Config>,
    snapshots: &Arc<Snapshots>,
) -> io::Result<Vec<Arc<dyn Observer>>> {
    let exporting = Arc::new(Exporting::start(config, Given::of(sources))?);
    let alerting = Alerting::start(config, Arc::clone(snapshots), Arc::clone(&exporting))?;
    // They are stopped in this order: the rules still have something to say by the exporter.
    Ok(vec![Arc::new(alerting), exporting])
}

struct Server<'a> {
    sources: &'a Sources,
    config: Arc<Config>,
    fleet: Arc<Fleet>,
    snapshots: Arc<Snapshots>,
    counts: Arc<Counts>,
    routes: Routes,
    threads: Vec<thread::JoinHandle<()>>,
}

impl<'a> Server<'a> {
    fn start(
        sources: &'a Sources,
        wanted: Wanted,
        config: Arc<Config>,
        token: Option<String>,
    ) -> Result<Self, ServeError> {
        let snapshots = Snapshots::new(&config);
        let fleet = Fleet::new(wanted, Arc::clone(&config), Arc::clone(&snapshots));
        let observers =
            observers(sources, &config, &snapshots).map_err(system("start a thread"))?;
        let mut threads = fleet.start(observers).map_err(system("start a thread"))?;
        let writer = Arc::clone(&snapshots);
        let writes = thread::Builder::new().name("riptide-snapshots".to_owned());
        threads.push(
            writes
                .spawn(move || writer.work())
                .map_err(system("start a thread"))?,
        );
        let counts = Arc::new(Counts::default());
        let app = Arc::new(App {
            fleet: Arc::clone(&fleet),
            snapshots: Arc::clone(&snapshots),
            config: Arc::clone(&config),
            token,
            counts: Arc::clone(&counts),
        });
        Ok(Self {
            sources,
            routes: Routes::new(http::router(&app), config.http.clone()),
            config,
            fleet,
            snapshots,
            counts,
            threads,
        })
    }

    async fn run(mut self, listener: TcpListener) -> Result<(), ServeError> {
        let listening = |kind| signal(kind).map_err(system("listen for signals"));
        let mut hangup = listening(SignalKind::hangup())?;
        let mut terminate = listening(SignalKind::terminate())?;
        let mut interrupt = listening(SignalKind::interrupt())?;
        let addr = listener.local_addr().map_err(system("listen"))?;
        let (stop, stopped) = watch::channel(false);
        let answering = tokio::spawn(listen::serve(
            listener,
            self.routes.clone(),
            Arc::clone(&self.counts),
            stopped,
        ));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            token = !self.config.http.addr.ip().is_loopback(),
            "listening on http://{addr}"
        );
        loop {
            tokio::select! {
                () = came(&mut hangup) => self.reload(),
                () = came(&mut terminate) => break,
                () = came(&mut interrupt) => break,
            }
        }
        tracing::info!("stopping");
        // Nobody is there to hear it only when it has ended by itself.
        let _ = stop.send(true);
        let _ = answering.await;
        self.fleet.stop();
        self.snapshots.stop();
        let threads = self.threads;
        let fleet = self.fleet;
        let ended = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A thread that panicked has ended too.
                let _ = thread.join();
            }
            for observer in fleet.observers() {
                observer.stop();
            }
        });
        let _ = ended.await;
        tracing::info!("stopped");
        Ok(())
    }

    /// Reads the configuration again; one that is not right changes nothing.
    fn reload(&mut self) {
        let read = config::load(self.sources).and_then(|loaded| {
            let token = token_of(&loaded.config)?;
            Ok((loaded.config, token))
        });
        let (config, token) = match read {
            Ok(read) => read,
            Err(problems) => {
                note(&self.counts.reloads_failed);
                tracing::error!("the new configuration is not right, the old one stays in force");
                for problem in problems.0 {
                    tracing::error!("{problem}");
                }
                return;
            }
        };
        let mut config = config;
        for (name, is_other) in [
            ("http.addr", config.http.addr != self.config.http.addr),
            (
                "http.max_connections",
                config.http.max_connections != self.config.http.max_connections,
            ),
            (
                "profiling.workers",
                config.profiling.workers != self.config.profiling.workers,
            ),
            ("log", config.log != self.config.log),
        ] {
            if is_other {
                tracing::warn!("{name} has changed and takes effect at the next start");
            }
        }
        config.http.addr = self.config.http.addr;
        if !config.http.addr.ip().is_loopback() && token.is_none() {
            note(&self.counts.reloads_failed);
            tracing::error!(
                "the new configuration has no token, and {} can be reached by others; the old one stays in force",
                config.http.addr
            );
            return;
        }
        let config = Arc::new(config);
        self.config = Arc::clone(&config);
        self.snapshots.reload(&config);
        self.fleet.reload(Arc::clone(&config));
        for observer in self.fleet.observers() {
            observer.reload(&config);
        }
        let app = Arc::new(App {
            fleet: Arc::clone(&self.fleet),
            snapshots: Arc::clone(&self.snapshots),
            config: Arc::clone(&config),
            token,
            counts: Arc::clone(&self.counts),
        });
        self.routes.replace(http::router(&app), config.http.clone());
        note(&self.counts.reloads_ok);
        tracing::info!("a new configuration is in force");
    }
}

async fn came(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // No more signals: the runtime ends.
        std::future::pending::<()>().await;
    }
}

fn note(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// The token, from the configuration or from its file.
fn token_of(config: &Config) -> Result<Option<String>, Problems> {
    if let Secret(Some(token)) = &config.http.token {
        return Ok(Some(token.clone()));
    }
    let Some(path) = &config.http.token_file else {
        return Ok(None);
    };
    let problem = |message: String| {
        Problems(vec![Problem {
            origin: place_of(path),
            message,
            suggestion: "for example: head -c 32 /dev/urandom | base64 > the file, and chmod 600"
                .to_owned(),
        }])
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| problem(format!("http.token_file cannot be read: {error}")))?;
    let token = text.trim();
    if config::is_token(token) {
        Ok(Some(token.to_owned()))
    } else {
        Err(problem(
            "http.token_file does not hold at least 16 printable ASCII characters without spaces"
                .to_owned(),
        ))
    }
}

fn place_of(path: &Path) -> Origin {
    Origin::File {
        path: path.to_owned(),
        line: 1,
        column: 1,
    }
}

/// Hundreds of targets and thousands of connections need as many file descriptors as we may have.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        // What we have then has to do; accepting connections says when it does not.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
