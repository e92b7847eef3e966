//! A frozen plan: one file with all that planning learned, so that a worker neither reads experiment files nor looks at data
//! to know its steps.
//!
//! It holds each experiment as one text, and what was asked of files and data sets with the answers. Planning from it gives
//! the same steps, which is checked, and takes as long as there are steps to name. A step that needs data still reads them,
//! and holds them against the hash in its key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use overinterp_config::{Look, Override, merged, parse};
use overinterp_foreign::bounded;
use overinterp_spec::{DataSource, ImageShape, Normalise, Split};
use overinterp_stages::{DataSplit, Env, FileKind, HashedFile, SelectionFiles};
use overinterp_workflow::plan::Plan;
use overinterp_workflow::store::Store;

use super::Computed;
use super::files::{Contents, KnownFiles, Origins};
use super::findings::Findings;
use super::loader::Loader;
use crate::failure::{Failure, Kind};
use crate::pipeline::{Absent, Files, Planned, SplitContent, plan};

/// A plan of a hundred thousand steps on as many files has a hundredth of it.
const MOST_BYTES: u64 = 1 << 30;
/// What is written where the file is no frozen plan of this program.
const REMEDY: &str = "make it anew with the program that is to work on it: `overinterp run FILE --executor slurm` does";

/// A plan as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Frozen {
    /// The program that made it; no other reads it.
    program: String,
    /// A hash of every step's identity.
    steps: String,
    /// The folder that paths are relative to.
    folder: PathBuf,
    /// Each experiment as one text, with the file that it stands for.
    experiments: Vec<(PathBuf, String)>,
    /// The stages that alone are wanted; none where all are.
    stages: Vec<String>,
    answers: Answers,
}

/// What planning asked of files and was answered, by the question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Answers {
    splits: BTreeMap<String, Result<KnownContent, String>>,
    files: BTreeMap<String, Result<String, String>>,
    normalise: BTreeMap<String, Option<Scale>>,
    selections: BTreeMap<String, Result<KnownSelections, String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KnownContent {
    content: String,
    images: usize,
    shape: ImageShape,
    normalise: Option<Scale>,
}

/// Means and deviations by their bits, so that they are read as they were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Scale {
    mean: Vec<u64>,
    std: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KnownSelections {
    Single(Vec<(PathBuf, String)>),
    Packed(PathBuf, String),
}

impl From<&Normalise> for Scale {
    fn from(normalise: &Normalise) -> Self {
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
        Self { mean: bits(&normalise.mean), std: bits(&normalise.std) }
    }
}

impl From<&Scale> for Normalise {
    fn from(scale: &Scale) -> Self {
        let values = |bits: &[u64]| bits.iter().map(|&bits| f64::from_bits(bits)).collect();
        Self { mean: values(&scale.mean), std: values(&scale.std) }
    }
}

/// Passes on what is asked, and notes the answers.
struct Noting<'a> {
    files: &'a dyn Files,
    answers: RefCell<Answers>,
}

/// A question as the key of its answer.
fn asked(of: &dyn Debug, and: &dyn Debug) -> String {
    format!("{of:?} {and:?}")
}

impl Files for Noting<'_> {
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitContent, Absent> {
        let answer = self.files.split(source, split);
        let known = answer.as_ref().map(|SplitContent { content, images, shape, normalise }| KnownContent {
            content: content.clone(),
            images: *images,
            shape: *shape,
            normalise: normalise.as_ref().map(Scale::from),
        });
        let known = known.map_err(|Absent(why)| why.clone());
        self.answers.borrow_mut().splits.insert(asked(source, &split), known);
        answer
    }

    fn file(&self, kind: FileKind, path: &Path) -> Result<String, Absent> {
        let answer = self.files.file(kind, path);
        let known = answer.clone().map_err(|Absent(why)| why);
        self.answers.borrow_mut().files.insert(asked(&kind.to_string(), &path), known);
        answer
    }

    fn normalise(&self, path: &Path) -> Option<Normalise> {
        let answer = self.files.normalise(path);
        self.answers.borrow_mut().normalise.insert(asked(&path, &()), answer.as_ref().map(Scale::from));
        answer
    }

    fn selections(&self, path: &Path, split: &DataSplit, count: usize) -> Result<SelectionFiles, Absent> {
        let answer = self.files.selections(path, split, count);
        let pair = |file: &HashedFile| (file.path.clone(), file.hash.clone());
        let known = answer.as_ref().map(|files| match files {
            SelectionFiles::Single(files) => KnownSelections::Single(files.iter().map(pair).collect()),
            SelectionFiles::Packed(HashedFile { path, hash }) => KnownSelections::Packed(path.clone(), hash.clone()),
        });
        let known = known.map_err(|Absent(why)| why.clone());
        self.answers.borrow_mut().selections.insert(asked(&path, &(split, count)), known);
        answer
    }
}

/// Why a frozen plan lacks an answer, which the check of its steps finds out, too.
const NOT_ASKED: &str = "the frozen plan does not say";

impl Files for Answers {
    fn split(&self, source: &DataSource, split: Split) -> Result<SplitContent, Absent> {
        let known = self.splits.get(&asked(source, &split)).cloned();
        let KnownContent { content, images, shape, normalise } =
            known.unwrap_or_else(|| Err(NOT_ASKED.to_owned())).map_err(Absent)?;
        Ok(SplitContent { content, images, shape, normalise: normalise.as_ref().map(Normalise::from) })
    }

    fn file(&self, kind: FileKind, path: &Path) -> Result<String, Absent> {
        let known = self.files.get(&asked(&kind.to_string(), &path)).cloned();
        known.unwrap_or_else(|| Err(NOT_ASKED.to_owned())).map_err(Absent)
    }

    fn normalise(&self, path: &Path) -> Option<Normalise> {
        self.normalise.get(&asked(&path, &()))?.as_ref().map(Normalise::from)
    }

    fn selections(&self, path: &Path, split: &DataSplit, count: usize) -> Result<SelectionFiles, Absent> {
        let known = self.selections.get(&asked(&path, &(split, count))).cloned();
        Ok(match known.unwrap_or_else(|| Err(NOT_ASKED.to_owned())).map_err(Absent)? {
            KnownSelections::Single(files) => {
                SelectionFiles::Single(files.into_iter().map(|(path, hash)| HashedFile { path, hash }).collect())
            }
            KnownSelections::Packed(path, hash) => SelectionFiles::Packed(HashedFile { path, hash }),
        })
    }
}

/// A hash of every step's identity, in order.
fn hash_of(plan: &Plan<Env>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (_, step) in plan.steps() {
        hasher.update(step.identity().to_string().as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

const PROGRAM: &str = concat!("overinterp ", env!("CARGO_PKG_VERSION"));

impl Frozen {
    /// Freezes what `computed` was planned from: `files`, with `set` applied, and of them `stages` alone if any are named.
    ///
    /// # Errors
    /// When the files have become others meanwhile.
    pub fn of(files: &[PathBuf], set: &[Override], stages: &[String], computed: &Computed) -> Result<Self, Failure> {
        let known = KnownFiles::new(&computed.env.library);
        let noting = Noting { files: &known, answers: RefCell::default() };
        let _ = plan(&computed.experiments, &noting);
        let text = |file: &PathBuf| {
            let text = merged(file, set).map_err(|problems| Failure::problems(problems.render(Look::Plain)))?;
            Ok((file.clone(), text))
        };
        let frozen = Self {
            program: PROGRAM.to_owned(),
            steps: hash_of(&computed.planned.plan),
            folder: std::env::current_dir().map_err(|error| Failure::because(Kind::Usage, error))?,
            experiments: files.iter().map(text).collect::<Result<_, Failure>>()?,
            stages: stages.to_vec(),
            answers: noting.answers.into_inner(),
        };
        frozen.plan().map(|_| frozen)
    }

    /// The file's text.
    pub fn text(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(|error| Failure::because(Kind::Internal, error))
    }

    /// Reads a frozen plan.
    ///
    /// # Errors
    /// When it cannot be read, or another program made it.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let told = |why: String| {
            Failure::usage(format!("cannot work by the frozen plan {}: {why}", path.display())).hint(REMEDY)
        };
        let text = bounded::read_text(path, MOST_BYTES).map_err(|error| told(error.to_string()))?;
        let frozen: Self = serde_json::from_str(&text).map_err(|error| told(error.to_string()))?;
        if frozen.program == PROGRAM {
            Ok(frozen)
        } else {
            Err(told(format!("it is of {}, and this is {PROGRAM}", frozen.program)))
        }
    }

    /// What its experiments are called by: their files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.experiments.iter().map(|(file, _)| file.clone()).collect()
    }

    /// The folder that paths are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Plans by what is known.
    fn plan(&self) -> Result<(Vec<overinterp_config::Experiment>, Planned), Failure> {
        let experiment = |(file, text): &(PathBuf, String)| {
            parse(text, file, &[]).map_err(|problems| Failure::problems(problems.render(Look::Plain)))
        };
        let experiments = self.experiments.iter().map(experiment).collect::<Result<Vec<_>, Failure>>()?;
        let mut planned = plan(&experiments, &self.answers);
        if !self.stages.is_empty() {
            planned.plan = planned.plan.restricted(|label| self.stages.contains(&label.stage));
        }
        if hash_of(&planned.plan) != self.steps {
            let why = "a frozen plan gives other steps than those that it was made of: another program made it, or files \
                       changed while it was made";
            return Err(Failure::usage(why).hint(REMEDY));
        }
        Ok((experiments, planned))
    }
}

impl Computed {
    /// What a cache has of a frozen plan.
    ///
    /// # Errors
    /// When the cache cannot be opened, or the plan is of another program.
    pub fn frozen(frozen: &Frozen, cache: &Path, env: Env, warn: fn(&str)) -> Result<Self, Failure> {
        let loader = Loader::new(Store::open(cache)?, warn);
        let (experiments, planned) = frozen.plan()?;
        let (origins, contents, findings) = (Origins::new(), Contents::new(), Findings::new());
        let (cache, damaged) = (cache.to_owned(), Vec::new());
        Ok(Self { experiments, planned, loader, cache, env, damaged, origins, contents, findings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use overinterp_data::Library;

    fn env() -> Env {
        Env { device: Device::Cpu, library: Library::new(None) }
    }

    #[test]
    fn a_frozen_plan_has_the_steps_that_it_was_made_of_and_is_refused_where_it_has_others() {
        let folder = tempfile::tempdir().unwrap();
        let files = [Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.toml")];
        let set = [Override::new("sweep.seed=[0]")];
        let experiment = overinterp_config::load(&files[0], &set).unwrap();
        let (cache, stages) = (folder.path().join("cache"), ["full".to_owned()]);
        let computed = Computed::plan(vec![experiment], &cache, env(), &stages, |_| ()).unwrap();
        let frozen = Frozen::of(&files, &set, &stages, &computed).unwrap();
        let path = folder.path().join("plan.json");
        std::fs::write(&path, frozen.text().unwrap()).unwrap();
        let read = Frozen::read(&path).unwrap();
        assert_eq!(read, frozen);
        let again = Computed::frozen(&read, &cache, env(), |_| ()).unwrap();
        assert_eq!(again.planned.plan.keys(), computed.planned.plan.keys());
        assert!(!again.planned.plan.is_empty());

        let other = Frozen { steps: "0".repeat(64), ..frozen.clone() };
        assert!(
            Computed::frozen(&other, &cache, env(), |_| ())
                .is_err_and(|error| error.to_string().contains("other steps"))
        );
        // An answer that is missing is no reason to look at data.
        let other = Frozen { answers: Answers::default(), ..frozen.clone() };
        assert!(Computed::frozen(&other, &cache, env(), |_| ()).is_err());
        let other = Frozen { program: "overinterp 0.0.1".to_owned(), ..frozen };
        std::fs::write(&path, other.text().unwrap()).unwrap();
        assert!(Frozen::read(&path).is_err_and(|error| error.to_string().contains("0.0.1")));
    }
}
