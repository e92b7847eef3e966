//! Means with their 95 % intervals by the percentile bootstrap (Efron 1979), and quantiles.

use rand_chacha::rand_core::Rng;

use overinterp_artifacts::{Number, Point};
use overinterp_spec::{Bootstrap, Metric};

/// The middle 95 %.
const LEVELS: [f64; 2] = [0.025, 0.975];

/// A number with the interval in which it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    /// The number; none of no values.
    pub value: Option<f64>,
    /// Its interval, lower end first; none of fewer than two values.
    pub interval: Option<[f64; 2]>,
    /// Values behind it.
    pub count: usize,
}

impl Estimate {
    /// A number that is exact: the share `part` of `whole`.
    pub(crate) fn share(part: usize, whole: usize) -> Self {
        let value = (whole > 0).then(|| part as f64 / whole as f64);
        Self { value, interval: None, count: whole }
    }

    /// The mean, without an interval.
    pub(crate) fn mean(values: &[f64]) -> Self {
        Self { value: mean(values), interval: None, count: values.len() }
    }

    /// As a headline number.
    pub(crate) const fn number(self, metric: Metric) -> Number {
        Number { metric, value: self.value, interval: self.interval, count: self.count }
    }

    /// As a point of a curve; none without a value.
    pub(crate) fn point(self, x: f64) -> Option<Point> {
        self.value.map(|y| Point { x, y, interval: self.interval, count: self.count })
    }
}

/// A mean with the means of its resamples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resampled {
    mean: Option<f64>,
    means: Vec<f64>,
    count: usize,
}

impl Resampled {
    /// Draws the resamples of `values` from the stream of that name, so that the intervals of one quantity do not
    /// depend on which others are asked for.
    pub(crate) fn of(values: &[f64], bootstrap: Bootstrap, stream: &str) -> Self {
        let count = values.len();
        let mut random = bootstrap.seed.stream(&format!("bootstrap of {stream}"), 0);
        let mut draw = || {
            // Any value alike, but for a bias of `count` in 2^32.
            let place = (u64::from(random.next_u32()) * count as u64) >> 32;
            values[place as usize]
        };
        let resamples = if count < 2 { 0 } else { bootstrap.resamples };
        let means = (0..resamples).map(|_| (0..count).map(|_| draw()).sum::<f64>() / count as f64);
        Self { mean: mean(values), means: means.collect(), count }
    }

    /// The mean with the interval that its resamples give, if there are any.
    pub(crate) fn estimate(&self) -> Estimate {
        Estimate { value: self.mean, interval: interval(self.means.clone()), count: self.count }
    }

    /// By what share this mean lies above another one, of values independent of these. None where the other is 0.
    pub(crate) fn above(&self, other: &Self) -> Estimate {
        let above = |mean: f64, other: f64| mean / other - 1.0;
        let value = self.mean.zip(other.mean).map(|(mean, other)| above(mean, other)).filter(|value| value.is_finite());
        let means = self.means.iter().zip(&other.means).map(|(&mean, &other)| above(mean, other)).collect();
        Estimate { value, interval: value.and(interval(means)), count: self.count + other.count }
    }
}

/// The mean of `values`; none of none.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn interval(mut means: Vec<f64>) -> Option<[f64; 2]> {
    if means.is_empty() || means.iter().any(|mean| !mean.is_finite()) {
        return None;
    }
    means.sort_by(f64::total_cmp);
    Some(LEVELS.map(|level| quantile(&means, level)))
}

/// The quantile of sorted values at `level` in 0..=1, on the line between the two values next to it (numpy's default);
/// 0 of no values.
pub(crate) fn quantile<T: Copy + Into<f64>>(sorted: &[T], level: f64) -> f64 {
    let place = level * sorted.len().saturating_sub(1) as f64;
    let (below, above) = (place.floor(), place.ceil());
    #[expect(clippy::cast_sign_loss, reason = "levels are not negative")]
    let at = |place: f64| sorted.get(place as usize).copied().map_or(0.0, Into::into);
    at(below) + (at(above) - at(below)) * (place - below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_spec::Seed;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 400, seed: Seed(3) };

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
        let expected = [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)];
        for (level, value) in expected {
            assert!(close(quantile(&[1.0_f32, 2.0, 4.0, 8.0], level), value), "{level}");
        }
        assert!(close(quantile(&[5.0], 0.3), 5.0));
    }

    #[test]
    fn the_interval_of_two_values_is_between_them_and_of_equal_ones_a_point() {
        // Resampled means of 0 and 1 are 0, 1/2, 1, a quarter of them 0 and a quarter 1.
        let spread = Resampled::of(&[0.0, 1.0], BOOTSTRAP, "test").estimate();
        assert_eq!(spread, Estimate { value: Some(0.5), interval: Some([0.0, 1.0]), count: 2 });
        let equal = Resampled::of(&[7.0; 9], BOOTSTRAP, "test").estimate();
        assert_eq!(equal, Estimate { value: Some(7.0), interval: Some([7.0, 7.0]), count: 9 });
    }

    #[test]
    fn one_value_has_no_interval_and_none_has_no_mean() {
        let one = Resampled::of(&[7.0], BOOTSTRAP, "test");
        assert_eq!(one.estimate(), Estimate { value: Some(7.0), interval: None, count: 1 });
        let none = Resampled::of(&[], BOOTSTRAP, "test");
        assert_eq!(none.estimate(), Estimate::default());
        assert_eq!(none.above(&one), Estimate { value: None, interval: None, count: 1 });
    }

    #[test]
    fn the_difference_is_a_share_of_the_other_mean() {
        let large = Resampled::of(&[30.0, 60.0], BOOTSTRAP, "large");
        let small = Resampled::of(&[40.0, 20.0], BOOTSTRAP, "small");
        // From 30 / 40 to 60 / 20, each a sixteenth of the resamples.
        let expected = Estimate { value: Some(0.5), interval: Some([-0.25, 2.0]), count: 4 };
        assert_eq!(large.above(&small), expected);
        let nothing = Resampled::of(&[0.0, 0.0], BOOTSTRAP, "test");
        assert_eq!(large.above(&nothing), Estimate { value: None, interval: None, count: 4 });
    }

    #[test]
    fn intervals_depend_on_seed_and_stream_alone() {
        let values: Vec<f64> = (0..100_u32).map(|place| f64::from(place * place % 37)).collect();
        let of = |bootstrap, stream| Resampled::of(&values, bootstrap, stream).estimate().interval;
        assert_eq!(of(BOOTSTRAP, "a"), of(BOOTSTRAP, "a"));
        assert_ne!(of(BOOTSTRAP, "a"), of(BOOTSTRAP, "b"));
        assert_ne!(of(BOOTSTRAP, "a"), of(Bootstrap { seed: Seed(4), ..BOOTSTRAP }, "a"));
        assert_eq!(of(Bootstrap { resamples: 0, ..BOOTSTRAP }, "a"), None);
    }

    /// Means of 40 numbers that are uniform in 0..1 have the deviation sqrt(1 / 12 / 40) = .0456, so that intervals are
    /// about 4 x .0456 wide, and 95 % of them hold .5. Of 500 intervals 475 +- 5 would, were they exact; percentile
    /// intervals of 40 values are a little too narrow.
    #[test]
    fn about_95_percent_of_intervals_hold_the_true_mean() {
        let mut random = Seed(11).stream("samples", 0);
        let (mut held, mut width) = (0, 0.0);
        for sample in 0..500 {
            let values: Vec<f64> = (0..40).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).collect();
            let bootstrap = Bootstrap { resamples: 300, seed: Seed(sample) };
            let [low, high] = Resampled::of(&values, bootstrap, "test").estimate().interval.unwrap();
            held += usize::from((low..=high).contains(&0.5));
            width += (high - low) / 500.0;
        }
        assert!((450..=490).contains(&held), "{held} of 500");
        assert!((0.16..0.19).contains(&width), "{width}");
    }
}
