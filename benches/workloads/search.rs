//! A search index: texts become lists of places by word, and questions walk the lists.

use std::{
    collections::{BTreeMap, HashMap},
    hint::black_box,
};

use super::Numbers;

const DOCUMENTS: u64 = 200;
const QUESTIONS: u64 = 60;
const WORDS: u64 = 4_000;

/// Where a word stands in a document.
struct Posting {
    document: u32,
    places: Vec<u32>,
}

#[derive(Default)]
struct Index {
    postings: HashMap<String, Vec<Posting>>,
    titles: Vec<String>,
}

/// Indexes 200 documents and asks 60 questions a round.
pub(super) fn index(rounds: u64) -> u64 {
    let documents = documents();
    let mut numbers = Numbers(6);
    let mut sum = 0_u64;
    for _ in 0..rounds {
        let mut index = Index::default();
        for text in black_box(&documents) {
            index.add(text);
        }
        for _ in 0..QUESTIONS {
            let question = [word(numbers.below(WORDS)), word(numbers.below(WORDS / 8))];
            for (score, title) in index.ask(&question) {
                sum = sum.wrapping_add(score.wrapping_mul(31) + title.len() as u64);
            }
        }
    }
    sum
}

impl Index {
    fn add(&mut self, text: &str) {
        let document = u32::try_from(self.titles.len()).unwrap_or(u32::MAX);
        self.titles.push(text.chars().take(40).collect());
        for (place, word) in text.split(' ').enumerate() {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            let postings = self.postings.entry(word.to_lowercase()).or_default();
            match postings.last_mut() {
                Some(last) if last.document == document => last.places.push(place),
                _ => postings.push(Posting {
                    document,
                    places: vec![place],
                }),
            }
        }
    }

    /// The ten best documents, each with a line to print.
    fn ask(&self, question: &[String]) -> Vec<(u64, String)> {
        let mut scores: BTreeMap<u32, u64> = BTreeMap::new();
        for word in question {
            for posting in self.postings.get(word).into_iter().flatten() {
                *scores.entry(posting.document).or_default() += posting.places.len() as u64;
            }
        }
        let mut found: Vec<(u64, u32)> = scores
            .into_iter()
            .map(|(document, score)| (score, document))
            .collect();
        found.sort_unstable_by(|left, right| right.cmp(left));
        found.truncate(10);
        found
            .into_iter()
            .filter_map(|(score, document)| {
                let title = self.titles.get(document as usize)?;
                Some((score, format!("{title} ({score})")))
            })
            .collect()
    }
}

fn documents() -> Vec<String> {
    let mut numbers = Numbers(5);
    (0..DOCUMENTS)
        .map(|_| {
            let length = 60 + numbers.below(240);
            let words: Vec<String> = (0..length)
                .map(|_| {
                    // The product makes some words far more frequent than others.
                    let rank = numbers.below(WORDS) * numbers.below(WORDS) / WORDS;
                    word(rank)
                })
                .collect();
            words.join(" ")
        })
        .collect()
}

/// The word of a rank: 4 to 10 letters.
fn word(rank: u64) -> String {
    let mut numbers = Numbers(rank);
    let length = 4 + numbers.below(7);
    (0..length)
        .map(|_| char::from(b'a' + u8::try_from(numbers.below(26)).unwrap_or(0)))
        .collect()
}
