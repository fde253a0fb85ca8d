//! State of the Sites screen: order, filter, selection.

use riptide_reader::profile::Snapshot;

use super::{ListCursor, SiteKey, SortBy};
use crate::{filter::Filter, keys::Key};

/// Longest filter that can be typed.
const FILTER_MAX_CHARS: usize = 200;

/// The filter while it is typed. It takes effect with each letter and is taken back by escape.
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    /// What was typed.
    pub text: String,
    /// Where the next letter goes, in characters.
    pub cursor: usize,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What it means, while it can be understood.
    filter: Filter,
}

impl Prompt {
    fn new(text: String) -> Self {
        let mut prompt = Self {
            cursor: text.chars().count(),
            text,
            ..Self::default()
        };
        prompt.understand();
        prompt
    }

    fn understand(&mut self) {
        match Filter::parse(&self.text) {
            Ok(filter) => {
                self.filter = filter;
                self.error = None;
            }
            Err(error) => self.error = Some(error),
        }
    }

    fn byte_at(&self, cursor: usize) -> usize {
        self.text
            .char_indices()
            .nth(cursor)
            .map_or(self.text.len(), |(at, _)| at)
    }

    /// Puts a letter in.
    pub fn insert(&mut self, letter: char) {
        if self.text.chars().count() < FILTER_MAX_CHARS {
            self.text.insert(self.byte_at(self.cursor), letter);
            self.cursor += 1;
            self.understand();
        }
    }

    fn remove(&mut self, at: usize) {
        let byte = self.byte_at(at);
        if byte < self.text.len() {
            self.text.remove(byte);
        }
    }

    /// Edits the line; false when the key means nothing.
    pub fn edit(&mut self, key: Key) -> bool {
        let end = self.text.chars().count();
        match key {
            Key::Char(letter) => self.insert(letter),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.remove(self.cursor);
            }
            Key::Delete => self.remove(self.cursor),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(end),
            Key::Home | Key::Ctrl('a') => self.cursor = 0,
            Key::End | Key::Ctrl('e') => self.cursor = end,
            Key::Ctrl('u') => {
                self.text.drain(..self.byte_at(self.cursor));
                self.cursor = 0;
            }
            Key::Ctrl('w') => {
                let upto = self.byte_at(self.cursor);
                let head = self.text.get(..upto).unwrap_or_default().trim_end();
                let from = head.rfind(' ').map_or(0, |at| at + 1);
                self.cursor = self.text.get(..from).unwrap_or_default().chars().count();
                self.text.drain(from..upto);
            }
            _ => return false,
        }
        self.understand();
        true
    }
}

/// The Sites screen.
#[derive(Clone, Debug, Default)]
pub struct SitesState {
    /// What the rows are sorted by.
    pub sort: SortBy,
    /// Whether the order is turned round.
    pub reversed: bool,
    /// The filter in force.
    pub filter: Filter,
    /// The filter as it was typed.
    pub filter_text: String,
    /// The filter while it is typed.
    pub prompt: Option<Prompt>,
    /// Whether frames of the runtime are shown.
    pub runtime_frames: bool,
    /// First of the optional columns that is shown.
    pub first_column: usize,
    /// Selection.
    pub cursor: ListCursor,
    /// The site selected: the selection stays with it when the order changes.
    pub key: Option<SiteKey>,
    /// Rows as indices into the sites of the snapshot.
    pub rows: Vec<usize>,
}

impl SitesState {
    /// Sorts by a column, in its natural direction.
    pub fn sort_by(&mut self, order: SortBy) {
        self.sort = order;
        self.reversed = false;
    }

    /// Opens the prompt with the filter in force.
    pub fn open_prompt(&mut self) {
        self.prompt = Some(Prompt::new(self.filter_text.clone()));
    }

    /// Makes what was typed the filter in force.
    pub fn accept_prompt(&mut self) {
        if let Some(prompt) = self.prompt.take() {
            self.filter = prompt.filter;
            self.filter_text = prompt.text.trim().to_owned();
        }
    }

    /// Shows all sites again.
    pub fn clear_filter(&mut self) {
        self.prompt = None;
        self.filter = Filter::default();
        self.filter_text.clear();
    }

    /// Makes the rows from a snapshot.
    pub fn arrange(&mut self, snapshot: &Snapshot) {
        let filter = self
            .prompt
            .as_ref()
            .map_or(&self.filter, |prompt| &prompt.filter);
        let mut rows: Vec<_> = snapshot
            .sites
            .iter()
            .enumerate()
            .filter(|(_, site)| filter.keeps(site))
            .collect();
        rows.sort_by(|(_, left), (_, right)| {
            let order = self.sort.compare(left, right);
            if self.reversed {
                order.reverse()
            } else {
                order
            }
        });
        let at = self
            .key
            .as_ref()
            .and_then(|key| rows.iter().position(|(_, site)| key.names(site)));
        if let Some(at) = at {
            self.cursor.selected = at;
        }
        self.rows = rows.into_iter().map(|(index, _)| index).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::snapshot;

    #[test]
    fn the_prompt_edits_like_a_shell() {
        let mut prompt = Prompt::new(String::new());
        for letter in "fn:ä live>1M".chars() {
            prompt.edit(Key::Char(letter));
        }
        prompt.edit(Key::Ctrl('w'));
        assert_eq!(prompt.text, "fn:ä ");
        prompt.edit(Key::Backspace);
        prompt.edit(Key::Backspace);
        assert_eq!(prompt.text, "fn:");
        prompt.edit(Key::Home);
        prompt.edit(Key::Delete);
        assert_eq!(prompt.text, "n:");
        prompt.edit(Key::End);
        prompt.edit(Key::Ctrl('u'));
        assert_eq!((prompt.text.as_str(), prompt.cursor), ("", 0));
        assert!(prompt.edit(Key::Delete));
    }

    #[test]
    fn a_filter_that_is_not_understood_keeps_the_last_one() {
        let mut sites = SitesState::default();
        sites.open_prompt();
        let prompt = sites.prompt.as_mut().unwrap();
        for letter in "cache fn:~(".chars() {
            prompt.edit(Key::Char(letter));
        }
        assert!(prompt.error.is_some());
        sites.arrange(&snapshot());
        assert_eq!(sites.rows.len(), 1);
    }

    #[test]
    fn the_selection_stays_with_its_site() {
        let snapshot = snapshot();
        let mut sites = SitesState {
            key: Some(SiteKey::of(&snapshot.sites[2])),
            ..SitesState::default()
        };
        sites.arrange(&snapshot);
        assert_eq!(sites.cursor.selected, 2);
        sites.sort_by(SortBy::Function);
        sites.arrange(&snapshot);
        let row = sites.rows[sites.cursor.selected];
        assert_eq!(row, 2);
    }
}
