//! A model at rest on any device: the networks of an ensemble, and what their input dropout keeps.

use candle_core::{Device, Result, Tensor};

use crate::arch::{self, ArchError};
use crate::finite::{NotFinite, check_weights};
use crate::gpu::evaluation::EvaluationNetwork;
use crate::images::views::{View, Views};
use crate::input_dropout::{Use, draw, keeps_all};
use crate::tensors::TensorsError;
use overinterp_artifacts::Model;
use overinterp_spec::{ImageShape, SeededDropout};

/// Why a model cannot be put on a device.
#[derive(Debug, thiserror::Error)]
pub enum GpuModelError {
    /// An architecture cannot take such images.
    #[error(transparent)]
    Arch(#[from] ArchError),
    /// The weights do not fit the architecture, or the device failed.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The weights are no numbers.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

/// A model that is only evaluated.
pub struct GpuModel {
    members: Vec<Member>,
    views: Views,
    shape: ImageShape,
    device: Device,
}

/// A network of it.
struct Member {
    network: EvaluationNetwork,
    dropout: Option<SeededDropout>,
    view: View,
}

/// What is kept of some images: for each member the factors `[images, height, width, 1]` of each of its samples, none
/// for a member that sees every pixel.
pub struct Kept(Vec<Vec<Tensor>>);

impl Kept {
    /// What is kept of images by their places, `[places]`; nothing of what every pixel is kept of.
    pub(crate) fn of(&self, places: &Tensor) -> Result<Self> {
        let samples = |samples: &Vec<Tensor>| samples.iter().map(|kept| kept.index_select(places, 0)).collect();
        Ok(Self(self.0.iter().map(samples).collect::<Result<_>>()?))
    }
}

impl GpuModel {
    /// Puts every network of `model` on a device.
    ///
    /// # Errors
    /// When a network does not fit its architecture, its weights are not finite, or the device fails.
    pub fn new(model: &Model, device: &Device) -> std::result::Result<Self, GpuModelError> {
        check_weights(model)?;
        let views = Views::of(model);
        let mut members = Vec::new();
        for network in &model.networks {
            let graph = arch::build(network.arch, model.shape, model.classes)?;
            let dropout = network.input_dropout.filter(|dropout| !keeps_all(dropout.keep));
            let view = views.of_network(network);
            members.push(Member { network: EvaluationNetwork::new(&graph, &network.tensors, device)?, dropout, view });
        }
        Ok(Self { members, views, shape: model.shape, device: device.clone() })
    }

    /// The ways in which its networks are shown an image.
    pub(crate) const fn views(&self) -> &Views {
        &self.views
    }

    /// Where the weights lie.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Draws what input dropout keeps of images by their numbers.
    ///
    /// # Errors
    /// When the device fails.
    pub fn draw(&self, purpose: Use, images: &[u32]) -> Result<Kept> {
        let ImageShape { height, width, .. } = self.shape;
        let mut kept = vec![false; self.shape.pixels()];
        let mut sample_of = |dropout: SeededDropout, sample: usize| {
            let mut factors = Vec::with_capacity(images.len() * kept.len());
            for &image in images {
                draw(dropout, purpose, sample, image as usize, &mut kept);
                factors.extend(kept.iter().map(|&kept| if kept { 1.0_f32 } else { 0.0 }));
            }
            Tensor::from_vec(factors, (images.len(), height, width, 1), &self.device)
        };
        let members = self.members.iter().map(|Member { dropout, .. }| {
            let samples =
                dropout.map(|dropout| (0..dropout.samples.max(1)).map(|sample| sample_of(dropout, sample)).collect());
            samples.unwrap_or_else(|| Ok(Vec::new()))
        });
        Ok(Kept(members.collect::<Result<_>>()?))
    }

    /// The logits `[batch, classes]` of normalised, masked images `x` `[batch, height, width, channels]`, of which
    /// `kept` is kept: one draw an image, or one for all. The channels are those of every way in which its networks
    /// normalise images. Differentiable with respect to `x`.
    ///
    /// # Errors
    /// When `x` has another shape than the model takes, or the device fails.
    pub fn logits(&self, x: &Tensor, kept: &Kept) -> Result<Tensor> {
        let members = self.members.iter().zip(&kept.0).map(|(Member { network, view, .. }, kept)| {
            let x = seen(x, *view)?;
            match kept[..] {
                [] => network.logits(&x),
                _ => mean(kept.iter().map(|kept| network.logits(&x.broadcast_mul(kept)?))),
            }
        });
        mean(members)
    }
}

/// A network's channels of images.
fn seen(x: &Tensor, view: View) -> Result<Tensor> {
    let (first, channels) = view.channels();
    if view.is_whole() { Ok(x.clone()) } else { x.narrow(3, first, channels)?.contiguous() }
}

/// The mean of at least one tensor; of one, that tensor.
fn mean(tensors: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
    let (mut total, mut count) = (None, 0.0);
    for tensor in tensors {
        let tensor = tensor?;
        count += 1.0;
        total = Some(match total {
            None => tensor,
            Some(total) => (total + tensor)?,
        });
    }
    match total {
        None => candle_core::bail!("a model has at least one network"),
        Some(total) if count > 1.0 => total / count,
        Some(total) => Ok(total),
    }
}
