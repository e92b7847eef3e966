//! Tables, claims and measurements as text.

mod csv;
mod human;
mod latex;
mod markdown;

pub use csv::measurements_csv;
pub use human::{claims_human, table_human};
pub use latex::table_latex;
pub use markdown::table_markdown;

use super::statistic::Statistic;
use super::table::{FilledRow, FilledTable};

/// `.853 +- .012`, the deviation only where there is one.
fn number(statistic: Option<Statistic>, plus_minus: &str, absent: &str) -> String {
    match statistic {
        None => absent.to_owned(),
        Some(Statistic { mean, deviation: None, .. }) => format!("{mean:.3}"),
        Some(Statistic { mean, deviation: Some(deviation), .. }) => format!("{mean:.3} {plus_minus} {deviation:.3}"),
    }
}

/// The row's label, with the axis values that tell it from its siblings.
fn label(row: &FilledRow) -> String {
    let cell: Vec<String> = row.cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    if cell.is_empty() { row.label.clone() } else { format!("{} ({})", row.label, cell.join(", ")) }
}

/// What stands below a table: what the numbers are means over, and what guessing would score.
fn footnote(table: &FilledTable, plus_minus: &str) -> String {
    let mut notes = Vec::new();
    if !table.over.is_empty() {
        notes.push(format!("mean {plus_minus} deviation over {}", table.over.join(", ")));
    }
    if let Some(chance) = table.chance {
        notes.push(format!("chance is {chance:.3}"));
    }
    notes.join("; ")
}

fn has_published(table: &FilledTable) -> bool {
    table.rows.iter().any(|row| row.published.is_some())
}
