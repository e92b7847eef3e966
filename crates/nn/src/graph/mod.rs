//! A network as a value: a list of operations, each reading the outputs of earlier ones.
//!
//! Every architecture is written once, as a [`Graph`]. Training walks it over candle tensors, inference compiles
//! it into the fused engine of [`overinterp_kernels`], and the parameter list drives initialisation, import and
//! export. Shapes leave out the batch.

pub(crate) mod folding;
pub mod fusion;
pub mod spread;
pub(crate) mod walk;

pub use overinterp_kernels::ops::Window;
use overinterp_spec::ImageShape;
pub use spread::Spread;

/// Epsilon of batch norms that name no other, PyTorch's default.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;
/// Weight of a batch's statistics in the running ones, PyTorch's default.
pub const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// The place of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// One operation and the shape of what it yields.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// The nodes it reads, in order.
    pub inputs: Vec<NodeId>,
    /// What it yields: `[height, width, channels]`; after [`Op::GlobalMean`] and [`Op::Linear`] 1 by 1.
    pub shape: ImageShape,
}

/// An operation on feature maps.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The normalised, masked image.
    Input,
    /// Cross-correlation with `{name}.weight` `[out, in / groups, height, width]` and, if `bias`, `{name}.bias`.
    Conv {
        /// Prefix of the parameters.
        name: String,
        /// Whether a bias is added.
        bias: bool,
        /// Height and width of the window.
        kernel: [usize; 2],
        /// Step in both directions.
        stride: usize,
        /// Zeros added above and below, and left and right.
        padding: [usize; 2],
        /// Its groups and its dilation.
        spread: Spread,
    },
    /// Batch normalisation with `{name}.weight`, `.bias`, `.running_mean`, `.running_var`.
    BatchNorm {
        /// Prefix of the parameters.
        name: String,
        /// What is added to the variance.
        epsilon: f64,
    },
    /// max(x, 0).
    Relu,
    /// The sum of two maps of equal shape.
    Add,
    /// Largest value in each window; padding never wins.
    MaxPool {
        /// Height and width of the window.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
        /// Border on each side.
        padding: usize,
    },
    /// The mean of each window; padding counts as zeros.
    MeanPool {
        /// Height and width of the window.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
        /// Border on each side.
        padding: usize,
    },
    /// All maps that it reads, the channels of each behind those of the one before.
    Concat,
    /// ResNet's parameter-free shortcut (option A): every `stride`-th pixel, `padding` zero channels on each side.
    Subsample {
        /// Step in both directions.
        stride: usize,
        /// Channels of zeros before and after.
        padding: usize,
    },
    /// Sets each value to 0 with probability `rate` and scales the rest by 1/(1-rate), in training only.
    Dropout {
        /// Probability of 0.
        rate: f64,
    },
    /// The mean over all pixels, per channel.
    GlobalMean,
    /// x W' + b with `{name}.weight` `[out, in]` and `{name}.bias`; the input has one pixel.
    Linear {
        /// Prefix of the parameters.
        name: String,
    },
}

/// A tensor that a model file holds for a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name as PyTorch has it, such as `layer1.0.conv1.weight`.
    pub name: String,
    /// Its shape as PyTorch has it, such as `[out, in, height, width]` of a convolution's weights.
    pub shape: Vec<usize>,
    /// How it starts.
    pub init: Init,
    /// Whether gradient descent changes it (batch-norm statistics are not trained).
    pub trained: bool,
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All values are 0, as a batch norm's shift and running mean are.
    Zeros,
    /// All values are 1, as a batch norm's scale and running variance are.
    Ones,
    /// Normal with this deviation.
    Normal(f64),
    /// Uniform in plus or minus this bound.
    Uniform(f64),
}

impl Init {
    /// PyTorch's default for convolutions, linear layers and their biases: uniform within 1/sqrt(inputs).
    #[must_use]
    pub fn pytorch_default(inputs: usize) -> Self {
        Self::Uniform(1.0 / as_f64(inputs).sqrt())
    }

    /// Kaiming normal over the inputs of one output (He et al. 2015): deviation sqrt(2/inputs).
    #[must_use]
    pub fn kaiming_normal(inputs: usize) -> Self {
        Self::Normal((2.0 / as_f64(inputs)).sqrt())
    }
}

const fn as_f64(count: usize) -> f64 {
    count as f64
}

/// How a convolution's weights start, given its kernel's area, inputs and outputs.
pub type ConvInit = fn(area: usize, inputs: usize, outputs: usize) -> Init;

/// A network under construction, and then for use. Node 0 is the input; the last node yields the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    parameters: Vec<Parameter>,
}

/// The shape of what a window yields when it slides over a map; the graph's builders only have windows that fit.
fn slid(window: Window, input: ImageShape, channels: usize) -> ImageShape {
    let extent = |size: usize, axis: usize| (size + 2 * window.padding[axis] - window.kernel[axis]) / window.stride + 1;
    ImageShape { height: extent(input.height, 0), width: extent(input.width, 1), channels }
}

impl Graph {
    /// A graph that so far only has its input.
    #[must_use]
    pub fn new(shape: ImageShape) -> Self {
        Self { nodes: vec![Node { op: Op::Input, inputs: Vec::new(), shape }], parameters: Vec::new() }
    }

    /// Every node; each reads only earlier ones.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with that place.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Every tensor of the network, in the order of its layers.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The number of trained values.
    #[must_use]
    pub fn trained_values(&self) -> usize {
        self.parameters.iter().filter(|p| p.trained).map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// The input node.
    #[must_use]
    pub const fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// Adds a convolution without a bias.
    pub fn conv(&mut self, name: &str, x: NodeId, outputs: usize, window: Window, init: ConvInit) -> NodeId {
        self.conv_layer(name, x, outputs, window, Spread::NONE, init, None)
    }

    /// Adds a convolution with a bias that starts as `bias`.
    pub fn conv_with_bias(
        &mut self,
        name: &str,
        x: NodeId,
        outputs: usize,
        window: Window,
        init: ConvInit,
        bias: Init,
    ) -> NodeId {
        self.conv_layer(name, x, outputs, window, Spread::NONE, init, Some(bias))
    }

    /// Adds a convolution with groups or dilation, and a bias if one is given; `window` is that of its weights.
    ///
    /// # Panics
    /// When the groups do not divide inputs and outputs, which is a mistake in the architecture.
    #[expect(clippy::too_many_arguments, reason = "a convolution has so many settings")]
    pub fn conv_layer(
        &mut self,
        name: &str,
        x: NodeId,
        outputs: usize,
        window: Window,
        spread: Spread,
        init: ConvInit,
        bias: Option<Init>,
    ) -> NodeId {
        let input = self.node(x).shape;
        assert!(
            input.channels.is_multiple_of(spread.groups) && outputs.is_multiple_of(spread.groups),
            "groups must divide channels"
        );
        let (inputs, [height, width]) = (input.channels / spread.groups, window.kernel);
        let weights = init(height * width, inputs, outputs);
        self.parameter(format!("{name}.weight"), vec![outputs, inputs, height, width], weights);
        if let Some(init) = bias {
            self.parameter(format!("{name}.bias"), vec![outputs], init);
        }
        let op = Op::Conv {
            name: name.to_owned(),
            bias: bias.is_some(),
            kernel: window.kernel,
            stride: window.stride,
            padding: window.padding,
            spread,
        };
        self.push(op, vec![x], slid(spread.window(window.kernel, window.stride, window.padding), input, outputs))
    }

    /// Adds batch normalisation.
    pub fn batch_norm(&mut self, name: &str, x: NodeId) -> NodeId {
        self.batch_norm_with(name, x, BATCH_NORM_EPSILON)
    }

    /// Adds batch normalisation with an epsilon of its own.
    pub fn batch_norm_with(&mut self, name: &str, x: NodeId, epsilon: f64) -> NodeId {
        let shape = self.node(x).shape;
        let per_channel = || vec![shape.channels];
        self.parameter(format!("{name}.weight"), per_channel(), Init::Ones);
        self.parameter(format!("{name}.bias"), per_channel(), Init::Zeros);
        self.statistic(format!("{name}.running_mean"), per_channel(), Init::Zeros);
        self.statistic(format!("{name}.running_var"), per_channel(), Init::Ones);
        self.push(Op::BatchNorm { name: name.to_owned(), epsilon }, vec![x], shape)
    }

    /// Adds max(x, 0).
    pub fn relu(&mut self, x: NodeId) -> NodeId {
        self.push(Op::Relu, vec![x], self.node(x).shape)
    }

    /// Adds the sum of two maps.
    ///
    /// # Panics
    /// When their shapes differ, which is a mistake in the architecture.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        assert_eq!(self.node(a).shape, self.node(b).shape, "the two sides of a sum must have one shape");
        self.push(Op::Add, vec![a, b], self.node(a).shape)
    }

    /// Adds max pooling.
    pub fn max_pool(&mut self, x: NodeId, kernel: usize, stride: usize, padding: usize) -> NodeId {
        let input = self.node(x).shape;
        let window = Window { kernel: [kernel; 2], stride, padding: [padding; 2] };
        let shape = slid(window, input, input.channels);
        self.push(Op::MaxPool { kernel, stride, padding }, vec![x], shape)
    }

    /// Adds the mean of each window.
    pub fn mean_pool(&mut self, x: NodeId, kernel: usize, stride: usize, padding: usize) -> NodeId {
        let input = self.node(x).shape;
        let window = Window { kernel: [kernel; 2], stride, padding: [padding; 2] };
        let shape = slid(window, input, input.channels);
        self.push(Op::MeanPool { kernel, stride, padding }, vec![x], shape)
    }

    /// Adds the channels of some maps side by side.
    ///
    /// # Panics
    /// When there are none, or they differ in height or width, which is a mistake in the architecture.
    pub fn concat(&mut self, parts: &[NodeId]) -> NodeId {
        let first = self.node(parts[0]).shape;
        let mut channels = 0;
        for part in parts.iter().map(|&part| self.node(part).shape) {
            assert_eq!([part.height, part.width], [first.height, first.width], "maps side by side must have one size");
            channels += part.channels;
        }
        self.push(Op::Concat, parts.to_vec(), ImageShape { channels, ..first })
    }

    /// Adds the parameter-free shortcut.
    pub fn subsample(&mut self, x: NodeId, stride: usize, padding: usize) -> NodeId {
        let ImageShape { height, width, channels } = self.node(x).shape;
        let shape = ImageShape {
            height: height.div_ceil(stride),
            width: width.div_ceil(stride),
            channels: channels + 2 * padding,
        };
        self.push(Op::Subsample { stride, padding }, vec![x], shape)
    }

    /// Adds dropout of `x`: in training each value becomes 0 with probability `rate`.
    pub fn dropout(&mut self, x: NodeId, rate: f64) -> NodeId {
        self.push(Op::Dropout { rate }, vec![x], self.node(x).shape)
    }

    /// Adds the mean over all pixels.
    pub fn global_mean(&mut self, x: NodeId) -> NodeId {
        let channels = self.node(x).shape.channels;
        self.push(Op::GlobalMean, vec![x], ImageShape { height: 1, width: 1, channels })
    }

    /// Adds a linear layer whose bias starts as PyTorch's default.
    pub fn linear(&mut self, name: &str, x: NodeId, outputs: usize, init: Init) -> NodeId {
        let inputs = self.node(x).shape.channels;
        self.parameter(format!("{name}.weight"), vec![outputs, inputs], init);
        self.parameter(format!("{name}.bias"), vec![outputs], Init::pytorch_default(inputs));
        let shape = ImageShape { height: 1, width: 1, channels: outputs };
        self.push(Op::Linear { name: name.to_owned() }, vec![x], shape)
    }

    fn push(&mut self, op: Op, inputs: Vec<NodeId>, shape: ImageShape) -> NodeId {
        self.nodes.push(Node { op, inputs, shape });
        NodeId(self.nodes.len() - 1)
    }

    fn parameter(&mut self, name: String, shape: Vec<usize>, init: Init) {
        self.parameters.push(Parameter { name, shape, init, trained: true });
    }

    fn statistic(&mut self, name: String, shape: Vec<usize>, init: Init) {
        self.parameters.push(Parameter { name, shape, init, trained: false });
    }
}
