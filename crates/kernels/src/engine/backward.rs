//! The gradient of a function of the logits with respect to the input, through the maps of some images.

use super::forward::{place, pool_taps};
use super::program::{Layer, MapId, MapShape, Op, Program};
use crate::conv::{Finish, Layout};

/// Buffers for the gradients of all maps, of one image after the other.
///
/// Layers are walked backward. The gradient of a map is the sum over its readers; the last of them to be walked
/// applies the gate of the ReLU that made the map, so that what is stored is the gradient before the ReLU. A buffer
/// whose gradient has been passed on takes another, so there are only as many as are needed at once.
#[derive(Debug)]
pub(super) struct Gradients {
    /// Each large enough for any map of every image.
    buffers: Vec<Vec<f32>>,
    /// How many maps have their gradient in each buffer: a sum gives its own to both sides.
    holders: Vec<usize>,
    /// Values of the largest map, of all images.
    largest: usize,
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
    /// The buffer of the sum so far; none while it is zero.
    held: Option<usize>,
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
        let mut readers = vec![0; program.maps.len()];
        for source in program.layers.iter().flat_map(Layer::sources) {
            readers[source.0] += 1;
        }
        Self {
            buffers: Vec::new(),
            holders: Vec::new(),
            largest: images * program.maps.iter().map(|map| map.values()).max().unwrap_or(0),
            sums: vec![Sum { missing: 0, held: None }; program.maps.len()],
            readers,
        }
    }

    /// The inputs' gradients, given those of the logits and the values of each map, all of `images` images.
    pub(super) fn compute(&mut self, program: &Program, images: usize, values: &[Vec<f32>], logits: &[f32]) -> &[f32] {
        let pass = Pass { program, images, values };
        self.holders.fill(0);
        for (sum, readers) in self.sums.iter_mut().zip(&self.readers) {
            *sum = Sum { missing: *readers, held: None };
        }
        let last = program.layers.len();
        let start = self.free();
        self.buffers[start][..images * program.classes()].copy_from_slice(logits);
        self.hold(MapId(last), start);
        for (index, layer) in program.layers.iter().enumerate().rev() {
            let map = MapId(index + 1);
            let Some(output) = self.sums[map.0].held else { continue };
            match (&layer.op, layer.addend) {
                (Op::Join, Some(second)) => {
                    let channels = program.maps[layer.input.0].channels;
                    self.pass_part(&pass, (map, output), layer.input, 0);
                    self.pass_part(&pass, (map, output), second, channels);
                }
                (_, addend) => {
                    if let Some(addend) = addend {
                        self.pass_on(&pass, output, addend);
                    }
                    self.pass_through(&pass, layer, map, output);
                }
            }
            self.holders[output] -= 1;
        }
        let input = images * program.input().values();
        let buffer = self.sums[0].held.unwrap_or_else(|| {
            let zeros = self.free();
            self.buffers[zeros][..input].fill(0.0);
            zeros
        });
        &self.buffers[buffer][..input]
    }

    /// A buffer that no map's gradient is in.
    fn free(&mut self) -> usize {
        self.holders.iter().position(|holders| *holders == 0).unwrap_or_else(|| {
            self.buffers.push(vec![0.0; self.largest]);
            self.holders.push(0);
            self.buffers.len() - 1
        })
    }

    /// Makes what a buffer holds a map's sum so far.
    fn hold(&mut self, map: MapId, buffer: usize) {
        self.holders[buffer] += 1;
        if let Some(earlier) = self.sums[map.0].held.replace(buffer) {
            self.holders[earlier] -= 1;
        }
    }

    /// Adds to a map's gradient what `write` makes of the buffers, given the sum so far and the values that gate it.
    fn add(
        &mut self,
        pass: &Pass<'_>,
        map: MapId,
        write: impl FnOnce(&[Vec<f32>], &mut [f32], Option<&[f32]>, Option<&[f32]>),
    ) {
        let length = pass.length(map);
        let gate = self.gate(pass, map);
        let target = self.free();
        let mut sum = std::mem::take(&mut self.buffers[target]);
        let earlier = self.sums[map.0].held.map(|buffer| &self.buffers[buffer][..length]);
        write(&self.buffers, &mut sum[..length], earlier, gate);
        self.buffers[target] = sum;
        self.hold(map, target);
    }

    /// Adds a layer's gradient, in buffer `output`, to that of its addend.
    fn pass_on(&mut self, pass: &Pass<'_>, output: usize, addend: MapId) {
        let is_last = self.sums[addend.0].missing == 1;
        if self.sums[addend.0].held.is_none() && !(is_last && is_rectified(pass.program, addend)) {
            self.sums[addend.0].missing -= 1;
            self.hold(addend, output);
            return;
        }
        self.add(pass, addend, |buffers, sum, earlier, gate| {
            sum.copy_from_slice(&buffers[output][..sum.len()]);
            finish(sum, earlier, gate);
        });
    }

    /// Adds some channels of a layer's gradient, from `first` on, to that of the map that they came from.
    fn pass_part(&mut self, pass: &Pass<'_>, (map, output): (MapId, usize), source: MapId, first: usize) {
        let (all, channels) = (pass.program.maps[map.0].channels, pass.program.maps[source.0].channels);
        self.add(pass, source, |buffers, sum, earlier, gate| {
            for (sum, pixel) in sum.chunks_exact_mut(channels).zip(buffers[output].chunks_exact(all)) {
                sum.copy_from_slice(&pixel[first..first + channels]);
            }
            finish(sum, earlier, gate);
        });
    }

    /// Adds a layer's gradient, in buffer `output`, through its operation, to that of its input.
    fn pass_through(&mut self, pass: &Pass<'_>, layer: &Layer, map: MapId, output: usize) {
        let input = layer.input;
        self.add(pass, input, |buffers, sum, earlier, gate| {
            let gradient = &buffers[output][..pass.length(map)];
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
        });
    }

    /// Counts a reader of `map` as walked; if it was the last, gives the values that gate the gradient.
    fn gate<'v>(&mut self, pass: &Pass<'v>, map: MapId) -> Option<&'v [f32]> {
        self.sums[map.0].missing -= 1;
        let gates = is_rectified(pass.program, map) && self.sums[map.0].missing == 0;
        gates.then(|| &pass.values[map.0][..pass.length(map)])
    }
}

/// Whether a ReLU made a map.
fn is_rectified(program: &Program, map: MapId) -> bool {
    map.0 > 0 && program.layers[map.0 - 1].relu
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
        Op::Join => unreachable!("its gradient goes to two maps"),
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
        Op::MeanPool { kernel, stride, padding } => {
            input.fill(0.0);
            let area = (kernel * kernel) as f32;
            for (y, x) in pixels(output_shape) {
                let output = &output[place(of_output.at(y, x))..][..channels];
                for (y, x) in pool_taps(shape.size(), *kernel, *stride, *padding, y, x) {
                    let input = &mut input[place(of_input.at(y, x))..][..channels];
                    input.iter_mut().zip(output).for_each(|(input, gradient)| *input += gradient / area);
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
