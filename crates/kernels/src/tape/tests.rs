//! The tape against the differentiable ops, whose gradients are tested by finite differences.

use candle_core::{Device, Result, Tensor, Var};

use super::{Tape, Workspace};
use crate::isa::Isa;
use crate::ops::{self, Activation, MapShape, Window};

const EPSILON: f64 = 1e-5;
const CLASSES: usize = 5;

/// A layer of a test network. Maps are counted from the input, 0.
#[derive(Clone, Copy)]
enum Layer {
    Conv { x: usize, outputs: usize, kernel: [usize; 2], stride: usize, padding: [usize; 2], bias: Bias },
    Norm { x: usize, residual: Option<usize>, activation: Activation },
    Relu(usize),
    Add(usize, usize),
    MaxPool(usize),
    AvgPool(usize),
    Concat([usize; 3]),
    Subsample { x: usize, padding: usize },
    Dropout(usize),
}

#[derive(Clone, Copy, PartialEq)]
enum Bias {
    With,
    Without,
}

/// A network, whose last map is averaged over pixels and classified.
struct Network {
    input: MapShape,
    layers: Vec<Layer>,
}

fn formula(count: usize, salt: usize) -> Vec<f32> {
    let value = |index: usize| ((index * 7919 + salt * 104_729 + 13) % 1009) as f32 / 504.5 - 1.0;
    (0..count).map(value).collect()
}

fn conv(x: usize, outputs: usize, stride: usize) -> Layer {
    Layer::Conv { x, outputs, kernel: [3, 3], stride, padding: [1, 1], bias: Bias::Without }
}

fn relu_norm(x: usize) -> Layer {
    Layer::Norm { x, residual: None, activation: Activation::Relu }
}

/// The channels of every map.
fn channels(network: &Network) -> Vec<usize> {
    let mut channels = vec![network.input.channels];
    for layer in &network.layers {
        channels.push(match *layer {
            Layer::Conv { outputs, .. } => outputs,
            Layer::Norm { x, .. }
            | Layer::Relu(x)
            | Layer::Add(x, _)
            | Layer::MaxPool(x)
            | Layer::AvgPool(x)
            | Layer::Dropout(x) => channels[x],
            Layer::Subsample { x, padding } => channels[x] + 2 * padding,
            Layer::Concat(parts) => parts.map(|part| channels[part]).iter().sum(),
        });
    }
    channels
}

/// Shapes and values of the parameters, in order of use.
fn parameters(network: &Network) -> Vec<(Vec<usize>, Vec<f32>)> {
    let channels = channels(network);
    let mut parameters: Vec<(Vec<usize>, Vec<f32>)> = Vec::new();
    let mut add = |dims: Vec<usize>, scale: f32, offset: f32| {
        let values = formula(dims.iter().product(), parameters.len()).iter().map(|v| v * scale + offset).collect();
        parameters.push((dims, values));
    };
    for layer in &network.layers {
        match *layer {
            Layer::Conv { x, outputs, kernel, bias, .. } => {
                let scale = (3.0 / (kernel[0] * kernel[1] * channels[x]) as f32).sqrt();
                add(vec![outputs, channels[x], kernel[0], kernel[1]], scale, 0.0);
                if bias == Bias::With {
                    add(vec![outputs], 0.5, 0.0);
                }
            }
            Layer::Norm { x, .. } => {
                add(vec![channels[x]], 0.5, 1.0);
                add(vec![channels[x]], 0.5, 0.0);
            }
            _ => {}
        }
    }
    let features = channels[channels.len() - 1];
    add(vec![CLASSES, features], 1.0, 0.0);
    add(vec![CLASSES], 1.0, 0.0);
    parameters
}

fn labels(network: &Network) -> Vec<u32> {
    (0..network.input.batch).map(|image| (image * 3 % CLASSES) as u32).collect()
}

fn factors(count: usize) -> Vec<f32> {
    (0..count).map(|index| if index * 7 % 10 < 3 { 0.0 } else { 1.0 / 0.7 }).collect()
}

/// Loss and gradients through candle's backward pass.
fn through_candle(network: &Network) -> Result<(f32, Vec<Vec<f32>>)> {
    let device = Device::Cpu;
    let variables: Vec<Var> = parameters(network)
        .into_iter()
        .map(|(dims, values)| Var::from_tensor(&Tensor::from_vec(values, dims, &device)?))
        .collect::<Result<_>>()?;
    let mut next = variables.iter();
    let mut parameter = || next.next().expect("as many as were made").as_tensor();
    let image = Tensor::from_vec(formula(network.input.values(), 99), network.input.dims(), &device)?;
    let mut maps = vec![image];
    for layer in &network.layers {
        let map = match *layer {
            Layer::Conv { x, stride, padding, bias, .. } => {
                let weight = parameter();
                let bias = (bias == Bias::With).then(&mut parameter);
                ops::conv2d(&maps[x], weight, bias, stride, padding)?
            }
            Layer::Norm { x, residual, activation } => {
                let (scale, shift) = (parameter(), parameter());
                let residual = residual.map(|residual| &maps[residual]);
                ops::batch_norm(&maps[x], scale, shift, EPSILON, residual, activation)?.output
            }
            Layer::Relu(x) => ops::relu(&maps[x])?,
            Layer::Add(a, b) => (&maps[a] + &maps[b])?,
            Layer::MaxPool(x) => ops::max_pool2d(&maps[x], 2, 2, 0)?,
            Layer::AvgPool(x) => ops::avg_pool2d(&maps[x], 3, 1, 1)?,
            Layer::Concat(parts) => Tensor::cat(&parts.map(|part| &maps[part]), 3)?,
            Layer::Subsample { x, padding } => ops::subsample(&maps[x], 2, padding)?,
            Layer::Dropout(x) => {
                (&maps[x] * Tensor::from_vec(factors(maps[x].elem_count()), maps[x].shape(), &device)?)?
            }
        };
        maps.push(map);
    }
    let logits = ops::linear(&ops::global_mean(&maps[maps.len() - 1])?, parameter(), parameter())?;
    let loss = ops::cross_entropy(&logits, &labels(network))?;
    let gradients = loss.backward()?;
    let values = |variable: &Var| gradients.get(variable).expect("every parameter is used").flatten_all()?.to_vec1();
    Ok((loss.to_scalar()?, variables.iter().map(values).collect::<Result<_>>()?))
}

/// Loss and gradients through the tape.
fn through_tape(network: &Network, workspace: &mut Workspace) -> Result<(f32, Vec<Vec<f32>>)> {
    let parameters = parameters(network);
    let mut tape = Tape::new(workspace);
    let ids: Vec<_> = parameters.iter().map(|(_, values)| tape.parameter(values)).collect();
    let mut next = ids.iter().copied();
    let mut parameter = || next.next().expect("as many as were made");
    let mut maps = vec![tape.input(&formula(network.input.values(), 99), network.input)?];
    for layer in &network.layers {
        let map = match *layer {
            Layer::Conv { x, outputs, kernel, stride, padding, bias } => {
                let weight = parameter();
                let bias = (bias == Bias::With).then(&mut parameter);
                tape.conv2d(maps[x], weight, bias, outputs, Window { kernel, stride, padding })?
            }
            Layer::Norm { x, residual, activation } => {
                let (scale, shift) = (parameter(), parameter());
                let residual = residual.map(|residual| maps[residual]);
                tape.batch_norm(maps[x], scale, shift, EPSILON, residual, activation)?.0
            }
            Layer::Relu(x) => tape.relu(maps[x]),
            Layer::Add(a, b) => tape.add(maps[a], maps[b])?,
            Layer::MaxPool(x) => tape.max_pool2d(maps[x], 2, 2, 0)?,
            Layer::AvgPool(x) => tape.avg_pool2d(maps[x], 3, 1, 1)?,
            Layer::Concat(parts) => tape.concat(&parts.map(|part| maps[part]))?,
            Layer::Subsample { x, padding } => tape.subsample(maps[x], 2, padding)?,
            Layer::Dropout(x) => tape.multiply(maps[x], factors(tape.shape(maps[x]).values()))?,
        };
        maps.push(map);
    }
    let features = tape.global_mean(maps[maps.len() - 1]);
    let logits = tape.linear(features, parameter(), parameter())?;
    let labels = labels(network);
    let loss = ops::softmax_loss(tape.values(logits), &labels);
    let gradient = ops::softmax_loss_gradient(tape.values(logits), &labels, 1.0);
    let mut gradients = tape.backward(logits, gradient)?;
    Ok((loss, ids.iter().map(|&id| gradients.take(id).expect("every parameter is used")).collect()))
}

fn networks() -> Vec<Network> {
    let small = MapShape { batch: 11, height: 8, width: 8, channels: 3 };
    // Batch norm after each convolution, both kinds of shortcut.
    let residual = vec![
        conv(0, 16, 1),
        relu_norm(1),
        conv(2, 16, 1),
        relu_norm(3),
        conv(4, 16, 1),
        Layer::Norm { x: 5, residual: Some(2), activation: Activation::Relu },
        conv(6, 32, 2),
        relu_norm(7),
        Layer::Subsample { x: 6, padding: 8 },
        conv(8, 32, 1),
        Layer::Norm { x: 10, residual: Some(9), activation: Activation::Relu },
        conv(11, 24, 2),
        relu_norm(12),
        Layer::Conv { x: 11, outputs: 24, kernel: [1, 1], stride: 2, padding: [0, 0], bias: Bias::Without },
        Layer::Norm { x: 14, residual: None, activation: Activation::Identity },
        conv(13, 24, 1),
        Layer::Norm { x: 16, residual: Some(15), activation: Activation::Relu },
    ];
    // Batch norm before each convolution, sums, dropout.
    let before = vec![
        conv(0, 8, 1),
        relu_norm(1),
        conv(2, 12, 2),
        relu_norm(3),
        Layer::Dropout(4),
        conv(5, 12, 1),
        Layer::Conv { x: 2, outputs: 12, kernel: [1, 1], stride: 2, padding: [0, 0], bias: Bias::Without },
        Layer::Add(6, 7),
        relu_norm(8),
        conv(9, 12, 1),
        Layer::Add(10, 8),
        relu_norm(11),
    ];
    // Pools, biases, a plain ReLU, kernels that are not square, more weights than are summed jointly.
    let pools = vec![
        Layer::Conv { x: 0, outputs: 70, kernel: [3, 3], stride: 1, padding: [1, 1], bias: Bias::With },
        relu_norm(1),
        Layer::MaxPool(2),
        Layer::Conv { x: 3, outputs: 80, kernel: [3, 3], stride: 1, padding: [1, 1], bias: Bias::With },
        relu_norm(4),
        Layer::AvgPool(5),
        Layer::Conv { x: 6, outputs: 10, kernel: [1, 3], stride: 1, padding: [0, 1], bias: Bias::With },
        Layer::Relu(7),
        Layer::Conv { x: 8, outputs: 9, kernel: [3, 1], stride: 1, padding: [1, 0], bias: Bias::Without },
        Layer::Norm { x: 9, residual: None, activation: Activation::Identity },
    ];
    // Branches side by side, one of them read twice.
    let branches = vec![
        conv(0, 8, 1),
        relu_norm(1),
        conv(2, 12, 1),
        relu_norm(3),
        Layer::AvgPool(2),
        conv(5, 5, 1),
        relu_norm(6),
        Layer::Concat([4, 7, 2]),
        conv(8, 16, 2),
        relu_norm(9),
        Layer::Concat([10, 10, 10]),
    ];
    let grey = MapShape { batch: 20, height: 7, width: 7, channels: 1 };
    vec![
        Network { input: small, layers: residual },
        Network { input: small, layers: before },
        Network { input: small, layers: pools },
        Network { input: small, layers: branches },
        Network { input: grey, layers: vec![conv(0, 8, 1), relu_norm(1), conv(2, 16, 2), relu_norm(3)] },
    ]
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()))
}

#[test]
fn losses_and_gradients_equal_those_of_the_differentiable_ops() {
    for (place, network) in networks().iter().enumerate() {
        let (loss, expected) = through_candle(network).expect("the network is sound");
        for isa in [Isa::detect(), Isa::Portable] {
            let mut workspace = Workspace::new(isa);
            let (tape_loss, actual) = through_tape(network, &mut workspace).expect("the network is sound");
            assert!((loss - tape_loss).abs() < 1e-5, "network {place}: loss {tape_loss} instead of {loss}");
            for (parameter, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
                assert_eq!(actual.len(), expected.len());
                let difference: Vec<f32> = actual.iter().zip(expected).map(|(a, b)| a - b).collect();
                let (error, size) = (largest(&difference), largest(expected));
                assert!(error <= 1e-5 + 1e-3 * size, "network {place}, parameter {parameter}: {error} of {size}");
            }
        }
    }
}

#[test]
fn bytes_depend_neither_on_threads_nor_on_what_the_workspace_has_seen() {
    for network in networks() {
        let run = |threads: usize, steps: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
            pool.install(|| {
                let mut workspace = Workspace::new(Isa::detect());
                (0..steps).map(|_| through_tape(&network, &mut workspace).expect("the network is sound")).last()
            })
        };
        let once = run(1, 1);
        assert!(once.is_some());
        assert_eq!(once, run(2, 1));
        assert_eq!(once, run(2, 3));
    }
}

#[test]
fn statistics_are_the_mean_and_the_unbiased_variance() {
    let (scale, shift) = ([1.0; 2], [0.0; 2]);
    let mut workspace = Workspace::new(Isa::detect());
    let mut tape = Tape::new(&mut workspace);
    let (scale, shift) = (tape.parameter(&scale), tape.parameter(&shift));
    // Channel 0: 1, 2, 3, 6; channel 1: 10,000 plus the same.
    let values = [1.0, 10_001.0, 2.0, 10_002.0, 3.0, 10_003.0, 6.0, 10_006.0];
    let x = tape.input(&values, MapShape { batch: 2, height: 1, width: 2, channels: 2 }).expect("as many values");
    let (_, statistics) = tape.batch_norm(x, scale, shift, EPSILON, None, Activation::Relu).expect("shapes agree");
    assert_eq!(statistics.mean, [3.0, 10_003.0]);
    assert_eq!(statistics.variance, [14.0 / 3.0; 2]);
}

#[test]
fn sizes_that_disagree_are_errors() {
    let weights = [0.0; 9];
    let mut workspace = Workspace::new(Isa::detect());
    let mut tape = Tape::new(&mut workspace);
    let shape = MapShape { batch: 1, height: 4, width: 4, channels: 2 };
    let x = tape.input(&[0.0; 32], shape).expect("as many values");
    assert!(tape.input(&[0.0; 31], shape).is_err());
    let weight = tape.parameter(&weights);
    assert!(tape.conv2d(x, weight, None, 1, Window { kernel: [3, 3], stride: 1, padding: [1, 1] }).is_err());
    assert!(tape.batch_norm(x, weight, weight, EPSILON, None, Activation::Relu).is_err());
    assert!(tape.linear(x, weight, weight).is_err());
    let smaller = tape.input(&[0.0; 8], MapShape { height: 2, width: 2, ..shape }).expect("as many values");
    assert!(tape.concat(&[x, smaller]).is_err() && tape.concat(&[]).is_err());
    assert!(tape.backward(x, vec![0.0; 3]).is_err());
}
