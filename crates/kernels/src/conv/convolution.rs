//! A convolution by whichever algorithm suits it.

use std::ops::Range;

use super::direct::{DirectConv, Finish, Job};
use super::geometry::{ConvShape, Region};
use super::winograd::{Tiles, WinogradConv};
use crate::isa::Isa;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Each product by itself: any shape.
    Direct,
    /// In transformed tiles of 4x4 outputs: 3x3, stride 1, channels in eights. Other shapes are computed directly.
    Winograd,
    /// Transformed, a map of 2x2 at once: 3x3, stride 1, channels in eights, a border of one. Other shapes are computed
    /// directly.
    Small,
}

impl Algorithm {
    /// The tiles that it divides a convolution into, if that can be.
    #[must_use]
    pub fn tiles(self, shape: &ConvShape) -> Option<Tiles> {
        let tiles = match self {
            Self::Direct => return None,
            Self::Winograd => Tiles::FourByFour,
            Self::Small => Tiles::WholeMap,
        };
        tiles.fit(shape).then_some(tiles)
    }

    /// Of the direct one and tiles of 4x4, the one that takes less time for the whole map.
    #[must_use]
    pub fn faster(shape: &ConvShape) -> Self {
        let [rows, columns] = shape.output.map(|size| 0..size);
        let cost = |algorithm: Self| algorithm.cost(shape, std::slice::from_ref(&rows), std::slice::from_ref(&columns));
        if Self::Winograd.tiles(shape).is_some() && cost(Self::Winograd) < cost(Self::Direct) {
            Self::Winograd
        } else {
            Self::Direct
        }
    }

    /// About how many products' time it takes to compute regions of the output: any of `rows` with any of `columns`.
    ///
    /// What a tile's transforms cost was measured (`benches/NOTES.md`).
    #[must_use]
    pub fn cost(self, shape: &ConvShape, rows: &[Range<usize>], columns: &[Range<usize>]) -> f64 {
        let (inputs, outputs) = (shape.inputs as f64, shape.outputs as f64);
        let along = |axis: usize, count: &dyn Fn(usize, &Range<usize>) -> usize| {
            [rows, columns][axis].iter().map(|span| count(axis, span)).sum::<usize>() as f64
        };
        let total = |count: &dyn Fn(usize, &Range<usize>) -> usize| along(0, count) * along(1, count);
        match self.tiles(shape) {
            None => total(&|axis, span| shape.taps(axis, span)) * inputs * outputs,
            Some(tiles) => {
                let places = tiles.places() as f64;
                total(&|_, span| tiles.span(span).len())
                    * (places * inputs * outputs + places * TRANSFORM * (inputs + outputs))
            }
        }
    }
}

/// What transforming one channel of a tile costs, in products for each of its places.
const TRANSFORM: f64 = 100.0 / 9.0;

/// A convolution with packed weights, ready to be applied any number of times from any thread.
#[derive(Clone, Debug)]
pub enum Convolution {
    /// See [`DirectConv`].
    Direct(DirectConv),
    /// See [`WinogradConv`].
    Winograd(WinogradConv),
}

impl Convolution {
    /// Packs PyTorch's weights `[out, in, height, width]` and a bias `[out]`.
    ///
    /// # Panics
    /// When a length contradicts `shape`.
    #[must_use]
    pub fn new(isa: Isa, shape: ConvShape, weights: &[f32], bias: Option<&[f32]>, algorithm: Algorithm) -> Self {
        let [height, width] = shape.kernel;
        assert_eq!(weights.len(), shape.outputs * shape.inputs * height * width, "weights must fit the shape");
        Self::from_fn(isa, shape, bias, algorithm, |output, input, ky, kx| {
            weights[((output * shape.inputs + input) * height + ky) * width + kx]
        })
    }

    /// As [`Convolution::new`], from `weight(out, in, ky, kx)`.
    pub(super) fn from_fn(
        isa: Isa,
        shape: ConvShape,
        bias: Option<&[f32]>,
        algorithm: Algorithm,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        match algorithm.tiles(&shape) {
            Some(tiles) => Self::Winograd(WinogradConv::from_fn(isa, shape, tiles, bias, weight)),
            None => Self::Direct(DirectConv::from_fn(isa, shape, bias, weight)),
        }
    }

    /// The sizes of its maps and its kernel.
    #[must_use]
    pub const fn shape(&self) -> &ConvShape {
        match self {
            Self::Direct(conv) => conv.shape(),
            Self::Winograd(conv) => conv.shape(),
        }
    }

    /// Multiplications that a region of the output takes, transforms left out.
    #[must_use]
    pub fn region_multiplications(&self, region: Region) -> u64 {
        match self {
            Self::Direct(conv) => conv.shape().region_multiplications(region),
            Self::Winograd(conv) => conv.region_multiplications(region),
        }
    }

    /// How many rows pass over the weights when regions of the output are computed, any of `rows` with any of `columns`:
    /// pixels, or tiles.
    #[must_use]
    pub fn weight_rows(&self, rows: &[Range<usize>], columns: &[Range<usize>]) -> usize {
        let along = |spans: &[Range<usize>]| {
            let count = |span: &Range<usize>| match self {
                Self::Direct(_) => span.len(),
                Self::Winograd(conv) => conv.tiles().span(span).len(),
            };
            spans.iter().map(count).sum::<usize>()
        };
        along(rows) * along(columns)
    }

    /// The bytes of its packed weights.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let taps = match self {
            Self::Direct(conv) => conv.shape().kernel.into_iter().product(),
            Self::Winograd(conv) => conv.tiles().places(),
        };
        taps * self.shape().inputs * self.shape().outputs * size_of::<f32>()
    }

    /// Computes each job's region, as [`DirectConv::apply`] does.
    ///
    /// # Panics
    /// When a region, or the input that it needs, lies outside its slice, or the jobs' inputs differ in row length.
    pub fn apply(&self, input: &[f32], output: &mut [f32], addend: Option<&[f32]>, finish: Finish, jobs: &[Job]) {
        match self {
            Self::Direct(conv) => conv.apply(input, output, addend, finish, jobs),
            Self::Winograd(conv) => conv.apply(input, output, addend, finish, jobs),
        }
    }
}
