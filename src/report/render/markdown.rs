//! For a README.

use std::fmt::Write;

use super::super::claim::CheckedClaim;
use super::super::table::FilledTable;
use super::human::{comparison_line, verdict_text};
use super::{footnote, has_published, label, number, value_text};

/// The table in Markdown.
#[must_use]
pub fn table_markdown(table: &FilledTable) -> String {
    let published = has_published(table);
    let axis = table.axis.as_ref().map_or_else(String::new, |axis| format!("{axis} "));
    let mut text = format!("**{}**\n\n| ", table.title);
    for column in &table.columns {
        let _ = write!(text, "| {axis}{column} ");
    }
    text += if published { "| published |\n|---" } else { "|\n|---" };
    text += &"|---:".repeat(table.columns.len() + usize::from(published));
    text += "|\n";
    for row in &table.rows {
        let _ = write!(text, "| {} ", label(row));
        for cell in &row.cells {
            let _ = write!(text, "| {} ", number(*cell, row.metric.unit(), "±", ""));
        }
        if published {
            let _ = write!(
                text,
                "| {} ",
                row.published.map_or_else(String::new, |value| value_text(value, row.metric.unit()))
            );
        }
        text += "|\n";
    }
    let note = footnote(table, "±");
    if !note.is_empty() {
        let _ = writeln!(text, "\n{note}");
    }
    text
}

/// The claims as a list, each with its verdict and the numbers behind it.
#[must_use]
pub fn claims_markdown(claims: &[CheckedClaim]) -> String {
    let mut text = String::new();
    for claim in claims {
        let paper = claim.paper.as_ref().map_or_else(String::new, |place| format!("{place} "));
        let _ = writeln!(text, "- **{}**: {paper}{}", verdict_text(claim.verdict), claim.says);
        for comparison in &claim.comparisons {
            let _ = writeln!(text, "  - {}", comparison_line(comparison));
        }
    }
    text
}
