//! From drafts to instances: orders stages by their references and joins cells on equal axis names.

use std::collections::{BTreeMap, HashMap, HashSet};

use overinterp_spec::{AxisValue, Cell, DataSource};

use super::catalog::Catalog;
use super::experiment::{Instance, StageRef, StageSpec};
use super::problem::{Place, Problem, Sink};
use super::reference::Reference;
use super::scope::StageDraft;
use super::sweep::Sweep;

/// The drafts of one stage: for an evaluation a group for each pair, for others one group.
#[derive(Clone, Debug)]
pub(super) struct DraftStage {
    /// The stage's name.
    pub name: String,
    /// In each group, a draft for every value of the axes that the table mentions.
    pub groups: Vec<Vec<StageDraft>>,
}

impl DraftStage {
    /// The drafts of all groups, one group after the other.
    pub fn drafts(&self) -> impl Iterator<Item = &StageDraft> {
        self.groups.iter().flatten()
    }

    /// The stages that it refers to; data sets are there before any stage.
    fn references<'a>(&'a self, catalog: &'a Catalog<'_>) -> impl Iterator<Item = &'a Reference> {
        let references = self.drafts().flat_map(|draft| draft.settings.references());
        references.filter(|reference| !catalog.has_data(&reference.stage))
    }
}

/// Puts each stage after those it refers to, otherwise in file order, and reports every cycle.
pub(super) fn order(stages: Vec<DraftStage>, catalog: &Catalog<'_>, sink: &Sink) -> Vec<DraftStage> {
    let mut waiting = stages;
    let mut ordered: Vec<DraftStage> = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|stage| {
            !stage.references(catalog).any(|reference| waiting.iter().any(|other| other.name == reference.stage))
        });
        let next = ready.unwrap_or_else(|| {
            let cycle = find_cycle(&waiting, catalog);
            report_cycle(&waiting, &cycle, catalog, sink);
            cycle[0]
        });
        ordered.push(waiting.remove(next));
    }
    ordered
}

/// A circle of references; every waiting stage refers to a waiting one.
fn find_cycle(waiting: &[DraftStage], catalog: &Catalog<'_>) -> Vec<usize> {
    let mut path = vec![0];
    loop {
        let stage = &waiting[path[path.len() - 1]];
        let next = stage
            .references(catalog)
            .find_map(|reference| waiting.iter().position(|other| other.name == reference.stage));
        let Some(next) = next else { return path };
        if let Some(start) = path.iter().position(|&seen| seen == next) {
            path.drain(..start);
            return path;
        }
        path.push(next);
    }
}

fn report_cycle(waiting: &[DraftStage], cycle: &[usize], catalog: &Catalog<'_>, sink: &Sink) {
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|&index| waiting[index].name.as_str()).collect();
    let chain: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let Some(place) = catalog.place(names[0]) else { return };
    let mut problem = Problem::at(place, format!("stages refer to each other in a circle: {}", chain.join(" -> ")));
    for pair in names.windows(2) {
        let stage = waiting.iter().find(|stage| stage.name == pair[0]);
        if let Some(reference) =
            stage.and_then(|stage| stage.references(catalog).find(|reference| reference.stage == pair[1]))
        {
            problem = problem.note(reference.place, format!("`{}` needs `{}`", pair[0], pair[1]));
        }
    }
    sink.report(problem.help("remove one of these references"));
}

/// Turns ordered drafts into stages with an instance for each cell. Data sets join as stages do.
pub(super) fn join(stages: &[DraftStage], data: &[DataSource], sweep: &Sweep, sink: &Sink) -> Vec<StageSpec> {
    let mut joiner =
        Joiner { sweep, done: BTreeMap::new(), indexes: BTreeMap::new(), occurring: Vec::new(), unchosen: Vec::new() };
    for source in data {
        joiner.done.entry(&source.name).or_default().push(source.cell.clone());
    }
    let mut specs = Vec::new();
    for stage in stages {
        let mut instances: Vec<Instance> = Vec::new();
        let mut by_cell: HashMap<Cell, Vec<usize>> = HashMap::new();
        let mut cells: Vec<Cell> = Vec::new();
        for group in &stage.groups {
            let mut joined: Vec<Instance> = group.iter().flat_map(|draft| joiner.instances(draft)).collect();
            joined.sort_by_cached_key(|instance| sweep.rank(&instance.cell));
            for instance in joined {
                let twins = by_cell.entry(instance.cell.clone()).or_default();
                if twins.is_empty() {
                    cells.push(instance.cell.clone());
                }
                if !twins.iter().any(|&twin| instances[twin] == instance) {
                    twins.push(instances.len());
                    instances.push(instance);
                }
            }
        }
        joiner.done.insert(&stage.name, cells);
        specs.push(StageSpec { name: stage.name.clone(), instances });
    }
    for place in joiner.unchosen {
        let problem = Problem::at(place, "what this stage names cannot be brought together with it");
        sink.report(problem.help("this is a fault of the program: please report it with the file"));
    }
    specs
}

/// Reports an axis of `over` that no member of the ensemble varies over.
pub(super) fn check_over(drafts: &[DraftStage], specs: &[StageSpec], sink: &Sink) {
    let varies = |stage: &str, axis: &str| {
        let spec = specs.iter().find(|spec| spec.name == stage);
        spec.is_none_or(|spec| {
            spec.instances.is_empty() || spec.instances.iter().any(|instance| instance.cell.contains_key(axis))
        })
    };
    for draft in drafts.iter().flat_map(DraftStage::drafts) {
        let references = draft.settings.references();
        let Some(first) = references.first() else { continue };
        for (axis, place) in &first.over {
            if !references.iter().any(|reference| varies(&reference.stage, axis)) {
                let fault = format!("no member varies over `{axis}`, so that there is nothing to take together");
                sink.report(Problem::at(*place, fault).help(format!("remove `{axis}` from `over`")));
            }
        }
    }
}

/// Data sets, stages that are joined already, and indexes that keep large sweeps from being searched pair by pair.
struct Joiner<'a> {
    sweep: &'a Sweep,
    /// The cells of each data set and stage.
    done: BTreeMap<&'a str, Vec<Cell>>,
    /// By stage, and then by pins and axes already bound, of which there are few: its cells.
    indexes: BTreeMap<&'a str, Vec<Indexed>>,
    /// By axes, of which there are few sets: which cells the sweep has.
    occurring: Vec<(Vec<String>, HashSet<Cell>)>,
    /// Where references are written in whose place there would be none or several instances.
    unchosen: Vec<Place>,
}

/// References, each with the instances that were chosen for it.
type Chosen<'a> = Vec<(&'a Reference, Vec<StageRef>)>;

/// The cells of an input that have some pins, for cells that have some axes already.
struct Indexed {
    pins: Cell,
    axes: Vec<String>,
    indexes: Vec<Index>,
}

/// Cells of one input that have the same axes.
struct Index {
    /// Those of its axes that are bound before it is joined.
    bound: Vec<String>,
    /// Its cells by the values of the bound axes.
    cells: HashMap<Vec<AxisValue>, Vec<Cell>>,
}

impl<'a> Joiner<'a> {
    fn instances(&mut self, draft: &'a StageDraft) -> Vec<Instance> {
        let mut partial: Vec<(Cell, Chosen<'_>)> = vec![(draft.cell.clone(), Vec::new())];
        for reference in draft.settings.references() {
            let mut extended = Vec::new();
            for (cell, chosen) in &partial {
                for (bound, together) in self.choices(reference, cell) {
                    let cell = joined(cell, bound);
                    extended.push((cell, chosen.iter().cloned().chain([(reference, together)]).collect()));
                }
            }
            partial = extended;
        }
        let mut instances = Vec::new();
        for (cell, chosen) in partial {
            if self.occurs(&cell) {
                // Each is found by itself, not by its place among the others.
                let settings = draft.settings.map(&mut |reference| {
                    let own = chosen.iter().find(|(known, _)| std::ptr::eq(*known, reference));
                    own.map_or_else(Vec::new, |(_, together)| together.clone())
                });
                match settings {
                    Some(settings) => instances.push(Instance { cell, settings }),
                    None => self.unchosen.extend(draft.settings.references().first().map(|first| first.place)),
                }
            }
        }
        instances
    }

    /// What a reference can be at `cell`: instances that are taken together, which is one but for axes that the
    /// reference goes over, and the axes that they bind.
    fn choices(&mut self, reference: &'a Reference, cell: &Cell) -> Vec<(Cell, Vec<StageRef>)> {
        let mut choices: Vec<(Cell, Vec<StageRef>)> = Vec::new();
        let mut places: HashMap<Cell, usize> = HashMap::new();
        let mut inputs = self.matching(reference, cell);
        inputs.sort_by_cached_key(|input| self.sweep.rank(input));
        for input in inputs {
            let free = |axis: &String| {
                !reference.pins.contains_key(axis) && !reference.over.iter().any(|(over, _)| over == axis)
            };
            let bound: Cell = if input.keys().all(free) {
                input.clone()
            } else {
                input.iter().filter(|(axis, _)| free(axis)).map(|(a, v)| (a.clone(), v.clone())).collect()
            };
            let stage = StageRef { stage: reference.stage.clone(), cell: input };
            match places.get(&bound) {
                Some(&place) if !reference.over.is_empty() => choices[place].1.push(stage),
                _ => {
                    places.insert(bound.clone(), choices.len());
                    choices.push((bound, vec![stage]));
                }
            }
        }
        choices
    }

    /// The cells of an input that have the pinned values and agree with `cell` on all other axes.
    fn matching(&mut self, reference: &'a Reference, cell: &Cell) -> Vec<Cell> {
        let of_stage = self.indexes.entry(&reference.stage).or_default();
        let is_it = |known: &Indexed| known.pins == reference.pins && known.axes.iter().eq(cell.keys());
        let place = of_stage.iter().position(is_it).unwrap_or_else(|| {
            let cells = self.done.get(reference.stage.as_str()).into_iter().flatten();
            let pinned = cells.filter(|input| has_pins(input, &reference.pins, self.sweep));
            let indexes = index(pinned, &reference.pins, cell);
            of_stage.push(Indexed { pins: reference.pins.clone(), axes: cell.keys().cloned().collect(), indexes });
            of_stage.len() - 1
        });
        let matching = of_stage[place].indexes.iter().flat_map(|index| {
            let values: Vec<AxisValue> = index.bound.iter().map(|axis| cell[axis].clone()).collect();
            index.cells.get(&values).into_iter().flatten().cloned()
        });
        matching.collect()
    }

    /// Whether a cell is one of the sweep's.
    fn occurs(&mut self, cell: &Cell) -> bool {
        let known = self.occurring.iter().position(|(axes, _)| axes.iter().eq(cell.keys()));
        let place = known.unwrap_or_else(|| {
            let cells = self.sweep.cells(cell.keys().map(String::as_str)).into_iter().collect();
            self.occurring.push((cell.keys().cloned().collect(), cells));
            self.occurring.len() - 1
        });
        self.occurring[place].1.contains(cell)
    }
}

/// A cell with what was bound besides.
fn joined(cell: &Cell, bound: Cell) -> Cell {
    if bound.iter().all(|(axis, value)| cell.get(axis) == Some(value)) {
        return cell.clone();
    }
    if cell.is_empty() {
        return bound;
    }
    let mut joined = cell.clone();
    joined.extend(bound);
    joined
}

fn index<'a>(cells: impl Iterator<Item = &'a Cell>, pins: &Cell, before: &Cell) -> Vec<Index> {
    let mut indexes: BTreeMap<Vec<String>, HashMap<Vec<AxisValue>, Vec<Cell>>> = BTreeMap::new();
    for cell in cells {
        let bound = cell.iter().filter(|(axis, _)| !pins.contains_key(*axis) && before.contains_key(*axis));
        let (axes, values) = bound.map(|(axis, value)| (axis.clone(), value.clone())).unzip();
        indexes.entry(axes).or_default().entry(values).or_default().push(cell.clone());
    }
    indexes.into_iter().map(|(bound, cells)| Index { bound, cells }).collect()
}

/// Whether an input's cell has the pinned values. An input that does not vary over a pinned axis is the same at each
/// of its values, so there it is enough that the axis has the value.
fn has_pins(cell: &Cell, pins: &Cell, sweep: &Sweep) -> bool {
    pins.iter()
        .all(|(axis, value)| cell.get(axis).map_or_else(|| sweep.canonical(axis, value).is_some(), |own| own == value))
}
