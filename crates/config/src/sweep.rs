//! The `[sweep]`: axes, and which combinations of their values are run.

use std::collections::{BTreeMap, BTreeSet};

use overinterp_spec::{AxisValue, Cell};

use super::axis::{Positions, axis_value, read_axis, same_value};
use super::catalog::check_name;
use super::document::{Entry, Node, Value};
use super::experiment::Axis;
use super::nearest::{nearest, suggestion};
use super::problem::{Place, Problem, Sink};
use super::read::Item;
use super::schema::SWEEP_RULES;

/// More combinations than this are taken for a slip.
pub(super) const MOST_POINTS: usize = 100_000;

/// The axes and the rules that join them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    axes: Vec<SweepAxis>,
    zips: Vec<Vec<usize>>,
    excludes: Vec<Point>,
    includes: Vec<Point>,
    /// Values by axis as any file writes them: `--set` or a file that extends another may have shortened the axis since,
    /// and what names such a value then names nothing, but is no slip.
    written: BTreeMap<String, Vec<AxisValue>>,
}

/// Positions of values by axis; a part of a combination.
type Point = BTreeMap<usize, usize>;

#[derive(Clone, Debug)]
struct SweepAxis {
    name: String,
    values: Vec<(AxisValue, Place)>,
    positions: Positions,
    /// How many of the values stand in the axis' own list; the others come from `include`.
    listed: usize,
}

impl Sweep {
    /// Reads `[sweep]`; `written` are those of all files, each by itself.
    pub fn read(item: &Item<'_>, written: &[Node]) -> Self {
        let mut sweep = Self { written: values_by_axis(written), ..Self::default() };
        let Value::Table(entries) = &item.node.value else {
            item.fault::<()>(format!("must be a table of axes, not {}", item.node.type_name()));
            return sweep;
        };
        let (rules, axes): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().partition(|entry| SWEEP_RULES.contains(&entry.key.as_str()));
        for entry in axes {
            check_name(entry, "an axis", item.sink());
            let values = read_axis(&Item::new(&entry.node, format!("sweep.{}", entry.key), item.sink()));
            sweep.axes.push(SweepAxis::new(entry.key.clone(), values));
        }
        for rule in ["zip", "exclude", "include"] {
            if let Some(entry) = rules.iter().find(|entry| entry.key == rule) {
                let item = Item::new(&entry.node, format!("sweep.{rule}"), item.sink());
                match rule {
                    "zip" => sweep.read_zips(&item),
                    "exclude" => sweep.read_excludes(&item),
                    _ => sweep.read_includes(&item),
                }
            }
        }
        sweep.check_size(item);
        sweep
    }

    /// The axes as an experiment shows them.
    pub fn axes(&self) -> Vec<Axis> {
        let axis = |axis: &SweepAxis| Axis {
            name: axis.name.clone(),
            values: axis.values.iter().map(|(value, _)| value.clone()).collect(),
        };
        self.axes.iter().map(axis).collect()
    }

    /// The axes' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.axes.iter().map(|axis| axis.name.as_str())
    }

    /// Whether there is an axis of that name.
    pub fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Whether there is an axis of that name whose values are all in order.
    pub fn is_sound(&self, name: &str) -> bool {
        self.index(name).is_some_and(|index| !self.axes[index].values.is_empty())
    }

    /// The axis' own spelling of `value` (1.0 for 1), if that is one of its values.
    pub fn canonical(&self, name: &str, value: &AxisValue) -> Option<AxisValue> {
        let axis = &self.axes[self.index(name)?];
        axis.position(value).map(|position| axis.values[position].0.clone())
    }

    /// A value of the axis, if they are all numbers and `value` is a text, or the other way round.
    pub fn other_kind(&self, name: &str, value: &AxisValue) -> Option<&AxisValue> {
        let is_text = |value: &AxisValue| matches!(value, AxisValue::Text(_));
        let values = &self.axes[self.index(name)?].values;
        let differ = values.iter().all(|(known, _)| is_text(known) != is_text(value));
        values.first().filter(|_| differ).map(|(first, _)| first)
    }

    /// Reports a value that the axis has nowhere.
    pub fn check_value(&self, name: &str, value: &AxisValue, item: &Item<'_>) -> Option<()> {
        let Some(axis) = self.index(name).map(|index| &self.axes[index]) else { return Some(()) };
        let is_written =
            || self.written.get(name).is_some_and(|values| values.iter().any(|own| same_value(own, value)));
        if axis.values.is_empty() || axis.position(value).is_some() || is_written() {
            return Some(());
        }
        let problem = item.problem(format!("cannot be {}, which the axis `{name}` does not have", shown(value)));
        item.sink().report(problem.help(self.values_help(name, value)));
        None
    }

    /// The values of an axis as a message lists them, after the one that `wrong` may stand for.
    pub fn values_help(&self, name: &str, wrong: &AxisValue) -> String {
        let values = self.index(name).map_or(&[][..], |index| &self.axes[index].values);
        let listed: Vec<String> = values.iter().take(MOST_LISTED).map(|(value, _)| shown(value)).collect();
        let more = values.len().saturating_sub(MOST_LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = |value: &AxisValue| match value {
            AxisValue::Text(text) => Some(text.clone()),
            AxisValue::Int(_) | AxisValue::Float(_) => None,
        };
        let texts: Vec<String> = values.iter().filter_map(|(value, _)| text(value)).collect();
        let near = text(wrong).and_then(|wrong| nearest(&wrong, texts.iter().map(String::as_str)).map(str::to_owned));
        let guess = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        format!("{guess}values of `{name}`: {}{more}", listed.join(", "))
    }

    /// Where a value of an axis is written.
    pub fn place(&self, name: &str, value: &AxisValue) -> Option<Place> {
        let axis = &self.axes[self.index(name)?];
        axis.position(value).map(|position| axis.values[position].1)
    }

    /// Where a cell comes in the order of the axes and of their values.
    pub fn rank(&self, cell: &Cell) -> Vec<(usize, usize)> {
        let ranked = cell.iter().filter_map(|(name, value)| {
            let index = self.index(name)?;
            Some((index, self.axes[index].position(value)?))
        });
        let mut rank: Vec<_> = ranked.collect();
        rank.sort_unstable();
        rank
    }

    /// Reports an axis that does not exist.
    pub fn unknown(&self, name: &str, place: Place, sink: &Sink) {
        let help = suggestion(name, "axes", self.names());
        sink.report(Problem::at(place, format!("there is no axis `{name}`")).help(help));
    }

    /// The combinations of values of these axes that occur, in the order of the axes and of their values.
    ///
    /// An axis that is not sound has none.
    pub fn cells<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<Cell> {
        let wanted: BTreeSet<usize> = names.into_iter().filter_map(|name| self.index(name)).collect();
        let mut points: BTreeSet<Vec<usize>> = BTreeSet::new();
        let mut involved = wanted.clone();
        self.close(&mut involved);
        for point in self.product(&involved, &Point::new()) {
            if !self.excludes.iter().any(|exclude| contains(&point, exclude)) {
                points.insert(wanted.iter().map(|axis| point[axis]).collect());
            }
        }
        for include in &self.includes {
            for point in self.product(&wanted, include) {
                points.insert(wanted.iter().map(|axis| point[axis]).collect());
            }
        }
        let cell = |point: Vec<usize>| {
            let named = wanted.iter().zip(point).map(|(&axis, position)| {
                let axis = &self.axes[axis];
                (axis.name.clone(), axis.values[position].0.clone())
            });
            named.collect()
        };
        points.into_iter().map(cell).collect()
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|axis| axis.name == name)
    }

    /// Adds every axis that a zip or an exclude binds to one of `axes`, directly or not.
    fn close(&self, axes: &mut BTreeSet<usize>) {
        let bound: Vec<Vec<usize>> = self
            .zips
            .iter()
            .cloned()
            .chain(self.excludes.iter().map(|point| point.keys().copied().collect()))
            .collect();
        loop {
            let before = axes.len();
            for group in &bound {
                if group.iter().any(|axis| axes.contains(axis)) {
                    axes.extend(group);
                }
            }
            if axes.len() == before {
                return;
            }
        }
    }

    /// All combinations of listed values of `axes`, zipped axes in step, those of `fixed` fixed.
    fn product(&self, axes: &BTreeSet<usize>, fixed: &Point) -> Vec<Point> {
        let mut points = vec![fixed.clone()];
        for &axis in axes {
            if fixed.contains_key(&axis) {
                continue;
            }
            let leader = self.zips.iter().find(|zip| zip.contains(&axis)).and_then(|zip| {
                zip.iter().copied().find(|other| *other < axis && axes.contains(other) && !fixed.contains_key(other))
            });
            points = points
                .into_iter()
                .flat_map(|point| {
                    let positions = match leader {
                        Some(leader) => point[&leader]..point[&leader] + 1,
                        None => 0..self.axes[axis].listed,
                    };
                    positions.map(move |position| {
                        let mut point = point.clone();
                        point.insert(axis, position);
                        point
                    })
                })
                .collect();
        }
        points
    }

    fn read_zips(&mut self, item: &Item<'_>) {
        for group in item.full_list().unwrap_or_default() {
            let mut axes = Vec::new();
            for name in group.full_list().unwrap_or_default() {
                let Some(text) = name.text() else { continue };
                let Some(axis) = self.index(text) else {
                    self.unknown(text, name.node.place, item.sink());
                    continue;
                };
                if axes.contains(&axis) || self.zips.iter().any(|zip| zip.contains(&axis)) {
                    name.fault::<()>(format!("names `{text}`, which is zipped already"));
                } else {
                    axes.push(axis);
                }
            }
            axes.retain(|&axis| !self.axes[axis].values.is_empty());
            let lengths: BTreeSet<usize> = axes.iter().map(|&axis| self.axes[axis].listed).collect();
            if lengths.len() > 1 {
                let lengths: Vec<String> = axes
                    .iter()
                    .map(|&axis| format!("`{}` has {}", self.axes[axis].name, self.axes[axis].listed))
                    .collect();
                let problem = group.problem("joins axes of different lengths");
                item.sink().report(problem.help(format!("{}: zipped axes advance together", lengths.join(", "))));
            } else {
                axes.sort_unstable();
                self.zips.push(axes);
            }
        }
    }

    fn read_excludes(&mut self, item: &Item<'_>) {
        for row in item.full_list().unwrap_or_default() {
            let Some(cell) = self.read_row(&row) else { continue };
            let point: Option<Point> =
                cell.iter().map(|(axis, value, _)| Some((*axis, self.axes[*axis].position(value)?))).collect();
            for (axis, value, entry) in &cell {
                let name = &self.axes[*axis].name;
                self.check_value(name, value, &Item::new(entry, format!("{}.{name}", row.path), row.sink()));
            }
            // A row with a value that the axis had before it was shortened excludes nothing.
            self.excludes.extend(point);
        }
    }

    fn read_includes(&mut self, item: &Item<'_>) {
        for row in item.full_list().unwrap_or_default() {
            let Some(cell) = self.read_row(&row) else { continue };
            let named: BTreeSet<usize> = cell.iter().map(|(axis, ..)| *axis).collect();
            for zip in &self.zips {
                let partial =
                    zip.iter().any(|axis| named.contains(axis)) && !zip.iter().all(|axis| named.contains(axis));
                if partial {
                    let missing = zip.iter().filter(|axis| !named.contains(axis)).map(|&axis| &self.axes[axis].name);
                    let missing: Vec<String> = missing.map(|name| format!("`{name}`")).collect();
                    row.fault::<()>(format!("names some of a zip's axes but not {}", missing.join(", ")));
                }
            }
            let mut point = Point::new();
            for (axis, value, node) in cell {
                let axis_of_value = &mut self.axes[axis];
                let position = axis_of_value.position(&value).unwrap_or_else(|| axis_of_value.push(value, node.place));
                point.insert(axis, position);
            }
            self.includes.push(point);
        }
    }

    /// One `{ axis = value, ... }` of an exclude or include.
    fn read_row<'a>(&self, row: &Item<'a>) -> Option<Vec<(usize, AxisValue, &'a Node)>> {
        let Value::Table(entries) = &row.node.value else {
            return row.fault(format!("must be a table such as `{{ seed = 3 }}`, not {}", row.node.type_name()));
        };
        if entries.is_empty() {
            return row.fault("is empty: name at least one axis");
        }
        let mut cell = Vec::new();
        let mut sound = true;
        for entry in entries {
            let value = axis_value(&Item::new(&entry.node, format!("{}.{}", row.path, entry.key), row.sink()));
            match (self.index(&entry.key), value) {
                (Some(axis), Some(value)) => cell.push((axis, value, &entry.node)),
                (None, _) => {
                    self.unknown(&entry.key, entry.place, row.sink());
                    sound = false;
                }
                (Some(_), None) => sound = false,
            }
        }
        sound.then_some(cell)
    }

    fn check_size(&mut self, item: &Item<'_>) {
        let leaders = (0..self.axes.len())
            .filter(|axis| !self.zips.iter().any(|zip| zip.contains(axis) && zip.first() != Some(axis)));
        let size = leaders.fold(1_usize, |size, axis| size.saturating_mul(self.axes[axis].listed.max(1)));
        if size > MOST_POINTS {
            let problem = item.problem(format!("has {size} combinations, more than {MOST_POINTS}"));
            item.sink().report(problem.help("shorten its axes, or let some advance together with `zip`"));
            *self = Self { axes: std::mem::take(&mut self.axes), ..Self::default() };
            for axis in &mut self.axes {
                *axis = SweepAxis::new(std::mem::take(&mut axis.name), Vec::new());
            }
            return;
        }
        let all: BTreeSet<usize> = (0..self.axes.len()).filter(|&axis| self.axes[axis].listed > 0).collect();
        let names: Vec<&str> = all.iter().map(|&axis| self.axes[axis].name.as_str()).collect();
        if !self.excludes.is_empty() && self.cells(names).is_empty() {
            item.fault::<()>("has no combination left: `exclude` takes them all away");
        }
    }
}

/// Values that a message lists.
const MOST_LISTED: usize = 16;

/// A value as a file writes it.
fn shown(value: &AxisValue) -> String {
    match value {
        AxisValue::Text(text) => format!("\"{text}\""),
        AxisValue::Int(_) | AxisValue::Float(_) => value.to_string(),
    }
}

/// The values by axis, those of `include` too; what is wrong with them is reported elsewhere.
fn values_by_axis(sweeps: &[Node]) -> BTreeMap<String, Vec<AxisValue>> {
    let silent = Sink::default();
    let mut found: BTreeMap<String, Vec<AxisValue>> = BTreeMap::new();
    for entry in sweeps.iter().flat_map(Node::entries) {
        if !SWEEP_RULES.contains(&entry.key.as_str()) {
            let values = read_axis(&Item::new(&entry.node, "", &silent));
            found.entry(entry.key.clone()).or_default().extend(values.into_iter().map(|(value, _)| value));
        } else if let ("include", Value::List(rows)) = (entry.key.as_str(), &entry.node.value) {
            for own in rows.iter().flat_map(Node::entries) {
                let value = axis_value(&Item::new(&own.node, "", &silent));
                found.entry(own.key.clone()).or_default().extend(value);
            }
        }
    }
    found
}

impl SweepAxis {
    /// An axis with its own list of values.
    fn new(name: String, values: Vec<(AxisValue, Place)>) -> Self {
        let mut positions = Positions::default();
        for (position, (value, _)) in values.iter().enumerate() {
            positions.note(value, position);
        }
        Self { name, listed: values.len(), values, positions }
    }

    fn position(&self, value: &AxisValue) -> Option<usize> {
        self.positions.find(value)
    }

    /// Adds a value, and gives its position.
    fn push(&mut self, value: AxisValue, place: Place) -> usize {
        let position = self.values.len();
        self.positions.note(&value, position);
        self.values.push((value, place));
        position
    }
}

fn contains(point: &Point, part: &Point) -> bool {
    part.iter().all(|(axis, position)| point.get(axis) == Some(position))
}
