//! What can be wrong with a sheet or a key.

use std::path::{Path, PathBuf};

/// A line of a file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use line {line} of {path}: {problem}")]
pub struct StudyError {
    /// The file.
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

    /// What the CSV reader says.
    pub(super) fn csv(path: &Path, error: &csv::Error) -> Self {
        let line = error.position().map_or(1, csv::Position::line);
        let problem = match error.kind() {
            csv::ErrorKind::Utf8 { .. } => "it is not text in UTF-8: save the file so".to_owned(),
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("it has {len} fields, expected {expected_len}")
            }
            _ => error.to_string(),
        };
        Self::new(path, line, problem)
    }
}
