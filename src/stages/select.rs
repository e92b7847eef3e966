//! `select`: ranks every pixel of every image (paper section 3.1).

use std::num::NonZeroUsize;

use serde::Serialize;

use crate::artifacts::{Curve, ImageSet, Model, Ranking};
use crate::engine::key::{Key, StepKey};
use crate::engine::stage::{Context, Stage, StageError};
use crate::nn::device_inference::DeviceInference;
use crate::nn::inference::Inference;
use crate::nn::scorer::{NetworkGradient, NetworkScorer};
use crate::sis::{BackSelection, GradientNoise, RandomState, Stopped, back_select, batched_gradient, random_order};
use crate::spec::{RandomSeeds, Seed, Selection, Split};

use super::inference::Masking;
use super::{DataSplit, Env, Range};

/// The manifest of a `select` step: one shard of a split's images.
#[derive(Debug, Serialize)]
pub struct Select {
    /// The model that is asked; none for random orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Key<Model>>,
    /// The images' split.
    pub images: DataSplit,
    /// The shard.
    pub range: Range,
    /// How.
    pub method: Selection,
}

/// One image's ranking: the class that f is the probability of, and the order with its values.
type Ranked = (usize, BackSelection);

impl Stage<Env> for Select {
    const KIND: &'static str = "select";
    const VERSION: u32 = 1;
    type Output = Ranking;

    fn inputs(&self) -> Vec<StepKey> {
        self.model.iter().map(|key| key.step().clone()).collect()
    }

    fn run(&self, context: &Context<'_, Env>) -> Result<Ranking, StageError> {
        let images = self.images.load(context)?;
        if self.range.indexes().end > images.len() {
            return Err(StageError::failed(format!("cannot select: there are only {} images", images.len())));
        }
        let mut ranking = Ranking::new(self.range.first, images.shape.pixels(), self.method.clone());
        match (&self.method, &self.model) {
            (Selection::Random { seeds }, _) => {
                for order in self.random_orders(*seeds, images.shape.pixels(), context)? {
                    ranking.push(&order, None);
                }
            }
            (method, Some(model)) => {
                let model = context.load(model)?;
                for (image, (class, selection)) in self.ranked(method, &model, &images, context)?.iter().enumerate() {
                    check_finite(self.range.first + image, selection)?;
                    let BackSelection { full, order, values } = selection;
                    ranking.push(order, Some(Curve { class: *class as u16, full: *full, values }));
                }
            }
            (_, None) => return Err(StageError::failed("cannot select: this method asks a model and none is given")),
        }
        Ok(ranking)
    }
}

impl Select {
    /// The orders of numpy's stream, which runs through all images of the split: those before the shard are drawn,
    /// too, and dropped.
    fn random_orders(
        &self,
        seeds: RandomSeeds,
        pixels: usize,
        context: &Context<'_, Env>,
    ) -> Result<Vec<Vec<u32>>, StageError> {
        let mut stream = RandomState::new(match self.images.split {
            Split::Train => seeds.train,
            Split::Test => seeds.test,
        });
        let end = self.range.indexes().end;
        let mut orders = Vec::with_capacity(self.range.count);
        for image in 0..end {
            if context.cancelled() {
                return Err(StageError::Cancelled);
            }
            let order = random_order(&mut stream, pixels as u32);
            if image >= self.range.first {
                orders.push(order);
            }
            context.progress("images", image + 1, end);
        }
        Ok(orders)
    }

    fn ranked(
        &self,
        method: &Selection,
        model: &Model,
        images: &ImageSet,
        context: &Context<'_, Env>,
    ) -> Result<Vec<Ranked>, StageError> {
        if !context.env().device.is_cpu() {
            return self.ranked_on_device(method, model, images, context);
        }
        let masking = Masking::new(context, self.range.count * images.shape.pixels());
        match *method {
            Selection::BatchedGradient { per_round, noise } => {
                let per_round = at_least_one(per_round)?;
                Inference::for_gradients(model, images).map_err(StageError::failed)?.for_each(
                    self.range.indexes(),
                    |workspace, index, image| {
                        let noise = noise_of(index, noise);
                        let mut scorer = NetworkGradient::new(workspace, image);
                        let selection =
                            batched_gradient(&mut scorer, per_round, noise, masking.of_image()).map_err(stopped)?;
                        Ok((scorer.class(), selection))
                    },
                )
            }
            Selection::Backward | Selection::Random { .. } => Inference::for_scores(model, images)
                .map_err(StageError::failed)?
                .for_each(self.range.indexes(), |workspace, _, image| {
                    let mut scorer = NetworkScorer::new(workspace, image);
                    let selection = back_select(&mut scorer, masking.of_image()).map_err(stopped)?;
                    Ok((scorer.class(), selection))
                }),
        }
    }
}

impl Select {
    /// The same on a device without the fused engine: one image after the other, many candidates at once.
    fn ranked_on_device(
        &self,
        method: &Selection,
        model: &Model,
        images: &ImageSet,
        context: &Context<'_, Env>,
    ) -> Result<Vec<Ranked>, StageError> {
        let inference = DeviceInference::new(model, images, &context.env().device).map_err(StageError::failed)?;
        let masking = Masking::new(context, self.range.count * images.shape.pixels());
        let mut ranked = Vec::with_capacity(self.range.count);
        for index in self.range.indexes() {
            let mut scorer = inference.scorer(index).map_err(StageError::failed)?;
            let selection = match *method {
                Selection::BatchedGradient { per_round, noise } => {
                    let noise = noise_of(index, noise);
                    batched_gradient(&mut scorer, at_least_one(per_round)?, noise, masking.of_image())
                }
                Selection::Backward | Selection::Random { .. } => back_select(&mut scorer, masking.of_image()),
            };
            ranked.push((scorer.class(), selection.map_err(stopped)?));
            scorer.finish().map_err(StageError::failed)?;
        }
        Ok(ranked)
    }
}

/// The noise on the gradients of one image, from a stream of its own so that shards do not matter.
fn noise_of(index: usize, variance: f64) -> GradientNoise {
    GradientNoise::of_variance(Seed(0).stream("gradient noise", index as u64), variance)
}

fn at_least_one(per_round: usize) -> Result<NonZeroUsize, StageError> {
    NonZeroUsize::new(per_round).ok_or_else(|| StageError::failed("cannot select: no pixel is masked in a round"))
}

/// A selection that the user stopped.
fn stopped(_: Stopped) -> StageError {
    StageError::Cancelled
}

fn check_finite(image: usize, selection: &BackSelection) -> Result<(), StageError> {
    if selection.full.is_finite() && selection.values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(StageError::failed(format!(
        "the model's confidence on image {image} is not a number: its weights are not finite, train or import it anew"
    )))
}
