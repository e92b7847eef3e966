//! In which order the pixels of each image can be masked, and how f fell on the way.

use std::num::NonZeroUsize;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Damage;
use super::effort::{self, Effort};
use super::tensor_file::{self, Tensor, TensorFile};
use overinterp_spec::Selection;
use overinterp_workflow::stage::{Artifact, ArtifactError};

/// Orders of at most so many pixels are stored as u16.
const SHORT: usize = 1 << 16;

/// The rankings of successive images of one split: a shard of a `select` stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    first: usize,
    pixels: usize,
    method: Selection,
    orders: Vec<u32>,
    curves: Curves,
    /// One an image, or none.
    efforts: Vec<Effort>,
}

/// What f was: one entry, or one row of `steps`, for each image. All empty for random orders.
#[derive(Clone, Debug, Default, PartialEq)]
struct Curves {
    classes: Vec<u16>,
    full: Vec<f32>,
    values: Vec<f32>,
}

/// f of one image while its pixels were masked: the softmax probability of `class`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve<'a> {
    /// The class that the model predicts on the full image.
    pub class: u16,
    /// f(x), on the full image.
    pub full: f32,
    /// f after each step.
    pub values: &'a [f32],
}

impl Curve<'_> {
    /// f of the fully masked image.
    #[must_use]
    pub fn fully_masked(&self) -> f32 {
        self.values.last().copied().unwrap_or(self.full)
    }
}

/// What the header says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    first: usize,
    images: usize,
    pixels: usize,
    method: Selection,
}

impl Ranking {
    /// The file that a result of this kind has, and no other.
    pub const FILE: &str = "ranking.safetensors";

    /// No images yet; the first will be the split's image number `first`, and each has `pixels` pixels.
    #[must_use]
    pub const fn new(first: usize, pixels: usize, method: Selection) -> Self {
        let curves = Curves { classes: Vec::new(), full: Vec::new(), values: Vec::new() };
        Self { first, pixels, method, orders: Vec::new(), curves, efforts: Vec::new() }
    }

    /// Adds an image: its order from the pixel masked first to the one masked last, and, unless the method is
    /// random, what f was.
    ///
    /// # Panics
    /// When `order` has not one entry a pixel, or `curve` is missing, superfluous or has not one value a step.
    pub fn push(&mut self, order: &[u32], curve: Option<Curve<'_>>) {
        assert_eq!(order.len(), self.pixels, "an order names every pixel");
        assert_eq!(curve.is_some(), self.has_curves(), "f is recorded unless the order is random");
        self.orders.extend_from_slice(order);
        if let Some(curve) = curve {
            assert_eq!(curve.values.len(), self.steps(), "f is recorded once a step");
            self.curves.classes.push(curve.class);
            self.curves.full.push(curve.full);
            self.curves.values.extend_from_slice(curve.values);
        }
    }

    /// Notes what it took to find what was pushed, an entry an image.
    ///
    /// # Panics
    /// When there is not one an image.
    pub fn note(&mut self, efforts: Vec<Effort>) {
        assert_eq!(efforts.len(), self.len(), "there is one effort an image");
        self.efforts = efforts;
    }

    /// Adds the images of `next`, which follow these.
    ///
    /// # Panics
    /// When they do not, or are ranked otherwise.
    pub fn extend(&mut self, next: Self) {
        let Self { first, pixels, method, orders, curves, efforts } = next;
        assert_eq!(
            (first, pixels, &method),
            (self.first + self.len(), self.pixels, &self.method),
            "one follows the other"
        );
        self.orders.extend(orders);
        self.curves.classes.extend(curves.classes);
        self.curves.full.extend(curves.full);
        self.curves.values.extend(curves.values);
        self.efforts.extend(efforts);
    }

    /// What it took to find each image's ranking; empty where that is not known.
    #[must_use]
    pub fn efforts(&self) -> &[Effort] {
        &self.efforts
    }

    /// The number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.len().checked_div(self.pixels).unwrap_or(0)
    }

    /// Whether there is no image.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// The number, within its split, of the first image.
    #[must_use]
    pub const fn first(&self) -> usize {
        self.first
    }

    /// Pixels of an image.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.pixels
    }

    /// How the images were ranked.
    #[must_use]
    pub const fn method(&self) -> &Selection {
        &self.method
    }

    /// Pixels masked in a step (the last step may have fewer).
    #[must_use]
    pub const fn per_step(&self) -> NonZeroUsize {
        let count = match self.method {
            Selection::Backward | Selection::Random { .. } => 1,
            Selection::BatchedGradient { per_round, .. } => per_round,
            Selection::Gradient { per_step } | Selection::IntegratedGradients { per_step, .. } => per_step,
        };
        match NonZeroUsize::new(count) {
            Some(count) => count,
            None => NonZeroUsize::MIN,
        }
    }

    /// Steps until an image is fully masked.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.pixels.div_ceil(self.per_step().get())
    }

    /// The pixels of the shard's image number `index`, the one masked first in front.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn order(&self, index: usize) -> &[u32] {
        &self.orders[index * self.pixels..(index + 1) * self.pixels]
    }

    /// f of the shard's image number `index`; `None` for random orders.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn curve(&self, index: usize) -> Option<Curve<'_>> {
        let Curves { classes, full, values } = &self.curves;
        let steps = self.steps();
        self.has_curves().then(|| Curve {
            class: classes[index],
            full: full[index],
            values: &values[index * steps..(index + 1) * steps],
        })
    }

    /// f of the shard's image number `index` with only the last `kept` pixels of its order there, if it was recorded:
    /// the order must not be random, and a step must have ended there.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn confidence_of_last(&self, index: usize, kept: usize) -> Option<f32> {
        let curve = self.curve(index)?;
        let masked = self.pixels.checked_sub(kept)?;
        match masked {
            0 => Some(curve.full),
            all if all == self.pixels => Some(curve.fully_masked()),
            some if some.is_multiple_of(self.per_step().get()) => Some(curve.values[some / self.per_step().get() - 1]),
            _ => None,
        }
    }

    /// The last `kept` pixels of each image's order.
    pub fn last(&self, kept: usize) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(move |index| &self.order(index)[self.pixels.saturating_sub(kept)..])
    }

    const fn has_curves(&self) -> bool {
        match self.method {
            Selection::Backward
            | Selection::BatchedGradient { .. }
            | Selection::Gradient { .. }
            | Selection::IntegratedGradients { .. } => true,
            Selection::Random { .. } => false,
        }
    }

    fn parse(file: &TensorFile<'_>) -> Result<Self, Damage> {
        let Facts { first, images, pixels, method } = file.facts()?;
        let mut ranking = Self::new(first, pixels, method);
        ranking.orders = if pixels <= SHORT {
            file.tensor::<u16>("order", &[images, pixels])?.into_iter().map(u32::from).collect()
        } else {
            file.tensor("order", &[images, pixels])?
        };
        if ranking.has_curves() {
            ranking.curves = Curves {
                classes: file.tensor("class", &[images])?,
                full: file.tensor("full", &[images])?,
                values: file.tensor("values", &[images, ranking.steps()])?,
            };
        }
        let mut seen = vec![usize::MAX; if images > 0 { pixels } else { 0 }];
        for index in 0..ranking.len() {
            for &pixel in ranking.order(index) {
                match seen.get_mut(pixel as usize) {
                    Some(image) if *image != index => *image = index,
                    _ => {
                        return Err(Damage::value(format_args!(
                            "the order of image {index} repeats or leaves its pixels"
                        )));
                    }
                }
            }
        }
        Ok(ranking)
    }
}

impl Artifact for Ranking {
    const NOTES: &'static [&'static str] = &[effort::EFFORT];

    fn save(&self, dir: &Path) -> Result<(), ArtifactError> {
        let images = self.len();
        let facts = Facts { first: self.first, images, pixels: self.pixels, method: self.method.clone() };
        let order = if self.pixels <= SHORT {
            let short: Vec<u16> = self.orders.iter().map(|&pixel| pixel as u16).collect();
            Tensor::new(&[images, self.pixels], &short)
        } else {
            Tensor::new(&[images, self.pixels], &self.orders)
        };
        let mut tensors = vec![("order", order)];
        if self.has_curves() {
            tensors.push(("class", Tensor::new(&[images], &self.curves.classes)));
            tensors.push(("full", Tensor::new(&[images], &self.curves.full)));
            tensors.push(("values", Tensor::new(&[images, self.steps()], &self.curves.values)));
        }
        tensor_file::write(&dir.join(Ranking::FILE), &facts, tensors)?;
        effort::write(dir, &self.efforts)
    }

    fn load(dir: &Path) -> Result<Self, ArtifactError> {
        let mut ranking = tensor_file::read(&dir.join(Ranking::FILE), Self::parse)?;
        ranking.efforts = effort::read(dir, ranking.len())?;
        Ok(ranking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(per_round: usize, order: &[u32], values: &[f32]) -> Ranking {
        let mut ranking = Ranking::new(0, order.len(), Selection::BatchedGradient { per_round, noise: 0.0 });
        ranking.push(order, Some(Curve { class: 1, full: 1.0, values }));
        ranking
    }

    #[test]
    fn subsets_keep_exactly_the_last_pixels_of_the_order() {
        let mut ranking = ranking(2, &[3, 0, 4, 2, 1], &[0.9, 0.5, 0.1]);
        ranking.push(&[0, 1, 2, 3, 4], Some(Curve { class: 0, full: 1.0, values: &[0.9, 0.5, 0.1] }));
        assert_eq!(ranking.last(2).collect::<Vec<_>>(), [[2, 1], [3, 4]]);
        assert_eq!(ranking.last(9).collect::<Vec<_>>(), [ranking.order(0), ranking.order(1)]);
    }

    #[test]
    fn the_confidence_of_a_subset_is_known_where_a_step_ended() {
        let ranking = ranking(2, &[3, 0, 4, 2, 1], &[0.9, 0.5, 0.1]);
        let known: Vec<Option<f32>> = (0..=6).map(|kept| ranking.confidence_of_last(0, kept)).collect();
        assert_eq!(known, [Some(0.1), Some(0.5), None, Some(0.9), None, Some(1.0), None]);
    }

    #[test]
    fn parts_that_follow_each_other_are_the_whole() {
        let method = Selection::Backward;
        let push = |ranking: &mut Ranking, order: &[u32], full| {
            ranking.push(order, Some(Curve { class: 3, full, values: &[0.7, 0.1] }));
        };
        let [mut whole, mut one, mut other] = [4, 4, 5].map(|first| Ranking::new(first, 2, method.clone()));
        push(&mut whole, &[1, 0], 0.9);
        push(&mut whole, &[0, 1], 0.8);
        push(&mut one, &[1, 0], 0.9);
        push(&mut other, &[0, 1], 0.8);
        let effort = |evaluated| Effort { evaluated, ..Effort::default() };
        whole.note(vec![effort(3), effort(2)]);
        one.note(vec![effort(3)]);
        other.note(vec![effort(2)]);
        one.extend(other);
        assert_eq!(one, whole);
    }

    #[test]
    fn random_orders_have_no_curve() {
        let seeds = overinterp_spec::RandomSeeds { train: Some(1), test: Some(2) };
        let mut ranking = Ranking::new(0, 2, Selection::Random { seeds });
        ranking.push(&[1, 0], None);
        assert_eq!((ranking.len(), ranking.curve(0), ranking.confidence_of_last(0, 1)), (1, None, None));
    }
}
