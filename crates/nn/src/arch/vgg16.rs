//! VGG configuration D (Simonyan & Zisserman 2015) with batch norm, and one linear layer for small images.

use super::fan_out_conv;
use crate::graph::{Graph, Init, Window};
use overinterp_spec::ImageShape;

/// Outputs of the convolutions between one max pooling and the next.
const STAGES: [&[usize]; 5] = [&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]];

pub(super) fn build(shape: ImageShape, classes: usize) -> Graph {
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    // PyTorch numbers convolution, norm, ReLU and pooling alike: `features.0`, `features.1`, ...
    let mut place = 0;
    for stage in STAGES {
        for &outputs in stage {
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
