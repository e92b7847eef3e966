//! Which cached steps may be those of a plan whose data are absent: such steps have no keys, but all else of what they are
//! is known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use overinterp_stages::Env;
use overinterp_workflow::key::StepKey;
use overinterp_workflow::manifest::{Manifest, canonical};
use overinterp_workflow::plan::Plan;
use overinterp_workflow::store::Perhaps;

/// Settings that follow from the data: a shard's images, the images that an imported network is like, how they are
/// normalised.
const OF_DATA: [&str; 3] = ["range", "like", "normalise"];

/// The steps of some plans that have no keys.
#[derive(Debug, Default)]
pub struct Unresolved {
    /// What each is but for its data, and so are the steps that it is made from.
    descents: BTreeSet<String>,
    /// The same without the latter.
    outlines: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Unresolved {
    /// Adds those of `plan`.
    pub fn add(&mut self, plan: &Plan<Env>) {
        let mut descents: BTreeMap<&StepKey, String> = BTreeMap::new();
        for (_, step) in plan.steps() {
            // Inputs come before what is made from them.
            let descent = outline(step.manifest(), &mut |input| descents.get(input).cloned()).map(|text| hashed(&text));
            if step.key().is_none() {
                self.descents.extend(descent.clone());
                self.outlines.extend(shallow(step.manifest()));
                self.kinds.insert(step.manifest().kind().to_owned());
            }
            descents.extend(descent.map(|descent| (step.identity(), descent)));
        }
    }
}

impl Perhaps for Unresolved {
    fn among(&self, cached: &BTreeMap<StepKey, Manifest>) -> BTreeSet<StepKey> {
        let mut descents = BTreeMap::new();
        let mut among = BTreeSet::new();
        for (key, manifest) in cached.iter().filter(|(_, manifest)| self.kinds.contains(manifest.kind())) {
            let may_be = match descent(key, cached, &mut descents) {
                Some(descent) => self.descents.contains(&descent),
                // It is not known what it was made from.
                None => shallow(manifest).is_some_and(|outline| self.outlines.contains(&outline)),
            };
            if may_be {
                among.insert(key.clone());
            }
        }
        among
    }

    fn kind(&self, kind: &str) -> bool {
        self.kinds.contains(kind)
    }
}

/// What a cached step is but for its data, with all that it was made from; `None` if some of that is not in the cache.
fn descent(
    key: &StepKey,
    cached: &BTreeMap<StepKey, Manifest>,
    known: &mut BTreeMap<StepKey, Option<String>>,
) -> Option<String> {
    if let Some(known) = known.get(key) {
        return known.clone();
    }
    let found = outline(cached.get(key)?, &mut |input| descent(input, cached, known)).map(|text| hashed(&text));
    known.insert(key.clone(), found.clone());
    found
}

fn hashed(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The manifest as a text without what follows from data: equal for a step whose data are there and for the same step
/// while they are absent. What an input is called says `name`; `None` if it does not know one.
fn outline(manifest: &Manifest, name: &mut dyn FnMut(&StepKey) -> Option<String>) -> Option<String> {
    let mut settings = manifest.settings();
    blank(&mut settings, name)?;
    Some(format!("{} {} {}", manifest.kind(), manifest.version(), canonical(&settings)))
}

/// [`outline`] whatever the inputs are.
fn shallow(manifest: &Manifest) -> Option<String> {
    outline(manifest, &mut |_| Some("input".to_owned()))
}

fn blank(value: &mut Value, name: &mut dyn FnMut(&StepKey) -> Option<String>) -> Option<()> {
    match value {
        Value::String(text) => {
            if let Ok(key) = text.parse() {
                *text = name(&key)?;
            } else if is_content(text) {
                "content".clone_into(text);
            }
        }
        Value::Array(items) => {
            let are_inputs = items.iter().all(|item| item.as_str().is_some_and(|text| text.parse::<StepKey>().is_ok()));
            items.iter_mut().try_for_each(|item| blank(item, name))?;
            if are_inputs {
                // How many shards there are depends on how many images there are.
                items.dedup();
            }
        }
        Value::Object(fields) => {
            fields.retain(|field, _| !OF_DATA.contains(&field.as_str()));
            fields.values_mut().try_for_each(|field| blank(field, name))?;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Some(())
}

/// Whether a text is a hash, or what stands in its place while there is nothing to hash.
fn is_content(text: &str) -> bool {
    text.starts_with("absent: ") || (text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::pipeline::{Absent, Files, SplitContent, plan};
    use overinterp_spec::{DataSource, ImageShape, Normalise, Split};
    use overinterp_stages::{DataSplit, FileKind, HashedFile, SelectionFiles};

    /// All files, or none.
    struct All(bool);

    impl All {
        fn answer<T>(&self, there: T) -> Result<T, Absent> {
            if self.0 { Ok(there) } else { Err(Absent("it is not there".to_owned())) }
        }
    }

    fn hash(text: &str) -> String {
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    impl Files for All {
        fn split(&self, source: &DataSource, split: Split) -> Result<SplitContent, Absent> {
            let normalise = Some(Normalise { mean: vec![1.0; 3], std: vec![2.0; 3] });
            // Neither as many as were published nor one.
            let shape = ImageShape { height: 60, width: 70, channels: 3 };
            self.answer(SplitContent { content: hash(&format!("{source:?} {split}")), images: 1234, shape, normalise })
        }

        fn file(&self, _: FileKind, path: &Path) -> Result<String, Absent> {
            self.answer(hash(&path.display().to_string()))
        }

        fn normalise(&self, _: &Path) -> Option<Normalise> {
            None
        }

        fn selections(&self, path: &Path, _: &DataSplit, count: usize) -> Result<SelectionFiles, Absent> {
            let file = |number| HashedFile { path: path.to_owned(), hash: hash(&format!("selection {number}")) };
            self.answer(SelectionFiles::Single((0..count).map(file).collect()))
        }
    }

    /// The experiments of the repository, and one of imports.
    fn experiments() -> Vec<overinterp_config::Experiment> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let paths: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
        let mut experiments: Vec<_> = paths
            .iter()
            .map(|path| overinterp_config::load(path, &[]).unwrap_or_else(|problems| panic!("{problems}")))
            .collect();
        let text = r#"
            name = "imports"
            [data.one]
            kind = "image-folder"
            root = "photographs"
            crop = 224
            resize = 256
            [data.other]
            kind = "cifar10"
            [stage.full]
            kind = "import"
            file = "weights.pt"
            arch = "imagenet-resnet50"
            data = "one"
            normalise = { mean = [0.5, 0.5, 0.5], deviation = [0.5, 0.5, 0.5] }
            [stage.small]
            kind = "train"
            images = "other.train"
            arch = "resnet20"
            seed = 1
            recipe = { epochs = 1, batch = 64, lr = 0.1, momentum = 0.9, nesterov = true, weight-decay = 5e-4, augment = "none" }
            [stage.elsewhere]
            kind = "import-selection"
            data = "other"
            files = { test = "sis" }
            predictions = { test = "predictions.csv" }
            method = { kind = "backward" }
            [stage.subset]
            kind = "mask"
            ranking = "elsewhere"
            keep = 0.05
            [stage.accuracy]
            kind = "evaluate"
            pairs = [{ model = "full", images = "one.test" }, { model = "small", images = "subset.test" }]
        "#;
        experiments.push(
            overinterp_config::parse(text, Path::new("imports.toml"), &[]).unwrap_or_else(|found| panic!("{found}")),
        );
        experiments
    }

    fn manifests(plan: &Plan<Env>) -> BTreeMap<StepKey, Manifest> {
        plan.steps().map(|(_, step)| (step.key().unwrap().clone(), step.manifest().clone())).collect()
    }

    /// Nothing of an experiment whose data are absent may be taken for garbage.
    #[test]
    fn every_step_is_known_again_while_its_data_are_absent() {
        for experiment in experiments() {
            let experiment = std::slice::from_ref(&experiment);
            let (there, absent) = (plan(experiment, &All(true)).plan, plan(experiment, &All(false)).plan);
            let mut unresolved = Unresolved::default();
            unresolved.add(&absent);
            let cached = manifests(&there);
            let known = unresolved.among(&cached);
            for (key, manifest) in &cached {
                let known = known.contains(key) || absent.find(key).is_some();
                assert!(known, "{}: {}", experiment[0].name, manifest.canonical());
                // Nor where the cache has lost what it was made from.
                let alone = BTreeMap::from([(key.clone(), manifest.clone())]);
                assert!(
                    unresolved.among(&alone).contains(key) || absent.find(key).is_some(),
                    "{}",
                    manifest.canonical()
                );
            }
        }
    }

    /// Which stages' keys tell how candidates are scored, where every network has this architecture.
    fn told_by(arch: &str) -> Vec<String> {
        let text = r#"
            name = "scoring"
            [data.one]
            kind = "cifar10"
            [stage.full]
            kind = "import"
            file = "weights.pt"
            arch = "ARCH"
            data = "one"
            [stage.both]
            kind = "ensemble"
            members = ["full", "other"]
            [stage.other]
            kind = "import"
            file = "others.pt"
            arch = "resnet20"
            data = "one"
            [stage.exact]
            kind = "select"
            model = "both"
            images = ["one.test"]
            method = { kind = "backward" }
            count = 2
            [stage.by-gradient]
            kind = "select"
            model = "full"
            images = ["one.test"]
            method = { kind = "batched-gradient", per-round = 16 }
            [stage.disjoint]
            kind = "collection"
            model = "full"
            images = ["one.test"]
            threshold = 0.9
            count = 2
            [stage.elsewhere]
            kind = "import-selection"
            data = "one"
            files = { test = "sis" }
            model = "full"
            method = { kind = "backward" }
            count = 2
            [stage.predicted]
            kind = "import-selection"
            data = "one"
            files = { test = "sis" }
            predictions = { test = "predictions.csv" }
            model = "full"
            method = { kind = "backward" }
            count = 2
            [stage.curve]
            kind = "analyse"
            question = "deletion-insertion"
            ranking = "by-gradient.test"
            model = "full"
        "#;
        let text = text.replace("ARCH", arch);
        let path = Path::new("scoring.toml");
        let experiment = overinterp_config::parse(&text, path, &[]).unwrap_or_else(|found| panic!("{found}"));
        let plan = plan(&[experiment], &All(true)).plan;
        let told = plan.steps().filter(|(_, step)| step.manifest().canonical().contains("\"scoring\":1"));
        let stages: BTreeSet<String> = told.map(|(_, step)| step.label().stage.clone()).collect();
        stages.into_iter().collect()
    }

    /// The bits of VGG16's candidates are of the second version. What does not rest on them keeps its keys.
    #[test]
    fn what_rests_on_candidates_of_vgg16_has_a_key_of_its_own() {
        assert_eq!(told_by("vgg16"), ["curve", "disjoint", "elsewhere", "exact"]);
        assert!(told_by("resnet18").is_empty());
    }

    #[test]
    fn a_step_of_other_settings_is_none_of_them() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.toml");
        let load = |set: &str| overinterp_config::load(&path, &[overinterp_config::Override::new(set)]).unwrap();
        let planned = |set: &str, there| plan(&[load(set)], &All(there)).plan;
        let mut unresolved = Unresolved::default();
        unresolved.add(&planned("sweep.seed=[0]", false));
        let known = |set: &str| unresolved.among(&manifests(&planned(set, true)));
        assert_eq!(known("sweep.seed=[0]").len(), planned("sweep.seed=[0]", true).len());
        // Random rankings, and what they leave of the images, are no seed's.
        let others = known("sweep.seed=[7]");
        assert!(others.iter().all(|key| ["select", "mask"].contains(&key.kind())), "{others:?}");
        assert!(!others.is_empty());
        assert!(!unresolved.kind("analyse-overlap") && unresolved.kind("train"));
    }
}
