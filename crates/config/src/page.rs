//! The reference page of the docs: every key of an experiment file, from its declaration.

use std::fmt::Write;

use super::field::{Absent, Below, Field, Holds};
use super::kinds::{Makes, StageKind};
use super::questions;
use super::schema::{CLAIM, DATA, EXPERIMENT, FIGURE, RANGE, TABLE};

/// Every key of an experiment file, as a page in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    keys(&mut page, EXPERIMENT);
    page.push_str("\n## `[sweep]`\n\nEach key is an axis. In the place of a list of values a range may stand:\n");
    keys(&mut page, RANGE);
    page.push_str(RULES);
    page.push_str("\n## `[data.NAME]`\n");
    keys(&mut page, DATA);
    page.push_str("\n## `[stage.NAME]`\n\n| `kind` | what it does |\n|---|---|\n");
    for (name, kind) in StageKind::ALL {
        let _ = writeln!(page, "| [`{name}`](#{name}) | {} |", kind.declared().about);
    }
    for (name, kind) in StageKind::ALL {
        let kind = kind.declared();
        let _ = writeln!(page, "\n### {name}\n\n{}. Others use it as {}.", kind.about, made(kind.makes));
        if kind.makes == Makes::Analysis {
            all_questions(&mut page);
        } else {
            head(&mut page);
            rows(&mut page, "", Some(name), (kind.keys)());
        }
    }
    for (section, fields) in [("table", TABLE), ("figure", FIGURE), ("claim", CLAIM)] {
        let _ = writeln!(page, "\n## `[{section}.NAME]`");
        keys(&mut page, fields);
    }
    page
}

const HEAD: &str = "# Every key of an experiment file

This page is made of the declarations in `crates/config`, which the program reads files by; `ACCEPT=1 cargo test --release --test docs`
writes it anew. How the parts play together is told in [the experiment file](experiment.md).

*needed* means that a file without the key is refused. Paths are relative to the file in which they are written.
`${axis}` in any text is the value of an axis.

## Top level
";

const RULES: &str = "
Three names are no axes: `zip = [[\"arch\", \"seed\"]]` lets axes advance together, `exclude = [{ seed = 1, fraction = 0.2 }]` leaves
combinations out, and `include = [{ arch = \"vgg16\", seed = 7 }]` adds some.
";

/// A table of keys; those of tables in tables follow with their path.
fn keys(page: &mut String, fields: &[Field]) {
    head(page);
    rows(page, "", None, fields);
}

fn head(page: &mut String) {
    page.push_str("\n| key | holds | without it | |\n|---|---|---|---|\n");
}

/// The rows of a table of keys, of a stage of that `kind` if they are one's.
fn rows(page: &mut String, prefix: &str, kind: Option<&str>, fields: &[Field]) {
    for field in fields {
        let without = match field.absent {
            Absent::Fault => "*needed*",
            Absent::Means(what) | Absent::Depends(what) => what,
        };
        let (name, about) = (field.name, field.about);
        let example = match kind {
            _ if !prefix.is_empty() => String::new(),
            Some(kind) if name == "kind" => format!(": `\"{kind}\"`"),
            _ => format!(": `{}`", field.example),
        };
        let _ = writeln!(page, "| `{prefix}{name}` | {} | {without} | {about}{example} |", held(field));
        let within = format!("{prefix}{name}.");
        match field.below {
            Below::Keys(fields) | Below::Rows(fields) => rows(page, &within, None, fields),
            // Sections of their own.
            Below::Named(_) | Below::Stages | Below::Axes | Below::Nothing | Below::Path => {}
        }
    }
}

fn held(field: &Field) -> String {
    match field.holds {
        Holds::Text => "text".to_owned(),
        Holds::OneOf(names) => listed(names().iter().copied()),
        Holds::Whole => "whole number".to_owned(),
        Holds::Number => "number".to_owned(),
        Holds::Flag => "`true` or `false`".to_owned(),
        Holds::Path => "path".to_owned(),
        Holds::Stage(makes) => format!("a stage: {}", kinds(makes)),
        Holds::Half(makes) => format!("`STAGE.train` or `STAGE.test` of a stage: {}", kinds(makes)),
        Holds::Images => "`NAME.train` or `NAME.test` of a data set or a `mask` stage".to_owned(),
        Holds::Data => "a data set".to_owned(),
        Holds::List(of) => format!("list of {of}"),
        Holds::Table(what) => what.to_owned(),
    }
}

fn kinds(makes: &[Makes]) -> String {
    listed(StageKind::making(makes).iter().map(|kind| kind.name()))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

const fn made(makes: Makes) -> &'static str {
    match makes {
        Makes::Network => "a model, also in ensembles and to start a training from",
        Makes::Model => "a model",
        Makes::Ranking => "a ranking",
        Makes::Subsets => "images, `NAME.train` and `NAME.test`",
        Makes::Sufficient => "what figures show",
        Makes::Collections => "what the question `collections` is asked of",
        Makes::Evaluation => "rows of tables, by `model` and `images`",
        Makes::Answers => "the `model` of rows of tables, by its own name",
        Makes::Analysis => "the `analysis` of rows of tables, and in figures",
    }
}

fn all_questions(page: &mut String) {
    page.push_str("\n| `question` | what it asks | numbers | drawings |\n|---|---|---|---|\n");
    for asked in questions::ALL {
        let numbers = listed(asked.metrics.iter().map(|metric| metric.name()));
        let drawings = match (asked.drawings, asked.draws_maps) {
            ([], _) => "none".to_owned(),
            (drawings, maps) => {
                format!("{}: {}", if maps { "maps" } else { "curves" }, listed(drawings.iter().copied()))
            }
        };
        let name = asked.name;
        let _ = writeln!(page, "| [`{name}`](#question-{name}) | {} | {numbers} | {drawings} |", asked.about);
    }
    for asked in questions::ALL {
        let _ = writeln!(page, "\n#### question {}", asked.name);
        keys(page, asked.keys);
    }
}
