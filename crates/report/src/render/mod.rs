//! Tables, claims and measurements as text.

mod csv;
mod human;
mod latex;
mod line;
mod markdown;

pub use csv::measurements_csv;
pub(super) use csv::quoted;
pub use human::{claims_human, table_human};
pub use latex::table_latex;
pub use line::in_a_line;
pub use markdown::{claims_markdown, table_markdown};

use overinterp_spec::Unit;

use super::statistic::Statistic;
use super::table::{FilledRow, FilledTable};

/// A number with as many digits as its unit is worth.
#[must_use]
pub fn value_text(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Share | Unit::Factor => format!("{value:.3}"),
        Unit::Count => format!("{value:.2}"),
        Unit::Pixels => format!("{value:.1}"),
    }
}

/// A number, its interval in brackets if there is one.
#[must_use]
pub fn interval_text(value: f64, interval: Option<[f64; 2]>, unit: Unit) -> String {
    let number = value_text(value, unit);
    match interval {
        None => number,
        Some([low, high]) => format!("{number} [{}, {}]", value_text(low, unit), value_text(high, unit)),
    }
}

/// `.853 +- .012`, the deviation only where there is one; `61.2 [58.0, 64.1]` where there is an interval.
pub(super) fn number(statistic: Option<Statistic>, unit: Unit, plus_minus: &str, absent: &str) -> String {
    match statistic {
        None => absent.to_owned(),
        Some(Statistic { mean, deviation: None, interval, .. }) => interval_text(mean, interval, unit),
        Some(Statistic { mean, deviation: Some(deviation), .. }) => {
            format!("{} {plus_minus} {}", value_text(mean, unit), value_text(deviation, unit))
        }
    }
}

/// The row's label, with the axis values that tell it from its siblings.
pub(super) fn label(row: &FilledRow) -> String {
    let cell: Vec<String> = row.cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    if cell.is_empty() { row.label.clone() } else { format!("{} ({})", row.label, cell.join(", ")) }
}

/// What stands below a table: what the numbers are means over, and what guessing would score.
pub(super) fn footnote(table: &FilledTable, plus_minus: &str) -> String {
    let mut notes = Vec::new();
    if !table.over.is_empty() {
        notes.push(format!("mean {plus_minus} deviation over {}", table.over.join(", ")));
    }
    let statistics = || table.rows.iter().flat_map(|row| &row.cells).flatten();
    if statistics().any(|statistic| statistic.interval.is_some()) {
        notes.push("in brackets: 95 % intervals over images".to_owned());
    }
    if table.rows.iter().any(|row| row.metric.unit() == Unit::Pixels) {
        notes.push("sizes in pixels".to_owned());
    }
    if let Some(chance) = table.chance {
        notes.push(format!("chance is {chance:.3}"));
    }
    notes.join("; ")
}

pub(super) fn has_published(table: &FilledTable) -> bool {
    table.rows.iter().any(|row| row.published.is_some())
}
