//! What a network consists of, and what it costs to ask it.

use crate::cpu::compile::{CompileError, compile};
use crate::cpu::compiled_model::for_candidates;
use crate::graph::{Graph, Node, Op, Spread};
use crate::init::initial_tensors;
use overinterp_kernels::isa::Isa;
use overinterp_spec::{Arch, ImageShape, Seed};

/// A network, layer by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// In the order in which they are computed.
    pub layers: Vec<Layer>,
    /// The numbers that training changes.
    pub trained_values: usize,
    /// Multiplications of one pass over an image, of convolutions and linear layers.
    pub multiplications: u64,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What its parameters are called by; empty for one without.
    pub name: String,
    /// What it does, such as `convolution 3x3, stride 2`.
    pub does: String,
    /// What it yields.
    pub shape: ImageShape,
    /// The numbers of it that training changes.
    pub trained_values: usize,
    /// Multiplications of one pass over an image.
    pub multiplications: u64,
}

impl Summary {
    /// Of a network.
    #[must_use]
    pub fn of(graph: &Graph) -> Self {
        let layers: Vec<Layer> = graph.nodes().iter().map(|node| layer(graph, node)).collect();
        let multiplications = layers.iter().map(|layer| layer.multiplications).sum();
        Self { layers, trained_values: graph.trained_values(), multiplications }
    }
}

/// How many times fewer multiplications a candidate of a selection takes than a whole pass over the image, in the mean over
/// its pixels: what scores need that differ from those before in one pixel.
///
/// # Errors
/// When the network does not compile for that.
pub fn saving(arch: Arch, graph: &Graph) -> Result<f64, CompileError> {
    let program = compile(graph, &initial_tensors(graph, Seed(0)), Isa::detect(), for_candidates(arch))?;
    let ImageShape { height, width, .. } = graph.nodes()[0].shape;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let candidates: u64 = pixels.map(|(y, x)| program.candidate_multiplications(y, x)).sum();
    let mean = candidates as f64 / (height * width) as f64;
    Ok(program.multiplications() as f64 / mean)
}

fn layer(graph: &Graph, node: &Node) -> Layer {
    let input = node.inputs.first().map_or(node.shape, |&input| graph.node(input).shape);
    let (outputs, pixels) = (node.shape.channels, node.shape.pixels());
    let strides = |stride: usize| if stride == 1 { String::new() } else { format!(", stride {stride}") };
    let (name, does, multiplications) = match &node.op {
        Op::Input => ("", "image".to_owned(), 0),
        Op::Conv { name, kernel: [height, width], stride, spread: Spread { groups, dilation }, .. } => {
            let parts = match *groups {
                1 => String::new(),
                groups if groups == input.channels => ", depthwise".to_owned(),
                groups => format!(", {groups} groups"),
            };
            let apart = if *dilation == 1 { String::new() } else { format!(", dilation {dilation}") };
            let does = format!("convolution {height}x{width}{}{parts}{apart}", strides(*stride));
            (name.as_str(), does, height * width * (input.channels / groups) * outputs * pixels)
        }
        Op::BatchNorm { name, .. } => (name.as_str(), "batch norm".to_owned(), 0),
        Op::Relu => ("", "ReLU".to_owned(), 0),
        Op::Add => ("", "sum".to_owned(), 0),
        Op::MaxPool { kernel, stride, .. } => ("", format!("largest of {kernel}x{kernel}{}", strides(*stride)), 0),
        Op::MeanPool { kernel, stride, .. } => ("", format!("mean of {kernel}x{kernel}{}", strides(*stride)), 0),
        Op::Concat => ("", "side by side".to_owned(), 0),
        Op::Subsample { stride, .. } => ("", format!("every {stride}nd pixel, channels of zeros"), 0),
        Op::Dropout { rate } => ("", format!("dropout {rate}"), 0),
        Op::GlobalMean => ("", "mean of all pixels".to_owned(), 0),
        Op::Linear { name } => (name.as_str(), "linear".to_owned(), input.channels * outputs),
    };
    let begins = format!("{name}.");
    let own = graph.parameters().iter().filter(|parameter| {
        let rest = parameter.name.strip_prefix(&begins);
        parameter.trained && rest.is_some_and(|rest| !rest.contains('.'))
    });
    let trained_values = own.map(|parameter| parameter.shape.iter().product::<usize>()).sum();
    Layer { name: name.to_owned(), does, shape: node.shape, trained_values, multiplications: multiplications as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::build;

    #[test]
    fn layers_add_up_to_the_network() {
        let shape = ImageShape { height: 32, width: 32, channels: 3 };
        for arch in Arch::SMALL {
            let graph = build(arch, shape, 10).unwrap();
            let summary = Summary::of(&graph);
            let values: usize = summary.layers.iter().map(|layer| layer.trained_values).sum();
            assert_eq!((values, summary.trained_values), (graph.trained_values(), graph.trained_values()), "{arch}");
        }
        // He et al. 2016 count 41 million multiplications of ResNet-20: 27,648 x 16 of the stem, and so on.
        let graph = build(Arch::Resnet20, shape, 10).unwrap();
        let summary = Summary::of(&graph);
        assert_eq!(summary.multiplications, 40_551_040);
        let stem = &summary.layers[1];
        assert_eq!((stem.name.as_str(), stem.does.as_str()), ("conv1", "convolution 3x3"));
        assert_eq!((stem.trained_values, stem.multiplications), (432, 442_368));
        let saved = saving(Arch::Resnet20, &graph).unwrap();
        assert!(saved > 4.0, "{saved}");
    }
}
