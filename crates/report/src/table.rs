//! Tables as the paper prints them, filled from measurements.

use serde::Serialize;

use overinterp_spec::{AxisValue, Cell, Metric, Row, Table};

use super::measurement::{Axes, Measurement, agree, groups};
use super::statistic::Statistic;

/// A [`Table`] with its numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilledTable {
    /// Its name in the file.
    pub name: String,
    /// What stands above it, as the experiment file words it.
    pub title: String,
    /// What the columns are values of, if anything.
    pub axis: Option<String>,
    /// One heading a column.
    pub columns: Vec<String>,
    /// One for each row of the file, or several where it leaves an axis open.
    pub rows: Vec<FilledRow>,
    /// The axes that each number is a mean over.
    pub over: Vec<String>,
    /// What guessing would score, where all rows agree on it.
    pub chance: Option<f64>,
    /// How many numbers its means are of, those that have yet to be computed included.
    pub evaluations: usize,
    /// How many of them have yet to be computed.
    pub missing: usize,
}

/// One row of a [`FilledTable`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilledRow {
    /// What is written in front.
    pub label: String,
    /// The values of the axes that are neither columns nor averaged over.
    pub cell: Cell,
    /// One statistic a column; none where no evaluation is there.
    pub cells: Vec<Option<Statistic>>,
    /// What they measure.
    pub metric: Metric,
    /// The paper's mean, where it is known.
    pub published: Option<f64>,
}

/// Fills a table.
///
/// A row whose evaluations do not depend on the column axis shows the same number in every column.
#[must_use]
pub fn fill(table: &Table, axes: &Axes, measurements: &[Measurement]) -> FilledTable {
    let headings = headings(table, axes);
    let rows: Vec<FilledRow> =
        table.rows.iter().flat_map(|row| fill_row(table, row, &headings, measurements)).collect();
    let behind = || measurements.iter().filter(|m| table.rows.iter().any(|row| m.belongs_to(&row.measure)));
    FilledTable {
        name: table.name.clone(),
        title: table.title.clone(),
        axis: table.columns.clone(),
        columns: headings.iter().map(|value| heading_text(value.as_ref())).collect(),
        rows,
        over: table.over.clone(),
        chance: common_chance(table, measurements),
        evaluations: behind().count(),
        missing: behind().filter(|measurement| measurement.value.is_none()).count(),
    }
}

fn heading_text(value: Option<&AxisValue>) -> String {
    value.map_or_else(|| "mean".to_owned(), ToString::to_string)
}

/// The column axis's values; a table without one has a single column, for which there is no value.
fn headings(table: &Table, axes: &Axes) -> Vec<Option<AxisValue>> {
    let Some(axis) = &table.columns else { return vec![None] };
    let values = axes.iter().find(|(name, _)| name == axis).map_or(&[][..], |(_, values)| values);
    values.iter().cloned().map(Some).collect()
}

fn fill_row(table: &Table, row: &Row, headings: &[Option<AxisValue>], measurements: &[Measurement]) -> Vec<FilledRow> {
    let of_row: Vec<&Measurement> = measurements.iter().filter(|m| m.belongs_to(&row.measure)).collect();
    let names_row = |axis: &str| {
        table.columns.as_deref() != Some(axis)
            && !table.over.iter().any(|averaged| averaged == axis)
            && !row.measure.pins.contains_key(axis)
    };
    let mut kinds = groups(&of_row, names_row);
    if kinds.is_empty() {
        kinds.insert(Cell::new());
    }
    kinds
        .into_iter()
        .map(|cell| FilledRow {
            label: row.label.clone(),
            cells: headings.iter().map(|heading| statistic(table, &of_row, &cell, heading.as_ref())).collect(),
            metric: row.measure.metric,
            published: row.published,
            cell,
        })
        .collect()
}

fn statistic(table: &Table, of_row: &[&Measurement], cell: &Cell, heading: Option<&AxisValue>) -> Option<Statistic> {
    let mut wanted = cell.clone();
    if let (Some(axis), Some(value)) = (&table.columns, heading) {
        wanted.insert(axis.clone(), value.clone());
    }
    let of_cell: Vec<&Measurement> = of_row.iter().copied().filter(|m| agree(&wanted, &m.cell)).collect();
    Statistic::of_measurements(&of_cell)
}

fn common_chance(table: &Table, measurements: &[Measurement]) -> Option<f64> {
    let mut chances = measurements
        .iter()
        .filter(|m| table.rows.iter().any(|row| m.belongs_to(&row.measure)))
        .filter_map(|measurement| measurement.chance);
    let first = chances.next()?;
    chances.all(|chance| (chance - first).abs() < f64::EPSILON).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::{axes, measurement};
    use overinterp_spec::{Measure, Subject};

    fn row(label: &str, images: &str) -> Row {
        let subject = Subject::Evaluation { model: "full".into(), images: images.into() };
        let measure = Measure { subject, pins: Cell::new(), metric: Metric::Accuracy };
        Row { label: label.into(), measure, published: None }
    }

    fn table() -> Table {
        Table {
            name: "one".into(),
            title: "Accuracy".into(),
            rows: vec![row("full", "test"), row("selected", "subset.test"), row("absent", "other.test")],
            columns: Some("fraction".into()),
            over: vec!["seed".into()],
        }
    }

    #[test]
    fn averages_over_seeds_and_repeats_what_no_column_changes() {
        let measurements = [
            measurement("full", "test", &[("seed", 0.0)], 0.8),
            measurement("full", "test", &[("seed", 1.0)], 0.9),
            measurement("full", "subset.test", &[("seed", 0.0), ("fraction", 0.05)], 0.3),
            measurement("full", "subset.test", &[("seed", 1.0), ("fraction", 0.05)], 0.5),
            measurement("full", "subset.test", &[("seed", 1.0), ("fraction", 0.1)], 0.7),
        ];
        let filled = fill(&table(), &axes(), &measurements);
        assert_eq!(filled.columns, ["0.05", "0.1"]);
        let means: Vec<Vec<Option<f64>>> = filled
            .rows
            .iter()
            .map(|row| row.cells.iter().map(|cell| cell.map(|s| (s.mean * 1e6).round() / 1e6)).collect())
            .collect();
        assert_eq!(means, [vec![Some(0.85), Some(0.85)], vec![Some(0.4), Some(0.7)], vec![None, None]]);
        assert_eq!(filled.rows[1].cells[0].unwrap().n, 2);
        assert_eq!(filled.chance, Some(0.1));
    }

    #[test]
    fn numbers_that_have_yet_to_be_computed_are_counted() {
        let mut unfinished = measurement("full", "test", &[("seed", 1.0)], 0.0);
        unfinished.value = None;
        let measurements =
            [measurement("full", "test", &[("seed", 0.0)], 0.8), unfinished, measurement("full", "else", &[], 0.1)];
        let filled = fill(&table(), &axes(), &measurements);
        assert_eq!((filled.evaluations, filled.missing), (2, 1));
    }

    #[test]
    fn an_axis_that_is_neither_column_nor_averaged_gives_rows_of_its_own() {
        let mut table = table();
        table.over.clear();
        let measurements =
            [measurement("full", "test", &[("seed", 0.0)], 0.8), measurement("full", "test", &[("seed", 1.0)], 0.9)];
        let filled = fill(&table, &axes(), &measurements);
        let of_full: Vec<f64> =
            filled.rows.iter().filter(|row| row.label == "full").map(|row| row.cells[0].unwrap().mean).collect();
        assert_eq!(of_full, [0.8, 0.9]);
    }
}
