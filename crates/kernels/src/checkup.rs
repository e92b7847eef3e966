//! What computes on a device against plain Rust on the CPU, on random input: what `doctor` runs.
//!
//! On any device these are the operations of training and inference as candle sees them. The CPU does not select and
//! train by those, but by the incremental engine and the tape, so there these are checked, too.

mod engine;
mod tape;

use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::isa::Isa;
use super::ops::{self, Activation};

/// Images of each input.
const BATCH: usize = 32;
/// Runs that are timed, the fastest of which counts.
const RUNS: usize = 3;
/// The largest error that is no fault, relative to the largest value of the same tensor: sums of thousands of products
/// of rounded numbers, in another order, and by Winograd's transforms. Whole passes must agree with the incremental
/// engine to the bit.
pub const TOLERANCE: f64 = 2e-4;

/// How an operation did.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The operation and its sizes.
    pub operation: String,
    /// The largest difference of its values and gradients from those of plain Rust, relative to the largest value of
    /// each tensor; infinite where something is not a number.
    pub error: f64,
    /// The largest error that is no fault.
    pub tolerance: f64,
    /// Milliseconds of one run: forward, but for a training step.
    pub milliseconds: f64,
    /// The same in plain Rust, on one thread.
    pub portable_milliseconds: f64,
}

impl Finding {
    /// Whether the error is no fault.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// An operation on some operands.
struct Case {
    operation: String,
    operands: Vec<Vec<usize>>,
    run: Box<Operation>,
}

type Operation = dyn Fn(&[Tensor]) -> Result<Tensor> + Sync;

impl Case {
    fn new(
        operation: impl Into<String>,
        operands: &[&[usize]],
        run: impl Fn(&[Tensor]) -> Result<Tensor> + Sync + 'static,
    ) -> Self {
        let operands = operands.iter().map(|dims| dims.to_vec()).collect();
        Self { operation: operation.into(), operands, run: Box::new(run) }
    }

    /// The output, then the gradients of its weighted sum with respect to the operands, and the milliseconds that the
    /// output took.
    fn results(&self, device: &Device) -> Result<(Vec<Vec<f32>>, f64)> {
        let operands = self.operands.iter().zip(1..).map(|(dims, seed)| random(dims, seed, device));
        let variables: Vec<Var> = operands.map(|operand| Var::from_tensor(&operand?)).collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let output = (self.run)(&tensors)?;
        let weights = random(output.dims(), 0, device)?;
        let gradients = (&output * weights)?.sum_all()?.backward()?;
        let mut results = vec![output.flatten_all()?.to_vec1()?];
        for variable in &variables {
            let gradient = gradients.get(variable).map_or_else(|| variable.zeros_like(), |g| Ok(g.clone()))?;
            results.push(gradient.flatten_all()?.to_vec1()?);
        }
        let frozen: Vec<Tensor> = tensors.iter().map(Tensor::detach).collect();
        let mut fastest = f64::INFINITY;
        for _ in 0..RUNS {
            device.synchronize()?;
            let start = Instant::now();
            (self.run)(&frozen)?;
            device.synchronize()?;
            fastest = fastest.min(1e3 * start.elapsed().as_secs_f64());
        }
        Ok((results, fastest))
    }
}

/// Compares each operation on `device`, as it is used there, with plain Rust on the CPU; for the CPU itself also the
/// incremental engine and a training step on the tape.
///
/// # Errors
/// When the device cannot do an operation.
pub fn examine(device: &Device) -> Result<Vec<Finding>> {
    let mut findings: Vec<Finding> = cases().iter().map(|case| finding(case, device)).collect::<Result<_>>()?;
    if device.is_cpu() {
        findings.extend(engine::examine()?);
        findings.push(tape::examine()?);
    }
    Ok(findings)
}

/// Milliseconds of the fastest of some runs.
fn fastest(mut work: impl FnMut()) -> f64 {
    (0..RUNS).map(|_| once(&mut work)).fold(f64::INFINITY, f64::min)
}

/// Milliseconds of one run.
fn once(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    1e3 * start.elapsed().as_secs_f64()
}

fn finding(case: &Case, device: &Device) -> Result<Finding> {
    let portable = Isa::portable_only(|| case.results(&Device::Cpu));
    let (expected, portable_milliseconds) = portable.map_err(candle_core::Error::wrap)??;
    let (actual, milliseconds) = case.results(device)?;
    let errors = actual.iter().zip(&expected).map(|(actual, expected)| error(actual, expected));
    Ok(Finding {
        operation: case.operation.clone(),
        error: errors.fold(0.0, f64::max),
        tolerance: TOLERANCE,
        milliseconds,
        portable_milliseconds,
    })
}

/// The largest difference, relative to the largest expected value.
fn error(actual: &[f32], expected: &[f32]) -> f64 {
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let differences = actual.iter().zip(expected).map(|(actual, expected)| f64::from((actual - expected).abs()));
    if actual.len() != expected.len() || actual.iter().any(|value| !value.is_finite()) {
        return f64::INFINITY;
    }
    differences.fold(0.0, f64::max) / f64::from(largest)
}

/// Values in -1..1 from a seed, the same on every device.
fn random(dims: &[usize], seed: u64, device: &Device) -> Result<Tensor> {
    let values = draws(&mut ChaCha8Rng::seed_from_u64(seed), dims.iter().product());
    Tensor::from_vec(values, dims, device)
}

/// So many values in -1..1.
fn draws(stream: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| (f64::from(stream.next_u32() >> 8) / f64::from(1 << 23) - 1.0) as f32).collect()
}

/// The shapes of the architectures, one of each kind.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (side, inputs, outputs, [rows, columns], stride) in [
        (32, 3, 16, [3, 3], 1),
        (32, 16, 16, [3, 3], 1),
        (32, 16, 32, [3, 3], 2),
        (8, 64, 64, [3, 3], 1),
        (16, 64, 128, [1, 1], 2),
        (4, 256, 256, [3, 3], 1),
        (32, 3, 16, [7, 7], 2),
        (17, 16, 16, [5, 5], 1),
        (17, 16, 16, [1, 7], 1),
        (17, 16, 16, [7, 1], 1),
    ] {
        cases.push(Case::new(
            format!("convolution {rows}x{columns}, {inputs} to {outputs} channels, stride {stride}, at {side}x{side}"),
            &[&[BATCH, side, side, inputs], &[outputs, inputs, rows, columns], &[outputs]],
            move |x| ops::conv2d(&x[0], &x[1], Some(&x[2]), stride, [rows / 2, columns / 2]),
        ));
    }
    let map: &[usize] = &[BATCH, 16, 16, 32];
    cases.extend([
        Case::new("batch norm", &[map, &[32], &[32]], |x| {
            Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-5, None, Activation::Identity)?.output)
        }),
        Case::new("batch norm, addition and ReLU", &[map, &[32], &[32], map], |x| {
            Ok(ops::batch_norm(&x[0], &x[1], &x[2], 1e-5, Some(&x[3]), Activation::Relu)?.output)
        }),
        Case::new("scale, shift, addition and ReLU", &[map, &[32], &[32], map], |x| {
            ops::affine_channels(&x[0], &x[1].detach(), &x[2].detach(), Some(&x[3]), Activation::Relu)
        }),
        Case::new("ReLU", &[map], |x| ops::relu(&x[0])),
        Case::new("subsampling shortcut", &[map], |x| ops::subsample(&x[0], 2, 16)),
        Case::new("max pool 2x2", &[map], |x| ops::max_pool2d(&x[0], 2, 2, 0)),
        Case::new("max pool 3x3, stride 2", &[map], |x| ops::max_pool2d(&x[0], 3, 2, 1)),
        Case::new("average pool 3x3, stride 1", &[map], |x| ops::avg_pool2d(&x[0], 3, 1, 1)),
        Case::new("mean of all pixels", &[map], |x| ops::global_mean(&x[0])),
        Case::new("linear, 512 to 10", &[&[BATCH, 512], &[10, 512], &[10]], |x| ops::linear(&x[0], &x[1], &x[2])),
        Case::new("cross-entropy", &[&[BATCH, 10]], |x| {
            let labels: Vec<u32> = (0..BATCH as u32).map(|image| image % 10).collect();
            ops::cross_entropy(&x[0], &labels)
        }),
    ]);
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_the_engine_and_the_tape_agree_with_plain_rust() {
        let findings = examine(&Device::Cpu).unwrap();
        assert_eq!(findings.len(), cases().len() + 7);
        assert_eq!(findings.iter().filter(|finding| finding.tolerance <= 0.0).count(), 2);
        for finding in findings {
            assert!(finding.agrees(), "{finding:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_an_error() {
        assert!((error(&[1.0, 2.5], &[1.0, 2.0]) - 0.25).abs() < 1e-12);
        assert!(error(&[f32::NAN, 2.0], &[1.0, 2.0]).is_infinite());
        assert!(error(&[1.0], &[1.0, 2.0]).is_infinite());
    }
}
