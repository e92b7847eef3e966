//! Inception v3 (Szegedy et al. 2016) as torchvision has it: five kinds of blocks of convolutions side by side. Its
//! auxiliary classifier, which only helps training, is left out.

use crate::graph::{Graph, Init, NodeId, Window};
use overinterp_spec::ImageShape;

/// torchvision's batch norms do not have PyTorch's default.
const EPSILON: f64 = 1e-3;
/// torchvision's deviation of all weights at the start; what it cuts off lies twenty deviations out.
const DEVIATION: f64 = 0.1;
/// Dropout before the linear layer.
const DROPOUT: f64 = 0.5;

/// Name, outputs and window of a convolution.
type Layer<'a> = (&'a str, usize, Window);

pub(super) fn build(shape: ImageShape, classes: usize) -> Graph {
    let mut net = Net(Graph::new(shape));
    let mut x = net.0.input();
    x = net.layer("Conv2d_1a_3x3", x, 32, bare(3, 2));
    x = net.layer("Conv2d_2a_3x3", x, 32, bare(3, 1));
    x = net.layer("Conv2d_2b_3x3", x, 64, Window::square(3, 1));
    x = net.0.max_pool(x, 3, 2, 0);
    x = net.layer("Conv2d_3b_1x1", x, 80, bare(1, 1));
    x = net.layer("Conv2d_4a_3x3", x, 192, bare(3, 1));
    x = net.0.max_pool(x, 3, 2, 0);
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = net.with_5x5(name, x, pooled);
    }
    x = net.first_reduction("Mixed_6a", x);
    for (name, channels) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = net.with_7x7(name, x, channels);
    }
    x = net.second_reduction("Mixed_7a", x);
    for name in ["Mixed_7b", "Mixed_7c"] {
        x = net.widest(name, x);
    }
    let Net(mut graph) = net;
    x = graph.global_mean(x);
    x = graph.dropout(x, DROPOUT);
    graph.linear("fc", x, classes, Init::Normal(DEVIATION));
    graph
}

/// A square window without a border.
const fn bare(kernel: usize, stride: usize) -> Window {
    Window { kernel: [kernel; 2], stride, padding: [0; 2] }
}

/// A window that keeps the size.
const fn keeping(height: usize, width: usize) -> Window {
    Window { kernel: [height, width], stride: 1, padding: [height / 2, width / 2] }
}

fn normal(_: usize, _: usize, _: usize) -> Init {
    Init::Normal(DEVIATION)
}

/// A network under construction.
struct Net(Graph);

impl Net {
    /// Convolution, batch norm and ReLU.
    fn layer(&mut self, name: &str, x: NodeId, outputs: usize, window: Window) -> NodeId {
        let y = self.0.conv(&format!("{name}.conv"), x, outputs, window, normal);
        let y = self.0.batch_norm_with(&format!("{name}.bn"), y, EPSILON);
        self.0.relu(y)
    }

    /// Layers of a block, one after the other.
    fn branch(&mut self, block: &str, mut x: NodeId, layers: &[Layer<'_>]) -> NodeId {
        for &(name, outputs, window) in layers {
            x = self.layer(&format!("{block}.{name}"), x, outputs, window);
        }
        x
    }

    /// The mean of each 3x3 window, then a 1x1 convolution.
    fn pooled(&mut self, block: &str, x: NodeId, outputs: usize) -> NodeId {
        let mean = self.0.mean_pool(x, 3, 1, 1);
        self.branch(block, mean, &[("branch_pool", outputs, bare(1, 1))])
    }

    fn with_5x5(&mut self, block: &str, x: NodeId, pooled: usize) -> NodeId {
        let parts = [
            self.branch(block, x, &[("branch1x1", 64, bare(1, 1))]),
            self.branch(block, x, &[("branch5x5_1", 48, bare(1, 1)), ("branch5x5_2", 64, keeping(5, 5))]),
            self.branch(
                block,
                x,
                &[
                    ("branch3x3dbl_1", 64, bare(1, 1)),
                    ("branch3x3dbl_2", 96, keeping(3, 3)),
                    ("branch3x3dbl_3", 96, keeping(3, 3)),
                ],
            ),
            self.pooled(block, x, pooled),
        ];
        self.0.concat(&parts)
    }

    fn first_reduction(&mut self, block: &str, x: NodeId) -> NodeId {
        let parts = [
            self.branch(block, x, &[("branch3x3", 384, bare(3, 2))]),
            self.branch(
                block,
                x,
                &[
                    ("branch3x3dbl_1", 64, bare(1, 1)),
                    ("branch3x3dbl_2", 96, keeping(3, 3)),
                    ("branch3x3dbl_3", 96, bare(3, 2)),
                ],
            ),
            self.0.max_pool(x, 3, 2, 0),
        ];
        self.0.concat(&parts)
    }

    fn with_7x7(&mut self, block: &str, x: NodeId, channels: usize) -> NodeId {
        let parts = [
            self.branch(block, x, &[("branch1x1", 192, bare(1, 1))]),
            self.branch(
                block,
                x,
                &[
                    ("branch7x7_1", channels, bare(1, 1)),
                    ("branch7x7_2", channels, keeping(1, 7)),
                    ("branch7x7_3", 192, keeping(7, 1)),
                ],
            ),
            self.branch(
                block,
                x,
                &[
                    ("branch7x7dbl_1", channels, bare(1, 1)),
                    ("branch7x7dbl_2", channels, keeping(7, 1)),
                    ("branch7x7dbl_3", channels, keeping(1, 7)),
                    ("branch7x7dbl_4", channels, keeping(7, 1)),
                    ("branch7x7dbl_5", 192, keeping(1, 7)),
                ],
            ),
            self.pooled(block, x, 192),
        ];
        self.0.concat(&parts)
    }

    fn second_reduction(&mut self, block: &str, x: NodeId) -> NodeId {
        let parts = [
            self.branch(block, x, &[("branch3x3_1", 192, bare(1, 1)), ("branch3x3_2", 320, bare(3, 2))]),
            self.branch(
                block,
                x,
                &[
                    ("branch7x7x3_1", 192, bare(1, 1)),
                    ("branch7x7x3_2", 192, keeping(1, 7)),
                    ("branch7x7x3_3", 192, keeping(7, 1)),
                    ("branch7x7x3_4", 192, bare(3, 2)),
                ],
            ),
            self.0.max_pool(x, 3, 2, 0),
        ];
        self.0.concat(&parts)
    }

    fn widest(&mut self, block: &str, x: NodeId) -> NodeId {
        let narrow = self.branch(block, x, &[("branch1x1", 320, bare(1, 1))]);
        let single = self.branch(block, x, &[("branch3x3_1", 384, bare(1, 1))]);
        let single = self.forked(block, single, ["branch3x3_2a", "branch3x3_2b"]);
        let double =
            self.branch(block, x, &[("branch3x3dbl_1", 448, bare(1, 1)), ("branch3x3dbl_2", 384, keeping(3, 3))]);
        let double = self.forked(block, double, ["branch3x3dbl_3a", "branch3x3dbl_3b"]);
        let pooled = self.pooled(block, x, 192);
        self.0.concat(&[narrow, single, double, pooled])
    }

    /// A row and a column of 3x3 side by side.
    fn forked(&mut self, block: &str, x: NodeId, [row, column]: [&str; 2]) -> NodeId {
        let parts = [
            self.branch(block, x, &[(row, 384, keeping(1, 3))]),
            self.branch(block, x, &[(column, 384, keeping(3, 1))]),
        ];
        self.0.concat(&parts)
    }
}
