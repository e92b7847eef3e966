//! Kernels on a GPU: compiled by NVRTC for it, launched on candle's stream.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::cuda::cudarc::driver::{CudaView, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::cuda::{CudaDevice, CudaStorage, CudaStorageSlice, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{DType, Result, Shape, Storage, Tensor, bail};

use super::{Machine, Operand, SOURCE, Sizes};

/// Threads of a block: a power of two that every GPU takes, and enough blocks of it fit on one.
const BLOCK: u32 = 256;
/// The name under which candle keeps the compiled kernels of each device.
const MODULE: &str = "overinterp";

// SAFETY: `Sizes` is `repr(C)`, of plain numbers, and laid out as `prelude.cu` declares it.
unsafe impl DeviceRepr for Sizes {}

/// The kernels compiled for each compute capability that was met: texts that are made once and kept for good.
static COMPILED: Mutex<BTreeMap<(i32, i32), &'static str>> = Mutex::new(BTreeMap::new());

/// The kernels in the assembly language of a device.
fn compiled(device: &CudaDevice) -> Result<&'static str> {
    let capability = device.cuda_stream().context().compute_capability().w()?;
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(text) = compiled.get(&capability) {
        return Ok(text);
    }
    let (major, minor) = capability;
    let options = CompileOptions {
        options: vec![format!("--gpu-architecture=compute_{major}{minor}")],
        name: Some(format!("{MODULE}.cu")),
        ..CompileOptions::default()
    };
    let text = &*compile_ptx_with_opts(SOURCE, options).w()?.to_src().leak();
    compiled.insert(capability, text);
    Ok(text)
}

/// An operand as the argument of a launch.
enum Argument<'a> {
    F32(CudaView<'a, f32>),
    F64(CudaView<'a, f64>),
    U32(CudaView<'a, u32>),
    /// The null pointer.
    Nothing(u64),
}

impl<'a> Argument<'a> {
    fn of(operand: Option<&Operand<'a, CudaStorage>>) -> Result<Self> {
        let Some(operand) = operand else { return Ok(Self::Nothing(0)) };
        let range = operand.start..operand.start + operand.length;
        match &operand.storage.slice {
            CudaStorageSlice::F32(slice) => Ok(Self::F32(slice.slice(range))),
            CudaStorageSlice::F64(slice) => Ok(Self::F64(slice.slice(range))),
            CudaStorageSlice::U32(slice) => Ok(Self::U32(slice.slice(range))),
            _ => bail!("give {:?} values to a kernel: it takes f32", operand.storage.dtype()),
        }
    }
}

impl Machine for CudaDevice {
    type Storage = CudaStorage;

    fn run(
        &self,
        kernel: &'static str,
        operands: &[Operand<'_, CudaStorage>],
        sizes: Sizes,
        kind: DType,
        length: usize,
    ) -> Result<CudaStorage> {
        let slice = match kind {
            // SAFETY: the kernel writes every value before anything reads one.
            DType::F32 => CudaStorageSlice::F32(unsafe { self.alloc(length)? }),
            // SAFETY: as above.
            DType::F64 => CudaStorageSlice::F64(unsafe { self.alloc(length)? }),
            _ => bail!("have a kernel write {kind:?}: it writes f32 or f64"),
        };
        let mut out = CudaStorage { slice, device: self.clone() };
        if sizes.threads == 0 {
            return Ok(out);
        }
        let function = self.get_or_load_custom_func(kernel, MODULE, compiled(self)?)?;
        let mut arguments = Vec::with_capacity(4);
        for place in 0..4 {
            arguments.push(Argument::of(operands.get(place))?);
        }
        let mut launch = function.builder();
        match &mut out.slice {
            CudaStorageSlice::F32(out) => launch.arg(out),
            CudaStorageSlice::F64(out) => launch.arg(out),
            _ => bail!("have a kernel write {kind:?}: it writes f32 or f64"),
        };
        for argument in &arguments {
            match argument {
                Argument::F32(values) => launch.arg(values),
                Argument::F64(values) => launch.arg(values),
                Argument::U32(values) => launch.arg(values),
                Argument::Nothing(null) => launch.arg(null),
            };
        }
        launch.arg(&sizes);
        let config = LaunchConfig {
            grid_dim: (sizes.threads.unsigned_abs().div_ceil(BLOCK), 1, 1),
            block_dim: (BLOCK, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: every kernel has these six parameters. Their sizes are those of the operands and of the output, which
        // the callers beside this file compute from the same shapes, and no thread reaches beyond them.
        unsafe { launch.launch(config) }.w()?;
        Ok(out)
    }
}

/// Computes a tensor without a gradient from contiguous tensors on one CUDA device.
pub(in crate::ops) fn compute<const N: usize>(
    tensors: [&Tensor; N],
    shape: impl Into<Shape>,
    work: impl FnOnce(&CudaDevice, [Operand<'_, CudaStorage>; N]) -> Result<CudaStorage>,
) -> Result<Tensor> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut operands = Vec::with_capacity(N);
    for (storage, layout) in &guards {
        operands.push(Operand::of(source_of(storage)?, layout)?);
    }
    let Ok(operands) = <[Operand<'_, CudaStorage>; N]>::try_from(operands) else {
        bail!("compute with another number of operands than {N}")
    };
    let Some(first) = operands.first() else { bail!("compute from no operand: there must be a device") };
    let storage = work(&first.storage.device, operands)?;
    Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
}

/// The storage of a tensor on a CUDA device.
pub(in crate::ops) fn source_of(storage: &Storage) -> Result<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        Storage::Cpu(_) | Storage::Metal(_) => bail!("compute on a GPU with a tensor elsewhere: move it there first"),
    }
}
