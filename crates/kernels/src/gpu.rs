//! Getting a GPU ready.

use candle_core::{Device, Result};

/// The NVIDIA GPU of that number.
///
/// Memory that a tensor gives back stays with this process. Otherwise the driver takes it from a pool that is emptied
/// whenever the host waits for a result, and every step would have its memory mapped anew.
///
/// # Errors
/// When this build is not for GPUs, or there is no such GPU.
pub fn open(index: usize) -> Result<Device> {
    let device = Device::new_cuda(index)?;
    #[cfg(feature = "cuda")]
    if let Err(error) = keep_memory(&device) {
        tracing::warn!("cannot keep a gpu's memory, so that steps take longer there: {error}");
    }
    Ok(device)
}

#[cfg(feature = "cuda")]
fn keep_memory(device: &Device) -> Result<()> {
    use candle_core::cuda::WrapErr;
    use candle_core::cuda::cudarc::driver::{result, sys};

    let stream = device.as_cuda_device()?.cuda_stream();
    let context = stream.context();
    if !context.has_async_alloc() {
        return Ok(());
    }
    context.bind_to_thread().w()?;
    let mut most = u64::MAX;
    // SAFETY: the context is live, so its device exists and has a default pool; the attribute is a 64-bit number.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).w()?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut most).cast()).w()
    }
}
