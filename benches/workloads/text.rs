//! A program that mostly computes, with a block for each match.

use std::{fmt::Write as _, hint::black_box};

use super::Numbers;

/// Finds the requests in a log of 1 MB once a round, and keeps the paths of the failed ones.
pub(super) fn captures(rounds: u64) -> u64 {
    let log = log(11_000);
    let Ok(request) = regex::Regex::new(
        r#"(?m)^(\S+) - \[([^\]]+)\] "(GET|POST) ([^ "]+) HTTP/1\.[01]" (\d{3}) (\d+)$"#,
    ) else {
        return 0;
    };
    let mut sum = 0;
    for _ in 0..rounds {
        let mut failed: Vec<String> = Vec::new();
        for found in request.captures_iter(black_box(&log)) {
            let (_, [_host, _time, _method, path, status, bytes]) = found.extract();
            sum += bytes.parse::<u64>().unwrap_or(0);
            if status.starts_with('5') {
                failed.push(path.to_owned());
            }
        }
        sum += black_box(&failed).len() as u64;
    }
    sum
}

fn log(lines: u64) -> String {
    let mut numbers = Numbers(4);
    let mut text = String::new();
    for line in 0..lines {
        let (host, path) = (numbers.below(65_536), numbers.below(5_000));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            r#"10.0.{}.{} - [25/Nov/2026:19:{:02}:{:02}] "{} /articles/{path}/comments?page={} HTTP/1.1" {} {}"#,
            host >> 8,
            host & 255,
            line / 60 % 60,
            line % 60,
            if path % 5 == 0 { "POST" } else { "GET" },
            path % 9,
            if path % 20 == 0 { 503 } else { 200 },
            numbers.below(90_000),
        );
    }
    text
}
