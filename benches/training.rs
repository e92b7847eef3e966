//! Times training steps through the candle ops: `cargo bench --bench training [-- NAME [BATCH]]`.
//!
//! Prints the best and the median of several steps (forward, loss, backward), on two threads. Networks are written
//! out here, with weights from a closed formula, so that only the kernels are measured.

use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use overinterp::kernels::isa::Isa;
use overinterp::kernels::ops::{self, Activation};

/// A network's variables, made as they are first asked for and then found again by their place.
#[derive(Default)]
struct Weights {
    variables: Vec<Var>,
    next: usize,
}

impl Weights {
    fn get(&mut self, dims: &[usize], scale: f32, offset: f32) -> Result<Tensor> {
        if self.next == self.variables.len() {
            let count: usize = dims.iter().product();
            let values = (0..count).map(|i| offset + scale * (((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0)).collect();
            self.variables.push(Var::from_tensor(&Tensor::from_vec::<_, f32>(values, dims, &Device::Cpu)?)?);
        }
        self.next += 1;
        Ok(self.variables[self.next - 1].as_tensor().clone())
    }

    fn conv_norm(
        &mut self,
        x: &Tensor,
        outputs: usize,
        kernel: usize,
        stride: usize,
        residual: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        let inputs = x.dim(3)?;
        let scale = (3.0 / (inputs * kernel * kernel) as f32).sqrt();
        let weight = self.get(&[outputs, inputs, kernel, kernel], scale, 0.0)?;
        let (scales, shifts) = (self.get(&[outputs], 0.1, 1.0)?, self.get(&[outputs], 0.1, 0.0)?);
        let map = ops::conv2d(x, &weight, None, stride, [kernel / 2; 2])?;
        Ok(ops::batch_norm(&map, &scales, &shifts, 1e-5, residual, activation)?.output)
    }

    fn head(&mut self, x: &Tensor) -> Result<Tensor> {
        let features = ops::global_mean(x)?;
        let weight = self.get(&[10, features.dim(1)?], 0.1, 0.0)?;
        ops::linear(&features, &weight, &self.get(&[10], 0.1, 0.0)?)
    }
}

fn quickstart(w: &mut Weights, x: &Tensor) -> Result<Tensor> {
    let mut x = x.clone();
    for (outputs, stride) in [(8, 1), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1)] {
        x = w.conv_norm(&x, outputs, 3, stride, None, Activation::Relu)?;
    }
    w.head(&x)
}

fn resnet(w: &mut Weights, x: &Tensor, widths: &[usize], blocks: usize, projection: bool) -> Result<Tensor> {
    let mut x = w.conv_norm(x, widths[0], 3, 1, None, Activation::Relu)?;
    for (stage, &width) in widths.iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let y = w.conv_norm(&x, width, 3, stride, None, Activation::Relu)?;
            let shortcut = match (stride, projection) {
                (1, _) => x,
                (_, true) => w.conv_norm(&x, width, 1, stride, None, Activation::Identity)?,
                (_, false) => ops::subsample(&x, stride, width / 4)?,
            };
            x = w.conv_norm(&y, width, 3, 1, Some(&shortcut), Activation::Relu)?;
        }
    }
    w.head(&x)
}

fn vgg16(w: &mut Weights, x: &Tensor) -> Result<Tensor> {
    let mut x = x.clone();
    for stage in [[64, 64].as_slice(), &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]] {
        for &outputs in stage {
            x = w.conv_norm(&x, outputs, 3, 1, None, Activation::Relu)?;
        }
        x = ops::max_pool2d(&x, 2, 2, 0)?;
    }
    w.head(&x)
}

fn network(name: &str, w: &mut Weights, x: &Tensor) -> Result<Tensor> {
    match name {
        "quickstart" => quickstart(w, x),
        "resnet20" => resnet(w, x, &[16, 32, 64], 3, false),
        "resnet18" => resnet(w, x, &[64, 128, 256, 512], 2, true),
        "vgg16" => vgg16(w, x),
        _ => candle_core::bail!("no network {name}: quickstart, resnet20, resnet18, vgg16"),
    }
}

fn measure(name: &str, batch: usize) -> Result<()> {
    let (extent, channels) = if name == "quickstart" { (28, 1) } else { (32, 3) };
    let count = batch * extent * extent * channels;
    let pixels: Vec<f32> = (0..count).map(|i| ((i * 31 + i / 7) % 255) as f32 / 127.5 - 1.0).collect();
    let x = Tensor::from_vec(pixels, (batch, extent, extent, channels), &Device::Cpu)?;
    let labels: Vec<u32> = (0..batch as u32).map(|i| i % 10).collect();
    let mut weights = Weights::default();
    let (mut forward, mut step) = (Vec::new(), Vec::new());
    let before = processor_time();
    let start = Instant::now();
    while step.len() < 4 || (start.elapsed().as_secs() < 8 && step.len() < 40) {
        weights.next = 0;
        let start = Instant::now();
        let loss = ops::cross_entropy(&network(name, &mut weights, &x)?, &labels)?;
        forward.push(start.elapsed().as_secs_f64() * 1e3);
        std::hint::black_box(loss.backward()?);
        step.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let best = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (times[0], times[times.len() / 2])
    };
    let steps = step.len() as f64;
    let ((forward, _), (best, median)) = (best(&mut forward), best(&mut step));
    println!("{name}, batch {batch}: step {best:.1} ms (median {median:.1}), of which forward {forward:.1} ms");
    let [user, system] = processor_time();
    println!(
        "    processor time a step: user {:.1} ms, system {:.1} ms",
        (user - before[0]) / steps,
        (system - before[1]) / steps
    );
    Ok(())
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
        Some(name) => measure(name, batch),
        None => ["quickstart", "resnet20"].iter().try_for_each(|name| measure(name, batch)),
    }
}
