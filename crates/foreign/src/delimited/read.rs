//! Tables that are read, by the names of their columns.

use std::borrow::Cow;

use csv::{ReaderBuilder, StringRecord, Trim};

/// What may stand between fields, the first that makes the columns of the first line being taken.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b' '];

/// The rows of a table, each with the columns asked for, in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<const COLUMNS: usize> {
    /// The rows, without those whose fields are all empty.
    pub rows: Vec<Row<COLUMNS>>,
    /// Whether fields are separated by commas, so that there is none in a number.
    pub comma_separated: bool,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<const COLUMNS: usize> {
    /// Its line, counted from 1.
    pub line: u64,
    /// Without blanks around them.
    pub fields: [String; COLUMNS],
}

/// Whether a table names its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It does, in its first line that is not empty.
    Required,
    /// Not where its first line begins with a number. An unnamed first column, as pandas writes its index, is the first
    /// of the columns if no other has its name.
    Optional,
}

/// A line of a table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TableError {
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl TableError {
    fn new(line: u64, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }

    /// What the CSV reader says.
    fn csv(error: &csv::Error) -> Self {
        let line = error.position().map_or(1, csv::Position::line);
        match error.kind() {
            csv::ErrorKind::Utf8 { .. } => Self::new(line, "it is not text in UTF-8: save the file so"),
            _ => Self::new(line, error.to_string()),
        }
    }
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// Reads the columns of these names, in whatever order and case they stand and whatever stands beside them.
    ///
    /// # Errors
    /// When it is no text, a column is missing or there twice, or a row has not as many fields as the first.
    pub fn read(bytes: &[u8], columns: &[&str; COLUMNS], header: Header) -> Result<Self, TableError> {
        let mut rows = Vec::new();
        let comma_separated = Self::visit(bytes, columns, header, |row, _| {
            rows.push(row);
            Ok::<(), TableError>(())
        })?;
        Ok(Self { rows, comma_separated })
    }

    /// The same, but each row is handed to `visit` with whether fields are separated by commas, so that no more is held than
    /// it keeps. Whether they are is the result, too.
    ///
    /// # Errors
    /// As [`Table::read`], and what `visit` answers.
    pub fn visit<E: From<TableError>>(
        bytes: &[u8],
        columns: &[&str; COLUMNS],
        header: Header,
        visit: impl FnMut(Row<COLUMNS>, bool) -> Result<(), E>,
    ) -> Result<bool, E> {
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(TableError::new(1, "it is text in UTF-16: save the file as CSV in UTF-8").into());
        }
        // Some spreadsheets mark UTF-8 so.
        let text = &plain_lines(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))[..];
        let mut first = TableError::new(1, format!("there is nothing in it, expected `{}`", columns.join(",")));
        for delimiter in DELIMITERS {
            let Some(record) = records(text, delimiter).next().transpose()? else { continue };
            match places(&record, columns, header) {
                Ok(found) => {
                    Self::rows(text, delimiter, &found, record.fields.len(), header, visit)?;
                    return Ok(delimiter == b',');
                }
                // What commas make of it is told, unless something else made fields of it.
                Err(error) if delimiter == b',' || record.fields.len() == COLUMNS => first = error,
                Err(_) => {}
            }
        }
        Err(first.into())
    }

    fn rows<E: From<TableError>>(
        text: &[u8],
        delimiter: u8,
        found: &Places<COLUMNS>,
        fields: usize,
        header: Header,
        mut visit: impl FnMut(Row<COLUMNS>, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        for record in records(text, delimiter).skip(usize::from(found.named)) {
            let record = record?;
            if record.fields.len() != fields {
                let problem = format!("it has {} fields, expected {fields}", record.fields.len());
                return Err(TableError::new(record.line, problem).into());
            }
            let field = |place| record.fields.get(place).unwrap_or_default();
            let fields = found.places.map(|place| plain(field(place), header).to_owned());
            visit(Row { line: record.line, fields }, delimiter == b',')?;
        }
        Ok(())
    }
}

/// A line's fields, not all of them empty.
struct Record {
    line: u64,
    fields: StringRecord,
}

/// Every row of `text` with something in it.
fn records(text: &[u8], delimiter: u8) -> impl Iterator<Item = Result<Record, TableError>> + '_ {
    let mut builder = ReaderBuilder::new();
    let reader = builder.delimiter(delimiter).has_headers(false).flexible(true).trim(Trim::All).from_reader(text);
    let records = reader.into_records().map(|record| {
        let fields = record.map_err(|error| TableError::csv(&error))?;
        let (start, before) = fields.position().map_or((0, 1), |place| (place.byte(), place.line()));
        // The reader passes over empty lines after it noted where it is.
        let rest = usize::try_from(start).ok().and_then(|start| text.get(start..)).unwrap_or_default();
        let empty = rest.iter().take_while(|&&byte| byte == b'\n').count() as u64;
        Ok(Record { line: before + empty, fields })
    });
    records.filter(|record| record.as_ref().map_or(true, |record| record.fields.iter().any(|field| !field.is_empty())))
}

/// A field without quotes that a blank before them hid from the reader. Where a header is required fields are words, of
/// which quotes may be a part.
fn plain(field: &str, header: Header) -> &str {
    let bare = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    bare.filter(|_| header == Header::Optional).unwrap_or(field)
}

/// Where the columns are.
struct Places<const COLUMNS: usize> {
    places: [usize; COLUMNS],
    /// Whether the first row names them, and is no row itself.
    named: bool,
}

fn places<const COLUMNS: usize>(
    first: &Record,
    columns: &[&str; COLUMNS],
    header: Header,
) -> Result<Places<COLUMNS>, TableError> {
    let Record { line, fields } = first;
    let number = |field: &str| field.parse::<f64>().is_ok();
    if header == Header::Optional && fields.get(0).is_some_and(|field| number(plain(field, header))) {
        if fields.len() == COLUMNS {
            return Ok(Places { places: std::array::from_fn(|place| place), named: false });
        }
        let problem = format!(
            "it has {} fields, expected `{}`, or a first line that says what they are",
            fields.len(),
            columns.join(",")
        );
        return Err(TableError::new(*line, problem));
    }
    // numpy marks a header so.
    let name = |place: usize, field: &str| {
        let name = plain(field, header);
        let marked = place == 0 && header == Header::Optional;
        (if marked { name.trim_start_matches('#').trim() } else { name }).to_lowercase()
    };
    let names: Vec<String> = fields.iter().enumerate().map(|(place, field)| name(place, field)).collect();
    let mut places = [0; COLUMNS];
    for (number, (place, column)) in places.iter_mut().zip(columns).enumerate() {
        let mut with_name = (0..names.len()).filter(|&place| names[place] == column.to_lowercase());
        *place = match (with_name.next(), with_name.next()) {
            (Some(place), None) => place,
            (Some(_), Some(_)) => {
                return Err(TableError::new(*line, format!("there are two columns `{column}`: leave one of them")));
            }
            (None, _) if header == Header::Optional && number == 0 && names.first().is_some_and(String::is_empty) => 0,
            (None, _) => {
                let expected = columns.join(",");
                let problem = format!("there is no column `{column}`, expected a first line `{expected}`");
                return Err(TableError::new(*line, problem));
            }
        };
    }
    Ok(Places { places, named: true })
}

/// The same text with every line ended by a line feed alone: the reader counts lines by these.
fn plain_lines(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'\r') {
        return Cow::Borrowed(bytes);
    }
    let mut plain = Vec::with_capacity(bytes.len());
    for (place, &byte) in bytes.iter().enumerate() {
        match (byte, bytes.get(place + 1)) {
            (b'\r', Some(b'\n')) => {}
            (b'\r', _) => plain.push(b'\n'),
            _ => plain.push(byte),
        }
    }
    Cow::Owned(plain)
}
