//! How far the subsets that two models select of the same images overlap.

use serde::Serialize;

use overinterp_artifacts::{Analysis, Subset, Subsets, UnreadableImage};
use overinterp_spec::{Bootstrap, Metric};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::Env;
use super::estimate::{Estimate, Resampled};
use super::go_on;

/// The manifest of an analysis of the overlap of two sets of subsets, image by image. Where one has more images than
/// the other, those that both have are compared.
#[derive(Debug, Serialize)]
pub struct AnalyseOverlap {
    /// The subsets whose pixels are looked for in the others.
    pub subset: Key<Subsets>,
    /// The subsets in which those pixels are looked for.
    pub with: Key<Subsets>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

impl Stage<Env> for AnalyseOverlap {
    const KIND: &'static str = "analyse-overlap";
    const VERSION: u32 = 1;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        vec![self.subset.step().clone(), self.with.step().clone()]
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let (subsets, others) = (context.load(&self.subset)?, context.load(&self.with)?);
        if subsets.pixels() != others.pixels() {
            return Err(StageError::failed(format!(
                "cannot compare subsets of images of {} and of {} pixels",
                subsets.pixels(),
                others.pixels()
            )));
        }
        let mut overlaps = Overlaps::new(subsets.pixels());
        let images = subsets.len().min(others.len());
        for index in 0..images {
            if index % 1024 == 0 {
                go_on(context)?;
                context.progress("images", index, images);
            }
            overlaps.add(&subsets, &others, index)?;
        }
        Ok(overlaps.analysis(self.bootstrap))
    }
}

/// Sums over images. Those whose subset is empty are left out.
#[derive(Debug)]
struct Overlaps {
    overlap: Vec<f64>,
    union: Vec<f64>,
    chance: Vec<f64>,
    /// For each pixel, the sum of one over the size of each subset that keeps it.
    weight: Vec<f64>,
    /// For each pixel, how many of the others keep it.
    kept: Vec<f64>,
}

impl Overlaps {
    fn new(pixels: usize) -> Self {
        let (weight, kept) = (vec![0.0; pixels], vec![0.0; pixels]);
        Self { overlap: Vec::new(), union: Vec::new(), chance: Vec::new(), weight, kept }
    }

    fn add(&mut self, subsets: &Subsets, others: &Subsets, index: usize) -> Result<(), UnreadableImage> {
        let pixels = subsets.pixels();
        let (subset, with) = (subsets.subset(index)?, others.subset(index)?);
        let kept = |of: &Subset<'_>| -> Vec<usize> { (0..pixels).filter(|&pixel| of.keeps(pixel)).collect() };
        let (own, other) = (kept(&subset), kept(&with));
        if own.is_empty() {
            return Ok(());
        }
        let both = own.iter().filter(|&&pixel| with.keeps(pixel)).count();
        let size = own.len() as f64;
        self.overlap.push(both as f64 / size);
        self.union.push(both as f64 / (own.len() + other.len() - both) as f64);
        self.chance.push(other.len() as f64 / pixels as f64);
        for pixel in own {
            self.weight[pixel] += 1.0 / size;
        }
        for pixel in other {
            self.kept[pixel] += 1.0;
        }
        Ok(())
    }

    /// The mean over all pairs of different images: the sum over all pairs less that over equal ones.
    fn elsewhere(&self) -> Estimate {
        let images = self.overlap.len();
        let all: f64 = self.weight.iter().zip(&self.kept).map(|(weight, kept)| weight * kept).sum();
        let equal: f64 = self.overlap.iter().sum();
        let pairs = images * images.saturating_sub(1);
        let value = (pairs > 0).then(|| (all - equal) / pairs as f64);
        Estimate { value, interval: None, count: images }
    }

    fn analysis(&self, bootstrap: Bootstrap) -> Analysis {
        let of = |values: &[f64]| Resampled::of(values, bootstrap, "overlaps").estimate();
        let numbers = vec![
            of(&self.overlap).number(Metric::Overlap),
            of(&self.union).number(Metric::OverlapUnion),
            Estimate::mean(&self.chance).number(Metric::OverlapChance),
            self.elsewhere().number(Metric::OverlapElsewhere),
        ];
        Analysis { numbers, ..Analysis::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subsets(kept: &[&[u32]]) -> Subsets {
        let mut subsets = Subsets::new(10);
        for kept in kept {
            subsets.push(kept);
        }
        subsets
    }

    fn numbers(own: &[&[u32]], others: &[&[u32]]) -> Vec<Option<f64>> {
        let (own, others) = (subsets(own), subsets(others));
        let mut overlaps = Overlaps::new(10);
        for index in 0..own.len() {
            overlaps.add(&own, &others, index).unwrap();
        }
        let value = |value: f64| (value * 1e9).round() / 1e9;
        overlaps.analysis(Bootstrap::default()).numbers.iter().map(|number| number.value.map(value)).collect()
    }

    #[test]
    fn overlaps_are_means_over_images() {
        // Images share {1} of {0, 1}, and {4, 5} of {4, 5}. Across images, {0, 1} and {4, 5, 9} share nothing, {4, 5} and
        // {1, 2, 5} share {5}.
        let found = numbers(&[&[0, 1], &[4, 5]], &[&[1, 2, 5], &[4, 5, 9]]);
        let expected = [0.75, f64::midpoint(0.25, 2.0 / 3.0), 0.3, f64::midpoint(0.0, 0.5)];
        assert_eq!(found, expected.map(|value: f64| Some((value * 1e9).round() / 1e9)));
    }

    #[test]
    fn equal_subsets_overlap_wholly_and_one_image_has_no_other() {
        assert_eq!(numbers(&[&[0, 1, 7]], &[&[0, 1, 7]]), [Some(1.0), Some(1.0), Some(0.3), None]);
    }
}
