//! The walk of a batch through a graph, the same wherever and for whatever it is computed.

use candle_core::{Result, bail};

use crate::graph::fusion::{Step, last_reads, steps};
use crate::graph::{Graph, NodeId, Op, Spread};
use overinterp_kernels::ops::{Activation, Window};

/// What computes the layers of a graph. Parameters are told by the name of their layer.
pub(crate) trait Layers {
    /// A batch of feature maps.
    type Map: Clone;

    /// Applies `layer` to `x`, with its bias if it has one.
    fn convolve(&mut self, layer: &ConvNode<'_>, x: &Self::Map) -> Result<Self::Map>;

    /// A batch norm of `x`, plus `residual`, activated.
    fn normalise(
        &mut self,
        norm: Norm<'_>,
        x: &Self::Map,
        residual: Option<&Self::Map>,
        activation: Activation,
    ) -> Result<Self::Map>;

    /// max(x, 0).
    fn rectify(&mut self, x: &Self::Map) -> Result<Self::Map>;

    /// a + b.
    fn add(&mut self, a: &Self::Map, b: &Self::Map) -> Result<Self::Map>;

    /// The largest value of each window.
    fn max_pool(&mut self, kernel: usize, stride: usize, padding: usize, x: &Self::Map) -> Result<Self::Map>;

    /// The mean of each window, in which the border counts as zeros.
    fn mean_pool(&mut self, kernel: usize, stride: usize, padding: usize, x: &Self::Map) -> Result<Self::Map>;

    /// Some maps side by side.
    fn concat(&mut self, parts: &[&Self::Map]) -> Result<Self::Map>;

    /// Every `stride`-th pixel with `padding` channels of zeros before and after.
    fn subsample(&mut self, stride: usize, padding: usize, x: &Self::Map) -> Result<Self::Map>;

    /// Dropout at that node.
    fn dropout(&mut self, node: NodeId, rate: f64, x: &Self::Map) -> Result<Self::Map>;

    /// The mean over all pixels.
    fn global_mean(&mut self, x: &Self::Map) -> Result<Self::Map>;

    /// A linear layer.
    fn linear(&mut self, name: &str, x: &Self::Map) -> Result<Self::Map>;
}

/// A convolution as its layer sees it.
pub(crate) struct ConvNode<'a> {
    pub(crate) name: &'a str,
    /// The bias's name, if it has one.
    pub(crate) bias: Option<String>,
    pub(crate) outputs: usize,
    /// With what lies between its pixels.
    pub(crate) window: Window,
    /// Its groups and its dilation.
    pub(crate) spread: Spread,
}

/// A batch norm as its layer sees it.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) name: &'a str,
    /// What is added to the variance.
    pub(crate) epsilon: f64,
}

/// A graph with the order in which it is computed.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    graph: Graph,
    steps: Vec<Step>,
    last_reads: Vec<Vec<NodeId>>,
}

impl Route {
    pub(crate) fn new(graph: &Graph) -> Self {
        let steps = steps(graph);
        let last_reads = last_reads(graph, &steps);
        Self { graph: graph.clone(), steps, last_reads }
    }

    /// The logits of a batch.
    pub(crate) fn walk<L: Layers>(&self, layers: &mut L, x: &L::Map) -> Result<L::Map> {
        let mut values: Vec<Option<L::Map>> = vec![None; self.graph.nodes().len()];
        for (step, read) in self.steps.iter().zip(&self.last_reads) {
            let value = match *step {
                Step::Normalise { norm, residual, relu, .. } => {
                    self.normalise(layers, &values, norm, residual, relu)?
                }
                Step::Single(NodeId(0)) => x.clone(),
                Step::Single(node) => self.single(layers, &values, node)?,
            };
            for node in read {
                values[node.0] = None;
            }
            values[step.output().0] = Some(value);
        }
        values.pop().flatten().map_or_else(|| bail!("walk through a network without layers"), Ok)
    }

    fn normalise<L: Layers>(
        &self,
        layers: &mut L,
        values: &[Option<L::Map>],
        norm: NodeId,
        residual: Option<NodeId>,
        relu: Option<NodeId>,
    ) -> Result<L::Map> {
        let node = self.graph.node(norm);
        let Op::BatchNorm { name, epsilon } = &node.op else { bail!("normalise at a node that is no batch norm") };
        let norm = Norm { name, epsilon: *epsilon };
        let residual = residual.map(|residual| value(values, residual)).transpose()?;
        let activation = if relu.is_some() { Activation::Relu } else { Activation::Identity };
        layers.normalise(norm, value(values, node.inputs[0])?, residual, activation)
    }

    fn single<L: Layers>(&self, layers: &mut L, values: &[Option<L::Map>], id: NodeId) -> Result<L::Map> {
        let node = self.graph.node(id);
        let input = |place: usize| value(values, node.inputs[place]);
        match &node.op {
            Op::Input => bail!("a network has one input, its first node"),
            Op::Conv { name, bias, kernel, stride, padding, spread } => {
                let window = spread.window(*kernel, *stride, *padding);
                let bias = bias.then(|| format!("{name}.bias"));
                let outputs = node.shape.channels;
                layers.convolve(&ConvNode { name, bias, outputs, window, spread: *spread }, input(0)?)
            }
            Op::BatchNorm { name, epsilon } => {
                layers.normalise(Norm { name, epsilon: *epsilon }, input(0)?, None, Activation::Identity)
            }
            Op::Relu => layers.rectify(input(0)?),
            Op::Add => layers.add(input(0)?, input(1)?),
            Op::MaxPool { kernel, stride, padding } => layers.max_pool(*kernel, *stride, *padding, input(0)?),
            Op::MeanPool { kernel, stride, padding } => layers.mean_pool(*kernel, *stride, *padding, input(0)?),
            Op::Concat => layers.concat(&(0..node.inputs.len()).map(input).collect::<Result<Vec<_>>>()?),
            Op::Subsample { stride, padding } => layers.subsample(*stride, *padding, input(0)?),
            Op::Dropout { rate } => layers.dropout(id, *rate, input(0)?),
            Op::GlobalMean => layers.global_mean(input(0)?),
            Op::Linear { name } => layers.linear(name, input(0)?),
        }
    }
}

fn value<M>(values: &[Option<M>], node: NodeId) -> Result<&M> {
    values[node.0].as_ref().map_or_else(|| bail!("read the value of node {} before it is known", node.0), Ok)
}
