//! Puts a program together.

use super::program::{Layer, MapId, MapShape, Op, Program, Purpose};
use super::slots::Slots;
use super::spans::{Link, Reach, Spans};
use crate::conv::{Algorithm, ConvShape, Convolution, InputGradient};
use crate::isa::Isa;

/// A convolution as a [`ProgramBuilder`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct ConvLayer<'a> {
    /// PyTorch's weights `[out, in, height, width]`.
    pub weights: &'a [f32],
    /// One value per output.
    pub bias: &'a [f32],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Step in both directions.
    pub stride: usize,
    /// Zeros added above and below, and left and right.
    pub padding: [usize; 2],
}

/// Puts a [`Program`] together, layer by layer.
///
/// Each method adds `relu(op(x) + addend)` and gives the map that it yields. Sizes are the caller's to get right;
/// a contradiction panics.
#[derive(Debug)]
pub struct ProgramBuilder {
    isa: Isa,
    purpose: Purpose,
    maps: Vec<MapShape>,
    drafts: Vec<Draft>,
}

/// A layer before it is known how its convolution is best computed.
#[derive(Debug)]
struct Draft {
    op: DraftOp,
    input: MapId,
    addend: Option<MapId>,
    relu: bool,
}

#[derive(Debug)]
enum DraftOp {
    Conv { shape: ConvShape, weights: Vec<f32>, bias: Vec<f32> },
    Other { op: Op, reach: Reach },
}

impl ProgramBuilder {
    /// A program that so far only has its input.
    #[must_use]
    pub fn new(isa: Isa, purpose: Purpose, input: MapShape) -> Self {
        Self { isa: isa.or_portable(), purpose, maps: vec![input], drafts: Vec::new() }
    }

    /// The input map.
    #[must_use]
    pub const fn input(&self) -> MapId {
        MapId(0)
    }

    /// Size of a map.
    #[must_use]
    pub fn shape(&self, map: MapId) -> MapShape {
        self.maps[map.0]
    }

    /// Adds a convolution.
    ///
    /// # Panics
    /// When sizes contradict each other.
    pub fn conv(&mut self, x: MapId, conv: &ConvLayer, addend: Option<MapId>, relu: bool) -> MapId {
        let input = self.shape(x);
        let channels = conv.bias.len();
        let shape = ConvShape::layer(input.size(), input.channels, channels, conv.kernel, conv.stride, conv.padding);
        let op = DraftOp::Conv { shape, weights: conv.weights.to_vec(), bias: conv.bias.to_vec() };
        let [height, width] = shape.output;
        self.push(Draft { op, input: x, addend, relu }, MapShape { height, width, channels })
    }

    /// Adds a linear layer on a map of one pixel: weights `[out, in]`, bias `[out]`.
    ///
    /// # Panics
    /// When the map has more pixels, or sizes contradict each other.
    pub fn linear(&mut self, x: MapId, weights: &[f32], bias: &[f32]) -> MapId {
        assert_eq!(self.shape(x).size(), [1, 1], "a linear layer takes one pixel");
        self.conv(x, &ConvLayer { weights, bias, kernel: [1, 1], stride: 1, padding: [0, 0] }, None, false)
    }

    /// Adds x scale + shift, per channel.
    ///
    /// # Panics
    /// When there is not one scale and shift for each channel.
    pub fn affine(&mut self, x: MapId, scale: Vec<f32>, shift: Vec<f32>, addend: Option<MapId>, relu: bool) -> MapId {
        let shape = self.shape(x);
        assert_eq!([scale.len(), shift.len()], [shape.channels; 2], "one scale and shift per channel");
        let op = DraftOp::Other { op: Op::Affine { scale, shift }, reach: Reach::square(1, 1, 0) };
        self.push(Draft { op, input: x, addend, relu }, shape)
    }

    /// Adds max pooling.
    ///
    /// # Panics
    /// When a window could lie wholly in the border, or the kernel exceeds the padded map.
    pub fn max_pool(&mut self, x: MapId, kernel: usize, stride: usize, padding: usize) -> MapId {
        assert!(padding < kernel, "a window must not lie wholly in the border");
        let input = self.shape(x);
        let [height, width] = input.size().map(|size| (size + 2 * padding - kernel) / stride + 1);
        let reach = Reach::square(kernel, stride, padding);
        self.push_plain(Op::MaxPool { kernel, stride, padding }, reach, x, MapShape { height, width, ..input })
    }

    /// Adds the mean of each window, in which the border counts as zeros.
    ///
    /// # Panics
    /// When the kernel exceeds the padded map.
    pub fn mean_pool(&mut self, x: MapId, kernel: usize, stride: usize, padding: usize) -> MapId {
        let input = self.shape(x);
        let [height, width] = input.size().map(|size| (size + 2 * padding - kernel) / stride + 1);
        let reach = Reach::square(kernel, stride, padding);
        self.push_plain(Op::MeanPool { kernel, stride, padding }, reach, x, MapShape { height, width, ..input })
    }

    /// Puts the channels of one map behind those of another.
    ///
    /// # Panics
    /// When the maps differ in height or width.
    pub fn join(&mut self, first: MapId, second: MapId) -> MapId {
        let (shape, behind) = (self.shape(first), self.shape(second));
        assert_eq!(shape.size(), behind.size(), "maps that are joined have one height and width");
        let op = DraftOp::Other { op: Op::Join, reach: Reach::square(1, 1, 0) };
        self.drafts.push(Draft { op, input: first, addend: Some(second), relu: false });
        self.maps.push(MapShape { channels: shape.channels + behind.channels, ..shape });
        MapId(self.drafts.len())
    }

    /// Adds ResNet's parameter-free shortcut.
    pub fn subsample(&mut self, x: MapId, stride: usize, padding: usize) -> MapId {
        let MapShape { height, width, channels } = self.shape(x);
        let (height, width) = (height.div_ceil(stride), width.div_ceil(stride));
        let shape = MapShape { height, width, channels: channels + 2 * padding };
        self.push_plain(Op::Subsample { stride, padding }, Reach::square(1, stride, 0), x, shape)
    }

    /// Adds the mean over all pixels.
    pub fn mean(&mut self, x: MapId) -> MapId {
        let channels = self.shape(x).channels;
        self.push_plain(Op::Mean, Reach::All, x, MapShape { height: 1, width: 1, channels })
    }

    /// The program; its last layer yields the logits.
    ///
    /// # Panics
    /// When the last layer yields more than one pixel.
    #[must_use]
    pub fn finish(self) -> Program {
        assert_eq!(self.maps[self.maps.len() - 1].size(), [1, 1], "the logits are one pixel");
        let algorithms = self.algorithms();
        let spans = Spans::new(&self.maps, &self.links(&algorithms));
        let Self { isa, purpose, maps, drafts } = self;
        let layers: Vec<Layer> = drafts
            .into_iter()
            .zip(algorithms)
            .map(|(Draft { op, input, addend, relu }, algorithm)| Layer {
                op: op.finish(isa, purpose, algorithm),
                input,
                addend,
                relu,
            })
            .collect();
        let slots = Slots::new(&maps, &layers, &spans);
        Program { isa, purpose, maps, layers, spans, slots }
    }

    fn push_plain(&mut self, op: Op, reach: Reach, input: MapId, shape: MapShape) -> MapId {
        self.push(Draft { op: DraftOp::Other { op, reach }, input, addend: None, relu: false }, shape)
    }

    fn push(&mut self, draft: Draft, shape: MapShape) -> MapId {
        if let Some(addend) = draft.addend {
            assert_eq!(self.shape(addend), shape, "an addend has the size of what it is added to");
        }
        self.drafts.push(draft);
        self.maps.push(shape);
        MapId(self.drafts.len())
    }

    /// The algorithm of each layer: those that together take the least time for what the program is for.
    ///
    /// A candidate's regions grow to whole tiles where Winograd's algorithm is used, and the layers after it pay for
    /// that. So, from the last layer to the first, it is used where that makes the whole cheaper.
    fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = vec![Algorithm::Direct; self.drafts.len()];
        let mut least = self.cost(&algorithms);
        for index in (0..self.drafts.len()).rev() {
            let DraftOp::Conv { shape, .. } = &self.drafts[index].op else { continue };
            for tiled in self.tiled().iter().filter(|tiled| tiled.tiles(shape).is_some()) {
                let before = std::mem::replace(&mut algorithms[index], *tiled);
                let cost = self.cost(&algorithms);
                if cost < least {
                    least = cost;
                } else {
                    algorithms[index] = before;
                }
            }
        }
        algorithms
    }

    /// The algorithms that are tried beside the direct one.
    const fn tiled(&self) -> &'static [Algorithm] {
        match self.purpose {
            Purpose::Candidates => &[Algorithm::Winograd, Algorithm::Small],
            Purpose::Scores | Purpose::Gradients | Purpose::WholeImages => &[Algorithm::Winograd],
        }
    }

    /// What all convolutions cost: over all candidates, or once on whole maps.
    fn cost(&self, algorithms: &[Algorithm]) -> f64 {
        let spans = match self.purpose {
            Purpose::Candidates | Purpose::Scores => Some(Spans::new(&self.maps, &self.links(algorithms))),
            Purpose::Gradients | Purpose::WholeImages => None,
        };
        let layer = |(index, draft): (usize, &Draft)| match (&draft.op, &spans) {
            (DraftOp::Conv { shape, .. }, Some(spans)) => {
                let along = |axis| spans.along(axis, MapId(index + 1));
                algorithms[index].cost(shape, along(0), along(1))
            }
            (DraftOp::Conv { shape, .. }, None) => {
                let [rows, columns] = shape.output.map(|size| 0..size);
                algorithms[index].cost(shape, &[rows], &[columns])
            }
            (DraftOp::Other { .. }, _) => 0.0,
        };
        self.drafts.iter().enumerate().map(layer).sum()
    }

    fn links(&self, algorithms: &[Algorithm]) -> Vec<Link> {
        let link = |(draft, algorithm): (&Draft, &Algorithm)| {
            let reach = match &draft.op {
                DraftOp::Conv { shape, .. } => {
                    algorithm.tiles(shape).map_or_else(|| Reach::direct(shape), |tiles| Reach::tiles(shape, tiles))
                }
                DraftOp::Other { reach, .. } => *reach,
            };
            Link { reach, input: draft.input, addend: draft.addend }
        };
        self.drafts.iter().zip(algorithms).map(link).collect()
    }
}

impl DraftOp {
    fn finish(self, isa: Isa, purpose: Purpose, algorithm: Algorithm) -> Op {
        match self {
            Self::Conv { shape, weights, bias } => Op::Conv {
                forward: Box::new(Convolution::new(isa, shape, &weights, Some(&bias), algorithm)),
                gradient: match purpose {
                    Purpose::Candidates | Purpose::Scores | Purpose::WholeImages => None,
                    Purpose::Gradients => Some(Box::new(InputGradient::new(isa, shape, &weights, algorithm))),
                },
            },
            Self::Other { op, .. } => op,
        }
    }
}
