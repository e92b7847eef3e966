//! Standard output and standard error, which may go away while the program works.
//!
//! A reader that has read enough (`| head`) is no failure, and neither is a terminal that was closed: the work goes
//! on, and its results are in the cache. A disk that is full is one, and is told at the end.
//!
//! Names and messages come from files that others wrote, so no control character but line breaks and tabs gets through.

use std::borrow::Cow;
use std::fmt::{self, Arguments, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use crate::cli::failure::{Failure, Kind};

/// The first failure of standard output that the user must know of.
static FAILURE: OnceLock<io::Error> = OnceLock::new();
/// Whether standard output is a terminal, asked while it is certainly there.
static TERMINAL: OnceLock<bool> = OnceLock::new();

/// Writes to standard output.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::output::to_stdout(format_args!($($text)*)) };
}

/// Writes a line to standard output.
macro_rules! outln {
    () => { $crate::cli::output::to_stdout(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::output::to_stdout(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes a line to standard error.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::output::to_stderr(format_args!($($text)*)) };
}

/// Notes what the program was started with.
pub(crate) fn start() {
    let _ = TERMINAL.set(io::stdout().is_terminal());
}

pub(crate) fn to_stdout(text: Arguments<'_>) {
    let text = text.to_string();
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(printable(&text).as_bytes()).and_then(|()| out.flush())
        && !lost_reader(error.kind())
    {
        let _ = FAILURE.set(error);
    }
}

/// Whether a failed write means that nobody reads any more. A terminal that is gone answers with an error of its own.
fn lost_reader(kind: ErrorKind) -> bool {
    kind == ErrorKind::BrokenPipe || TERMINAL.get() == Some(&true)
}

pub(crate) fn to_stderr(text: Arguments<'_>) {
    // There is nowhere left to tell of a failure.
    let _ = writeln!(io::stderr().lock(), "{}", printable(&text.to_string()));
}

/// Writes a line that this program has coloured: colours stay, other control characters do not.
pub(crate) fn to_stderr_coloured(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", filtered(text, Colours::Kept));
}

/// The text without control characters: each but line breaks and tabs is written as `\u001b` is, which JSON reads back.
/// So are those that change the direction of writing.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    filtered(text, Colours::None)
}

/// Whether sequences that choose a colour or weight of letters stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    None,
    Kept,
}

fn filtered(text: &str, colours: Colours) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let taken = match colours {
            Colours::Kept => colour(rest).unwrap_or(letter.len_utf8()),
            Colours::None => letter.len_utf8(),
        };
        let (now, later) = rest.split_at(taken);
        if taken == letter.len_utf8() && is_control(letter) {
            let _ = write!(clean, "\\u{:04x}", u32::from(letter));
        } else {
            clean.push_str(now);
        }
        rest = later;
    }
    Cow::Owned(clean)
}

fn is_control(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (letter.is_control() && !matches!(letter, '\n' | '\t'))
}

/// The length of the sequence for a colour with which `text` begins.
fn colour(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\u{1b}[")?;
    let end = inside.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    inside[end..].starts_with('m').then_some(end + 3)
}

/// Standard error for the log, which colours its lines only where it may; a failure to write is nobody's.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let _ = io::stderr().lock().write_all(filtered(&text, Colours::Kept).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}

/// Whether all that was printed has arrived.
///
/// # Errors
/// When something of it was lost, other than for want of a reader.
pub(crate) fn check() -> Result<(), Failure> {
    match FAILURE.get() {
        None => Ok(()),
        Some(error) => {
            let message = format!("cannot write to standard output: {error}; what was computed is in the cache");
            Err(Failure::new(Kind::Internal, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out_and_lines_stay() {
        assert_eq!(printable("two\nlines\tand é"), "two\nlines\tand é");
        assert_eq!(printable("\u{1b}[2Jhost\r\u{7}\u{7f}\u{9b}31m"), "\\u001b[2Jhost\\u000d\\u0007\\u007f\\u009b31m");
        assert_eq!(printable("a\u{202e}b"), "a\\u202eb");
    }

    #[test]
    fn what_is_written_out_in_json_reads_back() {
        let value = serde_json::json!({"host": "\u{1b}\u{9b}\u{7f}\u{202e}"});
        let printed = printable(&value.to_string()).into_owned();
        assert!(!printed.chars().any(is_control), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

    #[test]
    fn colours_of_our_own_stay_and_nothing_else_does() {
        let text = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m \u{1b}[2J\u{1b}]0;title\u{7}";
        let kept = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m \\u001b[2J\\u001b]0;title\\u0007";
        assert_eq!(filtered(text, Colours::Kept), kept);
        assert_eq!(filtered("\u{1b}[1", Colours::Kept), "\\u001b[1");
    }
}
