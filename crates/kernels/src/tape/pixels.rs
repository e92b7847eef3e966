//! Operations that treat every value alike: `ReLU`, sums of maps, products with constants.

use std::sync::Arc;

use candle_core::{Result, bail};

use super::batch::for_each_chunk;
use super::{Entry, Map, MapId, Tape};
use crate::ops::channels;

/// A `ReLU` that has run.
pub(super) struct Rectifier {
    x: MapId,
    out: MapId,
}

/// A sum of two maps that has run.
pub(super) struct Sum {
    sides: [MapId; 2],
    out: MapId,
}

/// A product with constants that has run.
pub(super) struct Product {
    x: MapId,
    factors: Vec<f32>,
    out: MapId,
}

impl Tape<'_> {
    /// max(x, 0), with gradient 0 at 0.
    pub fn relu(&mut self, x: MapId) -> MapId {
        let (isa, shape, tracked) = (self.isa(), self.shape(x), self.map(x).tracked);
        let mut out = self.workspace.buffer(shape.values());
        let values = &self.map(x).values;
        for_each_chunk(shape, &mut out, |first, out| channels::rectify(isa, &values[first..first + out.len()], out));
        let map = Map { rectified: true, ..Map::new(shape, out, tracked) };
        self.record(map, &[x], |out| Entry::Rectifier(Rectifier { x, out }))
    }

    /// a + b.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn add(&mut self, a: MapId, b: MapId) -> Result<MapId> {
        let (isa, shape) = (self.isa(), self.shape(a));
        if self.shape(b) != shape {
            bail!("add maps of shapes {:?} and {:?}", shape.dims(), self.shape(b).dims());
        }
        let tracked = self.map(a).tracked || self.map(b).tracked;
        let mut out = self.workspace.buffer(shape.values());
        let [a_values, b_values] = [a, b].map(|side| &self.map(side).values);
        for_each_chunk(shape, &mut out, |first, out| {
            let part = first..first + out.len();
            out.copy_from_slice(&a_values[part.clone()]);
            channels::add(isa, out, &b_values[part]);
        });
        let map = Map::new(shape, out, tracked);
        Ok(self.record(map, &[a, b], |out| Entry::Sum(Sum { sides: [a, b], out })))
    }

    /// x times constant factors, one a value: dropout.
    ///
    /// # Errors
    /// When there are not as many factors as values.
    pub fn multiply(&mut self, x: MapId, factors: Vec<f32>) -> Result<MapId> {
        let (isa, shape, tracked) = (self.isa(), self.shape(x), self.map(x).tracked);
        if factors.len() != shape.values() {
            bail!("multiply a map of shape {:?} by {} factors", shape.dims(), factors.len());
        }
        let mut out = self.workspace.buffer(shape.values());
        let values = &self.map(x).values;
        for_each_chunk(shape, &mut out, |first, out| {
            let part = first..first + out.len();
            channels::multiply(isa, &values[part.clone()], &factors[part], out);
        });
        let map = Map::new(shape, out, tracked);
        Ok(self.record(map, &[x], |out| Entry::Product(Product { x, factors, out })))
    }
}

impl Rectifier {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        if let Some(gradient) = tape.take_plain_gradient(self.out)
            && tape.map(self.x).tracked
        {
            tape.contribute(self.x, gradient);
        }
        tape.release(self.out);
    }
}

impl Sum {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        if let Some(gradient) = tape.take_plain_gradient(self.out) {
            for side in self.sides {
                if tape.map(side).tracked {
                    tape.contribute(side, Arc::clone(&gradient));
                }
            }
        }
        tape.release(self.out);
    }
}

impl Product {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        if let Some(gradient) = tape.take_plain_gradient(self.out)
            && tape.map(self.x).tracked
        {
            let (isa, shape) = (tape.isa(), tape.shape(self.x));
            let mut out = tape.workspace.buffer(shape.values());
            for_each_chunk(shape, &mut out, |first, out| {
                let part = first..first + out.len();
                channels::multiply(isa, &gradient[part.clone()], &self.factors[part], out);
            });
            tape.workspace.recycle(gradient);
            tape.contribute(self.x, Arc::new(out));
        }
        tape.release(self.out);
    }
}
