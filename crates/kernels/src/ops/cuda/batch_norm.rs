//! Batch norm in training mode. Statistics are `[3, channels]`: mean, unbiased variance, 1 / deviation.

use candle_core::{DType, Result};

use super::sums::channel_totals;
use super::{Machine, Operand, Sizes};
use crate::ops::batch_norm::Activation;

/// The statistics of x.
pub(in crate::ops) fn statistics<M: Machine>(
    machine: &M,
    x: Operand<'_, M::Storage>,
    channels: usize,
    epsilon: f64,
) -> Result<M::Storage> {
    let rows = x.length / channels;
    let totals = channel_totals(machine, "channel_moments", &[x], [rows, 2, channels])?;
    let sizes = Sizes { epsilon, ..Sizes::rows(channels, rows, channels)? };
    machine.run("statistics", &[Operand::whole(&totals, 2 * channels), x], sizes, DType::F32, 3 * channels)
}

/// act(w (x - mean) / deviation + b + residual), given w and b as `[2, channels]`.
pub(in crate::ops) fn normalise<M: Machine>(
    machine: &M,
    x: Operand<'_, M::Storage>,
    statistics: Operand<'_, M::Storage>,
    line: Operand<'_, M::Storage>,
    residual: Option<Operand<'_, M::Storage>>,
    activation: Activation,
) -> Result<M::Storage> {
    let channels = line.length / 2;
    let rows = Sizes::rows(x.length, x.length / channels, channels)?;
    let sizes = Sizes { relu: i32::from(activation == Activation::Relu), ..rows };
    let operands: Vec<_> = [x, statistics, line].into_iter().chain(residual).collect();
    machine.run("normalise", &operands, sizes, DType::F32, x.length)
}

/// What both gradients need of the gradient behind the activation: each channel's sum of it and of its product with
/// x - mean, `[2, channels]` in double precision.
pub(in crate::ops) fn gradient_sums<M: Machine>(
    machine: &M,
    gradient: Operand<'_, M::Storage>,
    x: Operand<'_, M::Storage>,
    statistics: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let channels = statistics.length / 3;
    channel_totals(machine, "channel_products", &[gradient, x, statistics], [x.length / channels, 2, channels])
}

/// The gradient for x.
pub(in crate::ops) fn input_gradient<M: Machine>(
    machine: &M,
    [gradient, x, sums, statistics, line]: [Operand<'_, M::Storage>; 5],
) -> Result<M::Storage> {
    let channels = line.length / 2;
    let rows = x.length / channels;
    let sizes = Sizes::rows(channels, rows, channels)?;
    let slopes = machine.run("normalise_slopes", &[sums, statistics, line], sizes, DType::F32, 3 * channels)?;
    let sizes = Sizes::rows(x.length, rows, channels)?;
    let slopes = Operand::whole(&slopes, 3 * channels);
    machine.run("normalise_gradient", &[gradient, x, slopes], sizes, DType::F32, x.length)
}

/// The gradient for w and b, `[2, channels]`.
pub(in crate::ops) fn line_gradient<M: Machine>(
    machine: &M,
    sums: Operand<'_, M::Storage>,
    statistics: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let channels = statistics.length / 3;
    let sizes = Sizes::rows(channels, channels, channels)?;
    machine.run("normalise_line_gradient", &[sums, statistics], sizes, DType::F32, 2 * channels)
}
