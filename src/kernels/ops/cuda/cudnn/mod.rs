//! Convolution by cuDNN: forward and both gradients.
//!
//! Maps stay channels-last (`NHWC`); weights are rearranged to `[out, height, width, in]` and back, which costs little.
//! Math is `FMA`, so that no TF32 gets in, and only algorithms that cuDNN calls deterministic are taken. A plan holds
//! the descriptors and the algorithm of one direction of one shape and is made once. Handles belong to one thread, so
//! all of this does.

mod descriptors;
mod plan;

use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::Result;
use candle_core::cuda::cudarc::driver::{CudaSlice, CudaView, DevicePtr, DevicePtrMut};
use candle_core::cuda::{CudaDevice, CudaStorage, DeviceId, WrapErr};

use self::descriptors::Handle;
use self::plan::{Direction, Plan};
use super::pointwise::swap;
use super::{Machine, Operand};
use crate::kernels::ops::shape::ConvShape;

thread_local! {
    /// What this thread has of each GPU that it used.
    static GPUS: RefCell<Vec<(DeviceId, Gpu)>> = const { RefCell::new(Vec::new()) };
}

/// What a thread keeps of a GPU.
struct Gpu {
    handle: Handle,
    plans: BTreeMap<(Direction, ConvShape), Plan>,
    /// Shared by all plans, because one stream runs them one after the other.
    workspace: CudaSlice<u8>,
}

impl Gpu {
    fn new(device: &CudaDevice) -> Result<Self> {
        let workspace = device.alloc_zeros(1)?;
        Ok(Self { handle: Handle::new(device)?, plans: BTreeMap::new(), workspace })
    }
}

/// The output, `[batch, height, width, out]`, given x and weights `[out, in, height, width]`.
pub(in crate::kernels::ops) fn forward(
    device: &CudaDevice,
    shape: &ConvShape,
    x: Operand<'_, CudaStorage>,
    weight: Operand<'_, CudaStorage>,
) -> Result<CudaStorage> {
    let weight = channels_last(device, shape, weight)?;
    let weight = Operand::whole(&weight, shape.weights());
    run(device, Direction::Forward, shape, [x, weight], shape.output.values())
}

/// The gradient for x, given the output's.
pub(in crate::kernels::ops) fn input_gradient(
    device: &CudaDevice,
    shape: &ConvShape,
    gradient: Operand<'_, CudaStorage>,
    weight: Operand<'_, CudaStorage>,
) -> Result<CudaStorage> {
    let weight = channels_last(device, shape, weight)?;
    let weight = Operand::whole(&weight, shape.weights());
    run(device, Direction::InputGradient, shape, [gradient, weight], shape.input.values())
}

/// The gradient for the weights, `[out, in, height, width]`, given the output's.
pub(in crate::kernels::ops) fn weight_gradient(
    device: &CudaDevice,
    shape: &ConvShape,
    x: Operand<'_, CudaStorage>,
    gradient: Operand<'_, CudaStorage>,
) -> Result<CudaStorage> {
    let out = run(device, Direction::WeightGradient, shape, [x, gradient], shape.weights())?;
    let dims = [shape.output.channels, shape.taps(), shape.input.channels];
    swap(device, Operand::whole(&out, shape.weights()), dims)
}

/// Weights `[out, in, height, width]` as `[out, height, width, in]`.
fn channels_last<M: Machine>(machine: &M, shape: &ConvShape, weight: Operand<'_, M::Storage>) -> Result<M::Storage> {
    swap(machine, weight, [shape.output.channels, shape.input.channels, shape.taps()])
}

/// Runs one direction of a convolution; what the operands are is the direction's to say.
fn run(
    device: &CudaDevice,
    direction: Direction,
    shape: &ConvShape,
    operands: [Operand<'_, CudaStorage>; 2],
    length: usize,
) -> Result<CudaStorage> {
    let [a, b] = [values(operands[0])?, values(operands[1])?];
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    // SAFETY: cuDNN writes every value, because it adds 0 times what was there, and before anything reads one.
    let mut out = unsafe { device.alloc::<f32>(length)? };
    GPUS.with_borrow_mut(|gpus| {
        let known = gpus.iter().position(|(id, _)| *id == device.id());
        let place = known.unwrap_or(gpus.len());
        if known.is_none() {
            gpus.push((device.id(), Gpu::new(device)?));
        }
        let Gpu { handle, plans, workspace } = &mut gpus[place].1;
        let plan = match plans.entry((direction, *shape)) {
            std::collections::btree_map::Entry::Occupied(plan) => plan.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => vacant.insert(Plan::new(handle, direction, shape)?),
        };
        if workspace.len() < plan.memory() {
            // SAFETY: a workspace holds nothing before its use.
            *workspace = unsafe { device.alloc(plan.memory())? };
        }
        // The guards tell other streams when the memory is free; they outlive the launch.
        let ((a, _a), (b, _b)) = (a.device_ptr(&stream), b.device_ptr(&stream));
        let ((workspace, _workspace), (target, _target)) =
            (workspace.device_ptr_mut(&stream), out.device_ptr_mut(&stream));
        // SAFETY: the addresses are those of live memory of this device. Each holds as many values as the plan's
        // descriptors say: the callers give whole maps and weights of `shape`, and the workspace has just been grown.
        unsafe { plan.launch(handle, [a, b], workspace, target) }
    })?;
    Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
}

fn values(operand: Operand<'_, CudaStorage>) -> Result<CudaView<'_, f32>> {
    let slice = operand.storage.as_cuda_slice::<f32>()?;
    Ok(slice.slice(operand.start..operand.start + operand.length))
}
