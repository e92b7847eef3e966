//! Both learners, against each other and against the definition.

use candle_core::{Device, Tensor};

use crate::arch;
use crate::formula;
use crate::graph::{Graph, Init, Window};
use crate::train::dropout::DropoutDraw;
use crate::train::gpu_learner::GpuLearner;
use crate::train::learner::{Batch, Learner, Tensors, at_rest};
use crate::train::optimiser::Sgd;
use crate::train::tape_learner::TapeLearner;
use overinterp_kernels::ops::{self, MapShape};
use overinterp_spec::{Arch, Augment, ImageShape, Recipe, Seed};

const GREY: ImageShape = ImageShape { height: 8, width: 8, channels: 1 };

pub(crate) fn recipe() -> Recipe {
    Recipe {
        epochs: 2,
        batch: 8,
        lr: 0.1,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        milestones: vec![1],
        gamma: 0.2,
        one_cycle: None,
        cosine: None,
        label_smoothing: 0.0,
        augment: Augment::None,
        input_dropout: None,
    }
}

/// A network on the tape, and through candle's ops.
pub(crate) fn learners(graph: &Graph, tensors: &Tensors, smoothing: f64) -> [(&'static str, Box<dyn Learner>); 2] {
    let (still, sgd) = (at_rest(graph), Sgd::new(&recipe()));
    let device = GpuLearner::new(graph, tensors, &still, sgd, smoothing, &Device::Cpu).unwrap();
    [("tape", Box::new(TapeLearner::new(graph, tensors.clone(), still, sgd, smoothing))), ("candle", Box::new(device))]
}

/// Images `from..to` of the formula's first sixteen, with labels 0, 7, 4, 1, ...
pub(crate) fn batch(shape: ImageShape, images: std::ops::Range<usize>, step: u64) -> Batch {
    let ImageShape { height, width, channels } = shape;
    let pixels = formula::images(16, shape)[images.start * shape.bytes()..images.end * shape.bytes()].to_vec();
    Batch {
        pixels,
        shape: MapShape { batch: images.len(), height, width, channels },
        labels: images.map(|image| (image * 7 % 10) as u32).collect(),
        dropout: DropoutDraw { seed: Seed(3), step },
    }
}

#[test]
fn running_statistics_move_a_tenth_of_the_way_to_the_batchs() {
    let graph = arch::build(Arch::Cnn, GREY, 10).unwrap();
    let tensors = formula::tensors(&graph, 1.0);
    let batch = batch(GREY, 0..3, 0);
    let x = Tensor::from_slice(&batch.pixels, (3, 8, 8, 1), &Device::Cpu).unwrap();
    let weight = Tensor::from_slice(&tensors["conv1.weight"].data, (8, 1, 3, 3), &Device::Cpu).unwrap();
    let map = ops::conv2d(&x, &weight, None, 1, [1, 1]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let channel: Vec<f64> = map.iter().skip(5).step_by(8).map(|&value| f64::from(value)).collect();
    let mean = channel.iter().sum::<f64>() / channel.len() as f64;
    let variance = channel.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (channel.len() - 1) as f64;

    for (name, mut learner) in learners(&graph, &tensors, 0.0) {
        learner.step(&batch, 0.1).unwrap();
        let after = learner.tensors().unwrap();
        for (part, towards) in [("running_mean", mean), ("running_var", variance)] {
            let part = format!("bn1.{part}");
            let expected = 0.9 * f64::from(tensors[&part].data[5]) + 0.1 * towards;
            assert!((f64::from(after[&part].data[5]) - expected).abs() < 1e-6, "{name} {part}");
        }
    }
}

#[test]
fn a_step_with_dropout_is_a_function_of_seed_and_step() {
    let mut graph = Graph::new(GREY);
    let dropped = graph.dropout(graph.input(), 0.5);
    let mean = graph.global_mean(dropped);
    graph.linear("linear", mean, 10, Init::Ones);
    let tensors = formula::tensors(&graph, 1.0);
    for place in [0, 1] {
        let logits = |step| {
            let (_, mut learner) = learners(&graph, &tensors, 0.0).into_iter().nth(place).unwrap();
            learner.step(&batch(GREY, 0..4, step), 0.1).unwrap().logits
        };
        assert_eq!(logits(5), logits(5));
        assert_ne!(logits(5), logits(6));
    }
}

/// A small network with every operation that graphs know.
fn everything() -> Graph {
    let init = |area: usize, inputs: usize, _: usize| Init::kaiming_normal(area * inputs);
    let mut graph = Graph::new(ImageShape { height: 12, width: 10, channels: 3 });
    let stem = graph.conv_with_bias("stem", graph.input(), 8, Window::square(3, 1), init, Init::Zeros);
    let normal = graph.batch_norm("first", stem);
    let active = graph.relu(normal);
    let pooled = graph.max_pool(active, 3, 1, 1);
    let dropped = graph.dropout(pooled, 0.3);
    let left = graph.conv("left", dropped, 8, Window { kernel: [1, 3], stride: 1, padding: [0, 1] }, init);
    let plain_sum = graph.add(left, stem);
    let plain_relu = graph.relu(plain_sum);
    let narrow = graph.conv("narrow", plain_relu, 16, Window::square(3, 2), init);
    let narrow = graph.batch_norm("second", narrow);
    let side = graph.subsample(plain_relu, 2, 4);
    let sum = graph.add(narrow, side);
    let sum = graph.relu(sum);
    let projected = graph.conv("projected", sum, 16, Window::square(1, 1), init);
    let projected = graph.batch_norm_with("third", projected, 0.1);
    let sum = graph.add(sum, projected);
    let blurred = graph.mean_pool(sum, 3, 1, 1);
    let side_by_side = graph.concat(&[projected, blurred, sum]);
    let mean = graph.global_mean(side_by_side);
    let mean = graph.dropout(mean, 0.2);
    graph.linear("linear", mean, 10, Init::pytorch_default(48));
    graph
}

#[test]
fn steps_on_the_tape_and_through_candle_agree_for_every_kind_of_layer() {
    let graph = everything();
    let shape = graph.node(graph.input()).shape;
    let [(_, mut tape), (_, mut candle)] = learners(&graph, &formula::tensors(&graph, 1.0), 0.0);
    for step in 0..3 {
        let batch = batch(shape, 0..7, step);
        let [one, two] = [&mut tape, &mut candle].map(|learner| learner.step(&batch, 0.05).unwrap().loss);
        assert!((one - two).abs() < 1e-4, "step {step}: {one} {two}");
    }
    for [one, two] in [
        [tape.velocities().unwrap(), candle.velocities().unwrap()],
        [tape.tensors().unwrap(), candle.tensors().unwrap()],
    ] {
        assert_eq!(one.len(), two.len());
        for (name, one) in one {
            for (one, two) in one.data.iter().zip(&two[&name].data) {
                assert!((one - two).abs() < 1e-4 * two.abs().max(0.1), "{name}: {one} {two}");
            }
        }
    }
}
