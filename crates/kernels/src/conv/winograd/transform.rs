//! The transforms of Winograd's F(4x4, 3x3): tiles of 6 x 6 inputs and of 4 x 4 outputs, one vector of channels at
//! a time.
//!
//! The interpolation points are 0, +-a, +-b and infinity with a = 1/sqrt(2) and b = sqrt(2). The usual choice, 0, +-1,
//! +-2, loses about three times as much precision.

#![expect(clippy::inline_always, reason = "vector code must take on its caller's instruction set")]

use crate::conv::simd::{Portable, Simd};
use crate::conv::tile::{RawFinish, finish_vector};
use crate::isa::Isa;
use crate::vectorised::vectorised;
use std::f32::consts::{FRAC_1_SQRT_2 as A, SQRT_2 as B};
use std::ops::Range;

/// Rows and columns of outputs in a tile.
pub(crate) const OUTPUTS: usize = 4;
/// Rows and columns of inputs in a tile.
pub(crate) const INPUTS: usize = 6;
/// Places of a transformed tile, at each of which a matrix product is due.
pub(crate) const PLACES: usize = INPUTS * INPUTS;

/// Taps of a kernel.
pub(super) const TAPS: usize = 9;
/// The most output channels whose weights are transformed at a time.
pub(super) const MOST_LANES: usize = 32;
/// Lanes that are in hand at a time.
const LANES: usize = 8;

vectorised! {
    /// From `[tap][MOST_LANES]` to 36 places, each of `lanes` values, `stride` apart. Lanes are a multiple of eight.
    pub(super) fn transform_weights(taps: &[f32; TAPS * MOST_LANES], lanes: usize, stride: usize, out: &mut [f32]) {
        for first in (0..lanes).step_by(LANES) {
            let mut rows = [[[0.0; LANES]; INPUTS]; 3];
            for (ky, row) in rows.iter_mut().enumerate() {
                let mut values = [[0.0; LANES]; 3];
                for (kx, values) in values.iter_mut().enumerate() {
                    values.copy_from_slice(&taps[(ky * 3 + kx) * MOST_LANES + first..][..LANES]);
                }
                *row = weights_axis(&values);
            }
            for column in 0..INPUTS {
                let values = [rows[0][column], rows[1][column], rows[2][column]];
                for (row, place) in weights_axis(&values).iter().enumerate() {
                    out[(row * INPUTS + column) * stride + first..][..LANES].copy_from_slice(place);
                }
            }
        }
    }
}

/// The weights' transform of three taps to six places: at point p the polynomial of the taps over the product of p's
/// differences to the other points (but 0 once). That product is 2 p^2 (p^2 - q^2) with q = b at +-a and q = a at +-b.
#[inline(always)]
fn weights_axis(taps: &[[f32; LANES]; 3]) -> [[f32; LANES]; INPUTS] {
    let mut places = [[0.0; LANES]; INPUTS];
    for lane in 0..LANES {
        let [first, second, third] = [taps[0][lane], taps[1][lane], taps[2][lane]];
        let (even_a, odd_a) = ((first + A * A * third) * (-2.0 / 3.0), second * (A * -2.0 / 3.0));
        let (even_b, odd_b) = ((first + B * B * third) * (1.0 / 6.0), second * (B / 6.0));
        places[0][lane] = first;
        places[1][lane] = even_a + odd_a;
        places[2][lane] = even_a - odd_a;
        places[3][lane] = even_b + odd_b;
        places[4][lane] = even_b - odd_b;
        places[5][lane] = third;
    }
    places
}

/// A tile of inputs to transform.
pub(crate) struct InputTile {
    /// Where the tile's first pixel is, or would be: in a border there may be nothing.
    pub(crate) first: *const f32,
    /// From one row and one column to the next.
    pub(crate) row: usize,
    pub(crate) pixel: usize,
    /// The rows and columns inside the map; the others are zeros.
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) channels: usize,
    /// Place p's channels go to `output + p * place`.
    pub(crate) output: *mut f32,
    pub(crate) place: usize,
}

/// A tile of products to transform back and finish.
pub(super) struct OutputTile {
    /// Place p's channels lie at `products + p * place`.
    pub(super) products: *const f32,
    pub(super) place: usize,
    pub(super) channels: usize,
    pub(super) bias: *const f32,
    /// The rows and columns of outputs to store.
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Where the tile's first output is, or would be, and from one row and one column to the next.
    pub(super) output: *mut f32,
    pub(super) output_row: usize,
    pub(super) output_pixel: usize,
    /// Likewise, added before the finish, unless null. A gate lies as the output.
    pub(super) addend: *const f32,
    pub(super) addend_row: usize,
    pub(super) addend_pixel: usize,
    pub(super) finish: RawFinish,
}

/// The transforms on one instruction set.
#[derive(Debug)]
pub(crate) struct Transforms {
    /// # Safety
    /// The machine has the instruction set, channels are a multiple of its lanes, and everything is in bounds.
    pub(crate) input: unsafe fn(&InputTile),
    /// # Safety
    /// As for `input`.
    pub(super) output: unsafe fn(&OutputTile),
}

/// Compiles `$input` and `$output`, which are generic over vectors, for each instruction set, and chooses among them.
macro_rules! instances {
    ($input:ident, $output:ident) => {
        /// The fastest transforms that can take so many channels: a multiple of eight.
        pub(crate) fn transforms(isa: Isa, channels: usize) -> &'static Transforms {
            match (isa.or_portable(), channels.is_multiple_of(16)) {
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx512, true) => &x86::AVX512,
                #[cfg(target_arch = "x86_64")]
                (Isa::Avx512 | Isa::Avx2, _) => &x86::AVX2,
                _ => &PORTABLE,
            }
        }

        /// # Safety
        /// As for the input transform, of any instruction set.
        unsafe fn portable_input(tile: &InputTile) {
            // SAFETY: the portable vectors need no instruction set; the rest is the caller's word.
            unsafe { $input::<Portable>(tile) }
        }

        /// # Safety
        /// As for the output transform, of any instruction set.
        unsafe fn portable_output(tile: &OutputTile) {
            // SAFETY: as above.
            unsafe { $output::<Portable>(tile) }
        }

        static PORTABLE: Transforms = Transforms { input: portable_input, output: portable_output };

        #[cfg(target_arch = "x86_64")]
        mod x86 {
            use super::{InputTile, OutputTile, Transforms, $input, $output};
            use crate::conv::simd::{Avx2, Avx512};

            /// # Safety
            /// The machine must have AVX2 and FMA. Otherwise as for the input transform.
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2_input(tile: &InputTile) {
                // SAFETY: this function has the instruction set; the rest is the caller's word.
                unsafe { $input::<Avx2>(tile) }
            }

            /// # Safety
            /// The machine must have AVX2 and FMA. Otherwise as for the output transform.
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2_output(tile: &OutputTile) {
                // SAFETY: as above.
                unsafe { $output::<Avx2>(tile) }
            }

            /// # Safety
            /// The machine must have AVX-512. Otherwise as for the input transform.
            #[target_feature(enable = "avx512f,avx2,fma")]
            unsafe fn avx512_input(tile: &InputTile) {
                // SAFETY: as above.
                unsafe { $input::<Avx512>(tile) }
            }

            /// # Safety
            /// The machine must have AVX-512. Otherwise as for the output transform.
            #[target_feature(enable = "avx512f,avx2,fma")]
            unsafe fn avx512_output(tile: &OutputTile) {
                // SAFETY: as above.
                unsafe { $output::<Avx512>(tile) }
            }

            pub(super) static AVX2: Transforms = Transforms { input: avx2_input, output: avx2_output };
            pub(super) static AVX512: Transforms = Transforms { input: avx512_input, output: avx512_output };
        }
    };
}

pub(super) use instances;
instances!(input, output);

/// From places along one axis to outputs: what tells one tiling's output transform from another's.
pub(super) trait OutputAxis<const PLACES: usize, const OUTPUTS: usize> {
    /// # Safety
    /// The machine must have the instruction set of `S`.
    unsafe fn outputs<S: Simd>(places: [S::Vector; PLACES]) -> [S::Vector; OUTPUTS];
}

/// From six values along one axis to six places.
///
/// # Safety
/// The machine must have the instruction set of `S`.
#[inline(always)]
unsafe fn input_axis<S: Simd>(d: [S::Vector; INPUTS]) -> [S::Vector; INPUTS] {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let sum = S::splat(-(A * A + B * B));
        let even_a = S::multiply_add(S::splat(-B * B), d[2], d[4]);
        let odd_a = S::multiply_add(S::splat(-B * B), d[1], d[3]);
        let even_b = S::multiply_add(S::splat(-A * A), d[2], d[4]);
        let odd_b = S::multiply_add(S::splat(-A * A), d[1], d[3]);
        [
            S::multiply_add(sum, d[2], S::add(d[0], d[4])),
            S::multiply_add(S::splat(A), odd_a, even_a),
            S::multiply_add(S::splat(-A), odd_a, even_a),
            S::multiply_add(S::splat(B), odd_b, even_b),
            S::multiply_add(S::splat(-B), odd_b, even_b),
            S::multiply_add(sum, d[3], S::add(d[1], d[5])),
        ]
    }
}

/// From six places along one axis to four outputs.
enum FourByFour {}

impl OutputAxis<INPUTS, OUTPUTS> for FourByFour {
    #[inline(always)]
    unsafe fn outputs<S: Simd>(m: [S::Vector; INPUTS]) -> [S::Vector; OUTPUTS] {
        // SAFETY: the caller vouches for the instruction set.
        unsafe {
            let (even_a, odd_a) = (S::add(m[1], m[2]), S::subtract(m[1], m[2]));
            let (even_b, odd_b) = (S::add(m[3], m[4]), S::subtract(m[3], m[4]));
            let zero = S::splat(0.0);
            [
                S::add(m[0], S::add(even_a, even_b)),
                S::multiply_add(S::splat(A), odd_a, S::multiply_add(S::splat(B), odd_b, zero)),
                S::multiply_add(S::splat(A * A), even_a, S::multiply_add(S::splat(B * B), even_b, zero)),
                S::multiply_add(S::splat(A * A * A), odd_a, S::multiply_add(S::splat(B * B * B), odd_b, m[5])),
            ]
        }
    }
}

// No closures below: they would not take on the instruction set of the function that they are written in.

/// # Safety
/// The machine must have the instruction set of `S`. What the pointers of [`InputTile`] say must be readable or writable.
#[inline(always)]
unsafe fn input<S: Simd>(tile: &InputTile) {
    // SAFETY: the caller vouches for the instruction set and the places.
    unsafe {
        let zero = S::splat(0.0);
        let mut channel = 0;
        while channel < tile.channels {
            let mut columns = [[zero; INPUTS]; INPUTS];
            for (column, places) in columns.iter_mut().enumerate() {
                let mut values = [zero; INPUTS];
                if tile.columns.contains(&column) {
                    let first = tile.first.wrapping_add(column * tile.pixel + channel);
                    for (row, value) in values.iter_mut().enumerate() {
                        if tile.rows.contains(&row) {
                            *value = S::load(first.wrapping_add(row * tile.row));
                        }
                    }
                }
                *places = input_axis::<S>(values);
            }
            for row in 0..INPUTS {
                let mut values = [zero; INPUTS];
                for (value, column) in values.iter_mut().zip(&columns) {
                    *value = column[row];
                }
                for (column, value) in input_axis::<S>(values).into_iter().enumerate() {
                    S::store(tile.output.add((row * INPUTS + column) * tile.place + channel), value);
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
    unsafe { finished::<S, FourByFour, INPUTS, OUTPUTS>(tile) }
}

/// Transforms a tile of `PLACES` by `PLACES` products back to `OUTPUTS` by `OUTPUTS` outputs, finishes and stores those wanted.
///
/// # Safety
/// The machine must have the instruction set of `S`. What the pointers of [`OutputTile`] say must be readable or writable.
#[inline(always)]
pub(super) unsafe fn finished<S: Simd, T: OutputAxis<PLACES, OUTPUTS>, const PLACES: usize, const OUTPUTS: usize>(
    tile: &OutputTile,
) {
    // SAFETY: the caller vouches for the instruction set and the places.
    unsafe {
        let zero = S::splat(0.0);
        let mut channel = 0;
        while channel < tile.channels {
            let mut columns = [[zero; OUTPUTS]; PLACES];
            for (column, outputs) in columns.iter_mut().enumerate() {
                let mut values = [zero; PLACES];
                for (row, value) in values.iter_mut().enumerate() {
                    *value = S::load(tile.products.add((row * PLACES + column) * tile.place + channel));
                }
                *outputs = T::outputs::<S>(values);
            }
            let bias = S::load(tile.bias.add(channel));
            for row in tile.rows.clone() {
                let mut values = [zero; PLACES];
                for (value, column) in values.iter_mut().zip(&columns) {
                    *value = column[row];
                }
                let outputs = T::outputs::<S>(values);
                for column in tile.columns.clone() {
                    let addend = if tile.addend.is_null() {
                        tile.addend
                    } else {
                        tile.addend.wrapping_add(row * tile.addend_row + column * tile.addend_pixel + channel)
                    };
                    let place = row * tile.output_row + column * tile.output_pixel + channel;
                    let value = finish_vector::<S>(S::add(outputs[column], bias), addend, tile.finish, place);
                    S::store(tile.output.wrapping_add(place), value);
                }
            }
            channel += S::LANES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FourByFour, INPUTS, LANES, OUTPUTS, OutputAxis, input_axis, weights_axis};
    use crate::conv::simd::{Portable, Simd};

    #[test]
    fn one_axis_gives_the_correlation_of_six_values_with_three_taps() {
        let values = [0.3_f32, -1.2, 0.7, 2.5, -0.4, 1.1];
        let taps = [0.9, -0.35, 1.7];
        // SAFETY: the portable vectors run anywhere.
        let outputs: [f32; OUTPUTS] = unsafe {
            let places = input_axis::<Portable>(values.map(|value| Portable::splat(value)));
            let weights = weights_axis(&taps.map(|tap| [tap as f32; LANES])).map(|place| place[0]);
            let products: [[f32; 8]; INPUTS] = std::array::from_fn(|place| places[place].map(|x| x * weights[place]));
            FourByFour::outputs::<Portable>(products).map(|output| output[0])
        };
        for (place, output) in outputs.into_iter().enumerate() {
            let expected: f64 = (0..3).map(|tap| taps[tap] * f64::from(values[place + tap])).sum();
            assert!((f64::from(output) - expected).abs() < 2e-6, "{output} for {expected}");
        }
    }
}
