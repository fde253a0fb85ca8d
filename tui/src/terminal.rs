//! The terminal around the app: raw mode and back on every way out, signals, and the loop that
//! draws only when something has changed.

use std::{
    io::{self, IsTerminal, Write},
    panic,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Instant,
};

use crossterm::clipboard::CopyToClipboard;
use ratatui::{
    Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    buffer::Buffer,
    crossterm::{
        cursor,
        event::{
            self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste,
            EnableMouseCapture,
        },
        execute,
        terminal::{
            Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
            enable_raw_mode, size,
        },
    },
    layout::{Rect, Size},
};
use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use crate::{
    app::{App, Column, Exit, Request},
    feed::{self, Command, Feed, Mailbox, Posted, Update},
    input::{self, Input},
    keys::Keymap,
    theme::Theme,
    view,
};

/// How the dashboard came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user left.
    Left,
    /// A thread panicked; what it said stands in the terminal.
    Failed,
    /// A signal asked for it; the caller cleans up and passes it on.
    Signal(i32),
}

/// What the dashboard starts with, from settings and environment.
#[derive(Clone, Debug)]
pub struct Start {
    /// Colours.
    pub theme: Theme,
    /// Keys.
    pub keymap: Keymap,
    /// Columns of the Sites screen that are not shown.
    pub hidden_columns: Vec<Column>,
    /// What the reader's thread is told.
    pub feed: feed::Options,
}

enum Event {
    Input(Input),
    /// The terminal is gone.
    InputClosed,
    Update(Update),
    /// Something is in the mailbox, unless it was taken out since.
    News,
    Signal(i32),
}

/// Whether there is a terminal to draw on and to read keys from.
#[must_use]
pub fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Runs the dashboard until the user leaves.
///
/// # Errors
///
/// The terminal cannot be set up or written to.
pub fn run(start: Start, region: Option<PathBuf>) -> io::Result<Outcome> {
    let (events, inbox) = mpsc::channel();
    watch_signals(events.clone())?;
    let first = match &region {
        Some(region) => Command::Attach(region.clone()),
        None => Command::Search,
    };
    // Before the screen is set up: the first snapshot is made meanwhile.
    let mailbox = Arc::new(Mailbox::default());
    let feed = {
        let (events, mailbox) = (events.clone(), Arc::clone(&mailbox));
        Feed::start(first, start.feed.clone(), move |update| {
            match mailbox.post(update) {
                Posted::Waits => true,
                Posted::Tell => events.send(Event::News).is_ok(),
                Posted::Send(updates) => updates
                    .into_iter()
                    .all(|update| events.send(Event::Update(update)).is_ok()),
            }
        })?
    };
    let guard = Guard::enter()?;
    let result = Loop::new(start, region, feed, mailbox)?.run(&inbox, events);
    drop(guard);
    let (outcome, frame) = result?;
    if let Some(frame) = frame {
        // The terminal may be gone by now.
        let _ = io::stdout().write_all(frame.as_bytes());
    }
    Ok(outcome)
}

/// The signals that end or stop a process are turned into events.
fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
    thread::Builder::new()
        .name("riptide-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if events.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}

fn read_input(events: Sender<Event>) -> io::Result<()> {
    thread::Builder::new()
        .name("riptide-input".to_owned())
        .spawn(move || {
            loop {
                let event = match event::read() {
                    Ok(event) => match input::translate(event) {
                        Some(input) => Event::Input(input),
                        None => continue,
                    },
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => Event::InputClosed,
                };
                let closed = matches!(event, Event::InputClosed);
                if events.send(event).is_err() || closed {
                    return;
                }
            }
        })?;
    Ok(())
}

/// Raw mode and the alternate screen, taken back when dropped and before a panic is reported.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Sets the terminal up.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn enter() -> io::Result<Self> {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            previous(info);
        }));
        let guard = Self(());
        set_up()?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether the terminal is the dashboard's now. Leaving the alternate screen twice would put the cursor
/// back over what was said in between, a panic's message for one.
static IS_SET_UP: AtomicBool = AtomicBool::new(false);

fn set_up() -> io::Result<()> {
    // Relaxed, here and below: nothing else is told by it.
    IS_SET_UP.store(true, Ordering::Relaxed);
    enable_raw_mode()?;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableMouseCapture,
        EnableBracketedPaste,
        cursor::Hide
    )
}

/// Each step is tried whatever became of the others: the terminal may be half gone.
fn restore() {
    if !IS_SET_UP.swap(false, Ordering::Relaxed) {
        return;
    }
    let _ = execute!(
        io::stdout(),
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

type Screen = Terminal<CrosstermBackend<io::Stdout>>;

fn current_size() -> io::Result<Size> {
    let (width, height) = size()?;
    Ok(Size { width, height })
}

/// An empty screen. It is made anew rather than cleared or resized: both ask the terminal where the
/// cursor stands, and the answer would have to come past the thread that reads the keys.
fn blank(size: Size) -> io::Result<Screen> {
    execute!(io::stdout(), Clear(ClearType::All))?;
    let area = Rect::new(0, 0, size.width, size.height);
    Terminal::with_options(
        CrosstermBackend::new(io::stdout()),
        TerminalOptions {
            viewport: Viewport::Fixed(area),
        },
    )
}

struct Loop {
    app: App,
    feed: Feed,
    mailbox: Arc<Mailbox>,
    terminal: Screen,
    /// Size that `terminal` was made for.
    size: Size,
    started: Instant,
    /// The last picture as text, for the way out that keeps it.
    frame: String,
}

impl Loop {
    fn new(
        start: Start,
        region: Option<PathBuf>,
        feed: Feed,
        mailbox: Arc<Mailbox>,
    ) -> io::Result<Self> {
        let size = current_size()?;
        let terminal = blank(size)?;
        let mut app = App::new(start.theme, size, region);
        app.keymap = start.keymap;
        app.sites.hidden = start.hidden_columns;
        Ok(Self {
            app,
            feed,
            mailbox,
            terminal,
            size,
            started: Instant::now(),
            frame: String::new(),
        })
    }

    fn run(
        mut self,
        inbox: &Receiver<Event>,
        events: Sender<Event>,
    ) -> io::Result<(Outcome, Option<String>)> {
        read_input(events)?;
        self.draw()?;
        // Ends with the threads that send; they live as long as the process.
        while let Ok(event) = inbox.recv() {
            // What has piled up is taken in at once and drawn once.
            let mut drawn = false;
            for event in std::iter::once(event).chain(inbox.try_iter()) {
                match event {
                    Event::Input(input) => drawn |= self.app.input(input),
                    Event::Update(update) => drawn |= self.take_in(update),
                    Event::News => {
                        for update in self.mailbox.take() {
                            drawn |= self.take_in(update);
                        }
                    }
                    Event::InputClosed => return Ok((Outcome::Left, None)),
                    Event::Signal(SIGTSTP) => self.suspend()?,
                    Event::Signal(SIGCONT) => {
                        set_up()?;
                        self.redraw()?;
                    }
                    Event::Signal(signal) => return Ok((Outcome::Signal(signal), None)),
                }
                for request in self.app.take_requests() {
                    match request {
                        Request::Feed(command) => self.feed.send(command),
                        Request::Suspend => self.suspend()?,
                        Request::Redraw => self.redraw()?,
                        Request::Copy(text) => {
                            execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?;
                        }
                    }
                }
                if let Some(exit) = self.app.exit {
                    return Ok(match exit {
                        Exit::Clean => (Outcome::Left, None),
                        Exit::KeepFrame => (Outcome::Left, Some(self.frame)),
                        Exit::Failed => (Outcome::Failed, None),
                    });
                }
            }
            if drawn {
                self.draw()?;
            }
        }
        Ok((Outcome::Left, None))
    }

    fn take_in(&mut self, update: Update) -> bool {
        let now = self.started.elapsed().as_secs_f64();
        self.app.update(update, now)
    }

    fn draw(&mut self) -> io::Result<()> {
        let size = current_size()?;
        if size != self.size {
            self.size = size;
            self.terminal = blank(size)?;
        }
        if size != self.app.size {
            self.app.input(Input::Resize {
                width: size.width,
                height: size.height,
            });
        }
        let app = &self.app;
        let completed = self.terminal.draw(|frame| view::render(frame, app))?;
        self.frame = text_of(completed.buffer);
        Ok(())
    }

    fn redraw(&mut self) -> io::Result<()> {
        self.size = current_size()?;
        self.terminal = blank(self.size)?;
        self.draw()
    }

    /// Stops like any program under job control; goes on here when the shell says so.
    fn suspend(&mut self) -> io::Result<()> {
        restore();
        emulate_default_handler(SIGTSTP)?;
        set_up()?;
        self.redraw()
    }
}

/// A picture as lines of text.
fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
