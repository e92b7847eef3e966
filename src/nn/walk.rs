//! The walk of a batch through a graph, the same for training and for evaluation.

use candle_core::{Result, Tensor, bail};

use super::fusion::{Step, last_reads, steps};
use super::graph::{Graph, NodeId, Op};
use crate::kernels::ops::{self, Activation};

/// What differs between training and evaluation.
pub(super) trait Mode {
    /// The tensor of that name.
    fn tensor(&self, name: &str) -> Result<&Tensor>;

    /// Batch norm `name` of `x`, plus `residual`, activated.
    fn normalise(
        &mut self,
        name: &str,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor>;

    /// Dropout at that node.
    fn dropout(&mut self, node: NodeId, rate: f64, x: &Tensor) -> Result<Tensor>;
}

/// A graph with the order in which it is computed.
#[derive(Clone, Debug)]
pub(super) struct Route {
    graph: Graph,
    steps: Vec<Step>,
    last_reads: Vec<Vec<NodeId>>,
}

impl Route {
    pub(super) fn new(graph: &Graph) -> Self {
        let steps = steps(graph);
        let last_reads = last_reads(graph, &steps);
        Self { graph: graph.clone(), steps, last_reads }
    }

    pub(super) const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The logits `[batch, classes]` of `x` `[batch, height, width, channels]`.
    pub(super) fn walk(&self, mode: &mut impl Mode, x: &Tensor) -> Result<Tensor> {
        let mut values: Vec<Option<Tensor>> = vec![None; self.graph.nodes().len()];
        for (step, read) in self.steps.iter().zip(&self.last_reads) {
            let value = match *step {
                Step::Normalise { norm, residual, relu, .. } => self.normalise(mode, &values, norm, residual, relu)?,
                Step::Single(NodeId(0)) => x.clone(),
                Step::Single(node) => self.single(mode, &values, node)?,
            };
            for node in read {
                values[node.0] = None;
            }
            values[step.output().0] = Some(value);
        }
        values.pop().flatten().map_or_else(|| bail!("walk through a network without layers"), Ok)
    }

    fn normalise(
        &self,
        mode: &mut impl Mode,
        values: &[Option<Tensor>],
        norm: NodeId,
        residual: Option<NodeId>,
        relu: Option<NodeId>,
    ) -> Result<Tensor> {
        let node = self.graph.node(norm);
        let Op::BatchNorm { name } = &node.op else { bail!("normalise at a node that is no batch norm") };
        let residual = residual.map(|residual| value(values, residual)).transpose()?;
        let activation = if relu.is_some() { Activation::Relu } else { Activation::Identity };
        mode.normalise(name, value(values, node.inputs[0])?, residual, activation)
    }

    fn single(&self, mode: &mut impl Mode, values: &[Option<Tensor>], id: NodeId) -> Result<Tensor> {
        let node = self.graph.node(id);
        let input = |place: usize| value(values, node.inputs[place]);
        match &node.op {
            Op::Input => bail!("a network has one input, its first node"),
            Op::Conv { name, bias, stride, padding, .. } => {
                let weight = mode.tensor(&format!("{name}.weight"))?;
                let bias = if *bias { Some(mode.tensor(&format!("{name}.bias"))?) } else { None };
                ops::conv2d(input(0)?, weight, bias, *stride, *padding)
            }
            Op::BatchNorm { name } => mode.normalise(name, input(0)?, None, Activation::Identity),
            Op::Relu => ops::relu(input(0)?),
            Op::Add => input(0)? + input(1)?,
            Op::MaxPool { kernel, stride, padding } => ops::max_pool2d(input(0)?, *kernel, *stride, *padding),
            Op::Subsample { stride, padding } => ops::subsample(input(0)?, *stride, *padding),
            Op::Dropout { rate } => mode.dropout(id, *rate, input(0)?),
            Op::GlobalMean => ops::global_mean(input(0)?),
            Op::Linear { name } => {
                let weight = mode.tensor(&format!("{name}.weight"))?;
                ops::linear(input(0)?, weight, mode.tensor(&format!("{name}.bias"))?)
            }
        }
    }
}

fn value(values: &[Option<Tensor>], node: NodeId) -> Result<&Tensor> {
    values[node.0].as_ref().map_or_else(|| bail!("read the value of node {} before it is known", node.0), Ok)
}
