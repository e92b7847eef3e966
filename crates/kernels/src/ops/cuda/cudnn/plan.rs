//! One direction of one convolution by Winograd's algorithm, not fused: its descriptors, and how much memory it works in.
//!
//! One algorithm for all sizes of batches, so that they round alike.

use std::ffi::{c_int, c_void};

use candle_core::Result;
use candle_core::cuda::cudarc::cudnn::{result, sys};
use candle_core::cuda::cudarc::driver::sys::CUdeviceptr;

use super::descriptors::{Handle, Map, Order, Sliding, Weights, asked};
use crate::ops::shape::ConvShape;

const FORWARD: sys::cudnnConvolutionFwdAlgo_t =
    sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED;
const INPUT: sys::cudnnConvolutionBwdDataAlgo_t =
    sys::cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED;
const WEIGHT: sys::cudnnConvolutionBwdFilterAlgo_t =
    sys::cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED;

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

impl Direction {
    /// The number of Winograd's algorithm.
    const fn algorithm(self) -> c_int {
        match self {
            Self::Forward => FORWARD as c_int,
            Self::InputGradient => INPUT as c_int,
            Self::WeightGradient => WEIGHT as c_int,
        }
    }
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
    /// Whether it is that algorithm of a direction, works, yields the same bytes each time, and rounds as `f32` does.
    fn will_do(&self, direction: Direction) -> bool {
        self.algorithm == direction.algorithm()
            && self.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS as c_int
            && self.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC as c_int
            && [sys::cudnnMathType_t::CUDNN_DEFAULT_MATH, sys::cudnnMathType_t::CUDNN_FMA_MATH]
                .iter()
                .any(|&math| math as c_int == self.math)
    }
}

/// A direction of a convolution, ready to run.
pub(super) struct Plan {
    input: Map,
    output: Map,
    weights: Weights,
    sliding: Sliding,
    direction: Direction,
    memory: usize,
}

impl Plan {
    /// None where cuDNN does not offer the algorithm.
    pub(super) fn new(handle: &Handle, direction: Direction, shape: &ConvShape) -> Result<Option<Self>> {
        let [input, output] = [shape.input, shape.output].map(|map| Map::new(map, Order::ChannelsFirst));
        let (input, output) = (input?, output?);
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
        let offer = offers.iter().take(count).find(|offer| offer.will_do(direction));
        Ok(offer.map(|offer| Self { input, output, weights, sliding, direction, memory: offer.memory }))
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
            match self.direction {
                Direction::Forward => result::convolution_forward(
                    handle.0, once, input.0, a, weights.0, b, sliding.0, FORWARD, workspace, *memory, never, output.0,
                    target,
                ),
                Direction::InputGradient => result::convolution_backward_data(
                    handle.0, once, weights.0, b, output.0, a, sliding.0, INPUT, workspace, *memory, never, input.0,
                    target,
                ),
                Direction::WeightGradient => result::convolution_backward_filter(
                    handle.0, once, input.0, a, output.0, b, sliding.0, WEIGHT, workspace, *memory, never, weights.0,
                    target,
                ),
            }
        };
        asked("run a convolution", answer)
    }
}
