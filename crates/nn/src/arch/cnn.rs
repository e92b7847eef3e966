//! A small net for quick experiments: six 3x3 convolutions, 8-8-16-16-32-32, the third and fifth at stride 2.

use super::default_conv;
use crate::graph::{Graph, Init, Window};
use overinterp_spec::ImageShape;

/// Outputs and stride of each convolution.
const LAYERS: [(usize, usize); 6] = [(8, 1), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1)];

pub(super) fn build(shape: ImageShape, classes: usize) -> Graph {
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    for (index, (outputs, stride)) in LAYERS.into_iter().enumerate() {
        let number = index + 1;
        x = graph.conv(&format!("conv{number}"), x, outputs, Window::square(3, stride), default_conv);
        x = graph.batch_norm(&format!("bn{number}"), x);
        x = graph.relu(x);
    }
    x = graph.global_mean(x);
    graph.linear("linear", x, classes, Init::pytorch_default(LAYERS[5].0));
    graph
}
