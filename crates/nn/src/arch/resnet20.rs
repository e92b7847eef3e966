//! ResNet-20 for CIFAR (He et al. 2016, section 4.2), with shortcuts that have no parameters (option A).

use super::kaiming_conv;
use crate::graph::{Graph, Init, NodeId, Window};
use overinterp_spec::ImageShape;

/// Channels of the three stages.
const STAGES: [usize; 3] = [16, 32, 64];
/// Blocks of each stage.
const BLOCKS: usize = 3;

pub(super) fn build(shape: ImageShape, classes: usize) -> Graph {
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    x = graph.conv("conv1", x, STAGES[0], Window::square(3, 1), kaiming_conv);
    x = graph.batch_norm("bn1", x);
    x = graph.relu(x);
    for (stage, channels) in STAGES.into_iter().enumerate() {
        for index in 0..BLOCKS {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            x = block(&mut graph, &format!("layer{}.{index}", stage + 1), x, channels, stride);
        }
    }
    x = graph.global_mean(x);
    graph.linear("linear", x, classes, Init::kaiming_normal(STAGES[2]));
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
