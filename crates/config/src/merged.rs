//! An experiment written out: what it extends merged, `--set` applied, paths as its own file would name them.

use std::fmt::Write;
use std::path::PathBuf;

use super::document::{Entry, Node, Value};
use super::field::Below;
use super::moved::with_paths;
use super::problem::Sink;
use super::schema::EXPERIMENT;

/// Longer lines are broken at a list's items.
const WIDTH: usize = 120;

/// The document as TOML, in the order in which it is read. `folders` are the sources' as the first file would name
/// them. What cannot be written is reported.
pub(super) fn text(root: &Node, folders: &[PathBuf], sink: &Sink) -> String {
    let root = with_paths(root, folders, sink);
    let mut text = String::new();
    let (sections, values): (Vec<&Entry>, Vec<&Entry>) = root.entries().iter().partition(|entry| is_section(entry));
    write_values(&values, &mut text);
    for section in sections {
        if holds_tables(&section.key) {
            for entry in section.node.entries() {
                let _ = writeln!(text, "\n[{}.{}]", key(&section.key), key(&entry.key));
                write_values(&entry.node.entries().iter().collect::<Vec<_>>(), &mut text);
            }
        } else {
            let _ = writeln!(text, "\n[{}]", key(&section.key));
            write_values(&section.node.entries().iter().collect::<Vec<_>>(), &mut text);
        }
    }
    text
}

fn is_section(entry: &Entry) -> bool {
    matches!(entry.node.value, Value::Table(_))
}

fn holds_tables(section: &str) -> bool {
    let field = EXPERIMENT.iter().find(|field| field.name == section);
    field.is_some_and(|field| matches!(field.below, Below::Named(_) | Below::Stages))
}

fn write_values(entries: &[&Entry], text: &mut String) {
    for entry in entries {
        let start = format!("{} = ", key(&entry.key));
        let whole = value(&entry.node);
        match &entry.node.value {
            Value::List(items) if start.len() + whole.len() > WIDTH => {
                let _ = writeln!(text, "{start}[");
                for item in items {
                    let _ = writeln!(text, "  {},", value(item));
                }
                text.push_str("]\n");
            }
            _ => {
                let _ = writeln!(text, "{start}{whole}");
            }
        }
    }
}

fn value(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => string(text),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => toml::Value::Float(*value).to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Value::Table(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Table(entries) => {
            let entries = entries.iter().map(|entry| format!("{} = {}", key(&entry.key), value(&entry.node)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        // No valid experiment holds these.
        Value::Date | Value::Faulty => "\"\"".to_owned(),
    }
}

fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { key.to_owned() } else { string(key) }
}
