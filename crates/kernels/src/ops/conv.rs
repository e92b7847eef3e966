//! Convolution of channels-last maps.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::channels;
use super::chunks::sum_over_images;
use super::conv_loops::{forward, input_gradient};
#[cfg(feature = "cuda")]
use super::cuda::{self, Operand, choice};
use super::shape::ConvShape;
use super::values::{Values, slice, stored, tensor};
use super::weight_gradient::WeightGradient;
use crate::conv::Algorithm;
use crate::isa::Isa;

/// Cross-correlates `x` `[batch, height, width, in]` with `weight` `[out, in, height, width]` and adds `bias` `[out]`.
///
/// `padding` counts the zeros above and below, and left and right.
///
/// # Errors
/// When the shapes do not belong together or a tensor is not `f32`.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: [usize; 2],
) -> Result<Tensor> {
    let shape = ConvShape::of(x, weight, stride, padding)?;
    if let Some(bias) = bias
        && bias.dims1()? != shape.output.channels
    {
        bail!("add a bias of shape {:?} to {} channels: the two must agree", bias.shape(), shape.output.channels);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        None => x.apply_op2(&weight, ConvOp { shape }),
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, ConvOp { shape }),
    }
}

/// A convolution of one shape.
pub(super) struct ConvOp {
    shape: ConvShape,
}

impl ConvOp {
    pub(super) const fn new(shape: ConvShape) -> Self {
        Self { shape }
    }

    pub(super) const fn shape(&self) -> &ConvShape {
        &self.shape
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::faster(&self.shape.one_image())
    }

    pub(super) fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        forward(Isa::detect(), self.algorithm(), &self.shape, x, weight, bias)
    }

    #[cfg(feature = "cuda")]
    fn forward_on_gpu(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        weight: Operand<'_, CudaStorage>,
        bias: Option<Operand<'_, CudaStorage>>,
    ) -> Result<(CudaStorage, Shape)> {
        let out =
            choice::forward(&x.device, &self.shape, Operand::of(x, xl)?, weight, bias.map(cuda::Then::bias).as_ref())?;
        Ok((out, self.shape.output.dims().into()))
    }

    /// The gradients of those of the two that are tracked, given the output's.
    pub(super) fn gradients(
        &self,
        x: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            let for_x = x.track_op().then(|| {
                cuda::compute([gradient, weight], self.shape.input.dims(), |gpu, [gradient, weight]| {
                    choice::input_gradient(gpu, &self.shape, gradient, weight)
                })
            });
            let for_weight = weight.track_op().then(|| {
                cuda::compute([x, gradient], self.shape.weight_dims(), |gpu, [x, gradient]| {
                    choice::weight_gradient(gpu, &self.shape, x, gradient)
                })
            });
            return Ok((for_x.transpose()?, for_weight.transpose()?));
        }
        let gradient = &*Values::of(gradient)?;
        let for_x = if x.track_op() {
            let values = input_gradient(Isa::detect(), self.algorithm(), &self.shape, gradient, &Values::of(weight)?);
            Some(tensor(values, self.shape.input.dims())?)
        } else {
            None
        };
        let for_weight = if weight.track_op() {
            let values = WeightGradient::new(Isa::detect(), &self.shape).apply(&Values::of(x)?, gradient);
            Some(tensor(values, self.shape.weight_dims())?)
        } else {
            None
        };
        Ok((for_x, for_weight))
    }

    fn bias_gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        let output = self.shape.output;
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            return cuda::compute([gradient], output.channels, |gpu, [gradient]| {
                cuda::sums::channel_sums(gpu, gradient, output.channels)
            });
        }
        let gradient = &*Values::of(gradient)?;
        let sums = sum_over_images(output.batch, output.channels, |images, sums: &mut [f64]| {
            let part = images.start * output.image()..images.end * output.image();
            channels::add_sums(Isa::detect(), &gradient[part], sums);
        });
        let sums: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
        tensor(sums, output.channels)
    }
}

impl CustomOp2 for ConvOp {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, weight: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(stored(self.forward(slice(x, xl)?, slice(weight, wl)?, None), self.shape.output.dims()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        weight: &CudaStorage,
        wl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward_on_gpu(x, xl, Operand::of(weight, wl)?, None)
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, weight, &grad.contiguous()?)
    }
}

impl CustomOp3 for ConvOp {
    fn name(&self) -> &'static str {
        "convolution with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        weight: &CpuStorage,
        wl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = self.forward(slice(x, xl)?, slice(weight, wl)?, Some(slice(bias, bl)?));
        Ok(stored(out, self.shape.output.dims()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        weight: &CudaStorage,
        wl: &Layout,
        bias: &CudaStorage,
        bl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward_on_gpu(x, xl, Operand::of(weight, wl)?, Some(Operand::of(bias, bl)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (for_x, for_weight) = self.gradients(x, weight, &grad)?;
        let for_bias = if bias.track_op() { Some(self.bias_gradient(&grad)?) } else { None };
        Ok((for_x, for_weight, for_bias))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use proptest::prelude::*;

    use super::super::conv_portable;
    use super::super::shape::{MapShape, Window};
    use super::super::testing::{
        CONV_CASES, ConvCase, Operand, assert_close, check, conv_operands, values, with_threads,
    };
    use super::{Algorithm, ConvShape, Isa, WeightGradient, conv2d, forward, input_gradient};

    /// The definition, in double precision: every output is a sum over taps and channels.
    fn oracle(case: &ConvCase, inputs: &[Vec<f64>]) -> Vec<f64> {
        let (batch, height, width, channels, outputs, [rows, columns], stride, padding) = *case;
        let (out_height, out_width) =
            ((height + 2 * padding[0] - rows) / stride + 1, (width + 2 * padding[1] - columns) / stride + 1);
        let at = |image: usize, y: usize, x: usize, channel: usize| {
            let (y, x) = (y.wrapping_sub(padding[0]), x.wrapping_sub(padding[1]));
            if y < height && x < width {
                inputs[0][((image * height + y) * width + x) * channels + channel]
            } else {
                0.0
            }
        };
        let mut out = Vec::new();
        for place in 0..batch * out_height * out_width {
            let (image, y, x) = (place / out_width / out_height, place / out_width % out_height, place % out_width);
            for output in 0..outputs {
                let mut sum = inputs.get(2).map_or(0.0, |bias| bias[output]);
                for tap in 0..rows * columns {
                    let (row, column) = (y * stride + tap / columns, x * stride + tap % columns);
                    for channel in 0..channels {
                        let weight = inputs[1][(output * channels + channel) * rows * columns + tap];
                        sum += weight * at(image, row, column, channel);
                    }
                }
                out.push(sum);
            }
        }
        out
    }

    #[test]
    fn values_and_gradients_follow_the_definition() {
        for case in &CONV_CASES {
            let (stride, padding) = (case.6, case.7);
            check(
                &conv_operands(case),
                |inputs| oracle(case, inputs),
                |tensors| conv2d(tensors[0], tensors[1], Some(tensors[2]), stride, padding),
            );
        }
    }

    #[test]
    fn frozen_operands_get_no_gradient() {
        let [x, weight, bias] = <[Operand; 3]>::try_from(conv_operands(&CONV_CASES[3])).expect("three operands");
        let variable = weight.variable();
        let out = conv2d(&x.frozen(), &variable, Some(&bias.frozen()), 1, [1, 1]).expect("shapes agree");
        let gradients = out.sum_all().and_then(|loss| loss.backward()).expect("a gradient");
        assert!(gradients.get(&variable).is_some());
        let frozen = weight.frozen();
        let variable = x.variable();
        let out = conv2d(&variable, &frozen, None, 1, [1, 1]).expect("shapes agree");
        let gradients = out.sum_all().and_then(|loss| loss.backward()).expect("a gradient");
        assert!(gradients.get(&variable).is_some());
        assert!(gradients.get(&frozen).is_none());
    }

    #[test]
    fn bytes_do_not_depend_on_the_number_of_threads() {
        for case in [(20, 6, 6, 16, 16, [3, 3], 1, [1, 1]), (20, 6, 6, 3, 8, [3, 3], 2, [1, 1])] {
            let operands = conv_operands(&case);
            let run = || -> Vec<Vec<f32>> {
                let variables: Vec<_> = operands.iter().map(Operand::variable).collect();
                let out =
                    conv2d(&variables[0], &variables[1], Some(&variables[2]), case.6, case.7).expect("shapes agree");
                let gradients =
                    out.sqr().and_then(|s| s.sum_all()).and_then(|loss| loss.backward()).expect("a gradient");
                let gradients = variables.iter().map(|variable| values(gradients.get(variable).expect("tracked")));
                std::iter::once(values(&out)).chain(gradients).collect()
            };
            assert_eq!(with_threads(1, run), with_threads(2, run));
        }
    }

    #[test]
    fn a_bias_is_optional() {
        let case = CONV_CASES[3];
        let [x, weight, _] = <[Operand; 3]>::try_from(conv_operands(&case)).expect("three operands");
        let out = conv2d(&x.frozen(), &weight.frozen(), None, case.6, case.7).expect("shapes agree");
        assert_close(&values(&out), &oracle(&case, &[x.values, weight.values]), 2e-5, "output");
    }

    #[test]
    fn channels_that_disagree_are_an_error() {
        let (x, weight) = (Operand::random(&[1, 4, 4, 3], 1).frozen(), Operand::random(&[8, 4, 3, 3], 2).frozen());
        let error = conv2d(&x, &weight, None, 1, [1, 1]).expect_err("3 channels are not 4");
        assert!(error.to_string().contains("3 channels"), "{error}");
        let small: Tensor = Operand::random(&[1, 1, 4, 4], 1).frozen();
        assert!(conv2d(&small, &weight, None, 1, [0, 0]).is_err());
    }

    fn shapes() -> impl Strategy<Value = ConvShape> {
        let map = (1..20_usize, 1..9_usize, 1..9_usize, prop_oneof![1..20_usize, Just(8), Just(32), Just(48)]);
        let window = prop_oneof![
            ([1..5_usize, 1..5_usize], 1..4_usize, [0..3_usize, 0..3_usize]),
            (Just([3, 3]), Just(1), [0..2_usize, 0..2_usize]),
        ];
        let outputs = prop_oneof![1..20_usize, Just(8), Just(32), Just(80)];
        (map, outputs, window).prop_filter_map("the window fits", |(map, outputs, (kernel, stride, padding))| {
            let (batch, height, width, channels) = map;
            let input = MapShape { batch, height, width, channels };
            ConvShape::new(input, outputs, Window { kernel, stride, padding }).ok()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn fast_paths_equal_plain_loops(shape in shapes()) {
            let single = |operand: Operand| -> Vec<f32> { operand.values.iter().map(|&value| value as f32).collect() };
            let double = |values: &[f32]| -> Vec<f64> { values.iter().copied().map(f64::from).collect() };
            let x = single(Operand::random(&[shape.input.values()], 1));
            let weight = single(Operand::random(&[shape.weights()], 2));
            let gradient = single(Operand::random(&[shape.output.values()], 3));
            let mut out = vec![0.0; shape.output.values()];
            conv_portable::forward(&shape, &x, &weight, None, &mut out);
            let mut for_x = vec![0.0; shape.input.values()];
            conv_portable::input_gradient(&shape, &gradient, &weight, &mut for_x);
            let for_weight = conv_portable::weight_gradient(&shape, &x, &gradient);
            for isa in Isa::ALL {
                for algorithm in [Algorithm::Direct, Algorithm::Winograd] {
                    let actual = forward(isa, algorithm, &shape, &x, &weight, None);
                    assert_close(&actual, &double(&out), 1e-4, "output");
                    let actual = input_gradient(isa, algorithm, &shape, &gradient, &weight);
                    assert_close(&actual, &double(&for_x), 1e-4, "input");
                    let actual = WeightGradient::with(isa, &shape, algorithm).apply(&x, &gradient);
                    assert_close(&actual, &double(&for_weight), 1e-4, "weight");
                }
            }
        }
    }
}
