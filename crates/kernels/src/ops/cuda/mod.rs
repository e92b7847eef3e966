//! The ops on an NVIDIA GPU: small kernels in CUDA C, compiled when they are first used, and what to call them with.
//!
//! The kernels (`*.cu`) are written for one thread each and in what C and CUDA have in common; what calls them is written
//! for any [`Machine`]. So the tests have a C compiler make loops of the same text, and compare all but the launch with
//! the loops for the CPU. Everything is single precision, sums over many rows go on in double precision, and nothing
//! depends on the order in which threads run. Wide 3x3 convolutions are cuDNN's, with that feature.

pub(super) mod batch_norm;
#[cfg(feature = "cuda")]
pub(super) mod choice;
mod conv;
#[cfg(feature = "cudnn")]
mod cudnn;
#[cfg(feature = "cuda")]
mod device;
#[cfg(all(test, feature = "cuda"))]
mod gpu_tests;
#[cfg(all(test, unix))]
mod host;
pub(super) mod linear;
pub(super) mod loss;
pub(super) mod pointwise;
pub(super) mod pool;
pub(super) mod sums;
#[cfg(all(test, unix))]
mod tests;
pub(super) mod update;

use candle_core::{DType, Layout, Result, bail};

use super::batch_norm::Activation;
use super::shape::{MapShape, Window};

#[cfg(feature = "cuda")]
pub(super) use device::{compute, source_of};

/// All kernels, in the order in which they build upon each other.
const SOURCE: &str = concat!(
    include_str!("prelude.cu"),
    include_str!("pointwise.cu"),
    include_str!("sums.cu"),
    include_str!("batch_norm.cu"),
    include_str!("pool.cu"),
    include_str!("linear.cu"),
    include_str!("loss.cu"),
    include_str!("conv.cu"),
    include_str!("update.cu"),
);

/// What runs kernels.
pub(super) trait Machine {
    /// What they read and write.
    type Storage;

    /// Runs the kernel of that name with up to four operands and returns what it wrote: `length` values of `kind`.
    fn run(
        &self,
        kernel: &'static str,
        operands: &[Operand<'_, Self::Storage>],
        sizes: Sizes,
        kind: DType,
        length: usize,
    ) -> Result<Self::Storage>;
}

/// Consecutive values of a storage.
#[derive(Debug)]
pub(super) struct Operand<'a, S> {
    storage: &'a S,
    start: usize,
    length: usize,
}

impl<S> Clone for Operand<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Operand<'_, S> {}

impl<'a, S> Operand<'a, S> {
    /// What a custom op was given.
    ///
    /// # Errors
    /// When it is not contiguous.
    pub(super) fn of(storage: &'a S, layout: &Layout) -> Result<Self> {
        match layout.contiguous_offsets() {
            Some((start, end)) => Ok(Self { storage, start, length: end - start }),
            None => bail!("give an operand of layout {layout:?} to a kernel: make it contiguous first"),
        }
    }

    /// What a kernel wrote.
    const fn whole(storage: &'a S, length: usize) -> Self {
        Self { storage, start: 0, length }
    }
}

/// The numbers that a kernel is called with; `prelude.cu` says which is what.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    threads: i32,
    rows: i32,
    channels: i32,
    height: i32,
    width: i32,
    out_height: i32,
    out_width: i32,
    out_channels: i32,
    kernel_height: i32,
    kernel_width: i32,
    stride: i32,
    padding_height: i32,
    padding_width: i32,
    part: i32,
    relu: i32,
    epsilon: f64,
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
    look_ahead: i32,
    share: f32,
}

impl Sizes {
    /// So many threads over rows of so many channels.
    fn rows(threads: usize, rows: usize, channels: usize) -> Result<Self> {
        // Kernels number the values of all rows.
        int(rows * channels)?;
        let [threads, rows, channels] = [int(threads)?, int(rows)?, int(channels)?];
        Ok(Self { threads, rows, channels, ..Self::default() })
    }

    /// So many threads over what a window makes of a map.
    fn window(threads: usize, input: MapShape, output: MapShape, window: &Window) -> Result<Self> {
        // Kernels count values of a whole map.
        int(input.values().max(output.values()))?;
        Ok(Self {
            height: int(input.height)?,
            width: int(input.width)?,
            out_height: int(output.height)?,
            out_width: int(output.width)?,
            out_channels: int(output.channels)?,
            kernel_height: int(window.kernel[0])?,
            kernel_width: int(window.kernel[1])?,
            stride: int(window.stride)?,
            padding_height: int(window.padding[0])?,
            padding_width: int(window.padding[1])?,
            ..Self::rows(threads, input.batch * input.pixels(), input.channels)?
        })
    }
}

/// What follows a convolution.
pub(super) struct Then<'a, S> {
    /// What is added to each channel.
    pub(super) bias: Operand<'a, S>,
    /// What is added to each value.
    pub(super) residual: Option<Operand<'a, S>>,
    /// What comes last.
    pub(super) activation: Activation,
}

impl<'a, S> Then<'a, S> {
    /// Nothing but a bias.
    pub(super) const fn bias(bias: Operand<'a, S>) -> Self {
        Self { bias, residual: None, activation: Activation::Identity }
    }

    fn operands(&self) -> impl Iterator<Item = Operand<'a, S>> {
        [self.bias].into_iter().chain(self.residual)
    }

    fn relu(&self) -> i32 {
        i32::from(self.activation == Activation::Relu)
    }
}

/// A number as kernels take it.
fn int(number: usize) -> Result<i32> {
    match i32::try_from(number) {
        Ok(number) => Ok(number),
        Err(_) => bail!("compute {number} values in one kernel: it counts to 2^31 - 1, use smaller batches"),
    }
}
