//! What outlives a step: buffers to be used again, and plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::isa::Isa;
use crate::ops::{ConvShape, WeightGradient};

/// Buffers and plans that one step leaves to the next.
#[derive(Debug)]
pub struct Workspace {
    isa: Isa,
    free: BTreeMap<usize, Vec<Vec<f32>>>,
    plans: BTreeMap<ConvShape, Arc<WeightGradient>>,
}

impl Workspace {
    /// An empty workspace for that instruction set.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa, free: BTreeMap::new(), plans: BTreeMap::new() }
    }

    pub(super) const fn isa(&self) -> Isa {
        self.isa
    }

    /// So many values of any kind: every one must be written before it is read.
    pub(super) fn buffer(&mut self, length: usize) -> Vec<f32> {
        self.free.get_mut(&length).and_then(Vec::pop).unwrap_or_else(|| vec![0.0; length])
    }

    /// Takes a buffer back, unless someone else still reads it.
    pub(super) fn recycle(&mut self, values: Arc<Vec<f32>>) {
        if let Some(values) = Arc::into_inner(values)
            && !values.is_empty()
        {
            self.free.entry(values.len()).or_default().push(values);
        }
    }

    /// How a convolution's weight gradient is computed.
    pub(super) fn plan(&mut self, shape: &ConvShape) -> Arc<WeightGradient> {
        let isa = self.isa;
        Arc::clone(self.plans.entry(*shape).or_insert_with(|| Arc::new(WeightGradient::new(isa, shape))))
    }
}
