//! The key: `file,image,fraction,label,shown`.

use std::collections::BTreeMap;
use std::path::Path;

use overinterp_foreign::delimited::{self, Header, Table};
use overinterp_spec::Fraction;

use super::StudyError;

/// Names of the columns, in the order in which a key is written.
const COLUMNS: [&str; 5] = ["file", "image", "fraction", "label", "shown"];

/// A row of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRow {
    /// Its line, counted from 1.
    pub line: u64,
    /// The name of the picture's file: `07.png`.
    pub file: String,
    /// The image's number within its split.
    pub image: usize,
    /// The share of its pixels that is shown.
    pub fraction: Fraction,
    /// The name of its true class.
    pub label: String,
    /// The fingerprint of what is shown.
    pub shown: String,
}

/// A key of these rows.
#[must_use]
pub fn write_key(rows: &[KeyRow]) -> String {
    let fields = |row: &KeyRow| {
        let (image, fraction) = (row.image.to_string(), row.fraction.get().to_string());
        vec![row.file.clone(), image, fraction, row.label.clone(), row.shown.clone()]
    };
    delimited::write(&COLUMNS, rows.iter().map(fields))
}

/// Reads a key, by the name of the picture.
///
/// # Errors
/// When it is not CSV, lacks a column, has a picture twice, or a number that is none.
pub fn read_key(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, KeyRow>, StudyError> {
    let mut rows: BTreeMap<String, KeyRow> = BTreeMap::new();
    let table = Table::read(bytes, &COLUMNS, Header::Required).map_err(|error| StudyError::table(path, error))?;
    for row in table.rows {
        let line = row.line;
        let fault = |problem: String| StudyError::new(path, line, problem);
        let [file, image, fraction, label, shown] = row.fields;
        let image = image.parse().map_err(|_| fault(format!("`{image}` is no number of an image")))?;
        let share = fraction.parse().ok().and_then(|value: f64| Fraction::try_from(value).ok());
        let fraction = share.ok_or_else(|| fault(format!("`{fraction}` is no share of the pixels")))?;
        if let Some(first) = rows.get(&file) {
            return Err(fault(format!("{file} is on line {} already", first.line)));
        }
        rows.insert(file.clone(), KeyRow { line, file, image, fraction, label, shown });
    }
    Ok(rows)
}
