//! The linear layer.

use candle_core::{DType, Result};

use super::{Machine, Operand, Sizes};
use crate::ops::LinearLoops;

/// x W' + b.
pub(in crate::ops) fn forward<M: Machine>(
    machine: &M,
    layer: LinearLoops,
    [x, weight, bias]: [Operand<'_, M::Storage>; 3],
) -> Result<M::Storage> {
    let length = x.length / layer.inputs * layer.outputs;
    machine.run("linear", &[x, weight, bias], sizes(layer, length, x.length / layer.inputs)?, DType::F32, length)
}

/// The gradient for x.
pub(in crate::ops) fn input_gradient<M: Machine>(
    machine: &M,
    layer: LinearLoops,
    gradient: Operand<'_, M::Storage>,
    weight: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let rows = gradient.length / layer.outputs;
    let length = rows * layer.inputs;
    machine.run("linear_input_gradient", &[gradient, weight], sizes(layer, length, rows)?, DType::F32, length)
}

/// The gradient for W.
pub(in crate::ops) fn weight_gradient<M: Machine>(
    machine: &M,
    layer: LinearLoops,
    x: Operand<'_, M::Storage>,
    gradient: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let length = layer.inputs * layer.outputs;
    let sizes = sizes(layer, length, x.length / layer.inputs)?;
    machine.run("linear_weight_gradient", &[x, gradient], sizes, DType::F32, length)
}

fn sizes(layer: LinearLoops, threads: usize, rows: usize) -> Result<Sizes> {
    Ok(Sizes { out_channels: super::int(layer.outputs)?, ..Sizes::rows(threads, rows, layer.inputs)? })
}
