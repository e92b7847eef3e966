//! Weights and images from a closed formula, the same that `tests/fixtures/models/make.py` gives to `PyTorch`.

use std::collections::BTreeMap;

use crate::graph::Graph;
use overinterp_artifacts::ParameterTensor;
use overinterp_spec::ImageShape;

/// `count` numbers in [-1, 1): a 32-bit hash of the name and the index.
fn formula(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let fold = |seed: u32, byte: u8| (seed ^ u32::from(byte)).wrapping_mul(16_777_619);
    let seed = name.bytes().fold(2_166_136_261, fold);
    (0..count as u32).map(move |index| {
        let mut x = index.wrapping_mul(0x9e37_79b9).wrapping_add(seed);
        x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
        x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
        f64::from(x ^ (x >> 16)) / f64::from(1_u32 << 31) - 1.0
    })
}

/// Every tensor of a graph; `gain` scales the batch norms.
pub fn tensors(graph: &Graph, gain: f64) -> BTreeMap<String, ParameterTensor> {
    let tensor = |name: &str, shape: &[usize]| {
        let part = name.rsplit('.').next().unwrap();
        let inputs: usize = shape[1..].iter().product();
        let value = |u: f64| match part {
            "running_mean" => 0.2 * u,
            "running_var" => 1.0 + 0.5 * u,
            "weight" if shape.len() == 1 => gain * (1.0 + 0.3 * u),
            _ if shape.len() == 1 => 0.2 * u,
            _ => u * (6.0 / inputs as f64).sqrt(),
        };
        let data = formula(name, shape.iter().product()).map(|u| value(u) as f32).collect();
        ParameterTensor { shape: shape.to_vec(), data }
    };
    graph.parameters().iter().map(|p| (p.name.clone(), tensor(&p.name, &p.shape))).collect()
}

/// Normalised images `[count, height, width, channels]`; the formula counts them as `[count, channels, height, width]`.
pub fn images(count: usize, shape: ImageShape) -> Vec<f32> {
    let planes: Vec<f64> = formula("images", count * shape.bytes()).collect();
    let mut images = Vec::with_capacity(planes.len());
    for image in planes.chunks_exact(shape.bytes()) {
        for pixel in 0..shape.pixels() {
            images.extend((0..shape.channels).map(|c| (image[c * shape.pixels() + pixel] * 3.0_f64.sqrt()) as f32));
        }
    }
    images
}
