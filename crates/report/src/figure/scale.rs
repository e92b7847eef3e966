//! An axis: the range that it covers and the places at which it is labelled.

/// A linear axis, labelled at multiples of 1, 2 or 5 times a power of ten.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// An axis from at most `low` to at least `high` whose ends are labelled, with about `labels` labels.
    pub fn covering(low: f64, high: f64, labels: usize) -> Self {
        let Self { low, high, step } = Self::spanning(low, high, labels);
        // A value that misses a multiple by rounding alone lies on it.
        Self { low: (low / step + 1e-9).floor() * step, high: (high / step - 1e-9).ceil() * step, step }
    }

    /// An axis from `low` to `high`, with about `labels` labels between.
    pub fn spanning(low: f64, high: f64, labels: usize) -> Self {
        let (low, high) = if high > low { (low, high) } else { widened(low) };
        Self { low, high, step: round_step((high - low) / labels.max(2) as f64) }
    }

    /// Where `value` lies between the ends: 0 at the low one, 1 at the high one.
    pub fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The labelled places.
    pub fn ticks(&self) -> Vec<f64> {
        let (first, last) = ((self.low / self.step - 1e-9).ceil(), (self.high / self.step + 1e-9).floor());
        (first as i64..=last as i64).map(|multiple| multiple as f64 * self.step).collect()
    }

    /// The label of a place, with as many decimals as the step between two has.
    pub fn label(&self, tick: f64) -> String {
        #[expect(clippy::cast_sign_loss, reason = "the number is clamped to be positive")]
        let decimals = (-self.step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
        format!("{tick:.decimals$}")
    }

    /// The labels' greatest length.
    pub fn widest_label(&self) -> usize {
        self.ticks().into_iter().map(|tick| self.label(tick).chars().count()).max().unwrap_or(0)
    }
}

/// A range around a single value.
fn widened(value: f64) -> (f64, f64) {
    let around = if value == 0.0 { 1.0 } else { value.abs() / 2.0 };
    (value - around, value + around)
}

/// The least of 1, 2 and 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powi(step.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|round| *round >= step * 0.999).unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| scale.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(labels(&Scale::covering(0.0, 1.0, 5)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Scale::covering(0.52, 0.97, 5)), ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]);
        assert_eq!(labels(&Scale::covering(-0.03, 0.04, 4)), ["-0.04", "-0.02", "0.00", "0.02", "0.04"]);
    }

    #[test]
    fn an_axis_that_spans_its_values_ends_where_they_do() {
        let scale = Scale::spanning(0.0, 1024.0, 6);
        assert_eq!(labels(&scale), ["0", "200", "400", "600", "800", "1000"]);
        assert!((scale.share(1024.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_single_value_lies_inside_its_axis() {
        for value in [0.0, 3.0, -7.5] {
            for scale in [Scale::covering(value, value, 4), Scale::spanning(value, value, 4)] {
                assert!((0.1..=0.9).contains(&scale.share(value)), "{value}: {scale:?}");
            }
        }
    }

    #[test]
    fn the_ends_of_a_covering_axis_are_labelled() {
        for (low, high) in [(0.0, 0.07), (3.0, 11.0), (-2.0, 2.0), (1e-7, 3e-7)] {
            let scale = Scale::covering(low, high, 5);
            let ticks = scale.ticks();
            let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
            assert!(scale.share(first).abs() < 1e-9 && (scale.share(last) - 1.0).abs() < 1e-9, "{ticks:?}");
            assert!(first <= low + 1e-12 && last >= high - 1e-12, "{ticks:?}");
            assert!((3..=12).contains(&ticks.len()), "{ticks:?}");
        }
    }
}
