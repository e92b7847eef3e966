//! For a terminal.

use std::fmt::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::super::claim::{CheckedClaim, Comparison, Verdict};
use super::super::table::FilledTable;
use super::{footnote, has_published, in_a_line, interval_text, label, number, value_text};

/// The table with aligned columns, its title above and what the numbers mean below.
#[must_use]
pub fn table_human(table: &FilledTable) -> String {
    let mut grid = Table::new();
    grid.load_style(NOTHING);
    let mut header = vec![String::new()];
    header.extend(table.columns.iter().map(|value| match &table.axis {
        Some(axis) => in_a_line(&format!("{axis} {value}")),
        None => in_a_line(value),
    }));
    let published = has_published(table);
    if published {
        header.push("published".to_owned());
    }
    grid.set_header(header);
    for row in &table.rows {
        let mut cells = vec![in_a_line(&label(row))];
        cells.extend(row.cells.iter().map(|cell| number(*cell, row.metric.unit(), "+-", "-")));
        if published {
            cells.push(row.published.map_or_else(String::new, |value| value_text(value, row.metric.unit())));
        }
        grid.add_row(cells);
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{}\n", in_a_line(&table.title));
    for line in grid.lines() {
        let _ = writeln!(text, " {}", line.trim_end());
    }
    let _ = writeln!(text, "  ({})", footnote(table, "+-"));
    text
}

/// Each claim with its verdict and the numbers behind it.
#[must_use]
pub fn claims_human(claims: &[CheckedClaim]) -> String {
    let mut text = String::new();
    for claim in claims {
        let verdict = verdict_text(claim.verdict);
        let paper = claim.paper.as_ref().map_or_else(String::new, |place| format!("{} ", in_a_line(place)));
        let _ = writeln!(text, "  {verdict:<14} {paper}{}", in_a_line(&claim.says));
        for comparison in &claim.comparisons {
            let _ = writeln!(text, "                 {}", comparison_line(comparison));
        }
    }
    text
}

/// A verdict in words.
pub(super) const fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails => "DOES NOT HOLD",
        Verdict::NotEvaluated => "not evaluated",
    }
}

/// What was demanded at one cell, the numbers, and whether they meet it.
pub(super) fn comparison_line(comparison: &Comparison) -> String {
    let cell: Vec<String> = comparison.cell.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    let at = if cell.is_empty() { String::new() } else { format!(" [{}]", cell.join(", ")) };
    let shown = |value: Option<f64>, interval: Option<[f64; 2]>| {
        value.map_or_else(|| "absent".to_owned(), |value| interval_text(value, interval, comparison.metric.unit()))
    };
    let answer = match comparison.verdict {
        Verdict::Holds => "yes",
        Verdict::Fails => "no",
        Verdict::NotEvaluated => "unknown",
    };
    let (left, right) = (shown(comparison.value, comparison.interval), shown(comparison.of, comparison.of_interval));
    format!("{}{at}: {left} and {right}: {answer}", comparison.demand)
}
