//! f of the fully masked image, by predicted class: what a model believes when it sees nothing.

use serde::Serialize;

use overinterp_artifacts::{Analysis, Ranking, Series};
use overinterp_spec::Metric;
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::{DataSplit, Env};
use super::estimate::Estimate;
use super::{curves, each_shard, names, shares};

/// The manifest of an analysis of f with everything masked.
#[derive(Debug, Serialize)]
pub struct AnalyseMaskedConfidence {
    /// The shards of one split's ranking, in order.
    pub rankings: Vec<Key<Ranking>>,
    /// The ranked images, for the names of their classes.
    pub images: DataSplit,
}

impl Stage<Env> for AnalyseMaskedConfidence {
    const KIND: &'static str = "analyse-masked-confidence";
    const VERSION: u32 = 1;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        self.rankings.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let images = self.images.load(context)?;
        let mut by_class = ByClass::default();
        each_shard(context, &self.rankings, |ranking| by_class.add(ranking))?;
        Ok(by_class.analysis(&images.classes))
    }
}

/// f of the fully masked image, once for each image.
#[derive(Debug, Default)]
struct ByClass {
    /// By the class predicted on the full image.
    values: Vec<Vec<f64>>,
}

impl ByClass {
    fn add(&mut self, ranking: &Ranking) -> Result<(), StageError> {
        for curve in curves(ranking)? {
            let class = usize::from(curve.class);
            if self.values.len() <= class {
                self.values.resize(class + 1, Vec::new());
            }
            self.values[class].push(f64::from(curve.fully_masked()));
        }
        Ok(())
    }

    fn analysis(&self, classes: &[String]) -> Analysis {
        let of_class = self.values.iter().enumerate();
        let series = Series {
            figure: "masked-confidence".to_owned(),
            name: "mean".to_owned(),
            x: names("predicted class", classes),
            y: shares("confidence with everything masked"),
            points: of_class.filter_map(|(class, values)| Estimate::mean(values).point(class as f64)).collect(),
        };
        let all = Estimate::mean(&self.values.concat());
        Analysis { numbers: vec![all.number(Metric::MaskedConfidence)], series: vec![series], maps: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_artifacts::{Curve, Point};
    use overinterp_spec::Selection;

    #[test]
    fn the_last_value_of_each_image_counts_for_the_class_that_it_is_a_probability_of() {
        let mut ranking = Ranking::new(0, 2, Selection::Backward);
        for (class, last) in [(2, 0.5), (0, 0.25), (2, 0.75)] {
            ranking.push(&[0, 1], Some(Curve { class, full: 1.0, values: &[0.9, last] }));
        }
        let mut by_class = ByClass::default();
        by_class.add(&ranking).unwrap();
        let analysis = by_class.analysis(&["cat", "dog", "frog"].map(str::to_owned));
        let point = |x, y, count| Point { x, y, interval: None, count };
        assert_eq!(analysis.series[0].points, [point(0.0, 0.25, 1), point(2.0, 0.625, 2)]);
        assert_eq!(analysis.numbers[0].value, Some(0.5));
        assert_eq!(analysis.numbers[0].count, 3);
    }
}
