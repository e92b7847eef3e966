//! A training step on the CPU: operations are recorded as they run, and undone in reverse for the gradients.
//!
//! This computes what the differentiable ops of [`super::ops`] compute under candle's own backward pass, but without that
//! pass's cost, which is that of every gradient being added to fresh zeros. Buffers come from a [`Workspace`] and go back
//! to it, so that after the first step nothing is allocated that is large. Passes over memory are joined where a map is
//! still in the cache: a convolution also sums what the batch norm behind it needs; the gradient of a batch norm is not
//! written but formed where the convolution before it reads it; a convolution's gradient with respect to its input is
//! cut off by the `ReLU` that made the input, and summed for the batch norm before that.
//!
//! Maps are channels-last. Everything that is summed over the batch is summed in fixed chunks and in a fixed order, so
//! results have the same bytes for any number of threads.

mod batch;
mod concatenation;
mod convolution;
mod gradient;
mod head;
mod normalisation;
mod pixels;
mod pooling;
#[cfg(test)]
mod tests;
mod workspace;

use std::sync::Arc;

use candle_core::{Result, bail};

pub use self::normalisation::BatchStatistics;
pub use self::workspace::Workspace;

use self::concatenation::Concatenation;
use self::convolution::RecordedConv;
use self::gradient::Gradient;
use self::head::Linear;
use self::normalisation::{Moments, Normalisation};
use self::pixels::{Product, Rectifier, Sum};
use self::pooling::{GlobalMean, Pool, Subsample};
use super::isa::Isa;
use super::ops::MapShape;

/// A map on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapId(usize);

/// Weights on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterId(usize);

/// The operations of one forward pass, in order, and what their gradients need.
pub struct Tape<'a> {
    workspace: &'a mut Workspace,
    maps: Vec<Map>,
    parameters: Vec<Parameter<'a>>,
    entries: Vec<Entry>,
}

/// A value on a tape.
struct Map {
    shape: MapShape,
    values: Arc<Vec<f32>>,
    /// Whether a gradient is wanted.
    tracked: bool,
    /// Readers whose part of the gradient is still to come.
    uses: usize,
    /// Whether a `ReLU` made it, so that its gradient is 0 where it is not above 0.
    rectified: bool,
    /// What made it, if a batch norm: what that needs of the gradient.
    normalised: Option<Normalised>,
    /// Sums that the convolution which made it formed for a batch norm.
    moments: Option<Moments>,
    gradient: Option<Gradient>,
}

/// What a batch norm read.
#[derive(Clone)]
struct Normalised {
    x: MapId,
    mean: Arc<Vec<f32>>,
}

struct Parameter<'a> {
    values: &'a [f32],
    gradient: Option<Vec<f32>>,
}

/// An operation that has run.
enum Entry {
    Convolution(RecordedConv),
    Normalisation(Normalisation),
    Pool(Pool),
    Concatenation(Concatenation),
    Subsample(Subsample),
    GlobalMean(GlobalMean),
    Linear(Linear),
    Rectifier(Rectifier),
    Sum(Sum),
    Product(Product),
}

/// The gradient of each parameter, in the order in which they were put on the tape.
#[derive(Debug)]
pub struct Gradients(Vec<Option<Vec<f32>>>);

impl Gradients {
    /// Takes a parameter's gradient; none where no operation used it or it was taken before.
    pub fn take(&mut self, parameter: ParameterId) -> Option<Vec<f32>> {
        self.0.get_mut(parameter.0).and_then(Option::take)
    }
}

impl<'a> Tape<'a> {
    /// An empty tape.
    pub fn new(workspace: &'a mut Workspace) -> Self {
        Self { workspace, maps: Vec::new(), parameters: Vec::new(), entries: Vec::new() }
    }

    /// Puts images on the tape, `[batch, height, width, channels]`. They get no gradient.
    ///
    /// # Errors
    /// When there are not as many values as the shape has.
    pub fn input(&mut self, values: &[f32], shape: MapShape) -> Result<MapId> {
        if values.len() != shape.values() {
            bail!("take {} values for a map of shape {:?}", values.len(), shape.dims());
        }
        let mut buffer = self.workspace.buffer(values.len());
        buffer.copy_from_slice(values);
        Ok(self.push(Map::new(shape, buffer, false)))
    }

    /// Puts trained weights on the tape.
    pub fn parameter(&mut self, values: &'a [f32]) -> ParameterId {
        self.parameters.push(Parameter { values, gradient: None });
        ParameterId(self.parameters.len() - 1)
    }

    /// The values of a map.
    #[must_use]
    pub fn values(&self, map: MapId) -> &[f32] {
        &self.maps[map.0].values
    }

    /// The sizes of a map.
    #[must_use]
    pub fn shape(&self, map: MapId) -> MapShape {
        self.maps[map.0].shape
    }

    /// Undoes every operation in reverse, given the gradient of one map, and yields those of the parameters.
    ///
    /// # Errors
    /// When the gradient has not as many values as the map.
    pub fn backward(mut self, map: MapId, gradient: Vec<f32>) -> Result<Gradients> {
        let target = &mut self.maps[map.0];
        if gradient.len() != target.shape.values() {
            bail!("start from {} gradients for a map of shape {:?}", gradient.len(), target.shape.dims());
        }
        target.uses += 1;
        self.contribute(map, Arc::new(gradient));
        while let Some(entry) = self.entries.pop() {
            match entry {
                Entry::Convolution(entry) => entry.undo(&mut self),
                Entry::Normalisation(entry) => entry.undo(&mut self),
                Entry::Pool(entry) => entry.undo(&mut self),
                Entry::Concatenation(entry) => entry.undo(&mut self),
                Entry::Subsample(entry) => entry.undo(&mut self),
                Entry::GlobalMean(entry) => entry.undo(&mut self),
                Entry::Linear(entry) => entry.undo(&mut self),
                Entry::Rectifier(entry) => entry.undo(&mut self),
                Entry::Sum(entry) => entry.undo(&mut self),
                Entry::Product(entry) => entry.undo(&mut self),
            }
        }
        Ok(Gradients(self.parameters.iter_mut().map(|parameter| parameter.gradient.take()).collect()))
    }

    fn isa(&self) -> Isa {
        self.workspace.isa()
    }

    fn map(&self, map: MapId) -> &Map {
        &self.maps[map.0]
    }

    fn push(&mut self, map: Map) -> MapId {
        self.maps.push(map);
        MapId(self.maps.len() - 1)
    }

    /// Adds a map that an operation made and records the operation.
    fn record(&mut self, map: Map, reads: &[MapId], entry: impl FnOnce(MapId) -> Entry) -> MapId {
        for read in reads {
            self.maps[read.0].uses += 1;
        }
        let made = self.push(map);
        self.entries.push(entry(made));
        made
    }

    /// Adds to a parameter's gradient.
    fn add_to_parameter(&mut self, parameter: ParameterId, gradient: Vec<f32>) {
        match &mut self.parameters[parameter.0].gradient {
            Some(sum) => sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value),
            none => *none = Some(gradient),
        }
    }

    /// Gives back what a map holds, once the operation that made it is undone.
    fn release(&mut self, map: MapId) {
        let map = &mut self.maps[map.0];
        let values = std::mem::take(&mut map.values);
        map.gradient = None;
        self.workspace.recycle(values);
    }
}

impl Drop for Tape<'_> {
    fn drop(&mut self) {
        for map in std::mem::take(&mut self.maps) {
            self.workspace.recycle(map.values);
        }
    }
}

impl Map {
    fn new(shape: MapShape, values: Vec<f32>, tracked: bool) -> Self {
        Self {
            shape,
            values: Arc::new(values),
            tracked,
            uses: 0,
            rectified: false,
            normalised: None,
            moments: None,
            gradient: None,
        }
    }
}
