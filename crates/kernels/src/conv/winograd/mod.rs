//! 3x3 convolution of stride 1 by Winograd's minimal filtering (Lavin & Gray 2016), in tiles of 4x4 outputs, or of a map
//! of 2x2 as a whole.
//!
//! A tile of 4x4 takes 36 multiplications per pair of channels instead of 144, and two transforms that cost about as much
//! as four hundred per channel. Tiles lie on a grid that starts at output (0, 0), whatever the region, so an output's bits
//! depend on its own inputs alone; they differ from direct convolution's by rounding.

mod small;
pub(crate) mod transform;

use super::direct::{Finish, Job};
use super::geometry::{ConvShape, Region};
use super::tile::{MAX_PIXELS, Product, RawFinish};
use super::weights::PackedWeights;
use crate::isa::Isa;
use std::cell::RefCell;
use std::ops::Range;
use transform::{InputTile, MOST_LANES, OutputTile, TAPS, Transforms};

/// Transforms take a multiple of this many channels.
const CHANNELS: usize = 8;
/// Between the rows of two places, so that they do not share the sets of a cache: one line.
const GAP: usize = 16;

/// How a map is divided into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiles {
    /// 4x4 outputs each, from the first pixel on.
    FourByFour,
    /// One of 2x2 outputs, which is the map: its border gives only zeros.
    WholeMap,
}

impl Tiles {
    /// Rows and columns of outputs that are computed together.
    #[must_use]
    pub const fn outputs(self) -> usize {
        match self {
            Self::FourByFour => transform::OUTPUTS,
            Self::WholeMap => small::OUTPUTS,
        }
    }

    /// Rows and columns of inputs that such a tile is computed from, those of the border included.
    #[must_use]
    pub const fn inputs(self) -> usize {
        match self {
            Self::FourByFour => transform::INPUTS,
            Self::WholeMap => small::INPUTS,
        }
    }

    /// Places of a transformed tile: its products for a pair of channels.
    #[must_use]
    pub const fn places(self) -> usize {
        match self {
            Self::FourByFour => transform::PLACES,
            Self::WholeMap => small::PLACES,
        }
    }

    /// Whether a convolution can be computed so: 3x3, stride 1, channels in eights.
    #[must_use]
    pub fn fit(self, shape: &ConvShape) -> bool {
        let any = shape.kernel == [3, 3]
            && shape.stride == 1
            && shape.inputs.is_multiple_of(CHANNELS)
            && shape.outputs.is_multiple_of(CHANNELS);
        any && match self {
            Self::FourByFour => true,
            Self::WholeMap => [shape.input, shape.output] == [[2, 2]; 2] && shape.before == [1, 1],
        }
    }

    /// The tiles along an axis that hold any of the `wanted` outputs.
    pub(super) fn span(self, wanted: &Range<usize>) -> Range<usize> {
        let start = wanted.start / self.outputs();
        start..wanted.end.div_ceil(self.outputs()).max(start)
    }

    /// The fastest transforms that can take so many channels: a multiple of eight.
    fn transforms(self, isa: Isa, channels: usize) -> &'static Transforms {
        match self {
            Self::FourByFour => transform::transforms(isa, channels),
            Self::WholeMap => small::transforms(isa, channels),
        }
    }
}

/// A 3x3 convolution of stride 1 with transformed weights.
#[derive(Clone, Debug)]
pub struct WinogradConv {
    shape: ConvShape,
    tiles: Tiles,
    /// The weights of place p are tap (p, 0).
    weights: PackedWeights,
    /// One value per output, after the last of which come zeros.
    bias: Vec<f32>,
    input: &'static Transforms,
    output: &'static Transforms,
    /// Tiles that share a pass over the weights.
    batch: usize,
}

impl WinogradConv {
    /// Transforms and packs `weight(out, in, ky, kx)`.
    pub(super) fn from_fn(
        isa: Isa,
        shape: ConvShape,
        tiles: Tiles,
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        assert!(tiles.fit(&shape), "{shape:?} is not for {tiles:?}");
        let (outputs, inputs) = (shape.outputs, shape.inputs);
        let weights = PackedWeights::fill(isa, outputs, inputs, [tiles.places(), 1], None, |block, lanes, values| {
            let mut taps = [0.0; TAPS * MOST_LANES];
            for input in 0..inputs {
                for lane in 0..block.channels {
                    for tap in 0..TAPS {
                        taps[tap * MOST_LANES + lane] = weight(block.first + lane, input, tap / 3, tap % 3);
                    }
                }
                let (stride, places) = (inputs * lanes, &mut values[input * lanes..]);
                match tiles {
                    Tiles::FourByFour => transform::transform_weights(isa, &taps, lanes, stride, places),
                    Tiles::WholeMap => small::transform_weights(&taps, lanes, stride, places),
                }
            }
        });
        Self {
            shape,
            bias: bias.map_or_else(|| vec![0.0; shape.outputs], <[f32]>::to_vec),
            tiles,
            input: tiles.transforms(isa, shape.inputs),
            output: tiles.transforms(isa, shape.outputs),
            batch: batch(&shape),
            weights,
        }
    }

    /// The sizes of its maps and its kernel.
    #[must_use]
    pub const fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// How its map is divided.
    #[must_use]
    pub const fn tiles(&self) -> Tiles {
        self.tiles
    }

    pub(super) fn region_multiplications(&self, region: Region) -> u64 {
        let tiles = self.tiles.span(&region.rows()).len() * self.tiles.span(&region.columns()).len();
        (tiles * self.tiles.places() * self.shape.inputs * self.shape.outputs) as u64
    }

    /// The values of scratch that it takes.
    pub(super) fn scratch_values(&self) -> usize {
        self.tiles.places() * (self.input_place() + self.output_place())
    }

    /// From one place's rows of transformed inputs to the next place's.
    fn input_place(&self) -> usize {
        self.batch * self.shape.inputs + GAP
    }

    /// From one place's rows of products to the next place's.
    fn output_place(&self) -> usize {
        self.batch * self.weights.padded_outputs() + GAP
    }

    /// Computes each job's region, as [`super::DirectConv::apply`] does.
    pub(super) fn apply(
        &self,
        input: &[f32],
        output: &mut [f32],
        addend: Option<&[f32]>,
        finish: Finish,
        jobs: &[Job],
    ) {
        if let Finish::Gate(gate) = finish {
            assert_eq!(gate.len(), output.len(), "the gate must be laid out as the output");
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let values = self.scratch_values();
            if scratch.len() < values {
                scratch.resize(values, 0.0);
            }
            self.apply_in(&mut scratch[..values], input, output, addend, finish, jobs);
        });
    }

    fn apply_in(
        &self,
        scratch: &mut [f32],
        input: &[f32],
        output: &mut [f32],
        addend: Option<&[f32]>,
        finish: Finish,
        jobs: &[Job],
    ) {
        let mut tiles = [Tile { job: 0, y: 0, x: 0 }; LARGEST_BATCH];
        let mut count = 0;
        for (index, job) in jobs.iter().enumerate() {
            self.check(job, input.len(), output.len(), addend.map(<[f32]>::len));
            for y in self.tiles.span(&job.region.rows()) {
                for x in self.tiles.span(&job.region.columns()) {
                    if count == self.batch {
                        self.compute(scratch, input, output, addend, finish, jobs, &tiles[..count]);
                        count = 0;
                    }
                    tiles[count] = Tile { job: index, y, x };
                    count += 1;
                }
            }
        }
        self.compute(scratch, input, output, addend, finish, jobs, &tiles[..count]);
    }

    /// Checks that a job's region and the inputs under its tiles lie in their slices.
    fn check(&self, job: &Job, input: usize, output: usize, addend: Option<usize>) {
        let shape = &self.shape;
        assert!(
            job.region.bottom <= shape.output[0] && job.region.right <= shape.output[1],
            "region {:?} exceeds the map {shape:?}",
            job.region
        );
        if job.region.rows().is_empty() || job.region.columns().is_empty() {
            return;
        }
        job.output.check(job.region, shape.outputs, output);
        if let Some(addend) = addend {
            job.addend.check(job.region, shape.outputs, addend);
        }
        let (rows, columns) = (self.read(0, &job.region.rows()), self.read(1, &job.region.columns()));
        if !rows.is_empty() && !columns.is_empty() {
            let under = Region { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end };
            job.input.check(under, shape.inputs, input);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the operands that the tiles gather")]
    fn compute(
        &self,
        scratch: &mut [f32],
        input: &[f32],
        output: &mut [f32],
        addend: Option<&[f32]>,
        finish: Finish,
        jobs: &[Job],
        tiles: &[Tile],
    ) {
        let (transformed, products) = scratch.split_at_mut(self.tiles.places() * self.input_place());
        for (row, tile) in tiles.iter().enumerate() {
            let layout = &jobs[tile.job].input;
            let [y, x] = self.first_input(tile);
            let inside = |first: isize, axis: usize| {
                let [start, end] =
                    [0, self.shape.input[axis].cast_signed()].map(|place| (place - first).max(0).cast_unsigned());
                start.min(self.tiles.inputs())..end.min(self.tiles.inputs())
            };
            let operands = InputTile {
                first: input.as_ptr().wrapping_offset(layout.at(y, x)),
                row: layout.row,
                pixel: layout.pixel,
                rows: inside(y, 0),
                columns: inside(x, 1),
                channels: self.shape.inputs,
                output: transformed[row * self.shape.inputs..].as_mut_ptr(),
                place: self.input_place(),
            };
            // SAFETY: `Tiles::transforms` fits machine and channels; `check` has seen the pixels inside the map to be in
            // the input; `transformed` holds `batch` rows at each place.
            unsafe { (self.input.input)(&operands) };
        }
        self.multiply(transformed, products, tiles.len());
        for (row, tile) in tiles.iter().enumerate() {
            let Job { region, output: to, addend: added, .. } = &jobs[tile.job];
            let outputs = self.tiles.outputs();
            let (y, x) = ((tile.y * outputs).cast_signed(), (tile.x * outputs).cast_signed());
            let operands = OutputTile {
                products: products[row * self.weights.padded_outputs()..].as_ptr(),
                place: self.output_place(),
                channels: self.shape.outputs,
                bias: self.bias.as_ptr(),
                rows: wanted(&region.rows(), tile.y, outputs),
                columns: wanted(&region.columns(), tile.x, outputs),
                output: output.as_mut_ptr().wrapping_offset(to.at(y, x)),
                output_row: to.row,
                output_pixel: to.pixel,
                addend: addend.map_or(std::ptr::null(), |addend| addend.as_ptr().wrapping_offset(added.at(y, x))),
                addend_row: added.row,
                addend_pixel: added.pixel,
                finish: match finish {
                    Finish::Gate(gate) => RawFinish::Gate(gate.as_ptr().wrapping_offset(to.at(y, x))),
                    Finish::Linear | Finish::Relu => RawFinish::from(finish),
                },
            };
            // SAFETY: `Tiles::transforms` fits machine and channels; `check` has seen the region to be in the output and
            // the addend, and a gate to be as long as the output; `products` holds `batch` rows at each place.
            unsafe { (self.output.output)(&operands) };
        }
    }

    /// The inputs along an axis that the tiles over the `wanted` outputs read.
    fn read(&self, axis: usize, wanted: &Range<usize>) -> Range<usize> {
        let (tiles, outputs, before) = (self.tiles.span(wanted), self.tiles.outputs(), self.shape.before[axis]);
        let first = (tiles.start * outputs).cast_signed() - before;
        let end = (tiles.end * outputs + self.tiles.inputs() - outputs).cast_signed() - before;
        let start = usize::try_from(first).unwrap_or(0);
        start..usize::try_from(end).unwrap_or(0).min(self.shape.input[axis]).max(start)
    }

    /// Row and column of a tile's first input, which may lie in the border.
    fn first_input(&self, tile: &Tile) -> [isize; 2] {
        let [vertical, horizontal] = self.shape.before;
        let outputs = self.tiles.outputs();
        [(tile.y * outputs).cast_signed() - vertical, (tile.x * outputs).cast_signed() - horizontal]
    }

    /// Multiplies the transformed inputs of each place by its weights.
    fn multiply(&self, transformed: &[f32], products: &mut [f32], rows: usize) {
        let (inputs, outputs) = (self.shape.inputs, self.weights.padded_outputs());
        for place in 0..self.tiles.places() {
            for block in &self.weights.blocks {
                let lanes = self.weights.lanes(block);
                let tiles = rows.div_ceil(self.weights.table.max_pixels(block.vectors));
                let mut start = 0;
                for tile in 0..tiles {
                    let end = rows * (tile + 1) / tiles;
                    let operands = Product {
                        input: transformed[place * self.input_place() + start * inputs..].as_ptr(),
                        depth: inputs,
                        weights: self.weights.block(block)[place * inputs * lanes..].as_ptr(),
                        output: products[place * self.output_place() + start * outputs + block.first..].as_mut_ptr(),
                        output_row: outputs,
                    };
                    // SAFETY: the table fits the machine; both sides hold `batch` rows at each place, at least `rows`.
                    unsafe { self.weights.table.product(block.vectors, end - start)(&operands) };
                    start = end;
                }
            }
        }
    }
}

/// A tile of a job's output.
#[derive(Clone, Copy)]
struct Tile {
    job: usize,
    y: usize,
    x: usize,
}

/// Which of a tile's outputs along an axis lie in a job's region.
fn wanted(region: &Range<usize>, tile: usize, outputs: usize) -> Range<usize> {
    let first = tile * outputs;
    region.start.max(first) - first..region.end.min(first + outputs) - first
}

thread_local! {
    /// Transformed inputs and products; grows to the largest need and is then reused.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The most tiles in a batch.
const LARGEST_BATCH: usize = 8 * MAX_PIXELS;

/// Small weights stay in the second-level cache, and so should the batch; large ones stream from further away, and
/// the batch must be worth the way.
fn batch(shape: &ConvShape) -> usize {
    match shape.inputs * shape.outputs {
        0..=16_384 => LARGEST_BATCH / 4,
        16_385..=65_536 => LARGEST_BATCH / 2,
        _ => LARGEST_BATCH,
    }
}
