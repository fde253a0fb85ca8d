//! One site: its frames, the one selected, its source.

use riptide_reader::{profile::Frame, symbolize::is_runtime_frame};

use super::{App, Screen, SiteKey};
use crate::view;

/// State of the screen of one site.
#[derive(Clone, Debug)]
pub struct DetailState {
    /// The site.
    pub key: Option<SiteKey>,
    /// Where it was opened.
    pub from: Screen,
    /// Selected frame, counted among those shown.
    pub selected: usize,
    /// First line shown.
    pub scroll: usize,
    /// Whether the source fills the screen.
    pub source_only: bool,
}

impl Default for DetailState {
    fn default() -> Self {
        Self {
            key: None,
            from: Screen::Sites,
            selected: 0,
            scroll: 0,
            source_only: false,
        }
    }
}

impl DetailState {
    pub(super) fn open(&mut self, key: SiteKey, from: Screen) {
        *self = Self {
            key: Some(key),
            from: if from == Screen::Detail {
                self.from
            } else {
                from
            },
            ..Self::default()
        };
    }

    pub(super) fn toggle_source(&mut self) -> bool {
        self.source_only = !self.source_only;
        true
    }

    /// Selects a frame; at the ends the text still scrolls.
    pub(super) fn select(&mut self, frame: usize, rows: isize) -> bool {
        if self.selected == frame {
            let before = self.scroll;
            self.scroll = before.saturating_add_signed(rows.clamp(-1_000, 1_000));
            return before != self.scroll;
        }
        self.selected = frame;
        if frame == 0 {
            // The figures above the stack come back.
            self.scroll = 0;
        }
        true
    }
}

impl App {
    /// Numbers of the frames that the screen of one site shows, innermost first.
    #[must_use]
    pub fn detail_frames(&self) -> Vec<usize> {
        let Some(site) = self.detail_site() else {
            return Vec::new();
        };
        let shown = |(number, frame): (usize, &Frame)| {
            (self.sites.runtime_frames || !is_runtime_frame(frame)).then_some(number)
        };
        site.stack.iter().enumerate().filter_map(shown).collect()
    }

    /// The frame selected there.
    #[must_use]
    pub fn detail_frame(&self) -> Option<usize> {
        self.detail_frames().get(self.detail.selected).copied()
    }

    /// Source place of the frame selected: that of the site itself for the innermost one.
    pub(super) fn detail_place(&self) -> Option<(String, u32)> {
        let site = self.detail_site()?;
        let place = |file: &Option<String>, line: Option<u32>| Some((file.clone()?, line?));
        match self.detail_frame() {
            Some(number) if self.detail.selected > 0 => {
                let frame = site.stack.get(number)?;
                place(&frame.file, frame.line)
            }
            _ => place(&site.file, site.line),
        }
    }

    pub(super) fn settle_detail(&mut self) {
        let frames = self.detail_frames().len();
        self.detail.selected = self.detail.selected.min(frames.saturating_sub(1));
        self.detail.scroll = view::detail::settled_scroll(self);
    }
}
