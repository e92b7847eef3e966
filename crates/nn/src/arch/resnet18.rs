//! ResNet-18 with a 3x3 stem for small images; where a map shrinks or widens, the shortcut is a 1x1 convolution.

use super::default_conv;
use crate::graph::{Graph, Init, NodeId, Window};
use overinterp_spec::ImageShape;

/// Channels of the four stages.
const STAGES: [usize; 4] = [64, 128, 256, 512];
/// Blocks of each stage.
const BLOCKS: usize = 2;

pub(super) fn build(shape: ImageShape, classes: usize) -> Graph {
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    x = graph.conv("conv1", x, STAGES[0], Window::square(3, 1), default_conv);
    x = graph.batch_norm("bn1", x);
    x = graph.relu(x);
    for (stage, channels) in STAGES.into_iter().enumerate() {
        for index in 0..BLOCKS {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            x = block(&mut graph, &format!("layer{}.{index}", stage + 1), x, channels, stride);
        }
    }
    x = graph.global_mean(x);
    graph.linear("linear", x, classes, Init::pytorch_default(STAGES[3]));
    graph
}

/// Two convolutions and a sum.
fn block(graph: &mut Graph, name: &str, x: NodeId, channels: usize, stride: usize) -> NodeId {
    let mut y = graph.conv(&format!("{name}.conv1"), x, channels, Window::square(3, stride), default_conv);
    y = graph.batch_norm(&format!("{name}.bn1"), y);
    y = graph.relu(y);
    y = graph.conv(&format!("{name}.conv2"), y, channels, Window::square(3, 1), default_conv);
    y = graph.batch_norm(&format!("{name}.bn2"), y);
    let shortcut = if stride == 1 {
        x
    } else {
        let narrow = graph.conv(&format!("{name}.shortcut.0"), x, channels, Window::square(1, stride), default_conv);
        graph.batch_norm(&format!("{name}.shortcut.1"), narrow)
    };
    let sum = graph.add(y, shortcut);
    graph.relu(sum)
}
