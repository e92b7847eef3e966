//! Pooling and subsampling.

use std::sync::Arc;

use candle_core::Result;
use rayon::prelude::*;

use super::{Entry, Map, MapId, Tape};
use crate::ops::{MapShape, Pooling, PoolingKind, Subsampling};

/// A pooling that has run.
pub(super) struct Pool {
    pooling: Pooling,
    x: MapId,
    out: MapId,
}

/// A subsampling that has run.
pub(super) struct Subsample {
    subsampling: Subsampling,
    x: MapId,
    out: MapId,
}

/// A mean over pixels that has run.
pub(super) struct GlobalMean {
    x: MapId,
    out: MapId,
}

impl Tape<'_> {
    /// The largest value in each window; the border never wins, and of equal values the first gets the gradient.
    ///
    /// # Errors
    /// When the window does not fit, or the border is wider than half of it.
    pub fn max_pool2d(&mut self, x: MapId, kernel: usize, stride: usize, padding: usize) -> Result<MapId> {
        Ok(self.pool(x, Pooling::new(self.shape(x), kernel, stride, padding, PoolingKind::Max)?))
    }

    /// The mean of each window; zeros of the border count.
    ///
    /// # Errors
    /// When the window does not fit, or the border is wider than half of it.
    pub fn avg_pool2d(&mut self, x: MapId, kernel: usize, stride: usize, padding: usize) -> Result<MapId> {
        Ok(self.pool(x, Pooling::new(self.shape(x), kernel, stride, padding, PoolingKind::Mean)?))
    }

    fn pool(&mut self, x: MapId, pooling: Pooling) -> MapId {
        let mut out = self.workspace.buffer(pooling.output().values());
        pooling.forward(&self.map(x).values, &mut out);
        let map = Map::new(pooling.output(), out, self.map(x).tracked);
        self.record(map, &[x], |out| Entry::Pool(Pool { pooling, x, out }))
    }

    /// Every `stride`-th pixel, with `channel_padding` channels of zeros before and after.
    ///
    /// # Errors
    /// When `stride` is 0.
    pub fn subsample(&mut self, x: MapId, stride: usize, channel_padding: usize) -> Result<MapId> {
        let subsampling = Subsampling::new(self.shape(x), stride, channel_padding)?;
        let mut out = self.workspace.buffer(subsampling.output().values());
        subsampling.forward(&self.map(x).values, &mut out);
        let map = Map::new(subsampling.output(), out, self.map(x).tracked);
        Ok(self.record(map, &[x], |out| Entry::Subsample(Subsample { subsampling, x, out })))
    }

    /// The mean over all pixels, a map of one pixel.
    pub fn global_mean(&mut self, x: MapId) -> MapId {
        let shape = self.shape(x);
        let mean = MapShape { height: 1, width: 1, ..shape };
        let mut out = self.workspace.buffer(mean.values());
        let values = &self.map(x).values;
        out.par_chunks_mut(shape.channels).zip(values.par_chunks(shape.image())).for_each(|(out, image)| {
            out.fill(0.0);
            for pixel in image.chunks_exact(shape.channels) {
                for (sum, value) in out.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            for sum in out {
                *sum /= shape.pixels() as f32;
            }
        });
        let map = Map::new(mean, out, self.map(x).tracked);
        self.record(map, &[x], |out| Entry::GlobalMean(GlobalMean { x, out }))
    }
}

impl Pool {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        if let Some(gradient) = tape.take_plain_gradient(self.out)
            && tape.map(self.x).tracked
        {
            let mut out = tape.workspace.buffer(tape.shape(self.x).values());
            self.pooling.backward(&tape.map(self.x).values, &gradient, &mut out);
            tape.workspace.recycle(gradient);
            tape.contribute(self.x, Arc::new(out));
        }
        tape.release(self.out);
    }
}

impl Subsample {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        if let Some(gradient) = tape.take_plain_gradient(self.out)
            && tape.map(self.x).tracked
        {
            let mut out = tape.workspace.buffer(tape.shape(self.x).values());
            self.subsampling.backward(&gradient, &mut out);
            tape.workspace.recycle(gradient);
            tape.contribute(self.x, Arc::new(out));
        }
        tape.release(self.out);
    }
}

impl GlobalMean {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        if let Some(gradient) = tape.take_plain_gradient(self.out)
            && tape.map(self.x).tracked
        {
            let shape = tape.shape(self.x);
            let mut out = tape.workspace.buffer(shape.values());
            out.par_chunks_mut(shape.image()).zip(gradient.par_chunks(shape.channels)).for_each(|(image, gradient)| {
                for pixel in image.chunks_exact_mut(shape.channels) {
                    for (out, gradient) in pixel.iter_mut().zip(gradient) {
                        *out = gradient / shape.pixels() as f32;
                    }
                }
            });
            tape.workspace.recycle(gradient);
            tape.contribute(self.x, Arc::new(out));
        }
        tape.release(self.out);
    }
}
