//! Parsing: many small blocks of many sizes, all freed together.

use std::{fmt::Write as _, hint::black_box};

use serde_json::Value;

use super::Numbers;

/// Parses and drops the document once a round.
pub(super) fn parse(rounds: u64) -> u64 {
    let text = document(3300);
    let mut sum = 0;
    for _ in 0..rounds {
        let value: Value = serde_json::from_str(black_box(&text)).unwrap_or_default();
        sum += value.as_array().map_or(0, Vec::len) as u64 + text.len() as u64;
    }
    sum
}

fn document(records: u64) -> String {
    let mut numbers = Numbers(3);
    let mut text = String::from("[");
    for id in 0..records {
        if id > 0 {
            text.push(',');
        }
        let (number, street) = (numbers.below(1_000_000), numbers.below(300));
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            concat!(
                r#"{{"id":{0},"name":"Customer {1}","mail":"c{1}@example.org","active":{2},"#,
                r#""score":{3}.5,"tags":["t{4}","segment-{5}","region-{6}"],"#,
                r#""address":{{"street":"{4} Long Street","city":"Town {5}","code":"{1:06}"}},"#,
                r#""history":[{{"at":"2026-01-{6:02}","sum":{3}}},{{"at":"2026-02-{6:02}","sum":{4}}}]}}"#,
            ),
            id,
            number,
            number % 2 == 0,
            number % 977,
            street,
            street % 17,
            street % 28 + 1,
        );
    }
    text.push(']');
    text
}
