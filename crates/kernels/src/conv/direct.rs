//! Direct convolution of regions of one or many maps.

use super::geometry::{ConvShape, Region, Segment, overlap, segments};
use super::layout::Layout;
use super::tile::{MAX_PIXELS, RawFinish, Tile};
use super::weights::{Block, PackedWeights};
use crate::isa::Isa;

/// What becomes of a sum before it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Finish<'a> {
    /// It stays as it is.
    Linear,
    /// max(x, 0).
    Relu,
    /// 0 where the given map, laid out as the output, is not above 0: the gradient of a ReLU.
    Gate(&'a [f32]),
}

impl From<Finish<'_>> for RawFinish {
    fn from(finish: Finish) -> Self {
        match finish {
            Finish::Linear => Self::Linear,
            Finish::Relu => Self::Relu,
            Finish::Gate(gate) => Self::Gate(gate.as_ptr()),
        }
    }
}

/// A region of one map to compute, and where that map, its input and its addend lie.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The outputs to compute.
    pub region: Region,
    /// Places of the input's pixels; all jobs of a call have one row length.
    pub input: Layout,
    /// Places of the output's pixels.
    pub output: Layout,
    /// Places of the addend's pixels; not looked at where there is none.
    pub addend: Layout,
}

impl Job {
    /// A whole map, dense on every side.
    #[must_use]
    pub fn whole(shape: &ConvShape) -> Self {
        let output = Layout::dense(shape.output[1], shape.outputs);
        Self {
            region: Region::whole(shape.output),
            input: Layout::dense(shape.input[1], shape.inputs),
            output,
            addend: output,
        }
    }
}

/// A convolution with packed weights, ready to be applied any number of times from any thread.
///
/// Taps on the border of zeros are skipped, and every output sums bias, then taps row by row and channel by channel,
/// then the addend, whatever the region, the tile or the other jobs: its bits depend on its own operands alone.
#[derive(Clone, Debug)]
pub struct DirectConv {
    shape: ConvShape,
    weights: PackedWeights,
    segments: [Vec<Segment>; 2],
}

impl DirectConv {
    /// Packs PyTorch's weights `[out, in, height, width]` and a bias `[out]`.
    ///
    /// # Panics
    /// When a length contradicts `shape`.
    #[must_use]
    pub fn new(isa: Isa, shape: ConvShape, weights: &[f32], bias: Option<&[f32]>) -> Self {
        let [height, width] = shape.kernel;
        assert_eq!(weights.len(), shape.outputs * shape.inputs * height * width, "weights must fit the shape");
        Self::from_fn(isa, shape, bias, |output, input, ky, kx| {
            weights[((output * shape.inputs + input) * height + ky) * width + kx]
        })
    }

    /// As [`DirectConv::new`], from `weight(out, in, ky, kx)`.
    pub(super) fn from_fn(
        isa: Isa,
        shape: ConvShape,
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let weights = PackedWeights::pack(isa, shape.outputs, shape.inputs, shape.kernel, bias, weight);
        Self { shape, weights, segments: [segments(&shape, 0), segments(&shape, 1)] }
    }

    /// The sizes of its maps and its kernel.
    #[must_use]
    pub const fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Computes each job's region: `output = finish(bias + weights * input + addend)`.
    ///
    /// `input`, `output` and `addend` are channels-last; each job says where its maps lie in them. What lies outside
    /// the regions keeps its value.
    ///
    /// # Panics
    /// When a region, or the input that it needs, lies outside its slice, or the jobs' inputs differ in row length.
    pub fn apply(&self, input: &[f32], output: &mut [f32], addend: Option<&[f32]>, finish: Finish, jobs: &[Job]) {
        let Some(first) = jobs.first() else { return };
        if let Finish::Gate(gate) = finish {
            assert_eq!(gate.len(), output.len(), "the gate must be laid out as the output");
        }
        let mut maps = Maps { input, output, addend, finish };
        let mut pixels = Pixels::default();
        for rows in &self.segments[0] {
            for columns in &self.segments[1] {
                let taps = Taps { conv: self, rows, columns, input_row: first.input.row };
                for job in jobs {
                    taps.gather(job, &mut pixels, &mut maps);
                }
                taps.compute(&mut pixels, &mut maps);
            }
        }
    }
}

/// The slices that a call reads and writes.
struct Maps<'a> {
    input: &'a [f32],
    output: &'a mut [f32],
    addend: Option<&'a [f32]>,
    finish: Finish<'a>,
}

/// As many pixels as share one pass over the weights: a multiple of every tile.
const MANY: usize = 20 * MAX_PIXELS;

/// Places of pixels with the same taps.
struct Pixels {
    count: usize,
    input: [usize; MANY],
    output: [usize; MANY],
    addend: [usize; MANY],
}

impl Default for Pixels {
    fn default() -> Self {
        Self { count: 0, input: [0; MANY], output: [0; MANY], addend: [0; MANY] }
    }
}

impl Pixels {
    fn push(&mut self, place: Place) {
        self.input[self.count] = place.input;
        self.output[self.count] = place.output;
        self.addend[self.count] = place.addend;
        self.count += 1;
    }
}

/// Where a pixel's first tap, its output and its addend lie.
#[derive(Clone, Copy)]
struct Place {
    input: usize,
    output: usize,
    addend: usize,
}

/// The outputs of a convolution that share the taps inside the input.
struct Taps<'a> {
    conv: &'a DirectConv,
    rows: &'a Segment,
    columns: &'a Segment,
    input_row: usize,
}

impl Taps<'_> {
    /// The part of a region that has these taps.
    fn region(&self, region: Region) -> Region {
        let rows = overlap(&self.rows.outputs, &region.rows());
        let columns = overlap(&self.columns.outputs, &region.columns());
        Region { top: rows.start, bottom: rows.end, left: columns.start, right: columns.end }
    }

    /// Contiguous input values per row of taps.
    fn run(&self) -> usize {
        self.columns.taps.len() * self.conv.shape.inputs
    }

    fn is_empty(&self) -> bool {
        self.rows.taps.is_empty() || self.columns.taps.is_empty()
    }

    /// Adds the pixels of a job that have these taps, computing whenever there are many.
    fn gather(&self, job: &Job, pixels: &mut Pixels, maps: &mut Maps) {
        let region = self.region(job.region);
        if region.rows().is_empty() || region.columns().is_empty() {
            return;
        }
        self.check(region, job, maps);
        let ConvShape { stride, inputs, .. } = self.conv.shape;
        for y in region.rows() {
            let at = |layout: &Layout| layout.at(y.cast_signed(), region.left.cast_signed()).cast_unsigned();
            let mut place = Place {
                input: self.first_tap(&job.input, y, region.left),
                output: at(&job.output),
                addend: at(&job.addend),
            };
            for _ in region.columns() {
                if pixels.count == MANY {
                    self.compute(pixels, maps);
                }
                pixels.push(place);
                place.input = place.input.wrapping_add(stride * inputs);
                place.output = place.output.wrapping_add(job.output.pixel);
                place.addend = place.addend.wrapping_add(job.addend.pixel);
            }
        }
    }

    /// Where the first tap of output (y, x) lies.
    fn first_tap(&self, layout: &Layout, y: usize, x: usize) -> usize {
        let ConvShape { stride, before, .. } = self.conv.shape;
        let row = (y * stride + self.rows.taps.start).cast_signed() - before[0];
        let column = (x * stride + self.columns.taps.start).cast_signed() - before[1];
        layout.at(row, column).cast_unsigned()
    }

    /// Checks everything that [`Taps::compute`] relies on.
    fn check(&self, region: Region, job: &Job, maps: &Maps) {
        let shape = &self.conv.shape;
        job.output.check(region, shape.outputs, maps.output.len());
        if let Some(addend) = maps.addend {
            job.addend.check(region, shape.outputs, addend.len());
        }
        assert_eq!(job.input.row, self.input_row, "inputs of one call must have one row length");
        assert_eq!(job.input.pixel, shape.inputs, "an input's columns must follow one another");
        if !self.is_empty() {
            let first = self.first_tap(&job.input, region.top, region.left);
            let last = self.first_tap(&job.input, region.bottom - 1, region.right - 1);
            let end = last.saturating_add((self.rows.taps.len() - 1) * self.input_row + self.run());
            let length = maps.input.len();
            assert!(
                first <= last && end <= length,
                "region {region:?} needs input outside its slice of {length} values"
            );
        }
    }

    /// Computes the gathered pixels, and begins a new gathering.
    fn compute(&self, pixels: &mut Pixels, maps: &mut Maps) {
        let weights = &self.conv.weights;
        for block in &weights.blocks {
            let tiles = pixels.count.div_ceil(weights.table.max_pixels(block.vectors));
            let mut operands = self.operands(block, maps);
            let mut start = 0;
            for tile in 0..tiles {
                let end = pixels.count * (tile + 1) / tiles;
                operands.input_offsets = pixels.input[start..].as_ptr();
                operands.output_offsets = pixels.output[start..].as_ptr();
                operands.addend_offsets = pixels.addend[start..].as_ptr();
                let kernel = weights.table.kernel(block.vectors, end - start);
                // SAFETY: `TileTable::new` only gives kernels that this machine can run, and `check` has seen every
                // pixel of these places to lie in its slice.
                unsafe { kernel(&operands) };
                start = end;
            }
        }
        pixels.count = 0;
    }

    /// What the tiles of a block have in common; the places of their pixels are missing.
    fn operands(&self, block: &Block, maps: &mut Maps) -> Tile {
        let shape = &self.conv.shape;
        let weights = &self.conv.weights;
        let lanes = weights.lanes(block);
        let weights_row = shape.kernel[1] * shape.inputs * lanes;
        let tap = self.columns.taps.start * shape.inputs * lanes;
        let rows = if self.is_empty() { 0..0 } else { self.rows.taps.clone() };
        let values = if rows.is_empty() { &[] } else { &weights.block(block)[rows.start * weights_row + tap..] };
        Tile {
            input: maps.input.as_ptr(),
            input_offsets: std::ptr::null(),
            rows: rows.len(),
            input_row: self.input_row,
            weights_row,
            run: self.run(),
            weights: values.as_ptr(),
            bias: weights.block_bias(block).as_ptr(),
            output: maps.output[block.first..].as_mut_ptr(),
            output_offsets: std::ptr::null(),
            addend: maps.addend.map_or(std::ptr::null(), |addend| addend[block.first..].as_ptr()),
            addend_offsets: std::ptr::null(),
            finish: match maps.finish {
                Finish::Gate(gate) => RawFinish::Gate(gate[block.first..].as_ptr()),
                Finish::Linear | Finish::Relu => RawFinish::from(maps.finish),
            },
            channels: block.channels,
        }
    }
}
