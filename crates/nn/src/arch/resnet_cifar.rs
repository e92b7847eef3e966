//! Residual networks for CIFAR (He et al. 2016, section 4.2), with shortcuts that have no parameters (option A).

use super::kaiming_conv;
use crate::graph::{Graph, Init, NodeId, Window};
use overinterp_spec::ImageShape;

/// Three stages of channels, the first `width`, each next twice as many; `depth` layers, which are two a block, and two more.
pub(super) fn build(depth: usize, width: usize, shape: ImageShape, classes: usize) -> Graph {
    let blocks = (depth - 2) / 6;
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    x = graph.conv("conv1", x, width, Window::square(3, 1), kaiming_conv);
    x = graph.batch_norm("bn1", x);
    x = graph.relu(x);
    for (stage, channels) in [width, 2 * width, 4 * width].into_iter().enumerate() {
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            x = block(&mut graph, &format!("layer{}.{index}", stage + 1), x, channels, stride);
        }
    }
    x = graph.global_mean(x);
    graph.linear("linear", x, classes, Init::kaiming_normal(4 * width));
    graph
}

/// Two convolutions and a sum; where the map shrinks, the shortcut takes every second pixel and adds zero channels.
fn block(graph: &mut Graph, name: &str, x: NodeId, channels: usize, stride: usize) -> NodeId {
    let mut y = graph.conv(&format!("{name}.conv1"), x, channels, Window::square(3, stride), kaiming_conv);
    y = graph.batch_norm(&format!("{name}.bn1"), y);
    y = graph.relu(y);
    y = graph.conv(&format!("{name}.conv2"), y, channels, Window::square(3, 1), kaiming_conv);
    y = graph.batch_norm(&format!("{name}.bn2"), y);
    let shortcut = if stride == 1 { x } else { graph.subsample(x, stride, channels / 4) };
    let sum = graph.add(y, shortcut);
    graph.relu(sum)
}
