//! The filter language, over a few sites.

use std::sync::Arc;

use riptide::filter::{Filter, crate_of};
use riptide_reader::{
    leak::Verdict,
    profile::{Estimate, Site},
};

thread_local! {
    static SITES: Vec<Site> = sites();
}

/// A text of the prompt line.
pub fn filter(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    std::hint::black_box(crate_of(&text));
    let filter = match Filter::parse(&text) {
        Ok(filter) => filter,
        Err(message) => {
            assert!(!message.is_empty());
            return;
        }
    };
    assert_eq!(filter.is_empty(), text.split_whitespace().next().is_none());
    let verdict = |site: &Site| (site.live_samples > 3).then_some(Verdict::Growing);
    // Words are joined by "and", and `!` turns one round.
    let words: Vec<&str> = text.split_whitespace().collect();
    SITES.with(|sites| {
        for site in sites {
            let kept = filter.keeps(site, &verdict);
            let mut all = true;
            for word in words.iter().take(8) {
                let alone = Filter::parse(word).unwrap().keeps(site, &verdict);
                if !word.starts_with('!') {
                    let turned = Filter::parse(&format!("!{word}")).unwrap();
                    assert_ne!(turned.keeps(site, &verdict), alone, "{word:?}");
                }
                all &= alone;
            }
            assert!(words.len() > 8 || kept == all, "{text:?}");
        }
    });
}

fn sites() -> Vec<Site> {
    let exact = |estimate| Estimate {
        estimate,
        low: estimate,
        high: estimate,
    };
    [
        ("my::cache::Lru::insert", Some("src/cache.rs"), 3.0e6),
        ("<alloc::vec::Vec<T> as Größe>::clone", None, 0.0),
        ("", Some(""), f64::MAX),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (function, file, bytes))| Site {
        function: function.to_owned(),
        file: file.map(str::to_owned),
        line: Some(number as u32),
        live_bytes: exact(bytes),
        live_objects: exact(number as f64),
        growth_bytes_per_second: (number == 0).then(|| exact(1e4)),
        median_age_seconds: (number > 0).then_some(700.0),
        live_samples: number as u64 * 3,
        stack: Arc::new([]),
        ..Site::default()
    })
    .collect()
}
