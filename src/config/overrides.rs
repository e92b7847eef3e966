//! `--set PATH=VALUE`: changes a parsed file before it is read.

use std::convert::Infallible;
use std::str::FromStr;

use super::document::{Entry, Node, Value, parse, parse_value};
use super::nearest::suggestion;
use super::problem::{Place, Problem, Sink};
use super::schema::{Below, EXPERIMENT, Field, SWEEP_RULES, StageKind};

/// A `--set PATH=VALUE` as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override(String);

impl Override {
    /// Takes the text after `--set`; what is wrong with it is found when it is applied.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text after `--set`.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl FromStr for Override {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

/// A part of a path.
struct Segment {
    key: String,
    place: Place,
}

/// Applies the override that is source number `source` to `root`.
pub(super) fn apply(root: &mut Node, set: &Override, source: usize, sink: &Sink) {
    let text = set.text();
    let all = Place { source, start: 0, end: text.len() };
    let Some((path_text, value_text)) = text.split_once('=') else {
        sink.report(Problem::at(all, "an override needs a `=`").help("write `--set PATH=VALUE`"));
        return;
    };
    let Some(path) = read_path(path_text, source) else {
        let place = Place { end: path_text.len(), ..all };
        let help = "write keys with dots between them, such as `stage.full.recipe.epochs`";
        sink.report(Problem::at(place, "this is no path").help(help));
        return;
    };
    let Some(value) = read_value(value_text, source, path_text.len() + 1, sink) else { return };
    set_value(root, &path, Level::Keys(EXPERIMENT), value, sink);
}

fn read_path(text: &str, source: usize) -> Option<Vec<Segment>> {
    let silent = Sink::default();
    let mut node = parse(&format!("{text} = 0"), source, &silent)?;
    let mut path = Vec::new();
    while let Value::Table(mut entries) = node.value {
        let entry = entries.pop()?;
        path.push(Segment { key: entry.key, place: entry.place });
        node = entry.node;
    }
    (!path.is_empty()).then_some(path)
}

/// The value as TOML, or as a string if it is a bare word.
fn read_value(text: &str, source: usize, start: usize, sink: &Sink) -> Option<Node> {
    let offset = start + text.len() - text.trim_start().len();
    let text = text.trim();
    let place = Place { source, start: offset, end: offset + text.len() };
    match parse_value(text, source, offset, sink) {
        Ok(node) => Some(node),
        Err(_) if is_bare(text) => Some(Node::new(place, Value::Text(text.to_owned()))),
        Err(message) => {
            sink.report(Problem::at(place, format!("not TOML: {message}")));
            None
        }
    }
}

fn is_bare(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    !inner.is_empty() && !inner.contains(['[', ']', '{', '}', '"', '\'', ',', '=', '#'])
}

/// What may stand at a level of the document.
#[derive(Clone, Copy)]
enum Level {
    Keys(&'static [Field]),
    Names(&'static [Field]),
    Rows(&'static [Field]),
    Stages,
    Axes,
    Leaf,
}

impl Level {
    const fn of(below: Below) -> Self {
        match below {
            Below::Nothing => Self::Leaf,
            Below::Keys(fields) => Self::Keys(fields),
            Below::Rows(fields) => Self::Rows(fields),
            Below::Named(fields) => Self::Names(fields),
            Below::Axes => Self::Axes,
            Below::Stages => Self::Stages,
        }
    }

    /// The level below `key`, or the names that would do.
    fn enter(self, node: &Node, key: &str) -> Result<Self, Vec<String>> {
        let present = || node.entries().iter().map(|entry| entry.key.clone());
        match self {
            Self::Keys(fields) => match fields.iter().find(|field| field.name == key) {
                Some(field) => Ok(Self::of(field.below)),
                None => Err(fields.iter().map(|field| field.name.to_owned()).collect()),
            },
            Self::Names(fields) if node.get(key).is_some() => Ok(Self::Keys(fields)),
            Self::Stages => match node.get(key) {
                Some(stage) => {
                    let kind = stage.get("kind").and_then(Node::text);
                    let found = StageKind::ALL.into_iter().find(|&(name, _)| Some(name) == kind);
                    Ok(Self::Keys(found.map_or(&[], |(_, kind)| kind.fields())))
                }
                None => Err(present().collect()),
            },
            Self::Axes if node.get(key).is_some() || SWEEP_RULES.contains(&key) => Ok(Self::Leaf),
            Self::Leaf if node.get(key).is_some() => Ok(Self::Leaf),
            Self::Rows(fields) => row(node, key).map(|_| Self::Keys(fields)).ok_or_else(|| row_numbers(node)),
            Self::Leaf if row(node, key).is_some() => Ok(Self::Leaf),
            Self::Leaf => Err(present().chain(row_numbers(node)).collect()),
            Self::Names(_) | Self::Axes => Err(present().collect()),
        }
    }
}

fn row_numbers(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    }
}

fn row(node: &Node, key: &str) -> Option<usize> {
    let index = key.parse().ok()?;
    matches!(&node.value, Value::List(items) if index < items.len()).then_some(index)
}

fn set_value(node: &mut Node, path: &[Segment], level: Level, value: Node, sink: &Sink) {
    let Some((segment, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    let level = match level.enter(node, &segment.key) {
        Ok(level) => level,
        Err(names) => {
            let fault = format!("there is nothing called `{}` here", segment.key);
            let help = suggestion(&segment.key, "what can be set here", names.iter().map(String::as_str));
            sink.report(Problem::at(segment.place, fault).help(help));
            return;
        }
    };
    if let Some(index) = row(node, &segment.key)
        && let Value::List(items) = &mut node.value
    {
        set_value(&mut items[index], rest, level, value, sink);
        return;
    }
    if !matches!(node.value, Value::Table(_)) {
        // A scalar in a table's place gives way to the table that the path asks for.
        *node = Node::new(segment.place, Value::Table(Vec::new()));
    }
    if let Value::Table(entries) = &mut node.value {
        let index = entries.iter().position(|entry| entry.key == segment.key).unwrap_or_else(|| {
            let empty = Node::new(segment.place, Value::Table(Vec::new()));
            entries.push(Entry { key: segment.key.clone(), place: segment.place, node: empty });
            entries.len() - 1
        });
        set_value(&mut entries[index].node, rest, level, value, sink);
    }
}
