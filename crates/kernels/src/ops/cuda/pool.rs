//! Pooling.

use candle_core::{DType, Result};

use super::{Machine, Operand, Sizes};
use crate::ops::pool::{Pooling, PoolingKind};
use crate::ops::shape::MapShape;

/// The pooled map.
pub(in crate::ops) fn pool<M: Machine>(
    machine: &M,
    pooling: &Pooling,
    x: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let length = pooling.output().values();
    let sizes = Sizes::window(length, pooling.input, pooling.output(), &pooling.window)?;
    let kernel = match pooling.kind {
        PoolingKind::Max => "max_pool",
        PoolingKind::Mean => "mean_pool",
    };
    machine.run(kernel, &[x], sizes, DType::F32, length)
}

/// The gradient for x.
pub(in crate::ops) fn pool_gradient<M: Machine>(
    machine: &M,
    pooling: &Pooling,
    x: Operand<'_, M::Storage>,
    gradient: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let length = pooling.input.values();
    let sizes = Sizes::window(length, pooling.input, pooling.output(), &pooling.window)?;
    match pooling.kind {
        PoolingKind::Max => machine.run("max_pool_gradient", &[x, gradient], sizes, DType::F32, length),
        PoolingKind::Mean => machine.run("mean_pool_gradient", &[gradient], sizes, DType::F32, length),
    }
}

/// The mean over all pixels, `[batch, channels]`.
pub(in crate::ops) fn global_mean<M: Machine>(
    machine: &M,
    shape: MapShape,
    x: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let length = shape.batch * shape.channels;
    machine.run("global_mean", &[x], pixels(length, shape)?, DType::F32, length)
}

/// The gradient of [`global_mean`] for x.
pub(in crate::ops) fn global_mean_gradient<M: Machine>(
    machine: &M,
    shape: MapShape,
    gradient: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    machine.run("global_mean_gradient", &[gradient], pixels(shape.values(), shape)?, DType::F32, shape.values())
}

fn pixels(threads: usize, shape: MapShape) -> Result<Sizes> {
    let rows = Sizes::rows(threads, shape.batch * shape.pixels(), shape.channels)?;
    Ok(Sizes { height: super::int(shape.height)?, width: super::int(shape.width)?, ..rows })
}
