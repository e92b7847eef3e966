//! How large sufficient input subsets are: of all images, of those that the model classifies as labelled, and of those
//! that it does not (`docs/method.md`, section 4).

use serde::Serialize;

use overinterp_artifacts::{Analysis, Ranking, Scale, Series};
use overinterp_sis::{Sis, find_sis};
use overinterp_spec::{Bootstrap, Metric};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::{DataSplit, Env};
use super::estimate::{Estimate, Resampled};
use super::{curves, each_shard, go_on, labels, numbers, shares};

/// The manifest of an analysis of SIS sizes, by `FindSIS` from the curves that the rankings recorded.
#[derive(Debug, Serialize)]
pub struct AnalyseSisSize {
    /// The shards of one split's ranking, in order.
    pub rankings: Vec<Key<Ranking>>,
    /// The ranked images, for their labels.
    pub images: DataSplit,
    /// The confidence that a subset must reach, for the numbers.
    pub threshold: f64,
    /// The same, for the points of the curves; in ascending order.
    pub thresholds: Vec<f64>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

impl Stage<Env> for AnalyseSisSize {
    const KIND: &'static str = "analyse-sis-size";
    const VERSION: u32 = 1;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        self.rankings.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let images = self.images.load(context)?;
        let mut at = Sizes::new(self.threshold);
        let mut along: Vec<Sizes> = self.thresholds.iter().map(|&threshold| Sizes::new(threshold)).collect();
        each_shard(context, &self.rankings, |ranking| {
            let labels = labels(&images, ranking.first(), ranking.len())?;
            along.iter_mut().chain([&mut at]).try_for_each(|sizes| sizes.add(ranking, labels))
        })?;
        let mut summaries = Vec::with_capacity(along.len());
        for (done, sizes) in along.iter().enumerate() {
            go_on(context)?;
            summaries.push(sizes.summary(self.bootstrap));
            context.progress("thresholds", done + 1, along.len());
        }
        let series = if summaries.is_empty() { Vec::new() } else { series(&summaries) };
        Ok(Analysis { numbers: at.summary(self.bootstrap).numbers(), series, maps: Vec::new() })
    }
}

/// The sizes at one threshold. An empty subset has size 0; an image without a subset has none.
#[derive(Debug)]
struct Sizes {
    threshold: f64,
    correct: Vec<f64>,
    misclassified: Vec<f64>,
    absent: usize,
    empty: usize,
}

impl Sizes {
    const fn new(threshold: f64) -> Self {
        Self { threshold, correct: Vec::new(), misclassified: Vec::new(), absent: 0, empty: 0 }
    }

    /// Adds the images of a shard, which have these labels.
    fn add(&mut self, ranking: &Ranking, labels: &[u16]) -> Result<(), StageError> {
        for (index, (curve, &label)) in curves(ranking)?.iter().zip(labels).enumerate() {
            let order = ranking.order(index);
            let found = find_sis(curve.full, order, curve.values, ranking.per_step(), self.threshold);
            let size = match found? {
                Sis::None => {
                    self.absent += 1;
                    continue;
                }
                Sis::Empty => {
                    self.empty += 1;
                    0.0
                }
                Sis::Features(pixels) => pixels.len() as f64,
            };
            if curve.class == label { &mut self.correct } else { &mut self.misclassified }.push(size);
        }
        Ok(())
    }

    fn summary(&self, bootstrap: Bootstrap) -> Summary {
        let all: Vec<f64> = self.correct.iter().chain(&self.misclassified).copied().collect();
        let images = all.len() + self.absent;
        let of = |values: &[f64], stream| Resampled::of(values, bootstrap, stream);
        let correct = of(&self.correct, "sizes of the correctly classified");
        let misclassified = of(&self.misclassified, "sizes of the misclassified");
        Summary {
            threshold: self.threshold,
            all: of(&all, "sizes").estimate(),
            difference: correct.above(&misclassified),
            correct: correct.estimate(),
            misclassified: misclassified.estimate(),
            absent: Estimate::share(self.absent, images),
            empty: Estimate::share(self.empty, images),
        }
    }
}

/// What there is to say of the sizes at one threshold.
#[derive(Debug)]
struct Summary {
    threshold: f64,
    all: Estimate,
    correct: Estimate,
    misclassified: Estimate,
    difference: Estimate,
    absent: Estimate,
    empty: Estimate,
}

impl Summary {
    fn numbers(&self) -> Vec<overinterp_artifacts::Number> {
        vec![
            self.all.number(Metric::SisSize),
            self.correct.number(Metric::SisSizeCorrect),
            self.misclassified.number(Metric::SisSizeMisclassified),
            self.difference.number(Metric::SisSizeDifference),
            self.absent.number(Metric::SisAbsent),
            self.empty.number(Metric::SisEmpty),
        ]
    }
}

fn series(summaries: &[Summary]) -> Vec<Series> {
    let curve = |figure: &str, name: &str, y: Scale, value: fn(&Summary) -> Estimate| Series {
        figure: figure.to_owned(),
        name: name.to_owned(),
        x: shares("threshold"),
        y,
        points: summaries.iter().filter_map(|summary| value(summary).point(summary.threshold)).collect(),
    };
    let pixels = || numbers("mean SIS size (pixels)");
    let images = || shares("images");
    vec![
        curve("sis-size", "all", pixels(), |summary| summary.all),
        curve("sis-size", "correct", pixels(), |summary| summary.correct),
        curve("sis-size", "misclassified", pixels(), |summary| summary.misclassified),
        curve("sis-size-difference", "correct above misclassified", numbers("relative difference"), |summary| {
            summary.difference
        }),
        curve("sis-found", "without a SIS", images(), |summary| summary.absent),
        curve("sis-found", "with an empty SIS", images(), |summary| summary.empty),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_artifacts::Curve;
    use overinterp_spec::{Seed, Selection};

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 100, seed: Seed(0) };

    /// Four pixels, masked in the order 0, 1, 2, 3. At .5: sizes 2 (labelled 1), 3 (labelled 0) and 0 (labelled 1), and
    /// an image with no SIS. At .85 the second has a SIS of 4, and the third, which dips and recovers, one of 1.
    fn sizes(threshold: f64) -> Sizes {
        let mut ranking = Ranking::new(5, 4, Selection::Backward);
        for (full, values) in
            [(1.0, [0.9, 0.6, 0.4, 0.1]), (0.9, [0.7, 0.4, 0.2, 0.1]), (0.9, [0.9, 0.4, 0.9, 0.8]), (0.45, [0.9; 4])]
        {
            ranking.push(&[0, 1, 2, 3], Some(Curve { class: 1, full, values: &values }));
        }
        let mut sizes = Sizes::new(threshold);
        sizes.add(&ranking, &[1, 0, 1, 1]).unwrap();
        sizes
    }

    #[test]
    fn sizes_are_told_apart_by_whether_the_predicted_class_is_the_label() {
        let at = sizes(0.5);
        assert_eq!((at.correct, at.misclassified, at.absent, at.empty), (vec![2.0, 0.0], vec![3.0], 1, 1));
        let at = sizes(0.85);
        assert_eq!((at.correct, at.misclassified, at.absent, at.empty), (vec![3.0, 1.0], vec![4.0], 1, 0));
    }

    #[test]
    fn numbers_are_means_and_shares_with_what_they_count() {
        let numbers = sizes(0.5).summary(BOOTSTRAP).numbers();
        let found: Vec<(Metric, Option<f64>, usize)> =
            numbers.iter().map(|number| (number.metric, number.value, number.count)).collect();
        assert_eq!(
            found,
            [
                (Metric::SisSize, Some(5.0 / 3.0), 3),
                (Metric::SisSizeCorrect, Some(1.0), 2),
                (Metric::SisSizeMisclassified, Some(3.0), 1),
                (Metric::SisSizeDifference, Some(1.0 / 3.0 - 1.0), 3),
                (Metric::SisAbsent, Some(0.25), 4),
                (Metric::SisEmpty, Some(0.25), 4),
            ]
        );
        assert_eq!(numbers[1].interval, Some([0.0, 2.0]));
        assert_eq!((numbers[2].interval, numbers[3].interval), (None, None), "one image says nothing of others");
    }

    #[test]
    fn curves_leave_out_thresholds_at_which_there_is_no_image() {
        let summaries = [0.5, 0.95].map(|threshold| sizes(threshold).summary(BOOTSTRAP));
        let series = series(&summaries);
        let points = |name: &str| -> Vec<(f64, f64, usize)> {
            let series = series.iter().find(|series| series.name == name).unwrap();
            series.points.iter().map(|point| (point.x, point.y, point.count)).collect()
        };
        assert_eq!(points("correct"), [(0.5, 1.0, 2), (0.95, 4.0, 1)]);
        assert_eq!(points("misclassified"), [(0.5, 3.0, 1)]);
        assert_eq!(points("without a SIS"), [(0.5, 0.25, 4), (0.95, 0.75, 4)]);
    }

    #[test]
    fn random_rankings_are_refused() {
        let seeds = overinterp_spec::RandomSeeds { train: Some(1), test: Some(2) };
        let mut ranking = Ranking::new(0, 2, Selection::Random { seeds });
        ranking.push(&[1, 0], None);
        let error = Sizes::new(0.5).add(&ranking, &[0]).unwrap_err();
        assert_eq!(error.to_string(), "cannot analyse the ranking: random orders record no confidence");
    }
}
