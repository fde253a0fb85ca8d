//! A search index that is built while the service already runs: it grows, then it stays.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    thread,
    time::Duration,
};

use super::random::Random;

/// Products in the index.
const PRODUCTS: u32 = 4_000;
/// Products read at once.
const BATCH: u32 = 100;
/// Between two batches.
const PACE: Duration = Duration::from_millis(120);
/// Bytes of a description.
const DESCRIPTION: usize = 900;

/// Products by word.
#[derive(Debug, Default)]
pub struct Catalog {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_word: HashMap<String, Vec<u32>>,
    descriptions: Vec<String>,
}

impl Catalog {
    /// Descriptions of the first products with a word.
    #[must_use]
    pub fn search(&self, word: &str) -> Vec<String> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner
            .by_word
            .get(word)
            .into_iter()
            .flatten()
            .take(5)
            .filter_map(|product| inner.descriptions.get(*product as usize))
            .map(|text| text.get(..80).unwrap_or(text).to_owned())
            .collect()
    }

    /// Reads all products, a batch at a time, as from a slow database.
    pub fn warm_up(&self) {
        let mut random = Random::new(7);
        for first in (0..PRODUCTS).step_by(BATCH as usize) {
            for product in first..first + BATCH {
                self.add_product(product, &mut random);
            }
            thread::sleep(PACE);
        }
    }

    #[inline(never)]
    fn add_product(&self, product: u32, random: &mut Random) {
        let description = random.text(DESCRIPTION);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for start in (0..DESCRIPTION - 3).step_by(60) {
            if let Some(word) = description.get(start..start + 2) {
                inner
                    .by_word
                    .entry(word.to_owned())
                    .or_default()
                    .push(product);
            }
        }
        inner.descriptions.push(description);
    }
}
