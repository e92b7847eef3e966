//! Repeats a table over the axes that it mentions: `${axis}` becomes the axis' value.

use std::collections::BTreeSet;

use overinterp_spec::Cell;

use super::axis::to_value;
use super::catalog::Catalog;
use super::document::{Entry, Many, Node, Value};
use super::kinds::StageKind;
use super::problem::{Problem, Sink};
use super::read::Item;
use super::recipe::{RECIPE, REQUIRED};
use super::sweep::Sweep;

/// A table with the values of one cell in place of `${axis}`.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// The axes mentioned, with their values.
    pub cell: Cell,
    /// The table with these values in it, and every `like` resolved.
    pub node: Node,
}

/// All variants of a table, in the order of the axes' values. A recipe's `like` is resolved on the way, so the
/// axes that the other recipe mentions count as mentioned.
pub(super) fn expand(table: &Item<'_>, sweep: &Sweep, catalog: &Catalog<'_>) -> Vec<Variant> {
    let sink = table.sink();
    let mut pending = vec![(Variant { cell: Cell::new(), node: table.node.clone() }, BTreeSet::new())];
    let mut finished = Vec::new();
    while let Some((Variant { cell, node }, mut followed)) = pending.pop() {
        let mut mentioned = BTreeSet::new();
        let node = note_mentions(&node, sweep, &mut mentioned, sink);
        if mentioned.is_empty() {
            let item = Item::new(&node, &table.path, sink);
            match resolve_like(&item, &mut followed, catalog).or_else(|| resolve_arch(&node, catalog)) {
                Some(node) => pending.push((Variant { cell, node }, followed)),
                None => finished.push(Variant { cell, node }),
            }
            continue;
        }
        // What another recipe or a network of the file's own mentions is not known yet.
        let is_last = !has_like(&node) && !may_name_arch(&node, catalog);
        mentioned.extend(cell.keys().cloned());
        for point in sweep.cells(mentioned.iter().map(String::as_str)) {
            if cell.iter().all(|(axis, value)| point.get(axis) == Some(value)) {
                let variant = Variant { node: substitute(&node, &point, sweep), cell: point };
                if is_last {
                    finished.push(variant);
                } else {
                    pending.push((variant, followed.clone()));
                }
            }
        }
    }
    finished.sort_by_cached_key(|variant| sweep.rank(&variant.cell));
    finished
}

/// The parts of a string: text, or an axis in `${}`.
pub(super) enum Part<'a> {
    /// As it stands.
    Text(&'a str),
    /// An axis' name.
    Axis(&'a str),
    /// `${` without an end.
    Open,
}

/// Takes a string apart.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if !before.is_empty() {
            parts.push(Part::Text(before));
        }
        let Some((axis, after)) = after.split_once('}') else {
            parts.push(Part::Open);
            return parts;
        };
        parts.push(Part::Axis(axis.trim()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// Collects the sound axes that strings mention; a string that mentions another becomes [`Value::Faulty`].
fn note_mentions(node: &Node, sweep: &Sweep, mentioned: &mut BTreeSet<String>, sink: &Sink) -> Node {
    map_texts(node, &mut |node, text| {
        let mut faulty = false;
        for part in parts(text) {
            match part {
                Part::Axis(axis) if sweep.is_sound(axis) => {
                    mentioned.insert(axis.to_owned());
                }
                Part::Axis(axis) => {
                    if !sweep.has(axis) {
                        sweep.unknown(axis, node.place, sink);
                    }
                    faulty = true;
                }
                Part::Open => {
                    sink.report(Problem::at(node.place, "`${` is not closed").help("write `${axis}`"));
                    faulty = true;
                }
                Part::Text(_) => {}
            }
        }
        let value = if faulty { Value::Faulty } else { Value::Text(text.to_owned()) };
        Node { value, ..*node }
    })
}

fn substitute(node: &Node, cell: &Cell, sweep: &Sweep) -> Node {
    map_texts(node, &mut |node, text| {
        let parts = parts(text);
        if let [Part::Axis(axis)] = parts[..] {
            let value = &cell[axis];
            let own = Node { value: to_value(value), ..*node };
            // A value that came from an axis points at that axis.
            return match sweep.place(axis, value) {
                Some(place) => Node { place, via: Some(node.place), ..own },
                None => own,
            };
        }
        let written = parts.iter().map(|part| match part {
            Part::Text(text) => (*text).to_owned(),
            Part::Axis(axis) => cell[*axis].to_string(),
            Part::Open => String::new(),
        });
        Node { value: Value::Text(written.collect()), ..*node }
    })
}

/// Whether an axis is mentioned anywhere in a node.
pub(super) fn mentions(node: &Node) -> bool {
    mapped(node, &mut |node, _| node.clone()).is_some()
}

/// The node with what `map` makes of the texts that mention an axis; what mentions none is shared.
fn map_texts(node: &Node, map: &mut impl FnMut(&Node, &str) -> Node) -> Node {
    mapped(node, map).unwrap_or_else(|| node.clone())
}

/// The same; `None` where nothing mentions an axis.
fn mapped(node: &Node, map: &mut impl FnMut(&Node, &str) -> Node) -> Option<Node> {
    let value = match &node.value {
        Value::Text(text) if text.contains("${") => return Some(map(node, text)),
        Value::List(items) => Value::List(mapped_of(items, |item| mapped(item, map))?),
        Value::Table(entries) => Value::Table(mapped_of(entries, |entry| {
            mapped(&entry.node, map).map(|node| Entry { key: entry.key.clone(), place: entry.place, node })
        })?),
        _ => return None,
    };
    Some(Node { value, ..*node })
}

/// All with what `map` makes of some; `None` where it makes something of none.
fn mapped_of<T: Clone>(all: &Many<T>, mut map: impl FnMut(&T) -> Option<T>) -> Option<Many<T>> {
    let mut copy: Option<Many<T>> = None;
    for (place, one) in all.iter().enumerate() {
        if let Some(new) = map(one) {
            copy.get_or_insert_with(|| all.clone())[place] = new;
        }
    }
    copy
}

/// Whether a stage's network may be one that the file spells out.
fn may_name_arch(stage: &Node, catalog: &Catalog<'_>) -> bool {
    !catalog.archs.is_empty() && stage.get("arch").and_then(Node::text).is_some()
}

/// Replaces `arch = "NAME"` by the table `[arch.NAME]`, which keeps its name. `None` if there is no such table.
fn resolve_arch(stage: &Node, catalog: &Catalog<'_>) -> Option<Node> {
    let named = stage.get("arch")?;
    let name = named.text()?;
    let own = catalog.archs.iter().find(|entry| entry.key == name)?;
    let Value::Table(entries) = &own.node.value else { return None };
    let mut entries = entries.clone();
    if !entries.iter().any(|entry| entry.key == "name") {
        let called = Node::new(named.place, Value::Text(name.to_owned()));
        entries.push(Entry { key: "name".to_owned(), place: named.place, node: called });
    }
    let table = Node { place: own.node.place, via: Some(named.place), value: Value::Table(entries) };
    let mut stage = stage.clone();
    if let Value::Table(entries) = &mut stage.value
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "arch")
    {
        entry.node = table;
    }
    Some(stage)
}

fn has_like(stage: &Node) -> bool {
    stage.get("recipe").is_some_and(|recipe| recipe.get("like").is_some())
}

/// Replaces `recipe = { like = "other", ... }` by the other stage's recipe, this one's keys put over it. `None` if
/// there is no `like`; `followed` are those that led here.
fn resolve_like(stage: &Item<'_>, followed: &mut BTreeSet<String>, catalog: &Catalog<'_>) -> Option<Node> {
    let like = stage.node.get("recipe")?.get("like")?;
    let like = Item::new(like, format!("{}.recipe.like", stage.path), stage.sink());
    let recipe = merged(stage.node, &like, followed, catalog).or_else(|| unresolved(stage.node));
    let mut stage = stage.node.clone();
    if let Value::Table(entries) = &mut stage.value
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "recipe")
    {
        entry.node.value = recipe.map_or(Value::Faulty, |recipe| Value::Table(recipe.into()));
    }
    Some(stage)
}

/// What a recipe says itself, so that this at least is checked; what `like` would have given it counts as faulty, which
/// has been reported.
fn unresolved(stage: &Node) -> Option<Vec<Entry>> {
    let recipe = stage.get("recipe")?;
    let like = recipe.entries().iter().find(|entry| entry.key == "like")?;
    let own: Vec<Entry> = recipe.entries().iter().filter(|entry| entry.key != "like").cloned().collect();
    let given = RECIPE.iter().filter(|field| field.name != like.key && own.iter().all(|own| own.key != field.name));
    let given = given.map(|field| Entry {
        key: field.name.to_owned(),
        place: like.place,
        node: Node::new(like.node.place, Value::Faulty),
    });
    let given: Vec<Entry> = given.collect();
    Some(own.into_iter().chain(given).collect())
}

fn merged(stage: &Node, like: &Item<'_>, followed: &mut BTreeSet<String>, catalog: &Catalog<'_>) -> Option<Vec<Entry>> {
    let name = like.text()?;
    catalog.find_stage(name, &[StageKind::Train], like)?;
    let other = catalog.stage(name)?.node;
    if !followed.insert(name.to_owned()) || other.place == stage.place {
        return like.fault("leads back to itself: one of these recipes must be written out");
    }
    // Where the other stage has no recipe, that is reported there.
    let recipe = other.get("recipe")?;
    let Value::Table(copied) = &recipe.value else { return None };
    let own: Vec<&Entry> = stage.get("recipe")?.entries().iter().filter(|entry| entry.key != "like").collect();
    let has = |key: &str| own.iter().any(|own| own.key == key);
    // One way of changing the learning rate takes the place of the other.
    let is_new = |key: &str| match key {
        "milestones" | "gamma" if has("one-cycle") || has("schedule") => false,
        "one-cycle" if has("milestones") || has("gamma") || has("schedule") => false,
        "schedule" if has("milestones") || has("gamma") || has("one-cycle") => false,
        key => !has(key),
    };
    // An unknown key is reported where it stands.
    let known = |key: &str| RECIPE.iter().any(|field| field.name == key);
    let kept = copied.iter().filter(|entry| known(&entry.key) && is_new(&entry.key)).cloned();
    let lacking = lacks(recipe).into_iter().filter(|key| is_new(key)).map(|key| Entry {
        key: key.to_owned(),
        place: like.node.place,
        node: Node::new(like.node.place, Value::Faulty),
    });
    Some(kept.chain(lacking).chain(own.iter().map(|entry| (*entry).clone())).collect())
}

/// What a recipe lacks that is not `like` another one: reported there, it is not reported again of those that are like it.
fn lacks(recipe: &Node) -> Vec<&'static str> {
    if recipe.get("like").is_some() {
        return Vec::new();
    }
    let has_milestones =
        recipe.get("milestones").is_some_and(|list| !matches!(&list.value, Value::List(items) if items.is_empty()));
    let gamma = has_milestones.then_some("gamma");
    REQUIRED.into_iter().chain(gamma).filter(|key| recipe.get(key).is_none()).collect()
}
