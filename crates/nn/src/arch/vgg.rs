//! VGG (Simonyan & Zisserman 2015, table 1) with batch norm, and one linear layer for small images.

use super::fan_out_conv;
use crate::graph::{Graph, Init, Window};
use overinterp_spec::ImageShape;

/// Outputs of each stage's convolutions, of a network whose first stage has one.
const WIDTHS: [usize; 5] = [1, 2, 4, 8, 8];

/// Convolutions of each stage; configurations A, B, D and E.
const fn convolutions(depth: usize) -> [usize; 5] {
    match depth {
        11 => [1, 1, 2, 2, 2],
        13 => [2, 2, 2, 2, 2],
        19 => [2, 2, 4, 4, 4],
        _ => [2, 2, 3, 3, 3],
    }
}

pub(super) fn build(depth: usize, width: usize, shape: ImageShape, classes: usize) -> Graph {
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    // PyTorch numbers convolution, norm, ReLU and pooling alike: `features.0`, `features.1`, ...
    let mut place = 0;
    for (times, count) in WIDTHS.into_iter().zip(convolutions(depth)) {
        let outputs = width * times;
        for _ in 0..count {
            let name = format!("features.{place}");
            x = graph.conv_with_bias(&name, x, outputs, Window::square(3, 1), fan_out_conv, Init::Zeros);
            x = graph.batch_norm(&format!("features.{}", place + 1), x);
            x = graph.relu(x);
            place += 3;
        }
        x = graph.max_pool(x, 2, 2, 0);
        place += 1;
    }
    x = graph.global_mean(x);
    graph.linear("classifier", x, classes, Init::Normal(0.01));
    graph
}
