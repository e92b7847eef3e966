//! The values of one axis: a list or a range.

use std::collections::BTreeMap;

use overinterp_spec::AxisValue;

use super::document::{Node, Value};
use super::problem::Place;
use super::read::Item;
use super::schema::RANGE;
use super::sweep::MOST_POINTS;

/// Whether two values are one, 1 and 1.0 being so.
pub(super) fn same_value(a: &AxisValue, b: &AxisValue) -> bool {
    match (a, b) {
        (AxisValue::Int(whole), AxisValue::Float(number)) | (AxisValue::Float(number), AxisValue::Int(whole)) => {
            number.total_cmp(&(*whole as f64)).is_eq()
        }
        _ => a == b,
    }
}

/// Where values stand in a list, found without comparing with each of them; of values that are one, the first counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions {
    exact: BTreeMap<AxisValue, usize>,
    /// The whole ones, as the numbers that they are.
    whole: BTreeMap<AxisValue, usize>,
}

impl Positions {
    /// Notes that `value` stands at `position`.
    pub fn note(&mut self, value: &AxisValue, position: usize) {
        self.exact.entry(value.clone()).or_insert(position);
        if let AxisValue::Int(whole) = value {
            self.whole.entry(AxisValue::Float(*whole as f64)).or_insert(position);
        }
    }

    /// The first position of what is the [`same_value`].
    pub fn find(&self, value: &AxisValue) -> Option<usize> {
        let exact = self.exact.get(value).copied();
        let (first, second) = match *value {
            // Only a zero without a sign is the whole one.
            AxisValue::Int(whole) => (self.exact.get(&AxisValue::Float(whole as f64)), None),
            // The two zeros among numbers are one.
            AxisValue::Float(zero) if zero == 0.0 => (self.whole.get(value), self.exact.get(&AxisValue::Float(-zero))),
            AxisValue::Float(_) => (self.whole.get(value), None),
            AxisValue::Text(_) => (None, None),
        };
        exact.into_iter().chain(first.copied()).chain(second.copied()).min()
    }
}

/// A value that an axis may have.
pub(super) fn axis_value(item: &Item<'_>) -> Option<AxisValue> {
    match &item.node.value {
        Value::Integer(value) => Some(AxisValue::Int(*value)),
        Value::Float(value) => Some(AxisValue::Float(*value)),
        Value::Text(text) if text.is_empty() => item.fault("is empty"),
        Value::Text(text) if text.contains("${") => item.fault("cannot stand for another axis: write its values"),
        Value::Text(text) if text.contains(['\n', '\r', '\t']) => {
            item.fault("has more than one line or a tab, but names what stands in tables and folders")
        }
        Value::Text(text) => item.printable(text).map(|()| AxisValue::Text(text.clone())),
        Value::Faulty => None,
        _ => item.fault(format!("must be a number or a string, not {}", item.node.type_name())),
    }
}

/// What an axis value is in a document.
pub(super) fn to_value(value: &AxisValue) -> Value {
    match value {
        AxisValue::Int(value) => Value::Integer(*value),
        AxisValue::Float(value) => Value::Float(*value),
        AxisValue::Text(text) => Value::Text(text.clone()),
    }
}

/// The values of an axis, none if there is something wrong with them.
pub(super) fn read_axis(item: &Item<'_>) -> Vec<(AxisValue, Place)> {
    match &item.node.value {
        Value::List(_) => read_list(item),
        Value::Table(_) => read_range(item).unwrap_or_default(),
        Value::Faulty => Vec::new(),
        _ => {
            let problem = item.problem(format!("must be a list or a range, not {}", item.node.type_name()));
            item.sink().report(problem.help("write `[0, 1, 2]` or `{ from = 0, to = 2 }`"));
            Vec::new()
        }
    }
}

fn read_list(item: &Item<'_>) -> Vec<(AxisValue, Place)> {
    let mut values: Vec<(AxisValue, Place)> = Vec::new();
    let mut positions = Positions::default();
    let mut sound = true;
    let items = item.list().unwrap_or_default();
    if items.is_empty() {
        let problem = item.problem("has no values");
        item.sink().report(problem.help("give at least one, or remove the axis and what mentions it"));
    }
    for item in items {
        let Some(value) = axis_value(&item) else {
            sound = false;
            continue;
        };
        if let Some(first) = positions.find(&value) {
            let problem = item.problem(format!("repeats the value {value}"));
            item.sink().report(problem.note(values[first].1, "first here"));
        } else {
            positions.note(&value, values.len());
            values.push((value, item.node.place));
        }
    }
    if sound { values } else { Vec::new() }
}

fn read_range(item: &Item<'_>) -> Option<Vec<(AxisValue, Place)>> {
    let range = item.table(RANGE)?;
    let from = range.required("from").and_then(|item| item.number().map(|_| item));
    let to = range.required("to").and_then(|item| item.number().map(|_| item));
    let step = range.or("step", None, |item| item.number_where("above 0", |step| step > 0.0).map(|_| Some(item)));
    let (from, to, step) = (from?, to?, step?);
    let place = item.node.place;
    let whole = |node: &Node| match node.value {
        Value::Integer(value) => Some(value),
        _ => None,
    };
    let (low, high) = (from.number()?, to.number()?);
    let width = step.as_ref().map_or(Some(1.0), Item::number)?;
    if low > high {
        let problem = item.problem(format!("has no values: it goes from {low} to {high}"));
        item.sink().report(problem.help("`from` must not be above `to`"));
        return None;
    }
    let steps = ((high - low) / width + 1e-9).floor();
    if steps >= MOST_POINTS as f64 {
        return item.fault(format!("has more than {MOST_POINTS} values"));
    }
    #[expect(clippy::cast_sign_loss, reason = "from is at most to")]
    let steps = steps as usize;
    let whole_step = step.as_ref().map_or(Some(1), |step| whole(step.node));
    Some(match (whole(from.node), whole(to.node), whole_step) {
        (Some(from), Some(to), Some(step)) => {
            let step = usize::try_from(step).ok()?;
            (from..=to).step_by(step).map(|value| (AxisValue::Int(value), place)).collect()
        }
        // Rounded to 12 decimals, so that .1 + 2 x .1 is .3.
        _ => (0..=steps)
            .map(|index| ((low + index as f64 * width) * 1e12).round() / 1e12)
            .map(|value| (AxisValue::Float(value), place))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_that_a_comparison_with_each_value_finds() {
        let all = [
            AxisValue::Int(0),
            AxisValue::Int(1),
            AxisValue::Float(0.0),
            AxisValue::Float(-0.0),
            AxisValue::Float(1.0),
            AxisValue::Float(1.5),
            AxisValue::Int(9_007_199_254_740_993),
            AxisValue::Float(9_007_199_254_740_992.0),
            AxisValue::Int(9_007_199_254_740_992),
            AxisValue::Text("1".to_owned()),
        ];
        for turn in 0..all.len() {
            let mut list = all.to_vec();
            list.rotate_left(turn);
            for length in 0..=list.len() {
                let mut positions = Positions::default();
                list[..length].iter().enumerate().for_each(|(position, value)| positions.note(value, position));
                for value in &all {
                    let compared = list[..length].iter().position(|own| same_value(own, value));
                    assert_eq!(positions.find(value), compared, "{value:?} in {:?}", &list[..length]);
                }
            }
        }
    }
}
