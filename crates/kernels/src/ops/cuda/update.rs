//! What a step of training leaves behind.

use candle_core::{DType, Result};

use super::{Machine, Operand, Sizes};
use crate::ops::update::Pace;

/// Values, of which a `share` is replaced by `others`.
pub(in crate::ops) fn blend<M: Machine>(
    machine: &M,
    values: Operand<'_, M::Storage>,
    others: Operand<'_, M::Storage>,
    share: f64,
) -> Result<M::Storage> {
    let length = values.length;
    let sizes = Sizes { share: share as f32, ..Sizes::rows(length, length, 1)? };
    machine.run("blend", &[values, others], sizes, DType::F32, length)
}

/// Weights and velocities after a step, `[2, weights]`, given both and the gradients.
pub(in crate::ops) fn descend<M: Machine>(
    machine: &M,
    pace: Pace,
    operands: [Operand<'_, M::Storage>; 3],
) -> Result<M::Storage> {
    let length = operands[0].length;
    let Pace { learning_rate, momentum, weight_decay, look_ahead } = pace;
    let look_ahead = i32::from(look_ahead);
    let sizes = Sizes { learning_rate, momentum, weight_decay, look_ahead, ..Sizes::rows(length, length, 1)? };
    machine.run("descend", &operands, sizes, DType::F32, 2 * length)
}
