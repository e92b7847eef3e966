//! Standard output and standard error, which may go away while the program works.
//!
//! A reader that has read enough (`| head`) is no failure, and neither is a terminal that was closed: the work goes
//! on, and its results are in the cache. A disk that is full is one, and is told at the end.
//!
//! Names and messages come from files that others wrote, so no control character but line breaks and tabs gets through.

use std::fmt::{self, Arguments};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use crate::failure::{Failure, Kind};
use crate::printable::{Colours, filtered, printable};

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
