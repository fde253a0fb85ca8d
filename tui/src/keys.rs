//! Keys and what they do: the one table, as the user's settings have changed it. Dispatch, footer,
//! help and man page are all made from it.

use strsim::damerau_levenshtein;

mod action;
mod scope;
mod table;

pub use action::Action;
pub use scope::Scope;
pub use table::{BINDINGS, Binding};

/// A key as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character without control.
    Char(char),
    /// A character with control.
    Ctrl(char),
    /// Return.
    Enter,
    /// Escape.
    Esc,
    /// Tabulator.
    Tab,
    /// Shift and tabulator.
    BackTab,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
}

/// Keys that are not written as one letter.
const NAMES: [(&str, Key); 16] = [
    ("space", Key::Char(' ')),
    ("enter", Key::Enter),
    ("esc", Key::Esc),
    ("tab", Key::Tab),
    ("shift-tab", Key::BackTab),
    ("up", Key::Up),
    ("down", Key::Down),
    ("left", Key::Left),
    ("right", Key::Right),
    ("pgup", Key::PageUp),
    ("pgdn", Key::PageDown),
    ("home", Key::Home),
    ("end", Key::End),
    ("backspace", Key::Backspace),
    ("delete", Key::Delete),
    ("backtick", Key::Char('`')),
];

impl Key {
    /// As it is written in the settings: `x`, `G`, `ctrl-x`, `space`, `pgdn` …
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        if let Some((_, key)) = NAMES.iter().find(|(name, _)| *name == lower) {
            return Some(*key);
        }
        let one = |text: &str| {
            let mut letters = text.chars();
            let letter = letters.next().filter(|letter| !letter.is_control())?;
            letters.next().is_none().then_some(letter)
        };
        match lower.strip_prefix("ctrl-") {
            Some(rest) => one(rest).map(Self::Ctrl),
            None => one(text).map(Self::Char),
        }
    }

    /// As the footer writes it.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Up => "↑".to_owned(),
            Self::Down => "↓".to_owned(),
            Self::Left => "←".to_owned(),
            Self::Right => "→".to_owned(),
            Self::PageUp => "PgUp".to_owned(),
            Self::PageDown => "PgDn".to_owned(),
            Self::Char(' ') => "space".to_owned(),
            Self::Char(letter) => letter.to_string(),
            Self::Ctrl(letter) => format!("ctrl-{letter}"),
            other => NAMES
                .iter()
                .find(|(_, key)| *key == other)
                .map_or_else(String::new, |(name, _)| (*name).to_owned()),
        }
    }
}

/// A row of the table with the keys now in force.
#[derive(Clone, Debug)]
pub struct Row {
    /// The row.
    pub binding: &'static Binding,
    /// Its keys.
    pub keys: Vec<Key>,
    /// How they are written.
    pub label: String,
}

impl Row {
    fn new(binding: &'static Binding, keys: Vec<Key>) -> Self {
        let labels: Vec<String> = keys
            .iter()
            .take(binding.shown)
            .map(|key| key.label())
            .collect();
        Self {
            binding,
            keys,
            label: labels.join(" "),
        }
    }
}

/// The table with the keys now in force.
#[derive(Clone, Debug)]
pub struct Keymap {
    rows: Vec<Row>,
}

impl Default for Keymap {
    fn default() -> Self {
        let rows = BINDINGS
            .iter()
            .map(|binding| Row::new(binding, binding.keys.to_vec()));
        Self {
            rows: rows.collect(),
        }
    }
}

impl Keymap {
    /// Gives an action other keys.
    ///
    /// # Errors
    /// There is no such action, or a key means something else where the action holds.
    pub fn set(&mut self, action: &str, keys: &[Key]) -> Result<(), String> {
        let Some(at) = self.rows.iter().position(|row| row.binding.name == action) else {
            return Err(match nearest(action) {
                Some(near) => format!("there is no action `{action}`; did you mean `{near}`?"),
                None => format!("there is no action `{action}`"),
            });
        };
        if let Some(row) = self.rows.get_mut(at) {
            let shown = row.binding.shown.max(keys.len());
            *row = Row::new(row.binding, keys.to_vec());
            row.label = keys
                .iter()
                .take(shown)
                .map(|key| key.label())
                .collect::<Vec<_>>()
                .join(" ");
        }
        Ok(())
    }

    /// Two actions with one key in one view, if there are: the key, the action found first, the other.
    #[must_use]
    pub fn conflict(&self) -> Option<(Key, &'static str, &'static str)> {
        for (number, row) in self.rows.iter().enumerate() {
            for other in self.rows.iter().skip(number + 1) {
                let key = row.keys.iter().find(|key| other.keys.contains(key));
                if let Some(key) = key
                    && row.binding.shares_a_scope_with(other.binding)
                {
                    return Some((*key, row.binding.name, other.binding.name));
                }
            }
        }
        None
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What a key does in a scope.
    #[must_use]
    pub fn action(&self, scope: Scope, key: Key) -> Option<Action> {
        self.rows
            .iter()
            .find(|row| row.binding.holds_in(scope) && row.keys.contains(&key))
            .map(|row| row.binding.action)
    }

    /// The rows that the footer of a scope shows.
    pub fn footer(&self, scope: Scope) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| {
            row.binding.holds_in(scope) && !row.binding.footer.is_empty() && !row.keys.is_empty()
        })
    }

    /// How the keys of an action are written.
    #[must_use]
    pub fn label(&self, action: Action) -> &str {
        self.rows
            .iter()
            .find(|row| row.binding.action == action)
            .map_or("", |row| row.label.as_str())
    }
}

/// The action whose name is nearest, if any is near.
fn nearest(action: &str) -> Option<&'static str> {
    let names = BINDINGS.iter().map(|binding| binding.name);
    names
        // Of equally near ones that with the same first letter.
        .map(|name| {
            let differs = name.chars().next() != action.chars().next();
            (damerau_levenshtein(name, action), differs, name)
        })
        .min()
        .filter(|(distance, _, _)| *distance <= 2)
        .map(|(_, _, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_one_thing_in_a_scope() {
        assert_eq!(Keymap::default().conflict(), None);
    }

    #[test]
    fn every_scope_can_be_left_and_explained() {
        let keymap = Keymap::default();
        for scope in Scope::ALL {
            assert_eq!(keymap.action(scope, Key::Char('q')), Some(Action::Quit));
            assert_eq!(keymap.action(scope, Key::Ctrl('c')), Some(Action::Quit));
            // Above the list of targets there is nothing.
            let back = (scope != Scope::Picker).then_some(Action::Back);
            assert_eq!(keymap.action(scope, Key::Esc), back);
            let mut footer = keymap.footer(scope);
            assert!(footer.any(|row| row.binding.action == Action::Help));
        }
    }

    #[test]
    fn names_of_actions_are_unique_and_keys_parse_back() {
        for (number, binding) in BINDINGS.iter().enumerate() {
            assert!(
                BINDINGS
                    .iter()
                    .skip(number + 1)
                    .all(|other| other.name != binding.name),
                "{}",
                binding.name
            );
            for key in binding.keys {
                let written = NAMES.iter().find(|(_, of)| of == key);
                let text = written.map_or_else(|| key.label(), |(name, _)| (*name).to_owned());
                assert_eq!(Key::parse(&text), Some(*key), "{text}");
            }
        }
        assert_eq!(Key::parse("ctrl-x"), Some(Key::Ctrl('x')));
        assert_eq!(Key::parse("hyper-x"), None);
    }

    #[test]
    fn an_override_moves_the_key_and_a_wrong_one_is_told() {
        let mut keymap = Keymap::default();
        keymap.set("pause", &[Key::Char('p')]).unwrap();
        assert_eq!(
            keymap.action(Scope::Overview, Key::Char('p')),
            Some(Action::Pause)
        );
        assert_eq!(keymap.action(Scope::Overview, Key::Char(' ')), None);
        assert_eq!(keymap.label(Action::Pause), "p");
        let error = keymap.set("puase", &[]).unwrap_err();
        assert!(error.contains("did you mean `pause`"), "{error}");
        keymap.set("export", &[Key::Char('p')]).unwrap();
        assert!(keymap.conflict().is_some());
    }
}
