//! Every key of every kind of stage: an edit changes the step's key, and the edited key is what is named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use overinterp_config::{Experiment, Override, parse, reference_page};
use overinterp_spec::{DataSource, ImageShape, Normalise, Split};
use overinterp_stages::{DataSplit, Env, FileKind, HashedFile, SelectionFiles};
use overinterp_workflow::change::changes;
use overinterp_workflow::manifest::Manifest;
use overinterp_workflow::plan::Plan;

use super::{Likes, changed, in_words, telling};
use crate::pipeline::{Absent, Files, SplitContent, plan};

const EVERY_STAGE: &str = r#"name = "every-stage"
[data.fashion]
kind = "fashion-mnist"
limit = { train = 40, test = 10 }
[data.other]
kind = "fashion-mnist"
limit = { train = 20, test = 5 }
[stage.full]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 3
recipe = { epochs = 4, batch = 16, lr = 0.05, momentum = 0.8, nesterov = false, weight-decay = 1e-3, milestones = [2], gamma = 0.5, augment = "crop-flip", input-dropout = { keep = 0.8, samples = 4 } }
[stage.cycle]
kind = "train"
images = "fashion.train"
arch = "cnn"
seed = 3
recipe = { epochs = 4, batch = 16, lr = 0.05, momentum = 0.8, nesterov = false, weight-decay = 1e-3, one-cycle = { warm-up = 0.3, start = 0.05, end = 0.01 }, augment = "none" }
normalise = { mean = [0.25], deviation = [0.25] }
[stage.imported]
kind = "import"
file = "weights.pt"
arch = "cnn"
data = "fashion"
input-dropout = { keep = 0.8, samples = 4, seed = 5 }
[stage.again]
kind = "import"
file = "others.pt"
arch = "cnn"
data = "fashion"
[stage.together]
kind = "ensemble"
members = ["full", "imported"]
[stage.cool]
kind = "temperature"
model = "full"
images = "fashion.train"
last = 10
[stage.ranking]
kind = "select"
model = "full"
images = ["fashion.train", "fashion.test"]
method = { kind = "batched-gradient", per-round = 16, noise = 1e-12 }
[stage.wide]
kind = "train"
images = "fashion.train"
arch = { family = "wide-resnet", depth = 10, width = 1, dropout = 0.1 }
seed = 0
recipe = { epochs = 2, schedule = { kind = "cosine", warm-up = 0.2, start = 0.1, end = 0.1 }, label-smoothing = 0.1 }
[stage.random]
kind = "select"
images = ["fashion.test"]
method = { kind = "random", seeds = { train = 1234, test = 5678 } }
[stage.exact]
kind = "select"
model = "full"
images = ["fashion.test"]
method = { kind = "backward" }
count = 4
[stage.by-gradient]
kind = "select"
model = "full"
images = ["fashion.test"]
method = { kind = "gradient", per-step = 4 }
[stage.integrated]
kind = "select"
model = "full"
images = ["fashion.test"]
method = { kind = "integrated-gradients", steps = 20 }
[stage.elsewhere]
kind = "import-selection"
data = "fashion"
files = { test = "sis" }
predictions = { test = "predictions.csv" }
method = { kind = "backward" }
count = 2
[stage.elsewhere-asked]
kind = "import-selection"
data = "fashion"
files = { test = "sis" }
model = "full"
method = { kind = "backward" }
count = 2
[stage.subset]
kind = "mask"
ranking = "ranking"
keep = 0.05
fill = "noise"
seed = 7
[stage.random-subset]
kind = "mask"
ranking = "random"
keep = 0.05
[stage.accuracy]
kind = "evaluate"
pairs = [{ model = "full", images = "fashion.test" }]
[stage.sufficient]
kind = "sis"
ranking = "exact"
threshold = 0.99
[stage.all]
kind = "collection"
model = "full"
images = ["fashion.test"]
threshold = 0.9
count = 4
[stage.every]
kind = "collection"
model = "full"
images = ["fashion.test"]
threshold = 0.8
count = 4
[stage.curve]
kind = "analyse"
question = "deletion-insertion"
ranking = "by-gradient.test"
model = "full"
fractions = [0.5, 0.05]
bootstrap = { resamples = 20, seed = 1 }
[stage.reliability]
kind = "analyse"
question = "calibration"
model = "full"
images = "subset.test"
bins = 10
[stage.size]
kind = "analyse"
question = "sis-size"
ranking = "exact.test"
threshold = 0.95
thresholds = [0.5, 0.9]
bootstrap = { resamples = 200, seed = 6 }
[stage.places]
kind = "analyse"
question = "heat-map"
subset = "subset.train"
per-class = false
[stage.shared]
kind = "analyse"
question = "overlap"
subset = "subset.test"
with = "random-subset.test"
[stage.disjoint]
kind = "analyse"
question = "collections"
collection = "all.test"
[stage.people]
kind = "human"
images = "subset.test"
answers = "answers.csv"
key = "key.csv"
"#;

/// Edits of a stage: a key, and its new value.
const EDITS: &[(&str, &[(&str, &str)])] = &[
    (
        "full",
        &[
            ("images", "'other.train'"),
            ("arch", "'resnet20'"),
            ("seed", "4"),
            ("recipe.epochs", "5"),
            ("recipe.batch", "8"),
            ("recipe.lr", "0.1"),
            ("recipe.momentum", "0.9"),
            ("recipe.nesterov", "true"),
            ("recipe.weight-decay", "0.5"),
            ("recipe.milestones", "[3]"),
            ("recipe.gamma", "0.25"),
            ("recipe.augment", "'none'"),
            ("recipe.input-dropout.keep", "0.7"),
            ("recipe.input-dropout.samples", "5"),
            ("init", "'again'"),
            ("normalise", "{ mean = [0.5], deviation = [0.5] }"),
        ],
    ),
    (
        "cycle",
        &[
            ("recipe.one-cycle.warm-up", "0.2"),
            ("recipe.one-cycle.start", "0.1"),
            ("recipe.one-cycle.end", "0.02"),
            ("normalise.mean", "[0.5]"),
            ("normalise.deviation", "[0.5]"),
        ],
    ),
    (
        "wide",
        &[
            ("arch.depth", "16"),
            ("arch.width", "2"),
            ("arch.dropout", "0.2"),
            ("recipe.schedule.warm-up", "0.3"),
            ("recipe.schedule.start", "0.2"),
            ("recipe.schedule.end", "0.2"),
            ("recipe.label-smoothing", "0.2"),
        ],
    ),
    (
        "imported",
        &[
            ("file", "'another.pt'"),
            ("arch", "'resnet20'"),
            ("data", "'other'"),
            ("input-dropout.keep", "0.7"),
            ("input-dropout.samples", "5"),
            ("input-dropout.seed", "6"),
            ("normalise", "{ mean = [0.5], deviation = [0.5] }"),
        ],
    ),
    ("together", &[("members", "['full', 'again']")]),
    ("cool", &[("model", "'again'"), ("images", "'other.train'"), ("last", "11")]),
    ("ranking", &[("model", "'again'"), ("method.per-round", "32"), ("method.noise", "0.5")]),
    ("random", &[("method.seeds.test", "1"), ("count", "3")]),
    ("exact", &[("count", "3"), ("method", "{ kind = 'gradient', per-step = 4 }")]),
    ("by-gradient", &[("method.per-step", "8"), ("images", "['other.test']")]),
    ("integrated", &[("method.steps", "30"), ("method.per-step", "2")]),
    (
        "elsewhere",
        &[
            ("files", "{ test = 'others' }"),
            ("predictions", "{ test = 'others.csv' }"),
            ("count", "3"),
            ("data", "'other'"),
        ],
    ),
    ("elsewhere-asked", &[("model", "'again'")]),
    ("subset", &[("keep", "{ rounds = 0.1 }"), ("content", "'mask-only'"), ("seed", "8")]),
    ("random-subset", &[("ranking", "'exact'"), ("keep", "0.1"), ("fill", "'noise'")]),
    ("accuracy", &[]),
    ("sufficient", &[("ranking", "'by-gradient'"), ("threshold", "0.9")]),
    ("all", &[("model", "'again'"), ("images", "['other.test']"), ("threshold", "0.8"), ("count", "3")]),
    (
        "curve",
        &[
            ("ranking", "'integrated.test'"),
            ("model", "'again'"),
            ("fractions", "[0.5]"),
            ("bootstrap.resamples", "30"),
            ("bootstrap.seed", "2"),
        ],
    ),
    ("reliability", &[("bins", "11")]),
    ("size", &[("threshold", "0.9"), ("thresholds", "[0.5]"), ("bootstrap.seed", "7")]),
    ("places", &[("subset", "'random-subset.test'"), ("per-class", "true")]),
    ("shared", &[("subset", "'random-subset.test'"), ("with", "'subset.test'")]),
    ("disjoint", &[("collection", "'every.test'"), ("bootstrap.seed", "3")]),
    ("people", &[("images", "'random-subset.test'"), ("answers", "'others.csv'"), ("key", "'others.csv'")]),
];

/// Keys that are in no edit, and why.
const NOT_EDITED: &[(&str, &str)] = &[
    ("kind", "another kind is another stage"),
    ("recipe", "by its keys"),
    ("arch.family", "another family has other keys"),
    ("arch.name", "it is no part of a key"),
    ("arch.layers", "as `arch`; what changes is named by its layer"),
    ("arch.blocks", "it stands for layers"),
    ("recipe.schedule", "by its keys"),
    ("recipe.schedule.kind", "another kind has other keys"),
    ("recipe.like", "it stands for the keys that it copies"),
    ("recipe.one-cycle", "by its keys"),
    ("recipe.input-dropout", "by its keys"),
    ("method.kind", "as part of `method`"),
    ("method.seeds", "by its keys"),
    ("method.seeds.train", "as `method.seeds.test`"),
    ("input-dropout", "by its keys"),
    ("transform-input", "true for one architecture alone, and part of what its file computes"),
    ("weights", "which tensors are taken is part of the file's content"),
    ("files.train", "as part of `files`"),
    ("files.test", "as part of `files`"),
    ("predictions.train", "as part of `predictions`"),
    ("predictions.test", "as part of `predictions`"),
    ("keep.rounds", "as part of `keep`"),
    ("over", "it stands for further members"),
    ("pairs", "each is a step of its own, known by its name"),
    ("pairs.model", "as `pairs`"),
    ("pairs.images", "as `pairs`"),
];

/// Everything is there, and contains what its name says.
struct Everything;

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

impl Files for Everything {
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitContent, Absent> {
        let normalise = Some(Normalise { mean: vec![1.0], std: vec![2.0] });
        let shape = ImageShape { height: 28, width: 28, channels: 1 };
        let images = if split == Split::Train { 40 } else { 10 };
        Ok(SplitContent { content: hash(&format!("{} {split}", source.name)), images, shape, normalise })
    }

    fn file(&self, _: FileKind, path: &Path) -> Result<String, Absent> {
        Ok(hash(&path.display().to_string()))
    }

    fn normalise(&self, _: &Path) -> Option<Normalise> {
        None
    }

    fn selections(&self, path: &Path, _: &DataSplit, count: usize) -> Result<SelectionFiles, Absent> {
        let file = |number| HashedFile { path: path.to_owned(), hash: hash(&format!("{} {number}", path.display())) };
        Ok(SelectionFiles::Single((0..count).map(file).collect()))
    }
}

fn experiment(set: &[Override]) -> Experiment {
    parse(EVERY_STAGE, Path::new("every.toml"), set).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The manifests of a stage's own steps, by what tells them apart.
fn manifests(plan: &Plan<Env>, stage: &str) -> BTreeMap<String, (String, Manifest)> {
    let mut found = BTreeMap::new();
    for (_, step) in plan.steps() {
        for label in step.labels().iter().filter(|label| label.stage == stage) {
            let shard = label.shard.map(|(index, _)| index);
            let name = format!("{} {:?} {shard:?}", step.manifest().kind(), label.part);
            found.insert(name, (step.identity().to_string(), step.manifest().clone()));
        }
    }
    found
}

#[test]
fn an_edit_of_any_key_changes_the_step_and_is_what_is_named() {
    let before = plan(&[experiment(&[])], &Everything).plan;
    for (stage, edits) in EDITS {
        let steps_before = manifests(&before, stage);
        for (key, value) in *edits {
            let set = Override::new(format!("stage.{stage}.{key}={value}"));
            let after = plan(&[experiment(&[set])], &Everything).plan;
            let steps_after = manifests(&after, stage);
            let expected = format!("stage.{stage}.{key}");
            let mut compared = 0;
            for (name, (identity, manifest)) in &steps_before {
                let Some((other, edited)) = steps_after.get(name) else { continue };
                if identity == other {
                    continue;
                }
                compared += 1;
                let found = changes(&manifest.leaves(), &edited.leaves());
                assert!(!found.is_empty(), "{expected} of {name}");
                for change in telling(manifest.kind(), &found) {
                    let text = changed(manifest.kind(), stage, change);
                    let named = text.split(' ').next().unwrap().trim_end_matches(':');
                    // What names another step follows from an edit of that one, as the model of a temperature's fit does.
                    let is_it = named == expected || named.starts_with(&format!("{expected}."));
                    let is_inner = *stage == "cool" && change.path == "settings.temperature";
                    assert!(is_it || is_inner, "{expected} = {value} is named {text} ({})", change.path);
                }
            }
            assert!(compared > 0, "{expected} = {value} changes no step");
        }
    }
}

#[test]
fn every_key_that_a_stage_declares_is_edited_or_said_why_not() {
    let page = reference_page();
    let stages = page.split("\n## `[stage.NAME]`").nth(1).unwrap().split("\n## `[table.NAME]`").next().unwrap();
    let edited: BTreeSet<&str> = EDITS.iter().flat_map(|(_, edits)| edits.iter().map(|(key, _)| *key)).collect();
    let excused: BTreeSet<&str> = NOT_EDITED.iter().map(|(key, _)| *key).collect();
    let mut unknown = BTreeSet::new();
    let mut count = 0;
    for line in stages.lines() {
        // Rows of keys, not of kinds and questions, whose first column is a link.
        let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        // Which instances a reference means is in the keys of these.
        if key == "question" || key.ends_with("-where") || key.contains("-where.") || key == "bootstrap" {
            continue;
        }
        count += 1;
        if !edited.contains(key) && !excused.contains(key) {
            unknown.insert(key.to_owned());
        }
    }
    assert!(count > 60, "{count}");
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a_setting_that_a_recipe_copies_is_named_where_it_is_written() {
    let stage = |name: &str, recipe: &str| {
        format!("[stage.{name}]\nkind = 'train'\nimages = 'f.train'\narch = 'cnn'\nseed = 0\nrecipe = {{ {recipe} }}\n")
    };
    let whole =
        "epochs = 1, batch = 8, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 0.0, augment = 'none'";
    let stages = [stage("full", whole), stage("a", "like = 'full', epochs = 2"), stage("b", "like = 'a'")].concat();
    let text = format!("name = 'x'\n[data.f]\nkind = 'fashion-mnist'\n{stages}");
    let likes = |set: &[&str]| {
        let set: Vec<Override> = set.iter().map(|set| set.parse().unwrap()).collect();
        Likes::of(&[parse(&text, Path::new("x.toml"), &set).unwrap()])
    };
    // What the command line sets, a stage writes itself.
    let set = likes(&["stage.b.recipe.lr=0.2"]);
    assert_eq!(set.source("b", "settings.recipe.lr"), "b");
    assert_eq!(set.source("a", "settings.recipe.lr"), "full");
    let likes = likes(&[]);
    assert_eq!(likes.source("b", "settings.recipe.lr"), "full");
    assert_eq!(likes.source("b", "settings.recipe.epochs"), "a");
    assert_eq!(likes.source("b", "settings.seed"), "b");
}

#[test]
fn versions_and_numbered_items_read_as_what_they_are() {
    assert_eq!(in_words("train", "full", "settings.recipe.weight_decay"), "stage.full.recipe.weight-decay");
    assert_eq!(in_words("train", "full", "settings.images.data.content"), "stage.full.images");
    assert_eq!(in_words("train", "full", "version"), "version of the program's stage behind stage.full");
    assert_eq!(in_words("ensemble", "all", "settings.members[1]"), "stage.all.members[1]");
}
