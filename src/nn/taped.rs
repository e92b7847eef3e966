//! A training step on the CPU, recorded on a tape instead of in candle's graph.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var, bail};

use super::forward::{DropoutDraw, Learned, follow};
use super::graph::{BATCH_NORM_EPSILON, Node, NodeId, Op};
use super::walk::{Mode, Route};
use crate::kernels::ops::{Activation, MapShape, Values, Window, softmax_loss, softmax_loss_gradient};
use crate::kernels::tape::{MapId, ParameterId, Tape, Workspace};

/// Loss, logits and gradients of a batch; moves the running statistics.
pub(super) fn learn(
    route: &Route,
    weights: &BTreeMap<String, Var>,
    statistics: &mut BTreeMap<String, Tensor>,
    workspace: &mut Workspace,
    x: &Tensor,
    labels: &[u32],
    dropout: DropoutDraw,
) -> Result<Learned> {
    let values: BTreeMap<&str, Values> =
        weights.iter().map(|(name, weight)| Ok((name.as_str(), Values::of(weight)?))).collect::<Result<_>>()?;
    let mut mode =
        Taped { tape: Tape::new(workspace), weights: &values, parameters: BTreeMap::new(), statistics, dropout };
    let input = mode.tape.input(&Values::of(x)?, MapShape::of(x)?)?;
    let logits = route.walk(&mut mode, &input)?;
    let Taped { tape, parameters, .. } = mode;

    let rows = tape.values(logits);
    let classes = tape.shape(logits).channels;
    if rows.len() != labels.len() * classes || labels.iter().any(|&label| label as usize >= classes) {
        bail!("compare {} rows of {classes} logits with {} labels", rows.len() / classes, labels.len());
    }
    let loss = softmax_loss(rows, labels);
    let gradient = softmax_loss_gradient(rows, labels, 1.0);
    let rows = rows.chunks(classes).map(<[f32]>::to_vec).collect();
    let mut taken = tape.backward(logits, gradient)?;
    let mut gradients = GradStore::default();
    for (name, parameter) in parameters {
        let (Some(weight), Some(gradient)) = (weights.get(name.as_str()), taken.take(parameter)) else { continue };
        gradients.insert(weight, Tensor::from_vec(gradient, weight.shape(), &Device::Cpu)?);
    }
    Ok(Learned { loss, logits: rows, gradients })
}

struct Taped<'t, 's> {
    tape: Tape<'t>,
    weights: &'t BTreeMap<&'t str, Values<'t>>,
    parameters: BTreeMap<String, ParameterId>,
    statistics: &'s mut BTreeMap<String, Tensor>,
    dropout: DropoutDraw,
}

impl Taped<'_, '_> {
    fn parameter(&mut self, name: String) -> Result<ParameterId> {
        if let Some(&known) = self.parameters.get(&name) {
            return Ok(known);
        }
        let Some(values) = self.weights.get(name.as_str()) else { bail!("the network has no tensor {name}") };
        let parameter = self.tape.parameter(values);
        self.parameters.insert(name, parameter);
        Ok(parameter)
    }

    fn follow(&mut self, name: &str, batch: Vec<f32>) -> Result<()> {
        let channels = batch.len();
        follow(self.statistics, name, &Tensor::from_vec(batch, channels, &Device::Cpu)?)
    }
}

impl Mode for Taped<'_, '_> {
    type Map = MapId;

    fn normalise(&mut self, name: &str, x: &MapId, residual: Option<&MapId>, activation: Activation) -> Result<MapId> {
        let scale = self.parameter(format!("{name}.weight"))?;
        let shift = self.parameter(format!("{name}.bias"))?;
        let (map, statistics) =
            self.tape.batch_norm(*x, scale, shift, BATCH_NORM_EPSILON, residual.copied(), activation)?;
        self.follow(&format!("{name}.running_mean"), statistics.mean)?;
        self.follow(&format!("{name}.running_var"), statistics.variance)?;
        Ok(map)
    }

    fn apply(&mut self, id: NodeId, node: &Node, inputs: &[&MapId]) -> Result<MapId> {
        match (&node.op, inputs) {
            (Op::Conv { name, bias, kernel, stride, padding }, [x]) => {
                let weight = self.parameter(format!("{name}.weight"))?;
                let bias = if *bias { Some(self.parameter(format!("{name}.bias"))?) } else { None };
                let window = Window { kernel: *kernel, stride: *stride, padding: *padding };
                self.tape.conv2d(**x, weight, bias, node.shape.channels, window)
            }
            (Op::Relu, [x]) => Ok(self.tape.relu(**x)),
            (Op::Add, [a, b]) => self.tape.add(**a, **b),
            (Op::MaxPool { kernel, stride, padding }, [x]) => self.tape.max_pool2d(**x, *kernel, *stride, *padding),
            (Op::Subsample { stride, padding }, [x]) => self.tape.subsample(**x, *stride, *padding),
            (Op::Dropout { rate }, [x]) => {
                let shape = self.tape.shape(**x);
                self.tape.multiply(**x, self.dropout.factors(id, *rate, shape.batch, shape.image()))
            }
            (Op::GlobalMean, [x]) => Ok(self.tape.global_mean(**x)),
            (Op::Linear { name }, [x]) => {
                let weight = self.parameter(format!("{name}.weight"))?;
                let bias = self.parameter(format!("{name}.bias"))?;
                self.tape.linear(**x, weight, bias)
            }
            _ => bail!("compute {:?} of {} inputs", node.op, inputs.len()),
        }
    }
}
