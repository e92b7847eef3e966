//! The transforms of a map of 2x2 pixels, which is one tile: one vector of channels at a time.
//!
//! With a border of one zero a map's two pixels along an axis give two outputs by a 2x2 Toeplitz matrix of the three taps.
//! These are y0 = w1 x0 + w2 x1 and y1 = w0 x0 + w1 x1. That takes three products and not four: w1 (x0 + x1), of which both outputs
//! are made, (w2 - w1) x1 and (w0 - w1) x0. In both directions 9 products stand for 16.

#![expect(clippy::inline_always, reason = "vector code must take on its caller's instruction set")]

use super::transform::{InputTile, MOST_LANES, OutputAxis, OutputTile, TAPS, Transforms, finished, instances};
use crate::conv::simd::{Portable, Simd};
use crate::isa::Isa;

/// Rows and columns of outputs.
pub(super) const OUTPUTS: usize = 2;
/// Rows and columns of inputs, those of the border included.
pub(super) const INPUTS: usize = 4;
/// Places along an axis.
const AXIS: usize = 3;
/// Places of the transformed map, at each of which a matrix product is due.
pub(super) const PLACES: usize = AXIS * AXIS;

/// From `[tap][MOST_LANES]` to nine places, each of `lanes` values, `stride` apart.
pub(super) fn transform_weights(taps: &[f32; TAPS * MOST_LANES], lanes: usize, stride: usize, out: &mut [f32]) {
    for lane in 0..lanes {
        let tap = |ky: usize, kx: usize| taps[(ky * 3 + kx) * MOST_LANES + lane];
        let rows = [0, 1, 2].map(|ky| weights_axis([0, 1, 2].map(|kx| tap(ky, kx))));
        for column in 0..AXIS {
            for (row, value) in weights_axis([0, 1, 2].map(|ky| rows[ky][column])).into_iter().enumerate() {
                out[(row * AXIS + column) * stride + lane] = value;
            }
        }
    }
}

/// What meets x0, x0 + x1 and x1.
fn weights_axis([first, second, third]: [f32; 3]) -> [f32; AXIS] {
    [first - second, second, third - second]
}

/// From the products of x0, x0 + x1 and x1 to the two outputs.
enum WholeMap {}

impl OutputAxis<AXIS, OUTPUTS> for WholeMap {
    #[inline(always)]
    unsafe fn outputs<S: Simd>(m: [S::Vector; AXIS]) -> [S::Vector; OUTPUTS] {
        // SAFETY: the caller vouches for the instruction set.
        unsafe { [S::add(m[1], m[2]), S::add(m[1], m[0])] }
    }
}

// No closures below: they would not take on the instruction set of the function that they are written in.

/// # Safety
/// The machine must have the instruction set of `S`. What the pointers of [`InputTile`] say must be readable or writable,
/// and the rows and columns inside the map are 1 and 2.
#[inline(always)]
unsafe fn input<S: Simd>(tile: &InputTile) {
    // SAFETY: the caller vouches for the instruction set and the places.
    unsafe {
        let first = tile.first.wrapping_add(tile.row + tile.pixel);
        let mut channel = 0;
        while channel < tile.channels {
            let upper = first.wrapping_add(channel);
            let lower = upper.wrapping_add(tile.row);
            let (x00, x01) = (S::load(upper), S::load(upper.wrapping_add(tile.pixel)));
            let (x10, x11) = (S::load(lower), S::load(lower.wrapping_add(tile.pixel)));
            let (upper, lower) = ([x00, S::add(x00, x01), x01], [x10, S::add(x10, x11), x11]);
            for column in 0..AXIS {
                let places = [upper[column], S::add(upper[column], lower[column]), lower[column]];
                for (row, value) in places.into_iter().enumerate() {
                    S::store(tile.output.add((row * AXIS + column) * tile.place + channel), value);
                }
            }
            channel += S::LANES;
        }
    }
}

/// # Safety
/// The machine must have the instruction set of `S`. What the pointers of [`OutputTile`] say must be readable or writable.
#[inline(always)]
unsafe fn output<S: Simd>(tile: &OutputTile) {
    // SAFETY: the caller vouches for the instruction set and the places.
    unsafe { finished::<S, WholeMap, AXIS, OUTPUTS>(tile) }
}

instances!(input, output);
