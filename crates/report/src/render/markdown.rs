//! For a README.

use std::fmt::Write;

use super::super::claim::CheckedClaim;
use super::super::table::FilledTable;
use super::human::{comparison_line, verdict_text};
use super::{footnote, has_published, in_a_line, label, number, value_text};

/// The table in Markdown.
#[must_use]
pub fn table_markdown(table: &FilledTable) -> String {
    let published = has_published(table);
    let axis = table.axis.as_ref().map_or_else(String::new, |axis| format!("{} ", escaped(axis)));
    let mut text = format!("**{}**\n\n| ", escaped(&table.title));
    for column in &table.columns {
        let _ = write!(text, "| {axis}{} ", escaped(column));
    }
    text += if published { "| published |\n|---" } else { "|\n|---" };
    text += &"|---:".repeat(table.columns.len() + usize::from(published));
    text += "|\n";
    for row in &table.rows {
        let _ = write!(text, "| {} ", escaped(&label(row)));
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
        let _ = writeln!(text, "\n{}", escaped(&note));
    }
    text
}

/// The claims as a list, each with its verdict and the numbers behind it.
#[must_use]
pub fn claims_markdown(claims: &[CheckedClaim]) -> String {
    let mut text = String::new();
    for claim in claims {
        let paper = claim.paper.as_ref().map_or_else(String::new, |place| format!("{} ", escaped(place)));
        let _ = writeln!(text, "- **{}**: {paper}{}", verdict_text(claim.verdict), escaped(&claim.says));
        for comparison in &claim.comparisons {
            let _ = writeln!(text, "  - {}", escaped(&comparison_line(comparison)));
        }
    }
    text
}

/// `text` in one line, with a backslash before what Markdown would take for markup. `_` and `~` within words are none,
/// and neither are brackets behind which no address follows.
fn escaped(text: &str) -> String {
    let line = in_a_line(text);
    let mut escaped = String::with_capacity(line.len());
    let mut before = ' ';
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        let is_markup = match character {
            '\\' | '|' | '*' | '`' | '<' => true,
            '_' | '~' => !(before.is_alphanumeric() && next.is_alphanumeric()),
            '[' => line.contains("](") || line.contains("]["),
            '&' => next.is_alphanumeric() || next == '#',
            _ => false,
        };
        if is_markup {
            escaped.push('\\');
        }
        escaped.push(character);
        before = character;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_label_breaks_a_row_or_becomes_markup() {
        assert_eq!(escaped("a | b\nc"), "a \\| b c");
        assert_eq!(escaped("already \\| so"), "already \\\\\\| so");
        assert_eq!(
            escaped("*all* `x` <b> &amp; R&D & _so_ a_b"),
            "\\*all\\* \\`x\\` \\<b> \\&amp; R\\&D & \\_so\\_ a_b"
        );
        assert_eq!(escaped("[x](http://y)"), "\\[x](http://y)");
        assert_eq!(
            escaped("full on subset.test [seed=0]: 0.789 ± 0.004"),
            "full on subset.test [seed=0]: 0.789 ± 0.004"
        );
    }
}
