//! `select`: ranks every pixel of every image (`docs/method.md`, sections 3 and 7).

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use serde::Serialize;

use overinterp_artifacts::{Curve, Model, Ranking};
use overinterp_nn::cpu::group_scorer::ImageGroup;
use overinterp_nn::exact::{Selected, noted};
use overinterp_nn::inference::{GroupFinder, Inference, Wanted};
use overinterp_nn::input_dropout::Use;
use overinterp_nn::unanswered::Unanswered;
use overinterp_sis::{
    BackSelection, GradientNoise, Halted, RandomState, Step, ascending, batched_gradient, gradient_magnitudes,
    integrated_gradients, mask_in_order, random_order,
};
use overinterp_spec::{RandomSeeds, Scoring, Seed, Selection};
use overinterp_workflow::key::{Key, StepKey};
use overinterp_workflow::stage::{Context, Stage, StageError};

use super::inference::{Masking, halted, open, say_effort};
use super::parts::{Identity, in_parts};
use super::{DataSplit, Env, Range};

/// The manifest of a `select` step: one shard of a split's images.
#[derive(Debug, Serialize)]
pub struct Select {
    /// The model that is asked; none for random orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Key<Model>>,
    /// How the model's candidates are scored, if it is asked for any.
    #[serde(skip_serializing_if = "Scoring::is_first")]
    pub scoring: Scoring,
    /// The images' split.
    pub images: DataSplit,
    /// Which of the split's images the shard is of.
    pub range: Range,
    /// How, as far as it decides the orders of this split.
    pub method: Selection,
}

/// Images that a CPU selects exactly before they are kept.
const PART: usize = 16;

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
                let pixels = images.shape.pixels();
                let gradients = Gradients::of(method)?;
                let wanted = if gradients.is_some() { Wanted::Gradients } else { Wanted::Scores };
                let inference = open(context, &model, &images, wanted)?;
                let masking = Masking::new(context, self.range.count * pixels);
                let ranker = Ranker { method, gradients, inference, masking };
                let size = if *method == Selection::Backward { ranker.inference.part(PART) } else { self.range.count };
                let skip = |part: Range| ranker.masking.skip(part.count * pixels);
                let identity = Identity::of(&model, &context.env().device);
                for part in in_parts(context, identity, self.range, size, skip, |part| ranker.ranking(part, pixels))? {
                    ranking.extend(part);
                }
                say_effort(context, ranking.efforts());
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
        let split = self.images.split;
        let seed = seeds.of(split);
        let seed =
            seed.ok_or_else(|| StageError::failed(format!("cannot select: there is no seed of {split} images")))?;
        let mut stream = RandomState::new(seed);
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
}

/// Ranks images by asking a model.
struct Ranker<'a> {
    method: &'a Selection,
    /// How, unless exactly.
    gradients: Option<Gradients>,
    inference: Inference<'a>,
    masking: Masking<'a>,
}

impl Ranker<'_> {
    /// Ranks some images of so many pixels.
    fn ranking(&self, range: Range, pixels: usize) -> Result<Ranking, StageError> {
        let mut ranking = Ranking::new(range.first, pixels, self.method.clone());
        let mut efforts = Vec::with_capacity(range.count);
        let ranked = match &self.gradients {
            None => self.inference.select(range.indexes(), || self.masking.of_image()),
            Some(gradients) => {
                let finder = ByGradients { gradients, masking: &self.masking };
                self.inference.find_in_groups(range.indexes(), Use::Selection, &finder)
            }
        };
        let ranked = ranked.map_err(halted)?;
        for (class, BackSelection { full, order, values, effort }) in &ranked {
            efforts.push(noted(*effort));
            ranking.push(order, Some(Curve { class: *class as u16, full: *full, values }));
        }
        if *self.method == Selection::Backward {
            ranking.note(efforts);
        }
        Ok(ranking)
    }
}

/// Ranks the pixels of images side by side by a method of gradients.
struct ByGradients<'a> {
    gradients: &'a Gradients,
    masking: &'a Masking<'a>,
}

impl GroupFinder for ByGradients<'_> {
    type Found = Selected;

    fn of_group<S: ImageGroup>(&self, scorer: &mut S) -> Result<Vec<Selected>, Halted<Unanswered>> {
        let watch = self.masking.of_images(scorer.inputs());
        let found = self.gradients.rank(scorer, watch)?;
        Ok(scorer.predicted().iter().copied().zip(found).collect())
    }
}

/// A method that ranks by gradients.
enum Gradients {
    /// Backward selection by the mask's gradient, so many pixels a round, with noise of a variance.
    Batched(NonZeroUsize, f64),
    /// By the gradient's magnitude at the full image; f is recorded once so many pixels.
    Magnitude(NonZeroUsize),
    /// By integrated gradients of so many steps; f is recorded once so many pixels.
    Integrated(NonZeroUsize, NonZeroUsize),
}

impl Gradients {
    /// None for methods that need no gradient.
    fn of(method: &Selection) -> Result<Option<Self>, StageError> {
        Ok(match *method {
            Selection::BatchedGradient { per_round, noise } => Some(Self::Batched(at_least_one(per_round)?, noise)),
            Selection::Gradient { per_step } => Some(Self::Magnitude(at_least_one(per_step)?)),
            Selection::IntegratedGradients { steps, per_step } => {
                Some(Self::Integrated(at_least_one(steps)?, at_least_one(per_step)?))
            }
            Selection::Backward | Selection::Random { .. } => None,
        })
    }

    /// Ranks the pixels of some images.
    fn rank<S: ImageGroup>(
        &self,
        scorer: &mut S,
        mut watch: impl FnMut(Step) -> ControlFlow<()>,
    ) -> Result<Vec<BackSelection>, Halted<Unanswered>> {
        let orders = |attributions: Vec<Vec<f64>>| attributions.iter().map(|values| ascending(values)).collect();
        match *self {
            Self::Batched(per_round, noise) => {
                let noises = scorer.numbers().iter().map(|&number| noise_of(number as usize, noise)).collect();
                batched_gradient(scorer, per_round, noises, watch)
            }
            Self::Magnitude(per_step) => {
                let orders = orders(gradient_magnitudes(scorer)?);
                mask_in_order(scorer, orders, per_step, watch)
            }
            Self::Integrated(steps, per_step) => {
                let orders = orders(integrated_gradients(scorer, steps, &mut watch)?);
                mask_in_order(scorer, orders, per_step, watch)
            }
        }
    }
}

/// The noise on the gradients of one image, from a stream of its own so that shards do not matter.
fn noise_of(index: usize, variance: f64) -> GradientNoise {
    GradientNoise::of_variance(Seed(0).stream("gradient noise", index as u64), variance)
}

fn at_least_one(count: usize) -> Result<NonZeroUsize, StageError> {
    NonZeroUsize::new(count).ok_or_else(|| StageError::failed("cannot select: a step masks or measures nothing"))
}
