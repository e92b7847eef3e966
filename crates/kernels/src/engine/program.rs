//! A network as a list of fused layers.

use super::slots::Slots;
use super::spans::Spans;
use crate::conv::{Convolution, InputGradient, Region};
use crate::isa::Isa;

/// What a program is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Logits of candidates, in the least time.
    Candidates,
    /// Logits of images and candidates, by direct convolution and tiles of 4x4 alone. What rests on the bits of these is
    /// older than [`Purpose::Candidates`].
    Scores,
    /// Logits, and the gradient of a function of them with respect to the input.
    Gradients,
    /// Logits of whole images, to be had in the least time. Candidates may be asked for, but cost more than by
    /// [`Purpose::Candidates`], and the bits of the logits are others.
    WholeImages,
}

/// Size of a map; its values lie `[height, width, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// How many rows of pixels it has.
    pub height: usize,
    /// How many pixels each row has.
    pub width: usize,
    /// Values per pixel.
    pub channels: usize,
}

impl MapShape {
    /// The number of values.
    #[must_use]
    pub const fn values(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Height and width.
    #[must_use]
    pub const fn size(self) -> [usize; 2] {
        [self.height, self.width]
    }
}

/// A map of a program: its input, or what a layer yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapId(pub(super) usize);

/// What a layer does to its input, before the addend and the ReLU.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Convolution with bias; a linear layer is one on a single pixel. The gradient is there if asked for.
    Conv { forward: Box<Convolution>, gradient: Option<Box<InputGradient>> },
    /// x scale + shift, per channel.
    Affine { scale: Vec<f32>, shift: Vec<f32> },
    /// The largest value in each window; the border never wins.
    MaxPool { kernel: usize, stride: usize, padding: usize },
    /// The mean of each window; the border counts as zeros.
    MeanPool { kernel: usize, stride: usize, padding: usize },
    /// Every `stride`-th pixel, with `padding` channels of zeros on each side.
    Subsample { stride: usize, padding: usize },
    /// The input's channels and behind them the addend's, which here is not added.
    Join,
    /// The mean over all pixels.
    Mean,
}

/// A fused layer: `relu(op(input) + addend)`.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) op: Op,
    pub(super) input: MapId,
    pub(super) addend: Option<MapId>,
    pub(super) relu: bool,
}

impl Layer {
    /// The maps it reads.
    pub(super) fn sources(&self) -> impl Iterator<Item = MapId> {
        std::iter::once(self.input).chain(self.addend)
    }
}

/// A network compiled for inference.
#[derive(Debug)]
pub struct Program {
    pub(super) isa: Isa,
    pub(super) purpose: Purpose,
    /// Map 0 is the input; layer l yields map l + 1.
    pub(super) maps: Vec<MapShape>,
    pub(super) layers: Vec<Layer>,
    pub(super) spans: Spans,
    pub(super) slots: Slots,
}

impl Program {
    /// Size of the images it takes.
    #[must_use]
    pub fn input(&self) -> MapShape {
        self.maps[0]
    }

    /// The number of logits.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.maps[self.maps.len() - 1].values()
    }

    /// How many candidates pass together through its last layers, of which each weight is read once for all.
    #[must_use]
    pub fn group(&self) -> usize {
        self.slots.group()
    }

    /// The instruction set that its kernels use.
    #[must_use]
    pub const fn isa(&self) -> Isa {
        self.isa
    }

    /// What it was compiled for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Multiplications of its convolutions for one image as they are defined, those with borders of zeros left out.
    #[must_use]
    pub fn multiplications(&self) -> u64 {
        self.convolutions().map(|(_, conv)| conv.shape().multiplications()).sum()
    }

    /// Multiplications that its convolutions carry out for the candidate that masks pixel (y, x), transforms left out.
    #[must_use]
    pub fn candidate_multiplications(&self, y: usize, x: usize) -> u64 {
        let region = |layer: usize| self.spans.changed(MapId(layer + 1), y, x);
        self.convolutions()
            .filter_map(|(layer, conv)| region(layer).map(|region| conv.region_multiplications(region)))
            .sum()
    }

    /// The bytes of its convolutions' packed weights.
    pub(super) fn weight_bytes(&self) -> usize {
        self.convolutions().map(|(_, conv)| conv.weight_bytes()).sum()
    }

    pub(crate) fn convolutions(&self) -> impl Iterator<Item = (usize, &Convolution)> {
        self.layers.iter().enumerate().filter_map(|(index, layer)| match &layer.op {
            Op::Conv { forward, .. } => Some((index, &**forward)),
            Op::Affine { .. }
            | Op::MaxPool { .. }
            | Op::MeanPool { .. }
            | Op::Subsample { .. }
            | Op::Join
            | Op::Mean => None,
        })
    }
}

/// The whole of a map.
pub(super) fn whole(shape: MapShape) -> Region {
    Region::whole(shape.size())
}
