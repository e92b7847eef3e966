//! An experiment becomes a plan: the method of the paper as a DAG of steps.
//!
//! Train a model on full images; rank the pixels of every image by what the model needs; keep the few ranked highest
//! and mask the rest; train new models on those subsets, which is the same stage on other images; evaluate all of
//! them. Configuration has already expanded sweeps and joined references, so what is left is to say which step
//! computes what, and to cut long work into shards.

mod work;

use std::collections::BTreeMap;
use std::path::Path;

use crate::artifacts::{Collections, Evaluation, Model, Ranking, SisSet, Subsets};
use crate::config::Experiment;
use crate::config::experiment::{ImagesRef, Instance, Settings, StageRef};
use crate::engine::key::{Key, StepKey};
use crate::engine::plan::{Label, Plan};
use crate::engine::stage::Stage;
use crate::spec::{Appearance, Arch, Cell, DataSource, Fraction, SeededDropout, Selection, Split, Work};
use crate::stages::{Collect, DataSplit, Ensemble, Env, Evaluate, FindSis, Images, Import, Mask, Range, Select, Train};

use work::Workload;

/// What planning needs to know of the files that an experiment names.
pub trait Files {
    /// What a split of a data set is known by.
    ///
    /// # Errors
    /// When it cannot be used: where it was looked for, and how to get it.
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitFacts, String>;

    /// The BLAKE3 of a file, in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read.
    fn file(&self, path: &Path) -> Result<String, String>;
}

/// What a split is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitFacts {
    /// The hash of its decoded content.
    pub content: String,
    /// The number of images.
    pub images: usize,
}

/// The steps of some experiments, equal ones merged, and where the results of each will be found.
pub struct Planned {
    /// The steps.
    pub plan: Plan<Env>,
    /// One entry an experiment.
    pub results: Vec<Results>,
    /// What each step has to compute, by its identity, as far as that is known.
    pub work: BTreeMap<StepKey, Vec<Work>>,
}

/// Where an experiment's results will be found.
#[derive(Debug, Default)]
pub struct Results {
    /// Every evaluation.
    pub evaluations: Vec<Outcome<Evaluation>>,
    /// Every trained or imported model, and every ensemble.
    pub models: Vec<Outcome<Model>>,
    /// Every set of sufficient input subsets.
    pub sufficient: Vec<Outcome<SisSet>>,
    /// Every set of subsets of one split.
    pub subsets: Vec<Outcome<Subsets>>,
}

/// A result of an experiment.
#[derive(Debug)]
pub struct Outcome<A> {
    /// The stage that produces it.
    pub stage: String,
    /// The stage that made the model, for an evaluation.
    pub model: String,
    /// The images, such as `subset.test`; empty for a model.
    pub images: String,
    /// The data behind the images; none for a model.
    pub data: Option<DataSplit>,
    /// The axes on which it depends.
    pub cell: Cell,
    /// The step.
    pub key: Key<A>,
}

/// Images of a shard when each costs d(d+1)/2 forward passes: what a crash may cost.
const BACKWARD_SHARD: usize = 16;
/// Images of a shard when each costs a few hundred forward and backward passes.
const GRADIENT_SHARD: usize = 512;
/// Images of a shard when each costs several backward selections.
const COLLECTION_SHARD: usize = 4;

/// Plans experiments together: a step that several need is there once.
#[must_use]
pub fn plan(experiments: &[Experiment], files: &dyn Files) -> Planned {
    let mut planned = Planned { plan: Plan::new(), results: Vec::new(), work: BTreeMap::new() };
    for experiment in experiments {
        let mut planner = Planner::new(experiment, files, &mut planned.plan);
        for stage in &experiment.stages {
            for instance in &stage.instances {
                planner.add(&stage.name, instance);
            }
        }
        planned.results.push(planner.results);
        planned.work.append(&mut planner.workload.into_work());
    }
    planned
}

/// A split in use: what the manifest says of it, how many images it has, and why it is absent if it is.
#[derive(Clone)]
struct KnownSplit {
    data: DataSplit,
    images: usize,
    absent: Option<String>,
}

/// The shards of one split's ranking.
struct RankedSplit {
    shards: Vec<Key<Ranking>>,
    split: KnownSplit,
}

struct Planner<'a> {
    files: &'a dyn Files,
    sources: BTreeMap<&'a str, &'a DataSource>,
    splits: BTreeMap<(&'a str, Split), KnownSplit>,
    models: BTreeMap<StageRef, Key<Model>>,
    rankings: BTreeMap<StageRef, Vec<RankedSplit>>,
    subsets: BTreeMap<(StageRef, Split), (Key<Subsets>, KnownSplit)>,
    plan: &'a mut Plan<Env>,
    results: Results,
    workload: Workload,
}

impl<'a> Planner<'a> {
    fn new(experiment: &'a Experiment, files: &'a dyn Files, plan: &'a mut Plan<Env>) -> Self {
        Self {
            files,
            sources: experiment.data.iter().map(|source| (source.name.as_str(), source)).collect(),
            splits: BTreeMap::new(),
            models: BTreeMap::new(),
            rankings: BTreeMap::new(),
            subsets: BTreeMap::new(),
            plan,
            results: Results::default(),
            workload: Workload::default(),
        }
    }

    fn add(&mut self, stage: &str, instance: &'a Instance) {
        let at = StageRef { stage: stage.to_owned(), cell: instance.cell.clone() };
        match &instance.settings {
            Settings::Train { images, arch, seed, recipe } => {
                let (images, absent) = self.images(images);
                let (monitor, also_absent) = self.monitor(&images);
                let (learned, tested) = (self.known(&images), self.known(&monitor));
                let train = Train { images, monitor, arch: *arch, seed: *seed, recipe: recipe.clone() };
                let key = self.step(train, label(&at), absent.or(also_absent));
                let samples = recipe.input_dropout.map_or(1, |dropout| dropout.samples);
                self.workload.model(key.step(), *arch, samples);
                if let (Some(learned), Some(tested)) = (learned, tested) {
                    self.workload.train(key.step(), *arch, recipe, &learned, &tested);
                }
                self.model(at, key);
            }
            Settings::Import { file, arch, data, input_dropout } => self.import(at, file, *arch, data, *input_dropout),
            Settings::Ensemble { members } => self.ensemble(at, members),
            Settings::Select { model, images, method, count } => {
                self.select(&at, model.as_ref(), images, method, *count);
            }
            Settings::Mask { ranking, keep, appearance } => self.mask(&at, ranking, *keep, *appearance),
            Settings::Evaluate { model, images } => self.evaluate(&at, model, images),
            Settings::Sis { ranking, threshold } => self.sis(&at, ranking, *threshold),
            Settings::Collection { model, images, threshold, count } => {
                self.collection(&at, model, images, *threshold, *count);
            }
        }
    }

    /// Adds a step, or, while its data are absent, its place in the plan.
    fn step<S: Stage<Env>>(&mut self, stage: S, label: Label, absent: Option<String>) -> Key<S::Output> {
        match absent {
            None => self.plan.add(stage, label),
            Some(why) => self.plan.add_without_data(stage, label, why),
        }
    }

    fn model(&mut self, at: StageRef, key: Key<Model>) {
        self.results.models.push(Outcome {
            stage: at.stage.clone(),
            model: at.stage.clone(),
            images: String::new(),
            data: None,
            cell: at.cell.clone(),
            key: key.clone(),
        });
        self.models.insert(at, key);
    }

    fn import(&mut self, at: StageRef, file: &Path, arch: Arch, data: &'a str, stated: Option<SeededDropout>) {
        // What keeps every pixel is no dropout, and no part of a manifest.
        let input_dropout = stated.filter(SeededDropout::drops);
        let like = self.split(data, Split::Train);
        let (content, absent) = match self.files.file(file) {
            Ok(content) => (content, like.absent),
            Err(why) => (format!("absent: {}", file.display()), Some(why)),
        };
        let import = Import { content, file: file.to_owned(), arch, like: like.data, input_dropout, stated };
        let key = self.step(import, label(&at), absent);
        self.workload.model(key.step(), arch, input_dropout.map_or(1, |dropout| dropout.samples));
        self.model(at, key);
    }

    fn ensemble(&mut self, at: StageRef, members: &[StageRef]) {
        let members: Vec<Key<Model>> = members.iter().map(|member| self.models[member].clone()).collect();
        let networks: Vec<StepKey> = members.iter().map(|member| member.step().clone()).collect();
        let key = self.step(Ensemble { members }, label(&at), None);
        self.workload.ensemble(key.step(), &networks);
        self.model(at, key);
    }

    fn select(
        &mut self,
        at: &StageRef,
        model: Option<&StageRef>,
        images: &'a [(String, Split)],
        method: &Selection,
        count: Option<usize>,
    ) {
        let splits: Vec<(KnownSplit, Vec<Range>)> = images
            .iter()
            .map(|(source, split)| {
                let split = self.split(source, *split);
                let images = count.map_or(split.images, |count| count.min(split.images));
                (split, Range::shards(images, shard_size(method, images)))
            })
            .collect();
        let shards: usize = splits.iter().map(|(_, ranges)| ranges.len()).sum();
        let model = model.map(|model| self.models[model].clone());
        let mut place = 0;
        let mut ranked = Vec::new();
        for (split, ranges) in splits {
            let mut keys = Vec::new();
            for range in ranges {
                let select = Select { model: model.clone(), images: split.data.clone(), range, method: method.clone() };
                let label = Label { shard: (shards > 1).then_some((place, shards)), ..part(at, split.data.split) };
                let count = select.range.count;
                let key = self.step(select, label, split.absent.clone());
                if let Some(model) = &model {
                    self.workload.select(key.step(), model.step(), &split.data, method, count);
                }
                keys.push(key);
                place += 1;
            }
            ranked.push(RankedSplit { shards: keys, split });
        }
        self.rankings.insert(at.clone(), ranked);
    }

    fn mask(&mut self, at: &StageRef, ranking: &StageRef, keep: Fraction, appearance: Appearance) {
        for (shards, split) in self.ranked(ranking) {
            let half = split.data.split;
            let mask = Mask { rankings: shards, keep, appearance: appearance.of(half) };
            let key = self.step(mask, part(at, half), split.absent.clone());
            self.results.subsets.push(Outcome {
                stage: at.stage.clone(),
                model: String::new(),
                images: format!("{}.{half}", at.stage),
                data: Some(split.data.clone()),
                cell: at.cell.clone(),
                key: key.clone(),
            });
            self.subsets.insert((at.clone(), half), (key, split));
        }
    }

    fn evaluate(&mut self, at: &StageRef, model: &StageRef, images: &'a ImagesRef) {
        let name = images_name(images);
        let (images, absent) = self.images(images);
        let data = images.data.clone();
        let known = self.known(&images);
        let evaluate = Evaluate { model: self.models[model].clone(), images };
        let label = Label { part: Some(format!("{} on {name}", model.stage)), ..label(at) };
        let key = self.step(evaluate, label, absent);
        if let Some(known) = known {
            self.workload.evaluate(key.step(), self.models[model].step(), &known);
        }
        self.results.evaluations.push(Outcome {
            stage: at.stage.clone(),
            model: model.stage.clone(),
            images: name,
            data: Some(data),
            cell: at.cell.clone(),
            key,
        });
    }

    fn sis(&mut self, at: &StageRef, ranking: &StageRef, threshold: f64) {
        for (shards, split) in self.ranked(ranking) {
            let half = split.data.split;
            let key = self.step(FindSis { rankings: shards, threshold }, part(at, half), split.absent.clone());
            self.results.sufficient.push(Outcome {
                stage: at.stage.clone(),
                model: String::new(),
                images: format!("{}.{half}", split.data.source.name),
                data: Some(split.data),
                cell: at.cell.clone(),
                key,
            });
        }
    }

    fn collection(
        &mut self,
        at: &StageRef,
        model: &StageRef,
        images: &'a [(String, Split)],
        threshold: f64,
        count: Option<usize>,
    ) {
        let model = self.models[model].clone();
        for (source, half) in images {
            let split = self.split(source, *half);
            let images = count.map_or(split.images, |count| count.min(split.images));
            let ranges = Range::shards(images, COLLECTION_SHARD);
            let shards = ranges.len();
            for (place, range) in ranges.into_iter().enumerate() {
                let collect = Collect { model: model.clone(), images: split.data.clone(), range, threshold };
                let label = Label { shard: (shards > 1).then_some((place, shards)), ..part(at, *half) };
                let _: Key<Collections> = self.step(collect, label, split.absent.clone());
            }
        }
    }

    /// The shards of every split that a stage ranks.
    fn ranked(&self, ranking: &StageRef) -> Vec<(Vec<Key<Ranking>>, KnownSplit)> {
        self.rankings[ranking].iter().map(|ranked| (ranked.shards.clone(), ranked.split.clone())).collect()
    }

    /// Images as a stage's manifest names them, and why their data are absent if they are.
    fn images(&mut self, images: &'a ImagesRef) -> (Images, Option<String>) {
        match images {
            ImagesRef::Data { source, split } => {
                let split = self.split(source, *split);
                (Images { data: split.data, subset: None }, split.absent)
            }
            ImagesRef::Subset { mask, split } => {
                let (key, split) = self.subsets[&(mask.clone(), *split)].clone();
                (Images { data: split.data, subset: Some(key) }, split.absent)
            }
        }
    }

    /// What a training on `images` is tested on after each epoch: the test images masked alike, or, where there are
    /// none, `images` themselves.
    fn monitor(&mut self, images: &Images) -> (Images, Option<String>) {
        match &images.subset {
            None => {
                let source = self.sources.get_key_value(images.data.source.name.as_str()).map(|(name, _)| *name);
                let split = source.map(|source| self.split(source, Split::Test));
                split.map_or_else(
                    || (images.clone(), None),
                    |split| (Images { data: split.data, subset: None }, split.absent),
                )
            }
            Some(subset) => {
                let trained_on = self.subsets.iter().find(|(_, (key, _))| key.step() == subset.step());
                let tested_on = trained_on.and_then(|((mask, _), _)| self.subsets.get(&(mask.clone(), Split::Test)));
                tested_on.map_or_else(
                    || (images.clone(), None),
                    |(key, split)| {
                        (Images { data: split.data.clone(), subset: Some(key.clone()) }, split.absent.clone())
                    },
                )
            }
        }
    }

    /// The split behind images.
    fn known(&self, images: &Images) -> Option<KnownSplit> {
        self.splits.values().find(|known| known.data == images.data).cloned()
    }

    fn split(&mut self, name: &'a str, split: Split) -> KnownSplit {
        let source = self.sources[name];
        let files = self.files;
        let known = self.splits.entry((name, split)).or_insert_with(|| match files.split(source, split) {
            Ok(facts) => KnownSplit {
                data: DataSplit { content: facts.content, split, source: source.clone() },
                images: facts.images,
                absent: None,
            },
            Err(why) => KnownSplit {
                data: DataSplit { content: format!("absent: {name}.{split}"), split, source: source.clone() },
                images: expected_images(source, split),
                absent: Some(why),
            },
        });
        known.clone()
    }
}

/// Images to expect of a split that is absent.
fn expected_images(source: &DataSource, split: Split) -> usize {
    let published = source.kind.published_images(split).unwrap_or(1);
    source.limit.of(split).map_or(published, |limit| limit.min(published))
}

/// Images of a shard. Random orders are one stream, drawn in one go.
fn shard_size(method: &Selection, images: usize) -> usize {
    match method {
        Selection::Backward => BACKWARD_SHARD,
        Selection::BatchedGradient { .. } | Selection::Gradient { .. } | Selection::IntegratedGradients { .. } => {
            GRADIENT_SHARD
        }
        Selection::Random { .. } => images.max(1),
    }
}

fn label(at: &StageRef) -> Label {
    let cell = at.cell.iter().map(|(axis, value)| (axis.clone(), serde_json::json!(value))).collect();
    Label { stage: at.stage.clone(), cell, part: None, shard: None }
}

fn part(at: &StageRef, split: Split) -> Label {
    Label { part: Some(split.name().to_owned()), ..label(at) }
}

fn images_name(images: &ImagesRef) -> String {
    match images {
        ImagesRef::Data { source, split } => format!("{source}.{split}"),
        ImagesRef::Subset { mask, split } => format!("{}.{split}", mask.stage),
    }
}
