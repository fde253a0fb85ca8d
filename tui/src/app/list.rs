//! A selection in a list that may be longer than the screen.

/// Selected row and first row shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListCursor {
    /// Selected row.
    pub selected: usize,
    /// First row shown.
    pub offset: usize,
}

impl ListCursor {
    /// Selects a row; false when it was selected before.
    pub fn select(&mut self, row: usize) -> bool {
        let changed = self.selected != row;
        self.selected = row;
        changed
    }

    /// Keeps the selection inside the list and on the page.
    pub fn settle(&mut self, rows: usize, page: usize) {
        self.selected = self.selected.min(rows.saturating_sub(1));
        let page = page.max(1);
        self.offset = self.offset.min(rows.saturating_sub(page));
        if self.selected < self.offset {
            self.offset = self.selected;
        } else if self.selected >= self.offset + page {
            self.offset = self.selected + 1 - page;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_stays_on_the_page() {
        let mut cursor = ListCursor::default();
        cursor.select(99);
        cursor.settle(50, 10);
        assert_eq!((cursor.selected, cursor.offset), (49, 40));
        cursor.settle(20, 10);
        assert_eq!((cursor.selected, cursor.offset), (19, 10));
        cursor.select(3);
        cursor.settle(20, 10);
        assert_eq!((cursor.selected, cursor.offset), (3, 3));
        cursor.settle(0, 0);
        assert_eq!((cursor.selected, cursor.offset), (0, 0));
    }
}
