//! A stack as lines: frames of the runtime folded, inlined ones marked, places under names.

use std::ops::Range;

use ratatui::text::{Line, Span};
use riptide_reader::{
    profile::Frame,
    symbolize::{display_name, is_runtime_frame},
};

use super::text;
use crate::app::App;

/// Lines of a stack, and which of them each frame shown has.
#[derive(Default)]
pub(super) struct Stack {
    pub(super) lines: Vec<Line<'static>>,
    pub(super) frames: Vec<Range<usize>>,
}

/// `file:line`, or the file alone.
pub(super) fn place(file: Option<&String>, line: Option<u32>) -> Option<String> {
    let file = file?;
    Some(match line {
        Some(line) => format!("{file}:{line}"),
        None => file.clone(),
    })
}

/// A stack in so many cells; `selected` counts the frames shown.
pub(super) fn stack(app: &App, frames: &[Frame], cells: usize, selected: Option<usize>) -> Stack {
    let theme = app.theme;
    let mut out = Stack::default();
    let mut folded = 0_usize;
    let fold = |folded: &mut usize, out: &mut Vec<Line<'static>>| {
        if *folded > 0 {
            let plural = if *folded == 1 { "frame" } else { "frames" };
            let key = app.keymap.label(crate::keys::Action::RuntimeFrames);
            let note = format!("   … {folded} runtime {plural}, {key} shows them");
            out.push(Line::styled(text::keep_start(&note, cells), theme.dim()));
            *folded = 0;
        }
    };
    for (number, frame) in frames.iter().enumerate() {
        let runtime = is_runtime_frame(frame);
        if runtime && !app.sites.runtime_frames {
            folded += 1;
            continue;
        }
        fold(&mut folded, &mut out.lines);
        let from = out.lines.len();
        let style = if Some(out.frames.len()) == selected {
            theme.selected()
        } else if runtime {
            theme.dim()
        } else {
            theme.text()
        };
        let mark = if frame.inlined { " (inlined)" } else { "" };
        let label = format!("{number:>2} ");
        let indent = text::width(&label);
        let room = cells.saturating_sub(indent);
        let name = display_name(&frame.function);
        let name = if text::width(&name) + mark.len() > room {
            format!("{}{mark}", text::without_arguments(&name))
        } else {
            format!("{name}{mark}")
        };
        for (index, part) in text::wrap(&name, room).into_iter().enumerate() {
            let head = if index == 0 {
                label.clone()
            } else {
                " ".repeat(indent)
            };
            out.lines.push(Line::from(vec![
                Span::styled(head, theme.dim()),
                Span::styled(part, style),
            ]));
        }
        let place = place(frame.file.as_ref(), frame.line)
            .or_else(|| frame.module.as_ref().map(|module| format!("in {module}")));
        if let Some(place) = place {
            out.lines.push(Line::styled(
                format!("{}{}", " ".repeat(indent), text::keep_end(&place, room)),
                theme.dim(),
            ));
        }
        out.frames.push(from..out.lines.len());
    }
    fold(&mut folded, &mut out.lines);
    if out.lines.is_empty() {
        out.lines.push(Line::styled("no frames", theme.dim()));
    }
    out
}
