//! The answer sheet: `file,answer`.

use std::collections::BTreeMap;
use std::path::Path;

use overinterp_foreign::delimited::{self, Header, Table};

use super::StudyError;

/// Names of the columns, in the order in which a sheet is written.
const COLUMNS: [&str; 2] = ["file", "answer"];

/// A row of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    /// Its line, counted from 1.
    pub line: u64,
    /// The name of the picture's file: `07.png`.
    pub file: String,
    /// What is written beside it, without blanks around it; empty if nothing is.
    pub answer: String,
}

/// An empty sheet for these pictures.
#[must_use]
pub fn write_sheet<'a>(files: impl IntoIterator<Item = &'a str>) -> String {
    delimited::write(&COLUMNS, files.into_iter().map(|file| vec![file.to_owned(), String::new()]))
}

/// Reads a sheet that is perhaps filled in, as spreadsheets save it: with commas, semicolons or tabs.
///
/// # Errors
/// When it is not CSV, lacks a column, or has a picture twice.
pub fn read_sheet(path: &Path, bytes: &[u8]) -> Result<Vec<AnswerRow>, StudyError> {
    let mut rows: Vec<AnswerRow> = Vec::new();
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    let table = Table::read(bytes, &COLUMNS, Header::Required).map_err(|error| StudyError::table(path, error))?;
    for row in table.rows {
        let [file, answer] = row.fields;
        if let Some(first) = lines.insert(file.clone(), row.line) {
            let problem = format!("{file} was answered on line {first} already: keep one of the two");
            return Err(StudyError::new(path, row.line, problem));
        }
        rows.push(AnswerRow { line: row.line, file, answer });
    }
    Ok(rows)
}
