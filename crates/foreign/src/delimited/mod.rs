//! Tables of text (CSV) as spreadsheets, pandas and numpy save them.
//!
//! Fields stand between commas, semicolons, tabs or single spaces, perhaps in quotes; lines end in any of the usual ways;
//! a byte-order mark, blank lines and rows of empty fields are passed over. What else a field means is left to who asks.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Header, Row, Table, TableError};
pub use write::{line, write};
