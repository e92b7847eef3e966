//! Mean and deviation over replicates.

use serde::Serialize;

/// Mean and sample deviation of a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistic {
    /// Their mean.
    pub mean: f64,
    /// Their deviation with n-1 in the denominator; none of a single number.
    pub deviation: Option<f64>,
    /// How many there are.
    pub n: usize,
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
        Some(Self { mean, deviation, n })
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
        assert_eq!(Statistic::of(&[0.5]), Some(Statistic { mean: 0.5, deviation: None, n: 1 }));
        assert_eq!(Statistic::of(&[]), None);
    }
}
