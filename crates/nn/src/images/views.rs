//! Where the networks of a model normalise images differently, an input shows each pixel in every way, side by side.
//!
//! A *way* is a normalisation; an input of `w` ways has the channels of the first, then those of the second, and so on.
//! A masked pixel is 0 in all of them, so that masking, input dropout and the way from the fully masked image to the
//! whole one are what they are of a single network; and each network takes its own channels out. Nearly all models have
//! one way, of which nothing is taken or copied.

use overinterp_artifacts::{Model, Network};
use overinterp_spec::{ImageShape, Normalise};

/// The ways in which the networks of a model are shown an image.
#[derive(Clone, Debug)]
pub(crate) struct Views {
    ways: Vec<Normalise>,
    /// Of each way.
    channels: usize,
}

/// The channels of one network among those of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    first: usize,
    channels: usize,
    /// Channels of the input.
    all: usize,
}

impl Views {
    pub(crate) fn of(model: &Model) -> Self {
        Self { ways: model.normalisations().into_iter().cloned().collect(), channels: model.shape.channels }
    }

    /// The shape of an input of which each way has `shape`.
    pub(crate) fn shape(&self, shape: ImageShape) -> ImageShape {
        ImageShape { channels: self.ways.len().max(1) * shape.channels, ..shape }
    }

    /// What a network of the model sees.
    pub(crate) fn of_network(&self, network: &Network) -> View {
        let way = self.ways.iter().position(|way| *way == network.normalise).unwrap_or(0);
        View { first: way * self.channels, channels: self.channels, all: self.ways.len().max(1) * self.channels }
    }

    /// The Euclidean norm of the gradient with respect to a pixel, normalised in the first way, of which `slopes` are the
    /// gradients with respect to its channels in every way: by the chain rule a change of the pixel is one in each.
    pub(crate) fn magnitude(&self, slopes: &[f32]) -> f64 {
        let of_channel = |channel: usize| -> f64 {
            let of_way = |(place, way): (usize, &Normalise)| {
                f64::from(slopes[place * self.channels + channel]) * (self.ways[0].std[channel] / way.std[channel])
            };
            self.ways.iter().enumerate().map(of_way).sum()
        };
        (0..self.channels).map(|channel| of_channel(channel).powi(2)).sum::<f64>().sqrt()
    }
}

impl View {
    /// All channels of an input.
    pub(crate) const fn whole(channels: usize) -> Self {
        Self { first: 0, channels, all: channels }
    }

    /// Whether it is all channels of the input.
    pub(crate) const fn is_whole(self) -> bool {
        self.channels == self.all
    }

    /// The first of its channels, and how many they are.
    pub(crate) const fn channels(self) -> (usize, usize) {
        (self.first, self.channels)
    }

    /// How many channels the input has.
    pub(crate) const fn of(self) -> usize {
        self.all
    }

    /// The network's part of inputs `[pixels, channels]`, put into `own` unless it is all.
    pub(crate) fn take<'a>(self, inputs: &'a [f32], own: &'a mut Vec<f32>) -> &'a [f32] {
        if self.is_whole() {
            return inputs;
        }
        own.clear();
        for pixel in inputs.chunks_exact(self.all) {
            own.extend_from_slice(&pixel[self.first..][..self.channels]);
        }
        own
    }

    /// Adds the network's part to inputs `[pixels, channels]`.
    pub(crate) fn add(self, own: &[f32], inputs: &mut [f32]) {
        for (pixel, own) in inputs.chunks_exact_mut(self.all).zip(own.chunks_exact(self.channels)) {
            pixel[self.first..][..self.channels].iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
        }
    }
}
