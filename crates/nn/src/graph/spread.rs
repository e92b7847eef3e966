//! Convolutions with groups or dilation, as ones without: their weights spread over a window that reads every channel, zeros
//! between. Every kernel then serves them, at the price of multiplying by these zeros.

use candle_core::{Result, Tensor};

use super::Window;

/// Which channels a convolution's outputs read, and how far apart the pixels of its window lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Outputs and inputs are cut into so many parts, each of which reads its own.
    pub groups: usize,
    /// Pixels from one of the window to the next.
    pub dilation: usize,
}

/// The sizes of a convolution's weights: outputs, inputs of each, height and width.
type Sizes = [usize; 4];

impl Spread {
    /// Every output reads every channel of pixels side by side.
    pub const NONE: Self = Self { groups: 1, dilation: 1 };

    /// Whether there is nothing to spread.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The window with the pixels between.
    #[must_use]
    pub const fn window(self, kernel: [usize; 2], stride: usize, padding: [usize; 2]) -> Window {
        let [height, width] = kernel;
        let kernel = [(height - 1) * self.dilation + 1, (width - 1) * self.dilation + 1];
        Window { kernel, stride, padding }
    }

    /// The place of each weight among those of the convolution without groups and dilation.
    fn places(self, [outputs, inputs, height, width]: Sizes) -> impl Iterator<Item = usize> {
        let Window { kernel: [tall, wide], .. } = self.window([height, width], 1, [0; 2]);
        let (all, per_group) = (inputs * self.groups, (outputs / self.groups).max(1));
        (0..outputs).flat_map(move |output| {
            let first = output / per_group * inputs;
            (0..inputs).flat_map(move |input| {
                let plane = (output * all + first + input) * tall * wide;
                let dilation = self.dilation;
                (0..height).flat_map(move |y| (0..width).map(move |x| plane + (y * wide + x) * dilation))
            })
        })
    }

    /// The weights, spread.
    #[must_use]
    pub fn spread(self, weights: &[f32], sizes: Sizes) -> Vec<f32> {
        if self.is_none() {
            return weights.to_vec();
        }
        let mut all = vec![0.0; self.shape(sizes).iter().product()];
        for (place, weight) in self.places(sizes).zip(weights) {
            all[place] = *weight;
        }
        all
    }

    /// Of spread values, those of the weights.
    #[must_use]
    pub fn gather(self, values: &[f32], sizes: Sizes) -> Vec<f32> {
        if self.is_none() {
            return values.to_vec();
        }
        self.places(sizes).map(|place| values[place]).collect()
    }

    /// The sizes of spread weights.
    #[must_use]
    pub const fn shape(self, [outputs, inputs, height, width]: Sizes) -> Sizes {
        let Window { kernel: [tall, wide], .. } = self.window([height, width], 1, [0; 2]);
        [outputs, inputs * self.groups, tall, wide]
    }

    /// The weights `[outputs, inputs of each, height, width]`, spread; differentiable.
    ///
    /// # Errors
    /// When the device fails.
    pub fn spread_tensor(self, weights: &Tensor) -> Result<Tensor> {
        let (outputs, inputs, height, width) = weights.dims4()?;
        let between = self.dilation - 1;
        let mut spread = weights.clone();
        if between > 0 {
            let apart = spread.reshape((outputs, inputs, height, 1, width, 1))?;
            let apart = apart.pad_with_zeros(3, 0, between)?.pad_with_zeros(5, 0, between)?;
            let [_, _, tall, wide] = self.shape([outputs, inputs, height, width]);
            let planes = apart.reshape((outputs, inputs, height * self.dilation, width * self.dilation))?;
            spread = planes.narrow(2, 0, tall)?.narrow(3, 0, wide)?.contiguous()?;
        }
        if self.groups > 1 {
            let (all, per_group) = (inputs * self.groups, (outputs / self.groups).max(1));
            let own = |place: usize| place / all / per_group == place % all / inputs;
            let mask: Vec<f32> = (0..outputs * all).map(|place| if own(place) { 1.0 } else { 0.0 }).collect();
            let mask = Tensor::from_vec(mask, (outputs, all, 1, 1), weights.device())?;
            spread = spread.repeat((1, self.groups, 1, 1))?.broadcast_mul(&mask)?;
        }
        Ok(spread)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn weights_lie_where_a_plain_convolution_has_them_and_come_back() {
        // Two groups of one input each, one row of two pixels, one between them.
        let spread = Spread { groups: 2, dilation: 2 };
        let sizes = [2, 1, 1, 2];
        let all = spread.spread(&[1.0, 2.0, 3.0, 4.0], sizes);
        assert_eq!(spread.shape(sizes), [2, 2, 1, 3]);
        assert_eq!(all, [1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 4.0]);
        assert_eq!(spread.gather(&all, sizes), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(Spread::NONE.spread(&[1.0, 2.0], [1, 1, 1, 2]), [1.0, 2.0]);
        for (groups, dilation, sizes) in [(1, 3, [4, 3, 3, 2]), (3, 1, [6, 2, 3, 3]), (4, 2, [4, 1, 2, 3])] {
            let spread = Spread { groups, dilation };
            let weights: Vec<f32> = (0..sizes.iter().product::<usize>()).map(|place| place as f32 + 1.0).collect();
            let all = spread.spread(&weights, sizes);
            let tensor = Tensor::from_slice(&weights, sizes.as_slice(), &Device::Cpu).unwrap();
            let tensor = spread.spread_tensor(&tensor).unwrap();
            assert_eq!(tensor.dims(), spread.shape(sizes));
            assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), all, "{spread:?}");
        }
    }
}
