//! How a network's tensors start.

use std::collections::BTreeMap;

use rand_chacha::rand_core::Rng;

use crate::graph::{Graph, Init};
use overinterp_artifacts::ParameterTensor;
use overinterp_spec::Seed;

/// Draws the tensors that training starts from, each from the stream `init NAME`, so that a layer's values do not
/// depend on which other layers there are.
#[must_use]
pub fn initial_tensors(graph: &Graph, seed: Seed) -> BTreeMap<String, ParameterTensor> {
    let start = |parameter: &crate::graph::Parameter| {
        let mut stream = seed.stream(&format!("init {}", parameter.name), 0);
        let values = parameter.shape.iter().product();
        let data = draw(parameter.init, values, &mut stream);
        (parameter.name.clone(), ParameterTensor { shape: parameter.shape.clone(), data })
    };
    graph.parameters().iter().map(start).collect()
}

fn draw(init: Init, values: usize, stream: &mut impl Rng) -> Vec<f32> {
    match init {
        Init::Zeros => vec![0.0; values],
        Init::Ones => vec![1.0; values],
        Init::Uniform(bound) => (0..values).map(|_| (bound * (2.0 * uniform(stream) - 1.0)) as f32).collect(),
        Init::Normal(deviation) => {
            let pairs = std::iter::repeat_with(|| normal_pair(stream)).flatten();
            pairs.take(values).map(|value| (deviation * value) as f32).collect()
        }
    }
}

/// A uniform number in [0, 1), a multiple of 2^-53.
pub(super) fn uniform(stream: &mut impl Rng) -> f64 {
    (stream.next_u64() >> 11) as f64 * (-53_f64).exp2()
}

/// Two independent standard normal numbers (Box & Muller 1958).
pub(super) fn normal_pair(stream: &mut impl Rng) -> [f64; 2] {
    // 1 - u lies in (0, 1], so the logarithm is finite.
    let radius = (-2.0 * (1.0 - uniform(stream)).ln()).sqrt();
    let angle = std::f64::consts::TAU * uniform(stream);
    [radius * angle.cos(), radius * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;
    use overinterp_spec::{Arch, ImageShape};

    fn graph(arch: Arch, classes: usize) -> Graph {
        arch::build(arch, ImageShape { height: 32, width: 32, channels: 3 }, classes).unwrap()
    }

    fn moments(data: &[f32]) -> (f64, f64) {
        let count = data.len() as f64;
        let mean = data.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = data.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    #[test]
    fn tensors_have_the_shapes_that_the_graph_asks_for() {
        let graph = graph(Arch::Vgg16, 10);
        let tensors = initial_tensors(&graph, Seed(0));
        assert_eq!(tensors.len(), graph.parameters().len());
        for parameter in graph.parameters() {
            let tensor = &tensors[&parameter.name];
            assert_eq!(tensor.shape, parameter.shape);
            assert_eq!(tensor.data.len(), parameter.shape.iter().product::<usize>());
        }
    }

    #[test]
    fn normal_weights_have_the_deviation_of_he_et_al() {
        let tensors = initial_tensors(&graph(Arch::Resnet20, 10), Seed(1));
        // 64 x 64 x 3 x 3 values over 576 inputs; the tolerances are four standard errors.
        let (mean, deviation) = moments(&tensors["layer3.2.conv1.weight"].data);
        let expected = (2.0 / 576.0_f64).sqrt();
        assert!(mean.abs() < 4.0 * expected / 192.0, "{mean}");
        assert!((deviation / expected - 1.0).abs() < 4.0 / (2.0 * 36_864.0_f64).sqrt(), "{deviation}");
    }

    #[test]
    fn uniform_weights_fill_pytorchs_bound() {
        let tensors = initial_tensors(&graph(Arch::Resnet18, 10), Seed(1));
        let data = &tensors["layer1.0.conv1.weight"].data;
        let bound = 1.0 / 576.0_f32.sqrt();
        let largest = data.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        assert!(largest <= bound && largest > 0.999 * bound, "{largest} of {bound}");
        let (_, deviation) = moments(data);
        assert!((deviation * 3.0_f64.sqrt() / f64::from(bound) - 1.0).abs() < 0.02, "{deviation}");
    }

    #[test]
    fn a_tensor_depends_on_its_name_and_the_seed_alone() {
        let ten = initial_tensors(&graph(Arch::Cnn, 10), Seed(3));
        let hundred = initial_tensors(&graph(Arch::Cnn, 100), Seed(3));
        assert_eq!(ten["conv5.weight"], hundred["conv5.weight"]);
        assert_ne!(ten["linear.weight"], hundred["linear.weight"]);
        assert_ne!(ten["conv5.weight"], initial_tensors(&graph(Arch::Cnn, 10), Seed(4))["conv5.weight"]);
    }
}
