//! Mean and deviation over replicates.

use serde::Serialize;

use super::measurement::Measurement;

/// Mean and sample deviation of a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistic {
    /// Their arithmetic mean. Of a single number, it is that number.
    pub mean: f64,
    /// Their deviation with n-1 in the denominator; none of a single number.
    pub deviation: Option<f64>,
    /// How many there are.
    pub n: usize,
    /// Of a single number, where it lies with 95 % confidence, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

impl Statistic {
    /// The statistic of `values`; none if there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { mean, deviation, n, interval: None })
    }

    /// The statistic of those measurements that have a value; none if none has.
    #[must_use]
    pub fn of_measurements(measurements: &[&Measurement]) -> Option<Self> {
        let there: Vec<(f64, Option<[f64; 2]>)> =
            measurements.iter().filter_map(|measurement| Some((measurement.value?, measurement.interval))).collect();
        let statistic = Self::of(&there.iter().map(|(value, _)| *value).collect::<Vec<_>>())?;
        let interval = if let [(_, interval)] = there[..] { interval } else { None };
        Some(Self { interval, ..statistic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let statistic = Statistic::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert!((statistic.mean - 5.0).abs() < 1e-12);
        assert!((statistic.deviation.unwrap() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_number_has_no_deviation_and_none_has_no_mean() {
        assert_eq!(Statistic::of(&[0.5]), Some(Statistic { mean: 0.5, deviation: None, n: 1, interval: None }));
        assert_eq!(Statistic::of(&[]), None);
    }

    #[test]
    fn only_a_single_number_keeps_its_interval() {
        let measurement = |value: Option<f64>| Measurement {
            value,
            interval: value.map(|value| [value - 0.1, value + 0.1]),
            ..crate::measurement::tests::measurement("full", "test", &[], 0.0)
        };
        let [one, two, missing] = [Some(0.5), Some(0.7), None].map(measurement);
        let alone = Statistic::of_measurements(&[&one, &missing]).unwrap();
        assert_eq!((alone.n, alone.deviation, alone.interval), (1, None, Some([0.4, 0.6])));
        let both = Statistic::of_measurements(&[&one, &two]).unwrap();
        assert_eq!((both.n, both.interval), (2, None));
        assert_eq!(Statistic::of_measurements(&[&missing]), None);
    }
}
