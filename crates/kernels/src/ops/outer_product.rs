//! The micro-kernel of the weight gradient: sums of outer products, held in registers.

#![expect(clippy::inline_always, reason = "vector code must take on its caller's instruction set")]

use crate::conv::simd::{Portable, Simd};
use crate::isa::Isa;

/// Where a row of `x` and a row of `y` start whose outer product is added. Counts values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) x: usize,
    pub(super) y: usize,
}

/// Adds outer products of `rows` values with `columns` values to a matrix whose rows lie `stride` apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    kernels: &'static Kernels,
    rows: usize,
    columns: usize,
    stride: usize,
}

impl Product {
    /// The kernels of that instruction set, or the portable ones where the machine lacks it.
    ///
    /// # Panics
    /// When `columns` is no multiple of 8.
    pub(super) fn new(isa: Isa, rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns.is_multiple_of(8) && columns <= stride, "columns must be whole vectors");
        let kernels = match isa.or_portable() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if columns.is_multiple_of(16) => &x86::AVX512,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2 if columns.is_multiple_of(16) => &x86::AVX2_DOUBLE,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2 => &x86::AVX2,
            _ => &PORTABLE,
        };
        Self { kernels, rows, columns, stride }
    }

    /// sums\[i\]\[j\] += sum over pairs of x\[i\] y\[j\].
    ///
    /// # Safety
    /// From each pair's places on, `rows` values lie in `x` and `columns` values in `y`.
    ///
    /// # Panics
    /// When `sums` is too short.
    pub(super) unsafe fn add(&self, pairs: &[Pair], x: &[f32], y: &[f32], sums: &mut [f32]) {
        assert!(sums.len() >= (self.rows - 1) * self.stride + self.columns, "sums must hold every row");
        let tiles = self.rows.div_ceil(self.kernels.rows.len());
        for column in (0..self.columns).step_by(self.kernels.columns) {
            let mut row = 0;
            for tile in 0..tiles {
                let end = self.rows * (tile + 1) / tiles;
                let kernel = self.kernels.rows[end - row - 1];
                // SAFETY: `Product::new` only gives kernels that this machine can run; the tile's rows and columns lie
                // in `sums` by the assertion above, and the pairs in `x` and `y` by the caller's word.
                unsafe {
                    kernel(
                        pairs,
                        x.as_ptr().add(row),
                        y.as_ptr().add(column),
                        sums.as_mut_ptr().add(row * self.stride + column),
                        self.stride,
                    );
                }
                row = end;
            }
        }
    }
}

/// Adds to a tile of sums.
///
/// # Safety
/// The machine has the instruction set, and the tile's rows and columns lie in bounds at every pair and in the sums.
type Kernel = unsafe fn(&[Pair], *const f32, *const f32, *mut f32, usize);

#[derive(Debug)]
struct Kernels {
    /// Columns of a tile.
    columns: usize,
    /// The kernels for 1, 2, ... rows.
    rows: &'static [Kernel],
}

/// A tile of `A` rows and `K` vectors of columns.
///
/// # Safety
/// The machine must have the instruction set of `S`. Otherwise as for [`Kernel`].
#[inline(always)]
unsafe fn tile<S: Simd, const A: usize, const K: usize>(
    pairs: &[Pair],
    x: *const f32,
    y: *const f32,
    sums: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller vouches for the instruction set and for every place.
    unsafe {
        let mut tile: [[S::Vector; K]; A] =
            std::array::from_fn(|a| std::array::from_fn(|k| S::load(sums.add(a * stride + k * S::LANES))));
        for pair in pairs {
            let (x, y) = (x.add(pair.x), y.add(pair.y));
            let row: [S::Vector; K] = std::array::from_fn(|k| S::load(y.add(k * S::LANES)));
            for (a, sums) in tile.iter_mut().enumerate() {
                let factor = S::splat(*x.add(a));
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum = S::multiply_add(factor, value, *sum);
                }
            }
        }
        for (a, row) in tile.iter().enumerate() {
            for (k, values) in row.iter().enumerate() {
                S::store(sums.add(a * stride + k * S::LANES), *values);
            }
        }
    }
}

/// # Safety
/// As for [`Kernel`].
unsafe fn portable<const A: usize>(pairs: &[Pair], x: *const f32, y: *const f32, sums: *mut f32, stride: usize) {
    // SAFETY: the portable kernel needs no instruction set; the rest is the caller's word.
    unsafe { tile::<Portable, A, 1>(pairs, x, y, sums, stride) }
}

static PORTABLE: Kernels =
    Kernels { columns: Portable::LANES, rows: &[portable::<1>, portable::<2>, portable::<3>, portable::<4>] };

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Kernels, Pair, tile};
    use crate::conv::simd::{Avx2, Avx512};

    /// # Safety
    /// The machine must have AVX2 and FMA. Otherwise as for [`Kernel`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const A: usize, const K: usize>(
        pairs: &[Pair],
        x: *const f32,
        y: *const f32,
        sums: *mut f32,
        stride: usize,
    ) {
        // SAFETY: this function has the instruction set; the rest is the caller's word.
        unsafe { tile::<Avx2, A, K>(pairs, x, y, sums, stride) }
    }

    /// # Safety
    /// The machine must have AVX-512. Otherwise as for [`Kernel`].
    #[target_feature(enable = "avx512f,avx2,fma")]
    unsafe fn avx512<const A: usize, const K: usize>(
        pairs: &[Pair],
        x: *const f32,
        y: *const f32,
        sums: *mut f32,
        stride: usize,
    ) {
        // SAFETY: this function has the instruction set; the rest is the caller's word.
        unsafe { tile::<Avx512, A, K>(pairs, x, y, sums, stride) }
    }

    macro_rules! instances {
        ($kernel:ident, $vectors:literal, [$($rows:literal),*]) => {
            &[$($kernel::<$rows, $vectors>),*]
        };
    }

    /// 12 of 16 registers hold sums.
    pub(super) static AVX2_DOUBLE: Kernels = Kernels { columns: 16, rows: instances!(avx2, 2, [1, 2, 3, 4, 5, 6]) };

    /// 12 of 16 registers hold sums.
    pub(super) static AVX2: Kernels =
        Kernels { columns: 8, rows: instances!(avx2, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) };

    /// 16 of 32 registers hold sums.
    pub(super) static AVX512: Kernels =
        Kernels { columns: 16, rows: instances!(avx512, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]) };
}
