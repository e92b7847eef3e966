//! The micro-kernel: a few pixels times a few vectors of output channels, held in registers.
//!
//! For each input value under the kernel's taps, the weights of all output channels of the block are loaded once
//! and multiplied by that value of each pixel. Pixels are given by their places in memory, so a tile may mix rows,
//! and pixels of different maps.

#![expect(clippy::inline_always, reason = "vector code must take on its caller's instruction set")]

use super::simd::{Portable, Simd};
use crate::isa::Isa;
use std::mem::MaybeUninit;

/// The most pixels in a tile of any instruction set.
pub(crate) const MAX_PIXELS: usize = 12;
/// The most vectors of output channels in a tile.
pub(crate) const MAX_VECTORS: usize = 2;
/// The most values in a vector.
const MAX_LANES: usize = 16;

/// What becomes of a sum before it is stored.
#[derive(Clone, Copy)]
pub(crate) enum RawFinish {
    Linear,
    Relu,
    /// 0 where the value at this pointer (laid out as the output) is not above 0.
    Gate(*const f32),
}

/// The operands of one tile. Offsets count values, not bytes.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// The input; pixel `p`'s first tap lies at `input_offsets[p]`.
    pub(crate) input: *const f32,
    pub(crate) input_offsets: *const usize,
    /// Rows of taps, and how far apart they lie in the input and in the weights.
    pub(crate) rows: usize,
    pub(crate) input_row: usize,
    pub(crate) weights_row: usize,
    /// Contiguous input values per row of taps: taps times channels.
    pub(crate) run: usize,
    /// `[rows][run][vectors * lanes]`, rows `weights_row` apart.
    pub(crate) weights: *const f32,
    /// Where the sums start: `[vectors * lanes]`.
    pub(crate) bias: *const f32,
    /// Pixel `p`'s channels go to `output_offsets[p]`.
    pub(crate) output: *mut f32,
    pub(crate) output_offsets: *const usize,
    /// If not null, added before the finish; pixel `p`'s channels lie at `addend_offsets[p]`.
    pub(crate) addend: *const f32,
    pub(crate) addend_offsets: *const usize,
    pub(crate) finish: RawFinish,
    /// Output channels to store: at most `vectors * lanes`.
    pub(crate) channels: usize,
}

/// Computes a tile.
///
/// # Safety
/// The machine has the instruction set, and everything that [`Tile`] describes is in bounds.
pub(crate) type TileFn = unsafe fn(&Tile);

/// The micro-kernels of one instruction set and register width.
#[derive(Debug)]
pub(crate) struct TileTable {
    /// Values in one vector.
    pub(crate) lanes: usize,
    /// For 1 and for 2 vectors: the kernels for 1, 2, ... pixels.
    kernels: [&'static [TileFn]; MAX_VECTORS],
    /// Likewise for matrix products, with as many rows as there are pixels.
    products: [&'static [ProductFn]; MAX_VECTORS],
}

impl TileTable {
    /// The kernels for `isa` (or the portable ones where the machine lacks it) that waste the fewest lanes on
    /// `channels` outputs.
    pub(crate) fn new(isa: Isa, channels: usize) -> &'static Self {
        let few = channels <= 8;
        match (isa.or_portable(), few) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, false) => &x86::AVX512,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512 | Isa::Avx2, _) => &x86::AVX2,
            _ => &PORTABLE,
        }
    }

    /// The most vectors in a tile.
    pub(crate) fn max_vectors(&self) -> usize {
        self.kernels.iter().take_while(|kernels| !kernels.is_empty()).count()
    }

    /// The most pixels in a tile of so many vectors.
    pub(crate) fn max_pixels(&self, vectors: usize) -> usize {
        self.kernels[vectors - 1].len()
    }

    /// The kernel for so many vectors and pixels.
    pub(crate) fn kernel(&self, vectors: usize, pixels: usize) -> TileFn {
        self.kernels[vectors - 1][pixels - 1]
    }

    /// The matrix product of so many vectors and rows.
    pub(super) fn product(&self, vectors: usize, rows: usize) -> ProductFn {
        self.products[vectors - 1][rows - 1]
    }
}

/// Computes a tile of `P` pixels and `K` vectors; see [`TileFn`] for what it requires.
///
/// `finish` is the one of [`finish_pixels`] that is compiled for the same instruction set; there is no need for a copy of
/// it in each kernel.
///
/// # Safety
/// The machine must have the instruction set of `S`. Otherwise as for [`TileFn`].
#[inline(always)]
unsafe fn tile<S: Simd, const K: usize, const P: usize>(tile: &Tile, finish: FinishFn) {
    // SAFETY: the caller vouches for the instruction set and for every place that `tile` describes.
    unsafe {
        // Loops, not closures, which would not take on the instruction set of the function around them.
        let mut pixels = [tile.input; P];
        for (p, pixel) in pixels.iter_mut().enumerate() {
            // Where there are no taps the place means nothing, and nothing is read there.
            *pixel = pixel.wrapping_add(*tile.input_offsets.add(p));
        }
        let mut start = [S::splat(0.0); K];
        for (k, start) in start.iter_mut().enumerate() {
            *start = S::load(tile.bias.add(k * S::LANES));
        }
        let mut sums = [start; P];
        for row in 0..tile.rows {
            let mut weights = tile.weights.add(row * tile.weights_row);
            let first = row * tile.input_row;
            for value in first..first + tile.run {
                let mut column = [S::splat(0.0); K];
                for (k, column) in column.iter_mut().enumerate() {
                    *column = S::load(weights.add(k * S::LANES));
                }
                for p in 0..P {
                    let x = S::splat(*pixels[p].add(value));
                    for k in 0..K {
                        sums[p][k] = S::multiply_add(x, column[k], sums[p][k]);
                    }
                }
                weights = weights.add(K * S::LANES);
            }
        }
        // Spilled here, once and by hand: a loop over `sums` that is not unrolled would keep them in memory throughout.
        let mut spilled = Spilled([MaybeUninit::uninit(); MAX_PIXELS * MAX_VECTORS * MAX_LANES]);
        let stored = spilled.0.as_mut_ptr().cast::<f32>();
        for (p, sums) in sums.iter().enumerate() {
            for (k, sum) in sums.iter().enumerate() {
                S::store(stored.add((p * K + k) * S::LANES), *sum);
            }
        }
        finish(tile, stored, P, K * S::LANES);
    }
}

/// Room for the sums of the largest tile, each vector within one cache line.
#[repr(align(64))]
struct Spilled([MaybeUninit<f32>; MAX_PIXELS * MAX_VECTORS * MAX_LANES]);

/// Finishes so many pixels of a tile, whose sums follow one another at so many values each.
///
/// # Safety
/// As for [`TileFn`]; the sums are there.
type FinishFn = unsafe fn(&Tile, *const f32, usize, usize);

/// Adds, applies the finish and stores all channels of all pixels; see [`FinishFn`].
///
/// # Safety
/// The machine must have the instruction set of `S`. Otherwise as for [`FinishFn`].
#[inline(always)]
unsafe fn finish_pixels<S: Simd>(tile: &Tile, sums: *const f32, pixels: usize, stride: usize) {
    for p in 0..pixels {
        // SAFETY: the caller's word.
        unsafe { finish_pixel::<S>(tile, p, sums.add(p * stride)) }
    }
}

/// Adds, applies the finish and stores the channels of pixel `p`.
///
/// # Safety
/// The machine must have the instruction set of `S`. Otherwise as for [`FinishFn`].
#[inline(always)]
unsafe fn finish_pixel<S: Simd>(tile: &Tile, p: usize, sums: *const f32) {
    // SAFETY: as for `tile`; `sums` holds the pixel's vectors.
    unsafe {
        let output = *tile.output_offsets.add(p);
        let mut channel = 0;
        while channel + S::LANES <= tile.channels {
            let addend = if tile.addend.is_null() {
                std::ptr::null()
            } else {
                tile.addend.add(*tile.addend_offsets.add(p) + channel)
            };
            let value = finish_vector::<S>(S::load(sums.add(channel)), addend, tile.finish, output + channel);
            S::store(tile.output.add(output + channel), value);
            channel += S::LANES;
        }
        while channel < tile.channels {
            let mut value = *sums.add(channel);
            if !tile.addend.is_null() {
                value += *tile.addend.add(*tile.addend_offsets.add(p) + channel);
            }
            value = match tile.finish {
                RawFinish::Relu if value < 0.0 => 0.0,
                RawFinish::Gate(gate) if *gate.add(output + channel) > 0.0 => value,
                RawFinish::Gate(_) => 0.0,
                RawFinish::Linear | RawFinish::Relu => value,
            };
            *tile.output.add(output + channel) = value;
            channel += 1;
        }
    }
}

/// Adds a vector at `addend`, unless that is null, and applies the finish; `place` is where a gate is looked up.
///
/// # Safety
/// The machine has the instruction set, and `addend` and the gate are in bounds.
#[inline(always)]
pub(super) unsafe fn finish_vector<S: Simd>(
    value: S::Vector,
    addend: *const f32,
    finish: RawFinish,
    place: usize,
) -> S::Vector {
    // SAFETY: the caller vouches for instruction set and places.
    unsafe {
        let value = if addend.is_null() { value } else { S::add(value, S::load(addend)) };
        match finish {
            RawFinish::Linear => value,
            RawFinish::Relu => S::relu(value),
            RawFinish::Gate(gate) => S::gate(value, S::load(gate.wrapping_add(place))),
        }
    }
}

/// The operands of a small matrix product: rows of `depth` values times `[depth][vectors * lanes]` weights.
pub(super) struct Product {
    /// Rows that follow one another.
    pub(super) input: *const f32,
    pub(super) depth: usize,
    pub(super) weights: *const f32,
    /// Rows `output_row` apart.
    pub(super) output: *mut f32,
    pub(super) output_row: usize,
}

/// Computes a small matrix product.
///
/// # Safety
/// The machine has the instruction set, and everything that [`Product`] describes is in bounds.
pub(super) type ProductFn = unsafe fn(&Product);

/// A product of `P` rows and `K` vectors; see [`ProductFn`] for what it requires.
///
/// # Safety
/// The machine must have the instruction set of `S`. Otherwise as for [`ProductFn`].
#[inline(always)]
unsafe fn product<S: Simd, const K: usize, const P: usize>(product: &Product) {
    // SAFETY: the caller vouches for the instruction set and for every place that `product` describes.
    unsafe {
        let mut sums = [[S::splat(0.0); K]; P];
        let mut weights = product.weights;
        for value in 0..product.depth {
            let mut column = [S::splat(0.0); K];
            for (k, column) in column.iter_mut().enumerate() {
                *column = S::load(weights.add(k * S::LANES));
            }
            for (p, sums) in sums.iter_mut().enumerate() {
                let x = S::splat(*product.input.add(p * product.depth + value));
                for (sum, column) in sums.iter_mut().zip(column) {
                    *sum = S::multiply_add(x, column, *sum);
                }
            }
            weights = weights.add(K * S::LANES);
        }
        for (p, sums) in sums.iter().enumerate() {
            for (k, sum) in sums.iter().enumerate() {
                S::store(product.output.add(p * product.output_row + k * S::LANES), *sum);
            }
        }
    }
}

/// The portable kernel of `P` pixels and one vector.
///
/// # Safety
/// As for [`TileFn`].
unsafe fn portable<const P: usize>(operands: &Tile) {
    // SAFETY: the portable kernel needs no instruction set; the rest is the caller's word.
    unsafe { tile::<Portable, 1, P>(operands, portable_finish) }
}

/// # Safety
/// As for [`FinishFn`].
#[inline(never)]
unsafe fn portable_finish(tile: &Tile, sums: *const f32, pixels: usize, stride: usize) {
    // SAFETY: as above.
    unsafe { finish_pixels::<Portable>(tile, sums, pixels, stride) }
}

/// The portable matrix product of `P` rows and one vector.
///
/// # Safety
/// As for [`ProductFn`].
unsafe fn portable_product<const P: usize>(operands: &Product) {
    // SAFETY: as above.
    unsafe { product::<Portable, 1, P>(operands) }
}

static PORTABLE: TileTable = TileTable {
    lanes: 8,
    kernels: [&[portable::<1>, portable::<2>, portable::<3>, portable::<4>], &[]],
    products: [&[portable_product::<1>, portable_product::<2>, portable_product::<3>, portable_product::<4>], &[]],
};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::simd::{Avx2, Avx512};
    use super::{Product, Tile, TileTable, finish_pixels, product, tile};

    /// # Safety
    /// The machine must have AVX2 and FMA. Otherwise as for [`TileFn`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const K: usize, const P: usize>(operands: &Tile) {
        // SAFETY: this function has the instruction set; the rest is the caller's word.
        unsafe { tile::<Avx2, K, P>(operands, avx2_finish) }
    }

    /// # Safety
    /// The machine must have AVX2 and FMA. Otherwise as for [`FinishFn`].
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2_finish(tile: &Tile, sums: *const f32, pixels: usize, stride: usize) {
        // SAFETY: as above.
        unsafe { finish_pixels::<Avx2>(tile, sums, pixels, stride) }
    }

    /// # Safety
    /// The machine must have AVX-512. Otherwise as for [`TileFn`].
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn avx512<const K: usize, const P: usize>(operands: &Tile) {
        // SAFETY: this function has the instruction set; the rest is the caller's word.
        unsafe { tile::<Avx512, K, P>(operands, avx512_finish) }
    }

    /// # Safety
    /// The machine must have AVX-512. Otherwise as for [`FinishFn`].
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn avx512_finish(tile: &Tile, sums: *const f32, pixels: usize, stride: usize) {
        // SAFETY: as above.
        unsafe { finish_pixels::<Avx512>(tile, sums, pixels, stride) }
    }

    /// # Safety
    /// The machine must have AVX2 and FMA. Otherwise as for [`ProductFn`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2_product<const K: usize, const P: usize>(operands: &Product) {
        // SAFETY: this function has the instruction set; the rest is the caller's word.
        unsafe { product::<Avx2, K, P>(operands) }
    }

    /// # Safety
    /// The machine must have AVX-512. Otherwise as for [`ProductFn`].
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn avx512_product<const K: usize, const P: usize>(operands: &Product) {
        // SAFETY: this function has the instruction set; the rest is the caller's word.
        unsafe { product::<Avx512, K, P>(operands) }
    }

    /// The instances of a kernel for so many vectors and each number of pixels.
    macro_rules! instances {
        ($kernel:ident, $vectors:literal, [$($pixels:literal),*]) => {
            &[$($kernel::<$vectors, $pixels>),*]
        };
    }

    /// 12 of 16 registers hold sums.
    pub(super) static AVX2: TileTable = TileTable {
        lanes: 8,
        kernels: [
            instances!(avx2, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            instances!(avx2, 2, [1, 2, 3, 4, 5, 6]),
        ],
        products: [
            instances!(avx2_product, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            instances!(avx2_product, 2, [1, 2, 3, 4, 5, 6]),
        ],
    };

    /// 24 of 32 registers hold sums.
    pub(super) static AVX512: TileTable = TileTable {
        lanes: 16,
        kernels: [
            instances!(avx512, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            instances!(avx512, 2, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ],
        products: [
            instances!(avx512_product, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            instances!(avx512_product, 2, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ],
    };
}
