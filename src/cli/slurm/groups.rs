//! Steps that are given the same are taken by the same workers.

use std::collections::{BTreeMap, BTreeSet};

use overinterp_slurm::script::Group;
use overinterp_slurm::waves::Task;
use overinterp_spec::Resources;
use overinterp_stages::Env;
use overinterp_workflow::plan::{Plan, StepId};
use overinterp_workflow::schedule::Schedule;
use overinterp_workflow::view::View;

use crate::cli::session::Session;
use crate::failure::Failure;
use crate::forecast::rates;

/// The groups of workers that a plan needs.
pub(crate) struct Grouped {
    pub groups: Vec<Group>,
    /// Which group takes steps of a kind.
    of_kind: BTreeMap<String, usize>,
}

/// The kind of stage that steps of a kind come from.
fn stage_kind(step: &str) -> &str {
    match step {
        "fit-temperature" | "scale-model" => "temperature",
        step if step.starts_with("analyse-") => "analyse",
        step => step,
    }
}

impl Grouped {
    /// The groups for all steps of a plan.
    pub fn of(plan: &Plan<Env>, resources: &BTreeMap<String, Resources>) -> Self {
        let kinds: BTreeSet<&str> = plan.steps().map(|(_, step)| step.manifest().kind()).collect();
        let all = resources.get("all").cloned().unwrap_or_default();
        let mut by_resources: BTreeMap<Resources, Vec<&str>> = BTreeMap::new();
        for kind in kinds {
            let given = resources.get(stage_kind(kind)).map_or_else(|| all.clone(), |own| own.over(&all));
            by_resources.entry(given).or_default().push(kind);
        }
        let is_one = by_resources.len() == 1;
        let mut of_kind = BTreeMap::new();
        let mut groups = Vec::new();
        for (place, (resources, kinds)) in by_resources.into_iter().enumerate() {
            let stages: BTreeSet<&str> = kinds.iter().map(|kind| stage_kind(kind)).collect();
            of_kind.extend(kinds.iter().map(|&kind| (kind.to_owned(), place)));
            let name = if is_one { "all".to_owned() } else { stages.into_iter().collect::<Vec<_>>().join("+") };
            let kinds = if is_one { Vec::new() } else { kinds.into_iter().map(str::to_owned).collect() };
            groups.push(Group { name, resources, kinds });
        }
        Self { groups, of_kind }
    }

    /// The group of that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.name == name)
    }
}

/// What of a plan is not in the cache.
pub(crate) struct Left {
    /// Each step to run.
    pub tasks: Vec<Task>,
    /// The step of each task.
    pub steps: Vec<StepId>,
    /// How many steps are cached.
    pub cached: usize,
}

impl Left {
    /// Looks at the cache.
    pub fn of(session: &Session, grouped: &Grouped) -> Result<Self, Failure> {
        let plan = &session.planned.plan;
        let view = View::of(plan, session.store())?;
        let schedule = rates::estimated(Schedule::new(plan, &view), &view, session);
        let mut places: BTreeMap<StepId, usize> = BTreeMap::new();
        let (mut tasks, mut steps) = (Vec::new(), Vec::new());
        for (id, step) in plan.steps().filter(|(id, _)| !schedule.step(*id).forecast.is_cached()) {
            places.insert(id, tasks.len());
            steps.push(id);
            tasks.push(Task {
                group: grouped.of_kind.get(step.manifest().kind()).copied().unwrap_or_default(),
                inputs: plan.inputs(id).filter_map(|input| places.get(&input).copied()).collect(),
                seconds: schedule.step(id).estimate.map(|estimate| estimate.seconds),
            });
        }
        Ok(Self { cached: plan.len() - tasks.len(), tasks, steps })
    }

    /// The steps of a group whose inputs are all there.
    pub fn ready(&self, group: usize) -> usize {
        self.tasks.iter().filter(|task| task.group == group && task.inputs.is_empty()).count()
    }
}
