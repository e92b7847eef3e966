//! Weights laid out as the micro-kernel reads them.

use rayon::prelude::*;

use super::tile::{MAX_VECTORS, TileTable};
use crate::isa::Isa;

/// Weights and bias of a convolution, packed for the micro-kernel of an instruction set.
///
/// Output channels are divided into blocks of one or two vectors; a block lies `[ky][kx][in][lane]`, so that the
/// kernel reads it from front to back. The last block is filled up with zeros.
#[derive(Clone, Debug)]
pub(crate) struct PackedWeights {
    pub(super) table: &'static TileTable,
    pub(super) blocks: Vec<Block>,
    values: Vec<f32>,
    bias: Vec<f32>,
}

/// Some output channels of a [`PackedWeights`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// The first output channel.
    pub(super) first: usize,
    /// How many there are: at most `vectors` times the lanes.
    pub(super) channels: usize,
    pub(super) vectors: usize,
    /// Where its weights start.
    offset: usize,
}

impl PackedWeights {
    /// Packs `weight(out, in, ky, kx)` and a bias (none: zeros).
    pub(crate) fn pack(
        isa: Isa,
        outputs: usize,
        inputs: usize,
        kernel: [usize; 2],
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        Self::fill(isa, outputs, inputs, kernel, bias, |block, lanes, values| {
            for (row, values) in values.chunks_exact_mut(lanes).enumerate() {
                let (tap, input) = (row / inputs, row % inputs);
                for (output, value) in (block.first..block.first + block.channels).zip(values) {
                    *value = weight(output, input, tap / kernel[1], tap % kernel[1]);
                }
            }
        })
    }

    /// Lays out weights that `fill(block, lanes, values)` writes, block by block, `[ky][kx][in][lane]`, over zeros.
    pub(super) fn fill(
        isa: Isa,
        outputs: usize,
        inputs: usize,
        kernel: [usize; 2],
        bias: Option<&[f32]>,
        fill: impl Fn(&Block, usize, &mut [f32]) + Sync,
    ) -> Self {
        let table = TileTable::new(isa, outputs);
        let per_lane = inputs * kernel[0] * kernel[1];
        let padded = outputs.next_multiple_of(table.lanes);
        let mut values = vec![0.0; per_lane * padded];
        let mut blocks = Vec::new();
        let mut parts = Vec::new();
        let (mut first, mut rest) = (0, &mut values[..]);
        while first < outputs {
            let vectors = (outputs - first).div_ceil(table.lanes).min(table.max_vectors());
            let lanes = vectors * table.lanes;
            let channels = (outputs - first).min(lanes);
            let block = Block { first, channels, vectors, offset: first * per_lane };
            let (part, after) = rest.split_at_mut(per_lane * lanes);
            blocks.push(block);
            parts.push((block, lanes, part));
            (first, rest) = (first + channels, after);
        }
        parts.into_par_iter().for_each(|(block, lanes, part)| fill(&block, lanes, part));
        let mut padded_bias = vec![0.0; padded];
        if let Some(bias) = bias {
            padded_bias[..outputs].copy_from_slice(bias);
        }
        Self { table, blocks, values, bias: padded_bias }
    }

    /// A block's weights.
    pub(super) fn block(&self, block: &Block) -> &[f32] {
        let next = self.blocks.iter().map(|b| b.offset).find(|offset| *offset > block.offset);
        &self.values[block.offset..next.unwrap_or(self.values.len())]
    }

    /// A block's bias, one value a lane.
    pub(super) fn block_bias(&self, block: &Block) -> &[f32] {
        &self.bias[block.first..block.first + self.lanes(block)]
    }

    /// The lanes of all blocks.
    pub(super) fn padded_outputs(&self) -> usize {
        self.bias.len()
    }

    /// The lanes of a block, those without a channel included.
    pub(super) fn lanes(&self, block: &Block) -> usize {
        debug_assert!(block.vectors <= MAX_VECTORS);
        block.vectors * self.table.lanes
    }
}
