//! What keys do.

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave.
    Quit,
    /// Leave, and keep the last picture in the terminal.
    QuitKeepingFrame,
    /// List the findings that are ignored, too.
    ShowIgnored,
    /// Open or close the help.
    Help,
    /// Go to a tab, counted from 0.
    Tab(usize),
    /// Go to the next tab.
    NextTab,
    /// Go to the previous tab.
    PreviousTab,
    /// One level up.
    Back,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One column, or frame, to the left.
    Left,
    /// One column, or frame, to the right.
    Right,
    /// Back in time.
    Earlier,
    /// On in time.
    Later,
    /// To the present.
    Now,
    /// A closer look.
    ZoomIn,
    /// A wider look.
    ZoomOut,
    /// First row.
    Top,
    /// Last row.
    Bottom,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Half a page up.
    HalfPageUp,
    /// Half a page down.
    HalfPageDown,
    /// Open what is selected.
    Open,
    /// Enter a filter, or what to look for.
    Filter,
    /// The next hit.
    NextHit,
    /// The hit before.
    PreviousHit,
    /// Open the sort menu.
    SortMenu,
    /// Sort by the next column.
    SortNext,
    /// Sort by the previous column.
    SortPrevious,
    /// Turn the order round.
    Reverse,
    /// Choose columns.
    Columns,
    /// Put rows together in another way.
    Group,
    /// All sites of the same function.
    SameFunction,
    /// What widths stand for.
    Metric,
    /// Hold the picture, or let it go on.
    Pause,
    /// Compare with this moment, or stop comparing.
    Base,
    /// Write a file for another tool.
    Export,
    /// Copy what is selected.
    Copy,
    /// Show or fold the frames of the runtime.
    RuntimeFrames,
    /// Leave a finding out from now on.
    Ignore,
    /// Mark an alert as seen.
    Acknowledge,
    /// Follow the process that took the place of one that ended.
    Restarted,
    /// Enter a command.
    Command,
    /// Suspend to the shell.
    Suspend,
    /// Draw everything anew.
    Redraw,
}
