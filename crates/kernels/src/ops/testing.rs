//! What the tests of the ops share: random values, and gradients by finite differences in double precision.

use candle_core::{Device, Result, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// An input of an operation: its shape and values.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl Operand {
    /// Values in -1..1 that `f32` holds exactly, from a seed.
    pub(super) fn random(dims: &[usize], seed: u64) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let count = dims.iter().product();
        let values = (0..count).map(|_| f64::from(stream.next_u32() >> 8) / f64::from(1 << 23) - 1.0).collect();
        Self { dims: dims.to_vec(), values }
    }

    /// As an untracked tensor.
    pub(super) fn frozen(&self) -> Tensor {
        let values: Vec<f32> = self.values.iter().map(|&value| value as f32).collect();
        Tensor::from_vec(values, self.dims.as_slice(), &Device::Cpu).expect("as many values as the shape has")
    }

    /// As a variable.
    pub(super) fn variable(&self) -> Var {
        Var::from_tensor(&self.frozen()).expect("a plain tensor can be a variable")
    }
}

/// Batch, height, width, in, out, kernel height and width, stride, padding.
pub(super) type ConvCase = (usize, usize, usize, usize, usize, [usize; 2], usize, [usize; 2]);

/// The shapes of the architectures with fewer images, pixels and channels where that changes no path, and odd ones.
pub(super) const CONV_CASES: [ConvCase; 16] = [
    (2, 6, 5, 3, 16, [3, 3], 1, [1, 1]),
    (2, 7, 7, 1, 8, [3, 3], 1, [1, 1]),
    (3, 8, 8, 8, 16, [3, 3], 2, [1, 1]),
    (2, 6, 6, 16, 16, [3, 3], 1, [1, 1]),
    (2, 8, 8, 16, 32, [3, 3], 2, [1, 1]),
    (1, 4, 4, 32, 64, [3, 3], 2, [1, 1]),
    (2, 2, 2, 64, 48, [3, 3], 1, [1, 1]),
    (9, 1, 1, 16, 16, [3, 3], 1, [1, 1]),
    (2, 6, 6, 16, 32, [1, 1], 2, [0, 0]),
    (2, 5, 5, 32, 16, [1, 1], 1, [0, 0]),
    (1, 9, 9, 3, 16, [7, 7], 2, [3, 3]),
    (1, 7, 7, 16, 16, [5, 5], 1, [2, 2]),
    (1, 7, 8, 16, 16, [1, 7], 1, [0, 3]),
    (1, 8, 7, 5, 6, [7, 1], 1, [3, 0]),
    (1, 8, 9, 16, 16, [3, 3], 2, [0, 0]),
    (2, 5, 4, 2, 3, [2, 3], 3, [1, 2]),
];

/// A map, weights and a bias for such a convolution.
pub(super) fn conv_operands(case: &ConvCase) -> Vec<Operand> {
    let (batch, height, width, inputs, outputs, [rows, columns], ..) = *case;
    vec![
        Operand::random(&[batch, height, width, inputs], 1),
        Operand::random(&[outputs, inputs, rows, columns], 2),
        Operand::random(&[outputs], 3),
    ]
}

/// The tensor's values.
pub(super) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).expect("an f32 tensor")
}

/// Fails unless the two are equal within `tolerance`, relative to the larger of 1 and the value.
pub(super) fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of values");
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(error <= tolerance * expected.abs().max(1.0), "{what}, value {index}: {actual} instead of {expected}");
    }
}

/// Compares an operation with an oracle in double precision: values everywhere, and the gradient of a random weighted
/// sum of its outputs with central differences at up to 60 places of each operand.
pub(super) fn check<Oracle, Operation>(operands: &[Operand], oracle: Oracle, operation: Operation)
where
    Oracle: Fn(&[Vec<f64>]) -> Vec<f64>,
    Operation: Fn(&[&Tensor]) -> Result<Tensor>,
{
    let step = 1e-5;
    let inputs: Vec<Vec<f64>> = operands.iter().map(|operand| operand.values.clone()).collect();
    let expected = oracle(&inputs);
    let variables: Vec<Var> = operands.iter().map(Operand::variable).collect();
    let tensors: Vec<&Tensor> = variables.iter().map(Var::as_tensor).collect();
    let output = operation(&tensors).expect("the operation takes these operands");
    assert_close(&values(&output), &expected, 2e-5, "output");

    let weights = Operand { dims: output.dims().to_vec(), ..Operand::random(&[expected.len()], 99) };
    let loss = (&output * weights.frozen()).and_then(|product| product.sum_all()).expect("a product of equal shapes");
    let gradients = loss.backward().expect("every operation here has a gradient");
    let weighted = |inputs: &[Vec<f64>]| -> f64 {
        oracle(inputs).iter().zip(&weights.values).map(|(output, weight)| output * weight).sum()
    };
    for (place, variable) in variables.iter().enumerate() {
        let gradient = values(gradients.get(variable).expect("a tracked operand has a gradient"));
        let stride = gradient.len().div_ceil(60);
        for index in (place % stride..gradient.len()).step_by(stride) {
            let mut inputs = inputs.clone();
            inputs[place][index] += step;
            let above = weighted(&inputs);
            inputs[place][index] -= 2.0 * step;
            let difference = (above - weighted(&inputs)) / (2.0 * step);
            let what = format!("gradient of operand {place} at {index}");
            assert_close(&gradient[index..=index], &[difference], 2e-4, &what);
        }
    }
}

/// Runs the work in a pool of so many threads.
pub(super) fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads").install(work)
}
