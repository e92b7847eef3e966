//! How many disjoint sufficient input subsets images have, and how large these are (Carter et al. 2019).

use std::collections::BTreeMap;

use serde::Serialize;

use overinterp_artifacts::{Analysis, Collections, Series};
use overinterp_spec::{Bootstrap, Metric};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::super::Env;
use super::estimate::{Estimate, Resampled};
use super::{each_shard, numbers, shares};

/// The manifest of an analysis of SIS collections.
#[derive(Debug, Serialize)]
pub struct AnalyseCollections {
    /// The shards of one split's collections, in order.
    pub collections: Vec<Key<Collections>>,
    /// How intervals are found.
    pub bootstrap: Bootstrap,
}

impl Stage<Env> for AnalyseCollections {
    const KIND: &'static str = "analyse-collections";
    const VERSION: u32 = 1;
    type Output = Analysis;

    fn inputs(&self) -> Vec<StepKey> {
        self.collections.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Analysis, StageError> {
        let mut found = Tally::default();
        each_shard(context, &self.collections, |collections| {
            found.add(collections);
            Ok(())
        })?;
        Ok(found.analysis(self.bootstrap))
    }
}

/// Of each image, how many subsets it has and what share of its pixels is in them; and the subsets' sizes.
#[derive(Debug, Default)]
struct Tally {
    counts: Vec<usize>,
    covered: Vec<f64>,
    /// By the place in which they were found, from 1.
    sizes: BTreeMap<usize, Vec<f64>>,
}

impl Tally {
    fn add(&mut self, collections: &Collections) {
        for image in &collections.images {
            let sizes: Vec<usize> = image.members.iter().map(|member| member.subset.len()).collect();
            self.counts.push(sizes.len());
            self.covered.push(sizes.iter().sum::<usize>() as f64 / collections.pixels as f64);
            for (place, &size) in sizes.iter().enumerate() {
                self.sizes.entry(place + 1).or_default().push(size as f64);
            }
        }
    }

    fn analysis(&self, bootstrap: Bootstrap) -> Analysis {
        let of = |values: &[f64], stream: &str| Resampled::of(values, bootstrap, stream).estimate();
        let all: Vec<f64> = self.sizes.values().flatten().copied().collect();
        let counts: Vec<f64> = self.counts.iter().map(|&count| count as f64).collect();
        let headline = vec![
            of(&counts, "counts").number(Metric::CollectionCount),
            Estimate::mean(&all).number(Metric::CollectionSize),
            of(&self.covered, "coverage").number(Metric::CollectionCoverage),
        ];
        let most = self.sizes.len();
        let with = |count: usize| self.counts.iter().filter(|&&of_image| of_image == count).count();
        let counts = Series {
            figure: "collection-counts".to_owned(),
            name: "images".to_owned(),
            x: numbers("disjoint SIS of an image"),
            y: shares("images"),
            points: (0..=most)
                .filter_map(|count| Estimate::share(with(count), self.counts.len()).point(count as f64))
                .collect(),
        };
        let sizes = Series {
            figure: "collection-sizes".to_owned(),
            name: "mean".to_owned(),
            x: numbers("place in the collection"),
            y: numbers("mean SIS size (pixels)"),
            points: self
                .sizes
                .iter()
                .filter_map(|(&place, sizes)| of(sizes, &format!("sizes at place {place}")).point(place as f64))
                .collect(),
        };
        Analysis { numbers: headline, series: vec![counts, sizes], maps: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_artifacts::{CollectionEnding, CollectionMember, ImageCollection};

    fn image(sizes: &[u32]) -> ImageCollection {
        let member = |&size: &u32| CollectionMember {
            subset: (0..size).collect(),
            full: 1.0,
            order: Vec::new(),
            values: Vec::new(),
        };
        ImageCollection {
            class: 0,
            members: sizes.iter().map(member).collect(),
            ending: CollectionEnding::BelowThreshold,
        }
    }

    #[test]
    fn subsets_are_counted_by_image_and_measured_by_place() {
        let mut found = Tally::default();
        for images in [vec![image(&[2, 4]), image(&[])], vec![image(&[3]), image(&[1, 2, 6])]] {
            found.add(&Collections { first: 0, pixels: 20, threshold: 0.9, images, efforts: Vec::new() });
        }
        let analysis = found.analysis(Bootstrap::default());
        let value = |metric| analysis.number(metric).and_then(|number| number.value).unwrap();
        assert!((value(Metric::CollectionCount) - 1.5).abs() < 1e-12);
        assert!((value(Metric::CollectionSize) - 3.0).abs() < 1e-12);
        assert!((value(Metric::CollectionCoverage) - 18.0 / 80.0).abs() < 1e-12);
        let points = |series: usize| -> Vec<(f64, f64, usize)> {
            analysis.series[series].points.iter().map(|point| (point.x, point.y, point.count)).collect()
        };
        assert_eq!(points(0), [(0.0, 0.25, 4), (1.0, 0.25, 4), (2.0, 0.25, 4), (3.0, 0.25, 4)]);
        assert_eq!(points(1), [(1.0, 2.0, 3), (2.0, 3.0, 2), (3.0, 6.0, 1)]);
    }
}
