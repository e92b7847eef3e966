//! Cross-entropy of a softmax.

use candle_core::{DType, Result};

use super::sums::{mean, total};
use super::{Machine, Operand, Sizes};

/// The mean loss of logits `[rows, classes]` with a label a row.
pub(in crate::ops) fn cross_entropy<M: Machine>(
    machine: &M,
    logits: Operand<'_, M::Storage>,
    labels: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let (rows, classes) = (labels.length, logits.length / labels.length);
    let sums = log_sums(machine, logits, rows)?;
    let operands = [logits, labels, Operand::whole(&sums, rows)];
    let losses = machine.run("losses", &operands, Sizes::rows(rows, rows, classes)?, DType::F64, rows)?;
    mean(machine, &total(machine, losses, rows, 1)?, 1, rows)
}

/// Its gradient for the logits, given the loss's.
pub(in crate::ops) fn cross_entropy_gradient<M: Machine>(
    machine: &M,
    logits: Operand<'_, M::Storage>,
    labels: Operand<'_, M::Storage>,
    gradient: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let (rows, classes) = (labels.length, logits.length / labels.length);
    let sums = log_sums(machine, logits, rows)?;
    let operands = [logits, labels, Operand::whole(&sums, rows), gradient];
    let sizes = Sizes::rows(logits.length, rows, classes)?;
    machine.run("losses_gradient", &operands, sizes, DType::F32, logits.length)
}

fn log_sums<M: Machine>(machine: &M, logits: Operand<'_, M::Storage>, rows: usize) -> Result<M::Storage> {
    machine.run("log_sums", &[logits], Sizes::rows(rows, rows, logits.length / rows)?, DType::F64, rows)
}
