//! Takes typed values out of a document and reports those that are missing, unknown or of the wrong type.

use super::document::{Node, Value};
use super::field::{Absent, Below, Field};
use super::nearest::{listing, suggestion};
use super::problem::{Problem, Sink};

/// A value being read, which knows its path. Every method that returns `None` has reported why.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    /// The value, with the place where it is written.
    pub node: &'a Node,
    /// Its path, such as `stage.full.recipe.lr`.
    pub path: String,
    /// Whether the schema says that it holds a path.
    is_path: bool,
    sink: &'a Sink,
}

impl<'a> Item<'a> {
    /// Starts at a node.
    pub fn new(node: &'a Node, path: impl Into<String>, sink: &'a Sink) -> Self {
        Self { node, path: path.into(), is_path: false, sink }
    }

    /// Whether the schema says that it holds a path of a file or folder.
    pub const fn is_path(&self) -> bool {
        self.is_path
    }

    /// Where problems go.
    pub const fn sink(&self) -> &'a Sink {
        self.sink
    }

    /// A problem of this value, not reported yet.
    pub fn problem(&self, fault: impl Into<String>) -> Problem {
        let problem = Problem::of(&self.path, self.node.place, fault);
        match self.node.via {
            Some(via) => problem.note(via, "used here"),
            None => problem,
        }
    }

    /// Reports a problem of this value.
    pub fn fault<T>(&self, fault: impl Into<String>) -> Option<T> {
        self.sink.report(self.problem(fault));
        None
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        match self.node.value {
            Value::Faulty => None,
            _ => self.fault(format!("must be {expected}, not {}", self.node.type_name())),
        }
    }

    /// The string that it holds, as it is written.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => self.wrong_type("a string"),
        }
    }

    /// A string that is not blank and has no character that a terminal or a picture could stumble over.
    pub fn words(&self) -> Option<String> {
        let text = self.text()?;
        self.printable(text)?;
        if text.trim().is_empty() { self.fault("is empty") } else { Some(text.to_owned()) }
    }

    /// The same in one line: a break of the line becomes a space.
    pub fn line(&self) -> Option<String> {
        self.words().map(|text| one_line(&text))
    }

    /// Reports a character of `text` that cannot be shown.
    pub fn printable(&self, text: &str) -> Option<()> {
        let layout = |c: &char| matches!(c, '\n' | '\r' | '\t');
        let hidden = |c: &char| (c.is_control() && !layout(c)) || matches!(c, '\u{fffe}' | '\u{ffff}');
        match text.chars().find(hidden) {
            None => Some(()),
            Some(character) => {
                let problem = self.problem(format!("holds the control character U+{:04X}", u32::from(character)));
                self.sink.report(problem.help("remove it"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.node.value {
            Value::Boolean(value) => Some(value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// Any finite number.
    pub fn number(&self) -> Option<f64> {
        match self.node.value {
            Value::Integer(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => self.wrong_type("a number"),
        }
    }

    /// A number for which `holds`; `requirement` follows "must be".
    pub fn number_where(&self, requirement: &str, holds: impl Fn(f64) -> bool) -> Option<f64> {
        let value = self.number()?;
        if holds(value) { Some(value) } else { self.fault(format!("must be {requirement}, not {value}")) }
    }

    /// A whole number of at least `least`, of any unsigned type.
    pub fn whole<T: TryFrom<i64>>(&self, least: i64) -> Option<T> {
        let value = match self.node.value {
            Value::Integer(value) => value,
            Value::Float(value) => return self.fault(format!("must be a whole number, not {value:?}")),
            _ => return self.wrong_type("a whole number"),
        };
        if value < least {
            return self.fault(format!("must be at least {least}, not {value}"));
        }
        T::try_from(value).map_or_else(|_| self.fault(format!("cannot be as large as {value}")), Some)
    }

    /// The items of a list.
    pub fn list(&self) -> Option<Vec<Self>> {
        let Value::List(nodes) = &self.node.value else {
            return self.wrong_type("a list");
        };
        let items = nodes.iter().enumerate();
        Some(items.map(|(index, node)| Self::new(node, format!("{}[{index}]", self.path), self.sink)).collect())
    }

    /// The items of a list that has some.
    pub fn full_list(&self) -> Option<Vec<Self>> {
        let items = self.list()?;
        if items.is_empty() { self.fault("is an empty list: give at least one") } else { Some(items) }
    }

    /// What a name stands for. `what` names such things, in the plural.
    pub fn choice<T: Copy>(&self, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
        if found.is_none() {
            let help = suggestion(text, what, choices.iter().map(|&(name, _)| name));
            self.sink.report(self.problem(format!("cannot be `{text}`")).help(help));
        }
        found
    }

    /// A table that may have these keys.
    pub fn table(&self, fields: &'static [Field]) -> Option<Reader<'a>> {
        let Value::Table(entries) = &self.node.value else {
            return self.wrong_type("a table");
        };
        for entry in entries {
            if !fields.iter().any(|field| field.name == entry.key) {
                let fault = if self.path.is_empty() {
                    format!("there is no key `{}`", entry.key)
                } else {
                    format!("there is no key `{}` in `{}`", entry.key, self.path)
                };
                let help = suggestion(&entry.key, "keys here", fields.iter().map(|field| field.name));
                self.sink.report(Problem::at(entry.place, fault).help(help));
            }
        }
        Some(Reader { item: self.clone(), fields })
    }
}

/// `text` without breaks of the line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A table being read.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    item: Item<'a>,
    fields: &'static [Field],
}

impl<'a> Reader<'a> {
    /// What the key is declared as.
    pub fn declared(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == key)
    }

    /// The value of that key, if it is there.
    pub fn optional(&self, key: &str) -> Option<Item<'a>> {
        let path = if self.item.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.item.path) };
        let declared = self.declared(key);
        debug_assert!(declared.is_some(), "`{path}` is read, but not declared");
        let is_path = declared.is_some_and(|field| matches!(field.below, Below::Path));
        self.item.node.get(key).map(|node| Item { is_path, ..Item::new(node, path, self.item.sink) })
    }

    /// The value of that key; without it, a problem at the table.
    pub fn required(&self, key: &str) -> Option<Item<'a>> {
        let found = self.optional(key);
        let declared = self.declared(key);
        let may_be_absent = declared.is_some_and(|field| matches!(field.absent, Absent::Means(_)));
        debug_assert!(!may_be_absent, "`{}.{key}` is declared as one that may be left out", self.item.path);
        if found.is_none() {
            let example = declared.map_or("...", |field| field.example);
            self.item.sink.report(Problem::lack(&self.item.path, self.item.node.place, key, example));
        }
        found
    }

    /// The value of that key as `read` makes it, or `default` without the key.
    pub fn or<T>(&self, key: &str, default: T, read: impl FnOnce(Item<'a>) -> Option<T>) -> Option<T> {
        let must_be_there = self.declared(key).is_some_and(|field| matches!(field.absent, Absent::Fault));
        debug_assert!(!must_be_there, "`{}.{key}` is declared as one that must be there", self.item.path);
        self.optional(key).map_or(Some(default), read)
    }

    /// Which one of several keys is there; none or more than one is a problem.
    pub fn one_of(&self, keys: &[&'static str]) -> Option<(&'static str, Item<'a>)> {
        let mut found = keys.iter().filter_map(|&key| self.optional(key).map(|item| (key, item)));
        let first = found.next();
        if first.is_none() {
            let fault = format!("needs one of {}", listing(keys.iter().copied()));
            return self.item.fault(fault);
        }
        for (key, item) in found {
            let other = first.as_ref().map_or("", |(key, _)| key);
            item.fault::<()>(format!("cannot stand beside `{other}`: keep one of them, not also `{key}`"));
        }
        first
    }
}
