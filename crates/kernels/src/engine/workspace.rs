//! The values of a program's maps for one image, on one thread.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::forward::place;
use super::program::{MapId, Program, whole};
use super::slots::Home;
use crate::conv::{Job, Layout, Region};

/// The state of a program on one image, with every buffer that it will ever need; those that candidates pass through
/// are there from the first candidates on.
#[derive(Debug)]
pub struct Workspace {
    program: Arc<Program>,
    /// The current image's value of each map.
    current: Vec<Vec<f32>>,
    /// For each slot, the candidates' parts of a map, one candidate after the other.
    slots: Vec<Vec<f32>>,
    /// The regions that a layer is to compute.
    jobs: Vec<Job>,
}

/// The values of every map for an image that is not the current one.
#[derive(Debug)]
pub struct SetAside(Vec<Vec<f32>>);

impl Workspace {
    /// Allocates what one image takes; the current image is all zeros, that is, fully masked.
    #[must_use]
    pub fn new(program: &Arc<Program>) -> Self {
        let mut workspace = Self {
            program: Arc::clone(program),
            current: program.maps.iter().map(|map| vec![0.0; map.values()]).collect(),
            slots: Vec::new(),
            jobs: Vec::with_capacity(program.slots.group()),
        };
        workspace.compute_whole();
        workspace
    }

    /// The program it runs.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// A second image for this workspace, with the values that the current one has now.
    #[must_use]
    pub fn another_image(&self) -> SetAside {
        SetAside(self.current.clone())
    }

    /// Makes an image that was set aside the current one, and sets the current one aside. Nothing is copied.
    ///
    /// # Panics
    /// When it was set aside from a workspace of another program.
    pub fn exchange(&mut self, image: &mut SetAside) {
        let fits = |(current, aside): (&Vec<f32>, &Vec<f32>)| current.len() == aside.len();
        assert!(
            self.current.len() == image.0.len() && self.current.iter().zip(&image.0).all(fits),
            "an image goes back to a workspace of its program"
        );
        std::mem::swap(&mut self.current, &mut image.0);
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
        let (y, x) = position(&self.program, pixel);
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
        let _ = self.candidates_while(pixels, logits, &mut || ControlFlow::Continue(()));
    }

    /// [`Workspace::candidates`], but asks `go_on` before each group of candidates. If it says no, what is in `logits`
    /// is of no use; the current image is as it was.
    ///
    /// # Panics
    /// As [`Workspace::candidates`].
    pub fn candidates_while(
        &mut self,
        pixels: &[u32],
        logits: &mut [f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let program = Arc::clone(&self.program);
        let classes = program.classes();
        assert_eq!(logits.len(), pixels.len() * classes, "one row of logits per pixel");
        if self.slots.is_empty() {
            self.slots = program.slots.sizes.iter().map(|size| vec![0.0; *size]).collect();
        }
        let group = program.slots.group();
        let Home { slot, stride, .. } = program.slots.homes[program.layers.len()];
        for (pixels, logits) in pixels.chunks(group).zip(logits.chunks_mut(group * classes)) {
            go_on()?;
            self.group(&program, program.slots.segments.len(), pixels, 0);
            let parts = self.slots[slot].chunks_exact(stride);
            for (logits, part) in logits.chunks_exact_mut(classes).zip(parts) {
                logits.copy_from_slice(&part[..classes]);
            }
        }
        ControlFlow::Continue(())
    }

    fn clear_pixel(&mut self, pixel: u32) {
        let channels = self.program.input().channels;
        self.current[0][pixel as usize * channels..][..channels].fill(0.0);
    }

    fn compute_whole(&mut self) {
        let program = Arc::clone(&self.program);
        self.compute(&program, |map| Some(whole(program.maps[map.0])));
    }

    /// Computes a region of each layer's current map in place.
    fn compute(&mut self, program: &Program, region: impl Fn(MapId) -> Option<Region>) {
        let dense = |map: MapId| Layout::dense(program.maps[map.0].width, program.maps[map.0].channels);
        for (index, layer) in program.layers.iter().enumerate() {
            let map = MapId(index + 1);
            let Some(region) = region(map) else { continue };
            let job = Job {
                region,
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

    /// Brings the candidates for some pixels through the first `segments` segments; they are numbered from `first`.
    fn group(&mut self, program: &Program, segments: usize, pixels: &[u32], first: usize) {
        let Some(last) = segments.checked_sub(1) else {
            self.mask_in_parts(program, pixels, first);
            return;
        };
        let earlier = last.checked_sub(1).map_or(pixels.len(), |earlier| program.slots.segments[earlier].group);
        for (index, pixels) in pixels.chunks(earlier).enumerate() {
            self.group(program, last, pixels, first + index * earlier);
        }
        for index in program.slots.segments[last].layers.clone() {
            self.compute_parts(program, index, pixels, first);
        }
    }

    /// Copies what the candidates need of the current image, each with its pixel masked.
    fn mask_in_parts(&mut self, program: &Program, pixels: &[u32], first: usize) {
        let channels = program.input().channels;
        let slot = &mut self.slots[program.slots.homes[0].slot];
        for (candidate, pixel) in (first..).zip(pixels) {
            let (y, x) = position(program, *pixel);
            let part = Part { program, map: MapId(0), candidate, y, x };
            part.copy(part.needed(), &self.current[0], slot);
            let start = place(part.layout().at(y.cast_signed(), x.cast_signed()));
            slot[start..start + channels].fill(0.0);
        }
    }

    /// Computes a layer for some candidates.
    fn compute_parts(&mut self, program: &Program, index: usize, pixels: &[u32], first: usize) {
        let layer = &program.layers[index];
        let map = MapId(index + 1);
        let slot = program.slots.homes[map.0].slot;
        let mut output = std::mem::take(&mut self.slots[slot]);
        self.jobs.clear();
        for (candidate, pixel) in (first..).zip(pixels) {
            let (y, x) = position(program, *pixel);
            let part = |map| Part { program, map, candidate, y, x };
            part(map).copy_unchanged(&self.current[map.0], &mut output);
            if let Some(region) = program.spans.changed(map, y, x) {
                self.jobs.push(Job {
                    region,
                    input: part(layer.input).layout(),
                    output: part(map).layout(),
                    addend: part(layer.addend.unwrap_or(map)).layout(),
                });
            }
        }
        let at = |map: MapId| self.slots[program.slots.homes[map.0].slot].as_slice();
        let size = program.maps[layer.input.0].size();
        layer.compute(size, at(layer.input), layer.addend.map(at), &mut output, &self.jobs);
        self.slots[slot] = output;
    }
}

/// Row and column of a pixel.
fn position(program: &Program, pixel: u32) -> (usize, usize) {
    let width = program.input().width;
    (pixel as usize / width, pixel as usize % width)
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
    fn needed(&self) -> Region {
        self.program.spans.needed(self.map, self.y, self.x)
    }

    /// Where the map's pixels lie in the slot, as far as they are there.
    fn layout(&self) -> Layout {
        let Region { top, left, .. } = self.needed();
        let Home { row, stride, group, .. } = self.program.slots.homes[self.map.0];
        let pixel = self.program.maps[self.map.0].channels;
        let start = self.candidate % group * stride;
        Layout { origin: start.cast_signed() - (top * row + left * pixel).cast_signed(), row, pixel }
    }

    /// Copies what is needed but does not change from the current map.
    fn copy_unchanged(&self, current: &[f32], slot: &mut [f32]) {
        let needed = self.needed();
        let Some(changed) = self.program.spans.changed(self.map, self.y, self.x) else {
            self.copy(needed, current, slot);
            return;
        };
        self.copy(Region { bottom: changed.top, ..needed }, current, slot);
        self.copy(Region { top: changed.bottom, ..needed }, current, slot);
        let beside = Region { top: changed.top, bottom: changed.bottom, ..needed };
        self.copy(Region { right: changed.left, ..beside }, current, slot);
        self.copy(Region { left: changed.right, ..beside }, current, slot);
    }

    fn copy(&self, region: Region, current: &[f32], slot: &mut [f32]) {
        let shape = self.program.maps[self.map.0];
        let (from, to) = (Layout::dense(shape.width, shape.channels), self.layout());
        let values = region.columns().len() * shape.channels;
        if values == 0 {
            return;
        }
        for y in region.rows() {
            let at = |layout: &Layout| place(layout.at(y.cast_signed(), region.left.cast_signed()));
            slot[at(&to)..][..values].copy_from_slice(&current[at(&from)..][..values]);
        }
    }
}
