//! A published server that runs, with the directory that it serves and the load on it.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use riptide_tests::victim::Numbers;

use crate::{
    corpus::text,
    harness::{Directory, clean_command, wait_for},
    http::{Answer, Client},
};

/// What is served: 300 small files in one directory, a large one beside it.
pub(crate) fn write_pages(root: &Path) {
    let mut numbers = Numbers::new(7);
    fs::create_dir(root.join("pages")).unwrap();
    for page in 0..300 {
        let length = 100 + numbers.below(20_000);
        let name = format!("pages/page {page} & more.txt");
        fs::write(root.join(name), text(&mut numbers, length)).unwrap();
    }
    fs::write(root.join("large.txt"), text(&mut numbers, 1 << 20)).unwrap();
}

/// A server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// What it printed.
    log: PathBuf,
}

impl Server {
    /// Starts `binary` on a free port, which takes the place of `PORT` in the arguments. Its region
    /// comes into `directory`; `interval` is the sampling interval, if it is not to be the default.
    pub(crate) fn start(
        binary: &Path,
        arguments: &[&str],
        root: &Path,
        directory: &Directory,
        interval: Option<&str>,
    ) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = directory.path().with_extension(format!("log-{port}"));
        let output = File::create(&log).unwrap();
        let mut command = clean_command(binary);
        command
            .args(
                arguments
                    .iter()
                    .map(|argument| argument.replace("PORT", &port.to_string())),
            )
            .arg(root)
            .env("RIPTIDE_DIR", directory.path())
            .envs(interval.map(|interval| ("RIPTIDE_SAMPLE_INTERVAL", interval)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let mut server = Self {
            child: command.spawn().unwrap(),
            port,
            log,
        };
        wait_for("the server to listen", || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", server.printed());
            Client::connect(port).ok()
        });
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the server printed, on both streams.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

/// Threads that ask the same questions over and over until dropped.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Four connections. Every answer must be the first one that the question got.
    pub(crate) fn start(port: u16, questions: &'static [&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let threads = (0..4).map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut client = Client::connect(port).unwrap();
                let first: Vec<Answer> = questions
                    .iter()
                    .map(|question| client.ask(&[*question]))
                    .collect();
                // Relaxed, here and below: a flag and a count, nothing else rides on them.
                while !stop.load(Ordering::Relaxed) {
                    for (question, first) in questions.iter().zip(&first) {
                        assert_eq!(client.ask(&[*question]), *first, "{question}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        let threads = threads.collect();
        Self {
            stop,
            answered,
            threads,
        }
    }

    /// Waits until as many answers have come.
    pub(crate) fn wait_for_answers(&self, count: u64) {
        wait_for("answers", || {
            (self.answered.load(Ordering::Relaxed) >= count).then_some(())
        });
    }

    /// Ends the load and fails where an answer was not as expected.
    pub(crate) fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
