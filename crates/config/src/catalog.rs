//! Which names an experiment defines, known before anything that refers to them is read.

use std::collections::BTreeMap;

use overinterp_spec::Arch;

use super::document::{Entry, Node, Value};
use super::kinds::StageKind;
use super::nearest::{listing, suggestion};
use super::problem::{Place, Problem, Sink};
use super::read::Item;

/// The data sets and stages of a file.
#[derive(Debug)]
pub(super) struct Catalog<'a> {
    /// `[data.*]` in file order.
    pub data: &'a [Entry],
    /// `[arch.*]` in file order.
    pub archs: &'a [Entry],
    /// `[stage.*]` in file order.
    pub stages: Vec<StageEntry<'a>>,
}

/// A stage's table.
#[derive(Debug)]
pub(super) struct StageEntry<'a> {
    /// Its name, the `NAME` of `[stage.NAME]`.
    pub name: &'a str,
    /// Its kind; none if that is missing or wrong, which was reported.
    pub kind: Option<StageKind>,
    /// What stands under `[stage.NAME]`, with every `${axis}` as it is written.
    pub node: &'a Node,
}

/// What a name stands for, of those wanted.
pub(super) enum Referent {
    /// A data set.
    Data,
    /// A stage of one of the wanted kinds.
    Stage,
    /// A stage about whose kind a problem was reported already.
    Unclear,
}

impl<'a> Catalog<'a> {
    /// Lists what the file defines, and checks names and kinds.
    pub fn read(root: &'a Node, sink: &Sink) -> Self {
        let section = |key: &str| {
            let node = root.get(key);
            if let Some(node) = node
                && !matches!(node.value, Value::Table(_))
            {
                Item::new(node, key, sink).fault::<()>(format!("must hold tables `[{key}.NAME]`"));
            }
            node.map_or(&[][..], Node::entries)
        };
        let data = section("data");
        check_case(data, sink);
        check_case(section("stage"), sink);
        let mut stages = Vec::new();
        for entry in section("stage") {
            check_name(entry, "a stage", sink);
            if let Some(twin) = data.iter().find(|data| data.key == entry.key) {
                let fault = format!("`{}` is the name of a data set and of a stage", entry.key);
                let help = "rename one: `NAME.train` must mean one thing";
                sink.report(Problem::at(entry.place, fault).note(twin.place, "the data set").help(help));
            }
            stages.push(StageEntry { name: &entry.key, kind: kind(entry, sink), node: &entry.node });
        }
        for entry in data {
            check_name(entry, "a data set", sink);
        }
        let archs = section("arch");
        check_case(archs, sink);
        for entry in archs {
            check_name(entry, "an architecture", sink);
            if Arch::from_name(&entry.key).is_some() {
                let fault = format!("`{}` is the name of a network that comes with the program", entry.key);
                sink.report(Problem::at(entry.place, fault).help("call this one otherwise"));
            }
        }
        Self { data, archs, stages }
    }

    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&StageEntry<'a>> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Whether there is a data set of that name.
    pub fn has_data(&self, name: &str) -> bool {
        self.data.iter().any(|entry| entry.key == name)
    }

    /// Looks up a stage of one of `kinds`, and reports one that does not exist or is of another kind.
    pub fn find_stage(&self, name: &str, kinds: &[StageKind], item: &Item<'_>) -> Option<Referent> {
        self.find(name, kinds, false, item)
    }

    /// Looks up a data set, or a stage of one of `kinds`.
    pub fn find_images(&self, name: &str, kinds: &[StageKind], item: &Item<'_>) -> Option<Referent> {
        self.find(name, kinds, true, item)
    }

    fn find(&self, name: &str, kinds: &[StageKind], data: bool, item: &Item<'_>) -> Option<Referent> {
        let wanted = wanted(kinds, data);
        if data && self.has_data(name) {
            return Some(Referent::Data);
        }
        let fitting = self.fitting(kinds, data);
        let problem = match self.stage(name) {
            Some(StageEntry { kind: None, .. }) => return Some(Referent::Unclear),
            Some(StageEntry { kind: Some(kind), .. }) if kinds.contains(kind) => return Some(Referent::Stage),
            Some(StageEntry { kind: Some(kind), node, .. }) => {
                let fault = format!("must be {wanted}, but `{name}` is of kind `{}`", kind.name());
                item.problem(fault).note(node.place, "defined here").help(candidates(&fitting))
            }
            None if self.has_data(name) => {
                item.problem(format!("must be {wanted}, but `{name}` is a data set")).help(candidates(&fitting))
            }
            None => {
                let thing = match (data, kinds) {
                    (true, []) => "data set",
                    (true, _) => "data set or stage",
                    (false, _) => "stage",
                };
                let help = suggestion(name, "what would do here", fitting.iter().copied());
                item.problem(format!("names `{name}`, but there is no {thing} of that name")).help(help)
            }
        };
        item.sink().report(problem);
        None
    }

    fn fitting(&self, kinds: &[StageKind], data: bool) -> Vec<&'a str> {
        let sets = self.data.iter().filter(|_| data).map(|entry| entry.key.as_str());
        let stages = self.stages.iter().filter(|stage| stage.kind.is_some_and(|kind| kinds.contains(&kind)));
        sets.chain(stages.map(|stage| stage.name)).collect()
    }

    /// Where a stage is defined.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.stage(name).map(|stage| stage.node.place)
    }
}

fn candidates(fitting: &[&str]) -> String {
    if fitting.is_empty() {
        "the file has nothing that would do here".to_owned()
    } else {
        format!("what would do here: {}", listing(fitting.iter().copied()))
    }
}

fn wanted(kinds: &[StageKind], data: bool) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
    let any_of = match kinds.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => kinds.concat(),
    };
    match (data, kinds.is_empty()) {
        (true, true) => "a data set".to_owned(),
        (true, false) => format!("a data set or a stage of kind {any_of}"),
        (false, _) => format!("a stage of kind {any_of}"),
    }
}

fn kind(entry: &Entry, sink: &Sink) -> Option<StageKind> {
    let item = Item::new(&entry.node, format!("stage.{}", entry.key), sink);
    if !matches!(entry.node.value, Value::Table(_)) {
        return item.fault(format!("must be a table, not {}", entry.node.type_name()));
    }
    let Some(node) = entry.node.get("kind") else {
        let kinds = listing(StageKind::ALL.iter().map(|&(name, _)| name));
        sink.report(item.problem("lacks `kind`").help(format!("kinds of stages: {kinds}")));
        return None;
    };
    Item::new(node, format!("stage.{}.kind", entry.key), sink).choice("kinds of stages", StageKind::ALL)
}

/// Reports names that differ in case alone, which are one where they become names of files on some systems.
pub(super) fn check_case(entries: &[Entry], sink: &Sink) {
    let mut seen: BTreeMap<String, &Entry> = BTreeMap::new();
    for entry in entries {
        if let Some(twin) = seen.insert(entry.key.to_ascii_lowercase(), entry) {
            let fault = format!("`{}` and `{}` differ in upper and lower case alone", twin.key, entry.key);
            let help = "rename one: they become names of files, which some systems do not tell apart";
            sink.report(Problem::at(entry.place, fault).note(twin.place, "the other one").help(help));
        }
    }
}

/// The longest name: with an ending and a cell beside it, it still makes a name that file systems take (255 bytes).
pub(super) const LONGEST: usize = 100;

/// What file systems allow of a name, in bytes.
pub const LONGEST_OF_A_FILE: usize = 255;

/// Reports a name that could not be told apart from the signs around it.
pub(super) fn check_name(entry: &Entry, what: &str, sink: &Sink) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if entry.key.is_empty() || !entry.key.chars().all(plain) {
        let help = "use letters, digits, `-` and `_`";
        let shown: String = entry.key.escape_debug().take(LONGEST).collect();
        sink.report(Problem::at(entry.place, format!("`{shown}` cannot be the name of {what}")).help(help));
    } else if entry.key.len() > LONGEST {
        let fault = format!("the name of {what} has {} letters, more than {LONGEST}", entry.key.len());
        sink.report(Problem::at(entry.place, fault).help("shorten it: it becomes a part of names of files"));
    }
}
