//! Whole passes over several images, which share each reading of the weights.

use std::sync::Arc;

use super::backward::Gradients;
use super::program::{MapId, MapShape, Program, Purpose, whole};
use crate::conv::{Job, Layout};

/// The most images that pass together: from there on, reading weights takes little of the time.
const MOST: usize = 32;
/// The most bytes that the maps of those images take.
const MOST_BYTES: usize = 128 << 20;

/// The values that a program takes for some images, and the gradients through them, on one thread.
///
/// A network whose weights are many compared with its maps spends a pass over a single image reading weights; several
/// images share that. An image's bits do not depend on how many others pass with it: they are those that
/// [`super::Workspace`] finds.
#[derive(Debug)]
pub struct Passes {
    program: Arc<Program>,
    /// Images in hand.
    images: usize,
    /// Each map's values, `[images, height, width, channels]`, for as many images as ever passed at once.
    maps: Vec<Vec<f32>>,
    /// What each layer is to compute, one entry an image.
    jobs: Vec<Job>,
    gradients: Option<Gradients>,
}

impl Passes {
    /// As many images as it pays to pass together: until their maps are as large as the weights that they share.
    #[must_use]
    pub fn together(program: &Program) -> usize {
        let maps = program.maps.iter().map(|map| map.values()).sum::<usize>() * size_of::<f32>();
        (program.weight_bytes().min(MOST_BYTES) / maps).clamp(1, MOST)
    }

    /// Allocates for up to `images` images; none is in hand.
    #[must_use]
    pub fn new(program: &Arc<Program>, images: usize) -> Self {
        Self {
            program: Arc::clone(program),
            images: 0,
            maps: program.maps.iter().map(|map| vec![0.0; images * map.values()]).collect(),
            jobs: Vec::with_capacity(images),
            gradients: match program.purpose() {
                Purpose::Candidates | Purpose::Scores | Purpose::WholeImages => None,
                Purpose::Gradients => Some(Gradients::new(program, images)),
            },
        }
    }

    /// The program it runs.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The logits `[images, classes]` of images `[images, height, width, channels]`.
    ///
    /// # Panics
    /// When these are more images than it was made for, or not whole ones.
    pub fn pass(&mut self, images: &[f32]) -> &[f32] {
        let input = self.program.input().values();
        assert!(images.len().is_multiple_of(input), "images must be whole");
        self.images = images.len() / input;
        self.maps[0][..images.len()].copy_from_slice(images);
        let program = Arc::clone(&self.program);
        for (index, layer) in program.layers.iter().enumerate() {
            let map = MapId(index + 1);
            let at = |map: MapId, image: usize| nth(program.maps[map.0], image);
            self.jobs.clear();
            self.jobs.extend((0..self.images).map(|image| Job {
                region: whole(program.maps[map.0]),
                input: at(layer.input, image),
                output: at(map, image),
                addend: at(layer.addend.unwrap_or(map), image),
            }));
            let (earlier, later) = self.maps.split_at_mut(map.0);
            let addend = layer.addend.map(|addend| earlier[addend.0].as_slice());
            let size = program.maps[layer.input.0].size();
            layer.compute(size, &earlier[layer.input.0], addend, &mut later[0], &self.jobs);
        }
        self.logits()
    }

    /// The logits `[images, classes]` of the images that passed last.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.maps[self.maps.len() - 1][..self.images * self.program.classes()]
    }

    /// The gradients `[images, height, width, channels]` of a function of the logits with respect to the images that
    /// passed last, given its gradient `[images, classes]` with respect to the logits.
    ///
    /// # Panics
    /// When the program was not compiled for gradients, or there is not one value per logit.
    pub fn gradient(&mut self, logits: &[f32]) -> &[f32] {
        let gradients = self.gradients.as_mut().expect("the program must be compiled for gradients");
        gradients.compute(&self.program, self.images, &self.maps, logits)
    }
}

/// Where image number `image` lies in a map of several.
fn nth(map: MapShape, image: usize) -> Layout {
    Layout { origin: (image * map.values()).cast_signed(), ..Layout::dense(map.width, map.channels) }
}
