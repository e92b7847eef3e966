//! Reading candle tensors as slices, and making tensors of vectors.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, StorageRef, Tensor, bail};

/// The values of a contiguous `f32` tensor on the CPU, borrowed.
pub struct Values<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl<'a> Values<'a> {
    /// Borrows the tensor's values.
    ///
    /// # Errors
    /// When it is not contiguous, not `f32`, or not on the CPU.
    pub fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let range = contiguous_range(layout)?;
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_)) => Ok(Self { storage, range }),
            Storage::Cpu(_) => bail!("read a map of {:?}: the kernels take f32", tensor.dtype()),
            Storage::Cuda(_) | Storage::Metal(_) => bail!("read a map on {:?}: it must be on the cpu", tensor.device()),
        }
    }
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

/// The values that a custom op was given.
///
/// # Errors
/// When they are not contiguous `f32`.
pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let range = contiguous_range(layout)?;
    match storage {
        CpuStorage::F32(values) => Ok(&values[range]),
        _ => bail!("read the operand of a kernel: it must be f32"),
    }
}

fn contiguous_range(layout: &Layout) -> Result<Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!("read a map of layout {layout:?}: make it contiguous first"),
    }
}

/// What a custom op returns.
pub(super) fn stored<S: Into<Shape>>(values: Vec<f32>, shape: S) -> (CpuStorage, Shape) {
    (CpuStorage::F32(values), shape.into())
}

/// An untracked tensor on the CPU.
pub(super) fn tensor<S: Into<Shape>>(values: Vec<f32>, shape: S) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}
