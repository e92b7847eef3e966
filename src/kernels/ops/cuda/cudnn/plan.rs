//! One direction of one convolution: its descriptors, and the algorithm that cuDNN's heuristics put first among those
//! that are deterministic, single precision, and content with little memory.

use std::ffi::{c_int, c_void};

use candle_core::cuda::cudarc::cudnn::{result, sys};
use candle_core::cuda::cudarc::driver::sys::CUdeviceptr;
use candle_core::{Result, bail};

use super::descriptors::{Handle, Map, Sliding, Weights, asked};
use crate::kernels::ops::shape::ConvShape;

use sys::cudnnConvolutionBwdDataAlgo_t as InputAlgorithm;
use sys::cudnnConvolutionBwdFilterAlgo_t as WeightAlgorithm;
use sys::cudnnConvolutionFwdAlgo_t as ForwardAlgorithm;

/// The most memory that an algorithm may work in: a quarter of what the smallest GPUs have.
const MEMORY: usize = 1 << 30;
/// More than there are algorithms for any direction (8 in cuDNN 9).
const OFFERS: c_int = 16;

/// What is computed of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// The output, of x and weights.
    Forward,
    /// The gradient for x, of the output's and weights.
    InputGradient,
    /// The gradient for the weights, of x and the output's.
    WeightGradient,
}

/// What cuDNN tells of an algorithm: `cudnnConvolutionFwdAlgoPerf_t` and its two brothers, with numbers in place of
/// enumerations, since for algorithms that do not work cuDNN may leave numbers that name nothing.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Offer {
    algorithm: c_int,
    status: c_int,
    time: f32,
    memory: usize,
    determinism: c_int,
    math: c_int,
    reserved: [c_int; 3],
}

const _: () = assert!(size_of::<Offer>() == size_of::<sys::cudnnConvolutionFwdAlgoPerf_t>());
const _: () = assert!(size_of::<Offer>() == size_of::<sys::cudnnConvolutionBwdDataAlgoPerf_t>());
const _: () = assert!(size_of::<Offer>() == size_of::<sys::cudnnConvolutionBwdFilterAlgoPerf_t>());

impl Offer {
    /// Whether it works, yields the same bytes each time, rounds as `f32` does, and fits.
    fn will_do(&self) -> bool {
        self.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS as c_int
            && self.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC as c_int
            && [sys::cudnnMathType_t::CUDNN_DEFAULT_MATH, sys::cudnnMathType_t::CUDNN_FMA_MATH]
                .iter()
                .any(|&math| math as c_int == self.math)
            && self.memory <= MEMORY
    }
}

enum Algorithm {
    Forward(ForwardAlgorithm),
    InputGradient(InputAlgorithm),
    WeightGradient(WeightAlgorithm),
}

/// A direction of a convolution, ready to run.
pub(super) struct Plan {
    input: Map,
    output: Map,
    weights: Weights,
    sliding: Sliding,
    algorithm: Algorithm,
    memory: usize,
}

impl Plan {
    pub(super) fn new(handle: &Handle, direction: Direction, shape: &ConvShape) -> Result<Self> {
        let (input, output) = (Map::new(shape.input)?, Map::new(shape.output)?);
        let (weights, sliding) = (Weights::new(shape)?, Sliding::new(&shape.window)?);
        let mut offers = [Offer::default(); OFFERS as usize];
        let (mut count, limit) = (0, OFFERS);
        let told = offers.as_mut_ptr();
        // SAFETY: handle and descriptors are live; there is room for OFFERS offers, whose layout is that of the three
        // structures, and for their number.
        let answer = unsafe {
            match direction {
                Direction::Forward => result::get_convolution_forward_algorithm(
                    handle.0,
                    input.0,
                    weights.0,
                    sliding.0,
                    output.0,
                    limit,
                    &raw mut count,
                    told.cast(),
                ),
                Direction::InputGradient => result::get_convolution_backward_data_algorithm(
                    handle.0,
                    weights.0,
                    output.0,
                    sliding.0,
                    input.0,
                    limit,
                    &raw mut count,
                    told.cast(),
                ),
                Direction::WeightGradient => result::get_convolution_backward_filter_algorithm(
                    handle.0,
                    input.0,
                    output.0,
                    sliding.0,
                    weights.0,
                    limit,
                    &raw mut count,
                    told.cast(),
                ),
            }
        };
        asked("list algorithms for a convolution", answer)?;
        let count = usize::try_from(count).unwrap_or_default();
        for offer in offers.iter().take(count).filter(|offer| offer.will_do()) {
            if let Some(algorithm) = named(direction, offer.algorithm) {
                let memory = offer.memory;
                return Ok(Self { input, output, weights, sliding, algorithm, memory });
            }
        }
        bail!(
            "run the {direction:?} of {shape:?} on cudnn: it has no deterministic f32 algorithm, build without `cudnn`"
        )
    }

    /// Bytes of workspace.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Starts it on the handle's stream.
    ///
    /// # Safety
    /// The addresses are of live memory of the handle's device: the direction's operands and target as the descriptors
    /// say, and a workspace of at least [`Plan::memory`] bytes that nothing else uses meanwhile.
    pub(super) unsafe fn launch(
        &self,
        handle: &Handle,
        [a, b]: [CUdeviceptr; 2],
        workspace: CUdeviceptr,
        target: CUdeviceptr,
    ) -> Result<()> {
        let Self { input, output, weights, sliding, memory, .. } = self;
        let [a, b] = [a, b].map(|address| address as *const c_void);
        let [workspace, target] = [workspace, target].map(|address| address as *mut c_void);
        // What is computed counts once, what was there before not at all.
        let (one, zero) = (1.0_f32, 0.0_f32);
        let (once, never) = ((&raw const one).cast(), (&raw const zero).cast());
        // SAFETY: handle and descriptors are live, and the caller vouches for the addresses.
        let answer = unsafe {
            match self.algorithm {
                Algorithm::Forward(algorithm) => result::convolution_forward(
                    handle.0, once, input.0, a, weights.0, b, sliding.0, algorithm, workspace, *memory, never,
                    output.0, target,
                ),
                Algorithm::InputGradient(algorithm) => result::convolution_backward_data(
                    handle.0, once, weights.0, b, output.0, a, sliding.0, algorithm, workspace, *memory, never,
                    input.0, target,
                ),
                Algorithm::WeightGradient(algorithm) => result::convolution_backward_filter(
                    handle.0, once, input.0, a, output.0, b, sliding.0, algorithm, workspace, *memory, never,
                    weights.0, target,
                ),
            }
        };
        asked("run a convolution", answer)
    }
}

/// The algorithm of a direction by its number.
fn named(direction: Direction, number: c_int) -> Option<Algorithm> {
    use {ForwardAlgorithm as F, InputAlgorithm as I, WeightAlgorithm as W};
    match direction {
        Direction::Forward => [
            F::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
            F::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
            F::CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
            F::CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
            F::CUDNN_CONVOLUTION_FWD_ALGO_FFT,
            F::CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
            F::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
            F::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
        ]
        .into_iter()
        .find(|&algorithm| algorithm as c_int == number)
        .map(Algorithm::Forward),
        Direction::InputGradient => [
            I::CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
            I::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
            I::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
            I::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
            I::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
            I::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
        ]
        .into_iter()
        .find(|&algorithm| algorithm as c_int == number)
        .map(Algorithm::InputGradient),
        Direction::WeightGradient => [
            W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
            W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
            W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
            W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
            W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
            W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
            W::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
        ]
        .into_iter()
        .find(|&algorithm| algorithm as c_int == number)
        .map(Algorithm::WeightGradient),
    }
}
