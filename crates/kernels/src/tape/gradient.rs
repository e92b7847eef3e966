//! Gradients of maps, as they come together.

use std::ops::Range;
use std::sync::Arc;

use super::batch::for_each_chunk;
use super::{MapId, Tape};
use crate::isa::Isa;
use crate::ops::channels;

/// The gradient of a map.
pub(super) enum Gradient {
    /// Its values, summed over the readers of the map that have added their part so far.
    Plain {
        values: Arc<Vec<f32>>,
        /// Whether a `ReLU` that made the map has cut it off (true where there was none).
        gated: bool,
        /// For a batch norm that made the map: sums of the gradient, and of gradient times (x - mean).
        sums: Option<Vec<f64>>,
    },
    /// What a batch norm makes of the gradient behind it, not yet computed.
    Lazy(Lazy),
}

/// scale * gradient + slope * x + offset, channel by channel.
#[derive(Clone)]
pub(super) struct Lazy {
    pub(super) gradient: Arc<Vec<f32>>,
    pub(super) x: Arc<Vec<f32>>,
    pub(super) scale: Vec<f32>,
    pub(super) slope: Vec<f32>,
    pub(super) offset: Vec<f32>,
}

/// The gradient behind an operation, on its way to be read.
pub(super) enum Source {
    Plain(Arc<Vec<f32>>),
    Lazy(Lazy),
}

impl Source {
    /// Some of the values, computed into `scratch` where they are not at hand.
    pub(super) fn part<'b>(&'b self, isa: Isa, values: Range<usize>, scratch: &'b mut Vec<f32>) -> &'b [f32] {
        match self {
            Self::Plain(gradient) => &gradient[values],
            Self::Lazy(lazy) => {
                scratch.resize(values.len(), 0.0);
                lazy.compute(isa, values, scratch);
                scratch
            }
        }
    }
}

impl Lazy {
    pub(super) fn compute(&self, isa: Isa, values: Range<usize>, out: &mut [f32]) {
        let (gradient, x) = (&self.gradient[values.clone()], &self.x[values]);
        channels::combine(isa, gradient, x, &self.scale, &self.slope, &self.offset, out);
    }
}

impl Tape<'_> {
    /// Whether only one reader's part of the gradient is still to come.
    pub(super) fn last_part(&self, map: MapId) -> bool {
        self.map(map).uses == 1
    }

    /// Adds a reader's part to a map's gradient.
    pub(super) fn contribute(&mut self, map: MapId, part: Arc<Vec<f32>>) {
        let isa = self.isa();
        let existing = self.take_sum(map);
        let shape = self.map(map).shape;
        let values = match existing {
            None => part,
            Some(sum) => {
                let mut sum = self.unshared(sum);
                for_each_chunk(shape, &mut sum, |first, sum| channels::add(isa, sum, &part[first..first + sum.len()]));
                self.workspace.recycle(part);
                Arc::new(sum)
            }
        };
        self.put_gradient(map, values, false, None);
    }

    /// As [`Tape::contribute`], leaving the part uncomputed where it is the only one.
    pub(super) fn contribute_lazily(&mut self, map: MapId, part: Lazy) {
        let target = &mut self.maps[map.0];
        if target.uses == 1 && target.gradient.is_none() {
            target.uses = 0;
            target.gradient = Some(Gradient::Lazy(part));
        } else {
            let part = self.computed(map, &part);
            self.contribute(map, part);
        }
    }

    /// Replaces a map's gradient by one to which a reader has added its part.
    pub(super) fn put_gradient(&mut self, map: MapId, values: Arc<Vec<f32>>, gated: bool, sums: Option<Vec<f64>>) {
        let target = &mut self.maps[map.0];
        target.uses -= 1;
        let gated = gated || !target.rectified;
        target.gradient = Some(Gradient::Plain { values, gated, sums });
    }

    /// Takes the sum of the parts so far.
    pub(super) fn take_sum(&mut self, map: MapId) -> Option<Arc<Vec<f32>>> {
        match self.maps[map.0].gradient.take()? {
            Gradient::Plain { values, .. } => Some(values),
            Gradient::Lazy(lazy) => Some(self.computed(map, &lazy)),
        }
    }

    /// Takes the whole gradient of a map, cut off by the `ReLU` that made it; none if nothing depends on the map.
    pub(super) fn take_gradient(&mut self, map: MapId) -> Option<Source> {
        match self.maps[map.0].gradient.take()? {
            Gradient::Lazy(lazy) if !self.map(map).rectified => Some(Source::Lazy(lazy)),
            Gradient::Lazy(lazy) => {
                let values = self.computed(map, &lazy);
                Some(Source::Plain(self.gated(map, values)))
            }
            Gradient::Plain { values, gated: true, .. } => Some(Source::Plain(values)),
            Gradient::Plain { values, gated: false, .. } => Some(Source::Plain(self.gated(map, values))),
        }
    }

    /// As [`Tape::take_gradient`], computed.
    pub(super) fn take_plain_gradient(&mut self, map: MapId) -> Option<Arc<Vec<f32>>> {
        match self.take_gradient(map)? {
            Source::Plain(values) => Some(values),
            Source::Lazy(lazy) => Some(self.computed(map, &lazy)),
        }
    }

    pub(super) fn computed(&mut self, map: MapId, lazy: &Lazy) -> Arc<Vec<f32>> {
        let (isa, shape) = (self.isa(), self.map(map).shape);
        let mut out = self.workspace.buffer(shape.values());
        for_each_chunk(shape, &mut out, |first, out| lazy.compute(isa, first..first + out.len(), out));
        Arc::new(out)
    }

    fn gated(&mut self, map: MapId, gradient: Arc<Vec<f32>>) -> Arc<Vec<f32>> {
        let isa = self.isa();
        let mut gradient = self.unshared(gradient);
        let map = self.map(map);
        for_each_chunk(map.shape, &mut gradient, |first, part| {
            channels::gate(isa, part, &map.values[first..first + part.len()]);
        });
        Arc::new(gradient)
    }

    /// The buffer itself, or a copy where someone else still reads it.
    pub(super) fn unshared(&mut self, values: Arc<Vec<f32>>) -> Vec<f32> {
        Arc::try_unwrap(values).unwrap_or_else(|shared| {
            let mut copy = self.workspace.buffer(shared.len());
            copy.copy_from_slice(&shared);
            copy
        })
    }

    /// Gives back the buffers of a gradient that has been used.
    pub(super) fn recycle(&mut self, source: Source) {
        match source {
            Source::Plain(values) => self.workspace.recycle(values),
            Source::Lazy(lazy) => {
                self.workspace.recycle(lazy.gradient);
                self.workspace.recycle(lazy.x);
            }
        }
    }
}
