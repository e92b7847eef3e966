//! The `[sweep]`: axes, and which combinations of their values are run.

use std::collections::{BTreeMap, BTreeSet};

use crate::spec::{AxisValue, Cell};

use super::axis::{axis_value, read_axis, same_value};
use super::catalog::check_name;
use super::document::{Entry, Value};
use super::experiment::Axis;
use super::nearest::suggestion;
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
}

/// Positions of values by axis; a part of a combination.
type Point = BTreeMap<usize, usize>;

#[derive(Clone, Debug)]
struct SweepAxis {
    name: String,
    values: Vec<(AxisValue, Place)>,
    /// How many of the values stand in the axis' own list; the others come from `include`.
    listed: usize,
}

impl Sweep {
    /// Reads `[sweep]`.
    pub fn read(item: &Item<'_>) -> Self {
        let mut sweep = Self::default();
        let Value::Table(entries) = &item.node.value else {
            item.fault::<()>(format!("must be a table of axes, not {}", item.node.type_name()));
            return sweep;
        };
        let (rules, axes): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().partition(|entry| SWEEP_RULES.contains(&entry.key.as_str()));
        for entry in axes {
            check_name(entry, "an axis", item.sink());
            let values = read_axis(&Item::new(&entry.node, format!("sweep.{}", entry.key), item.sink()));
            sweep.axes.push(SweepAxis { name: entry.key.clone(), listed: values.len(), values });
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
            // A row with a value that no axis has excludes nothing: that is what a shortened axis makes of it.
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
            for (axis, value, place) in cell {
                let position = self.axes[axis].position(&value).unwrap_or_else(|| {
                    self.axes[axis].values.push((value, place));
                    self.axes[axis].values.len() - 1
                });
                point.insert(axis, position);
            }
            self.includes.push(point);
        }
    }

    /// One `{ axis = value, ... }` of an exclude or include.
    fn read_row(&self, row: &Item<'_>) -> Option<Vec<(usize, AxisValue, Place)>> {
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
                (Some(axis), Some(value)) => cell.push((axis, value, entry.node.place)),
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
                axis.values.clear();
                axis.listed = 0;
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

impl SweepAxis {
    fn position(&self, value: &AxisValue) -> Option<usize> {
        self.values.iter().position(|(own, _)| same_value(own, value))
    }
}

fn contains(point: &Point, part: &Point) -> bool {
    part.iter().all(|(axis, position)| point.get(axis) == Some(position))
}
