//! For a terminal.

use std::fmt::Write;
use std::ops::Range;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, Table, Width};

use super::super::claim::{CheckedClaim, Comparison, Verdict};
use super::super::table::FilledTable;
use super::{footnote, has_published, in_a_line, interval_text, label, number, value_text};

/// A label that is folded keeps at least so many columns.
const SHORTEST_LABEL: usize = 20;
/// Columns that the table adds to each of its own.
const PADDING: usize = 2;

/// The table with aligned columns, its title above and what the numbers mean below. Where it is wider than `width`
/// labels are folded, and columns for which that is not enough follow below the others.
#[must_use]
pub fn table_human(table: &FilledTable, width: Option<usize>) -> String {
    let mut header = vec![String::new()];
    header.extend(table.columns.iter().map(|value| match &table.axis {
        Some(axis) => in_a_line(&format!("{axis} {value}")),
        None => in_a_line(value),
    }));
    let published = has_published(table);
    if published {
        header.push("published".to_owned());
    }
    let mut rows = vec![header];
    for row in &table.rows {
        let mut cells = vec![in_a_line(&label(row))];
        cells.extend(row.cells.iter().map(|cell| number(*cell, row.metric.unit(), "+-", "-")));
        if published {
            cells.push(row.published.map_or_else(String::new, |value| value_text(value, row.metric.unit())));
        }
        rows.push(cells);
    }
    let blocks = blocks(&grid(&rows).column_max_content_widths(), width);
    let mut text = format!("{}\n", in_a_line(&table.title));
    for (number, (label, columns)) in blocks.into_iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        let of_row = |row: &Vec<String>| [&row[..1], &row[columns.clone()]].concat();
        let mut grid = grid(&rows.iter().map(of_row).collect::<Vec<_>>());
        if let Some(labels) = grid.column_mut(0) {
            labels.set_constraint(ColumnConstraint::Absolute(Width::Fixed((label + PADDING) as u16)));
        }
        for line in grid.lines() {
            let _ = writeln!(text, " {}", line.trim_end());
        }
    }
    let _ = writeln!(text, "  ({})", footnote(table, "+-"));
    text
}

/// A header and rows, the numbers to the right.
fn grid(rows: &[Vec<String>]) -> Table {
    let mut grid = Table::new();
    grid.load_style(NOTHING);
    if let Some((header, rows)) = rows.split_first() {
        grid.set_header(header);
        grid.add_rows(rows);
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

/// How wide the labels are, and which columns stand beside them, for each part of a table that must fit into `width`.
fn blocks(widths: &[u16], width: Option<usize>) -> Vec<(usize, Range<usize>)> {
    let taken: Vec<usize> = widths.iter().map(|&width| usize::from(width) + PADDING).collect();
    let whole = taken[0] - PADDING;
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(PADDING));
    let left = room.saturating_sub(taken[1..].iter().sum());
    if left >= whole.min(SHORTEST_LABEL) {
        return vec![(whole.min(left), 1..taken.len())];
    }
    let label = whole.min(SHORTEST_LABEL.max(room / 3));
    let mut blocks = Vec::new();
    let mut begin = 1;
    while begin < taken.len() {
        let mut sum = label;
        let fitting = taken[begin..].iter().take_while(|column| {
            sum += **column;
            sum <= room
        });
        let end = begin + fitting.count().max(1);
        blocks.push((label, begin..end));
        begin = end;
    }
    blocks
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistic::Statistic;
    use crate::table::FilledRow;
    use overinterp_spec::{Cell, Metric};

    fn table(columns: usize) -> FilledTable {
        let statistic = Statistic { mean: 0.5, deviation: Some(0.01), interval: None, n: 3 };
        let row = |label: &str| FilledRow {
            label: label.to_owned(),
            cell: Cell::new(),
            cells: vec![Some(statistic); columns],
            metric: Metric::Accuracy,
            published: None,
        };
        FilledTable {
            name: "t".to_owned(),
            title: "Accuracy".to_owned(),
            axis: Some("fraction".to_owned()),
            columns: (0..columns).map(|column| format!("0.{column}5")).collect(),
            rows: vec![row("trained on what remains of the images / tested on all"), row("full")],
            over: vec!["seed".to_owned()],
            chance: None,
            evaluations: 0,
            missing: 0,
        }
    }

    #[test]
    fn a_table_fits_a_terminal_and_stays_as_it_is_elsewhere() {
        let wide = table_human(&table(6), None);
        assert_eq!(wide.lines().count(), 5, "{wide}");
        assert_eq!(table_human(&table(6), Some(200)), wide);
        for (columns, width, headers) in [(2, 79, 1), (3, 79, 1), (6, 79, 2), (9, 40, 9)] {
            let text = table_human(&table(columns), Some(width));
            assert!(text.lines().all(|line| line.len() <= width), "{text}");
            assert_eq!(text.lines().filter(|line| line.contains("fraction")).count(), headers, "{text}");
            assert_eq!(text.matches("0.500 +- 0.010").count(), 2 * columns, "{text}");
            let first = text.lines().find(|line| line.contains("0.500")).unwrap();
            assert!(first.starts_with("  trained on"), "{text}");
        }
    }
}
