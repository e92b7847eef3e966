//! Times training steps: `cargo bench --bench training [-- NETWORK [BATCH [ops|tape]]]`.
//!
//! Each network runs on the tape and through the candle ops, forward, loss and backward, without the weights' update.
//! Networks are written out here, with weights from a closed formula, so that only the kernels are measured.

use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var, bail};
use overinterp_kernels::isa::Isa;
use overinterp_kernels::ops::{self, Activation, MapShape, Window};
use overinterp_kernels::tape::{MapId, ParameterId, Tape, Workspace};

/// The weights of a network, made as they are first asked for.
#[derive(Default)]
struct Weights(Vec<(Vec<usize>, Vec<f32>)>);

impl Weights {
    fn get(&mut self, place: usize, dims: &[usize], scale: f32, offset: f32) {
        if place == self.0.len() {
            let count: usize = dims.iter().product();
            let values = (0..count).map(|i| offset + scale * (((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0)).collect();
            self.0.push((dims.to_vec(), values));
        }
    }
}

/// A way to run a network.
trait Run {
    type Map: Clone;

    fn parameter(&mut self, dims: &[usize], scale: f32, offset: f32) -> Result<()>;
    fn channels(&self, x: &Self::Map) -> Result<usize>;
    /// Convolution and batch norm with the last three parameters.
    fn conv_norm(
        &mut self,
        x: &Self::Map,
        outputs: usize,
        window: Window,
        residual: Option<&Self::Map>,
        activation: Activation,
    ) -> Result<Self::Map>;
    fn subsample(&mut self, x: &Self::Map, padding: usize) -> Result<Self::Map>;
    fn max_pool(&mut self, x: &Self::Map) -> Result<Self::Map>;
    /// Mean and linear layer with the last two parameters.
    fn head(&mut self, x: &Self::Map) -> Result<Self::Map>;

    fn layer(
        &mut self,
        x: &Self::Map,
        outputs: usize,
        kernel: usize,
        stride: usize,
        residual: Option<&Self::Map>,
        activation: Activation,
    ) -> Result<Self::Map> {
        let inputs = self.channels(x)?;
        let scale = (3.0 / (inputs * kernel * kernel) as f32).sqrt();
        self.parameter(&[outputs, inputs, kernel, kernel], scale, 0.0)?;
        self.parameter(&[outputs], 0.1, 1.0)?;
        self.parameter(&[outputs], 0.1, 0.0)?;
        let window = Window { kernel: [kernel; 2], stride, padding: [kernel / 2; 2] };
        self.conv_norm(x, outputs, window, residual, activation)
    }

    fn logits(&mut self, x: &Self::Map) -> Result<Self::Map> {
        let inputs = self.channels(x)?;
        self.parameter(&[10, inputs], 0.1, 0.0)?;
        self.parameter(&[10], 0.1, 0.0)?;
        self.head(x)
    }
}

/// Through candle's ops.
struct Ops<'w> {
    weights: &'w mut Weights,
    variables: &'w mut Vec<Var>,
    next: usize,
}

impl Ops<'_> {
    fn last(&self, back: usize) -> &Tensor {
        self.variables[self.next - back].as_tensor()
    }
}

impl Run for Ops<'_> {
    type Map = Tensor;

    fn parameter(&mut self, dims: &[usize], scale: f32, offset: f32) -> Result<()> {
        self.weights.get(self.next, dims, scale, offset);
        if self.next == self.variables.len() {
            let values = self.weights.0[self.next].1.clone();
            self.variables.push(Var::from_tensor(&Tensor::from_vec(values, dims, &Device::Cpu)?)?);
        }
        self.next += 1;
        Ok(())
    }

    fn channels(&self, x: &Tensor) -> Result<usize> {
        x.dim(3)
    }

    fn conv_norm(
        &mut self,
        x: &Tensor,
        _: usize,
        window: Window,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        let map = ops::conv2d(x, self.last(3), None, window.stride, window.padding)?;
        Ok(ops::batch_norm(&map, self.last(2), self.last(1), 1e-5, residual, activation)?.output)
    }

    fn subsample(&mut self, x: &Tensor, padding: usize) -> Result<Tensor> {
        ops::subsample(x, 2, padding)
    }

    fn max_pool(&mut self, x: &Tensor) -> Result<Tensor> {
        ops::max_pool2d(x, 2, 2, 0)
    }

    fn head(&mut self, x: &Tensor) -> Result<Tensor> {
        ops::linear(&ops::global_mean(x)?, self.last(2), self.last(1))
    }
}

/// On the tape.
struct OnTape<'t, 'w> {
    tape: Tape<'t>,
    weights: &'w Weights,
    parameters: Vec<ParameterId>,
}

impl<'w: 't, 't> OnTape<'t, 'w> {
    fn last(&self, back: usize) -> ParameterId {
        self.parameters[self.parameters.len() - back]
    }
}

impl<'w: 't, 't> Run for OnTape<'t, 'w> {
    type Map = MapId;

    fn parameter(&mut self, _: &[usize], _: f32, _: f32) -> Result<()> {
        let weights = self.weights;
        let Some((_, values)) = weights.0.get(self.parameters.len()) else { bail!("weights are made by the ops") };
        self.parameters.push(self.tape.parameter(values));
        Ok(())
    }

    fn channels(&self, x: &MapId) -> Result<usize> {
        Ok(self.tape.shape(*x).channels)
    }

    fn conv_norm(
        &mut self,
        x: &MapId,
        outputs: usize,
        window: Window,
        residual: Option<&MapId>,
        activation: Activation,
    ) -> Result<MapId> {
        let [weight, scale, shift] = [self.last(3), self.last(2), self.last(1)];
        let map = self.tape.conv2d(*x, weight, None, outputs, window)?;
        Ok(self.tape.batch_norm(map, scale, shift, 1e-5, residual.copied(), activation)?.0)
    }

    fn subsample(&mut self, x: &MapId, padding: usize) -> Result<MapId> {
        self.tape.subsample(*x, 2, padding)
    }

    fn max_pool(&mut self, x: &MapId) -> Result<MapId> {
        self.tape.max_pool2d(*x, 2, 2, 0)
    }

    fn head(&mut self, x: &MapId) -> Result<MapId> {
        let features = self.tape.global_mean(*x);
        self.tape.linear(features, self.last(2), self.last(1))
    }
}

fn quickstart<R: Run>(run: &mut R, x: &R::Map) -> Result<R::Map> {
    let mut x = x.clone();
    for (outputs, stride) in [(8, 1), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1)] {
        x = run.layer(&x, outputs, 3, stride, None, Activation::Relu)?;
    }
    run.logits(&x)
}

/// Parameter-free shortcuts for three stages, projections for four.
fn resnet<R: Run>(run: &mut R, x: &R::Map, widths: &[usize], blocks: usize) -> Result<R::Map> {
    let mut x = run.layer(x, widths[0], 3, 1, None, Activation::Relu)?;
    for (stage, &width) in widths.iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let y = run.layer(&x, width, 3, stride, None, Activation::Relu)?;
            let shortcut = match (stride, widths.len()) {
                (1, _) => x,
                (_, 4) => run.layer(&x, width, 1, stride, None, Activation::Identity)?,
                _ => run.subsample(&x, width / 4)?,
            };
            x = run.layer(&y, width, 3, 1, Some(&shortcut), Activation::Relu)?;
        }
    }
    run.logits(&x)
}

fn vgg16<R: Run>(run: &mut R, x: &R::Map) -> Result<R::Map> {
    let mut x = x.clone();
    for stage in [[64, 64].as_slice(), &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]] {
        for &outputs in stage {
            x = run.layer(&x, outputs, 3, 1, None, Activation::Relu)?;
        }
        x = run.max_pool(&x)?;
    }
    run.logits(&x)
}

fn network<R: Run>(name: &str, run: &mut R, x: &R::Map) -> Result<R::Map> {
    match name {
        "quickstart" => quickstart(run, x),
        "resnet20" => resnet(run, x, &[16, 32, 64], 3),
        "resnet18" => resnet(run, x, &[64, 128, 256, 512], 2),
        "vgg16" => vgg16(run, x),
        _ => bail!("no network {name}: quickstart, resnet20, resnet18, vgg16"),
    }
}

/// Runs a step again and again; it returns how long its forward pass took.
fn report(what: &str, mut step: impl FnMut() -> Result<f64>) -> Result<()> {
    step()?;
    let (mut forward, mut whole) = (Vec::new(), Vec::new());
    let (before, begin) = (processor_time(), Instant::now());
    while whole.len() < 3 || (begin.elapsed().as_secs() < 8 && whole.len() < 40) {
        let start = Instant::now();
        forward.push(step()?);
        whole.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let [user, system] = processor_time();
    let steps = whole.len() as f64;
    forward.sort_by(f64::total_cmp);
    whole.sort_by(f64::total_cmp);
    println!(
        "{what}: {:.1} ms a step (median {:.1}), of which forward {:.1}; processor time {:.1} and {:.1} in the system",
        whole[0],
        whole[whole.len() / 2],
        forward[0],
        (user - before[0]) / steps,
        (system - before[1]) / steps,
    );
    Ok(())
}

fn measure(name: &str, batch: usize, only: Option<&str>) -> Result<()> {
    let (extent, channels) = if name == "quickstart" { (28, 1) } else { (32, 3) };
    let shape = MapShape { batch, height: extent, width: extent, channels };
    let pixels: Vec<f32> = (0..shape.values()).map(|i| ((i * 31 + i / 7) % 255) as f32 / 127.5 - 1.0).collect();
    let x = Tensor::from_vec(pixels.clone(), shape.dims(), &Device::Cpu)?;
    let labels: Vec<u32> = (0..batch as u32).map(|i| i % 10).collect();
    let (mut weights, mut variables) = (Weights::default(), Vec::new());

    let mut through_ops = || {
        let start = Instant::now();
        let mut run = Ops { weights: &mut weights, variables: &mut variables, next: 0 };
        let loss = ops::cross_entropy(&network(name, &mut run, &x)?, &labels)?;
        let forward = start.elapsed().as_secs_f64() * 1e3;
        std::hint::black_box(loss.backward()?);
        Ok(forward)
    };
    if only == Some("tape") {
        through_ops()?;
    } else {
        report(&format!("{name}, batch {batch}, ops "), through_ops)?;
    }
    if only == Some("ops") {
        return Ok(());
    }
    let mut workspace = Workspace::new(Isa::detect());
    report(&format!("{name}, batch {batch}, tape"), || {
        let start = Instant::now();
        let mut run = OnTape { tape: Tape::new(&mut workspace), weights: &weights, parameters: Vec::new() };
        let input = run.tape.input(&pixels, shape)?;
        let logits = network(name, &mut run, &input)?;
        let gradient = ops::softmax_loss_gradient(run.tape.values(logits), &labels, 1.0);
        let forward = start.elapsed().as_secs_f64() * 1e3;
        std::hint::black_box(run.tape.backward(logits, gradient)?);
        Ok(forward)
    })
}

/// Milliseconds that this process has computed, for itself and in the kernel, where Linux tells (ticks of 10 ms).
fn processor_time() -> [f64; 2] {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    std::array::from_fn(|_| fields.next().and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or_default() * 10.0)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    println!("{}, {} threads", Isa::detect(), rayon::current_num_threads());
    let batch = arguments.get(1).and_then(|batch| batch.parse().ok()).unwrap_or(128);
    match arguments.first() {
        Some(name) => measure(name, batch, arguments.get(2).map(String::as_str)),
        None => ["quickstart", "resnet20"].iter().try_for_each(|name| measure(name, batch, None)),
    }
}
