//! State of the Sites screen: order, filter, grouping, columns, selection.

use std::sync::Arc;

use riptide_reader::profile::{Site, Snapshot};

use super::{Beside, Column, ListCursor, SiteKey, SortBy};
use crate::{
    filter::Filter,
    look::{Findings, Grouping},
};

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
    /// What rows are put together by.
    pub grouping: Grouping,
    /// Columns that were switched off.
    pub hidden: Vec<Column>,
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
    /// What the rows were last made of.
    pub(super) made_of: Option<MadeOf>,
}

/// What rows are made of: as long as it is the same, so are they.
#[derive(Clone, Debug)]
pub(super) struct MadeOf {
    pub(super) snapshot: Arc<Snapshot>,
    /// Rows of a grouping, and findings, as far as they are there.
    pub(super) groups: Option<Arc<[Site]>>,
    pub(super) findings: Option<Arc<Findings>>,
    pub(super) base_at: Option<f64>,
    pub(super) filter: Filter,
    pub(super) grouping: Grouping,
    pub(super) sort: SortBy,
    pub(super) reversed: bool,
}

impl PartialEq for MadeOf {
    fn eq(&self, other: &Self) -> bool {
        fn same<T: ?Sized>(left: Option<&Arc<T>>, right: Option<&Arc<T>>) -> bool {
            match (left, right) {
                (Some(left), Some(right)) => Arc::ptr_eq(left, right),
                (None, None) => true,
                _ => false,
            }
        }
        Arc::ptr_eq(&self.snapshot, &other.snapshot)
            && same(self.groups.as_ref(), other.groups.as_ref())
            && same(self.findings.as_ref(), other.findings.as_ref())
            && self.base_at == other.base_at
            && self.filter == other.filter
            && (self.grouping, self.sort, self.reversed)
                == (other.grouping, other.sort, other.reversed)
    }
}

impl SitesState {
    /// Sorts by a column, in its natural direction.
    pub fn sort_by(&mut self, order: SortBy) {
        self.sort = order;
        self.reversed = false;
    }

    /// Shows or hides a column.
    pub fn toggle(&mut self, column: Column) {
        match self.hidden.iter().position(|hidden| *hidden == column) {
            Some(at) => {
                self.hidden.remove(at);
            }
            None => self.hidden.push(column),
        }
    }

    /// Shows all sites again.
    pub fn clear_filter(&mut self) {
        self.filter = Filter::default();
        self.filter_text.clear();
    }

    /// Makes the rows from sites, or from groups in their shape.
    pub fn arrange(&mut self, sites: &[Site], filter: &Filter, beside: &impl Beside) {
        let mut rows: Vec<_> = sites
            .iter()
            .enumerate()
            .filter(|(_, site)| filter.keeps(site, &|site| beside.verdict(site)))
            .map(|(index, site)| (index, (self.sort.figure(site, beside), site)))
            .collect();
        rows.sort_by(|(_, left), (_, right)| {
            let order = self.sort.compare_by(*left, *right);
            if self.reversed {
                order.reverse()
            } else {
                order
            }
        });
        self.rows = rows.into_iter().map(|(index, _)| index).collect();
        self.stay_on_key(sites);
    }

    /// The selection stays with its site.
    pub(super) fn stay_on_key(&mut self, sites: &[Site]) {
        let Some(key) = &self.key else {
            return;
        };
        let is_named = |row: &usize| sites.get(*row).is_some_and(|site| key.names(site));
        if let Some(at) = self.rows.iter().position(is_named) {
            self.cursor.selected = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app::order::Nothing, sample::snapshot};

    #[test]
    fn the_selection_stays_with_its_site() {
        let snapshot = snapshot();
        let mut sites = SitesState {
            key: Some(SiteKey::of(&snapshot.sites[2])),
            ..SitesState::default()
        };
        let all = Filter::default();
        sites.arrange(&snapshot.sites, &all, &Nothing);
        assert_eq!(sites.cursor.selected, 2);
        sites.sort_by(SortBy::Function);
        sites.arrange(&snapshot.sites, &all, &Nothing);
        let row = sites.rows[sites.cursor.selected];
        assert_eq!(row, 2);
    }

    #[test]
    fn columns_are_switched_off_and_on() {
        let mut sites = SitesState::default();
        sites.toggle(Column::Age);
        assert_eq!(sites.hidden, [Column::Age]);
        sites.toggle(Column::Age);
        assert!(sites.hidden.is_empty());
    }
}
