//! Some images on the host, as their pixels are masked.

use overinterp_spec::ImageShape;

/// Normalised images of one shape, `[images, height, width, channels]`, with and without what is masked.
#[derive(Clone, Debug)]
pub(crate) struct MaskedImages {
    unmasked: Vec<f32>,
    current: Vec<f32>,
    shape: ImageShape,
}

impl MaskedImages {
    /// Nothing is masked yet.
    pub(crate) fn new(images: Vec<f32>, shape: ImageShape) -> Self {
        Self { unmasked: images.clone(), current: images, shape }
    }

    /// The shape of each image.
    pub(crate) const fn shape(&self) -> ImageShape {
        self.shape
    }

    /// How many images there are.
    pub(crate) fn count(&self) -> usize {
        self.unmasked.len() / self.shape.bytes()
    }

    /// With nothing masked.
    pub(crate) fn unmasked(&self) -> &[f32] {
        &self.unmasked
    }

    /// With what is masked.
    pub(crate) fn current(&self) -> &[f32] {
        &self.current
    }

    /// Sets pixels of an image to 0 in every channel.
    ///
    /// # Panics
    /// When there is no such image, or no such pixel.
    pub(crate) fn mask(&mut self, image: usize, pixels: &[u32]) {
        let image = &mut self.current[image * self.shape.bytes()..][..self.shape.bytes()];
        for &pixel in pixels {
            image[pixel as usize * self.shape.channels..][..self.shape.channels].fill(0.0);
        }
    }

    /// Makes `share` times the unmasked images the current ones.
    pub(crate) fn restart_at(&mut self, share: f32) {
        self.current.iter_mut().zip(&self.unmasked).for_each(|(current, value)| *current = value * share);
    }
}
