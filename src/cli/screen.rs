//! The terminal as bars are drawn on it, which stays in order when it writes `^C`.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use indicatif::TermLike;

/// Standard error. The drawing of bars leaves the cursor behind the last column, so that what the terminal itself writes
/// there moves on to the next line, and a line of the bars is left standing. Here the cursor waits at the line's beginning.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: Term,
    /// Whether the line in which the cursor waits is full, so that more text belongs below it.
    is_full: AtomicBool,
    /// Whether something was written since the cursor waited.
    has_written: AtomicBool,
}

impl Screen {
    /// An empty line of it.
    pub fn new() -> Self {
        let (is_full, has_written) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { terminal: Term::buffered_stderr(), is_full, has_written }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.terminal.size().1
    }

    fn height(&self) -> u16 {
        self.terminal.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.terminal.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.terminal.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.terminal.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.terminal.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.write_str("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.is_full.swap(false, Ordering::Relaxed) {
            self.terminal.write_str("\n")?;
        }
        self.has_written.store(true, Ordering::Relaxed);
        self.terminal.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.is_full.store(false, Ordering::Relaxed);
        self.terminal.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        if self.has_written.swap(false, Ordering::Relaxed) {
            self.terminal.write_str("\r")?;
            self.is_full.store(true, Ordering::Relaxed);
        }
        self.terminal.flush()
    }
}
