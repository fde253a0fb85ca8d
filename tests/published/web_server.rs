//! simple-http-server under load.

use crate::{
    harness::{Directory, Top},
    http::{Answer, Client},
    profile::{assert_exact, assert_nothing_unrecorded, own_names, own_places, top},
    program::{Build, MINISERVE, SIMPLE_HTTP_SERVER, advice},
    report,
    server::{Load, Server, write_pages},
};

const ARGUMENTS: [&str; 7] = [
    "--index",
    "--silent",
    "--ip=127.0.0.1",
    "--port=PORT",
    "--threads=4",
    "--compress=txt",
    "--cors",
];

/// A listing that the program writes itself, a file, and a file that is not there.
const QUESTIONS: &[&str] = &["GET /pages/", "GET /large.txt", "GET /nothing"];

/// Fixed answers of every kind.
fn answers(server: &Server) -> Vec<Answer> {
    let mut client = Client::connect(server.port).unwrap();
    let questions: [(&[&str], u16); 9] = [
        (&["GET /"], 200),
        (&["GET /pages/"], 200),
        (&["GET /pages/?sort=size&order=desc"], 200),
        (&["GET /pages/page%207%20&%20more.txt"], 200),
        (&["GET /large.txt"], 200),
        (&["GET /large.txt", "range: bytes=1000-70000"], 206),
        (&["GET /large.txt", "accept-encoding: gzip"], 200),
        (&["HEAD /large.txt"], 200),
        (&["GET /nothing"], 404),
    ];
    questions
        .iter()
        .map(|(question, status)| {
            let answer = client.ask(question);
            assert_eq!(answer.status, *status, "{question:?}");
            answer
        })
        .collect()
}

/// Starts the server, has it answer, reads its profile under load, has it answer again.
fn serve(build: Build, interval: &str, root: &Directory) -> (Top, Vec<Answer>, String) {
    let directory = Directory::new();
    let binary = SIMPLE_HTTP_SERVER.build(build).binary;
    let server = Server::start(&binary, &ARGUMENTS, root.path(), &directory, Some(interval));
    let first = answers(&server);
    let load = Load::start(server.port, QUESTIONS);
    load.wait_for_answers(1_000);
    let top = top(&server.pid().to_string(), &directory);
    let answered = load.finish();
    assert!(
        answers(&server) == first,
        "{build:?} {interval}: answers changed"
    );
    assert_eq!(top.state(), "live");
    assert_nothing_unrecorded(&top);
    report(&format!(
        "simple-http-server {build:?} at interval {interval}: {answered} answers, {} samples, {} \
         bytes live in {} blocks, cost {} of its CPU time, {} sites",
        top.number("sampling", "samples"),
        top.live("bytes").estimate.round(),
        top.live("objects").estimate.round(),
        top.0["sampling"]["cost_fraction"],
        top.0["sites"].as_array().unwrap().len(),
    ));
    (top, first, server.printed())
}

fn pages() -> Directory {
    let root = Directory::new();
    write_pages(root.path());
    root
}

#[test]
fn the_server_gives_the_same_answers_whatever_the_interval() {
    let root = pages();
    let directory = Directory::new();
    let unchanged = SIMPLE_HTTP_SERVER.build(Build::Unchanged).binary;
    let server = Server::start(&unchanged, &ARGUMENTS, root.path(), &directory, None);
    let expected = answers(&server);
    assert!(expected[1].body.len() > 50_000, "a listing of 300 files");
    assert!(
        expected[6].body.len() < expected[4].body.len(),
        "compressed"
    );
    assert_eq!(
        directory.files().len(),
        0,
        "the unchanged build has no riptide"
    );
    let printed = server.printed();
    drop(server);
    for (build, interval) in [
        (Build::Names, "512KiB"),
        (Build::Lines, "64KiB"),
        (Build::Lines, "1"),
    ] {
        let (_, answers, also_printed) = serve(build, interval, &root);
        for (answer, expected) in answers.iter().zip(&expected) {
            assert!(answer == expected, "{build:?} {interval}: {answer:?}");
        }
        assert_eq!(also_printed, printed);
    }
}

#[test]
fn the_server_names_its_own_functions_by_file_and_line_under_load() {
    let built = SIMPLE_HTTP_SERVER.build(Build::Lines);
    let (top, ..) = serve(Build::Lines, "16KiB", &pages());
    let places = own_places(&top, SIMPLE_HTTP_SERVER.crate_name, &built.source);
    // The listing is an async function, whose body the compiler turns into a closure.
    for (function, file) in [
        (
            "simple_http_server::handlers::list_directory",
            "src/handlers.rs",
        ),
        ("simple_http_server::util::encode_link_path", "src/util.rs"),
    ] {
        assert!(
            places.iter().any(|(name, place, _)| {
                name.starts_with(function) && place.to_str() == Some(file)
            }),
            "no {function} in {file}: {places:#?}"
        );
    }
    assert!(places.len() >= 10, "{places:#?}");
    report(&format!(
        "simple-http-server with line tables, own sites: {}",
        places
            .iter()
            .map(|(function, file, line)| format!("{function} {}:{line}", file.display()))
            .collect::<Vec<_>>()
            .join(", ")
    ));
}

#[test]
fn the_server_names_its_own_functions_without_debug_information() {
    let built = SIMPLE_HTTP_SERVER.build(Build::Names);
    let (top, ..) = serve(Build::Names, "16KiB", &pages());
    let names = own_names(&top, SIMPLE_HTTP_SERVER.crate_name, &built.source);
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("simple_http_server::handlers::list_directory")),
        "{names:?}"
    );
    report(&format!(
        "simple-http-server without debug information: {names:?}"
    ));
}

#[test]
fn the_server_is_exact_at_interval_one() {
    let (top, ..) = serve(Build::Lines, "1", &pages());
    assert_exact(&top);
    assert!(top.live("bytes").estimate > 0.0);
}

/// Reported as it is: nobody knows what these programs waste.
#[test]
fn advice_on_two_servers_under_load_is_reported() {
    let root = pages();
    let miniserve = ["--interfaces=127.0.0.1", "--port=PORT"];
    let servers: [(_, _, &[&str]); 2] = [
        (SIMPLE_HTTP_SERVER, Build::Lines, &ARGUMENTS),
        (MINISERVE, Build::Development, &miniserve),
    ];
    for (program, build, arguments) in servers {
        let directory = Directory::new();
        let binary = program.build(build).binary;
        let server = Server::start(&binary, arguments, root.path(), &directory, None);
        let load = Load::start(server.port, &["GET /pages/", "GET /large.txt"]);
        load.wait_for_answers(100);
        report(&format!(
            "advice on {}:\n{}",
            program.package,
            advice(&directory)
        ));
        load.finish();
    }
}
