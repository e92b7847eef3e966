//! TOML text becomes a valid experiment, or every problem at once with its place in the file.
//!
//! The passes, in order:
//! - [`document`] parses, [`extends`] lays a file over those that it builds on, [`overrides`] applies `--set`;
//! - [`sweep`] reads the axes, [`catalog`] lists names, [`variants`] repeats each stage over the axes it mentions;
//! - [`kinds`] (with [`questions`]) read each variant, [`cross`] and [`join`] bring stages together;
//! - [`question`] reads tables and claims, [`figure`] figures.
//!
//! Passes report to one sink and go on; what follows from a reported problem is not reported again.

#![expect(
    clippy::option_option,
    reason = "the outer one says whether it could be read, the inner one whether it is there"
)]

mod appearance;
mod architecture;
mod axis;
mod catalog;
mod cross;
mod dataset;
mod document;
pub mod experiment;
mod extends;
mod field;
mod figure;
mod folders;
mod join;
pub mod kinds;
mod layers;
mod map;
mod meant;
mod merged;
mod method;
mod moved;
mod nearest;
mod normalise;
mod overrides;
mod page;
mod problem;
mod question;
pub mod questions;
mod read;
mod recipe;
mod reference;
mod resources;
mod schema;
mod scope;
mod sweep;
mod syntax;
#[cfg(test)]
mod tests;
mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use catalog::LONGEST_OF_A_FILE;
pub use experiment::Experiment;
pub use overrides::Override;
pub use page::page as reference_page;
pub use problem::{Look, Problem, Problems};
pub use resources::{Profile, profile};

use catalog::{Catalog, StageEntry};
use document::{Entry, Node};
use extends::Files;
use folders::Folders;
use join::DraftStage;
use kinds::{Measures, StageKind};
use overinterp_foreign::bounded;
use overinterp_spec::DataSource;
use problem::{Sink, Source};
use question::{Evaluated, Questions};
use read::Item;
use schema::EXPERIMENT;
use scope::{Scope, StageDraft};
use sweep::Sweep;

/// Reads an experiment file with what it extends, and applies `overrides` in order.
///
/// # Errors
/// With every problem found, each with its place, when a file cannot be read or it is no valid experiment.
pub fn load(path: &Path, overrides: &[Override]) -> Result<Experiment, Problems> {
    parse(&read(path)?, path, overrides)
}

/// Reads an experiment from `text`, as if it stood in the file `path`.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path, overrides: &[Override]) -> Result<Experiment, Problems> {
    read_text(text, path, overrides, |_, _, _| ()).map(|(experiment, ())| experiment)
}

/// An experiment file as one text that needs no other: what it extends merged, `overrides` applied. It may stand in
/// the file's place.
///
/// # Errors
/// As [`load`].
pub fn merged(path: &Path, overrides: &[Override]) -> Result<String, Problems> {
    read_text(&read(path)?, path, overrides, merged::text).map(|(_, text)| text)
}

/// What an experiment rests on, read without its stages.
#[derive(Clone, Debug)]
pub struct Glance {
    /// Its file and all that it extends, each with its text.
    pub texts: Vec<(String, String)>,
    /// Its data sets.
    pub data: Vec<DataSource>,
}

/// Reads what an experiment rests on; `None` where anything of that is wrong, which [`load`] tells of.
#[must_use]
pub fn glance(path: &Path, overrides: &[Override]) -> Option<Glance> {
    let sink = Sink::default();
    let Laid { root, sources, folders, sweeps } = lay(&read(path).ok()?, path, overrides, &sink);
    let root = root?;
    let meant = meant::as_meant(&root);
    let root = meant.as_ref().unwrap_or(&root);
    let folders = Folders { own: path.parent().unwrap_or_else(|| Path::new("")), sources: &folders };
    let sweep =
        root.get("sweep").map(|node| Sweep::read(&Item::new(node, "sweep", &sink), &sweeps)).unwrap_or_default();
    let data = dataset::read_all(&Catalog::read(root, &sink), &sweep, folders, &sink);
    let texts = sources.into_iter().map(|Source { name, text }| (name, text)).collect();
    sink.is_empty().then_some(Glance { texts, data })
}

fn read(path: &Path) -> Result<String, Problems> {
    bounded::read_text(path, extends::MOST_BYTES).map_err(|error| {
        let problem = Problem::of_file(format!("cannot read the experiment file {}: {error}", path.display()));
        Problems::unreadable(problem.help("name a TOML file, such as `experiments/quickstart.toml`"))
    })
}

/// An experiment's document, and what it was laid together from.
struct Laid {
    /// `None` if something of it cannot be read, which was reported.
    root: Option<Node>,
    /// Its file and all that it extends.
    sources: Vec<Source>,
    /// The folders of these, as the first file would name them.
    folders: Vec<PathBuf>,
    /// The axes as each of them writes them, and last as they came out.
    sweeps: Vec<Node>,
}

/// Lays a file over what it extends, and `overrides` over both.
fn lay(text: &str, path: &Path, overrides: &[Override], sink: &Sink) -> Laid {
    let mut files = Files::new(path, text, sink);
    let mut root = files.merge();
    let (sources, folders, mut sweeps) = (files.sources(), files.folders(), files.sweeps());
    if let Some(root) = &mut root {
        for (index, set) in overrides.iter().enumerate() {
            overrides::apply(root, set, sources.len() + index, sink);
        }
        sweeps.extend(root.get("sweep").cloned());
    }
    Laid { root, sources, folders, sweeps }
}

/// The experiment, with what `write` makes of its document and the folders of its sources.
fn read_text<T>(
    text: &str,
    path: &Path,
    overrides: &[Override],
    write: impl FnOnce(&Node, &[PathBuf], &Sink) -> T,
) -> Result<(Experiment, T), Problems> {
    let sink = Sink::default();
    let Laid { root, mut sources, folders, sweeps } = lay(text, path, overrides, &sink);
    let experiment = root.and_then(|root| {
        let experiment = read_experiment(&root, path, &folders, &sweeps, &sink)?;
        Some((experiment, write(&root, &folders, &sink)))
    });
    sources.extend(overrides.iter().map(|set| Source { name: "--set".to_owned(), text: set.text().to_owned() }));
    match experiment {
        Some(experiment) if sink.is_empty() => Ok(experiment),
        _ => Err(sink.into_problems(sources)),
    }
}

/// `sweeps` are the axes as each file writes them.
fn read_experiment(root: &Node, path: &Path, folders: &[PathBuf], sweeps: &[Node], sink: &Sink) -> Option<Experiment> {
    let file = Item::new(root, "", sink).table(EXPERIMENT)?;
    let meant = meant::as_meant(root);
    let root = meant.as_ref().unwrap_or(root);
    let file = if meant.is_some() { Item::new(root, "", sink).table(EXPERIMENT)? } else { file };
    let name = file.required("name").and_then(|item| {
        let name = item.line()?;
        if name.len() <= LONGEST_OF_A_FILE {
            return Some(name);
        }
        let fault = format!("has {} bytes, more than the {LONGEST_OF_A_FILE} of a file's name", name.len());
        item.sink().report(item.problem(fault).help("shorten it: a report is called by it"));
        None
    });
    let description = file.or("description", String::new(), |item| {
        let text = item.text()?;
        item.printable(text).map(|()| text.to_owned())
    });
    let sweep = file.optional("sweep").map_or_else(Sweep::default, |item| Sweep::read(&item, sweeps));
    let folders = Folders { own: path.parent().unwrap_or_else(|| Path::new("")), sources: folders };
    let catalog = Catalog::read(root, sink);
    let data = dataset::read_all(&catalog, &sweep, folders, sink);
    let scope = Scope { catalog: &catalog, sweep: &sweep, data: &data, folders };

    let mut evaluated = Evaluated {
        pairs: BTreeSet::new(),
        analyses: BTreeMap::new(),
        drawings: [BTreeMap::new(), BTreeMap::new()],
        complete: true,
    };
    let mut drafts: Vec<DraftStage> = Vec::new();
    for entry in &catalog.stages {
        let before = sink.len();
        let Some(kind) = entry.kind else {
            evaluated.complete = false;
            continue;
        };
        let groups = read_groups(entry, kind, &scope, &mut evaluated, sink);
        let measures = kind.declared().measures;
        if measures == Measures::Itself {
            let images = entry.node.get("images").and_then(Node::text).map(str::to_owned);
            evaluated.pairs.extend(images.map(|images| (entry.name.to_owned(), images)));
        }
        if measures != Measures::Nothing && sink.len() > before {
            evaluated.complete = false;
        }
        for draft in groups.iter().flatten().filter(|_| measures == Measures::Numbers) {
            evaluated.note_numbers(entry.name, &draft.settings);
        }
        drafts.push(DraftStage { name: entry.name.to_owned(), groups });
    }
    check_unused_archs(&catalog, sink);
    cross::check(&drafts, sink);
    let ordered = join::order(drafts, &catalog, sink);

    let questions = Questions { scope: &scope, evaluated };
    let tables = section(root, "table", sink, |entry, item| questions.table(entry, item));
    let figures = section(root, "figure", sink, |entry, item| questions.figure(entry, item));
    let claims = section(root, "claim", sink, |entry, item| questions.claim(entry, item));

    let resources = file.optional("resources").map(|item| resources::read(&item));

    if !sink.is_empty() {
        return None;
    }
    let stages = join::join(&ordered, &data, &sweep, sink);
    join::check_over(&ordered, &stages, sink);
    Some(Experiment {
        name: name?,
        description: description?,
        file: path.to_owned(),
        axes: sweep.axes(),
        data,
        stages,
        tables,
        figures,
        claims,
        likes: likes(&catalog),
        resources: resources.unwrap_or_default(),
    })
}

/// Reads networks that no stage names, so that what is wrong with them is told too.
fn check_unused_archs(catalog: &Catalog<'_>, sink: &Sink) {
    let named = || catalog.stages.iter().filter_map(|stage| stage.node.get("arch")?.text());
    if named().any(|name| name.contains("${")) {
        return;
    }
    for entry in catalog.archs {
        let mentions_axes = variants::mentions(&entry.node);
        if !mentions_axes && named().all(|name| name != entry.key) {
            layers::own_arch(&Item::new(&entry.node, format!("arch.{}", entry.key), sink), None);
        }
    }
}

/// Which stages' recipes are like which others', and what they write themselves.
fn likes(catalog: &Catalog<'_>) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let like = |stage: &StageEntry<'_>| {
        let recipe = stage.node.get("recipe")?;
        let own = recipe.entries().iter().map(|entry| entry.key.clone()).collect();
        Some((stage.name.to_owned(), (recipe.get("like")?.text()?.to_owned(), own)))
    };
    catalog.stages.iter().filter_map(like).collect()
}

/// The instances of a stage, or of each of the tables under its `rows`, at every value of the axes that it mentions itself.
fn read_groups(
    entry: &StageEntry<'_>,
    kind: StageKind,
    scope: &Scope<'_>,
    evaluated: &mut Evaluated,
    sink: &Sink,
) -> Vec<Vec<StageDraft>> {
    let stage = Item::new(entry.node, format!("stage.{}", entry.name), sink);
    let rows = match kind.declared().rows {
        None => vec![stage],
        Some(rows) => {
            let rows = stage.table(kind.fields()).and_then(|table| table.required(rows)?.full_list());
            rows.unwrap_or_default()
        }
    };
    let mut groups = Vec::new();
    for row in rows {
        let mut group = Vec::new();
        for variant in variants::expand(&row, scope.sweep, scope.catalog) {
            if kind.declared().measures == Measures::Pairs {
                let texts = |key: &str| variant.node.get(key).and_then(Node::text).map(str::to_owned);
                evaluated.pairs.extend(texts("model").zip(texts("images")));
            }
            let item = Item::new(&variant.node, &row.path, sink);
            let settings = kind.read(scope, &variant.cell, &item);
            group.extend(settings.map(|settings| StageDraft { cell: variant.cell, settings }));
        }
        groups.push(group);
    }
    groups
}

/// Reads every table of a section.
fn section<T>(root: &Node, key: &str, sink: &Sink, read: impl Fn(&Entry, &Item<'_>) -> Option<T>) -> Vec<T> {
    let Some(node) = root.get(key) else { return Vec::new() };
    if !matches!(node.value, document::Value::Table(_)) {
        Item::new(node, key, sink).fault::<()>(format!("must hold tables `[{key}.NAME]`"));
    }
    catalog::check_case(node.entries(), sink);
    let entries = node.entries().iter();
    entries.filter_map(|entry| read(entry, &Item::new(&entry.node, format!("{key}.{}", entry.key), sink))).collect()
}
