//! What can be wrong with a sheet or a key.

use std::path::{Path, PathBuf};

use overinterp_foreign::delimited::TableError;

/// A line of a file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use line {line} of {path}: {problem}")]
pub struct StudyError {
    /// The sheet or the key that has this line.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl StudyError {
    /// An error of that line.
    pub fn new(path: &Path, line: u64, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, problem: problem.into() }
    }

    /// What is wrong with the table.
    pub(super) fn table(path: &Path, error: TableError) -> Self {
        Self::new(path, error.line, error.problem)
    }
}
