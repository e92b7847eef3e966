//! The gradient of a function of the logits with respect to the input, through the maps of some images.

use super::forward::{place, pool_taps};
use super::program::{Layer, MapId, MapShape, Op, Program};
use crate::kernels::conv::{Finish, Layout};

/// Buffers for the gradients of all maps, of one image after the other.
///
/// Layers are walked backward. The gradient of a map is the sum over its readers; the last of them to be walked
/// applies the gate of the ReLU that made the map, so that what is stored is the gradient before the ReLU.
#[derive(Debug)]
pub(super) struct Gradients {
    /// One per map, each large enough for any map of every image.
    buffers: Vec<Vec<f32>>,
    /// As large as those; a sum is formed here and then swapped in.
    spare: Vec<f32>,
    /// What is known of each map's gradient so far.
    sums: Vec<Sum>,
    /// How many layers read each map (twice if as input and addend).
    readers: Vec<usize>,
}

/// A gradient that is being summed.
#[derive(Clone, Copy, Debug)]
struct Sum {
    /// Readers still to be walked.
    missing: usize,
    held: Held,
}

/// Where a sum so far is held.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Nowhere: it is zero.
    Nowhere,
    /// It is the gradient of that map.
    As(MapId),
    /// In the map's own buffer.
    Own,
}

/// The pass whose gradient is formed.
struct Pass<'a> {
    program: &'a Program,
    images: usize,
    /// Each map's values, of at least that many images.
    values: &'a [Vec<f32>],
}

impl Pass<'_> {
    /// The values of a map in all images.
    fn length(&self, map: MapId) -> usize {
        self.images * self.program.maps[map.0].values()
    }
}

impl Gradients {
    /// Buffers for up to `images` images.
    pub(super) fn new(program: &Program, images: usize) -> Self {
        let largest = images * program.maps.iter().map(|map| map.values()).max().unwrap_or(0);
        let mut readers = vec![0; program.maps.len()];
        for source in program.layers.iter().flat_map(Layer::sources) {
            readers[source.0] += 1;
        }
        Self {
            buffers: vec![vec![0.0; largest]; program.maps.len()],
            spare: vec![0.0; largest],
            sums: vec![Sum { missing: 0, held: Held::Nowhere }; program.maps.len()],
            readers,
        }
    }

    /// The inputs' gradients, given those of the logits and the values of each map, all of `images` images.
    pub(super) fn compute(&mut self, program: &Program, images: usize, values: &[Vec<f32>], logits: &[f32]) -> &[f32] {
        let pass = Pass { program, images, values };
        for (sum, readers) in self.sums.iter_mut().zip(&self.readers) {
            *sum = Sum { missing: *readers, held: Held::Nowhere };
        }
        let last = program.layers.len();
        self.buffers[last][..images * program.classes()].copy_from_slice(logits);
        self.sums[last].held = Held::Own;
        for (index, layer) in program.layers.iter().enumerate().rev() {
            let Some(output) = self.buffer_of(MapId(index + 1)) else { continue };
            if let Some(addend) = layer.addend {
                self.pass_on(&pass, output, addend);
            }
            self.pass_through(&pass, layer, MapId(index + 1), output);
        }
        let input = images * program.input().values();
        let Some(map) = self.buffer_of(MapId(0)) else {
            self.buffers[0][..input].fill(0.0);
            return &self.buffers[0][..input];
        };
        &self.buffers[map.0][..input]
    }

    /// Whose buffer holds a map's gradient; none if it is zero.
    fn buffer_of(&self, map: MapId) -> Option<MapId> {
        match self.sums[map.0].held {
            Held::Nowhere => None,
            Held::As(other) => Some(other),
            Held::Own => Some(map),
        }
    }

    /// Adds a layer's gradient, in `output`'s buffer, to that of its addend.
    fn pass_on(&mut self, pass: &Pass<'_>, output: MapId, addend: MapId) {
        let length = pass.length(addend);
        let gate = self.gate(pass, addend);
        match (self.buffer_of(addend), gate) {
            (None, None) => self.sums[addend.0].held = Held::As(output),
            (earlier, gate) => {
                let sum = &mut self.spare[..length];
                sum.copy_from_slice(&self.buffers[output.0][..length]);
                finish(sum, earlier.map(|map| &self.buffers[map.0][..length]), gate);
                self.swap_in(addend);
            }
        }
    }

    /// Adds a layer's gradient, in `output`'s buffer, through its operation, to that of its input.
    fn pass_through(&mut self, pass: &Pass<'_>, layer: &Layer, map: MapId, output: MapId) {
        let input = layer.input;
        let length = pass.length(input);
        let gate = self.gate(pass, input);
        let earlier = self.buffer_of(input).map(|map| &self.buffers[map.0][..length]);
        let gradient = &self.buffers[output.0][..pass.length(map)];
        let sum = &mut self.spare[..length];
        match &layer.op {
            Op::Conv { gradient: Some(conv), .. } => {
                let finish = gate.map_or(Finish::Linear, Finish::Gate);
                conv.apply_to_images(pass.images, gradient, sum, earlier, finish);
            }
            op => {
                let (shape, output_shape) = (pass.program.maps[input.0], pass.program.maps[map.0]);
                let values = pass.values[input.0].chunks_exact(shape.values());
                let gradients = gradient.chunks_exact(output_shape.values());
                for ((sum, values), gradient) in sum.chunks_exact_mut(shape.values()).zip(values).zip(gradients) {
                    transpose(op, shape, output_shape, values, gradient, sum);
                }
                finish(sum, earlier, gate);
            }
        }
        self.swap_in(input);
    }

    /// Counts a reader of `map` as walked; if it was the last, gives the values that gate the gradient.
    fn gate<'v>(&mut self, pass: &Pass<'v>, map: MapId) -> Option<&'v [f32]> {
        self.sums[map.0].missing -= 1;
        let rectified = map.0 > 0 && pass.program.layers[map.0 - 1].relu;
        (rectified && self.sums[map.0].missing == 0).then(|| &pass.values[map.0][..pass.length(map)])
    }

    fn swap_in(&mut self, map: MapId) {
        std::mem::swap(&mut self.buffers[map.0], &mut self.spare);
        self.sums[map.0].held = Held::Own;
    }
}

/// Adds the sum so far and applies the gate.
fn finish(sum: &mut [f32], earlier: Option<&[f32]>, gate: Option<&[f32]>) {
    if let Some(earlier) = earlier {
        sum.iter_mut().zip(earlier).for_each(|(value, earlier)| *value += earlier);
    }
    if let Some(gate) = gate {
        sum.iter_mut().zip(gate).for_each(|(value, gate)| *value = if *gate > 0.0 { *value } else { 0.0 });
    }
}

/// Writes the gradient of an operation's input, given its value and the output's gradient.
fn transpose(op: &Op, shape: MapShape, output_shape: MapShape, values: &[f32], output: &[f32], input: &mut [f32]) {
    let channels = shape.channels;
    let of_input = Layout::dense(shape.width, channels);
    let of_output = Layout::dense(output_shape.width, output_shape.channels);
    match op {
        Op::Conv { .. } => unreachable!("a program for gradients has the gradient of its convolutions"),
        Op::Affine { scale, .. } => {
            for (input, output) in input.chunks_exact_mut(channels).zip(output.chunks_exact(channels)) {
                for channel in 0..channels {
                    input[channel] = output[channel] * scale[channel];
                }
            }
        }
        Op::MaxPool { kernel, stride, padding } => {
            input.fill(0.0);
            for (y, x) in pixels(output_shape) {
                let output = &output[place(of_output.at(y, x))..][..channels];
                for (channel, gradient) in output.iter().enumerate() {
                    let taps = pool_taps(shape.size(), *kernel, *stride, *padding, y, x);
                    let places = taps.map(|(y, x)| place(of_input.at(y, x)) + channel);
                    // The first of equal values wins, as in PyTorch.
                    let winner = places.reduce(|best, next| if values[next] > values[best] { next } else { best });
                    if let Some(winner) = winner {
                        input[winner] += gradient;
                    }
                }
            }
        }
        Op::Subsample { stride, padding } => {
            input.fill(0.0);
            let stride = stride.cast_signed();
            for (y, x) in pixels(output_shape) {
                let output = &output[place(of_output.at(y, x)) + padding..][..channels];
                input[place(of_input.at(y * stride, x * stride))..][..channels].copy_from_slice(output);
            }
        }
        Op::Mean => {
            let pixels = (shape.height * shape.width) as f32;
            for input in input.chunks_exact_mut(channels) {
                input.iter_mut().zip(output).for_each(|(input, output)| *input = output / pixels);
            }
        }
    }
}

fn pixels(shape: MapShape) -> impl Iterator<Item = (isize, isize)> {
    let width = shape.width.cast_signed();
    (0..shape.height.cast_signed()).flat_map(move |y| (0..width).map(move |x| (y, x)))
}
