//! Pooling: largest value, mean, and mean over all pixels.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

#[cfg(feature = "cuda")]
use super::cuda::{self, Operand};
use super::shape::{MapShape, Window};
use super::values::{Values, slice, stored, tensor};

/// The largest value in each window; the border never wins, and of equal values the first in row-major order gets the
/// gradient, as in `PyTorch`.
///
/// # Errors
/// When the window does not fit, or the border is wider than half of it.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let pooling = Pooling::new(MapShape::of(x)?, kernel, stride, padding, PoolingKind::Max)?;
    x.contiguous()?.apply_op1(pooling)
}

/// The mean of each window; zeros of the border count (`PyTorch`'s `count_include_pad`).
///
/// # Errors
/// When the window does not fit, or the border is wider than half of it.
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let pooling = Pooling::new(MapShape::of(x)?, kernel, stride, padding, PoolingKind::Mean)?;
    x.contiguous()?.apply_op1(pooling)
}

/// What a pooling yields of each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolingKind {
    Max,
    Mean,
}

/// A pooling of maps of one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pooling {
    pub(super) input: MapShape,
    output: MapShape,
    pub(super) window: Window,
    pub(super) kind: PoolingKind,
}

impl Pooling {
    pub(crate) fn new(
        input: MapShape,
        kernel: usize,
        stride: usize,
        padding: usize,
        kind: PoolingKind,
    ) -> Result<Self> {
        if 2 * padding > kernel {
            bail!("pool {kernel} x {kernel} windows with a border of {padding}: at most half the window may be border");
        }
        let window = Window { kernel: [kernel; 2], stride, padding: [padding; 2] };
        let [height, width] = window.output([input.height, input.width])?;
        Ok(Self { input, output: MapShape { height, width, ..input }, window, kind })
    }

    /// What it yields.
    pub(crate) const fn output(&self) -> MapShape {
        self.output
    }

    /// Writes the pooled map.
    pub(crate) fn forward(&self, x: &[f32], out: &mut [f32]) {
        out.par_chunks_mut(self.output.image())
            .zip(x.par_chunks(self.input.image()))
            .for_each(|(out, x)| self.pool(x, out));
    }

    /// Writes the gradient of the map that was pooled.
    pub(crate) fn backward(&self, x: &[f32], gradient: &[f32], out: &mut [f32]) {
        out.par_chunks_mut(self.input.image())
            .zip(x.par_chunks(self.input.image()))
            .zip(gradient.par_chunks(self.output.image()))
            .for_each(|((out, x), gradient)| {
                out.fill(0.0);
                self.spread(x, gradient, out);
            });
    }

    /// Calls with each output place and the input pixels of its window, within one image.
    fn for_each_window(&self, mut visit: impl FnMut(usize, &mut dyn Iterator<Item = usize>)) {
        let (input, output) = (self.input, self.output);
        for row in 0..output.height {
            let (rows, top) = self.window.span(0, row, input.height);
            for column in 0..output.width {
                let (columns, left) = self.window.span(1, column, input.width);
                let mut pixels = (top..top + rows.len())
                    .flat_map(|y| (left..left + columns.len()).map(move |x| y * input.width + x));
                visit(row * output.width + column, &mut pixels);
            }
        }
    }

    fn pool(&self, x: &[f32], out: &mut [f32]) {
        let channels = self.input.channels;
        let area = (self.window.kernel[0] * self.window.kernel[1]) as f32;
        self.for_each_window(|place, pixels| {
            let out = &mut out[place * channels..][..channels];
            match self.kind {
                PoolingKind::Max => {
                    out.fill(f32::NEG_INFINITY);
                    for pixel in pixels {
                        for (best, &value) in out.iter_mut().zip(&x[pixel * channels..][..channels]) {
                            *best = if wins(value, *best) { value } else { *best };
                        }
                    }
                }
                PoolingKind::Mean => {
                    out.fill(0.0);
                    for pixel in pixels {
                        for (sum, &value) in out.iter_mut().zip(&x[pixel * channels..][..channels]) {
                            *sum += value;
                        }
                    }
                    for sum in out {
                        *sum /= area;
                    }
                }
            }
        });
    }

    fn spread(&self, x: &[f32], gradient: &[f32], out: &mut [f32]) {
        let channels = self.input.channels;
        let area = (self.window.kernel[0] * self.window.kernel[1]) as f32;
        let (mut best, mut winner) = (vec![0.0; channels], vec![0; channels]);
        self.for_each_window(|place, pixels| {
            let gradient = &gradient[place * channels..][..channels];
            match self.kind {
                PoolingKind::Max => {
                    best.fill(f32::NEG_INFINITY);
                    let mut pixels = pixels.peekable();
                    winner.fill(pixels.peek().copied().unwrap_or_default());
                    for pixel in pixels {
                        for (channel, &value) in x[pixel * channels..][..channels].iter().enumerate() {
                            if wins(value, best[channel]) {
                                best[channel] = value;
                                winner[channel] = pixel;
                            }
                        }
                    }
                    for (channel, (&pixel, gradient)) in winner.iter().zip(gradient).enumerate() {
                        out[pixel * channels + channel] += gradient;
                    }
                }
                PoolingKind::Mean => {
                    for pixel in pixels {
                        for (out, gradient) in out[pixel * channels..][..channels].iter_mut().zip(gradient) {
                            *out += gradient / area;
                        }
                    }
                }
            }
        });
    }
}

/// Whether a value replaces the best one so far: only if larger, so that the first of equal ones stays; NaN always.
fn wins(value: f32, best: f32) -> bool {
    value > best || value.is_nan()
}

impl CustomOp1 for Pooling {
    fn name(&self) -> &'static str {
        match self.kind {
            PoolingKind::Max => "max pool",
            PoolingKind::Mean => "average pool",
        }
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = vec![0.0; self.output.values()];
        self.forward(slice(x, xl)?, &mut out);
        Ok(stored(out, self.output.dims()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((cuda::pool::pool(&x.device, self, Operand::of(x, xl)?)?, self.output.dims().into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return cuda::compute([x, &gradient], self.input.dims(), |gpu, [x, gradient]| {
                cuda::pool::pool_gradient(gpu, self, x, gradient)
            })
            .map(Some);
        }
        let mut out = vec![0.0; self.input.values()];
        self.backward(&Values::of(x)?, &Values::of(&gradient)?, &mut out);
        tensor(out, self.input.dims()).map(Some)
    }
}

/// The mean over all pixels, `[batch, channels]`.
///
/// # Errors
/// When the tensor is no map.
pub fn global_mean(x: &Tensor) -> Result<Tensor> {
    let shape = MapShape::of(x)?;
    x.contiguous()?.apply_op1(GlobalMean { shape })
}

struct GlobalMean {
    shape: MapShape,
}

impl CustomOp1 for GlobalMean {
    fn name(&self) -> &'static str {
        "global mean"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, shape) = (slice(x, xl)?, self.shape);
        let mut out = vec![0.0; shape.batch * shape.channels];
        out.par_chunks_mut(shape.channels).zip(x.par_chunks(shape.image())).for_each(|(out, image)| {
            for pixel in image.chunks_exact(shape.channels) {
                for (sum, value) in out.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            for sum in out {
                *sum /= shape.pixels() as f32;
            }
        });
        Ok(stored(out, (shape.batch, shape.channels)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, xl: &Layout) -> Result<(CudaStorage, Shape)> {
        let storage = cuda::pool::global_mean(&x.device, self.shape, Operand::of(x, xl)?)?;
        Ok((storage, (self.shape.batch, self.shape.channels).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let gradient = gradient.contiguous()?;
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return cuda::compute([&gradient], self.shape.dims(), |gpu, [gradient]| {
                cuda::pool::global_mean_gradient(gpu, self.shape, gradient)
            })
            .map(Some);
        }
        let (gradient, shape) = (Values::of(&gradient)?, self.shape);
        let mut out = vec![0.0; shape.values()];
        out.par_chunks_mut(shape.image()).zip(gradient.par_chunks(shape.channels)).for_each(|(image, gradient)| {
            for pixel in image.chunks_exact_mut(shape.channels) {
                for (out, gradient) in pixel.iter_mut().zip(gradient) {
                    *out = gradient / shape.pixels() as f32;
                }
            }
        });
        tensor(out, shape.dims()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Operand, assert_close, check, values};
    use super::{MapShape, Pooling, PoolingKind, avg_pool2d, global_mean, max_pool2d};

    const SHAPES: [([usize; 4], usize, usize, usize); 6] = [
        ([2, 4, 4, 16], 2, 2, 0),
        ([1, 7, 6, 3], 3, 2, 1),
        ([1, 6, 6, 8], 3, 1, 1),
        ([2, 5, 5, 2], 3, 3, 0),
        ([1, 8, 8, 4], 8, 8, 0),
        ([1, 7, 7, 3], 2, 2, 0),
    ];

    fn map([batch, height, width, channels]: [usize; 4]) -> MapShape {
        MapShape { batch, height, width, channels }
    }

    /// The definition, in double precision.
    fn oracle(pooling: &Pooling, x: &[f64]) -> Vec<f64> {
        let (input, output) = (pooling.input, pooling.output);
        let mut out = Vec::new();
        for index in 0..output.values() {
            let (channel, place) = (index % output.channels, index / output.channels);
            let (column, row) = (place % output.width, place / output.width % output.height);
            let image = place / output.pixels();
            let mut window = Vec::new();
            for top in 0..pooling.window.kernel[0] {
                for left in 0..pooling.window.kernel[1] {
                    let y = (row * pooling.window.stride + top).wrapping_sub(pooling.window.padding[0]);
                    let z = (column * pooling.window.stride + left).wrapping_sub(pooling.window.padding[1]);
                    if y < input.height && z < input.width {
                        window.push(x[((image * input.height + y) * input.width + z) * input.channels + channel]);
                    }
                }
            }
            let area = (pooling.window.kernel[0] * pooling.window.kernel[1]) as f64;
            out.push(match pooling.kind {
                PoolingKind::Max => window.into_iter().fold(f64::NEG_INFINITY, f64::max),
                PoolingKind::Mean => window.into_iter().sum::<f64>() / area,
            });
        }
        out
    }

    #[test]
    fn values_and_gradients_follow_the_definition() {
        for (dims, kernel, stride, padding) in SHAPES {
            let operands = [Operand::random(&dims, 5)];
            let of = |kind| Pooling::new(map(dims), kernel, stride, padding, kind).expect("it fits");
            let (max, mean) = (of(PoolingKind::Max), of(PoolingKind::Mean));
            check(&operands, |x| oracle(&max, &x[0]), |t| max_pool2d(t[0], kernel, stride, padding));
            check(&operands, |x| oracle(&mean, &x[0]), |t| avg_pool2d(t[0], kernel, stride, padding));
        }
    }

    #[test]
    fn the_first_of_equal_maxima_gets_the_gradient() {
        let operand = Operand { dims: vec![1, 2, 4, 1], values: vec![1.0, 3.0, 5.0, 5.0, 3.0, 3.0, 5.0, 5.0] };
        let x = operand.variable();
        let loss = max_pool2d(&x, 2, 2, 0).and_then(|out| out.sum_all());
        let gradients = loss.and_then(|loss| loss.backward()).expect("a gradient");
        let gradient = values(gradients.get(&x).expect("tracked"));
        assert_eq!(gradient, [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn global_mean_averages_pixels() {
        let operands = [Operand::random(&[3, 4, 5, 6], 7)];
        let oracle = |x: &[Vec<f64>]| -> Vec<f64> {
            let image = |image: usize, channel: usize| x[0][image * 120 + channel..(image + 1) * 120].iter().step_by(6);
            (0..18).map(|i| image(i / 6, i % 6).sum::<f64>() / 20.0).collect()
        };
        check(&operands, oracle, |t| global_mean(t[0]));
    }

    #[test]
    fn not_a_number_wins() {
        let operand = Operand { dims: vec![1, 2, 2, 1], values: vec![1.0, f64::NAN, 3.0, 2.0] };
        assert!(values(&max_pool2d(&operand.frozen(), 2, 2, 0).expect("it fits"))[0].is_nan());
    }

    #[test]
    fn a_border_of_more_than_half_the_window_is_an_error() {
        let x = Operand::random(&[1, 4, 4, 1], 1).frozen();
        assert!(max_pool2d(&x, 2, 2, 2).is_err());
        assert!(avg_pool2d(&x, 5, 1, 0).is_err());
        assert_close(
            &values(&avg_pool2d(&x.ones_like().expect("f32"), 2, 2, 1).expect("fits"))[..1],
            &[0.25],
            0.0,
            "corner",
        );
    }
}
