//! Why steps run, by their first cause and in the words of the experiment file: `stage.full.recipe.lr 0.1 -> 0.05`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use overinterp_config::Experiment;
use overinterp_data::Content;
use overinterp_spec::Split;
use overinterp_stages::Env;
use overinterp_workflow::change::Change;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::plan::{Label, Plan, StepId};
use overinterp_workflow::schedule::{Schedule, Why};
use overinterp_workflow::store::Record;
use overinterp_workflow::view::View;

use super::Computed;

/// A first cause, with all that runs for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    /// In the words of the file.
    pub text: String,
    /// What to do about it, where that is not to run.
    pub remedy: Option<String>,
    /// The steps that have it themselves and those that depend on them, in the plan's order.
    pub steps: Vec<StepId>,
}

/// Tells causes of one plan.
pub(crate) struct Teller<'a> {
    plan: &'a Plan<Env>,
    schedule: &'a Schedule,
    history: BTreeMap<&'a StepKey, &'a Record>,
    /// The values of each stage's axes at which something of it is cached.
    cached: BTreeMap<(&'a str, &'a str), BTreeSet<String>>,
    likes: Likes,
    /// What images are called, by the hash of their content.
    contents: BTreeMap<String, String>,
}

impl<'a> Teller<'a> {
    /// Of a plan of those experiments.
    pub fn new(computed: &'a Computed, schedule: &'a Schedule, view: &'a View) -> Self {
        let (plan, experiments) = (&computed.planned.plan, &computed.experiments);
        let mut cached: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for (_, step) in plan.steps().filter(|(id, _)| schedule.step(*id).forecast.is_cached()) {
            for label in step.labels() {
                for (axis, value) in &label.cell {
                    cached.entry((label.stage.as_str(), axis.as_str())).or_default().insert(value.to_string());
                }
            }
        }
        let history = view.history().iter().map(|record| (&record.key, record.as_ref())).collect();
        let likes = if schedule.to_run() > 0 { Likes::of(experiments) } else { Likes::default() };
        let name = |((data, split), content): (&(String, Split), &Content)| {
            (content.hash.to_string(), format!("{data}.{}", split.name()))
        };
        Self { plan, schedule, history, cached, likes, contents: computed.contents.iter().map(name).collect() }
    }

    /// The first causes of all that is to run, in the order in which the plan meets them.
    pub fn causes(&self) -> Vec<Cause> {
        let roots = roots(self.plan, self.schedule);
        let mut places: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
        let mut found: Vec<Cause> = Vec::new();
        let mut of_root: BTreeMap<StepId, usize> = BTreeMap::new();
        for (id, _) in self.plan.steps() {
            let Some(root) = roots[id.index()] else { continue };
            if root == id {
                let (text, remedy) = self.told(id);
                let place = *places.entry((text.clone(), remedy.clone())).or_insert_with(|| {
                    found.push(Cause { text, remedy, steps: Vec::new() });
                    found.len() - 1
                });
                of_root.insert(id, place);
            }
            if let Some(&place) = of_root.get(&root) {
                found[place].steps.push(id);
            }
        }
        found
    }

    /// The first cause of one step, which is its own, and what to do about it.
    pub fn told(&self, id: StepId) -> (String, Option<String>) {
        let step = self.plan.step(id);
        let label = step.label();
        let text = match self.schedule.step(id).forecast.why() {
            None => "cached".to_owned(),
            Some(Why::DataAbsent(why)) => return ("no usable data".to_owned(), Some(why.clone())),
            Some(Why::Changed { from, changes }) => {
                let labels = self.history.get(from).map_or(&[][..], |record| &record.labels);
                new_values(label, labels).unwrap_or_else(|| self.changed(step.manifest().kind(), &label.stage, changes))
            }
            Some(Why::NeverRun) => self.beside_cached(label).unwrap_or_else(|| Why::NeverRun.to_string()),
            Some(why @ (Why::Damaged(_) | Why::Input(_) | Why::InputDiffers(_))) => why.to_string(),
        };
        (text, None)
    }

    fn changed(&self, kind: &str, stage: &str, changes: &[Change]) -> String {
        let mut texts: Vec<String> = Vec::new();
        for change in telling(kind, changes) {
            let stage = self.likes.source(stage, &change.path);
            let told =
                self.other_images(change).map(|text| vec![text]).or_else(|| self.other_step(kind, stage, change));
            for text in told.unwrap_or_else(|| vec![changed(kind, stage, change)]) {
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
        }
        texts.join("; ")
    }

    /// That a data set has changed and not which one is named: what it held is no longer to be had.
    fn other_images(&self, change: &Change) -> Option<String> {
        let (from, to) = (change.from.as_ref()?.as_str()?, change.to.as_ref()?.as_str()?);
        let is_known_no_more = !self.contents.contains_key(from) && is_hash(change.from.as_ref());
        let name = self.contents.get(to).filter(|_| is_known_no_more && change.path.ends_with(".content"))?;
        Some(format!("data.{name}: the images are others than before"))
    }

    /// That another step is named, by what tells it from the one before: `stage.exact.model-where.seed 0 -> 1`.
    fn other_step(&self, kind: &str, stage: &str, change: &Change) -> Option<Vec<String>> {
        let key = |value: &Option<Value>| value.as_ref()?.as_str()?.parse::<StepKey>().ok();
        let (from, to) = (self.label(&key(&change.from)?)?, self.label(&key(&change.to)?)?);
        let name = in_words(kind, stage, &change.path);
        if from.stage != to.stage {
            return Some(vec![format!("{name} {} -> {}", from.stage, to.stage)]);
        }
        let differs = |axis: &&String| from.cell.get(*axis) != to.cell.get(*axis);
        let shown = |label: &Label, axis: &String| label.cell.get(axis).map_or_else(|| "any".to_owned(), short);
        let axes = from.cell.keys().chain(to.cell.keys()).collect::<BTreeSet<_>>().into_iter().filter(differs);
        let texts: Vec<String> =
            axes.map(|axis| format!("{name}-where.{axis} {} -> {}", shown(from, axis), shown(to, axis))).collect();
        (!texts.is_empty()).then_some(texts)
    }

    /// What a step is or was called.
    fn label(&self, key: &StepKey) -> Option<&Label> {
        let planned = self.plan.find(key).map(|id| self.plan.step(id).label());
        planned.or_else(|| self.history.get(key)?.labels.first())
    }

    /// `sweep.seed = 2 is new`, where the stage is cached at other values.
    fn beside_cached(&self, label: &Label) -> Option<String> {
        let news = label.cell.iter().filter(|(axis, value)| {
            let known = self.cached.get(&(label.stage.as_str(), axis.as_str()));
            known.is_some_and(|known| !known.contains(&value.to_string()))
        });
        let texts: Vec<String> = news.map(|(axis, value)| new_value(axis, value)).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// From which stage each takes the keys of its recipe that it does not write itself.
#[derive(Debug, Default)]
pub(crate) struct Likes(BTreeMap<String, (String, BTreeSet<String>)>);

impl Likes {
    fn of(experiments: &[Experiment]) -> Self {
        let mut likes = BTreeMap::new();
        for experiment in experiments {
            likes.extend(experiment.likes.clone());
        }
        Self(likes)
    }

    /// The stage in which a setting of `stage` is written.
    fn source<'s>(&'s self, stage: &'s str, path: &str) -> &'s str {
        let Some(key) = path.strip_prefix("settings.recipe.").and_then(|rest| rest.split(['.', '[']).next()) else {
            return stage;
        };
        let key = key.replace('_', "-");
        let mut at = stage;
        // A circle is refused where the file is read.
        for _ in 0..self.0.len() {
            match self.0.get(at) {
                Some((base, own)) if !own.contains(&key) => at = base,
                _ => break,
            }
        }
        at
    }
}

/// For each step that is to run, the step that is the first cause of it.
pub(crate) fn roots(plan: &Plan<Env>, schedule: &Schedule) -> Vec<Option<StepId>> {
    let mut roots: Vec<Option<StepId>> = Vec::with_capacity(plan.len());
    for (id, _) in plan.steps() {
        let forecast = &schedule.step(id).forecast;
        let root = match forecast.why() {
            None => None,
            // What it lacks itself is told of each, and folded where it is the same.
            Some(Why::DataAbsent(_) | Why::Damaged(_) | Why::Changed { .. } | Why::NeverRun) => Some(id),
            Some(Why::Input(_) | Why::InputDiffers(_)) => {
                Some(plan.inputs(id).find_map(|input| roots[input.index()]).unwrap_or(id))
            }
        };
        roots.push(root);
    }
    roots
}

/// The changes that are edits, without what follows from another: fewer selections are fewer files.
pub(crate) fn telling<'c>(kind: &str, changes: &'c [Change]) -> impl Iterator<Item = &'c Change> {
    let counts = kind == "import-selection" && changes.iter().any(|change| change.path.starts_with("settings.range"));
    changes.iter().filter(move |change| !(counts && change.path == "settings.content"))
}

/// `sweep.seed = 2 is new`, where a step is like another of its stage at other values of the axes.
fn new_values(label: &Label, before: &[Label]) -> Option<String> {
    if before.iter().any(|before| before.stage == label.stage && before.cell == label.cell) {
        return None;
    }
    let before = before.iter().find(|before| before.stage == label.stage)?;
    let of_same_axes = before.cell.keys().eq(label.cell.keys());
    let news = label.cell.iter().filter(|(axis, value)| before.cell.get(*axis) != Some(value));
    let texts: Vec<String> = news.map(|(axis, value)| new_value(axis, value)).collect();
    (of_same_axes && !texts.is_empty()).then(|| texts.join("; "))
}

fn new_value(axis: &str, value: &Value) -> String {
    format!("sweep.{axis} = {} is new", short(value))
}

/// `stage.full.recipe.lr 0.1 -> 0.05`.
pub(crate) fn changed(kind: &str, stage: &str, change: &Change) -> String {
    let Change { path, from, to } = change;
    // A fill that comes or goes is one, whatever it is made of.
    let is_other_fill = path.starts_with("settings.appearance.fill") && (from.is_none() || to.is_none());
    let name = in_words(kind, stage, if is_other_fill { "settings.appearance.fill" } else { path });
    let is_content = path.ends_with("content") && is_hash(from.as_ref().or(to.as_ref()));
    match (from, to) {
        (Some(_), Some(_)) if is_content => format!("{name}: the content has changed"),
        (Some(from), Some(to)) => format!("{name} {} -> {}", short(from), short(to)),
        (None, Some(to)) => format!("{name} added: {}", short(to)),
        (Some(from), None) => format!("{name} removed: it was {}", short(from)),
        (None, None) => name,
    }
}

fn is_hash(value: Option<&Value>) -> bool {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A value in at most so many characters.
fn short(value: &Value) -> String {
    const WIDTH: usize = 60;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= WIDTH { text } else { text.chars().take(WIDTH - 3).chain("...".chars()).collect() }
}

/// A setting of a manifest as the experiment file calls it: what is written in the file is spelled as there, and a few settings
/// have other names in manifests, which must not change.
pub(crate) fn in_words(kind: &str, stage: &str, path: &str) -> String {
    let Some(setting) = path.strip_prefix("settings.") else {
        return match path {
            "version" => format!("version of the program's stage behind stage.{stage}"),
            other => format!("stage.{stage} {other}"),
        };
    };
    // `milestones[0]` is an item of `milestones`.
    let (first, rest) = setting.split_once('.').unwrap_or((setting, ""));
    let (plain, item) = first.split_once('[').map_or((first, String::new()), |(name, at)| (name, format!("[{at}")));
    let key = match (plain, rest) {
        ("range", _) => "count".to_owned(),
        ("appearance", rest) if rest.ends_with("seed") => "seed".to_owned(),
        ("appearance", rest) => rest.split('.').next().unwrap_or(rest).to_owned(),
        ("content", "") if kind == "import-selection" => "files".to_owned(),
        ("content", "") => "file".to_owned(),
        ("rankings", _) => "ranking".to_owned(),
        ("collections", _) => "collection".to_owned(),
        ("like", _) => "data".to_owned(),
        // What a stage finds by another of its keys.
        ("images", _) if kind == "import-selection" => "data".to_owned(),
        ("images", _) if kind == "analyse-heat-map" => "subset".to_owned(),
        ("images", _) if kind.starts_with("analyse-") => "ranking".to_owned(),
        ("images" | "monitor", _) => "images".to_owned(),
        ("input_dropout", rest) => joined("input-dropout", rest),
        ("normalise", rest) => match rest.rsplit('.').next() {
            Some("mean") => "normalise.mean".to_owned(),
            Some("std") => "normalise.deviation".to_owned(),
            _ => "normalise".to_owned(),
        },
        ("per_class", "") => "per-class".to_owned(),
        // The file calls it by its kind.
        ("recipe", rest) if rest.starts_with("cosine") => {
            joined("recipe.schedule", rest["cosine".len()..].trim_start_matches('.'))
        }
        ("keep", _) => joined("keep", rest),
        (name, rest) => joined(&format!("{name}{item}"), rest),
    };
    format!("stage.{stage}.{}", key.replace('_', "-"))
}

fn joined(name: &str, rest: &str) -> String {
    if rest.is_empty() { name.to_owned() } else { format!("{name}.{rest}") }
}

#[cfg(test)]
mod tests;
