//! A plan as a graph, its shards folded: for Graphviz and for Mermaid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use overinterp_report::in_a_line;
use overinterp_stages::Env;
use overinterp_workflow::plan::{Plan, Step};
use overinterp_workflow::schedule::Schedule;

/// A node: steps that differ only in their shard.
struct Node {
    name: String,
    steps: usize,
    cached: usize,
}

struct Graph {
    nodes: Vec<Node>,
    edges: BTreeSet<(usize, usize)>,
}

/// The plan in the language of Graphviz.
pub(crate) fn dot(plan: &Plan<Env>, schedule: &Schedule) -> String {
    let graph = fold(plan, schedule);
    let mut text = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box, style=filled];\n");
    for (place, node) in graph.nodes.iter().enumerate() {
        let colour = if node.cached == node.steps { "palegreen" } else { "lightyellow" };
        let _ = writeln!(text, "  n{place} [label=\"{}\", fillcolor={colour}];", escaped(&caption(node)));
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(text, "  n{from} -> n{to};");
    }
    text + "}\n"
}

/// The plan in the language of Mermaid.
pub(crate) fn mermaid(plan: &Plan<Env>, schedule: &Schedule) -> String {
    let graph = fold(plan, schedule);
    let mut text = String::from("flowchart LR\n");
    for (place, node) in graph.nodes.iter().enumerate() {
        let class = if node.cached == node.steps { "cached" } else { "run" };
        let _ = writeln!(text, "  n{place}[\"{}\"]:::{class}", entities(&caption(node)));
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
    text + "  classDef cached fill:#98fb98\n  classDef run fill:#ffffe0\n"
}

fn caption(node: &Node) -> String {
    if node.steps == 1 { node.name.clone() } else { format!("{} ({} shards)", node.name, node.steps) }
}

/// For Graphviz, which takes labels in quotes: in one line, with quotes and backslashes escaped.
fn escaped(text: &str) -> String {
    in_a_line(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// For Mermaid, which takes labels for HTML and has its own signs for entities.
fn entities(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in in_a_line(text).chars() {
        match character {
            '"' => escaped += "#quot;",
            '#' => escaped += "#35;",
            '<' => escaped += "#lt;",
            '>' => escaped += "#gt;",
            '&' => escaped += "#amp;",
            '`' => escaped += "#96;",
            '\\' => escaped += "#92;",
            _ => escaped.push(character),
        }
    }
    escaped
}

fn fold(plan: &Plan<Env>, schedule: &Schedule) -> Graph {
    let mut graph = Graph { nodes: Vec::new(), edges: BTreeSet::new() };
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut node_of_step = Vec::with_capacity(plan.len());
    for (id, step) in plan.steps() {
        let name = name(step);
        let place = *places.entry(name.clone()).or_insert_with(|| {
            graph.nodes.push(Node { name, steps: 0, cached: 0 });
            graph.nodes.len() - 1
        });
        graph.nodes[place].steps += 1;
        graph.nodes[place].cached += usize::from(schedule.step(id).forecast.is_cached());
        for input in plan.inputs(id) {
            let from: usize = node_of_step[input.index()];
            graph.edges.insert((from, place));
        }
        node_of_step.push(place);
    }
    graph
}

fn name(step: &Step) -> String {
    let mut label = step.label().clone();
    label.shard = None;
    label.to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_value_of_an_axis_ends_no_label() {
        let caption = "subset name=a\"]|<b>\\ #1";
        assert_eq!(super::escaped(caption), "subset name=a\\\"]|<b>\\\\ #1");
        assert_eq!(super::entities(caption), "subset name=a#quot;]|#lt;b#gt;#92; #35;1");
    }
}
