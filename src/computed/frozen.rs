//! A frozen plan: one file with all that planning learned, so that a worker neither reads experiment files nor looks at data
//! to know its steps.
//!
//! It holds each experiment as one text, and what was asked of files and data sets with the answers. Planning from it gives
//! the same steps, which is checked, and takes as long as there are steps to name. A step that needs data still reads them,
//! and holds them against the hash in its key.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use overinterp_config::{Experiment, Look, Override, merged, parse};
use overinterp_foreign::bounded;
use overinterp_stages::Env;
use overinterp_workflow::plan::Plan;

use super::Computed;
use super::files::KnownFiles;
use super::findings::Findings;
use crate::PROGRAM;
use crate::failure::{Failure, Kind};
use crate::pipeline::plan;

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
    /// What planning asked of files and data sets, with the answers.
    findings: Findings,
}

/// A hash of every step's identity, in order.
fn hash_of(plan: &Plan<Env>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (_, step) in plan.steps() {
        hasher.update(step.identity().to_string().as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

impl Frozen {
    /// Freezes what `computed` was planned from: `files`, with `set` applied, and of them `stages` alone if any are named.
    ///
    /// # Errors
    /// When the files have become others meanwhile.
    pub fn of(files: &[PathBuf], set: &[Override], stages: &[String], computed: &Computed) -> Result<Self, Failure> {
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
            findings: computed.findings.clone(),
        };
        let known = KnownFiles::recorded(&frozen.findings);
        let planned = plan(&frozen.experiments()?, &known).restricted(stages);
        frozen.check(&planned.plan)?;
        Ok(frozen)
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

    /// Its experiments.
    fn experiments(&self) -> Result<Vec<Experiment>, Failure> {
        let experiment = |(file, text): &(PathBuf, String)| {
            parse(text, file, &[]).map_err(|problems| Failure::problems(problems.render(Look::Plain)))
        };
        self.experiments.iter().map(experiment).collect()
    }

    /// An error where a plan has other steps than the one that was frozen.
    fn check(&self, plan: &Plan<Env>) -> Result<(), Failure> {
        if hash_of(plan) == self.steps {
            return Ok(());
        }
        let why = "a frozen plan gives other steps than those that it was made of: another program made it, or files \
                   changed while it was made";
        Err(Failure::usage(why).hint(REMEDY))
    }
}

impl Computed {
    /// What a cache has of a frozen plan.
    ///
    /// # Errors
    /// When the cache cannot be opened, or the plan is of another program.
    pub fn frozen(frozen: &Frozen, cache: &Path, env: Env, warn: fn(&str)) -> Result<Self, Failure> {
        let (experiments, Frozen { findings, stages, .. }) = (frozen.experiments()?, frozen);
        let computed = Self::plan_as_found(experiments, findings, cache, env, stages, warn)?;
        frozen.check(&computed.planned.plan)?;
        Ok(computed)
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
        let other = Frozen { findings: Findings::new(), ..frozen.clone() };
        assert!(Computed::frozen(&other, &cache, env(), |_| ()).is_err());
        let other = Frozen { program: "overinterp 0.0.1".to_owned(), ..frozen };
        std::fs::write(&path, other.text().unwrap()).unwrap();
        assert!(Frozen::read(&path).is_err_and(|error| error.to_string().contains("0.0.1")));
    }
    #[test]
    fn data_sets_of_one_name_in_two_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.toml");
        let fewer = folder.path().join("fewer.toml");
        let text = format!("extends = {quickstart:?}\nname = \"fewer\"\n[data.fashion]\nlimit = {{ train = 100 }}\n");
        std::fs::write(&fewer, text).unwrap();
        let files = [quickstart, fewer];
        let experiments = files.iter().map(|file| overinterp_config::load(file, &[]).unwrap()).collect();
        let cache = folder.path().join("cache");
        let computed = Computed::plan(experiments, &cache, env(), &[], |_| ()).unwrap();
        let frozen = Frozen::of(&files, &[], &[], &computed).unwrap();
        let again = Computed::frozen(&frozen, &cache, env(), |_| ()).unwrap();
        assert_eq!(again.planned.plan.keys(), computed.planned.plan.keys());
    }
}
