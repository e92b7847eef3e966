//! How the confidence in the predicted class falls while pixels are masked (`docs/method.md`, section 8).

use serde::Serialize;

use overinterp_artifacts::{Analysis, Point, Ranking, Series};
use overinterp_spec::{Bootstrap, Metric};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::Env;
use super::estimate::{Estimate, Resampled, quantile};
use super::{curves, each_shard, numbers, shares};

/// Curves drawn beside the mean: levels and names.
const QUANTILES: [(f64, &str); 3] = [(0.1, "10th percentile"), (0.5, "median"), (0.9, "90th percentile")];

/// The manifest of an analysis of confidence against pixels masked.
#[derive(Debug, Serialize)]
pub struct AnalyseConfidenceCurve {
    /// The shards of one split's ranking, in order.
    pub rankings: Vec<Key<Ranking>>,
    /// How the area's interval is found.
    pub bootstrap: Bootstrap,
}

impl Stage<Env> for AnalyseConfidenceCurve {
    const KIND: &'static str = "analyse-confidence-curve";
    const VERSION: u32 = 1;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        self.rankings.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let mut falls = Falls::default();
        each_shard(context, &self.rankings, |ranking| falls.add(ranking))?;
        Ok(falls.analysis(self.bootstrap))
    }
}

/// f of all images at every step, 4 bytes each: 41 MB of 10,000 images of 32x32.
#[derive(Debug, Default)]
struct Falls {
    /// Pixels masked at each step, the full image first.
    masked: Vec<usize>,
    /// `[step, image]`.
    values: Vec<Vec<f32>>,
}

impl Falls {
    fn add(&mut self, ranking: &Ranking) -> Result<(), StageError> {
        let masked: Vec<usize> =
            (0..=ranking.steps()).map(|step| (step * ranking.per_step().get()).min(ranking.pixels())).collect();
        if self.values.is_empty() {
            self.values = vec![Vec::new(); masked.len()];
            self.masked = masked;
        } else if self.masked != masked {
            return Err(StageError::failed("cannot analyse the ranking: its shards mask in steps of different sizes"));
        }
        for curve in curves(ranking)? {
            let of_image = std::iter::once(&curve.full).chain(curve.values);
            self.values.iter_mut().zip(of_image).for_each(|(values, &value)| values.push(value));
        }
        Ok(())
    }

    /// For each image, the area under its curve, masked pixels from 0 to 1.
    fn areas(&self) -> Vec<f64> {
        let images = self.values.first().map_or(0, Vec::len);
        let pixels = self.masked.last().copied().unwrap_or_default().max(1) as f64;
        let mut areas = vec![0.0; images];
        for (masked, values) in self.masked.windows(2).zip(self.values.windows(2)) {
            let width = (masked[1] - masked[0]) as f64 / pixels;
            for (image, area) in areas.iter_mut().enumerate() {
                *area += width * f64::midpoint(values[0][image].into(), values[1][image].into());
            }
        }
        areas
    }

    fn analysis(mut self, bootstrap: Bootstrap) -> Analysis {
        let area = Resampled::of(&self.areas(), bootstrap, "areas").estimate();
        let mut curves = vec![Vec::new(); 1 + QUANTILES.len()];
        for (&masked, values) in self.masked.iter().zip(&mut self.values) {
            values.sort_by(f32::total_cmp);
            let mean = Estimate::mean(&values.iter().copied().map(f64::from).collect::<Vec<_>>());
            let quantiles = QUANTILES.map(|(level, _)| mean.value.map(|_| quantile(values, level)));
            for (points, y) in curves.iter_mut().zip([mean.value].into_iter().chain(quantiles)) {
                points.extend(y.map(|y| Point { x: masked as f64, y, interval: None, count: mean.count }));
            }
        }
        let names = ["mean"].into_iter().chain(QUANTILES.map(|(_, name)| name));
        let series = names.zip(curves).map(|(name, points)| Series {
            figure: "confidence".to_owned(),
            name: name.to_owned(),
            x: numbers("pixels masked"),
            y: shares("confidence in the predicted class"),
            points,
        });
        let series = series.collect();
        Analysis { numbers: vec![area.number(Metric::ConfidenceArea)], series, maps: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_artifacts::Curve;
    use overinterp_spec::Selection;

    fn falls(shards: &[&[(f32, &[f32])]]) -> Falls {
        let mut falls = Falls::default();
        for images in shards {
            let mut ranking = Ranking::new(0, 5, Selection::BatchedGradient { per_round: 2, noise: 0.0 });
            for &(full, values) in *images {
                ranking.push(&[0, 1, 2, 3, 4], Some(Curve { class: 0, full, values }));
            }
            falls.add(&ranking).unwrap();
        }
        falls
    }

    #[test]
    fn curves_go_from_the_full_image_to_the_fully_masked_one() {
        let falls = falls(&[&[(1.0, &[0.5, 0.25, 0.0])], &[(0.5, &[0.5, 0.75, 0.5]), (0.75, &[0.125, 0.0, 0.25])]]);
        let analysis = falls.analysis(Bootstrap::default());
        let mean = &analysis.series[0];
        let points: Vec<(f64, f64)> = mean.points.iter().map(|point| (point.x, point.y)).collect();
        assert_eq!(points, [(0.0, 0.75), (2.0, 0.375), (4.0, 1.0 / 3.0), (5.0, 0.25)]);
        assert!(mean.points.iter().all(|point| point.count == 3));
        let median: Vec<f64> = analysis.series[2].points.iter().map(|point| point.y).collect();
        assert_eq!((analysis.series[2].name.as_str(), median), ("median", vec![0.75, 0.5, 0.25, 0.25]));
        let lowest = analysis.series[1].points[0].y;
        assert!((lowest - 0.55).abs() < 1e-9, "between .5 and .75, a fifth of the way: {lowest}");
    }

    #[test]
    fn the_area_is_the_mean_of_trapezoids() {
        // .4 x (1 + .5) / 2 + .4 x (.5 + .25) / 2 + .2 x (.25 + 0) / 2
        let analysis = falls(&[&[(1.0, &[0.5, 0.25, 0.0])]]).analysis(Bootstrap::default());
        let area = analysis.number(Metric::ConfidenceArea).unwrap();
        assert!((area.value.unwrap() - 0.475).abs() < 1e-9);
        assert_eq!((area.interval, area.count), (None, 1));
    }
}
