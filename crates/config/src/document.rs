//! A parsed TOML text in which every key and value knows its place.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem, Sink};
use super::syntax;

/// A value of the text, which knows where it is written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it is written; a table's header for a `[table]`.
    pub place: Place,
    /// Where `${axis}` stands, if it came from there; `place` is then the axis' value.
    pub via: Option<Place>,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A string, in which `${axis}` may still stand.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time, which nothing here takes.
    Date,
    /// An array, each of whose values knows its place.
    List(Many<Node>),
    /// A table, inline or not.
    Table(Many<Entry>),
    /// A value about which a problem was reported already, so that no second one follows from it.
    Faulty,
}

/// The values of an array or the entries of a table. Copies share them until one is changed: a sweep repeats a table for each
/// of its cells.
#[derive(Clone, Debug)]
pub(super) struct Many<T>(Rc<Vec<T>>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Many<T> {
    fn from(all: Vec<T>) -> Self {
        Self(Rc::new(all))
    }
}

impl<T> FromIterator<T> for Many<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        Vec::from_iter(all).into()
    }
}

impl<T> Deref for Many<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Clone> DerefMut for Many<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        Rc::make_mut(&mut self.0)
    }
}

impl<'a, T> IntoIterator for &'a Many<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key itself, without the tables above it.
    pub key: String,
    /// Where the key is written.
    pub place: Place,
    /// What the key holds, a table's entries included.
    pub node: Node,
}

impl Node {
    /// A node as it is written.
    pub const fn new(place: Place, value: Value) -> Self {
        Self { place, via: None, value }
    }

    /// The entries of a table in file order; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of that key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of that key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The type as messages call it.
    pub const fn type_name(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Faulty => "a faulty value",
        }
    }
}

/// Parses `text`, which is source number `source`; reports every error of syntax.
pub(super) fn parse(text: &str, source: usize, sink: &Sink) -> Option<Node> {
    let root = Place { source, start: 0, end: 0 };
    syntax::parse(text, source, sink, |table| Node::new(root, Converter { source, offset: 0, sink }.table(table)))
}

/// Parses a value that stands at `offset` of source number `source`; its errors are left to the caller.
pub(super) fn parse_value(text: &str, source: usize, offset: usize, sink: &Sink) -> Result<Node, toml::de::Error> {
    let value = DeValue::parse(text)?;
    Ok(Converter { source, offset, sink }.node(&value))
}

struct Converter<'a> {
    source: usize,
    offset: usize,
    sink: &'a Sink,
}

impl Converter<'_> {
    fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        let span = spanned.span();
        Place { source: self.source, start: span.start + self.offset, end: span.end + self.offset }
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                place: self.place(key),
                node: self.node(value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.place.start);
        Value::Table(entries.into())
    }

    fn node(&self, spanned: &Spanned<DeValue<'_>>) -> Node {
        let place = self.place(spanned);
        let value = match spanned.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).map_or_else(
                |_| self.faulty(Problem::at(place, "this whole number is too large").help("64 bits must hold it")),
                Value::Integer,
            ),
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(value) if value.is_finite() => Value::Float(value),
                _ => self.faulty(Problem::at(place, "this number is not finite")),
            },
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => self.table(table),
        };
        Node::new(place, value)
    }

    fn faulty(&self, problem: Problem) -> Value {
        self.sink.report(problem);
        Value::Faulty
    }
}
