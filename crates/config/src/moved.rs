//! Paths of a document that comes from files in several folders, as the first of these files would name them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::document::{Entry, Node, Value};
use super::field::{Below, Field};
use super::overrides::stage_fields;
use super::problem::{Problem, Sink};
use super::schema::{EXPERIMENT, SWEEP_RULES};
use super::variants::{Part, parts};

/// The document with every path that the schema knows as the first file would name it. `folders` are the sources'.
pub(super) fn with_paths(root: &Node, folders: &[PathBuf], sink: &Sink) -> Node {
    let mut moved = root.clone();
    Mover { sweep: root.get("sweep"), folders, sink }.keys(&mut moved, EXPERIMENT);
    moved
}

struct Mover<'a> {
    sweep: Option<&'a Node>,
    folders: &'a [PathBuf],
    sink: &'a Sink,
}

impl Mover<'_> {
    fn keys(&self, table: &mut Node, fields: &[Field]) {
        let Value::Table(entries) = &mut table.value else { return };
        for entry in entries.iter_mut() {
            if let Some(field) = fields.iter().find(|field| field.name == entry.key) {
                self.below(&mut entry.node, field.below);
            }
        }
    }

    fn below(&self, node: &mut Node, below: Below) {
        match (below, &mut node.value) {
            (Below::Path, _) => self.path(node),
            (Below::Keys(fields), _) => self.keys(node, fields),
            (Below::Rows(fields), Value::List(rows)) => {
                for row in rows.iter_mut() {
                    self.keys(row, fields);
                }
            }
            (Below::Named(fields), Value::Table(named)) => {
                for entry in named.iter_mut() {
                    self.keys(&mut entry.node, fields);
                }
            }
            (Below::Stages, Value::Table(stages)) => {
                for entry in stages.iter_mut() {
                    let fields = stage_fields(&entry.node);
                    self.keys(&mut entry.node, fields);
                }
            }
            (Below::Nothing | Below::Axes | Below::Rows(_) | Below::Named(_) | Below::Stages, _) => {}
        }
    }

    fn path(&self, node: &mut Node) {
        if let Value::List(items) = &mut node.value {
            for item in items.iter_mut() {
                self.path(item);
            }
            return;
        }
        let place = node.place;
        let Value::Text(text) = &mut node.value else { return };
        let own = self.folder(place.source);
        let relative =
            |text: &str, folder: PathBuf| if Path::new(text).is_absolute() { PathBuf::new() } else { folder };
        let folders: BTreeSet<PathBuf> = match &parts(text)[..] {
            // What is an axis' value as a whole is relative to the file in which the value is written.
            [Part::Axis(axis)] => self.values(axis).map(|(text, folder)| relative(text, folder)).collect(),
            [Part::Axis(axis), ..] => self.values(axis).map(|(text, _)| relative(text, own.clone())).collect(),
            _ => [relative(text, own)].into(),
        };
        let mut folders = folders.into_iter();
        match (folders.next(), folders.next()) {
            (Some(folder), None) if !folder.as_os_str().is_empty() => *text = folder.join(&*text).display().to_string(),
            (Some(one), Some(other)) => {
                let (one, other) = (one.display(), other.display());
                let fault = format!(
                    "this path is an axis' value, and the values are relative to `{one}` and to `{other}`, so that no one \
                     file can hold it"
                );
                let help = "write the axis' paths in one file, all of them relative or all absolute";
                self.sink.report(Problem::at(place, fault).help(help));
            }
            _ => {}
        }
    }

    /// The texts among an axis' values, each with the folder of the file in which it is written.
    fn values<'b>(&'b self, axis: &'b str) -> impl Iterator<Item = (&'b str, PathBuf)> {
        let sweep = self.sweep.map_or(&[][..], Node::entries).iter();
        let values = sweep.flat_map(move |entry| match &entry.node.value {
            Value::List(values) if entry.key == axis => values.iter().collect(),
            Value::List(rows) if SWEEP_RULES.contains(&entry.key.as_str()) => {
                let named =
                    rows.iter().flat_map(Node::entries).filter(|value| value.key == axis && entry.key == "include");
                named.map(|value: &Entry| &value.node).collect()
            }
            _ => Vec::new(),
        });
        values.filter_map(|node| Some((node.text()?, self.folder(node.place.source))))
    }

    /// The folder of a source; that of `--set` is the experiment's own.
    fn folder(&self, source: usize) -> PathBuf {
        self.folders.get(source).cloned().unwrap_or_default()
    }
}
