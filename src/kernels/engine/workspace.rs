//! The values of a program's maps for one image, on one thread.

use std::sync::Arc;

use super::backward::Gradients;
use super::forward::place;
use super::program::{MapId, Program, Purpose, whole};
use crate::kernels::conv::{Job, Layout, Window};

/// The state of a program on one image, with every buffer that it will ever need.
#[derive(Debug)]
pub struct Workspace {
    program: Arc<Program>,
    /// The current image's value of each map.
    current: Vec<Vec<f32>>,
    /// For each slot, the candidates' parts of a map, one candidate after the other.
    slots: Vec<Vec<f32>>,
    /// The windows that a layer is to compute.
    jobs: Vec<Job>,
    gradients: Option<Gradients>,
}

impl Workspace {
    /// Allocates everything; the current image is all zeros, that is, fully masked.
    #[must_use]
    pub fn new(program: &Arc<Program>) -> Self {
        let group = program.slots.group;
        let mut workspace = Self {
            program: Arc::clone(program),
            current: program.maps.iter().map(|map| vec![0.0; map.values()]).collect(),
            slots: program.slots.sizes.iter().map(|size| vec![0.0; size * group]).collect(),
            jobs: Vec::with_capacity(group),
            gradients: match program.purpose() {
                Purpose::Scores => None,
                Purpose::Gradients => Some(Gradients::new(program)),
            },
        };
        workspace.compute_whole();
        workspace
    }

    /// The program it runs.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Makes an image `[height, width, channels]` the current one.
    ///
    /// # Panics
    /// When it has the wrong number of values.
    pub fn set_image(&mut self, image: &[f32]) {
        self.current[0].copy_from_slice(image);
        self.compute_whole();
    }

    /// The logits of the current image.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.current[self.current.len() - 1]
    }

    /// The current image's value of a map, for tests of every layer.
    #[cfg(test)]
    pub(super) fn map(&self, map: MapId) -> &[f32] {
        &self.current[map.0]
    }

    /// Masks a pixel (row-major number) of the current image and recomputes what it reaches.
    ///
    /// # Panics
    /// When there is no such pixel.
    pub fn mask(&mut self, pixel: u32) {
        self.clear_pixel(pixel);
        let (y, x) = self.position(pixel);
        let program = Arc::clone(&self.program);
        self.compute(&program, |map| program.spans.changed(map, y, x));
    }

    /// Masks some pixels of the current image at once and recomputes everything.
    ///
    /// # Panics
    /// When there is no such pixel.
    pub fn mask_all(&mut self, pixels: &[u32]) {
        for pixel in pixels {
            self.clear_pixel(*pixel);
        }
        self.compute_whole();
    }

    /// Writes the logits `[pixels, classes]` that the current image would have with each of `pixels` masked in turn.
    ///
    /// # Panics
    /// When `logits` has another length, or there is no such pixel.
    pub fn candidates(&mut self, pixels: &[u32], logits: &mut [f32]) {
        let program = Arc::clone(&self.program);
        let classes = program.classes();
        assert_eq!(logits.len(), pixels.len() * classes, "one row of logits per pixel");
        let group = program.slots.group;
        for (pixels, logits) in pixels.chunks(group).zip(logits.chunks_mut(group * classes)) {
            self.group(&program, pixels);
            let last = MapId(program.layers.len());
            let slot = &self.slots[program.slots.of_map[last.0]];
            for (candidate, logits) in logits.chunks_exact_mut(classes).enumerate() {
                let start = candidate * program.slots.stride[last.0];
                logits.copy_from_slice(&slot[start..start + classes]);
            }
        }
    }

    /// The gradient `[height, width, channels]` of a function of the current logits with respect to the current
    /// image, given its gradient with respect to the logits.
    ///
    /// # Panics
    /// When the program was not compiled for gradients, or there is not one value per logit.
    pub fn gradient(&mut self, logits: &[f32]) -> &[f32] {
        let gradients = self.gradients.as_mut().expect("the program must be compiled for gradients");
        gradients.compute(&self.program, &self.current, logits)
    }

    fn position(&self, pixel: u32) -> (usize, usize) {
        let width = self.program.input().width;
        (pixel as usize / width, pixel as usize % width)
    }

    fn clear_pixel(&mut self, pixel: u32) {
        let channels = self.program.input().channels;
        self.current[0][pixel as usize * channels..][..channels].fill(0.0);
    }

    fn compute_whole(&mut self) {
        let program = Arc::clone(&self.program);
        self.compute(&program, |map| Some(whole(program.maps[map.0])));
    }

    /// Computes a window of each layer's current map in place.
    fn compute(&mut self, program: &Program, window: impl Fn(MapId) -> Option<Window>) {
        let dense = |map: MapId| Layout::dense(program.maps[map.0].width, program.maps[map.0].channels);
        for (index, layer) in program.layers.iter().enumerate() {
            let map = MapId(index + 1);
            let Some(window) = window(map) else { continue };
            let job = Job {
                window,
                input: dense(layer.input),
                output: dense(map),
                addend: dense(layer.addend.unwrap_or(map)),
            };
            let (earlier, later) = self.current.split_at_mut(map.0);
            let addend = layer.addend.map(|addend| earlier[addend.0].as_slice());
            let size = program.maps[layer.input.0].size();
            layer.compute(size, &earlier[layer.input.0], addend, &mut later[0], &[job]);
        }
    }

    /// Computes the candidates for some pixels, at most a group, through all layers.
    fn group(&mut self, program: &Program, pixels: &[u32]) {
        let channels = program.input().channels;
        for (candidate, pixel) in pixels.iter().enumerate() {
            let (y, x) = self.position(*pixel);
            let part = Part { program, map: MapId(0), candidate, y, x };
            part.copy(part.needed(), &self.current[0], &mut self.slots[program.slots.of_map[0]]);
            let start = place(part.layout().at(y.cast_signed(), x.cast_signed()));
            self.slots[program.slots.of_map[0]][start..start + channels].fill(0.0);
        }
        for (index, layer) in program.layers.iter().enumerate() {
            let map = MapId(index + 1);
            let slot = program.slots.of_map[map.0];
            let mut output = std::mem::take(&mut self.slots[slot]);
            self.jobs.clear();
            for (candidate, pixel) in pixels.iter().enumerate() {
                let (y, x) = self.position(*pixel);
                let part = |map| Part { program, map, candidate, y, x };
                part(map).copy_unchanged(&self.current[map.0], &mut output);
                if let Some(window) = program.spans.changed(map, y, x) {
                    self.jobs.push(Job {
                        window,
                        input: part(layer.input).layout(),
                        output: part(map).layout(),
                        addend: part(layer.addend.unwrap_or(map)).layout(),
                    });
                }
            }
            let at = |map: MapId| self.slots[program.slots.of_map[map.0]].as_slice();
            let size = program.maps[layer.input.0].size();
            layer.compute(size, at(layer.input), layer.addend.map(at), &mut output, &self.jobs);
            self.slots[slot] = output;
        }
    }
}

/// One candidate's part of a map, in the map's slot.
struct Part<'a> {
    program: &'a Program,
    map: MapId,
    candidate: usize,
    y: usize,
    x: usize,
}

impl Part<'_> {
    fn needed(&self) -> Window {
        self.program.spans.needed(self.map, self.y, self.x)
    }

    /// Where the map's pixels lie in the slot, as far as they are there.
    fn layout(&self) -> Layout {
        let Window { top, left, .. } = self.needed();
        let pixel = self.program.maps[self.map.0].channels;
        let row = self.program.spans.extent(self.map)[1] * pixel;
        let start = self.candidate * self.program.slots.stride[self.map.0];
        Layout { origin: start.cast_signed() - (top * row + left * pixel).cast_signed(), row, pixel }
    }

    /// Copies what is needed but does not change from the current map.
    fn copy_unchanged(&self, current: &[f32], slot: &mut [f32]) {
        let needed = self.needed();
        let Some(changed) = self.program.spans.changed(self.map, self.y, self.x) else {
            self.copy(needed, current, slot);
            return;
        };
        self.copy(Window { bottom: changed.top, ..needed }, current, slot);
        self.copy(Window { top: changed.bottom, ..needed }, current, slot);
        let beside = Window { top: changed.top, bottom: changed.bottom, ..needed };
        self.copy(Window { right: changed.left, ..beside }, current, slot);
        self.copy(Window { left: changed.right, ..beside }, current, slot);
    }

    fn copy(&self, window: Window, current: &[f32], slot: &mut [f32]) {
        let shape = self.program.maps[self.map.0];
        let (from, to) = (Layout::dense(shape.width, shape.channels), self.layout());
        let values = window.columns().len() * shape.channels;
        if values == 0 {
            return;
        }
        for y in window.rows() {
            let at = |layout: &Layout| place(layout.at(y.cast_signed(), window.left.cast_signed()));
            slot[at(&to)..][..values].copy_from_slice(&current[at(&from)..][..values]);
        }
    }
}
