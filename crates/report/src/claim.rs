//! The paper's sentences, checked.

use serde::Serialize;

use overinterp_spec::{Bound, Cell, Check, Claim, Measure, Metric, Operand, Subject};

use super::measurement::{Measurement, agree, groups};
use super::statistic::Statistic;

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every comparison holds.
    Holds,
    /// At least one does not.
    Fails,
    /// Something that it compares is not there.
    NotEvaluated,
}

impl Verdict {
    /// The verdict as users read it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::NotEvaluated => "not-evaluated",
        }
    }
}

/// A claim with its verdict and what led to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckedClaim {
    /// Its name in the file.
    pub name: String,
    /// The sentence that is checked, as the experiment file words it.
    pub says: String,
    /// Where the paper says it.
    pub paper: Option<String>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Each comparison made.
    pub comparisons: Vec<Comparison>,
}

/// One comparison of two means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The axes at which it was made, but for those averaged over.
    pub cell: Cell,
    /// What the left side measures.
    pub metric: Metric,
    /// The mean on the left.
    pub value: Option<f64>,
    /// Where it lies with 95 % confidence, if it is a single number and that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// What was demanded, and of what: `within 0.05 of full on fashion.test`.
    pub demand: String,
    /// The number on the right.
    pub of: Option<f64>,
    /// Where it lies with 95 % confidence, as on the left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_interval: Option<[f64; 2]>,
    /// Whether the demand is met.
    pub verdict: Verdict,
}

/// Checks a claim: for every value of the axes that it neither pins nor averages over.
#[must_use]
pub fn check(claim: &Claim, measurements: &[Measurement]) -> CheckedClaim {
    let comparisons: Vec<Comparison> =
        claim.checks.iter().flat_map(|check| comparisons(claim, check, measurements)).collect();
    let any = |verdict| comparisons.iter().any(|comparison| comparison.verdict == verdict);
    let verdict = match (any(Verdict::Fails), any(Verdict::NotEvaluated)) {
        (true, _) => Verdict::Fails,
        (false, true) => Verdict::NotEvaluated,
        (false, false) => Verdict::Holds,
    };
    CheckedClaim {
        name: claim.name.clone(),
        says: claim.says.clone(),
        paper: claim.paper.clone(),
        verdict,
        comparisons,
    }
}

fn comparisons(claim: &Claim, check: &Check, measurements: &[Measurement]) -> Vec<Comparison> {
    let left: Vec<&Measurement> = measurements.iter().filter(|m| m.belongs_to(&check.value)).collect();
    let mut cells = groups(&left, |axis| {
        !claim.over.iter().any(|averaged| averaged == axis) && !check.value.pins.contains_key(axis)
    });
    if cells.is_empty() {
        cells.insert(Cell::new());
    }
    cells.into_iter().map(|cell| compare(check, cell, measurements)).collect()
}

fn compare(check: &Check, cell: Cell, measurements: &[Measurement]) -> Comparison {
    let left = mean(&check.value, &cell, measurements);
    let right = match &check.of {
        Operand::Measure(measure) => mean(measure, &cell, measurements),
        Operand::Chance => measurements
            .iter()
            .find(|m| m.belongs_to(&check.value) && agree(&cell, &m.cell))
            .and_then(|m| Statistic::of(&[m.chance?])),
        Operand::Number(number) => Statistic::of(&[*number]),
    };
    let verdict = match (left, right) {
        (Some(left), Some(right)) if check.bound.is_met(left.mean, right.mean) => Verdict::Holds,
        (Some(_), Some(_)) => Verdict::Fails,
        _ => Verdict::NotEvaluated,
    };
    Comparison {
        cell,
        metric: check.value.metric,
        value: left.map(|left| left.mean),
        interval: left.and_then(|left| left.interval),
        demand: demand(check),
        of: right.map(|right| right.mean),
        of_interval: right.and_then(|right| right.interval),
        verdict,
    }
}

/// The mean of what `measure` names at `cell`; none unless every one of them is there.
fn mean(measure: &Measure, cell: &Cell, measurements: &[Measurement]) -> Option<Statistic> {
    let named: Vec<&Measurement> = measurements
        .iter()
        .filter(|m| m.belongs_to(measure) && agree(&without(cell, &measure.pins), &m.cell))
        .collect();
    if named.iter().all(|m| m.value.is_some()) { Statistic::of_measurements(&named) } else { None }
}

fn without(cell: &Cell, pins: &Cell) -> Cell {
    super::measurement::reduced(cell, |axis| !pins.contains_key(axis))
}

fn demand(check: &Check) -> String {
    let of = match &check.of {
        Operand::Measure(measure) => described(measure),
        Operand::Chance => "chance".to_owned(),
        Operand::Number(number) => number.to_string(),
    };
    let left = described(&check.value);
    match check.bound {
        Bound::Within(tolerance) => format!("{left} is within {tolerance} of {of}"),
        Bound::Above(margin) => format!("{left} is at least {margin} above {of}"),
        Bound::Below(margin) => format!("{left} is at least {margin} below {of}"),
    }
}

fn described(measure: &Measure) -> String {
    let pins: Vec<String> = measure.pins.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    let pins = if pins.is_empty() { String::new() } else { format!(" at {}", pins.join(", ")) };
    match &measure.subject {
        Subject::Evaluation { model, images } => format!("{model} on {images}{pins}"),
        Subject::Analysis { stage } => format!("{} of {stage}{pins}", measure.metric.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::measurement;
    use overinterp_spec::AxisValue;

    fn measure(model: &str, images: &str, fraction: Option<f64>) -> Measure {
        let pins = fraction.map(|f| ("fraction".to_owned(), AxisValue::Float(f))).into_iter().collect();
        let subject = Subject::Evaluation { model: model.into(), images: images.into() };
        Measure { subject, pins, metric: Metric::Accuracy }
    }

    fn claim(checks: Vec<Check>) -> Claim {
        Claim { name: "c".into(), says: "it is so".into(), paper: None, over: vec!["seed".into()], checks }
    }

    fn at_five_percent(seed: f64, value: f64) -> Measurement {
        measurement("full", "random.test", &[("seed", seed), ("fraction", 0.05)], value)
    }

    #[test]
    fn a_mean_over_seeds_is_held_against_chance() {
        let check_of = |bound| Check { value: measure("full", "random.test", Some(0.05)), bound, of: Operand::Chance };
        let measurements = [at_five_percent(0.0, 0.08), at_five_percent(1.0, 0.16)];
        let verdict = |bound| check(&claim(vec![check_of(bound)]), &measurements).verdict;
        assert_eq!(verdict(Bound::Within(0.03)), Verdict::Holds);
        assert_eq!(verdict(Bound::Within(0.01)), Verdict::Fails);
        assert_eq!(verdict(Bound::Above(0.1)), Verdict::Fails);
        assert_eq!(verdict(Bound::Below(-0.05)), Verdict::Holds);
    }

    #[test]
    fn what_is_absent_or_unfinished_is_not_evaluated() {
        let checks = vec![Check {
            value: measure("full", "random.test", Some(0.05)),
            bound: Bound::Within(0.05),
            of: Operand::Measure(measure("full", "test", None)),
        }];
        let finished = at_five_percent(0.0, 0.5);
        assert_eq!(check(&claim(checks.clone()), std::slice::from_ref(&finished)).verdict, Verdict::NotEvaluated);
        assert_eq!(check(&claim(checks.clone()), &[]).verdict, Verdict::NotEvaluated);
        let unfinished = Measurement { value: None, ..at_five_percent(1.0, 0.0) };
        let full = measurement("full", "test", &[("seed", 0.0)], 0.5);
        assert_eq!(
            check(&claim(checks.clone()), &[finished.clone(), unfinished, full.clone()]).verdict,
            Verdict::NotEvaluated
        );
        assert_eq!(check(&claim(checks), &[finished, full]).verdict, Verdict::Holds);
    }

    #[test]
    fn two_metrics_of_one_analysis_are_compared_with_their_intervals() {
        let of = |metric| Measure { subject: Subject::Analysis { stage: "size".into() }, pins: Cell::new(), metric };
        let size = |metric, value| Measurement {
            stage: "size".into(),
            metric,
            interval: Some([value - 2.0, value + 2.0]),
            ..measurement("full", "test", &[], value)
        };
        let checks = vec![Check {
            value: of(Metric::SisSizeCorrect),
            bound: Bound::Above(0.0),
            of: Operand::Measure(of(Metric::SisSizeMisclassified)),
        }];
        let sizes = [size(Metric::SisSizeCorrect, 60.0), size(Metric::SisSizeMisclassified, 40.0)];
        let checked = check(&claim(checks), &sizes);
        assert_eq!(checked.verdict, Verdict::Holds);
        let comparison = &checked.comparisons[0];
        assert_eq!(comparison.demand, "sis-size-correct of size is at least 0 above sis-size-misclassified of size");
        assert_eq!((comparison.interval, comparison.of_interval), (Some([58.0, 62.0]), Some([38.0, 42.0])));
    }

    #[test]
    fn a_claim_must_hold_at_every_value_of_the_other_axes() {
        let checks = vec![Check {
            value: measure("full", "subset.test", None),
            bound: Bound::Above(0.1),
            of: Operand::Number(0.2),
        }];
        let at = |fraction, value| measurement("full", "subset.test", &[("fraction", fraction)], value);
        let checked = check(&claim(checks), &[at(0.05, 0.25), at(0.1, 0.6)]);
        assert_eq!(checked.verdict, Verdict::Fails);
        let verdicts: Vec<Verdict> = checked.comparisons.iter().map(|c| c.verdict).collect();
        assert_eq!(verdicts, [Verdict::Fails, Verdict::Holds]);
    }
}
