//! The sizes of maps, windows and convolutions, checked once.

use candle_core::{Result, Tensor, bail};

use crate::conv;

/// The sizes of a channels-last map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapShape {
    /// How many images it holds.
    pub batch: usize,
    /// How many rows of pixels each image has.
    pub height: usize,
    /// How many pixels each row has.
    pub width: usize,
    /// How many values each pixel has.
    pub channels: usize,
}

impl MapShape {
    /// Reads them from `[batch, height, width, channels]`.
    ///
    /// # Errors
    /// When the tensor has another rank.
    pub fn of(map: &Tensor) -> Result<Self> {
        let (batch, height, width, channels) = map.dims4()?;
        Ok(Self { batch, height, width, channels })
    }

    /// As candle wants it.
    #[must_use]
    pub const fn dims(self) -> (usize, usize, usize, usize) {
        (self.batch, self.height, self.width, self.channels)
    }

    /// Pixels of one image.
    #[must_use]
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Values of one image.
    #[must_use]
    pub const fn image(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values of the whole map.
    #[must_use]
    pub const fn values(self) -> usize {
        self.batch * self.image()
    }
}

/// What a convolution or a pooling slides over a map: height and width, step and border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Step in both directions.
    pub stride: usize,
    /// Border above and below, and left and right.
    pub padding: [usize; 2],
}

impl Window {
    /// A square one with a border that keeps the size at stride 1 (`kernel` odd).
    #[must_use]
    pub const fn square(kernel: usize, stride: usize) -> Self {
        Self { kernel: [kernel; 2], stride, padding: [kernel / 2; 2] }
    }

    /// Height and width of what the window yields when it slides over a map.
    ///
    /// # Errors
    /// When the stride is 0 or the window does not fit.
    pub fn output(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        let Self { kernel, stride, padding } = *self;
        let fits = |axis: usize| kernel[axis] > 0 && input[axis] + 2 * padding[axis] >= kernel[axis];
        if stride == 0 || !fits(0) || !fits(1) {
            bail!(
                "slide a {kernel:?} window with stride {stride} and padding {padding:?} over a {input:?} map: it does not fit"
            );
        }
        let extent = |axis: usize| (input[axis] + 2 * padding[axis] - kernel[axis]) / stride + 1;
        Ok([extent(0), extent(1)])
    }

    /// The places of the window along `axis` (0: rows, 1: columns) that lie on the map at output `place`: offsets into
    /// the window, all inside `0..kernel`, and the map's coordinate of the first.
    pub(super) fn span(&self, axis: usize, place: usize, extent: usize) -> (std::ops::Range<usize>, usize) {
        let start = place * self.stride;
        let first = self.padding[axis].saturating_sub(start).min(self.kernel[axis]);
        let last = (extent + self.padding[axis]).saturating_sub(start).min(self.kernel[axis]);
        (first..last.max(first), (start + first).saturating_sub(self.padding[axis]).min(extent))
    }
}

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConvShape {
    /// What it reads.
    pub input: MapShape,
    /// What it yields.
    pub output: MapShape,
    /// How it slides.
    pub window: Window,
}

impl ConvShape {
    /// Checks that map and weights `[out, in, height, width]` belong together.
    ///
    /// # Errors
    /// When channels differ or the window does not fit.
    pub fn of(x: &Tensor, weight: &Tensor, stride: usize, padding: [usize; 2]) -> Result<Self> {
        let input = MapShape::of(x)?;
        let (outputs, inputs, kernel_height, kernel_width) = weight.dims4()?;
        if inputs != input.channels {
            bail!("convolve a map of {} channels with weights for {inputs}: the two must agree", input.channels);
        }
        Self::new(input, outputs, Window { kernel: [kernel_height, kernel_width], stride, padding })
    }

    /// A convolution of such maps to `outputs` channels.
    ///
    /// # Errors
    /// When the window does not fit.
    pub fn new(input: MapShape, outputs: usize, window: Window) -> Result<Self> {
        let [height, width] = window.output([input.height, input.width])?;
        let output = MapShape { batch: input.batch, height, width, channels: outputs };
        Ok(Self { input, output, window })
    }

    /// Places of the window.
    #[must_use]
    pub const fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Number of weights.
    #[must_use]
    pub const fn weights(&self) -> usize {
        self.taps() * self.input.channels * self.output.channels
    }

    /// The same for one image, as the direct convolution wants it.
    pub(crate) fn one_image(&self) -> conv::ConvShape {
        let Self { input, output, window } = *self;
        let Window { kernel, stride, padding } = window;
        let extent = [input.height, input.width];
        conv::ConvShape::layer(extent, input.channels, output.channels, kernel, stride, padding)
    }

    /// The weights' shape, `[out, in, height, width]`.
    #[must_use]
    pub const fn weight_dims(&self) -> (usize, usize, usize, usize) {
        (self.output.channels, self.input.channels, self.window.kernel[0], self.window.kernel[1])
    }
}
