//! The last layer.

use std::sync::Arc;

use candle_core::{Result, bail};

use super::{Entry, Map, MapId, ParameterId, Tape};
use crate::ops::{LinearLoops, MapShape};

/// A linear layer that has run.
pub(super) struct Linear {
    loops: LinearLoops,
    x: MapId,
    weight: ParameterId,
    bias: ParameterId,
    out: MapId,
}

impl Tape<'_> {
    /// x W' + b for a map of one pixel, `weight` `[out, in]` and `bias` `[out]`.
    ///
    /// # Errors
    /// When the sizes do not belong together.
    pub fn linear(&mut self, x: MapId, weight: ParameterId, bias: ParameterId) -> Result<MapId> {
        let shape = self.shape(x);
        let (weights, biases) = (self.parameters[weight.0].values, self.parameters[bias.0].values);
        let (inputs, outputs) = (shape.image(), biases.len());
        if weights.len() != inputs * outputs {
            bail!("apply {} weights and {outputs} biases to {inputs} features", weights.len());
        }
        let loops = LinearLoops { inputs, outputs };
        let mut out = self.workspace.buffer(shape.batch * outputs);
        loops.forward(&self.map(x).values, weights, biases, &mut out);
        let map = Map::new(MapShape { height: 1, width: 1, channels: outputs, ..shape }, out, true);
        Ok(self.record(map, &[x], |out| Entry::Linear(Linear { loops, x, weight, bias, out })))
    }
}

impl Linear {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        if let Some(gradient) = tape.take_plain_gradient(self.out) {
            let for_weights = self.loops.weight_gradient(&tape.map(self.x).values, &gradient);
            tape.add_to_parameter(self.weight, for_weights);
            tape.add_to_parameter(self.bias, self.loops.bias_gradient(&gradient));
            if tape.map(self.x).tracked {
                let mut out = tape.workspace.buffer(tape.shape(self.x).values());
                self.loops.input_gradient(&gradient, tape.parameters[self.weight.0].values, &mut out);
                tape.contribute(self.x, Arc::new(out));
            }
            tape.workspace.recycle(gradient);
        }
        tape.release(self.out);
    }
}
