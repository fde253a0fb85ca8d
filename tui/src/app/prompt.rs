//! A line that is typed: a filter, what to look for, a command.

use crate::{filter::Filter, keys::Key};

/// Longest line that can be typed.
const CHARS_MAX: usize = 200;

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// The filter of the Sites screen. It takes effect with each letter and is taken back by escape.
    Filter,
    /// Functions to find in the flame graph, likewise.
    Search,
    /// A command.
    Command,
}

/// A line while it is typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What it is for.
    pub kind: PromptKind,
    /// What was typed.
    pub text: String,
    /// Where the next letter goes, in characters.
    pub cursor: usize,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What it means as a filter, while it can be understood.
    pub filter: Filter,
}

impl Prompt {
    /// A line to begin with.
    #[must_use]
    pub fn new(kind: PromptKind, text: String) -> Self {
        let mut prompt = Self {
            kind,
            cursor: text.chars().count(),
            text,
            error: None,
            filter: Filter::default(),
        };
        prompt.understand();
        prompt
    }

    fn understand(&mut self) {
        self.error = None;
        if self.kind == PromptKind::Filter {
            match Filter::parse(&self.text) {
                Ok(filter) => self.filter = filter,
                Err(error) => self.error = Some(error),
            }
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
        if self.text.chars().count() < CHARS_MAX {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_edits_like_a_shell() {
        let mut prompt = Prompt::new(PromptKind::Filter, String::new());
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
}
