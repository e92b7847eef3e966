//! The DAG of steps, each identified by what it computes.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, Reversed};

use super::key::{Key, StepKey};
pub use super::label::Label;
use super::manifest::Manifest;
use super::stage::{Artifact as _, Context, Stage, StageError};

/// A step's place in its plan. Inputs have lower places than what depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(u32);

impl StepId {
    /// The place as a number, counted from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    fn node(self) -> NodeIndex {
        NodeIndex::new(self.index())
    }
}

impl From<NodeIndex> for StepId {
    fn from(node: NodeIndex) -> Self {
        Self(node.index() as u32)
    }
}

/// One step of a plan, without the code that runs it.
#[derive(Clone, Debug)]
pub struct Step {
    identity: StepKey,
    manifest: Manifest,
    labels: Vec<Label>,
    absent: Option<String>,
}

impl Step {
    /// The step's key; `None` when data that it is made from are absent.
    #[must_use]
    pub const fn key(&self) -> Option<&StepKey> {
        match self.absent {
            None => Some(&self.identity),
            Some(_) => None,
        }
    }

    /// Why the step has no key: which data are absent.
    #[must_use]
    pub fn absent(&self) -> Option<&str> {
        self.absent.as_deref()
    }

    /// What the key is made of.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The first name that the step was added under.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.labels[0]
    }

    /// Every name that the step was added under.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The key even where data are absent; unique within the plan.
    #[must_use]
    pub const fn identity(&self) -> &StepKey {
        &self.identity
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Some(key) => write!(f, "{} ({})", self.label(), key.short()),
            None => write!(f, "{}", self.label()),
        }
    }
}

/// A stage of any type: runs and leaves its artifact's files in a directory.
pub(crate) trait Runnable<E>: Send + Sync {
    fn run_into(&self, context: &Context<'_, E>, dir: &Path) -> Result<(), StageError>;

    /// Does parts of what another has, and leaves them in the scratch directory.
    fn help(&self, context: &Context<'_, E>) -> Result<(), StageError>;

    /// [`Artifact::NOTES`] of what it produces.
    fn notes(&self) -> &'static [&'static str];
}

impl<E, S: Stage<E>> Runnable<E> for S {
    fn run_into(&self, context: &Context<'_, E>, dir: &Path) -> Result<(), StageError> {
        Ok(self.run(context)?.save(dir)?)
    }

    fn help(&self, context: &Context<'_, E>) -> Result<(), StageError> {
        self.run(context).map(drop)
    }

    fn notes(&self) -> &'static [&'static str] {
        S::Output::NOTES
    }
}

/// Steps and how they depend on each other. `E` is the environment that the stages share.
pub struct Plan<E> {
    graph: DiGraph<Step, ()>,
    stages: Vec<Box<dyn Runnable<E>>>,
    places: HashMap<StepKey, StepId>,
}

impl<E> Default for Plan<E> {
    fn default() -> Self {
        Self { graph: DiGraph::new(), stages: Vec::new(), places: HashMap::new() }
    }
}

impl<E> Plan<E> {
    /// A plan without steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step and gives the handle by which other steps refer to it. A step that is there already is not
    /// repeated, but keeps the new label too.
    ///
    /// # Panics
    /// When the keys in the stage's manifest are not those of its inputs, when one is of another plan, or when
    /// its kind is no lower-case word: mistakes in the stage, each of which would make the cache lie.
    pub fn add<S: Stage<E>>(&mut self, stage: S, label: Label) -> Key<S::Output> {
        let manifest = Manifest::of(&stage);
        self.insert(stage, manifest, label, None)
    }

    /// Adds a step that cannot run, because data that it is made from are absent; `why` says which, where they
    /// were looked for and how to get them. It and all that depends on it have no key.
    ///
    /// # Panics
    /// As [`Plan::add`] does.
    pub fn add_without_data<S: Stage<E>>(&mut self, stage: S, label: Label, why: String) -> Key<S::Output> {
        let manifest = Manifest::of(&stage).without_data(&why);
        self.insert(stage, manifest, label, Some(why))
    }

    fn insert<S: Stage<E>>(
        &mut self,
        stage: S,
        manifest: Manifest,
        label: Label,
        absent: Option<String>,
    ) -> Key<S::Output> {
        let identity = manifest.key();
        if let Some(&place) = self.places.get(&identity) {
            let labels = &mut self.graph[place.node()].labels;
            if !labels.contains(&label) {
                labels.push(label);
            }
            return Key::new(identity);
        }
        assert!(StepKey::is_kind(S::KIND), "stage kind '{}' is not made of lower-case letters, digits, '-'", S::KIND);
        let keys = manifest.inputs();
        let declared = stage.inputs();
        assert!(
            keys == declared || keys.iter().collect::<BTreeSet<_>>() == declared.iter().collect::<BTreeSet<_>>(),
            "the inputs of stage '{}' are not the keys in its manifest",
            S::KIND
        );
        let inputs: Vec<StepId> = keys
            .iter()
            .map(|key| *self.places.get(key).unwrap_or_else(|| panic!("input {key} is not in this plan")))
            .collect();
        let absent = absent.or_else(|| inputs.iter().find_map(|&input| self.step(input).absent.clone()));
        let step = Step { identity: identity.clone(), manifest, labels: vec![label], absent };
        let node = self.graph.add_node(step);
        for input in inputs {
            self.graph.add_edge(input.node(), node, ());
        }
        self.stages.push(Box::new(stage));
        self.places.insert(identity.clone(), node.into());
        Key::new(identity)
    }

    /// Every step, inputs before what depends on them.
    #[must_use]
    pub fn steps(&self) -> impl ExactSizeIterator<Item = (StepId, &Step)> {
        self.graph.node_indices().map(|node| (node.into(), &self.graph[node]))
    }

    /// The number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there is no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The step that has this id in this plan.
    #[must_use]
    pub fn step(&self, id: StepId) -> &Step {
        &self.graph[id.node()]
    }

    /// The step that a handle refers to.
    #[must_use]
    pub fn find(&self, key: &StepKey) -> Option<StepId> {
        self.places.get(key).copied()
    }

    /// The steps whose artifacts `id` loads, in the order in which its manifest names them first.
    pub fn inputs(&self, id: StepId) -> impl DoubleEndedIterator<Item = StepId> + ExactSizeIterator {
        // The graph has the edge that was added last in front.
        let inputs: Vec<NodeIndex> = self.graph.neighbors_directed(id.node(), Direction::Incoming).collect();
        inputs.into_iter().rev().map(StepId::from)
    }

    /// The steps that load what `id` produces.
    pub fn dependants(&self, id: StepId) -> impl Iterator<Item = StepId> {
        self.graph.neighbors_directed(id.node(), Direction::Outgoing).map(StepId::from)
    }

    /// What data are absent, each reason once, in the order of the steps.
    #[must_use]
    pub fn missing_data(&self) -> Vec<&str> {
        let mut reasons = Vec::new();
        for (_, step) in self.steps() {
            reasons.extend(step.absent().filter(|why| !reasons.contains(why)));
        }
        reasons
    }

    /// The keys of all steps that have one: what garbage collection must keep for this plan.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<StepKey> {
        self.steps().filter_map(|(_, step)| step.key().cloned()).collect()
    }

    /// Drops every step that is neither labelled as `wanted` asks nor needed by one that is.
    #[must_use]
    pub fn restricted(self, wanted: impl Fn(&Label) -> bool) -> Self {
        // From what is wanted along the edges backwards.
        let towards_inputs = Reversed(&self.graph);
        let mut needed = Dfs::empty(towards_inputs);
        for (id, _) in self.steps().filter(|(_, step)| step.labels.iter().any(&wanted)) {
            needed.move_to(id.node());
            while needed.next(towards_inputs).is_some() {}
        }
        let is_needed = |node: NodeIndex| needed.discovered.contains(node.index());
        let graph = self.graph.filter_map(|node, step| is_needed(node).then(|| step.clone()), |_, ()| Some(()));
        let stages = self.stages.into_iter().enumerate();
        let stages = stages.filter(|(place, _)| is_needed(NodeIndex::new(*place))).map(|(_, stage)| stage).collect();
        let places = graph.node_indices().map(|node| (graph[node].identity.clone(), node.into())).collect();
        Self { graph, stages, places }
    }

    pub(crate) fn stage(&self, id: StepId) -> &dyn Runnable<E> {
        self.stages[id.index()].as_ref()
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::toys::{Bench, Give, Number, give, label, sum};

    #[test]
    fn the_key_of_a_fixed_manifest_never_changes() {
        let mut plan = Plan::<Bench>::new();
        let two = plan.add(give(2, "golden"), label("two"));
        let step = plan.step(plan.find(two.step()).unwrap());
        assert_eq!(
            step.manifest().canonical(),
            r#"{"kind":"give","settings":{"note":"golden","value":2},"version":1}"#
        );
        // python3 -c 'import blake3; print(blake3.blake3(b"<the text above>").hexdigest())'
        assert_eq!(two.step().to_string(), "give-v1:fb10e00662500bc362fa76e930fe0fbdeab229b1532b48d7d016b9b8277ea7f3");
    }

    #[test]
    fn equal_steps_merge_and_keep_their_labels() {
        let mut plan = Plan::<Bench>::new();
        let first = plan.add(give(1, ""), label("a"));
        let second = plan.add(give(1, ""), label("b"));
        plan.add(give(1, ""), label("b"));
        assert_eq!(first.step(), second.step());
        assert_eq!(plan.len(), 1);
        let stages: Vec<&str> = plan.step(StepId(0)).labels().iter().map(|label| label.stage.as_str()).collect();
        assert_eq!(stages, ["a", "b"]);
    }

    #[test]
    fn a_step_follows_its_inputs_and_is_keyed_by_them() {
        let keys = |value| {
            let mut plan = Plan::<Bench>::new();
            let one = plan.add(give(value, ""), label("one"));
            let two = plan.add(give(2, ""), label("two"));
            let total = plan.add(sum(&[&one, &two], 1.0), label("total"));
            let id = plan.find(total.step()).unwrap();
            assert_eq!(plan.inputs(id).len(), 2);
            assert!(plan.steps().all(|(id, _)| plan.inputs(id).all(|input| input < id)));
            assert_eq!(plan.dependants(plan.find(one.step()).unwrap()).collect::<Vec<_>>(), [id]);
            (two.step().clone(), total.step().clone())
        };
        let ((two, total), (same_two, other_total)) = (keys(1), keys(7));
        assert_eq!(two, same_two);
        assert_ne!(total, other_total);
    }

    #[test]
    fn what_depends_on_absent_data_has_no_key() {
        let mut plan = Plan::<Bench>::new();
        let absent = plan.add_without_data(give(1, ""), label("absent"), "no ones".to_owned());
        let there = plan.add(give(1, ""), label("there"));
        let total = plan.add(sum(&[&absent, &there], 1.0), label("total"));
        let step = |key: &Key<Number>| plan.step(plan.find(key.step()).unwrap());
        assert!(step(&absent).key().is_none());
        assert_eq!(step(&there).key(), Some(there.step()));
        assert!(step(&total).key().is_none());
        assert_eq!(step(&total).absent(), Some("no ones"));
        assert_eq!(plan.missing_data(), ["no ones"]);
        assert_eq!(plan.keys().len(), 1);
    }

    #[test]
    fn restricting_keeps_what_is_needed() {
        let mut plan = Plan::<Bench>::new();
        let other = plan.add(give(0, "other"), label("other"));
        let one = plan.add(give(1, ""), label("one"));
        let total = plan.add(sum(&[&one], 2.0), label("total"));
        let plan = plan.restricted(|label| label.stage == "total");
        assert_eq!(plan.len(), 2);
        assert!(plan.find(other.step()).is_none());
        let id = plan.find(total.step()).unwrap();
        assert_eq!(plan.inputs(id).collect::<Vec<_>>(), [plan.find(one.step()).unwrap()]);
    }

    #[derive(Serialize)]
    struct Hiding {
        #[serde(skip)]
        input: Key<Number>,
    }

    impl Stage<Bench> for Hiding {
        const KIND: &'static str = "hiding";
        const VERSION: u32 = 1;
        type Output = Number;

        fn inputs(&self) -> Vec<StepKey> {
            vec![self.input.step().clone()]
        }

        fn run(&self, context: &Context<'_, Bench>) -> Result<Number, StageError> {
            context.load(&self.input)
        }
    }

    #[test]
    #[should_panic(expected = "the inputs of stage 'hiding' are not the keys in its manifest")]
    fn an_input_that_the_manifest_hides_is_refused() {
        let mut plan = Plan::<Bench>::new();
        let input = plan.add(give(1, ""), label("one"));
        plan.add(Hiding { input }, label("hiding"));
    }

    #[test]
    #[should_panic(expected = "is not in this plan")]
    fn an_input_of_another_plan_is_refused() {
        let foreign = Plan::<Bench>::new().add(Give { value: 1, note: String::new() }, label("one"));
        Plan::<Bench>::new().add(sum(&[&foreign], 1.0), label("total"));
    }
}
