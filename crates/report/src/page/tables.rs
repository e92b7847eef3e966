//! Tables of the experiment.

use maud::{Markup, html};

use super::super::measurement::Measurement;
use super::super::render::{footnote, has_published, interval_text, label, number, value_text};
use super::super::table::FilledTable;
use super::claims;

pub(super) fn table(table: &FilledTable) -> Markup {
    let published = has_published(table);
    let heading = |value: &str| table.axis.as_ref().map_or_else(|| value.to_owned(), |axis| format!("{axis} {value}"));
    html! {
        div class="scroll" tabindex="0" id=(format!("table-{}", table.name)) {
            table {
                caption { (table.title) }
                thead {
                    tr {
                        td {}
                        @for value in &table.columns { th scope="col" class="number" { (heading(value)) } }
                        @if published { th scope="col" class="number" { "published" } }
                    }
                }
                tbody {
                    @for row in &table.rows {
                        tr {
                            th scope="row" { (label(row)) }
                            @for cell in &row.cells { (claims::number(cell.map(|cell| number(Some(cell), row.metric.unit(), "\u{b1}", "")))) }
                            @if published { td class="number" { @if let Some(value) = row.published { (value_text(value, row.metric.unit())) } } }
                        }
                    }
                }
            }
        }
        p class="note" { (notes(table)) }
    }
}

/// What stands below a table: what its numbers are, and what is missing.
fn notes(table: &FilledTable) -> String {
    let mut notes = vec![footnote(table, "\u{b1}")];
    if has_published(table) && table.rows.iter().any(|row| row.published.is_none()) {
        notes.push("the paper's value is given where it has been checked".to_owned());
    }
    if table.missing > 0 {
        let (missing, all) = (table.missing, table.evaluations);
        let are = if missing == 1 { "is" } else { "are" };
        notes.push(format!(
            "{missing} of the {all} numbers behind this table {are} not computed: a cell for which there is none is empty, \
             the others are means of those that are there"
        ));
    }
    notes.retain(|note| !note.is_empty());
    let mut text = notes.join("; ");
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
        text.push('.');
    }
    text
}

/// A number with its interval.
fn value(measurement: &Measurement) -> Option<String> {
    measurement.value.map(|value| interval_text(value, measurement.interval, measurement.metric.unit()))
}

/// Every number, for an experiment that has no tables.
pub(super) fn measurements(measurements: &[Measurement]) -> Markup {
    html! {
        div class="scroll" tabindex="0" {
            table {
                caption { "Every number" }
                thead {
                    tr {
                        th scope="col" { "Stage" }
                        th scope="col" { "Model" }
                        th scope="col" { "Images" }
                        th scope="col" { "At" }
                        th scope="col" { "Metric" }
                        th scope="col" class="number" { "Value" }
                        th scope="col" class="number" { "Of" }
                    }
                }
                tbody {
                    @for measurement in measurements {
                        tr {
                            th scope="row" { (measurement.stage) }
                            td { (measurement.model) }
                            td { (measurement.images) }
                            td { (claims::described(&measurement.cell)) }
                            td { (measurement.metric.name()) }
                            (claims::number(value(measurement)))
                            (claims::number(measurement.n.map(|n| n.to_string())))
                        }
                    }
                }
            }
        }
    }
}
