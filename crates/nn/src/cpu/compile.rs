//! A graph and its tensors become a program of the fused engine.
//!
//! Batch norm after a convolution is folded into its weights and bias; the sum and the ReLU that follow are fused into
//! the same layer. Dropout does nothing in inference.

use std::collections::BTreeMap;

use crate::graph::folding::Line;
use crate::graph::fusion::readers;
use crate::graph::{Graph, Node, NodeId, Op};
use overinterp_artifacts::ParameterTensor;
use overinterp_kernels::engine::{ConvLayer, MapId, MapShape, Program, ProgramBuilder, Purpose};
use overinterp_kernels::isa::Isa;

/// Why a network cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A tensor that the graph needs is not there.
    #[error("compile the network: it has no tensor {name}: check that the model is of this architecture")]
    Missing {
        /// PyTorch's name of the tensor.
        name: String,
    },
    /// A tensor has another shape than the graph's.
    #[error("compile the network: tensor {name} is {found:?}, not {expected:?}: check architecture and classes")]
    Shape {
        /// PyTorch's name of the tensor.
        name: String,
        /// The shape that it has in the model.
        found: Vec<usize>,
        /// The shape that the graph's parameter of that name has.
        expected: Vec<usize>,
    },
}

/// Compiles a network for inference; tensors that the graph does not know are ignored.
///
/// # Errors
/// When a tensor is missing or misshapen.
pub fn compile(
    graph: &Graph,
    tensors: &BTreeMap<String, ParameterTensor>,
    isa: Isa,
    purpose: Purpose,
) -> Result<Program, CompileError> {
    for parameter in graph.parameters() {
        let name = parameter.name.clone();
        let tensor = tensors.get(&name).ok_or_else(|| CompileError::Missing { name: name.clone() })?;
        if tensor.shape != parameter.shape {
            let (found, expected) = (tensor.shape.clone(), parameter.shape.clone());
            return Err(CompileError::Shape { name, found, expected });
        }
    }
    let shape = graph.node(graph.input()).shape;
    let input = MapShape { height: shape.height, width: shape.width, channels: shape.channels };
    let mut compiler = Compiler {
        graph,
        tensors: Tensors(tensors),
        builder: ProgramBuilder::new(isa, purpose, input),
        values: Vec::new(),
        readers: readers(graph),
    };
    for node in graph.nodes() {
        let value = compiler.value(node);
        compiler.values.push(value);
    }
    compiler.map(NodeId(graph.nodes().len() - 1));
    Ok(compiler.builder.finish())
}

/// The tensors by name; all that are asked for have been checked to be there.
struct Tensors<'a>(&'a BTreeMap<String, ParameterTensor>);

impl<'a> Tensors<'a> {
    fn get(&self, layer: &str, tensor: &str) -> &'a [f32] {
        self.0.get(&format!("{layer}.{tensor}")).map_or(&[], |tensor| &tensor.data)
    }
}

/// What a node has become so far.
#[derive(Clone)]
enum Value {
    /// A map of the program.
    Map(MapId),
    /// A layer to which what follows may still be fused.
    Open(Open),
}

/// A layer that has not been added to the program yet.
#[derive(Clone)]
struct Open {
    op: OpenOp,
    input: MapId,
    addend: Option<MapId>,
    relu: bool,
}

#[derive(Clone)]
enum OpenOp {
    Conv { weights: Vec<f32>, bias: Vec<f32>, kernel: [usize; 2], stride: usize, padding: [usize; 2] },
    Affine { scale: Vec<f32>, shift: Vec<f32> },
}

impl Open {
    fn new(op: OpenOp, input: MapId) -> Self {
        Self { op, input, addend: None, relu: false }
    }

    fn is_bare(&self) -> bool {
        self.addend.is_none() && !self.relu
    }
}

struct Compiler<'a> {
    graph: &'a Graph,
    tensors: Tensors<'a>,
    builder: ProgramBuilder,
    values: Vec<Value>,
    readers: Vec<Vec<NodeId>>,
}

impl Compiler<'_> {
    fn value(&mut self, node: &Node) -> Value {
        match &node.op {
            Op::Input => Value::Map(self.builder.input()),
            Op::Conv { name, bias, kernel, stride, padding, spread } => {
                let (outputs, inputs) = (node.shape.channels, self.graph.node(node.inputs[0]).shape.channels);
                let sizes = [outputs, inputs / spread.groups, kernel[0], kernel[1]];
                let weights = spread.spread(self.tensors.get(name, "weight"), sizes);
                let kernel = &spread.window(*kernel, *stride, *padding).kernel;
                let bias = if *bias { self.tensors.get(name, "bias").to_vec() } else { vec![0.0; node.shape.channels] };
                let op = OpenOp::Conv { weights, bias, kernel: *kernel, stride: *stride, padding: *padding };
                Value::Open(Open::new(op, self.map(node.inputs[0])))
            }
            Op::BatchNorm { name, epsilon } => {
                let line = Line::of(*epsilon, |part| self.tensors.get(name, part));
                if let Some(mut open) = self.open_for(node.inputs[0], Open::is_bare) {
                    open.op.then(&line);
                    return Value::Open(open);
                }
                let [scale, shift] = line.rounded();
                let op = OpenOp::Affine { scale, shift };
                Value::Open(Open::new(op, self.map(node.inputs[0])))
            }
            Op::Relu => {
                let mut open = self.open_or_identity(node.inputs[0], |open| !open.relu);
                open.relu = true;
                Value::Open(open)
            }
            Op::Add => {
                // The later side is fused: the other one comes before it in the program.
                let (earlier, later) = (node.inputs[0].min(node.inputs[1]), node.inputs[0].max(node.inputs[1]));
                let (fused, other) = match self.values[earlier.0] {
                    Value::Open(_) if matches!(self.values[later.0], Value::Map(_)) => (earlier, later),
                    Value::Open(_) | Value::Map(_) => (later, earlier),
                };
                let addend = self.map(other);
                let mut open = self.open_or_identity(fused, Open::is_bare);
                open.addend = Some(addend);
                Value::Open(open)
            }
            Op::MaxPool { kernel, stride, padding } => {
                let x = self.map(node.inputs[0]);
                Value::Map(self.builder.max_pool(x, *kernel, *stride, *padding))
            }
            Op::MeanPool { kernel, stride, padding } => {
                let x = self.map(node.inputs[0]);
                Value::Map(self.builder.mean_pool(x, *kernel, *stride, *padding))
            }
            Op::Concat => {
                let parts: Vec<MapId> = node.inputs.iter().map(|part| self.map(*part)).collect();
                let (first, others) = (parts[0], &parts[1..]);
                Value::Map(others.iter().fold(first, |joined, part| self.builder.join(joined, *part)))
            }
            Op::Subsample { stride, padding } => {
                let x = self.map(node.inputs[0]);
                Value::Map(self.builder.subsample(x, *stride, *padding))
            }
            Op::Dropout { .. } => match self.open_for(node.inputs[0], |_| true) {
                Some(open) => Value::Open(open),
                None => Value::Map(self.map(node.inputs[0])),
            },
            Op::GlobalMean => {
                let x = self.map(node.inputs[0]);
                Value::Map(self.builder.mean(x))
            }
            Op::Linear { name } => {
                let x = self.map(node.inputs[0]);
                let (weights, bias) = (self.tensors.get(name, "weight"), self.tensors.get(name, "bias"));
                Value::Map(self.builder.linear(x, weights, bias))
            }
        }
    }

    /// The node's open layer, if it has one that `fits` and nobody else reads.
    fn open_for(&self, id: NodeId, fits: impl Fn(&Open) -> bool) -> Option<Open> {
        match &self.values[id.0] {
            Value::Open(open) if self.readers[id.0].len() == 1 && fits(open) => Some(open.clone()),
            Value::Open(_) | Value::Map(_) => None,
        }
    }

    /// The node's open layer, if it has one that `fits` and nobody else reads; else a layer that copies its map.
    fn open_or_identity(&mut self, id: NodeId, fits: impl Fn(&Open) -> bool) -> Open {
        self.open_for(id, fits).unwrap_or_else(|| {
            let channels = self.graph.node(id).shape.channels;
            let op = OpenOp::Affine { scale: vec![1.0; channels], shift: vec![0.0; channels] };
            Open::new(op, self.map(id))
        })
    }

    /// The node's map; an open layer is added to the program.
    fn map(&mut self, id: NodeId) -> MapId {
        let map = match &self.values[id.0] {
            Value::Map(map) => return *map,
            Value::Open(open) => match &open.op {
                OpenOp::Conv { weights, bias, kernel, stride, padding } => {
                    let conv = ConvLayer { weights, bias, kernel: *kernel, stride: *stride, padding: *padding };
                    self.builder.conv(open.input, &conv, open.addend, open.relu)
                }
                OpenOp::Affine { scale, shift } => {
                    self.builder.affine(open.input, scale.clone(), shift.clone(), open.addend, open.relu)
                }
            },
        };
        self.values[id.0] = Value::Map(map);
        map
    }
}

impl OpenOp {
    /// Puts a line per output channel behind the operation.
    fn then(&mut self, line: &Line) {
        match self {
            Self::Conv { weights, bias, .. } => line.put_behind(weights, bias),
            Self::Affine { scale, shift } => line.put_behind(scale, shift),
        }
    }
}

#[cfg(test)]
mod tests;
