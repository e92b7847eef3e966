//! Which operations of a graph run as one: a batch norm with the sum and the `ReLU` that follow it.

use crate::graph::{Graph, NodeId, Op};

/// One stride of a walk through a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The operation of that node alone.
    Single(NodeId),
    /// A batch norm, then perhaps a sum, then perhaps a `ReLU`.
    Normalise {
        /// The batch-norm node.
        norm: NodeId,
        /// What is added to the normalised map.
        residual: Option<NodeId>,
        /// Whether a `ReLU` follows, by its node.
        relu: Option<NodeId>,
        /// The node whose value comes out: the last of those fused.
        output: NodeId,
    },
}

impl Step {
    /// The node whose value the step yields.
    #[must_use]
    pub const fn output(self) -> NodeId {
        match self {
            Self::Single(node) | Self::Normalise { output: node, .. } => node,
        }
    }

    /// The nodes whose values the step reads.
    #[must_use]
    pub fn reads(self, graph: &Graph) -> Vec<NodeId> {
        match self {
            Self::Single(node) => graph.node(node).inputs.clone(),
            Self::Normalise { norm, residual, .. } => graph.node(norm).inputs.iter().copied().chain(residual).collect(),
        }
    }
}

/// Lists the steps that compute a graph's last node, in an order in which each reads only earlier ones.
///
/// A batch norm that only a sum reads is put off to the sum's place, where the other side is known.
#[must_use]
pub fn steps(graph: &Graph) -> Vec<Step> {
    let readers = readers(graph);
    let sole_reader = |node: NodeId| match readers[node.0][..] {
        [reader] => Some(reader),
        _ => None,
    };
    let is_norm = |node: NodeId| matches!(graph.node(node).op, Op::BatchNorm { .. });
    let relu_after = |node| sole_reader(node).filter(|&reader| graph.node(reader).op == Op::Relu);
    // For each sum, the batch norm that it absorbs.
    let absorbed = |sum: NodeId| {
        // What puts maps side by side has sides, too.
        let Op::Add = graph.node(sum).op else { return None };
        let sides = &graph.node(sum).inputs;
        let norm = sides.iter().copied().find(|&side| is_norm(side) && sole_reader(side) == Some(sum))?;
        let other = sides.iter().copied().find(|&side| side != norm)?;
        Some((norm, other))
    };

    let mut steps = Vec::new();
    let mut done = vec![false; graph.nodes().len()];
    for place in 0..graph.nodes().len() {
        let node = NodeId(place);
        if done[place] {
            continue;
        }
        let fused = match graph.node(node).op {
            Op::BatchNorm { .. } => match sole_reader(node) {
                Some(sum) if absorbed(sum).is_some_and(|(norm, _)| norm == node) => continue,
                _ => Some((node, None)),
            },
            Op::Add => absorbed(node).map(|(norm, other)| (norm, Some(other))),
            _ => None,
        };
        let step = match fused {
            None => Step::Single(node),
            Some((norm, residual)) => {
                let relu = relu_after(node);
                Step::Normalise { norm, residual, relu, output: relu.unwrap_or(node) }
            }
        };
        done[step.output().0] = true;
        steps.push(step);
    }
    steps
}

/// For each step, the nodes whose values nothing reads after it.
#[must_use]
pub fn last_reads(graph: &Graph, steps: &[Step]) -> Vec<Vec<NodeId>> {
    let mut seen = vec![false; graph.nodes().len()];
    let mut last: Vec<Vec<NodeId>> = steps
        .iter()
        .rev()
        .map(|step| step.reads(graph).into_iter().filter(|node| !std::mem::replace(&mut seen[node.0], true)).collect())
        .collect();
    last.reverse();
    last
}

/// The nodes that read each node.
pub(crate) fn readers(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); graph.nodes().len()];
    for (place, node) in graph.nodes().iter().enumerate() {
        for input in &node.inputs {
            readers[input.0].push(NodeId(place));
        }
    }
    readers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;
    use overinterp_spec::{Arch, ImageShape};

    fn graph(arch: Arch) -> Graph {
        arch::build(arch, ImageShape { height: 32, width: 32, channels: 3 }, 10).unwrap()
    }

    #[test]
    fn each_step_reads_only_earlier_ones_and_the_last_yields_the_logits() {
        for arch in Arch::SMALL {
            let graph = graph(arch);
            let steps = steps(&graph);
            let mut known = vec![false; graph.nodes().len()];
            for step in &steps {
                assert!(step.reads(&graph).iter().all(|node| known[node.0]), "{arch}: {step:?}");
                known[step.output().0] = true;
            }
            assert_eq!(steps.last().unwrap().output().0, graph.nodes().len() - 1, "{arch}");
        }
    }

    #[test]
    fn every_batch_norm_runs_once_and_takes_its_relu_along() {
        for arch in Arch::SMALL {
            let graph = graph(arch);
            let norms = graph.nodes().iter().filter(|node| matches!(node.op, Op::BatchNorm { .. })).count();
            let steps = steps(&graph);
            assert_eq!(steps.iter().filter(|step| matches!(step, Step::Normalise { .. })).count(), norms, "{arch}");
            let alone = |step: &Step| matches!(step, Step::Single(node) if graph.node(*node).op == Op::Relu);
            assert!(!steps.iter().any(alone), "{arch}");
        }
    }

    #[test]
    fn a_norm_that_stands_beside_other_maps_is_computed_before_them() {
        let mut graph = Graph::new(ImageShape { height: 4, width: 4, channels: 3 });
        let input = graph.input();
        let norm = graph.batch_norm("norm", input);
        let beside = graph.concat(&[norm, input]);
        graph.global_mean(beside);
        let steps = steps(&graph);
        let mut known = vec![false; graph.nodes().len()];
        for step in &steps {
            assert!(step.reads(&graph).iter().all(|node| known[node.0]), "{step:?}");
            known[step.output().0] = true;
        }
    }

    #[test]
    fn residual_sums_are_fused_where_a_norm_comes_last_in_the_block() {
        let fused = |arch| {
            let graph = graph(arch);
            let step = |step: &Step| matches!(step, Step::Normalise { residual: Some(_), relu: Some(_), .. });
            steps(&graph).iter().filter(|s| step(s)).count()
        };
        assert_eq!(fused(Arch::Resnet20), 9);
        assert_eq!(fused(Arch::Resnet18), 8);
        assert_eq!(fused(Arch::Wideresnet), 0);
    }

    #[test]
    fn a_value_is_let_go_after_its_last_reader() {
        let graph = graph(Arch::Resnet20);
        let steps = steps(&graph);
        let last = last_reads(&graph, &steps);
        assert_eq!(last.iter().map(Vec::len).sum::<usize>(), steps.len() - 1);
        for (at, nodes) in last.iter().enumerate() {
            for node in nodes {
                assert!(!steps[at + 1..].iter().any(|step| step.reads(&graph).contains(node)));
            }
        }
    }
}
