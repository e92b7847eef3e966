//! One number that an evaluation or an analysis produced, or has yet to produce.

use std::collections::BTreeSet;

use serde::Serialize;

use overinterp_spec::{AxisValue, Cell, Measure, Metric, Subject};

/// The sweep's axes with their values, in file order.
pub type Axes = [(String, Vec<AxisValue>)];

/// One metric of one model on one set of images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The `evaluate` or `analyse` stage.
    pub stage: String,
    /// The stage that made the model; empty where no model had a part in it.
    pub model: String,
    /// The images, such as `subset.test`.
    pub images: String,
    /// The axes on which it depends.
    pub cell: Cell,
    /// What was measured.
    pub metric: Metric,
    /// The number, if it is there already.
    pub value: Option<f64>,
    /// Where it lies with 95 % confidence, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// What it is a number of: images, unless the metric says otherwise.
    pub n: Option<usize>,
    /// What chance would give: for an evaluation one over the number of classes.
    pub chance: Option<f64>,
    /// The key of the step that produces it; none while data are absent.
    pub key: Option<String>,
}

impl Measurement {
    /// Whether it is one of those that `measure` names.
    #[must_use]
    pub fn belongs_to(&self, measure: &Measure) -> bool {
        let is_subject = match &measure.subject {
            Subject::Evaluation { model, images } => self.model == *model && self.images == *images,
            Subject::Analysis { stage } => self.stage == *stage,
        };
        is_subject
            && self.metric == measure.metric
            && measure.pins.iter().all(|(axis, value)| self.cell.get(axis) == Some(value))
    }
}

/// The distinct cells that remain of `measurements` when only the axes that `keeps` admits are left.
pub(super) fn groups(measurements: &[&Measurement], keeps: impl Fn(&str) -> bool) -> BTreeSet<Cell> {
    measurements.iter().map(|measurement| reduced(&measurement.cell, &keeps)).collect()
}

/// `cell` with only the axes that `keeps` admits.
pub(super) fn reduced(cell: &Cell, keeps: impl Fn(&str) -> bool) -> Cell {
    cell.iter().filter(|(axis, _)| keeps(axis)).map(|(axis, value)| (axis.clone(), value.clone())).collect()
}

/// Whether two cells agree on every axis that both have.
pub(super) fn agree(a: &Cell, b: &Cell) -> bool {
    a.iter().all(|(axis, value)| b.get(axis).is_none_or(|other| other == value))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A measurement of accuracy with ten classes.
    pub fn measurement(model: &str, images: &str, cell: &[(&str, f64)], value: f64) -> Measurement {
        Measurement {
            stage: "accuracy".into(),
            model: model.into(),
            images: images.into(),
            cell: cell.iter().map(|&(axis, value)| (axis.to_owned(), AxisValue::Float(value))).collect(),
            metric: Metric::Accuracy,
            value: Some(value),
            interval: None,
            n: Some(500),
            chance: Some(0.1),
            key: None,
        }
    }

    /// Axes `fraction` and `seed`.
    pub fn axes() -> Vec<(String, Vec<AxisValue>)> {
        let numbers = |values: &[f64]| values.iter().copied().map(AxisValue::Float).collect();
        vec![("fraction".into(), numbers(&[0.05, 0.1])), ("seed".into(), numbers(&[0.0, 1.0]))]
    }

    #[test]
    fn a_pin_leaves_out_cells_of_another_value_and_cells_without_the_axis() {
        let mut measure = Measure {
            subject: Subject::Evaluation { model: "full".into(), images: "test".into() },
            pins: Cell::from([("seed".to_owned(), AxisValue::Float(0.0))]),
            metric: Metric::Accuracy,
        };
        assert!(measurement("full", "test", &[("seed", 0.0)], 0.5).belongs_to(&measure));
        assert!(!measurement("full", "test", &[("seed", 1.0)], 0.5).belongs_to(&measure));
        assert!(!measurement("full", "test", &[], 0.5).belongs_to(&measure));
        measure.pins.clear();
        assert!(measurement("full", "test", &[], 0.5).belongs_to(&measure));
    }

    #[test]
    fn numbers_of_an_analysis_are_named_by_its_stage() {
        let of = |stage: &str| Measure {
            subject: Subject::Analysis { stage: stage.into() },
            pins: Cell::new(),
            metric: Metric::SisSize,
        };
        let size =
            Measurement { stage: "size".into(), metric: Metric::SisSize, ..measurement("full", "test", &[], 61.0) };
        assert!(size.belongs_to(&of("size")) && !size.belongs_to(&of("other-size")));
        assert!(!Measurement { metric: Metric::SisSizeCorrect, ..size }.belongs_to(&of("size")));
    }
}
