//! The gradient of a convolution with respect to its weights.
//!
//! For each tap it is a product of two matrices whose common dimension are the pixels: every pair of an input pixel
//! and an output pixel that the tap joins adds the outer product of the input's channels and the output's gradient.
//! A block of such sums stays in registers while a few hundred pixels pass by. Channels are first rearranged in panels of
//! at most 16 (unless they lie so already), so that what a block reads is contiguous; where a map has few channels,
//! the taps become channels (the image's patches). Taps on the border are skipped.

use rayon::prelude::*;

use super::outer_product::{Pair, Product};
use super::shape::ConvShape;
use super::weight_tiles::WeightTiles;
use crate::conv::Algorithm;
use crate::conv::winograd::transform::OUTPUTS;
use crate::isa::Isa;

/// Channels of a panel: one cache line.
const PANEL: usize = 16;
/// Up to so many taps times channels, patches are the channels.
const PATCH: usize = 32;
/// Pixels that pass a block of sums at a time, so that both panels stay in the first-level cache.
const PIXELS: usize = 256;
/// Fewest images whose contributions are summed apart.
const IMAGES: usize = 8;
/// Most images that are rearranged at a time.
const GROUP: usize = 16;
/// Up to so many weights (160 KB), a task sums all of them.
const JOINT: usize = 40_000;
/// Most values of all partial sums together (4 MiB), where weights are more.
const PARTIAL: usize = 1 << 20;
/// Output channels of a task, where weights are more.
const COLUMNS: usize = 64;
/// Tiles whose sums are worth their transformation back.
const TILES: usize = 128;
/// Input and output channels of a task in tiles, where weights are more.
const TILED: usize = 128;

/// How the gradient is computed for one shape; the same for any number of threads.
#[derive(Debug)]
pub(crate) struct WeightGradient {
    isa: Isa,
    shape: ConvShape,
    patches: bool,
    /// Rows and columns of a panel of the input: channels, zeros up to a multiple.
    input_panel: usize,
    output_panel: usize,
    /// Images that are rearranged at a time.
    group: usize,
    /// For each block of output pixels of a group and each tap: the places it joins, image by image.
    blocks: Vec<Vec<Vec<Pair>>>,
    images_per_chunk: usize,
    /// Output channels of a task.
    columns: usize,
    /// Where they take less time.
    tiles: Option<WeightTiles>,
}

/// Room for rearranged maps.
#[derive(Debug, Default)]
pub(crate) struct Panels {
    x: Vec<f32>,
    gradient: Vec<f32>,
}

impl WeightGradient {
    /// By whichever algorithm takes less time.
    pub(crate) fn new(isa: Isa, shape: &ConvShape) -> Self {
        Self::with(isa, shape, Algorithm::faster(&shape.one_image()))
    }

    pub(crate) fn with(isa: Isa, shape: &ConvShape, algorithm: Algorithm) -> Self {
        let ConvShape { input, output, .. } = *shape;
        let patch = shape.taps() * input.channels;
        let patches = input.channels < 8 && patch <= PATCH;
        let input_panel = if patches { patch } else { input.channels.min(PANEL) };
        let output_panel = if output.channels <= 8 { 8 } else { PANEL };
        let group = (PIXELS / output.pixels()).clamp(1, GROUP);
        let joint = shape.weights() <= JOINT;
        let images = if joint { IMAGES } else { output.batch.div_ceil((PARTIAL / shape.weights()).max(1)).max(IMAGES) };
        let mut plan = Self {
            isa,
            shape: *shape,
            patches,
            input_panel,
            output_panel,
            group,
            blocks: Vec::new(),
            images_per_chunk: images.next_multiple_of(group),
            columns: if joint { output.channels } else { COLUMNS },
            tiles: None,
        };
        if algorithm == Algorithm::Winograd && WeightTiles::fits(shape) {
            plan.tiles = Some(WeightTiles::new(isa, shape));
            plan.columns = if joint { output.channels } else { TILED };
            if joint {
                let tiles = output.height.div_ceil(OUTPUTS) * output.width.div_ceil(OUTPUTS);
                plan.images_per_chunk = (TILES / tiles).min(output.batch / 4).max(IMAGES);
            }
        }
        let rows = if plan.group > 1 { output.height } else { (PIXELS / output.width).clamp(1, output.height) };
        plan.blocks =
            (0..output.height).step_by(rows).map(|row| plan.block(row..(row + rows).min(output.height))).collect();
        plan
    }

    /// The pairs of every tap for some output rows of each image of a group.
    fn block(&self, rows: std::ops::Range<usize>) -> Vec<Vec<Pair>> {
        let ConvShape { input, output, window } = self.shape;
        let taps = if self.patches { 1 } else { self.shape.taps() };
        (0..taps)
            .map(|tap| {
                let (ky, kx) = (tap / window.kernel[1], tap % window.kernel[1]);
                let mut pairs = Vec::new();
                for image in 0..self.group {
                    for row in rows.clone() {
                        for column in 0..output.width {
                            let place = (image * output.height + row) * output.width + column;
                            let pixel = if self.patches {
                                Some(place)
                            } else {
                                let y = (row * window.stride + ky).wrapping_sub(window.padding[0]);
                                let x = (column * window.stride + kx).wrapping_sub(window.padding[1]);
                                let inside = y < input.height && x < input.width;
                                inside.then(|| (image * input.height + y) * input.width + x)
                            };
                            if let Some(pixel) = pixel {
                                pairs.push(Pair { x: pixel * self.input_panel, y: place * self.output_panel });
                            }
                        }
                    }
                }
                pairs
            })
            .collect()
    }

    /// Whether a task sums all weights, so that images need to be read only once.
    pub(crate) const fn is_joint(&self) -> bool {
        self.columns >= self.shape.output.channels
    }

    /// Images whose contributions are summed apart: whole groups.
    pub(crate) const fn images_per_chunk(&self) -> usize {
        self.images_per_chunk
    }

    /// The gradient, `[out, in, height, width]`, given the input and the gradient of the output.
    pub(crate) fn apply(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let output = self.shape.output;
        let chunks = output.batch.div_ceil(self.images_per_chunk);
        let partial: Vec<Vec<f32>> = (0..output.channels.div_ceil(self.columns) * chunks)
            .into_par_iter()
            .map(|task| self.task(task / chunks, task % chunks, x, gradient))
            .collect();
        self.collect(&partial)
    }

    /// Adds up what the chunks have contributed, for each block of columns in turn: `[out, in, height, width]`.
    pub(crate) fn collect(&self, partial: &[Vec<f32>]) -> Vec<f32> {
        let mut weights = vec![0.0; self.shape.weights()];
        let chunks = self.shape.output.batch.div_ceil(self.images_per_chunk);
        weights
            .par_chunks_mut(self.columns * self.shape.taps() * self.shape.input.channels)
            .zip(partial.par_chunks(chunks))
            .enumerate()
            .for_each(|(block, (weights, partial))| self.collect_block(block, partial, weights));
        weights
    }

    /// Output channels of a block of columns.
    fn columns(&self, block: usize) -> std::ops::Range<usize> {
        block * self.columns..((block + 1) * self.columns).min(self.shape.output.channels)
    }

    /// Rows of the sums of a tap, and columns: whole panels.
    fn extent(&self, columns: usize) -> [usize; 2] {
        let rows = if self.patches { self.input_panel } else { self.shape.input.channels };
        [rows.next_multiple_of(self.input_panel), columns.next_multiple_of(self.output_panel)]
    }

    /// Number of sums of a block of columns.
    pub(crate) fn sums(&self, block: usize) -> usize {
        let [rows, width] = self.extent(self.columns(block).len());
        if self.tiles.is_some() { WeightTiles::sums(rows, width) } else { self.blocks[0].len() * rows * width }
    }

    /// What a chunk contributes, `[tap][in][out]`, from its sums.
    pub(crate) fn close(&self, block: usize, sums: Vec<f32>) -> Vec<f32> {
        let Some(tiles) = &self.tiles else { return sums };
        let columns = self.columns(block).len();
        let mut out = vec![0.0; self.shape.taps() * self.shape.input.channels * columns];
        tiles.close(&sums, columns, &mut out);
        out
    }

    /// What one chunk of images adds to a block of columns: `[tap][in][out]`.
    fn task(&self, block: usize, chunk: usize, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let ConvShape { input, output, .. } = self.shape;
        let start = chunk * self.images_per_chunk;
        let end = (start + self.images_per_chunk).min(output.batch);
        let x = &x[start * input.image()..end * input.image()];
        let gradient = &gradient[start * output.image()..end * output.image()];
        let mut panels = Panels::default();
        if let Some(tiles) = &self.tiles {
            return self.tiled_task(tiles, block, x, gradient, &mut panels);
        }
        let mut sums = vec![0.0; self.sums(block)];
        self.add(block, x, gradient, &mut panels, &mut sums);
        sums
    }

    /// The same in tiles, some input channels after the other.
    fn tiled_task(
        &self,
        tiles: &WeightTiles,
        block: usize,
        x: &[f32],
        gradient: &[f32],
        panels: &mut Panels,
    ) -> Vec<f32> {
        let (columns, inputs, taps) = (self.columns(block), self.shape.input.channels, self.shape.taps());
        let mut out = vec![0.0; taps * inputs * columns.len()];
        for first in (0..inputs).step_by(TILED) {
            let rows = first..(first + TILED).min(inputs);
            let mut sums = vec![0.0; WeightTiles::sums(rows.len(), columns.len())];
            let Panels { x: transformed, gradient: spread } = &mut *panels;
            tiles.add(x, gradient, [rows.clone(), columns.clone()], [transformed, spread], &mut sums);
            let mut part = vec![0.0; taps * rows.len() * columns.len()];
            tiles.close(&sums, columns.len(), &mut part);
            let length = rows.len() * columns.len();
            for (to, from) in out.chunks_exact_mut(inputs * columns.len()).zip(part.chunks_exact(length)) {
                to[first * columns.len()..][..length].copy_from_slice(from);
            }
        }
        out
    }

    /// Adds what some images contribute to a block of columns.
    ///
    /// # Panics
    /// When the slices do not hold the same number of whole images.
    pub(crate) fn add(&self, block: usize, x: &[f32], gradient: &[f32], panels: &mut Panels, sums: &mut [f32]) {
        let ConvShape { input, output, .. } = self.shape;
        if let Some(tiles) = &self.tiles {
            let channels = [0..input.channels, self.columns(block)];
            return tiles.add(x, gradient, channels, [&mut panels.x, &mut panels.gradient], sums);
        }
        for (x, gradient) in x.chunks(self.group * input.image()).zip(gradient.chunks(self.group * output.image())) {
            self.add_group(block, x, gradient, panels, sums);
        }
    }

    fn add_group(&self, block: usize, x: &[f32], gradient: &[f32], panels: &mut Panels, sums: &mut [f32]) {
        let ConvShape { input, output, .. } = self.shape;
        let images = x.len() / input.image();
        assert_eq!([x.len(), gradient.len()], [images * input.image(), images * output.image()], "whole images");
        let columns = self.columns(block);
        let [rows, width] = self.extent(columns.len());
        let product = Product::new(self.isa, self.input_panel, self.output_panel, width);
        let x = self.input_panels(x, &mut panels.x);
        let gradient = self.output_panels(gradient, &columns, &mut panels.gradient);
        let (x_length, gradient_length) =
            (x.len() * self.input_panel / rows, gradient.len() * self.output_panel / width);
        for taps in &self.blocks {
            for (pairs, sums) in taps.iter().zip(sums.chunks_exact_mut(rows * width)) {
                let pairs = &pairs[..pairs.len() / self.group * images];
                for (x, sums) in x.chunks_exact(x_length).zip(sums.chunks_exact_mut(self.input_panel * width)) {
                    for (panel, gradient) in gradient.chunks_exact(gradient_length).enumerate() {
                        // SAFETY: `block` made the pairs for panels of a whole group of images, pixel after pixel, those
                        // of fewer images come first, and the panels hold all pixels of these images.
                        unsafe { product.add(pairs, x, gradient, &mut sums[panel * self.output_panel..]) };
                    }
                }
            }
        }
    }

    /// Some images as `[panel][pixel][channel]`, or `[pixel][tap and channel]`.
    fn input_panels<'a>(&self, x: &'a [f32], panels: &'a mut Vec<f32>) -> &'a [f32] {
        let channels = self.shape.input.channels;
        if self.patches {
            self.fill_patches(x, panels);
            panels
        } else {
            rearranged(x, channels, 0..channels, self.input_panel, panels)
        }
    }

    /// Some columns of the gradient as `[panel][pixel][channel]`.
    fn output_panels<'a>(
        &self,
        gradient: &'a [f32],
        columns: &std::ops::Range<usize>,
        panels: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        rearranged(gradient, self.shape.output.channels, columns.clone(), self.output_panel, panels)
    }

    fn fill_patches(&self, x: &[f32], panels: &mut Vec<f32>) {
        let ConvShape { input, output, window } = self.shape;
        let channels = input.channels;
        panels.resize(x.len() / input.image() * output.pixels() * self.input_panel, 0.0);
        let mut patches = panels.chunks_exact_mut(self.input_panel);
        for image in x.chunks_exact(input.image()) {
            for row in 0..output.height {
                let (rows, top) = window.span(0, row, input.height);
                for (column, patch) in (0..output.width).zip(&mut patches) {
                    let (columns, left) = window.span(1, column, input.width);
                    let length = columns.len() * channels;
                    patch.fill(0.0);
                    for (y, tap_row) in (top..).zip(rows.clone()) {
                        let to = (tap_row * window.kernel[1] + columns.start) * channels;
                        let from = (y * input.width + left) * channels;
                        patch[to..to + length].copy_from_slice(&image[from..from + length]);
                    }
                }
            }
        }
    }

    /// Adds up the chunks and rearranges `[tap][in][out]` to `[out][in][tap]` for one block of columns.
    fn collect_block(&self, block: usize, partial: &[Vec<f32>], weights: &mut [f32]) {
        let columns = self.columns(block).len();
        let [rows, width] = self.extent(columns);
        let (taps, inputs) = (self.shape.taps(), self.shape.input.channels);
        let rows = if self.patches { inputs } else { rows };
        let mut sums = vec![0.0; columns];
        for input in 0..inputs {
            for tap in 0..taps {
                let start = (tap * rows + input) * width;
                sums.copy_from_slice(&partial[0][start..start + columns]);
                for partial in &partial[1..] {
                    for (sum, value) in sums.iter_mut().zip(&partial[start..start + columns]) {
                        *sum += value;
                    }
                }
                for (output, &sum) in sums.iter().enumerate() {
                    weights[(output * inputs + input) * taps + tap] = sum;
                }
            }
        }
    }
}

/// Some channels of a channels-last map as `[panel][pixel][channel]`, the last panel filled with zeros; the map itself
/// where it lies so already.
fn rearranged<'a>(
    map: &'a [f32],
    channels: usize,
    wanted: std::ops::Range<usize>,
    panel: usize,
    panels: &'a mut Vec<f32>,
) -> &'a [f32] {
    if channels == panel {
        return map;
    }
    let pixels = map.len() / channels;
    panels.resize(wanted.len().div_ceil(panel) * pixels * panel, 0.0);
    for (first, panels) in wanted.clone().step_by(panel).zip(panels.chunks_exact_mut(pixels * panel)) {
        let width = panel.min(wanted.end - first);
        for (to, from) in panels.chunks_exact_mut(panel).zip(map.chunks_exact(channels)) {
            if width == PANEL {
                to[..PANEL].copy_from_slice(&from[first..first + PANEL]);
            } else {
                to[..width].copy_from_slice(&from[first..first + width]);
                to[width..].fill(0.0);
            }
        }
    }
    panels
}
