//! The walk of a batch through a graph, the same for training and for evaluation.

use candle_core::{Result, Tensor, bail};

use super::fusion::{Step, last_reads, steps};
use super::graph::{Graph, Node, NodeId, Op};
use crate::kernels::ops::{self, Activation};

/// How the operations are computed, and on what.
pub(super) trait Mode {
    /// The value of a node, for a batch.
    type Map: Clone;

    /// Batch norm `name` of `x`, plus `residual`, activated.
    fn normalise(
        &mut self,
        name: &str,
        x: &Self::Map,
        residual: Option<&Self::Map>,
        activation: Activation,
    ) -> Result<Self::Map>;

    /// Any other operation but an input.
    fn apply(&mut self, id: NodeId, node: &Node, inputs: &[&Self::Map]) -> Result<Self::Map>;
}

/// Computes an operation on tensors that is the same in training and in evaluation.
pub(super) fn apply_to_tensors<'a>(
    op: &Op,
    inputs: &[&Tensor],
    tensor: impl Fn(&str) -> Result<&'a Tensor>,
) -> Result<Tensor> {
    match (op, inputs) {
        (Op::Conv { name, bias, stride, padding, .. }, [x]) => {
            let bias = if *bias { Some(tensor(&format!("{name}.bias"))?) } else { None };
            ops::conv2d(x, tensor(&format!("{name}.weight"))?, bias, *stride, *padding)
        }
        (Op::Relu, [x]) => ops::relu(x),
        (Op::Add, [a, b]) => *a + *b,
        (Op::MaxPool { kernel, stride, padding }, [x]) => ops::max_pool2d(x, *kernel, *stride, *padding),
        (Op::Subsample { stride, padding }, [x]) => ops::subsample(x, *stride, *padding),
        (Op::GlobalMean, [x]) => ops::global_mean(x),
        (Op::Linear { name }, [x]) => {
            ops::linear(x, tensor(&format!("{name}.weight"))?, tensor(&format!("{name}.bias"))?)
        }
        _ => bail!("compute {op:?} of {} inputs", inputs.len()),
    }
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
    pub(super) fn walk<M: Mode>(&self, mode: &mut M, x: &M::Map) -> Result<M::Map> {
        let mut values: Vec<Option<M::Map>> = vec![None; self.graph.nodes().len()];
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

    fn normalise<M: Mode>(
        &self,
        mode: &mut M,
        values: &[Option<M::Map>],
        norm: NodeId,
        residual: Option<NodeId>,
        relu: Option<NodeId>,
    ) -> Result<M::Map> {
        let node = self.graph.node(norm);
        let Op::BatchNorm { name } = &node.op else { bail!("normalise at a node that is no batch norm") };
        let residual = residual.map(|residual| value(values, residual)).transpose()?;
        let activation = if relu.is_some() { Activation::Relu } else { Activation::Identity };
        mode.normalise(name, value(values, node.inputs[0])?, residual, activation)
    }

    fn single<M: Mode>(&self, mode: &mut M, values: &[Option<M::Map>], id: NodeId) -> Result<M::Map> {
        let node = self.graph.node(id);
        let inputs: Vec<&M::Map> = node.inputs.iter().map(|&input| value(values, input)).collect::<Result<_>>()?;
        match (&node.op, &inputs[..]) {
            (Op::BatchNorm { name }, [x]) => mode.normalise(name, x, None, Activation::Identity),
            _ => mode.apply(id, node, &inputs),
        }
    }
}

fn value<M>(values: &[Option<M>], node: NodeId) -> Result<&M> {
    values[node.0].as_ref().map_or_else(|| bail!("read the value of node {} before it is known", node.0), Ok)
}
