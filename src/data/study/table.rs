//! CSV with named columns.

use std::path::Path;

use super::StudyError;

/// The rows of a file, each with the columns asked for, in that order.
pub(super) struct Table<const COLUMNS: usize> {
    pub rows: Vec<Row<COLUMNS>>,
}

pub(super) struct Row<const COLUMNS: usize> {
    /// Counted from 1, the header being the first.
    pub line: u64,
    /// Without blanks around them.
    pub fields: [String; COLUMNS],
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Reads the columns of these names, in whatever order they stand and whatever stands beside them. Empty rows are
    /// passed over.
    pub fn read(path: &Path, bytes: &[u8], columns: &[&str; COLUMNS]) -> Result<Self, StudyError> {
        // Some spreadsheets mark UTF-8 so.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let bytes = &plain_lines(bytes)[..];
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter(bytes)).trim(csv::Trim::All).from_reader(bytes);
        let header = reader.headers().map_err(|error| StudyError::csv(path, &error))?.clone();
        let mut places = [0; COLUMNS];
        for (place, column) in places.iter_mut().zip(columns) {
            *place = header.iter().position(|name| name.eq_ignore_ascii_case(column)).ok_or_else(|| {
                let problem = format!("there is no column `{column}`, expected a first line `{}`", columns.join(","));
                StudyError::new(path, 1, problem)
            })?;
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| StudyError::csv(path, &error))?;
            let line = record.position().map_or(1, csv::Position::line);
            if record.iter().any(|field| !field.is_empty()) {
                let fields = places.map(|place| record.get(place).unwrap_or_default().to_owned());
                rows.push(Row { line, fields });
            }
        }
        Ok(Self { rows })
    }
}

/// The same text with every line ended by a line feed alone: the reader counts lines by these.
fn plain_lines(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    for (place, &byte) in bytes.iter().enumerate() {
        match (byte, bytes.get(place + 1)) {
            (b'\r', Some(b'\n')) => {}
            (b'\r', _) => plain.push(b'\n'),
            _ => plain.push(byte),
        }
    }
    plain
}

/// What separates the fields of the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|delimiter| first.contains(delimiter)).unwrap_or(b',')
}

/// CSV of these rows, as RFC 4180 wants it but for its line ends.
pub(super) fn write(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let header: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let lines = std::iter::once(header).chain(rows).map(|fields| {
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        fields.join(",") + "\n"
    });
    lines.collect()
}

fn quoted(field: &str) -> String {
    let plain = !field.contains([',', '"', '\n', '\r', ';', '\t']) && field.trim() == field;
    if plain { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}
