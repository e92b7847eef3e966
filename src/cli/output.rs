//! Standard output and standard error, which may go away while the program works.
//!
//! A reader that has read enough (`| head`) is no failure, and neither is a terminal that was closed: the work goes
//! on, and its results are in the cache. A disk that is full is one, and is told at the end.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use super::failure::{Failure, Status};

/// The first failure of standard output that the user must know of.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

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

pub(super) fn to_stdout(text: Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = FAILURE.set(error);
    }
}

pub(super) fn to_stderr(text: Arguments<'_>) {
    // There is nowhere left to tell of a failure.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether all that was printed has arrived.
///
/// # Errors
/// When something of it was lost, other than for want of a reader.
pub(super) fn check() -> Result<(), Failure> {
    match FAILURE.get() {
        None => Ok(()),
        Some(error) => Err(Failure {
            status: Status::Internal,
            message: format!("cannot write to standard output: {error}; what was computed is in the cache"),
        }),
    }
}
