//! `--cell AXIS=VALUE`: which cells of a stage are meant.

use std::collections::BTreeSet;
use std::str::FromStr;

use overinterp_config::Experiment;
use overinterp_spec::Cell;

use crate::failure::Failure;
use crate::text;

/// An axis with the value that it must have, as it is typed.
#[derive(Clone, Debug)]
pub(crate) struct AxisValue {
    axis: String,
    value: String,
}

impl FromStr for AxisValue {
    type Err = NoAxisValue;

    fn from_str(text: &str) -> Result<Self, NoAxisValue> {
        let (axis, value) = text.split_once('=').ok_or(NoAxisValue)?;
        Ok(Self { axis: axis.to_owned(), value: value.to_owned() })
    }
}

/// What is typed is no such pair.
#[derive(Debug, thiserror::Error)]
#[error("it is no AXIS=VALUE")]
pub(crate) struct NoAxisValue;

/// Whether a cell has all these values; `shown` is an axis' value as it is shown, where the cell has one.
pub(crate) fn has(wanted: &[AxisValue], shown: impl Fn(&str) -> Option<String>) -> bool {
    wanted.iter().all(|AxisValue { axis, value }| shown(axis).is_some_and(|own| is_value(&own, value)))
}

/// Whether a cell has all these values.
pub(crate) fn matches(wanted: &[AxisValue], cell: &Cell) -> bool {
    has(wanted, |axis| cell.get(axis).map(ToString::to_string))
}

/// Whether an axis' value, as it is shown, is what was typed: 0.10 is 0.1.
fn is_value(shown: &str, typed: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    shown == typed || number(shown).zip(number(typed)).is_some_and(|(own, other)| own.total_cmp(&other).is_eq())
}

/// That a stage has no such cell, and which it has.
pub(crate) fn none(experiment: &Experiment, stage: &str, wanted: &[AxisValue]) -> Failure {
    const LISTED: usize = 12;
    let of_stage = experiment.stages.iter().filter(|spec| spec.name == stage).flat_map(|spec| &spec.instances);
    let cells: BTreeSet<String> =
        of_stage.map(|instance| text::cell(&instance.cell).trim().replace(' ', ",")).collect();
    let mut listed: Vec<&str> = cells.iter().map(String::as_str).filter(|cell| !cell.is_empty()).take(LISTED).collect();
    if cells.len() > LISTED {
        listed.push("...");
    }
    let wanted: Vec<String> = wanted.iter().map(|AxisValue { axis, value }| format!("{axis}={value}")).collect();
    let wanted = wanted.join(",");
    Failure::usage(format!("stage `{stage}` has no cell {wanted}")).hint(if listed.is_empty() {
        "it varies over no axis, so leave out `--cell`".to_owned()
    } else {
        format!("its cells are {}", listed.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written_and_a_name_is_itself() {
        let cell = |typed: &str| typed.parse::<AxisValue>().unwrap();
        let shown = |axis: &str| match axis {
            "fraction" => Some("0.1".to_owned()),
            "arch" => Some("cnn".to_owned()),
            _ => None,
        };
        for (typed, expected) in [
            ("fraction=0.10", true),
            ("fraction=.2", false),
            ("arch=cnn", true),
            ("arch=CNN", false),
            ("seed=0", false),
        ] {
            assert_eq!(has(&[cell(typed)], shown), expected, "{typed}");
        }
        assert!(has(&[], shown) && !has(&[cell("arch=cnn"), cell("fraction=1")], shown));
        assert!("fraction".parse::<AxisValue>().is_err());
    }
}
