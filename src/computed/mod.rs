//! What a cache has of planned experiments: the one way in which verbs load results, and the one policy for damage.

pub(crate) mod causes;
pub(crate) mod cell;
pub(crate) mod damage;
pub(crate) mod files;
pub(crate) mod findings;
pub(crate) mod frozen;
pub(crate) mod loader;
pub(crate) mod names;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use overinterp_artifacts::ImageSet;
use overinterp_config::experiment::Experiment;
use overinterp_stages::{DataSplit, Env};
use overinterp_workflow::store::Store;

use crate::failure::Failure;
use crate::pipeline::{Planned, plan};
use files::{Contents, KnownFiles, Learned, Origins};
use findings::Findings;
use loader::Loader;
use names::check_stages;

/// Experiments, planned, and the cache that has some of their results.
pub(crate) struct Computed {
    pub experiments: Vec<Experiment>,
    pub planned: Planned,
    pub loader: Loader,
    /// The directory of its store.
    pub cache: PathBuf,
    pub env: Env,
    /// Data that are there but cannot be used.
    pub damaged: Vec<String>,
    pub origins: Origins,
    pub contents: Contents,
    /// What planning learned of the files that the experiments name.
    pub findings: Findings,
}

impl Computed {
    /// Plans `experiments`, or only `stages` of them and what these need, if any are named.
    ///
    /// # Errors
    /// When the cache cannot be opened, or there is no such stage.
    pub fn plan(
        experiments: Vec<Experiment>,
        cache: &Path,
        env: Env,
        stages: &[String],
        warn: fn(&str),
    ) -> Result<Self, Failure> {
        let known = KnownFiles::new(&env.library);
        let planned = plan(&experiments, &known);
        let learned = known.into_learned();
        Self::of(experiments, planned, learned, (cache, env), stages, warn)
    }

    /// Plans `experiments` as when `findings` were made of the files that they name, wherever these are now.
    ///
    /// # Errors
    /// As [`Computed::plan`].
    pub fn plan_as_found(
        experiments: Vec<Experiment>,
        findings: &Findings,
        cache: &Path,
        env: Env,
        stages: &[String],
        warn: fn(&str),
    ) -> Result<Self, Failure> {
        let known = KnownFiles::recorded(findings);
        let planned = plan(&experiments, &known);
        Self::of(experiments, planned, known.into_learned(), (cache, env), stages, warn)
    }

    fn of(
        experiments: Vec<Experiment>,
        planned: Planned,
        learned: Learned,
        (cache, env): (&Path, Env),
        stages: &[String],
        warn: fn(&str),
    ) -> Result<Self, Failure> {
        let loader = Loader::new(Store::open(cache)?, warn);
        let Learned { damaged, origins, contents, findings } = learned;
        check_stages(&experiments, stages)?;
        let planned = planned.restricted(stages);
        Ok(Self { experiments, planned, loader, cache: cache.to_owned(), env, damaged, origins, contents, findings })
    }

    /// The images of one half of a data set.
    ///
    /// # Errors
    /// When they are absent or damaged.
    pub fn images_of(&self, data: &DataSplit) -> Result<Arc<ImageSet>, Failure> {
        Ok(self.env.library.images(&data.source, data.split)?)
    }

    /// Where results are kept.
    pub const fn store(&self) -> &Store {
        &self.loader.store
    }

    /// The same, to share it.
    pub const fn store_mut(&mut self) -> &mut Store {
        &mut self.loader.store
    }
}
