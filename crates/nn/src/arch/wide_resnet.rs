//! WideResNet (Zagoruyko & Komodakis 2016): normalisation before each convolution, dropout between the two
//! of a block.

use super::fan_out_conv;
use crate::graph::{Graph, Init, NodeId, Window};
use overinterp_spec::ImageShape;

/// Channels of the stem, and of the three stages of a network of width 1.
const STEM: usize = 16;
const STAGES: [usize; 3] = [16, 32, 64];

pub(super) fn build(depth: usize, width: usize, dropout: f64, shape: ImageShape, classes: usize) -> Graph {
    let blocks = (depth - 4) / 6;
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    x = graph.conv("conv1", x, STEM, Window::square(3, 1), fan_out_conv);
    for (stage, channels) in STAGES.into_iter().map(|channels| channels * width).enumerate() {
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            x = block(&mut graph, &format!("block{}.layer.{index}", stage + 1), x, channels, stride, dropout);
        }
    }
    x = graph.batch_norm("bn1", x);
    x = graph.relu(x);
    x = graph.global_mean(x);
    graph.linear("fc", x, classes, Init::pytorch_default(STAGES[2] * width));
    graph
}

/// Where the channels change, norm and ReLU come before the fork and the shortcut is a 1x1 convolution; elsewhere
/// the shortcut carries the block's input untouched.
fn block(graph: &mut Graph, name: &str, x: NodeId, channels: usize, stride: usize, dropout: f64) -> NodeId {
    let normalised = graph.batch_norm(&format!("{name}.bn1"), x);
    let active = graph.relu(normalised);
    let mut y = graph.conv(&format!("{name}.conv1"), active, channels, Window::square(3, stride), fan_out_conv);
    y = graph.batch_norm(&format!("{name}.bn2"), y);
    y = graph.relu(y);
    if dropout > 0.0 {
        y = graph.dropout(y, dropout);
    }
    y = graph.conv(&format!("{name}.conv2"), y, channels, Window::square(3, 1), fan_out_conv);
    let shortcut = if graph.node(x).shape.channels == channels {
        x
    } else {
        graph.conv(&format!("{name}.convShortcut"), active, channels, Window::square(1, stride), fan_out_conv)
    };
    graph.add(y, shortcut)
}
