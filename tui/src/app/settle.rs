//! Puts rows, selections and offsets in order after anything has changed, and asks the feed for what
//! is now looked at.

use std::sync::Arc;

use riptide_reader::{leak::Verdict, profile::Site};

use super::{App, Base, Beside, Column, Popup, Request, Screen, SiteKey, sites::MadeOf};
use crate::{
    feed::{Command, Part},
    look::{Findings, Grouping},
    view::{self, layout},
};

/// What the feed was last asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    part: Option<Part>,
    site: Option<SiteKey>,
    pub(super) source: Option<(String, u32)>,
}

/// What is known of the rows of the Sites screen.
struct Known<'a> {
    findings: Option<&'a Findings>,
    base: Option<&'a Base>,
    grouping: Grouping,
}

impl Beside for Known<'_> {
    fn verdict(&self, site: &Site) -> Option<Verdict> {
        Some(self.findings?.of_site(site)?.verdict)
    }

    fn change(&self, site: &Site) -> Option<f64> {
        Some(self.base?.change(self.grouping, site)?.estimate)
    }
}

impl App {
    pub(super) fn settle(&mut self) {
        self.arrange_sites();
        let targets = self.targets.len();
        let growing = view::overview::site_rows(self);
        let sites = self.sites.rows.len();
        let page = layout::page_rows(self);
        self.picker.settle(targets, page);
        self.overview.settle(growing, growing);
        self.sites.cursor.settle(sites, layout::site_rows(self));
        self.sites.first_column = self
            .sites
            .first_column
            .min(Column::OPTIONAL.len().saturating_sub(1));
        self.settle_lists();
        match &self.popup {
            Some(Popup::Help { scroll }) => {
                let scroll = (*scroll).min(view::help::scroll_max(self));
                self.popup = Some(Popup::Help { scroll });
            }
            Some(Popup::Columns { selected }) => {
                let selected = (*selected).min(Column::OPTIONAL.len() - 1);
                self.popup = Some(Popup::Columns { selected });
            }
            _ => {}
        }
        if self.screen == Screen::Jemalloc {
            self.jemalloc_scroll = self.jemalloc_scroll.min(view::jemalloc::scroll_max(self));
        }
        if self.screen == Screen::Detail {
            self.settle_detail();
        }
        if self.screen == Screen::Flame {
            self.settle_flame();
        }
        self.ask();
    }

    fn arrange_sites(&mut self) {
        let grouping = self.sites.grouping;
        let mut sites = std::mem::take(&mut self.sites);
        let filter = match &self.prompt {
            Some(prompt) if prompt.kind == super::PromptKind::Filter => &prompt.filter,
            _ => &sites.filter,
        }
        .clone();
        let made_of = self.picture().map(|picture| MadeOf {
            snapshot: Arc::clone(&picture.snapshot),
            groups: picture.parts.rows(grouping).cloned(),
            findings: picture.parts.findings.clone(),
            base_at: self.base.as_ref().map(|base| base.at_seconds),
            filter,
            grouping,
            sort: sites.sort,
            reversed: sites.reversed,
        });
        let rows = self.grouped_by(grouping);
        match made_of {
            // Most keys change nothing here, and there may be thousands of rows.
            Some(made_of) if sites.made_of.as_ref() == Some(&made_of) => sites.stay_on_key(rows),
            Some(made_of) => {
                let beside = Known {
                    findings: made_of.findings.as_deref(),
                    base: self.base.as_ref(),
                    grouping,
                };
                sites.arrange(rows, &made_of.filter, &beside);
                sites.made_of = Some(made_of);
            }
            None => {
                sites.rows.clear();
                sites.made_of = None;
            }
        }
        self.sites = sites;
    }

    fn settle_lists(&mut self) {
        let page = layout::list_rows(self);
        let findings = self.findings();
        let count = findings.len();
        let at = self.leak_key.as_ref().and_then(|key| {
            findings.iter().position(|finding| {
                finding.function == key.function
                    && finding.file == key.file
                    && finding.line == key.line
            })
        });
        if let Some(at) = at {
            self.leaks.selected = at;
        }
        self.leaks.settle(count, page);
        let threads = self.thread_list();
        let count = threads.len();
        let at = self
            .thread_key
            .and_then(|id| threads.iter().position(|thread| thread.profile.id == id));
        if let Some(at) = at {
            self.threads.selected = at;
        }
        self.threads.settle(count, page);
        let count = self.alert_rows().len();
        self.alerts.settle(count, page);
        let shape = self.parts().and_then(|parts| parts.shape.as_deref());
        let count = shape.map_or(0, |shape| shape.temporary.len());
        self.shapes.settle(count, view::shapes::rows(self));
    }

    /// Tells the feed what is looked at, when that has changed.
    fn ask(&mut self) {
        let part = self.wanted_part();
        if self.asked.part != part {
            self.asked.part = part;
            self.requests.push(Request::Feed(Command::Want(part)));
        }
        let site = match self.screen {
            Screen::Detail => self.detail.key.clone(),
            Screen::Sites if layout::is_wide(self) && self.sites.grouping == Grouping::Site => {
                self.selected_site().map(SiteKey::of)
            }
            _ => self.asked.site.clone(),
        };
        if self.asked.site != site {
            self.asked.site.clone_from(&site);
            self.requests.push(Request::Feed(Command::Inspect(site)));
        }
        if self.screen == Screen::Detail {
            let place = self.detail_place();
            if place.is_some() && self.asked.source != place {
                self.asked.source.clone_from(&place);
                if let Some((file, line)) = place {
                    let source = Command::Source { file, line };
                    self.requests.push(Request::Feed(source));
                }
            }
        }
    }
}
