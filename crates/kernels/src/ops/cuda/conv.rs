//! Convolution without cuDNN: forward and both gradients.
//!
//! Each output is the sum of one thread, over taps and channels in order, so that its bits depend on nothing but the
//! image. The gradient for weights is summed by parts in single precision, then 64 parts at a time, and these sums in double
//! precision.

use candle_core::{DType, Result, bail};

use super::sums::channel_totals;
use super::{Machine, Operand, Sizes, Then, int};
use crate::ops::shape::{ConvShape, MapShape};

/// Pixels of a thread that convolves: `PIXELS` of `conv.cu`.
pub(super) const PIXELS: usize = 4;
/// How far apart they lie: `APART`.
pub(super) const APART: usize = 16;
/// Channels of a thread that convolves: `OUTS`.
pub(super) const OUTS: usize = 4;
/// Channels of each map of a thread that multiplies: `TILE`.
pub(super) const TILE: usize = 8;
/// The most taps of a kernel along one side: `TAPS`.
pub(super) const TAPS: usize = 16;
/// Threads that multiply, about; enough for a large GPU, and few enough that little is left to add up.
const PRODUCTS: usize = 1 << 16;

/// The output, `[batch, height, width, out]`, given x, weights `[out, in, height, width]` and what follows.
pub(in crate::ops) fn forward<M: Machine>(
    machine: &M,
    shape: &ConvShape,
    x: Operand<'_, M::Storage>,
    weight: Operand<'_, M::Storage>,
    then: Option<&Then<'_, M::Storage>>,
) -> Result<M::Storage> {
    let way = Way { from: shape.input, to: shape.output, pack: "pack", kernels: ["convolve", "convolve_any"] };
    way.run(machine, shape, x, weight, then)
}

/// The gradient for x, given the output's.
pub(in crate::ops) fn input_gradient<M: Machine>(
    machine: &M,
    shape: &ConvShape,
    gradient: Operand<'_, M::Storage>,
    weight: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let kernels = ["convolve_back", "convolve_back_any"];
    let way = Way { from: shape.output, to: shape.input, pack: "pack_back", kernels };
    way.run(machine, shape, gradient, weight, None)
}

/// The gradient for the weights, `[out, in, height, width]`, given the output's.
pub(in crate::ops) fn weight_gradient<M: Machine>(
    machine: &M,
    shape: &ConvShape,
    x: Operand<'_, M::Storage>,
    gradient: Operand<'_, M::Storage>,
) -> Result<M::Storage> {
    let (inputs, outputs, taps) = (shape.input.channels, shape.output.channels, shape.taps());
    let each = inputs.div_ceil(TILE) * outputs.div_ceil(TILE) * taps;
    let lines = shape.output.batch * shape.output.height;
    if lines == 0 || each == 0 {
        bail!("take the gradient for weights of {shape:?}: there is nothing in it");
    }
    let part = lines.div_ceil((PRODUCTS / each).clamp(1, lines));
    let parts = lines.div_ceil(part);
    let length = parts * shape.weights();
    int(length)?;
    int(lines + part)?;
    let sizes = Sizes {
        rows: int(lines)?,
        part: int(part)?,
        ..Sizes::window(parts * each, shape.input, shape.output, &shape.window)?
    };
    let whole = [inputs, outputs, x.start, gradient.start].iter().all(|number| number.is_multiple_of(TILE));
    let kernel = if whole { "weight_products" } else { "weight_products_any" };
    let products = machine.run(kernel, &[x, gradient], sizes, DType::F32, length)?;
    let products = Operand::whole(&products, length);
    let totals = channel_totals(machine, "channel_sums", &[products], [parts, 1, shape.weights()])?;
    let sizes = weight_sizes(shape.weights(), taps, inputs, outputs)?;
    let totals = Operand::whole(&totals, shape.weights());
    machine.run("unpack", &[totals], sizes, DType::F32, shape.weights())
}

/// Forward, or back: from which map to which other.
struct Way {
    from: MapShape,
    to: MapShape,
    /// What rearranges weights for it.
    pack: &'static str,
    /// What convolves, where the channels of `from` come in fours and where they may not.
    kernels: [&'static str; 2],
}

impl Way {
    fn run<M: Machine>(
        &self,
        machine: &M,
        shape: &ConvShape,
        map: Operand<'_, M::Storage>,
        weight: Operand<'_, M::Storage>,
        then: Option<&Then<'_, M::Storage>>,
    ) -> Result<M::Storage> {
        let Self { from, to, pack, kernels: [fours, any] } = *self;
        let taps = shape.taps();
        if shape.window.kernel.iter().any(|&taps| taps > TAPS) {
            bail!("convolve on a GPU with a kernel of {:?}: it may have {TAPS} taps a side", shape.window.kernel);
        }
        let tiles = to.channels.div_ceil(OUTS);
        let length = taps * from.channels * tiles * OUTS;
        let sizes = weight_sizes(length, taps, from.channels, to.channels)?;
        let packed = machine.run(pack, &[weight], sizes, DType::F32, length)?;
        let pixels = to.batch * to.pixels();
        let groups = pixels.div_ceil(PIXELS * APART);
        // The last threads count on beyond the last pixel, and the images before which those lie.
        int((groups + 1) * PIXELS * APART * to.channels)?;
        int((from.batch + PIXELS * APART) * from.image())?;
        let threads = groups * APART * tiles;
        let relu = then.map_or(0, Then::relu);
        let sizes = Sizes { rows: int(pixels)?, relu, ..Sizes::window(threads, from, to, &shape.window)? };
        let whole = from.channels.is_multiple_of(4) && map.start.is_multiple_of(4);
        let then = then.into_iter().flat_map(Then::operands);
        let operands: Vec<_> = [map, Operand::whole(&packed, length)].into_iter().chain(then).collect();
        machine.run(if whole { fours } else { any }, &operands, sizes, DType::F32, to.values())
    }
}

/// So many threads over weights.
fn weight_sizes(threads: usize, taps: usize, inputs: usize, outputs: usize) -> Result<Sizes> {
    Ok(Sizes { out_channels: int(outputs)?, ..Sizes::rows(threads, taps, inputs)? })
}
