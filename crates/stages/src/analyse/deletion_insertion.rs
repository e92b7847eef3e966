//! What a model makes of images from which a ranking's most needed pixels are deleted first, and into which they are
//! inserted first (Petsiuk et al. 2018). The model need not be the one that was asked for the ranking.

use serde::Serialize;

use overinterp_artifacts::{Analysis, Model, Ranking, Series};
use overinterp_nn::cpu::group_scorer::ImageGroup;
use overinterp_nn::inference::{GroupFinder, Wanted};
use overinterp_nn::input_dropout::Use;
use overinterp_nn::unanswered::Unanswered;
use overinterp_sis::{Halted, Perturbation, area_under, perturb};
use overinterp_spec::{Bootstrap, Fraction, Metric, Scoring};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::inference::{halted, open};
use super::super::{DataSplit, Env};
use super::estimate::{Estimate, Resampled};
use super::{go_on, labels, shares};

/// Images between two looks at whether the user asks to stop.
const TOGETHER: usize = 256;

/// The manifest of an analysis by deletion and insertion.
#[derive(Debug, Serialize)]
pub struct AnalyseDeletionInsertion {
    /// The shards of one split's ranking, in order.
    pub rankings: Vec<Key<Ranking>>,
    /// The model that is asked.
    pub model: Key<Model>,
    /// How the model's candidates are scored.
    #[serde(skip_serializing_if = "Scoring::is_first")]
    pub scoring: Scoring,
    /// The images' split.
    pub images: DataSplit,
    /// Shares of the pixels, in ascending order; the whole image and the fully masked one are always among the points.
    pub fractions: Vec<Fraction>,
    /// How the areas' intervals are found.
    pub bootstrap: Bootstrap,
}

impl Stage<Env> for AnalyseDeletionInsertion {
    const KIND: &'static str = "analyse-deletion-insertion";
    const VERSION: u32 = 1;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        self.rankings.iter().map(|key| key.step().clone()).chain([self.model.step().clone()]).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let (images, model) = (self.images.load(context)?, context.load(&self.model)?);
        let counts = counts(&self.fractions, images.shape.pixels());
        let inference = open(context, &model, &images, Wanted::Scores)?;
        let mut found = Curves::new(&counts, images.shape.pixels());
        for (done, key) in self.rankings.iter().enumerate() {
            let ranking = context.load(key)?;
            if ranking.pixels() != images.shape.pixels() {
                let (ranked, pixels) = (ranking.pixels(), images.shape.pixels());
                return Err(StageError::failed(format!("cannot mask {ranked} ranked pixels of images of {pixels}")));
            }
            labels(&images, ranking.first(), ranking.len())?;
            for first in (0..ranking.len()).step_by(TOGETHER) {
                go_on(context)?;
                let shard = first..(first + TOGETHER).min(ranking.len());
                let images = ranking.first() + shard.start..ranking.first() + shard.end;
                let finder = Perturbing { ranking: &ranking, counts: &counts };
                // Input dropout keeps of each what it keeps in an evaluation, which is not what a selection saw.
                let perturbed = inference.find_in_groups(images, Use::Evaluation, &finder).map_err(halted)?;
                for perturbation in perturbed {
                    found.add(&perturbation);
                }
                context.progress("images", done * ranking.len() + shard.end, self.rankings.len() * ranking.len());
            }
        }
        Ok(found.analysis(self.bootstrap))
    }
}

/// Pixels deleted or inserted at each point: none, those of each fraction, all.
fn counts(fractions: &[Fraction], pixels: usize) -> Vec<usize> {
    let mut counts = vec![0];
    counts.extend(fractions.iter().map(|fraction| fraction.pixels_kept(pixels)));
    counts.push(pixels);
    counts.dedup();
    counts
}

/// Finds f along a ranking's orders.
struct Perturbing<'a> {
    ranking: &'a Ranking,
    counts: &'a [usize],
}

impl GroupFinder for Perturbing<'_> {
    type Found = Perturbation;

    fn of_group<S: ImageGroup>(&self, scorer: &mut S) -> Result<Vec<Perturbation>, Halted<Unanswered>> {
        let first = self.ranking.first();
        let orders = scorer.numbers().iter().map(|&number| self.ranking.order(number as usize - first));
        let orders: Vec<&[u32]> = orders.collect();
        Ok(perturb(scorer, &orders, self.counts)?)
    }
}

/// f of all images at every point.
#[derive(Debug)]
struct Curves {
    /// Share of the pixels at each point.
    shares: Vec<f64>,
    /// `[point, image]`.
    deletion: Vec<Vec<f64>>,
    insertion: Vec<Vec<f64>>,
    /// The area under each image's curve.
    deletion_areas: Vec<f64>,
    insertion_areas: Vec<f64>,
}

impl Curves {
    fn new(counts: &[usize], pixels: usize) -> Self {
        let none = vec![Vec::new(); counts.len()];
        Self {
            shares: counts.iter().map(|&count| count as f64 / pixels.max(1) as f64).collect(),
            deletion: none.clone(),
            insertion: none,
            deletion_areas: Vec::new(),
            insertion_areas: Vec::new(),
        }
    }

    fn add(&mut self, found: &Perturbation) {
        let Self { shares, deletion, insertion, deletion_areas, insertion_areas } = self;
        for (values, points, areas) in
            [(&found.deletion, deletion, deletion_areas), (&found.insertion, insertion, insertion_areas)]
        {
            let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
            areas.push(area_under(shares, &values));
            points.iter_mut().zip(&values).for_each(|(point, &value)| point.push(value));
        }
    }

    fn analysis(&self, bootstrap: Bootstrap) -> Analysis {
        let area = |areas: &[f64], stream, metric| Resampled::of(areas, bootstrap, stream).estimate().number(metric);
        let series = |name: &str, points: &[Vec<f64>]| Series {
            figure: "deletion-insertion".to_owned(),
            name: name.to_owned(),
            x: shares("pixels deleted or inserted, most needed first"),
            y: shares("confidence in the class predicted on the full image"),
            points: (self.shares.iter().zip(points))
                .filter_map(|(&share, values)| Estimate::mean(values).point(share))
                .collect(),
        };
        Analysis {
            numbers: vec![
                area(&self.deletion_areas, "deletion", Metric::DeletionArea),
                area(&self.insertion_areas, "insertion", Metric::InsertionArea),
            ],
            series: vec![series("deletion", &self.deletion), series("insertion", &self.insertion)],
            maps: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fractions(values: &[f64]) -> Vec<Fraction> {
        values.iter().map(|&value| Fraction::try_from(value).unwrap()).collect()
    }

    #[test]
    fn the_whole_and_the_masked_image_are_points_once() {
        assert_eq!(counts(&fractions(&[0.05, 0.5]), 1024), [0, 52, 512, 1024]);
        assert_eq!(counts(&fractions(&[0.1, 0.2, 1.0]), 10), [0, 1, 2, 10]);
        // One pixel in ten is the least of ten.
        assert_eq!(counts(&fractions(&[0.01, 0.05, 0.1]), 10), [0, 1, 10]);
        assert_eq!(counts(&[], 10), [0, 10]);
    }

    #[test]
    fn curves_are_means_and_areas_have_intervals() {
        let mut found = Curves::new(&[0, 1, 4], 4);
        found.add(&Perturbation { deletion: vec![1.0, 0.5, 0.0], insertion: vec![0.0, 0.5, 1.0] });
        found.add(&Perturbation { deletion: vec![0.5, 0.25, 0.25], insertion: vec![0.25, 0.5, 0.5] });
        let analysis = found.analysis(Bootstrap::default());
        let number = |metric| analysis.number(metric).unwrap();
        // .25 x (1 + .5) / 2 + .75 x (.5 + 0) / 2 = .375, and .25 x .75 / 2 + .75 x .5 / 2 = .28125.
        let deletion = number(Metric::DeletionArea);
        assert!((deletion.value.unwrap() - 0.328_125).abs() < 1e-12);
        assert_eq!((deletion.interval, deletion.count), (Some([0.281_25, 0.375]), 2));
        // .25 x .5 / 2 + .75 x 1.5 / 2 = .625, and .25 x .75 / 2 + .75 x 1 / 2 = .46875.
        assert!((number(Metric::InsertionArea).value.unwrap() - 0.546_875).abs() < 1e-12);
        let points = |series: usize| -> Vec<(f64, f64)> {
            analysis.series[series].points.iter().map(|point| (point.x, point.y)).collect()
        };
        assert_eq!(points(0), [(0.0, 0.75), (0.25, 0.375), (1.0, 0.125)]);
        assert_eq!(points(1), [(0.0, 0.125), (0.25, 0.5), (1.0, 0.75)]);
    }
}
