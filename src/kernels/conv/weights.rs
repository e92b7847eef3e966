//! Weights laid out as the micro-kernel reads them.

use super::tile::{MAX_VECTORS, TileTable};
use crate::kernels::isa::Isa;

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
        weight: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> Self {
        let table = TileTable::new(isa, outputs);
        let per_lane = inputs * kernel[0] * kernel[1];
        let padded = outputs.next_multiple_of(table.lanes);
        let mut values = Vec::with_capacity(per_lane * padded);
        let mut blocks = Vec::new();
        let mut first = 0;
        while first < outputs {
            let vectors = (outputs - first).div_ceil(table.lanes).min(table.max_vectors());
            let lanes = vectors * table.lanes;
            let channels = (outputs - first).min(lanes);
            blocks.push(Block { first, channels, vectors, offset: values.len() });
            for ky in 0..kernel[0] {
                for kx in 0..kernel[1] {
                    for input in 0..inputs {
                        values.extend((first..first + channels).map(|output| weight(output, input, ky, kx)));
                        values.resize(values.len() + lanes - channels, 0.0);
                    }
                }
            }
            first += channels;
        }
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
