//! What `PyTorch` computes from the same weights and images: `tests/fixtures/models/make.py` made the numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::compile::compile;
use super::evaluation::EvaluationNetwork;
use super::forward::{DropoutDraw, Learned, TrainingNetwork};
use super::graph::Graph;
use super::optimiser::Optimiser;
use super::scorer::predict;
use super::{arch, formula};
use crate::kernels::engine::{Purpose, Workspace};
use crate::kernels::isa::Isa;
use crate::spec::{Arch, Augment, ImageShape, Recipe, Seed};

#[derive(Deserialize)]
struct Case {
    arch: Arch,
    channels: usize,
    side: usize,
    gain: f64,
    parameters: usize,
    logits: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Steps {
    arch: Arch,
    gain: f64,
    rates: Vec<f64>,
    losses: Vec<f32>,
    /// The first eight values of each tensor.
    tensors: BTreeMap<String, Vec<f32>>,
}

fn square(side: usize, channels: usize) -> ImageShape {
    ImageShape { height: side, width: side, channels }
}

fn input(count: usize, shape: ImageShape) -> Tensor {
    let dims = (count, shape.height, shape.width, shape.channels);
    Tensor::from_vec(formula::images(count, shape), dims, &Device::Cpu).unwrap()
}

fn graph(arch: Arch, shape: ImageShape) -> Graph {
    arch::build(arch, shape, 10).unwrap()
}

#[test]
fn logits_equal_pytorchs_for_every_architecture_walked_and_compiled() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/fixtures/models/logits.json")).unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let shape = square(case.side, case.channels);
        let graph = graph(case.arch, shape);
        assert_eq!(graph.trained_values(), case.parameters, "{}", case.arch);
        let tensors = formula::tensors(&graph, case.gain);
        let network = EvaluationNetwork::new(&graph, &tensors, &Device::Cpu).unwrap();
        let walked = network.logits(&input(2, shape)).unwrap().to_vec2::<f32>().unwrap();
        let mut workspace =
            Workspace::new(&Arc::new(compile(&graph, &tensors, Isa::detect(), Purpose::Scores).unwrap()));
        let images = formula::images(2, shape);
        for ((expected, walked), image) in case.logits.iter().zip(walked).zip(images.chunks(shape.bytes())) {
            for found in [&walked, predict(&mut workspace, image)] {
                let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off <= 1e-4, "{} of {shape:?}: {found:?}, not {expected:?}", case.arch);
            }
        }
    }
}

#[test]
fn training_steps_equal_pytorchs() {
    let cases: Vec<Steps> = serde_json::from_str(include_str!("../../tests/fixtures/models/training.json")).unwrap();
    let recipe = Recipe {
        epochs: 2,
        batch: 8,
        lr: 0.1,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        milestones: vec![1],
        gamma: 0.2,
        augment: Augment::None,
    };
    for case in cases {
        let shape = square(32, 3);
        let graph = graph(case.arch, shape);
        let tensors = formula::tensors(&graph, case.gain);
        let mut network = TrainingNetwork::new(&graph, &tensors, &Device::Cpu).unwrap();
        let mut optimiser = Optimiser::new(&recipe, network.weights()).unwrap();
        let images = input(16, shape);
        let labels: Vec<u32> = (0..16).map(|image| image * 7 % 10).collect();
        for (step, (&rate, expected)) in case.rates.iter().zip(&case.losses).enumerate() {
            assert!((recipe.learning_rate(step / 2) - rate).abs() < 1e-12);
            let first = 8 * (step % 2);
            let x = images.narrow(0, first, 8).unwrap();
            let draw = DropoutDraw { seed: Seed(0), step: step as u64 };
            let Learned { loss, gradients, .. } = network.learn(&x, &labels[first..first + 8], draw).unwrap();
            optimiser.step(network.weights(), &gradients, rate).unwrap();
            assert!((loss - expected).abs() < 1e-3, "{} step {step}: {loss} not {expected}", case.arch);
        }
        let after = network.tensors().unwrap();
        assert_eq!(after.len(), case.tensors.len());
        for (name, expected) in case.tensors {
            for (found, expected) in after[&name].data.iter().zip(expected) {
                let error = (found - expected).abs();
                assert!(error < 1e-3 * expected.abs().max(1.0), "{} {name}: {found} not {expected}", case.arch);
            }
        }
    }
}
