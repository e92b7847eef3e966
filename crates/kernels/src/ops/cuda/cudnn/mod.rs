//! Wide 3x3 convolutions by cuDNN's Winograd algorithm: forward and both gradients.
//!
//! It takes maps channels-first, so maps are turned for it and back, which costs little beside it. Math is `FMA`, so that
//! no TF32 gets in, and the algorithm is one that cuDNN calls deterministic; where it is not to be had, the answer is none.
//! A plan holds the descriptors of one direction of one shape and is made once. Handles belong to one thread, so all of
//! this does.

mod descriptors;
mod plan;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use candle_core::cuda::cudarc::driver::{CudaSlice, CudaView, DevicePtr, DevicePtrMut};
use candle_core::cuda::{CudaDevice, CudaStorage, DeviceId, WrapErr};
use candle_core::{Result, bail};

use self::descriptors::{Handle, Map, Order, turn};
use self::plan::{Direction, Plan};
use super::Operand;
use crate::ops::shape::{ConvShape, MapShape};

/// Multiplications of an image for one tap, from which on cuDNN is faster than `conv.cu`, maps being turned: 64 channels
/// at 32x32 have four times as many, 64 at 8x8 a quarter.
const WORTHWHILE: usize = 1 << 20;

thread_local! {
    /// What this thread has of each GPU that it used.
    static GPUS: RefCell<Vec<(DeviceId, Gpu)>> = const { RefCell::new(Vec::new()) };
}

/// What a thread keeps of a GPU.
struct Gpu {
    handle: Handle,
    plans: BTreeMap<(Direction, ConvShape), Option<Plan>>,
    /// Descriptions of maps, channels-last and channels-first.
    maps: BTreeMap<MapShape, [Map; 2]>,
    /// Shared by all plans, because one stream runs them one after the other.
    workspace: CudaSlice<u8>,
}

impl Gpu {
    fn new(device: &CudaDevice) -> Result<Self> {
        let workspace = device.alloc_zeros(1)?;
        Ok(Self { handle: Handle::new(device)?, plans: BTreeMap::new(), maps: BTreeMap::new(), workspace })
    }

    /// The plan of a direction, if cuDNN has the algorithm; made when first asked for.
    fn plan(&mut self, direction: Direction, shape: &ConvShape) -> Result<Option<&Plan>> {
        Ok(match self.plans.entry((direction, *shape)) {
            Entry::Occupied(plan) => plan.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(Plan::new(&self.handle, direction, shape)?),
        }
        .as_ref())
    }

    /// Lends what this thread keeps of a GPU.
    fn with<T>(device: &CudaDevice, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        GPUS.with_borrow_mut(|gpus| {
            let known = gpus.iter().position(|(id, _)| *id == device.id());
            let place = known.unwrap_or(gpus.len());
            if known.is_none() {
                gpus.push((device.id(), Self::new(device)?));
            }
            work(&mut gpus[place].1)
        })
    }
}

/// Whether cuDNN is the faster way.
fn pays(direction: Direction, shape: &ConvShape) -> bool {
    let ConvShape { input, output, window } = shape;
    let channels = if direction == Direction::WeightGradient { 128 } else { 64 };
    // Winograd's algorithm is for 3x3 taps side by side.
    window.kernel == [3, 3]
        && window.stride == 1
        && input.channels.min(output.channels) >= channels
        && input.channels * output.channels * output.pixels() >= WORTHWHILE
}

/// The output, `[batch, height, width, out]`, given x and weights `[out, in, height, width]`.
pub(super) fn forward(
    device: &CudaDevice,
    shape: &ConvShape,
    x: Operand<'_, CudaStorage>,
    weight: Operand<'_, CudaStorage>,
) -> Result<Option<CudaStorage>> {
    through(device, Direction::Forward, shape, [shape.input, shape.output], x, weight)
}

/// The gradient for x, given the output's.
pub(super) fn input_gradient(
    device: &CudaDevice,
    shape: &ConvShape,
    gradient: Operand<'_, CudaStorage>,
    weight: Operand<'_, CudaStorage>,
) -> Result<Option<CudaStorage>> {
    through(device, Direction::InputGradient, shape, [shape.output, shape.input], gradient, weight)
}

/// Takes a map of one shape to one of another, if cuDNN is the way.
fn through(
    device: &CudaDevice,
    direction: Direction,
    shape: &ConvShape,
    [from, to]: [MapShape; 2],
    map: Operand<'_, CudaStorage>,
    weight: Operand<'_, CudaStorage>,
) -> Result<Option<CudaStorage>> {
    if !ready(device, direction, shape)? {
        return Ok(None);
    }
    let map = turned(device, from, map, Order::ChannelsFirst)?;
    let out = run(device, direction, shape, [Operand::whole(&map, from.values()), weight], to.values())?;
    turned(device, to, Operand::whole(&out, to.values()), Order::ChannelsLast).map(Some)
}

/// The gradient for the weights, `[out, in, height, width]`, given the output's.
pub(super) fn weight_gradient(
    device: &CudaDevice,
    shape: &ConvShape,
    x: Operand<'_, CudaStorage>,
    gradient: Operand<'_, CudaStorage>,
) -> Result<Option<CudaStorage>> {
    if !ready(device, Direction::WeightGradient, shape)? {
        return Ok(None);
    }
    let x = turned(device, shape.input, x, Order::ChannelsFirst)?;
    let gradient = turned(device, shape.output, gradient, Order::ChannelsFirst)?;
    let x = Operand::whole(&x, shape.input.values());
    let gradient = Operand::whole(&gradient, shape.output.values());
    run(device, Direction::WeightGradient, shape, [x, gradient], shape.weights()).map(Some)
}

/// Whether a convolution is to go this way, for which there then is a plan.
fn ready(device: &CudaDevice, direction: Direction, shape: &ConvShape) -> Result<bool> {
    if !pays(direction, shape) {
        return Ok(false);
    }
    Gpu::with(device, |gpu| Ok(gpu.plan(direction, shape)?.is_some()))
}

/// A map that lies in the other order, in `order`.
fn turned(device: &CudaDevice, shape: MapShape, map: Operand<'_, CudaStorage>, order: Order) -> Result<CudaStorage> {
    let map = values(map)?;
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    // SAFETY: turning writes every value before anything reads one.
    let mut out = unsafe { device.alloc::<f32>(shape.values())? };
    Gpu::with(device, |gpu| {
        let maps = match gpu.maps.entry(shape) {
            Entry::Occupied(maps) => maps.into_mut(),
            Entry::Vacant(vacant) => {
                vacant.insert([Map::new(shape, Order::ChannelsLast)?, Map::new(shape, Order::ChannelsFirst)?])
            }
        };
        let [last, first] = &*maps;
        let [from, to] = if order == Order::ChannelsFirst { [last, first] } else { [first, last] };
        let ((map, _map), (target, _target)) = (map.device_ptr(&stream), out.device_ptr_mut(&stream));
        // SAFETY: the addresses are those of live memory of this device, of as many values as the map has.
        unsafe { turn(&gpu.handle, [from, to], map, target) }
    })?;
    Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
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
    Gpu::with(device, |gpu| {
        let Gpu { handle, plans, workspace, .. } = gpu;
        let Some(Some(plan)) = plans.get(&(direction, *shape)) else {
            bail!("run the {direction:?} of {shape:?} without a plan: ask `ready` first")
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
