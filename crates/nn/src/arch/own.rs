//! Architectures that an experiment spells out.

use super::{default_conv, kaiming_conv};
use crate::graph::{Graph, Init, NodeId, Spread, Window};
use overinterp_spec::{ImageShape, LayerSpec, Misfit, OwnArch};

/// The network of those layers. Convolutions start by He's rule, linear layers as PyTorch's.
///
/// # Errors
/// When the layers do not fit each other at that size.
pub(super) fn build(arch: OwnArch, shape: ImageShape, classes: usize) -> Result<Graph, Misfit> {
    arch.check(shape, classes)?;
    let mut graph = Graph::new(shape);
    let input = graph.input();
    add(&mut graph, arch.layers(), input, classes);
    Ok(graph)
}

fn add(graph: &mut Graph, layers: &[LayerSpec], mut x: NodeId, classes: usize) -> NodeId {
    for layer in layers {
        x = match layer {
            LayerSpec::Conv { name, outputs, kernel, stride, padding, groups, dilation, bias } => {
                let window = Window { kernel: *kernel, stride: *stride, padding: *padding };
                let spread = Spread { groups: groups.of(graph.node(x).shape.channels), dilation: *dilation };
                graph.conv_layer(name, x, *outputs, window, spread, kaiming_conv, bias.then_some(Init::Zeros))
            }
            LayerSpec::BatchNorm { name, epsilon } => graph.batch_norm_with(name, x, *epsilon),
            LayerSpec::Relu => graph.relu(x),
            LayerSpec::MaxPool { kernel, stride, padding } => graph.max_pool(x, *kernel, *stride, *padding),
            LayerSpec::MeanPool { kernel, stride, padding } => graph.mean_pool(x, *kernel, *stride, *padding),
            LayerSpec::GlobalMean => graph.global_mean(x),
            LayerSpec::Dropout { rate } => graph.dropout(x, rate.value()),
            LayerSpec::Linear { name, outputs } => {
                let inputs = graph.node(x).shape.channels;
                graph.linear(name, x, outputs.unwrap_or(classes), default_conv(1, inputs, 0))
            }
            LayerSpec::Add { branches } => {
                let made: Vec<NodeId> = branches.iter().map(|layers| add(graph, layers, x, classes)).collect();
                let mut sum = made[0];
                for &other in &made[1..] {
                    sum = graph.add(sum, other);
                }
                sum
            }
            LayerSpec::Concat { branches } => {
                let made: Vec<NodeId> = branches.iter().map(|layers| add(graph, layers, x, classes)).collect();
                graph.concat(&made)
            }
        };
    }
    x
}
