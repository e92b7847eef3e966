//! A network as a list of fused layers.

use super::slots::Slots;
use super::spans::Spans;
use crate::kernels::conv::{ConvShape, DirectConv, InputGradient, Window};
use crate::kernels::isa::Isa;

/// What a program is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Logits, of images and of their candidates.
    Scores,
    /// Logits, and the gradient of a function of them with respect to the input.
    Gradients,
}

/// Size of a map; its values lie `[height, width, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Rows.
    pub height: usize,
    /// Columns.
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
    Conv { forward: Box<DirectConv>, gradient: Option<Box<InputGradient>> },
    /// x scale + shift, per channel.
    Affine { scale: Vec<f32>, shift: Vec<f32> },
    /// The largest value in each window; the border never wins.
    MaxPool { kernel: usize, stride: usize, padding: usize },
    /// Every `stride`-th pixel, with `padding` channels of zeros on each side.
    Subsample { stride: usize, padding: usize },
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

/// A network compiled for inference.
#[derive(Debug)]
pub struct Program {
    isa: Isa,
    purpose: Purpose,
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

    /// Multiplications of its convolutions for one image, those with borders of zeros left out.
    #[must_use]
    pub fn multiplications(&self) -> u64 {
        self.convolutions().map(|(_, conv)| conv.shape().multiplications()).sum()
    }

    /// Multiplications of its convolutions for the candidate that masks pixel (y, x).
    #[must_use]
    pub fn candidate_multiplications(&self, y: usize, x: usize) -> u64 {
        let window = |layer: usize| self.spans.changed(MapId(layer + 1), y, x);
        self.convolutions()
            .filter_map(|(layer, conv)| window(layer).map(|window| conv.shape().window_multiplications(window)))
            .sum()
    }

    fn convolutions(&self) -> impl Iterator<Item = (usize, &DirectConv)> {
        self.layers.iter().enumerate().filter_map(|(index, layer)| match &layer.op {
            Op::Conv { forward, .. } => Some((index, &**forward)),
            Op::Affine { .. } | Op::MaxPool { .. } | Op::Subsample { .. } | Op::Mean => None,
        })
    }
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
    layers: Vec<Layer>,
}

impl ProgramBuilder {
    /// A program that so far only has its input.
    #[must_use]
    pub fn new(isa: Isa, purpose: Purpose, input: MapShape) -> Self {
        Self { isa: isa.or_portable(), purpose, maps: vec![input], layers: Vec::new() }
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
        let outputs = conv.bias.len();
        let shape = ConvShape::layer(input.size(), input.channels, outputs, conv.kernel, conv.stride, conv.padding);
        let forward = Box::new(DirectConv::new(self.isa, shape, conv.weights, Some(conv.bias)));
        let gradient = match self.purpose {
            Purpose::Scores => None,
            Purpose::Gradients => Some(Box::new(InputGradient::new(self.isa, shape, conv.weights))),
        };
        let [height, width] = shape.output;
        self.push(Op::Conv { forward, gradient }, x, addend, relu, MapShape { height, width, channels: outputs })
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
        self.push(Op::Affine { scale, shift }, x, addend, relu, shape)
    }

    /// Adds max pooling.
    ///
    /// # Panics
    /// When a window could lie wholly in the border, or the kernel exceeds the padded map.
    pub fn max_pool(&mut self, x: MapId, kernel: usize, stride: usize, padding: usize) -> MapId {
        assert!(padding < kernel, "a window must not lie wholly in the border");
        let input = self.shape(x);
        let [height, width] = input.size().map(|size| (size + 2 * padding - kernel) / stride + 1);
        self.push(Op::MaxPool { kernel, stride, padding }, x, None, false, MapShape { height, width, ..input })
    }

    /// Adds ResNet's parameter-free shortcut.
    pub fn subsample(&mut self, x: MapId, stride: usize, padding: usize) -> MapId {
        let MapShape { height, width, channels } = self.shape(x);
        let shape = MapShape {
            height: height.div_ceil(stride),
            width: width.div_ceil(stride),
            channels: channels + 2 * padding,
        };
        self.push(Op::Subsample { stride, padding }, x, None, false, shape)
    }

    /// Adds the mean over all pixels.
    pub fn mean(&mut self, x: MapId) -> MapId {
        let channels = self.shape(x).channels;
        self.push(Op::Mean, x, None, false, MapShape { height: 1, width: 1, channels })
    }

    /// The program; its last layer yields the logits.
    ///
    /// # Panics
    /// When there is no layer, or the last one yields more than one pixel.
    #[must_use]
    pub fn finish(self) -> Program {
        let Self { isa, purpose, maps, layers } = self;
        assert_eq!(maps[maps.len() - 1].size(), [1, 1], "the logits are one pixel");
        let spans = Spans::new(&maps, &layers);
        let slots = Slots::new(&maps, &layers, &spans);
        Program { isa, purpose, maps, layers, spans, slots }
    }

    fn push(&mut self, op: Op, input: MapId, addend: Option<MapId>, relu: bool, shape: MapShape) -> MapId {
        if let Some(addend) = addend {
            assert_eq!(self.shape(addend), shape, "an addend has the size of what it is added to");
        }
        self.layers.push(Layer { op, input, addend, relu });
        self.maps.push(shape);
        MapId(self.layers.len())
    }
}

/// The whole of a map.
pub(super) fn whole(shape: MapShape) -> Window {
    Window::whole(shape.size())
}
