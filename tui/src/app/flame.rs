//! The Flame screen: what is zoomed into, what is selected.

use std::sync::Arc;

use ratatui::layout::Position;

use super::App;
use crate::{
    flame::{Metric, Tree},
    view::flame::{Placed, lay_out},
};

/// Names from the root to a frame.
type Path = Vec<Arc<str>>;

/// State of the flame graph.
#[derive(Clone, Debug, Default)]
pub struct FlameState {
    /// What widths stand for.
    pub metric: Metric,
    /// What is zoomed into; empty for all.
    pub zoom: Path,
    /// What is selected, from the root; empty for the first frame shown.
    pub selected: Path,
    /// What is looked for.
    pub search: String,
    typed: Option<String>,
    /// First row shown.
    pub offset: usize,
    /// What is drawn, row by row from what is zoomed into.
    pub rows: Vec<Vec<Placed>>,
    laid_out: Option<LaidOut>,
}

/// What rows are laid out from: as long as it is the same, so are they.
#[derive(Clone, Debug)]
struct LaidOut {
    tree: Arc<Tree>,
    base: Option<Arc<Tree>>,
    metric: Metric,
    with_runtime: bool,
    zoom: Path,
    width: u16,
}

impl PartialEq for LaidOut {
    fn eq(&self, other: &Self) -> bool {
        let same_base = match (&self.base, &other.base) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right),
            (None, None) => true,
            _ => false,
        };
        same_base
            && Arc::ptr_eq(&self.tree, &other.tree)
            && (self.metric, self.with_runtime, self.width)
                == (other.metric, other.with_runtime, other.width)
            && self.zoom == other.zoom
    }
}

impl FlameState {
    /// What is to be lit: as it is typed, or as it was.
    #[must_use]
    pub fn searched(&self) -> &str {
        self.typed.as_deref().unwrap_or(&self.search)
    }

    pub(super) fn search_as_typed(&mut self, text: Option<String>) {
        self.typed = text;
    }

    pub(super) fn selected_name(&self) -> Option<String> {
        self.selected.last().map(|name| name.to_string())
    }

    pub(super) fn selected_path(&self) -> &[Arc<str>] {
        &self.selected
    }

    /// One level out; false when all is shown.
    pub(super) fn zoom_out(&mut self) -> bool {
        self.offset = 0;
        self.zoom.pop().is_some()
    }

    /// Whether a function is one that is looked for.
    #[must_use]
    pub fn is_hit(&self, name: &str) -> bool {
        let searched = self.searched();
        !searched.is_empty() && name.to_lowercase().contains(&searched.to_lowercase())
    }
}

impl App {
    /// Lays the graph out anew if it has changed; there may be thousands of frames beside each other.
    fn lay_flame_out(&mut self) {
        let tree = self.parts().and_then(|parts| parts.flame.clone());
        let from = tree.map(|tree| LaidOut {
            tree,
            base: self.base.as_ref().and_then(|base| base.flame.clone()),
            metric: self.flame.metric,
            with_runtime: self.sites.runtime_frames,
            zoom: self.flame.zoom.clone(),
            width: self.size.width,
        });
        if from.is_none() || self.flame.laid_out != from {
            self.flame.rows = lay_out(self);
            self.flame.laid_out = from;
        }
    }

    /// Keeps the selection on what is drawn.
    pub(super) fn settle_flame(&mut self) {
        self.lay_flame_out();
        let rows = std::mem::take(&mut self.flame.rows);
        self.settle_frames(&rows);
        self.flame.rows = rows;
    }

    fn settle_frames(&mut self, rows: &[Vec<Placed>]) {
        let first = rows.first().and_then(|row| row.first());
        let Some(first) = first else {
            return;
        };
        // Where the frames of the zoom are no longer there, as far in as they are.
        if first.path.len() < self.flame.zoom.len() {
            self.flame.zoom.truncate(first.path.len());
        }
        let drawn = |path: &Path| rows.iter().flatten().any(|cell| cell.path == *path);
        while !self.flame.selected.is_empty() && !drawn(&self.flame.selected) {
            self.flame.selected.pop();
        }
        // The outermost frame, of all stacks, says nothing.
        if self.flame.selected.is_empty() || !drawn(&self.flame.selected) {
            let child = rows.get(1).and_then(|row| row.first()).unwrap_or(first);
            self.flame.selected.clone_from(&child.path);
        }
        let depth =
            self.flame.selected.len() - self.flame.zoom.len().min(self.flame.selected.len());
        let shown = crate::view::flame::rows(self).max(1);
        if depth < self.flame.offset {
            self.flame.offset = depth;
        } else if depth >= self.flame.offset + shown {
            self.flame.offset = depth + 1 - shown;
        }
        self.flame.offset = self.flame.offset.min(rows.len().saturating_sub(shown));
    }

    fn selected_cell(rows: &[Vec<Placed>], path: &Path) -> Option<(usize, usize)> {
        rows.iter().enumerate().find_map(|(depth, row)| {
            let at = row.iter().position(|cell| cell.path == *path)?;
            Some((depth, at))
        })
    }

    fn select_path(&mut self, path: Path) -> bool {
        let changed = self.flame.selected != path;
        self.flame.selected = path;
        changed
    }

    /// Along the row, across the callers.
    pub(super) fn select_beside(&mut self, right: bool) -> bool {
        let rows = &self.flame.rows;
        let Some((depth, at)) = Self::selected_cell(rows, &self.flame.selected) else {
            return false;
        };
        let next = if right {
            Some(at + 1)
        } else {
            at.checked_sub(1)
        };
        let cell = next.and_then(|next| rows.get(depth)?.get(next));
        match cell.map(|cell| cell.path.clone()) {
            Some(path) => self.select_path(path),
            None => false,
        }
    }

    /// Towards what is called (down) or the callers (up).
    pub(super) fn select_depth(&mut self, steps: isize) -> bool {
        let rows = &self.flame.rows;
        let Some((depth, _)) = Self::selected_cell(rows, &self.flame.selected) else {
            return false;
        };
        let mut path = self.flame.selected.clone();
        if steps < 0 {
            let up = steps.unsigned_abs().min(depth);
            path.truncate((path.len() - up).max(1));
        } else {
            for row in rows.iter().skip(depth + 1).take(steps.unsigned_abs()) {
                // The widest of those that are called from here.
                let called = row
                    .iter()
                    .filter(|cell| cell.path.starts_with(&path))
                    .max_by_key(|cell| cell.width);
                match called {
                    Some(cell) => path.clone_from(&cell.path),
                    None => break,
                }
            }
        }
        self.select_path(path)
    }

    pub(super) fn zoom_flame(&mut self) -> bool {
        if self.flame.selected == self.flame.zoom {
            return self.flame.zoom_out();
        }
        self.flame.zoom.clone_from(&self.flame.selected);
        self.flame.offset = 0;
        true
    }

    /// The next frame that is looked for, row by row.
    pub(super) fn select_hit(&mut self, forward: bool) -> bool {
        self.lay_flame_out();
        let rows = &self.flame.rows;
        let hits: Vec<&Path> = rows
            .iter()
            .flatten()
            .filter(|cell| self.flame.is_hit(&cell.name))
            .map(|cell| &cell.path)
            .collect();
        if hits.is_empty() {
            let words = if self.flame.search.is_empty() {
                "nothing is looked for: / asks".to_owned()
            } else {
                format!("no frame that is wide enough holds {}", self.flame.search)
            };
            self.complain(words);
            return true;
        }
        let at = hits.iter().position(|path| **path == self.flame.selected);
        let next = match (at, forward) {
            (Some(at), true) => (at + 1) % hits.len(),
            (Some(at), false) => (at + hits.len() - 1) % hits.len(),
            (None, true) => 0,
            (None, false) => hits.len() - 1,
        };
        match hits.get(next).map(|path| (*path).clone()) {
            Some(path) => self.select_path(path),
            None => false,
        }
    }

    /// A click selects a frame, a second one zooms into it.
    pub(super) fn click_flame(&mut self, at: Position) -> bool {
        let rows = &self.flame.rows;
        let clicked = crate::view::flame::cell_at(self, rows, at);
        let Some(path) = clicked.map(|cell| cell.path.clone()) else {
            return false;
        };
        if self.flame.selected == path {
            return self.zoom_flame();
        }
        self.select_path(path)
    }
}
