//! `--set PATH=VALUE`: changes a parsed file before it is read.

use std::convert::Infallible;
use std::str::FromStr;

use super::document::{Entry, Many, Node, Value, parse, parse_value};
use super::extends::EXTENDS;
use super::field::{Below, Field};
use super::kinds::StageKind;
use super::nearest::{listing, most_similar, nearest};
use super::problem::{Place, Problem, Sink};
use super::schema::{EXPERIMENT, KIND, SWEEP_RULES};

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
    if path[0].key == EXTENDS {
        let problem =
            Problem::at(path[0].place, "`extends` cannot be set: overrides apply to what a file is with its bases");
        sink.report(problem.help("write a file of its own that extends both"));
        return;
    }
    if !is_known(root, &path) {
        let place = Place { end: path_text.trim_end().len(), ..all };
        let problem = Problem::at(place, format!("there is no `{}` to set", path_text.trim()));
        sink.report(problem.help(path_help(root, &path)));
        return;
    }
    set_value(root, &path, value);
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
        Err(error) => {
            sink.report(Problem::at(place, format!("not TOML: {}", error.message())));
            None
        }
    }
}

fn is_bare(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    !inner.is_empty() && !inner.contains(['[', ']', '{', '}', '"', '\'', ',', '=', '#'])
}

/// Whether the file has that path, or the schema knows it.
fn is_known(root: &Node, path: &[Segment]) -> bool {
    let mut node = Some(root);
    let mut level = Level::Keys(EXPERIMENT);
    for segment in path {
        match level.enter(node, &segment.key) {
            Some(next) => level = next,
            None => return false,
        }
        node = node.and_then(|node| child(node, &segment.key));
    }
    true
}

/// The known path that someone may have meant, among those that end alike if there are any; and what there is to set where
/// the path leaves what is known.
fn path_help(root: &Node, path: &[Segment]) -> String {
    let mut known = Vec::new();
    Level::Keys(EXPERIMENT).list(Some(root), "", &mut known);
    let keys: Vec<&str> = path.iter().map(|segment| segment.key.as_str()).collect();
    let wrong = keys.join(".");
    let prefixes = (1..keys.len()).map(|length| keys[..length].join("."));
    let prefix = prefixes.take_while(|prefix| known.contains(prefix)).last().unwrap_or_default();
    let start = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    let ends = known.iter().filter_map(|path| path.strip_prefix(&start)).filter(|end| !end.contains('.'));
    let here: Vec<&str> = ends.filter(|end| *end != EXTENDS).collect();

    let ending = keys.last().copied().unwrap_or_default();
    let alike = known.iter().filter(|path| path.rsplit('.').next() == Some(ending)).map(String::as_str);
    let leaf = Some(prefix.as_str()).filter(|prefix| here.is_empty() && !prefix.is_empty());
    let found = most_similar(&wrong, alike).or_else(|| nearest(&wrong, known.iter().map(String::as_str))).or(leaf);
    let guess = found.map_or_else(String::new, |path| format!("did you mean `{path}`? "));
    let place = if prefix.is_empty() { "at the top".to_owned() } else { format!("in `{prefix}`") };
    match &here[..] {
        [] => format!("{guess}there is nothing to set {place}"),
        here => format!("{guess}{place} there are {}", listing(here.iter().copied())),
    }
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
            Below::Nothing | Below::Path => Self::Leaf,
            Below::Keys(fields) => Self::Keys(fields),
            Below::Rows(fields) => Self::Rows(fields),
            Below::Named(fields) => Self::Names(fields),
            Below::Axes => Self::Axes,
            Below::Stages => Self::Stages,
        }
    }

    /// The level below `key`, if that may be set.
    fn enter(self, node: Option<&Node>, key: &str) -> Option<Self> {
        let there = node.and_then(|node| child(node, key));
        match self {
            Self::Keys(fields) => fields.iter().find(|field| field.name == key).map(|field| Self::of(field.below)),
            Self::Names(fields) | Self::Rows(fields) => there.map(|_| Self::Keys(fields)),
            Self::Stages => there.map(|stage| Self::Keys(stage_fields(stage))),
            Self::Axes if SWEEP_RULES.contains(&key) => Some(Self::Leaf),
            Self::Axes | Self::Leaf => there.map(|_| Self::Leaf),
        }
    }

    /// Every path from here on.
    fn list(self, node: Option<&Node>, prefix: &str, paths: &mut Vec<String>) {
        let keys: Vec<String> = match (self, node.map(|node| &node.value)) {
            (Self::Keys(fields), _) => fields.iter().map(|field| field.name.to_owned()).collect(),
            (_, Some(Value::Table(entries))) => entries.iter().map(|entry| entry.key.clone()).collect(),
            (Self::Rows(_), Some(Value::List(rows))) => (0..rows.len()).map(|index| index.to_string()).collect(),
            _ => Vec::new(),
        };
        for key in keys {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if let Some(level) = self.enter(node, &key) {
                level.list(node.and_then(|node| child(node, &key)), &path, paths);
            }
            paths.push(path);
        }
    }
}

/// The keys that a stage's `kind` lets it have.
pub(super) fn stage_fields(stage: &Node) -> &'static [Field] {
    let kind = stage.get("kind").and_then(Node::text).and_then(StageKind::named);
    kind.map_or(&[KIND], StageKind::fields)
}

/// The value of a key of a table, or the item of a list that the key counts from 0.
fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::List(items) => items.get(key.parse::<usize>().ok()?),
        _ => node.get(key),
    }
}

/// Puts `value` at a known path; tables on the way that are missing are made.
fn set_value(node: &mut Node, path: &[Segment], value: Node) {
    let Some((segment, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    if let Value::List(items) = &mut node.value
        && let Some(item) = segment.key.parse::<usize>().ok().and_then(|index| items.get_mut(index))
    {
        set_value(item, rest, value);
        return;
    }
    if !matches!(node.value, Value::Table(_)) {
        *node = Node::new(segment.place, Value::Table(Many::default()));
    }
    if let Value::Table(entries) = &mut node.value {
        let index = entries.iter().position(|entry| entry.key == segment.key).unwrap_or_else(|| {
            let empty = Node::new(segment.place, Value::Table(Many::default()));
            entries.push(Entry { key: segment.key.clone(), place: segment.place, node: empty });
            entries.len() - 1
        });
        set_value(&mut entries[index].node, rest, value);
    }
}
