//! cuDNN's handle and descriptors, made whole and given back when dropped.

use std::ffi::{c_int, c_void};

use candle_core::cuda::cudarc::cudnn::result::{self, CudnnError};
use candle_core::cuda::cudarc::cudnn::sys;
use candle_core::cuda::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda::{CudaDevice, WrapErr};
use candle_core::{Error, Result};

use crate::ops::cuda::int;
use crate::ops::shape::{ConvShape, MapShape, Window};

/// Values are single precision, sums as well.
const FLOAT: sys::cudnnDataType_t = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;

/// How a map lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As everywhere else here.
    ChannelsLast,
    /// As cuDNN's best algorithms take it.
    ChannelsFirst,
}

impl Order {
    const fn format(self) -> sys::cudnnTensorFormat_t {
        match self {
            Self::ChannelsLast => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
            Self::ChannelsFirst => sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW,
        }
    }
}

/// Says what was asked of cuDNN when it failed.
pub(super) fn asked<T>(what: &str, answer: std::result::Result<T, CudnnError>) -> Result<T> {
    answer.map_err(|error| Error::Msg(format!("cudnn cannot {what}: {error}")))
}

/// cuDNN on a device's stream, for one thread.
pub(super) struct Handle(pub(super) sys::cudnnHandle_t);

impl Handle {
    pub(super) fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        stream.context().bind_to_thread().w()?;
        let handle = Self(asked("start on this gpu", result::create_handle())?);
        // SAFETY: the handle is new, and candle keeps the stream for as long as its device, whose memory every use needs.
        asked("use the device's stream", unsafe { result::set_stream(handle.0, stream.cu_stream().cast()) })?;
        Ok(handle)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is live and nobody else's. It fails only where the driver has ended before the thread.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

/// What cuDNN is told of a map: its sizes and its order in memory.
pub(super) struct Map(pub(super) sys::cudnnTensorDescriptor_t);

impl Map {
    pub(super) fn new(shape: MapShape, order: Order) -> Result<Self> {
        let dims = [int(shape.batch)?, int(shape.channels)?, int(shape.height)?, int(shape.width)?];
        let map = Self(asked("describe a map", result::create_tensor_descriptor())?);
        // SAFETY: the descriptor is live.
        asked("describe a map", unsafe { result::set_tensor4d_descriptor(map.0, order.format(), FLOAT, dims) })?;
        Ok(map)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the descriptor is live and nobody else's.
        let _ = unsafe { result::destroy_tensor_descriptor(self.0) };
    }
}

/// Starts turning a map from the first order to the second on the handle's stream.
///
/// # Safety
/// The addresses are of live memory of the handle's device, for as many values as the maps have.
pub(super) unsafe fn turn(handle: &Handle, [from, to]: [&Map; 2], map: CUdeviceptr, target: CUdeviceptr) -> Result<()> {
    // What is there counts once, what was there before not at all.
    let (one, zero) = (1.0_f32, 0.0_f32);
    let (once, never) = ((&raw const one).cast(), (&raw const zero).cast());
    let (map, target) = (map as *const c_void, target as *mut c_void);
    // SAFETY: handle and descriptors are live, and the caller vouches for the addresses.
    let answer = unsafe { sys::cudnnTransformTensor(handle.0, once, from.0, map, never, to.0, target) };
    asked("turn a map", answer.result())
}

/// Weights `[out, in, height, width]`.
pub(super) struct Weights(pub(super) sys::cudnnFilterDescriptor_t);

impl Weights {
    pub(super) fn new(shape: &ConvShape) -> Result<Self> {
        let [rows, columns] = shape.window.kernel;
        let dims = [int(shape.output.channels)?, int(shape.input.channels)?, int(rows)?, int(columns)?];
        let weights = Self(asked("describe weights", result::create_filter_descriptor())?);
        // SAFETY: the descriptor is live.
        let set = unsafe { result::set_filter4d_descriptor(weights.0, FLOAT, Order::ChannelsFirst.format(), dims) };
        asked("describe weights", set)?;
        Ok(weights)
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        // SAFETY: the descriptor is live and nobody else's.
        let _ = unsafe { result::destroy_filter_descriptor(self.0) };
    }
}

/// How weights slide over a map.
pub(super) struct Sliding(pub(super) sys::cudnnConvolutionDescriptor_t);

impl Sliding {
    pub(super) fn new(window: &Window) -> Result<Self> {
        const CLOSE: c_int = 1;
        let [rows, columns] = [int(window.padding[0])?, int(window.padding[1])?];
        let stride = int(window.stride)?;
        let sliding = Self(asked("describe a convolution", result::create_convolution_descriptor())?);
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        // SAFETY: the descriptor is live.
        let set = unsafe {
            result::set_convolution2d_descriptor(sliding.0, rows, columns, stride, stride, CLOSE, CLOSE, mode, FLOAT)
        };
        asked("describe a convolution", set)?;
        // Not cuDNN's default, which takes TF32 from Ampere on.
        let math = sys::cudnnMathType_t::CUDNN_FMA_MATH;
        // SAFETY: the descriptor is live.
        asked("compute in f32", unsafe { result::set_convolution_math_type(sliding.0, math) })?;
        Ok(sliding)
    }
}

impl Drop for Sliding {
    fn drop(&mut self) {
        // SAFETY: the descriptor is live and nobody else's.
        let _ = unsafe { result::destroy_convolution_descriptor(self.0) };
    }
}
