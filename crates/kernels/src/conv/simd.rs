//! The few vector operations of the micro-kernel, for each instruction set.

#![expect(clippy::inline_always, reason = "vector code must take on its caller's instruction set")]

/// A vector register of `f32` and what the micro-kernel does with it.
///
/// Every method is `#[inline(always)]`, so that it takes on the instruction set of the function it ends up in.
///
/// # Safety
/// All methods require the instruction set of the implementation; `load` and `store` also require that
/// [`Self::LANES`] values are readable or writable at the pointer, which need not be aligned.
pub(crate) trait Simd {
    /// Values in one register.
    const LANES: usize;
    /// The register, such as `__m256`, with room for [`Self::LANES`] values.
    type Vector: Copy;

    /// All lanes equal to `x`.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn splat(x: f32) -> Self::Vector;
    /// [`Self::LANES`] values from `from` on.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// Writes [`Self::LANES`] values from `to` on.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn store(to: *mut f32, x: Self::Vector);
    /// a b + c.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a + b.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a - b.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `x`, but 0 where it is below 0; NaN stays.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn relu(x: Self::Vector) -> Self::Vector;
    /// `x` where `gate` is above 0, else 0.
    ///
    /// # Safety
    /// As the trait says.
    unsafe fn gate(x: Self::Vector, gate: Self::Vector) -> Self::Vector;
}

/// Eight lanes in plain Rust.
pub(crate) enum Portable {}

impl Simd for Portable {
    const LANES: usize = 8;
    type Vector = [f32; 8];

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 8] {
        // SAFETY: the caller vouches for eight values; an array of f32 may be read unaligned.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: [f32; 8]) {
        // SAFETY: as for `load`.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(x) }
    }

    #[inline(always)]
    unsafe fn multiply_add(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    unsafe fn subtract(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    unsafe fn relu(x: [f32; 8]) -> [f32; 8] {
        x.map(|x| if x < 0.0 { 0.0 } else { x })
    }

    #[inline(always)]
    unsafe fn gate(x: [f32; 8], gate: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|lane| if gate[lane] > 0.0 { x[lane] } else { 0.0 })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::{
        __m256, __m512, _CMP_GT_OQ, _mm256_add_ps, _mm256_and_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_max_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_ps,
        _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_mov_ps, _mm512_max_ps, _mm512_set1_ps,
        _mm512_setzero_ps, _mm512_storeu_ps, _mm512_sub_ps,
    };

    /// Eight lanes with AVX2 and FMA.
    pub(crate) enum Avx2 {}

    // SAFETY (every method): the trait's contract gives the instruction set and the memory.
    impl Simd for Avx2 {
        const LANES: usize = 8;
        type Vector = __m256;

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m256 {
            unsafe { _mm256_set1_ps(x) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, x: __m256) {
            unsafe { _mm256_storeu_ps(to, x) }
        }

        #[inline(always)]
        unsafe fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn subtract(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_sub_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn relu(x: __m256) -> __m256 {
            // The instruction yields its second operand where either is NaN.
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), x) }
        }

        #[inline(always)]
        unsafe fn gate(x: __m256, gate: __m256) -> __m256 {
            unsafe { _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps())) }
        }
    }

    /// Sixteen lanes with AVX-512F.
    pub(crate) enum Avx512 {}

    // SAFETY (every method): the trait's contract gives the instruction set and the memory.
    impl Simd for Avx512 {
        const LANES: usize = 16;
        type Vector = __m512;

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, x: __m512) {
            unsafe { _mm512_storeu_ps(to, x) }
        }

        #[inline(always)]
        unsafe fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn subtract(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_sub_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn relu(x: __m512) -> __m512 {
            // The instruction yields its second operand where either is NaN.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), x) }
        }

        #[inline(always)]
        unsafe fn gate(x: __m512, gate: __m512) -> __m512 {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), x) }
        }
    }
}
