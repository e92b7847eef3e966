//! ResNet for photographs (He et al. 2016, table 1): a 7x7 stem with stride 2, a max-pool, four stages. Where a block
//! narrows, its 3x3 convolution has the stride, as in torchvision.

use super::fan_out_conv;
use crate::graph::{Graph, Init, NodeId, Window};
use overinterp_spec::ImageShape;

/// Channels of the stem.
const STEM: usize = 64;
/// Channels of the four stages' 3x3 convolutions.
const STAGES: [usize; 4] = [64, 128, 256, 512];

/// How a block is built.
#[derive(Clone, Copy)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// A 3x3 convolution between two of 1x1; the last has four times the channels of the stage.
    Bottleneck,
}

/// The blocks of each stage, and how they are built.
const fn blocks(depth: usize) -> ([usize; 4], Block) {
    match depth {
        18 => ([2, 2, 2, 2], Block::Basic),
        34 => ([3, 4, 6, 3], Block::Basic),
        101 => ([3, 4, 23, 3], Block::Bottleneck),
        152 => ([3, 8, 36, 3], Block::Bottleneck),
        _ => ([3, 4, 6, 3], Block::Bottleneck),
    }
}

/// `width` is the channels of the first stage's 3x3 convolutions; of wide networks, these alone are wider.
pub(super) fn build(depth: usize, width: usize, shape: ImageShape, classes: usize) -> Graph {
    let (blocks, kind) = blocks(depth);
    let mut graph = Graph::new(shape);
    let mut x = graph.input();
    x = graph.conv("conv1", x, STEM, Window::square(7, 2), fan_out_conv);
    x = graph.batch_norm("bn1", x);
    x = graph.relu(x);
    x = graph.max_pool(x, 3, 2, 1);
    for (stage, (channels, blocks)) in STAGES.into_iter().zip(blocks).enumerate() {
        for index in 0..blocks {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let inner = channels * width / STAGES[0];
            x = block(&mut graph, kind, &format!("layer{}.{index}", stage + 1), x, [inner, channels], stride);
        }
    }
    x = graph.global_mean(x);
    let features = graph.node(x).shape.channels;
    graph.linear("fc", x, classes, Init::pytorch_default(features));
    graph
}

/// Convolutions and a sum; where the map shrinks or widens, the shortcut is a 1x1 convolution.
fn block(
    graph: &mut Graph,
    block: Block,
    name: &str,
    x: NodeId,
    [inner, channels]: [usize; 2],
    stride: usize,
) -> NodeId {
    let layers = match block {
        Block::Basic => vec![(channels, Window::square(3, stride)), (channels, Window::square(3, 1))],
        Block::Bottleneck => vec![
            (inner, Window::square(1, 1)),
            (inner, Window::square(3, stride)),
            (4 * channels, Window::square(1, 1)),
        ],
    };
    let outputs = layers[layers.len() - 1].0;
    let mut y = x;
    for (index, &(channels, window)) in layers.iter().enumerate() {
        if index > 0 {
            y = graph.relu(y);
        }
        y = graph.conv(&format!("{name}.conv{}", index + 1), y, channels, window, fan_out_conv);
        y = graph.batch_norm(&format!("{name}.bn{}", index + 1), y);
    }
    let shortcut = if stride == 1 && graph.node(x).shape.channels == outputs {
        x
    } else {
        let narrow = graph.conv(&format!("{name}.downsample.0"), x, outputs, Window::square(1, stride), fan_out_conv);
        graph.batch_norm(&format!("{name}.downsample.1"), narrow)
    };
    let sum = graph.add(y, shortcut);
    graph.relu(sum)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::sync::{Arc, Mutex};

    use candle_core::{DType, Device, Shape, Tensor};
    use candle_nn::var_builder::SimpleBackend;
    use candle_nn::{Module, VarBuilder};
    use candle_transformers::models::resnet;

    use super::*;
    use crate::cpu::compile::compile;
    use crate::cpu::compiled_model::ModelWorkspace;
    use crate::cpu::scorer::predict;
    use crate::formula;
    use crate::gpu::evaluation::EvaluationNetwork;
    use overinterp_kernels::engine::Purpose;
    use overinterp_kernels::isa::Isa;

    const SHAPE: ImageShape = ImageShape { height: 64, width: 64, channels: 3 };

    /// The largest difference between candle's logits and ours, walked and compiled, from the same weights.
    fn difference(
        depth: usize,
        theirs: impl Fn(VarBuilder<'static>) -> candle_core::Result<candle_nn::Func<'static>>,
    ) -> f32 {
        let graph = build(depth, 64, SHAPE, 10);
        let tensors = formula::tensors(&graph, 0.4);
        let uploaded: HashMap<String, Tensor> = tensors
            .iter()
            .map(|(name, tensor)| {
                let values = Tensor::from_slice(&tensor.data, tensor.shape.as_slice(), &Device::Cpu);
                (name.clone(), values.unwrap())
            })
            .collect();
        let theirs = theirs(VarBuilder::from_tensors(uploaded, DType::F32, &Device::Cpu)).unwrap();
        let image = formula::images(1, SHAPE);
        let x = Tensor::from_slice(&image, (1, SHAPE.height, SHAPE.width, 3), &Device::Cpu).unwrap();
        let planes = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let expected = theirs.forward(&planes).unwrap().get(0).unwrap().to_vec1::<f32>().unwrap();
        let largest = expected.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        assert!((0.1..100.0).contains(&largest), "logits up to {largest} tell nothing");

        let network = EvaluationNetwork::new(&graph, &tensors, &Device::Cpu).unwrap();
        let walked = network.logits(&x).unwrap().get(0).unwrap().to_vec1::<f32>().unwrap();
        let program = compile(&graph, &tensors, Isa::detect(), Purpose::Scores).unwrap();
        let mut workspace = ModelWorkspace::new(&Arc::new(program).into());
        let compiled = predict(&mut workspace, &image);
        let off = |found: &[f32]| found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        off(&walked).max(off(compiled))
    }

    /// Hands out zeros for whatever tensor is asked for, and notes its name and shape.
    #[derive(Clone, Default)]
    struct Asked(Arc<Mutex<BTreeMap<String, Vec<usize>>>>);

    impl SimpleBackend for Asked {
        fn get(
            &self,
            shape: Shape,
            name: &str,
            _: candle_nn::Init,
            dtype: DType,
            device: &Device,
        ) -> candle_core::Result<Tensor> {
            self.0.lock().unwrap().insert(name.to_owned(), shape.dims().to_vec());
            Tensor::zeros(shape, dtype, device)
        }

        fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
            candle_core::bail!("{name} is asked for without a shape")
        }

        fn contains_tensor(&self, _: &str) -> bool {
            true
        }
    }

    #[test]
    fn every_depth_has_the_tensors_of_candles_resnet() {
        type Build = fn(usize, VarBuilder<'_>) -> candle_core::Result<candle_nn::Func<'_>>;
        let depths: [(usize, Build); 5] = [
            (18, resnet::resnet18),
            (34, resnet::resnet34),
            (50, resnet::resnet50),
            (101, resnet::resnet101),
            (152, resnet::resnet152),
        ];
        for (depth, theirs) in depths {
            let asked = Asked::default();
            theirs(10, VarBuilder::from_backend(Box::new(asked.clone()), DType::F32, Device::Cpu)).unwrap();
            let graph = build(depth, 64, SHAPE, 10);
            let ours = graph.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone()));
            assert_eq!(ours.collect::<BTreeMap<_, _>>(), *asked.0.lock().unwrap(), "ResNet-{depth}");
        }
    }

    #[test]
    fn both_kinds_of_blocks_give_the_logits_of_candles_resnets() {
        let basic = difference(18, |weights| resnet::resnet18(10, weights));
        assert!(basic <= 1e-4, "ResNet-18: {basic}");
        let bottleneck = difference(50, |weights| resnet::resnet50(10, weights));
        assert!(bottleneck <= 1e-4, "ResNet-50: {bottleneck}");
    }
}
