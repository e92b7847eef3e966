//! Sums over all rows of each channel.

use candle_core::{DType, Result};

use super::{Machine, Operand, Sizes};

/// Rows that one thread adds up: `FAN` of `sums.cu`.
pub(super) const FAN: usize = 64;

/// Runs a kernel that sums `FAN` rows a thread into `[parts, sums, channels]`, and adds up the parts: `[sums, channels]`
/// in double precision.
pub(super) fn channel_totals<M: Machine>(
    machine: &M,
    kernel: &'static str,
    operands: &[Operand<'_, M::Storage>],
    [rows, sums, channels]: [usize; 3],
) -> Result<M::Storage> {
    let parts = rows.div_ceil(FAN);
    let sizes = Sizes::rows(parts * channels, rows, channels)?;
    let partial = machine.run(kernel, operands, sizes, DType::F64, parts * sums * channels)?;
    total(machine, partial, parts, sums * channels)
}

/// Adds up `[rows, channels]` in double precision until one row is left.
pub(super) fn total<M: Machine>(
    machine: &M,
    mut values: M::Storage,
    mut rows: usize,
    channels: usize,
) -> Result<M::Storage> {
    while rows > 1 {
        let parts = rows.div_ceil(FAN);
        let sizes = Sizes::rows(parts * channels, rows, channels)?;
        let operand = Operand::whole(&values, rows * channels);
        values = machine.run("fold", &[operand], sizes, DType::F64, parts * channels)?;
        rows = parts;
    }
    Ok(values)
}

/// Values in double precision, divided by `count`, in single precision.
pub(super) fn mean<M: Machine>(machine: &M, values: &M::Storage, length: usize, count: usize) -> Result<M::Storage> {
    machine.run("mean", &[Operand::whole(values, length)], Sizes::rows(length, count, 1)?, DType::F32, length)
}

/// The sum over all rows of each of `channels`: the gradient of a bias.
pub(in crate::ops) fn channel_sums<M: Machine>(
    machine: &M,
    x: Operand<'_, M::Storage>,
    channels: usize,
) -> Result<M::Storage> {
    let totals = channel_totals(machine, "channel_sums", &[x], [x.length / channels, 1, channels])?;
    mean(machine, &totals, channels, 1)
}
