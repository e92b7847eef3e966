//! How far a model's confidence is the share of images that it classifies as labelled (Guo et al. 2017).

use serde::Serialize;

use overinterp_artifacts::{Analysis, Evaluation, Number, Point, Predictions, Series};
use overinterp_spec::Metric;
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::Env;
use super::shares;

/// The manifest of an analysis of calibration.
#[derive(Debug, Serialize)]
pub struct AnalyseCalibration {
    /// A model's predictions of some images.
    pub evaluation: Key<Evaluation>,
    /// Into how many intervals of equal width the confidences are sorted.
    pub bins: usize,
}

impl Stage<Env> for AnalyseCalibration {
    const KIND: &'static str = "analyse-calibration";
    const VERSION: u32 = 2;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        vec![self.evaluation.step().clone()]
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        if self.bins == 0 {
            return Err(StageError::failed("cannot sort confidences into no bins"));
        }
        Ok(analysis(&bins(&context.load(&self.evaluation)?.predictions, self.bins)))
    }
}

/// Images whose confidence lies in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bin {
    images: usize,
    correct: usize,
    /// The sum of their confidences.
    confidence: f64,
}

impl Bin {
    fn accuracy(self) -> f64 {
        self.correct as f64 / self.images as f64
    }

    fn mean_confidence(self) -> f64 {
        self.confidence / self.images as f64
    }
}

/// Sorts images into `count` bins, the m-th of which holds confidences above (m-1)/count and up to m/count.
fn bins(predictions: &Predictions, count: usize) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); count];
    let said = predictions.predicted.iter().zip(&predictions.labels);
    for ((predicted, label), &confidence) in said.zip(&predictions.confidence) {
        let confidence = f64::from(confidence);
        // Compared with the same quotients for all images, so that bounds are sharp.
        let place = (1..count).take_while(|&bound| confidence > bound as f64 / count as f64).count();
        let bin = &mut bins[place];
        bin.images += 1;
        bin.correct += usize::from(predicted == label);
        bin.confidence += confidence;
    }
    bins
}

/// The expected calibration error, by how much accuracy and confidence differ in a bin, averaged over images; and the
/// reliability diagram, a point for each bin that has images: above the bin's middle, so that replicates can be averaged.
fn analysis(bins: &[Bin]) -> Analysis {
    let count: usize = bins.iter().map(|bin| bin.images).sum();
    let filled = || bins.iter().copied().filter(|bin| bin.images > 0);
    let off: f64 = filled().map(|bin| bin.images as f64 * (bin.accuracy() - bin.mean_confidence()).abs()).sum();
    let middle = |place: usize| (place as f64 + 0.5) / bins.len() as f64;
    let point =
        |(place, bin): (usize, &Bin)| Point { x: middle(place), y: bin.accuracy(), interval: None, count: bin.images };
    let value = (count > 0).then(|| off / count as f64);
    Analysis {
        numbers: vec![Number { metric: Metric::CalibrationError, value, interval: None, count }],
        series: vec![Series {
            figure: "reliability".to_owned(),
            name: "images by confidence".to_owned(),
            x: shares("confidence"),
            y: shares("accuracy"),
            points: bins.iter().enumerate().filter(|(_, bin)| bin.images > 0).map(point).collect(),
        }],
        maps: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(confidence: &[f32], correct: &[bool]) -> Predictions {
        Predictions {
            classes: 2,
            predicted: vec![0; confidence.len()],
            confidence: confidence.to_vec(),
            labels: correct.iter().map(|correct| u16::from(!correct)).collect(),
        }
    }

    #[test]
    fn the_error_is_the_mean_distance_of_accuracy_and_confidence() {
        // Four bins: two images of confidence .5, one of them correct; three of .75, .875 and 1, two of them correct.
        let said = predictions(&[0.5, 0.5, 0.75, 0.875, 1.0], &[true, false, true, true, false]);
        let analysis = analysis(&bins(&said, 4));
        // Bins (.25, .5]: 1/2 and .5; (.5, .75]: 1 and .75; (.75, 1]: 1/2 and .9375.
        let points: Vec<(f64, f64, usize)> =
            analysis.series[0].points.iter().map(|point| (point.x, point.y, point.count)).collect();
        assert_eq!(points, [(0.375, 0.5, 2), (0.625, 1.0, 1), (0.875, 0.5, 2)]);
        let error = analysis.number(Metric::CalibrationError).unwrap();
        assert!((error.value.unwrap() - (0.25 + 2.0 * 0.4375) / 5.0).abs() < 1e-12);
        assert_eq!(error.count, 5);
    }

    #[test]
    fn a_bound_belongs_to_the_bin_below_it() {
        let said = predictions(&[0.0, 0.2, 0.200_001, 1.0], &[true; 4]);
        let images: Vec<usize> = bins(&said, 5).iter().map(|bin| bin.images).collect();
        // The nearest float32 to .2 lies above .2.
        assert_eq!(images, [1, 2, 0, 0, 1]);
        let halves: Vec<usize> = bins(&predictions(&[0.5], &[true]), 2).iter().map(|bin| bin.images).collect();
        assert_eq!(halves, [1, 0]);
    }

    #[test]
    fn a_model_that_is_always_right_and_sure_has_no_error_and_no_images_have_none() {
        let sure = analysis(&bins(&predictions(&[1.0; 7], &[true; 7]), 15));
        assert_eq!(sure.number(Metric::CalibrationError).and_then(|number| number.value), Some(0.0));
        let none = analysis(&bins(&predictions(&[], &[]), 15));
        assert_eq!(none.number(Metric::CalibrationError).map(|number| (number.value, number.count)), Some((None, 0)));
        assert!(none.series[0].points.is_empty());
    }
}
