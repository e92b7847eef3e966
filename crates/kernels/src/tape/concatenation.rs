//! Maps side by side: the channels of one behind those of the other.

use std::sync::Arc;

use candle_core::{Result, bail};

use super::batch::for_each_chunk;
use super::{Entry, Map, MapId, Tape};
use crate::ops::MapShape;

/// A concatenation that has run.
pub(super) struct Concatenation {
    parts: Vec<MapId>,
    out: MapId,
}

impl Tape<'_> {
    /// One map with the channels of all `parts`, in their order.
    ///
    /// # Errors
    /// When there are none, or their batches, heights or widths differ.
    pub fn concat(&mut self, parts: &[MapId]) -> Result<MapId> {
        let Some(&first) = parts.first() else { bail!("concatenate no maps") };
        let extent = |map: MapShape| (map.batch, map.height, map.width);
        let mut shape = MapShape { channels: 0, ..self.shape(first) };
        for &part in parts {
            let part = self.shape(part);
            if extent(part) != extent(shape) {
                bail!("concatenate maps of shapes {:?} and {:?}", self.shape(first).dims(), part.dims());
            }
            shape.channels += part.channels;
        }
        let tracked = parts.iter().any(|&part| self.map(part).tracked);
        let mut out = self.workspace.buffer(shape.values());
        let mut start = 0;
        for &part in parts {
            let part = self.map(part);
            let channels = part.shape.channels;
            for_each_chunk(shape, &mut out, |first, out| {
                let pixels = part.values[first / shape.channels * channels..].chunks_exact(channels);
                for (out, pixel) in out.chunks_exact_mut(shape.channels).zip(pixels) {
                    out[start..start + channels].copy_from_slice(pixel);
                }
            });
            start += channels;
        }
        let map = Map::new(shape, out, tracked);
        let parts = parts.to_vec();
        Ok(self.record(map, &parts.clone(), |out| Entry::Concatenation(Concatenation { parts, out })))
    }
}

impl Concatenation {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        let all = tape.shape(self.out).channels;
        if let Some(gradient) = tape.take_plain_gradient(self.out) {
            let mut start = 0;
            for part in self.parts {
                let shape = tape.shape(part);
                if tape.map(part).tracked {
                    let mut own = tape.workspace.buffer(shape.values());
                    for_each_chunk(shape, &mut own, |first, own| {
                        let pixels = gradient[first / shape.channels * all..].chunks_exact(all);
                        for (own, pixel) in own.chunks_exact_mut(shape.channels).zip(pixels) {
                            own.copy_from_slice(&pixel[start..start + shape.channels]);
                        }
                    });
                    tape.contribute(part, Arc::new(own));
                }
                start += shape.channels;
            }
            tape.workspace.recycle(gradient);
        }
        tape.release(self.out);
    }
}
