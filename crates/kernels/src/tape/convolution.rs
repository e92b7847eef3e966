//! Convolution, and its gradients in one pass over the batch.

use std::sync::Arc;

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::batch::{chunk, group, total};
use super::gradient::Source;
use super::normalisation::Moments;
use super::{Entry, Map, MapId, ParameterId, Tape};
use crate::conv::{self, Algorithm, Finish, InputGradient, Job, Layout};
use crate::isa::Isa;
use crate::ops::{ConvShape, MapShape, Panels, WeightGradient, Window, channels};

/// A convolution that has run.
pub(super) struct RecordedConv {
    shape: ConvShape,
    x: MapId,
    weight: ParameterId,
    bias: Option<ParameterId>,
    out: MapId,
}

impl Tape<'_> {
    /// Cross-correlates `x` with `weight` `[out, in, height, width]` and adds `bias` `[out]`.
    ///
    /// # Errors
    /// When the sizes do not belong together.
    pub fn conv2d(
        &mut self,
        x: MapId,
        weight: ParameterId,
        bias: Option<ParameterId>,
        outputs: usize,
        window: Window,
    ) -> Result<MapId> {
        let shape = ConvShape::new(self.shape(x), outputs, window)?;
        let weights = self.parameters[weight.0].values;
        let biases = bias.map(|bias| self.parameters[bias.0].values);
        if weights.len() != shape.weights() || biases.is_some_and(|biases| biases.len() != outputs) {
            bail!("convolve {shape:?} with {} weights and {:?} biases", weights.len(), biases.map(<[f32]>::len));
        }
        let isa = self.isa();
        let one_image = shape.one_image();
        let conv = conv::Convolution::new(isa, one_image, weights, biases, Algorithm::faster(&one_image));
        let mut out = self.workspace.buffer(shape.output.values());
        let moments = forward(isa, &shape, &conv, &self.map(x).values, &mut out);
        let map = Map { moments, ..Map::new(shape.output, out, true) };
        Ok(self.record(map, &[x], |out| Entry::Convolution(RecordedConv { shape, x, weight, bias, out })))
    }
}

/// Writes the convolution, and sums it for the batch norm that may follow while it is in the cache.
fn forward(isa: Isa, shape: &ConvShape, conv: &conv::Convolution, x: &[f32], out: &mut [f32]) -> Option<Moments> {
    let ConvShape { input, output, .. } = *shape;
    let group = group(output);
    let chunk = chunk(group);
    let whole = Job::whole(conv.shape());
    let at =
        |layout: Layout, image: usize, map: MapShape| Layout { origin: (image * map.image()).cast_signed(), ..layout };
    let jobs: Vec<Job> = (0..group)
        .map(|image| Job { input: at(whole.input, image, input), output: at(whole.output, image, output), ..whole })
        .collect();
    let parts: Vec<Moments> = out
        .par_chunks_mut((chunk * output.image()).max(1))
        .zip(x.par_chunks((chunk * input.image()).max(1)))
        .map(|(out, x)| {
            let mut origin = Vec::new();
            let mut sums = vec![0.0; 2 * output.channels];
            for (out, x) in out.chunks_mut(group * output.image()).zip(x.chunks(group * input.image())) {
                conv.apply(x, out, None, Finish::Linear, &jobs[..out.len() / output.image()]);
                if origin.is_empty() {
                    origin.extend_from_slice(&out[..output.channels]);
                }
                channels::add_moments(isa, out, &origin, &mut sums);
            }
            Moments::about(&origin, out.len() / output.channels, &sums)
        })
        .collect();
    Moments::join(parts)
}

/// What a chunk of images adds to sums over the batch.
#[derive(Default)]
struct Part {
    weights: Vec<f32>,
    bias: Vec<f64>,
    products: Vec<f64>,
}

/// What a batch norm read, and its mean.
struct Normalised {
    x: Arc<Vec<f32>>,
    mean: Arc<Vec<f32>>,
}

/// What the gradients of a convolution are computed from, and which of them.
struct Backward<'b> {
    isa: Isa,
    shape: ConvShape,
    plan: &'b WeightGradient,
    source: &'b Source,
    x: &'b [f32],
    /// The gradient with respect to the input, if wanted.
    transpose: Option<InputGradient>,
    /// The sum of the parts that other readers of the input have added.
    addend: Option<Arc<Vec<f32>>>,
    /// Whether the input's own values cut off its gradient.
    gate: bool,
    /// For the batch norm that made the input: what that read.
    normalised: Option<Normalised>,
    bias: bool,
}

impl RecordedConv {
    pub(super) fn undo(self, tape: &mut Tape<'_>) {
        let Self { shape, x, weight, bias, out } = self;
        let Some(source) = tape.take_gradient(out) else { return };
        let plan = tape.workspace.plan(&shape);
        let input = tape.map(x);
        let (wanted, last) = (input.tracked, tape.last_part(x));
        let values = Arc::clone(&input.values);
        let gate = last && input.rectified;
        let normalised = input
            .normalised
            .as_ref()
            .filter(|_| last && wanted)
            .map(|norm| Normalised { x: Arc::clone(&tape.map(norm.x).values), mean: Arc::clone(&norm.mean) });
        let transpose = wanted.then(|| {
            let one_image = shape.one_image();
            let weights = tape.parameters[weight.0].values;
            InputGradient::new(tape.isa(), one_image, weights, Algorithm::faster(&one_image))
        });
        let mut for_x = wanted.then(|| tape.workspace.buffer(shape.input.values()));
        // Weights that are many get their gradient in a pass of their own, over a computed gradient.
        let apart = !plan.is_joint();
        let mut computed = match (&source, apart) {
            (Source::Lazy(_), true) => Some(tape.workspace.buffer(shape.output.values())),
            _ => None,
        };
        let backward = Backward {
            isa: tape.isa(),
            shape,
            plan: &plan,
            source: &source,
            x: &values,
            transpose,
            addend: if wanted { tape.take_sum(x) } else { None },
            gate,
            normalised,
            bias: bias.is_some(),
        };
        let parts = backward.run(for_x.as_deref_mut(), computed.as_deref_mut());

        let (mut weights, mut biases, mut products) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            weights.push(part.weights);
            biases.push(part.bias);
            products.push(part.products);
        }
        let summed = backward.normalised.is_some();
        let addend = backward.addend;
        let whole = match &source {
            Source::Plain(gradient) => Some(gradient.as_slice()),
            Source::Lazy(_) => computed.as_deref(),
        };
        let for_weights = match whole {
            Some(gradient) if apart => plan.apply(&values, gradient),
            _ => plan.collect(&weights),
        };
        tape.add_to_parameter(weight, for_weights);
        if let Some(bias) = bias {
            let sums = total(biases, shape.output.channels);
            tape.add_to_parameter(bias, sums.into_iter().map(|sum| sum as f32).collect());
        }
        if let Some(for_x) = for_x {
            let sums = summed.then(|| total(products, 2 * shape.input.channels));
            tape.put_gradient(x, Arc::new(for_x), gate, sums);
        }
        if let Some(addend) = addend {
            tape.workspace.recycle(addend);
        }
        if let Some(computed) = computed {
            tape.workspace.recycle(Arc::new(computed));
        }
        tape.recycle(source);
        tape.release(out);
    }
}

impl Backward<'_> {
    /// Computes chunk by chunk; `computed` takes the gradient behind the convolution, where it is wanted.
    fn run(&self, for_x: Option<&mut [f32]>, computed: Option<&mut [f32]>) -> Vec<Part> {
        let ConvShape { input, output, .. } = self.shape;
        let images = self.plan.images_per_chunk();
        let chunks = output.batch.div_ceil(images);
        let for_x = in_chunks(for_x, images * input.image(), chunks);
        let computed = in_chunks(computed, images * output.image(), chunks);
        for_x
            .into_par_iter()
            .zip(computed)
            .enumerate()
            .map(|(chunk, (for_x, computed))| {
                let first = chunk * images;
                self.chunk(first..(first + images).min(output.batch), for_x, computed)
            })
            .collect()
    }

    fn chunk(
        &self,
        images: std::ops::Range<usize>,
        mut for_x: Option<&mut [f32]>,
        mut computed: Option<&mut [f32]>,
    ) -> Part {
        let ConvShape { input, output, .. } = self.shape;
        let mut part = Part {
            weights: if self.plan.is_joint() { vec![0.0; self.plan.sums(0)] } else { Vec::new() },
            bias: vec![0.0; if self.bias { output.channels } else { 0 }],
            products: vec![0.0; if self.normalised.is_some() { 2 * input.channels } else { 0 }],
        };
        let (mut scratch, mut panels) = (Vec::new(), Panels::default());
        let images_at_a_time = group(output);
        for first in images.clone().step_by(images_at_a_time) {
            let group = first..(first + images_at_a_time).min(images.end);
            let inputs = group.start * input.image()..group.end * input.image();
            let outputs = group.start * output.image()..group.end * output.image();
            let place = (first - images.start) * output.image();
            let gradient: &[f32] = match (&mut computed, self.source) {
                (Some(computed), Source::Lazy(lazy)) => {
                    let gradient = &mut computed[place..place + outputs.len()];
                    lazy.compute(self.isa, outputs, gradient);
                    gradient
                }
                _ => self.source.part(self.isa, outputs, &mut scratch),
            };
            if self.plan.is_joint() {
                self.plan.add(0, &self.x[inputs.clone()], gradient, &mut panels, &mut part.weights);
            }
            if self.bias {
                channels::add_sums(self.isa, gradient, &mut part.bias);
            }
            if let (Some(for_x), Some(transpose)) = (&mut for_x, &self.transpose) {
                let start = (first - images.start) * input.image();
                let for_x = &mut for_x[start..start + inputs.len()];
                let addend = self.addend.as_ref().map(|addend| &addend[inputs.clone()]);
                let finish = if self.gate { Finish::Gate(&self.x[inputs.clone()]) } else { Finish::Linear };
                transpose.apply_to_images(group.len(), gradient, for_x, addend, finish);
                if let Some(Normalised { x, mean }) = &self.normalised {
                    channels::add_products(self.isa, for_x, &x[inputs], mean, &mut part.products);
                }
            }
        }
        if self.plan.is_joint() {
            part.weights = self.plan.close(0, part.weights);
        }
        part
    }
}

/// The chunks of what is to be written, or as many nothings.
fn in_chunks(values: Option<&mut [f32]>, length: usize, chunks: usize) -> Vec<Option<&mut [f32]>> {
    match values {
        Some(values) => values.chunks_mut(length.max(1)).map(Some).collect(),
        None => (0..chunks).map(|_| None).collect(),
    }
}
