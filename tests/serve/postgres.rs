//! A service that we did not write (`atuin-server`, which keeps shell histories) on a real `PostgreSQL`,
//! under the allocator, with `serve` beside it and under load: the same answers as bare, its sites named,
//! nothing found that is not true.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    harness::{Directory, clean_command, long, wait_for},
    http::{Answer, raw},
    program::{Build, Program, advice},
    prometheus::free_port,
    report,
    server::{QUICK, Server},
};

const ATUIN: Program = Program {
    package: "atuin-server",
    version: "18.24.4",
    binary: "atuin-server",
    crate_name: "atuin_server",
    main: "src/bin/main.rs",
    own_allocator: None,
    leak: None,
    is_minimal: false,
    registry: "serve/registry/Cargo.toml",
};

/// A database server of our own.
struct Postgres {
    child: Child,
    port: u16,
    _directory: Directory,
}

/// The programs of the newest version that is installed.
fn binaries() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is missing: `bash tests/run setup serve` installs it")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|path| path.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL has no initdb")
}

impl Postgres {
    fn start() -> Self {
        let directory = Directory::new();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        // It refuses to run as root.
        let user = rustix::process::geteuid().is_root().then(|| {
            let id = |flag: &str| -> u32 {
                let output = Command::new("id")
                    .args([flag, "postgres"])
                    .output()
                    .unwrap();
                String::from_utf8(output.stdout)
                    .unwrap()
                    .trim()
                    .parse()
                    .unwrap()
            };
            let (user, group) = (id("-u"), id("-g"));
            chown(&data, Some(user), Some(group)).unwrap();
            chown(directory.path(), Some(user), Some(group)).unwrap();
            (user, group)
        });
        let command = |name: &str| {
            let program = binaries().join(name);
            let mut command = match user {
                None => Command::new(program),
                Some((user, group)) => {
                    let mut command = Command::new("setpriv");
                    command
                        .args([format!("--reuid={user}"), format!("--regid={group}")])
                        .arg("--clear-groups")
                        .arg(program);
                    command
                }
            };
            command
                .current_dir("/")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let made = command("initdb")
            .args(["--auth=trust", "--username=postgres", "--no-sync", "-D"])
            .arg(&data)
            .status();
        assert!(made.unwrap().success());
        let port = free_port();
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-p",
                &port.to_string(),
            ])
            .arg("-k")
            .arg(&data)
            .spawn()
            .unwrap();
        let postgres = Self {
            child,
            port,
            _directory: directory,
        };
        wait_for("PostgreSQL", || postgres.say("postgres", "select 1"));
        postgres
    }

    fn say(&self, database: &str, sql: &str) -> Option<()> {
        let said = Command::new(binaries().join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-q",
                "-c",
                sql,
                database,
            ])
            .args(["-p", &self.port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        said.unwrap().success().then_some(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: it ends its own processes.
        let _ = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
    }
}

/// The service, with a database of its own.
struct Service {
    child: Child,
    addr: SocketAddr,
}

impl Service {
    fn start(binary: &Path, postgres: &Postgres, database: &str, regions: Option<&Path>) -> Self {
        postgres
            .say("postgres", &format!("create database {database}"))
            .unwrap();
        let port = free_port();
        let mut command = clean_command(binary);
        command
            .args(["start", "--host", "127.0.0.1", "--port", &port.to_string()])
            .env("ATUIN_OPEN_REGISTRATION", "true")
            .env(
                "ATUIN_DB_URI",
                format!("postgres://postgres@127.0.0.1:{}/{database}", postgres.port),
            )
            .env("ATUIN_CONFIG_DIR", std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(regions) = regions {
            command
                .env("RIPTIDE_DIR", regions)
                .env("RIPTIDE_SAMPLE_INTERVAL", "64KiB");
        }
        let service = Self {
            child: command.spawn().unwrap(),
            addr: ([127, 0, 0, 1], port).into(),
        };
        wait_for("the service", || {
            std::net::TcpStream::connect(service.addr).ok()?;
            (ask(service.addr, "GET", "/healthz", None, None).status == 200).then_some(())
        });
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(
    addr: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&str>,
) -> Answer {
    let body = body.unwrap_or_default();
    let token = token.map_or_else(String::new, |token| {
        format!("authorization: Token {token}\r\n")
    });
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{token}\r\n{body}",
        body.len()
    );
    raw(addr, request.as_bytes()).unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

/// What one user does, and the answers without what names the user.
fn session(addr: SocketAddr, number: u32) -> Vec<(u16, String)> {
    let name = format!("user{number:06x}");
    let mark = format!("8000-{number:06x}");
    let id = |kind: u32, index: u32| format!("018f0000-{kind:04x}-7000-{mark}{index:06x}");
    let mut answers = Vec::new();
    let mut token: Option<String> = None;
    let mut note = |answer: Answer, token: &Option<String>| {
        let mut text = answer
            .text()
            .replace(&mark, "8000-NUMBER")
            .replace(&name, "NAME");
        if let Some(token) = token {
            text = text.replace(token, "TOKEN");
        }
        answers.push((answer.status, text));
    };
    let account = json!({ "email": format!("{name}@example.org"), "username": name, "password": "open sesame" });
    let answer = ask(addr, "POST", "/register", None, Some(&account.to_string()));
    if let Some(session) = answer.json()["session"].as_str() {
        token = Some(session.to_owned());
    }
    note(answer, &token);
    let bearer = token.clone();
    let bearer = bearer.as_deref();
    for batch in 0..10_u32 {
        let records: Vec<_> = (0..20_u32)
            .map(|place| {
                let index = batch * 20 + place;
                json!({
                    "id": id(1, index),
                    "idx": index,
                    "host": { "id": id(2, 0), "name": "" },
                    "timestamp": 1_700_000_000_000_000_000_u64 + u64::from(index),
                    "version": "v0",
                    "tag": "history",
                    "data": { "data": "x".repeat(500 + index as usize * 7), "content_encryption_key": "key" },
                })
            })
            .collect();
        let body = serde_json::to_string(&records).unwrap();
        note(
            ask(addr, "POST", "/api/v0/record", bearer, Some(&body)),
            &token,
        );
        note(ask(addr, "GET", "/api/v0/record", bearer, None), &token);
        let next = format!(
            "/api/v0/record/next?host={}&tag=history&start={}&count=100",
            id(2, 0),
            batch * 20
        );
        note(ask(addr, "GET", &next, bearer, None), &token);
        note(ask(addr, "GET", "/api/v0/me", bearer, None), &token);
        note(ask(addr, "GET", "/nothing/here", bearer, None), &token);
        note(
            ask(addr, "GET", "/api/v0/record", Some("no such session"), None),
            &token,
        );
        note(
            ask(addr, "POST", "/api/v0/record", bearer, Some("[{]")),
            &token,
        );
    }
    answers
}

#[test]
fn a_service_on_postgresql_answers_as_it_does_bare_and_nothing_untrue_is_found() {
    let bare = ATUIN.build(Build::Unchanged);
    let profiled = ATUIN.build(Build::Names);
    let postgres = Postgres::start();
    let expected = {
        let service = Service::start(&bare.binary, &postgres, "bare", None);
        session(service.addr, 1)
    };
    let good = expected.iter().filter(|(status, _)| *status == 200).count();
    assert!(good >= 41, "{expected:#?}");

    let regions = Directory::new();
    let service = Service::start(
        &profiled.binary,
        &postgres,
        "profiled",
        Some(regions.path()),
    );
    let server = Server::start(
        regions.path(),
        &QUICK.replace("verdict_seconds = 2", "verdict_seconds = 5"),
    );
    server.wait_for_targets(1);
    let seconds = if long() { 300 } else { 20 };
    let until = Instant::now() + Duration::from_secs(seconds);
    let addr = service.addr;
    let clients: Vec<_> = (0..4_u32)
        .map(|client| {
            let expected = expected.clone();
            thread::spawn(move || {
                let mut sessions = 0;
                while Instant::now() < until {
                    let answers = session(addr, (client + 1) * 100_000 + sessions);
                    for (answer, expected) in answers.iter().zip(&expected) {
                        assert_eq!(answer, expected);
                    }
                    sessions += 1;
                }
                sessions
            })
        })
        .collect();
    // Reported as it is: nobody knows what this program wastes.
    report(&format!("advice on atuin-server:\n{}", advice(&regions)));
    let sessions: u32 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert!(sessions > 0);

    let text = server.get("/metrics").text();
    for verdict in ["leak", "growing"] {
        let verdict = format!("verdict=\"{verdict}\"");
        let found = crate::server::sum_of(&text, "riptide_sites_judged", &[&verdict]);
        report(&format!("atuin-server: {verdict}: {found:?}"));
    }
    let leaks = crate::server::sum_of(&text, "riptide_sites_judged", &["verdict=\"leak\""]);
    assert_eq!(leaks, Some(0.0), "{text}");
    let alerts = server.get("/alerts").json();
    assert_eq!(alerts["active"], json!([]), "{alerts}");
    assert_eq!(alerts["history"], json!([]), "{alerts}");
    let snapshot = server.get("/profiling/snapshot?limit=0").json();
    let sites = snapshot["sites"].as_array().unwrap();
    let bytes = |site: &serde_json::Value| site["live_bytes"]["estimate"].as_f64().unwrap();
    let all: f64 = sites.iter().map(bytes).sum();
    let named: f64 = sites
        .iter()
        .filter(|site| {
            let name = site["function"].as_str().unwrap();
            name.contains("::")
        })
        .map(bytes)
        .sum();
    assert!(named >= 0.95 * all, "{named} of {all}: {sites:#?}");
    // Its own functions are on the stacks of what it holds.
    let own = sites.iter().filter(|site| {
        let stack = site["stack"].as_array().unwrap().iter();
        let mut names = stack.map(|frame| frame["function"].as_str().unwrap());
        names.any(|name| name.contains(ATUIN.crate_name))
    });
    assert!(own.count() > 0, "{sites:#?}");
    report(&format!(
        "atuin-server on PostgreSQL: {sessions} sessions of {} requests in {seconds} s, every answer as bare; {} sites, {:.1} % of the live bytes named; 0 leaks, 0 alerts",
        expected.len(),
        sites.len(),
        100.0 * named / all
    ));
}
