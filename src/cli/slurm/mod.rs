//! `--executor slurm`: a session's plan computed by jobs, which this process submits and follows.

mod follow;
mod groups;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use overinterp_config::{Look, Profile, profile};
use overinterp_slurm::campaign::{Campaign, Record};
use overinterp_slurm::script::{Common, Group, text};
use overinterp_slurm::waves::waves;
use overinterp_spec::Resources;
use overinterp_workflow::executor::RunError;

use crate::cli::args::ExperimentArguments;
use crate::cli::computing::refused;
use crate::cli::screen::json;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::computed::frozen::Frozen;
use crate::failure::{Failure, Kind};

pub(crate) use follow::follow;
pub(crate) use groups::{Grouped, Left};

/// The most workers at a time where nobody says how many.
const USUAL_WORKERS: usize = 16;
/// Letters of a campaign's name, of a hash's 64.
const NAME: usize = 12;

/// How a cluster is asked for workers.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClusterArguments {
    /// With --executor slurm: the profile `NAME.toml` in the folder `overinterp/profiles` of the user's configuration, which
    /// says what jobs are given.
    #[arg(long, value_name = "NAME", requires = "executor")]
    pub profile: Option<String>,
    /// With --executor slurm: the most workers at a time [default: what the profile says, or 16].
    #[arg(long, value_name = "N", requires = "executor", value_parser = crate::cli::args::at_least_one)]
    pub max_workers: Option<usize>,
    /// Says what `plan` says, and runs nothing; with --executor slurm, prints the scripts and submits nothing.
    #[arg(short = 'n', long, conflicts_with = "frozen")]
    pub dry_run: bool,
}

/// A session's plan as a campaign of jobs.
pub(crate) struct Cluster<'a> {
    pub session: &'a Session,
    pub campaign: Campaign,
    pub grouped: Grouped,
    pub most: usize,
    pub files: &'a [PathBuf],
    cache: PathBuf,
    folder: PathBuf,
    frozen: String,
    program: PathBuf,
}

impl<'a> Cluster<'a> {
    /// The campaign of a session's plan: the same for the same plan and cache, whoever asks.
    pub fn of(
        session: &'a Session,
        files: &'a [PathBuf],
        experiment: &ExperimentArguments,
        arguments: &ClusterArguments,
    ) -> Result<Self, Failure> {
        let missing = session.planned.plan.missing_data();
        if !missing.is_empty() {
            let missing = missing.into_iter().map(str::to_owned).collect();
            return Err(refused(session, RunError::MissingData(missing), false));
        }
        let profile = arguments.profile.as_deref().map(read_profile).transpose()?.unwrap_or_default();
        let frozen = Frozen::of(files, &experiment.set, &experiment.stage, session)?;
        let (folder, frozen) = (frozen.folder().to_owned(), frozen.text()?);
        let cache = std::path::absolute(&session.cache).map_err(|error| Failure::because(Kind::Usage, error))?;
        // Jobs are found by it: those that compute the same for another cache are others.
        let id = &blake3::hash(format!("{}\n{frozen}", cache.display()).as_bytes()).to_hex()[..NAME];
        let resources = merged(session.experiments.iter().map(|experiment| &experiment.resources), &profile);
        let campaigns = cache.join("v1").join("campaigns");
        let campaign = if arguments.dry_run && !campaigns.join(id).exists() {
            // Nothing is left by who only looks.
            Campaign { id: id.to_owned(), folder: campaigns.join(id), record: Record::default() }
        } else {
            Campaign::open(&campaigns, id).map_err(|error| cannot_keep(&campaigns.join(id), error))?
        };
        Ok(Self {
            session,
            grouped: Grouped::of(&session.planned.plan, &resources),
            most: arguments.max_workers.or(profile.max_workers).unwrap_or(USUAL_WORKERS),
            campaign,
            files,
            cache,
            folder,
            frozen,
            program: std::env::current_exe().map_err(|error| Failure::because(Kind::Internal, error))?,
        })
    }

    /// A script of the campaign.
    fn script(&self, group: &Group, workers: usize, after: &[String]) -> String {
        let (name, plan, logs) = (self.campaign.job_name(), self.campaign.plan(), self.campaign.logs());
        let common = Common {
            name: &name,
            program: &self.program,
            plan: &plan,
            cache: &self.cache,
            folder: &self.folder,
            logs: &logs,
        };
        text(&common, group, workers, after)
    }

    /// Prints what would be submitted.
    pub fn print(&self, json: bool) -> Result<Status, Failure> {
        let left = Left::of(self.session, &self.grouped)?;
        let waves = waves(&left.tasks, self.most);
        for (place, wave) in waves.iter().enumerate() {
            let after: Vec<String> = wave.after.iter().map(|before| format!("ARRAY{}", before + 1)).collect();
            let script = self.script(&self.grouped.groups[wave.group], wave.workers, &after);
            let name = format!("ARRAY{}", place + 1);
            if json {
                json::line(
                    &json!({"event": "array", "name": name, "after": after, "workers": wave.workers, "script": script}),
                );
            } else {
                outln!("# {name}");
                outln!("{script}");
            }
        }
        if waves.is_empty() && !json {
            errln!("nothing was to do: all {} steps are cached", self.session.planned.plan.len());
        }
        Ok(Status::Success)
    }
}

fn cannot_keep(path: &Path, error: std::io::Error) -> Failure {
    Failure::because(Kind::Usage, error).hint(format!("jobs are kept track of in {}", path.display()))
}

/// What is said of each kind of stage: by the experiments, and where these are silent by the profile.
fn merged<'a>(
    experiments: impl Iterator<Item = &'a BTreeMap<String, Resources>>,
    profile: &Profile,
) -> BTreeMap<String, Resources> {
    let mut all = profile.resources.clone();
    for (kind, resources) in experiments.flatten() {
        let base = all.remove(kind).unwrap_or_default();
        all.insert(kind.clone(), resources.over(&base));
    }
    all
}

/// A profile of the user's.
fn read_profile(name: &str) -> Result<Profile, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(
            Failure::usage(format!("`{name}` is no name of a profile")).hint("use letters, digits, `-` and `_`")
        );
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    let Some(folder) = folder else {
        return Err(Failure::usage("there is no folder for profiles: neither XDG_CONFIG_HOME nor HOME is set"));
    };
    let path = folder.join("overinterp/profiles").join(format!("{name}.toml"));
    let look = if crate::cli::screen::terminal::colours() { Look::Coloured } else { Look::Plain };
    profile(&path).map_err(|problems| Failure::problems(problems.render(look)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_goes_before_a_profile() {
        let resources = |cpus, gpus| Resources { cpus, gpus, ..Resources::default() };
        let profile = Profile {
            max_workers: None,
            resources: BTreeMap::from([("train".to_owned(), resources(Some(1), Some(1)))]),
        };
        let own = BTreeMap::from([
            ("train".to_owned(), resources(Some(8), None)),
            ("all".to_owned(), resources(Some(2), None)),
        ]);
        let merged = merged(std::iter::once(&own), &profile);
        assert_eq!(merged["train"], resources(Some(8), Some(1)));
        assert_eq!(merged["all"], resources(Some(2), None));
    }
}
