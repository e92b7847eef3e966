//! What `PyTorch` computes from the same weights and images: `tests/fixtures/models/make.py` made the numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::arch;
use crate::cpu::compile::compile;
use crate::cpu::compiled_model::ModelWorkspace;
use crate::cpu::scorer::predict;
use crate::formula;
use crate::gpu::evaluation::EvaluationNetwork;
use crate::graph::Graph;
use crate::train::learner_tests::{batch, learners, recipe};
use overinterp_kernels::engine::Purpose;
use overinterp_kernels::isa::Isa;
use overinterp_spec::{Arch, ImageShape};

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
    #[serde(default)]
    smoothing: f64,
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
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/fixtures/models/logits.json")).unwrap();
    assert_eq!(cases.len(), 19);
    for case in cases {
        let shape = square(case.side, case.channels);
        let graph = graph(case.arch, shape);
        assert_eq!(graph.trained_values(), case.parameters, "{}", case.arch);
        let tensors = formula::tensors(&graph, case.gain);
        let network = EvaluationNetwork::new(&graph, &tensors, &Device::Cpu).unwrap();
        let walked = network.logits(&input(2, shape)).unwrap().to_vec2::<f32>().unwrap();
        let program = Arc::new(compile(&graph, &tensors, Isa::detect(), Purpose::Scores).unwrap());
        let mut workspace = ModelWorkspace::new(&program.into());
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
    let cases: Vec<Steps> = serde_json::from_str(include_str!("../../../tests/fixtures/models/training.json")).unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let shape = square(32, 3);
        let graph = graph(case.arch, shape);
        for (name, mut learner) in learners(&graph, &formula::tensors(&graph, case.gain), case.smoothing) {
            for (step, (&rate, expected)) in case.rates.iter().zip(&case.losses).enumerate() {
                assert!((recipe().learning_rate(step, 2) - rate).abs() < 1e-12);
                let first = 8 * (step % 2);
                let loss = learner.step(&batch(shape, first..first + 8, step as u64), rate).unwrap().loss;
                assert!((loss - expected).abs() < 1e-3, "{} {name} step {step}: {loss}, not {expected}", case.arch);
            }
            let after = learner.tensors().unwrap();
            assert_eq!(after.len(), case.tensors.len());
            for (tensor, expected) in &case.tensors {
                for (found, expected) in after[tensor].data.iter().zip(expected) {
                    let error = (found - expected).abs();
                    assert!(
                        error < 1e-3 * expected.abs().max(1.0),
                        "{} {name} {tensor}: {found}, not {expected}",
                        case.arch
                    );
                }
            }
        }
    }
}
