//! For a paper: a `booktabs` table.

use std::fmt::Write;

use super::super::table::FilledTable;
use super::{footnote, has_published, in_a_line, label, number, value_text};

/// The table in LaTeX; needs the package `booktabs`.
#[must_use]
pub fn table_latex(table: &FilledTable) -> String {
    let published = has_published(table);
    let columns = table.columns.len() + usize::from(published);
    let mut text =
        format!("\\begin{{table}}\n\\centering\n\\begin{{tabular}}{{l{}}}\n\\toprule\n", "r".repeat(columns));
    for column in &table.columns {
        let axis = table.axis.as_ref().map_or_else(String::new, |axis| format!("{} ", escaped(axis)));
        let _ = write!(text, " & {axis}{}", escaped(column));
    }
    text += if published { " & published \\\\\n\\midrule\n" } else { " \\\\\n\\midrule\n" };
    for row in &table.rows {
        text += &escaped(&label(row));
        for cell in &row.cells {
            let _ = write!(text, " & ${}$", number(*cell, row.metric.unit(), "\\pm", "\\text{--}"));
        }
        if published {
            let _ = write!(
                text,
                " & {}",
                row.published.map_or_else(String::new, |value| format!("${}$", value_text(value, row.metric.unit())))
            );
        }
        text += " \\\\\n";
    }
    // The sign comes in as a letter, so that the names of axes beside it are escaped.
    let note = escaped(&footnote(table, "±")).replace('±', "$\\pm$");
    let _ = write!(
        text,
        "\\bottomrule\n\\end{{tabular}}\n\\caption{{{} ({note}).}}\n\\label{{tab:{}}}\n\\end{{table}}\n",
        escaped(&table.title),
        table.name
    );
    text
}

/// `text` in one line with LaTeX's special characters escaped. What `\\\\` before it would take for its own argument stands
/// in braces.
fn escaped(text: &str) -> String {
    let text = in_a_line(text);
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' => escaped += "\\textless{}",
            '>' => escaped += "\\textgreater{}",
            '|' => escaped += "\\textbar{}",
            '[' | ']' | '*' => {
                escaped.push('{');
                escaped.push(character);
                escaped.push('}');
            }
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(super::escaped("5 % of a_b"), "5 \\% of a\\_b");
        assert_eq!(super::escaped("[a] | b\nc < d"), "{[}a{]} \\textbar{} b c \\textless{} d");
        assert_eq!(
            super::escaped("\\x {y} & $z$ #1 ~ ^"),
            "\\textbackslash{}x \\{y\\} \\& \\$z\\$ \\#1 \\textasciitilde{} \\textasciicircum{}"
        );
    }
}
