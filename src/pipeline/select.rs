//! The stages whose work is long enough to be cut into shards: `select` and `collection`.

use overinterp_artifacts::Ranking;
use overinterp_config::experiment::StageRef;
use overinterp_config::kinds;
use overinterp_spec::{ImageShape, Scoring, Selection};
use overinterp_stages::{Collect, Range, Select};
use overinterp_workflow::key::Key;
use overinterp_workflow::plan::Label;

use super::images::KnownSplit;
use super::{Outcome, Planner, part};

/// Candidates that there are in exact selections of a shard's images: those of 256 images of 32x32, of which a network that is
/// sure of them needs a tenth, and which a GPU evaluates in lockstep. What is done of a shard outlives an interruption.
const SHARD_CANDIDATES: usize = 256 * 524_800;
/// Images of such a shard where their size is not known before they are read.
const UNKNOWN_SHARD: usize = 16;
/// How many selections finding all subsets of an image may take: so many times fewer images are a shard.
const SELECTIONS: usize = 4;
/// Images of a shard when each costs a few hundred forward and backward passes.
const GRADIENT_SHARD: usize = 512;
/// Pixels of all images of a shard, whose orders are in memory together: 41 photographs of 224x224.
const SHARD_PIXELS: usize = 1 << 21;

/// The shards of one split's ranking.
pub(super) struct RankedSplit {
    pub shards: Vec<Key<Ranking>>,
    pub split: KnownSplit,
    /// How many of the split's images are ranked: the first ones.
    pub count: usize,
}

impl Planner<'_> {
    pub(super) fn select(&mut self, at: &StageRef, select: &kinds::Select) {
        let kinds::Select { model, images, method, count } = select;
        let splits: Vec<(KnownSplit, usize, Vec<Range>)> = images
            .iter()
            .map(|(source, split)| {
                let split = self.split(source, *split);
                let images = count.map_or(split.images, |count| count.min(split.images));
                // Not `split.shape`: the keys of shards rest on this.
                let pixels = split.data.source.kind.image_shape().map(ImageShape::pixels);
                (split, images, Range::shards(images, shard_size(method, images, pixels)))
            })
            .collect();
        let shards: usize = splits.iter().map(|(_, _, ranges)| ranges.len()).sum();
        self.asked.extend(model.as_ref().map(|model| (at.clone(), model.stage.clone())));
        let model = model.as_ref().map(|model| self.models[model].clone());
        let scoring = match (method, &model) {
            (Selection::Backward, Some(model)) => self.workload.scoring(model.step()),
            _ => Scoring::FIRST,
        };
        let mut place = 0;
        let mut ranked = Vec::new();
        for (split, images, ranges) in splits {
            let mut keys = Vec::new();
            for range in ranges {
                let of_split = method.of(split.data.split);
                let (asked, images) = (model.clone(), split.data.clone());
                let select = Select { model: asked, scoring, images, range, method: of_split };
                let label = Label { shard: (shards > 1).then_some((place, shards)), ..part(at, split.data.split) };
                let count = select.range.count;
                let key = self.step(select, label, split.absent.clone());
                if let Some(model) = &model {
                    self.workload.select(key.step(), model.step(), &split, method, count);
                }
                keys.push(key);
                place += 1;
            }
            ranked.push(RankedSplit { shards: keys, split, count: images });
        }
        self.ranking(at, ranked);
    }

    /// Notes where the rankings of a stage will be found.
    pub(super) fn ranking(&mut self, at: &StageRef, ranked: Vec<RankedSplit>) {
        for RankedSplit { shards, split, .. } in &ranked {
            self.results.rankings.extend(shards.iter().map(|key| Outcome {
                stage: at.stage.clone(),
                model: String::new(),
                images: format!("{}.{}", split.data.source.name, split.data.split),
                data: Some(split.data.clone()),
                cell: at.cell.clone(),
                key: key.clone(),
            }));
        }
        self.rankings.insert(at.clone(), ranked);
    }

    /// The shards of every split that a stage ranks.
    pub(super) fn ranked(&self, ranking: &StageRef) -> Vec<(Vec<Key<Ranking>>, KnownSplit)> {
        self.rankings[ranking].iter().map(|ranked| (ranked.shards.clone(), ranked.split.clone())).collect()
    }

    pub(super) fn collection(&mut self, at: &StageRef, collection: &kinds::Collection) {
        let kinds::Collection { model, images, threshold, count } = collection;
        self.asked.insert(at.clone(), model.stage.clone());
        let model = self.models[model].clone();
        let scoring = self.workload.scoring(model.step());
        for (source, half) in images {
            let split = self.split(source, *half);
            let images = count.map_or(split.images, |count| count.min(split.images));
            // Not `split.shape`: the keys of shards rest on this.
            let pixels = split.data.source.kind.image_shape().map(ImageShape::pixels);
            let ranges = Range::shards(images, backward_shard(pixels).div_ceil(SELECTIONS));
            let shards = ranges.len();
            let mut keys = Vec::with_capacity(shards);
            for (place, range) in ranges.into_iter().enumerate() {
                let (asked, images) = (model.clone(), split.data.clone());
                let collect = Collect { model: asked, scoring, images, range, threshold: *threshold };
                let label = Label { shard: (shards > 1).then_some((place, shards)), ..part(at, *half) };
                let key = self.step(collect, label, split.absent.clone());
                self.workload.collect(key.step(), model.step(), &split, range.count);
                keys.push(key);
            }
            self.collections.insert((at.clone(), *half), (keys, split));
        }
    }
}

/// Images of a shard, of so many pixels each if that is known. Random orders are one stream, drawn in one go.
fn shard_size(method: &Selection, images: usize, pixels: Option<usize>) -> usize {
    let bounded = pixels.map_or(GRADIENT_SHARD, |pixels| (SHARD_PIXELS / pixels.max(1)).max(1));
    match method {
        Selection::Backward => backward_shard(pixels).min(bounded),
        Selection::BatchedGradient { .. } | Selection::Gradient { .. } | Selection::IntegratedGradients { .. } => {
            GRADIENT_SHARD.min(bounded)
        }
        Selection::Random { .. } => images.max(1),
    }
}

/// Images of a shard of exact selections.
fn backward_shard(pixels: Option<usize>) -> usize {
    let candidates = |pixels: usize| pixels * (pixels + 1) / 2;
    pixels.map_or(UNKNOWN_SHARD, |pixels| (SHARD_CANDIDATES / candidates(pixels).max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_of_as_much_work_whatever_the_size_of_images() {
        let backward = |pixels| shard_size(&Selection::Backward, 60_000, pixels);
        assert_eq!([32 * 32, 28 * 28, 224 * 224].map(|pixels| backward(Some(pixels))), [256, 436, 1]);
        assert_eq!(backward(None), 16);
        let gradient = Selection::BatchedGradient { per_round: 8, noise: 0.0 };
        assert_eq!([1024, 224 * 224].map(|pixels| shard_size(&gradient, 60_000, Some(pixels))), [512, 41]);
    }
}
