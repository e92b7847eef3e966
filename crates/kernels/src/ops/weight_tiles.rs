//! The weight gradient of a 3x3 convolution by Winograd's minimal filtering, in tiles of 4x4 outputs.
//!
//! Forward, such a tile is A' [(B' x B) * (G w G')] A, where `*` multiplies value by value and sums over input channels. So
//! the gradient of w is G' [sum over tiles of (B' x B) * (A dy A')] G: inputs are transformed as in the forward pass, the
//! gradient is spread from 16 to 36 places, at each place a matrix product sums over the tiles, and only the sum is
//! transformed back. A tile takes 36 multiplications per pair of channels instead of 144.

#![expect(clippy::inline_always, reason = "vector code must take on its caller's instruction set")]

use std::f32::consts::{FRAC_1_SQRT_2 as A, SQRT_2 as B};
use std::ops::Range;

use super::outer_product::{Pair, Product};
use super::shape::ConvShape;
use crate::conv::simd::{Portable, Simd};
use crate::conv::winograd::transform::{INPUTS, InputTile, OUTPUTS, PLACES, transforms};
use crate::isa::Isa;
use crate::vectorised::vectorised;

/// Tiles that are transformed at a time.
const TILES: usize = 32;
/// Between the rows of two tiles where channels are many, so that they do not share the sets of a cache: one line.
const GAP: usize = 16;
/// Channels that the transform back takes at a time.
const LANES: usize = 8;

/// The sums of one convolution's weight gradient, place by place.
#[derive(Debug)]
pub(super) struct WeightTiles {
    isa: Isa,
    shape: ConvShape,
    spread: Spread,
}

impl WeightTiles {
    /// Whether the tiles fit a convolution: 3x3, stride 1, 8 channels or multiples of 16.
    pub(super) fn fits(shape: &ConvShape) -> bool {
        let channels = |count: usize| count == 8 || count.is_multiple_of(16);
        shape.window.kernel == [3, 3]
            && shape.window.stride == 1
            && channels(shape.input.channels)
            && channels(shape.output.channels)
    }

    pub(super) fn new(isa: Isa, shape: &ConvShape) -> Self {
        assert!(Self::fits(shape), "{shape:?} is not for Winograd's tiles");
        Self { isa, shape: *shape, spread: spread_for(isa, shape.output.channels) }
    }

    /// Number of sums of some input and output channels.
    pub(super) const fn sums(rows: usize, columns: usize) -> usize {
        PLACES * rows * columns
    }

    /// Adds what some images contribute to the sums of some input channels (`rows`) and output channels (`columns`),
    /// `[place][row][column]`.
    pub(super) fn add(
        &self,
        x: &[f32],
        gradient: &[f32],
        [rows, columns]: [Range<usize>; 2],
        [inputs, spread]: [&mut Vec<f32>; 2],
        sums: &mut [f32],
    ) {
        let ConvShape { input, output, .. } = self.shape;
        let images = x.len() / input.image();
        assert_eq!([x.len(), gradient.len()], [images * input.image(), images * output.image()], "whole images");
        assert!(rows.end <= input.channels && columns.end <= output.channels, "channels must exist");
        assert_eq!(sums.len(), Self::sums(rows.len(), columns.len()), "sums of these channels");
        let [input_row, output_row] = [row_length(rows.len()), row_length(columns.len())];
        let [input_place, output_place] = [TILES * input_row, TILES * output_row];
        inputs.resize(PLACES * input_place, 0.0);
        spread.resize(PLACES * output_place, 0.0);
        let pairs: [Pair; TILES] = std::array::from_fn(|tile| Pair { x: tile * input_row, y: tile * output_row });
        let [row_panel, column_panel] = [rows.len(), columns.len()].map(|count| if count == 8 { 8 } else { 16 });
        let product = Product::new(self.isa, row_panel, column_panel, columns.len());
        let transform = transforms(self.isa, rows.len());

        let across = [output.height.div_ceil(OUTPUTS), output.width.div_ceil(OUTPUTS)];
        let per_image = across[0] * across[1];
        for first in (0..images * per_image).step_by(TILES) {
            let count = TILES.min(images * per_image - first);
            for tile in 0..count {
                let (image, place) = ((first + tile) / per_image, (first + tile) % per_image);
                let corner = [place / across[1] * OUTPUTS, place % across[1] * OUTPUTS];
                let from = &x[image * input.image()..][..input.image()];
                let y = corner[0].cast_signed() - self.shape.window.padding[0].cast_signed();
                let x = corner[1].cast_signed() - self.shape.window.padding[1].cast_signed();
                let first =
                    (y * input.width.cast_signed() + x) * input.channels.cast_signed() + rows.start.cast_signed();
                let operands = InputTile {
                    first: from.as_ptr().wrapping_offset(first),
                    row: input.width * input.channels,
                    pixel: input.channels,
                    rows: inside(y, input.height),
                    columns: inside(x, input.width),
                    channels: rows.len(),
                    output: inputs[tile * input_row..].as_mut_ptr(),
                    place: input_place,
                };
                // SAFETY: `transforms` fits machine and channels; the pixels inside the ranges are in the image; every
                // place holds `TILES` rows.
                unsafe { (transform.input)(&operands) };
                let from = &gradient[image * output.image()..][..output.image()];
                let first = (corner[0] * output.width + corner[1]) * output.channels + columns.start;
                let operands = OutputGradient {
                    first: from[first..].as_ptr(),
                    row: output.width * output.channels,
                    pixel: output.channels,
                    rows: OUTPUTS.min(output.height - corner[0]),
                    columns: OUTPUTS.min(output.width - corner[1]),
                    channels: columns.len(),
                    output: spread[tile * output_row..].as_mut_ptr(),
                    place: output_place,
                };
                // SAFETY: as above, for `spread_for`.
                unsafe { (self.spread)(&operands) };
            }
            for (place, sums) in sums.chunks_exact_mut(rows.len() * columns.len()).enumerate() {
                let (inputs, spread) = (&inputs[place * input_place..], &spread[place * output_place..]);
                for row in (0..rows.len()).step_by(row_panel) {
                    for column in (0..columns.len()).step_by(column_panel) {
                        let sums = &mut sums[row * columns.len() + column..];
                        // SAFETY: each place holds `TILES` rows of these channels.
                        unsafe { product.add(&pairs[..count], &inputs[row..], &spread[column..], sums) };
                    }
                }
            }
        }
    }

    /// Transforms sums back to `[tap][row][column]`.
    pub(super) fn close(&self, sums: &[f32], columns: usize, out: &mut [f32]) {
        let pairs = sums.len() / PLACES;
        for first in (0..pairs).step_by(columns) {
            close_row(self.isa, &sums[first..], pairs, columns, &mut out[first..]);
        }
    }
}

/// The rows or columns of a tile of inputs that starts there which are inside a map of that extent.
fn inside(start: isize, extent: usize) -> Range<usize> {
    let first = usize::try_from(-start).unwrap_or(0).min(INPUTS);
    let end = usize::try_from(extent.cast_signed() - start).unwrap_or(0).min(INPUTS);
    first..end.max(first)
}

/// From one tile's channels to the next one's.
const fn row_length(channels: usize) -> usize {
    if channels < 64 { channels } else { channels + GAP }
}

/// The gradient of a tile of outputs.
struct OutputGradient {
    /// The first pixel, and from one row and one column to the next.
    first: *const f32,
    row: usize,
    pixel: usize,
    /// Rows and columns that the map has; the others are zeros.
    rows: usize,
    columns: usize,
    channels: usize,
    /// Place p's channels go to `output + p * place`.
    output: *mut f32,
    place: usize,
}

/// A dy A' of a tile.
///
/// # Safety
/// The machine has the instruction set, channels are a multiple of its lanes, and everything is in bounds.
type Spread = unsafe fn(&OutputGradient);

fn spread_for(isa: Isa, channels: usize) -> Spread {
    match (isa.or_portable(), channels.is_multiple_of(16)) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, true) => x86::avx512_spread,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Avx2, _) => x86::avx2_spread,
        _ => portable_spread,
    }
}

/// From four values along one axis to six places: the transpose of the forward pass's last transform.
///
/// # Safety
/// The machine must have the instruction set of `S`.
#[inline(always)]
unsafe fn spread_axis<S: Simd>(d: [S::Vector; OUTPUTS]) -> [S::Vector; INPUTS] {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let even_a = S::multiply_add(S::splat(A * A), d[2], d[0]);
        let even_b = S::multiply_add(S::splat(B * B), d[2], d[0]);
        let odd_a = S::multiply_add(S::splat(A * A), d[3], d[1]);
        let odd_b = S::multiply_add(S::splat(B * B), d[3], d[1]);
        [
            d[0],
            S::multiply_add(S::splat(A), odd_a, even_a),
            S::multiply_add(S::splat(-A), odd_a, even_a),
            S::multiply_add(S::splat(B), odd_b, even_b),
            S::multiply_add(S::splat(-B), odd_b, even_b),
            d[3],
        ]
    }
}

/// # Safety
/// The machine must have the instruction set of `S`. What the pointers of [`OutputGradient`] say must be readable or writable.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "each row takes one value of every column")]
unsafe fn spread<S: Simd>(tile: &OutputGradient) {
    // SAFETY: the caller vouches for the instruction set and the places.
    unsafe {
        let mut channel = 0;
        while channel < tile.channels {
            // Plain loops: closures would not take on the instruction set.
            let mut columns = [[S::splat(0.0); INPUTS]; OUTPUTS];
            for (column, places) in columns.iter_mut().enumerate() {
                let mut cells = [S::splat(0.0); OUTPUTS];
                if column < tile.columns {
                    for (row, cell) in cells.iter_mut().enumerate().take(tile.rows) {
                        *cell = S::load(tile.first.add(row * tile.row + column * tile.pixel + channel));
                    }
                }
                *places = spread_axis::<S>(cells);
            }
            for row in 0..INPUTS {
                let cells = [columns[0][row], columns[1][row], columns[2][row], columns[3][row]];
                for (column, value) in spread_axis::<S>(cells).into_iter().enumerate() {
                    S::store(tile.output.add((row * INPUTS + column) * tile.place + channel), value);
                }
            }
            channel += S::LANES;
        }
    }
}

/// # Safety
/// What the pointers of [`OutputGradient`] say must be readable or writable.
unsafe fn portable_spread(tile: &OutputGradient) {
    // SAFETY: the portable vectors need no instruction set; the rest is the caller's word.
    unsafe { spread::<Portable>(tile) }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{OutputGradient, spread};
    use crate::conv::simd::{Avx2, Avx512};

    /// # Safety
    /// The machine must have AVX2 and FMA. What the pointers of [`OutputGradient`] say must be readable or writable.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2_spread(tile: &OutputGradient) {
        // SAFETY: this function has the instruction set; the rest is the caller's word.
        unsafe { spread::<Avx2>(tile) }
    }

    /// # Safety
    /// The machine must have AVX-512. What the pointers of [`OutputGradient`] say must be readable or writable.
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) unsafe fn avx512_spread(tile: &OutputGradient) {
        // SAFETY: as above.
        unsafe { spread::<Avx512>(tile) }
    }
}

vectorised! {
    /// G' u G for one row of sums: places lie `pairs` apart in `sums`, taps in `out`.
    fn close_row(sums: &[f32], pairs: usize, columns: usize, out: &mut [f32]) {
        for first in (0..columns).step_by(LANES) {
            let mut rows = [[[0.0; LANES]; INPUTS]; 3];
            for column in 0..INPUTS {
                let mut places = [[0.0; LANES]; INPUTS];
                for (row, place) in places.iter_mut().enumerate() {
                    place.copy_from_slice(&sums[(row * INPUTS + column) * pairs + first..][..LANES]);
                }
                for (row, taps) in rows.iter_mut().zip(close_axis(&places)) {
                    row[column] = taps;
                }
            }
            for (ky, row) in rows.iter().enumerate() {
                for (kx, taps) in close_axis(row).iter().enumerate() {
                    out[(ky * 3 + kx) * pairs + first..][..LANES].copy_from_slice(taps);
                }
            }
        }
    }
}

/// From six places along one axis to three taps: the transpose of the weights' transform.
#[inline(always)]
fn close_axis(places: &[[f32; LANES]; INPUTS]) -> [[f32; LANES]; 3] {
    let mut taps = [[0.0; LANES]; 3];
    for lane in 0..LANES {
        let at = |place: usize| places[place][lane];
        let (even_a, odd_a) = (at(1) + at(2), at(1) - at(2));
        let (even_b, odd_b) = (at(3) + at(4), at(3) - at(4));
        taps[0][lane] = at(0) - even_a * (2.0 / 3.0) + even_b * (1.0 / 6.0);
        taps[1][lane] = odd_b * (B / 6.0) - odd_a * (A * 2.0 / 3.0);
        taps[2][lane] = (even_b - even_a) * (1.0 / 3.0) + at(5);
    }
    taps
}
