//! Passes over channels-last maps that treat each channel by itself: the loops of batch norm.
//!
//! Channels are taken in blocks whose sums and factors stay in registers while the pixels pass by.

#![expect(clippy::inline_always, reason = "vector code must take on its caller's instruction set")]

use crate::vectorised::vectorised;

/// Pixels whose sums are formed in single precision.
const RUN: usize = 256;

/// Calls a loop for each block of 16, 8 or single channels.
macro_rules! for_each_block {
    ($channels:expr, $block:ident($($argument:expr),*)) => {{
        let (channels, mut first) = ($channels, 0);
        while first + 16 <= channels {
            $block::<16>(first, $($argument),*);
            first += 16;
        }
        while first + 8 <= channels {
            $block::<8>(first, $($argument),*);
            first += 8;
        }
        while first < channels {
            $block::<1>(first, $($argument),*);
            first += 1;
        }
    }};
}

/// `B` values from `first` on.
#[inline(always)]
fn part<const B: usize>(values: &[f32], first: usize) -> [f32; B] {
    let mut part = [0.0; B];
    part.copy_from_slice(&values[first..first + B]);
    part
}

#[inline(always)]
fn put<const B: usize>(values: &mut [f32], first: usize, part: [f32; B]) {
    values[first..first + B].copy_from_slice(&part);
}

/// Adds single-precision sums to double-precision ones.
#[inline(always)]
fn add_to<const B: usize>(totals: &mut [f64], first: usize, sums: [f32; B]) {
    for (total, sum) in totals[first..first + B].iter_mut().zip(sums) {
        *total += f64::from(sum);
    }
}

vectorised! {
    /// Adds to `totals` `[2 * channels]` each channel's sum of x - origin, then its sum of (x - origin)^2.
    pub(crate) fn add_moments(x: &[f32], origin: &[f32], totals: &mut [f64]) {
        let channels = origin.len();
        let (sums, squares) = totals.split_at_mut(channels);
        for run in x.chunks(RUN * channels) {
            for_each_block!(channels, moments(run, origin, sums, squares));
        }
    }
}

#[inline(always)]
fn moments<const B: usize>(first: usize, x: &[f32], origin: &[f32], sums: &mut [f64], squares: &mut [f64]) {
    let channels = origin.len();
    let origin = part::<B>(origin, first);
    let (mut sum, mut square) = ([0.0; B], [0.0; B]);
    for pixel in x.chunks_exact(channels) {
        let x = part::<B>(pixel, first);
        for lane in 0..B {
            let distance = x[lane] - origin[lane];
            sum[lane] += distance;
            square[lane] += distance * distance;
        }
    }
    add_to(sums, first, sum);
    add_to(squares, first, square);
}

vectorised! {
    /// Writes x * scale + shift, or its positive part.
    pub(crate) fn scale_and_shift(x: &[f32], scale: &[f32], shift: &[f32], relu: bool, out: &mut [f32]) {
        if relu {
            for_each_block!(scale.len(), affine_relu(x, scale, shift, out));
        } else {
            for_each_block!(scale.len(), affine(x, scale, shift, out));
        }
    }
}

#[inline(always)]
fn affine<const B: usize>(first: usize, x: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32]) {
    let channels = scale.len();
    let (scale, shift) = (part::<B>(scale, first), part::<B>(shift, first));
    for (out, pixel) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        let x = part::<B>(pixel, first);
        put::<B>(out, first, std::array::from_fn(|lane| x[lane] * scale[lane] + shift[lane]));
    }
}

#[inline(always)]
fn affine_relu<const B: usize>(first: usize, x: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32]) {
    let channels = scale.len();
    let (scale, shift) = (part::<B>(scale, first), part::<B>(shift, first));
    for (out, pixel) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        let x = part::<B>(pixel, first);
        put::<B>(out, first, std::array::from_fn(|lane| rectified(x[lane] * scale[lane] + shift[lane])));
    }
}

vectorised! {
    /// Writes x * scale + shift + residual, or its positive part.
    pub(crate) fn scale_and_shift_and_add(
        x: &[f32],
        scale: &[f32],
        shift: &[f32],
        residual: &[f32],
        relu: bool,
        out: &mut [f32],
    ) {
        for_each_block!(scale.len(), affine_sum(x, scale, shift, residual, relu, out));
    }
}

#[inline(always)]
fn affine_sum<const B: usize>(
    first: usize,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    residual: &[f32],
    relu: bool,
    out: &mut [f32],
) {
    let channels = scale.len();
    let (scale, shift) = (part::<B>(scale, first), part::<B>(shift, first));
    // With 0 nothing is below the floor but what ReLU cuts off.
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    let pixels = x.chunks_exact(channels).zip(residual.chunks_exact(channels));
    for (out, (pixel, residual)) in out.chunks_exact_mut(channels).zip(pixels) {
        let (x, residual) = (part::<B>(pixel, first), part::<B>(residual, first));
        let sum: [f32; B] = std::array::from_fn(|lane| x[lane] * scale[lane] + shift[lane] + residual[lane]);
        put::<B>(out, first, sum.map(|value| if value < floor { floor } else { value }));
    }
}

vectorised! {
    /// Adds to `totals` `[2 * channels]` each channel's sum of the gradient, then its sum of gradient * (x - mean).
    pub(crate) fn add_products(gradient: &[f32], x: &[f32], mean: &[f32], totals: &mut [f64]) {
        let channels = mean.len();
        let (sums, products) = totals.split_at_mut(channels);
        for (gradient, x) in gradient.chunks(RUN * channels).zip(x.chunks(RUN * channels)) {
            for_each_block!(channels, products_of(gradient, x, mean, sums, products));
        }
    }
}

#[inline(always)]
fn products_of<const B: usize>(
    first: usize,
    gradient: &[f32],
    x: &[f32],
    mean: &[f32],
    sums: &mut [f64],
    products: &mut [f64],
) {
    let channels = mean.len();
    let mean = part::<B>(mean, first);
    let (mut sum, mut product) = ([0.0; B], [0.0; B]);
    for (gradient, x) in gradient.chunks_exact(channels).zip(x.chunks_exact(channels)) {
        let (gradient, x) = (part::<B>(gradient, first), part::<B>(x, first));
        for lane in 0..B {
            sum[lane] += gradient[lane];
            product[lane] += gradient[lane] * (x[lane] - mean[lane]);
        }
    }
    add_to(sums, first, sum);
    add_to(products, first, product);
}

vectorised! {
    /// Writes scale * gradient + slope * x + offset: batch norm's gradient with respect to x.
    pub(crate) fn combine(
        gradient: &[f32],
        x: &[f32],
        scale: &[f32],
        slope: &[f32],
        offset: &[f32],
        out: &mut [f32],
    ) {
        for_each_block!(scale.len(), combination(gradient, x, scale, slope, offset, out));
    }
}

#[inline(always)]
fn combination<const B: usize>(
    first: usize,
    gradient: &[f32],
    x: &[f32],
    scale: &[f32],
    slope: &[f32],
    offset: &[f32],
    out: &mut [f32],
) {
    let channels = scale.len();
    let (scale, slope, offset) = (part::<B>(scale, first), part::<B>(slope, first), part::<B>(offset, first));
    let pixels = gradient.chunks_exact(channels).zip(x.chunks_exact(channels));
    for (out, (gradient, x)) in out.chunks_exact_mut(channels).zip(pixels) {
        let (gradient, x) = (part::<B>(gradient, first), part::<B>(x, first));
        let sum = std::array::from_fn(|lane| scale[lane] * gradient[lane] + slope[lane] * x[lane] + offset[lane]);
        put::<B>(out, first, sum);
    }
}

vectorised! {
    /// Adds each channel's sum to `totals` `[channels]`.
    pub(crate) fn add_sums(x: &[f32], totals: &mut [f64]) {
        let channels = totals.len();
        for run in x.chunks(RUN * channels) {
            for_each_block!(channels, sums_of(run, totals));
        }
    }
}

#[inline(always)]
fn sums_of<const B: usize>(first: usize, x: &[f32], totals: &mut [f64]) {
    let channels = totals.len();
    let mut sum = [0.0; B];
    for pixel in x.chunks_exact(channels) {
        let x = part::<B>(pixel, first);
        for lane in 0..B {
            sum[lane] += x[lane];
        }
    }
    add_to(totals, first, sum);
}

vectorised! {
    /// Sets the gradient to 0 where the output of a `ReLU` is not above 0.
    pub(crate) fn gate(gradient: &mut [f32], output: &[f32]) {
        for (gradient, &output) in gradient.iter_mut().zip(output) {
            *gradient = if output > 0.0 { *gradient } else { 0.0 };
        }
    }
}

vectorised! {
    /// Adds one map to another.
    pub(crate) fn add(sum: &mut [f32], values: &[f32]) {
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += value;
        }
    }
}

vectorised! {
    /// Writes the positive part.
    pub(crate) fn rectify(x: &[f32], out: &mut [f32]) {
        for (out, &value) in out.iter_mut().zip(x) {
            *out = rectified(value);
        }
    }
}

vectorised! {
    /// Writes the products of `a` and `b` to `out`, value by value.
    pub(crate) fn multiply(a: &[f32], b: &[f32], out: &mut [f32]) {
        for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out = a * b;
        }
    }
}

/// max(x, 0) that lets NaN through.
#[inline(always)]
pub(crate) fn rectified(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}
