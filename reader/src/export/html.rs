//! A report in one file: what is live and where it came from, the timeline, the verdicts. It opens
//! without a network and asks nobody for anything.
//!
//! Text is written here, so it is there without scripts too; `page.js` draws the flame graph and the
//! timeline from the data in the page.
//!
//! **Invariants.** Names and paths come from another process and are hostile: in markup they pass
//! [`Escaped`], in the data [`script_safe`], and the page's policy allows no origin at all.

use std::io::{self, Write};

use super::{Capture, Metric};

mod data;
mod sections;
mod text;

use text::{Escaped, script_safe};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
/// Of [`SCRIPT`] with the line breaks around it: no other script runs in the page.
const SCRIPT_SHA256: &str = "lDXaQskLUed6hcA+3St2v4HDJHwzh2NCNoJ7P39D8ik=";

pub(super) fn write(capture: &Capture, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let title = super::plain(&capture.title());
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'sha256-{SCRIPT_SHA256}'; style-src 'unsafe-inline'; base-uri 'none'; \
         form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"generator\" content=\"riptide {}\">\n\
         <title>{}: riptide</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        env!("CARGO_PKG_VERSION"),
        Escaped(&title),
    )?;
    sections::write(capture, &title, out)?;
    let data = serde_json::to_string(&data::Data::of(capture, metric)).map_err(io::Error::from)?;
    write!(
        out,
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        script_safe(&data)
    )
}

#[cfg(test)]
mod tests;
