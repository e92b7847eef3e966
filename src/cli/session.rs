//! What every verb that reads an experiment begins with: its files read, its steps planned, its cache opened.

use std::path::{Path, PathBuf};

use candle_core::Device;

use crate::config::experiment::Experiment;
use crate::config::{Look, Override, load};
use crate::data::Library;
use crate::engine::store::{Maker, Store};
use crate::kernels::gpu;
use crate::nn::rates::{model_of_processor, processor};
use crate::pipeline::{Planned, plan};
use crate::stages::Env;

use super::args::{ExperimentArguments, MachineArguments};
use super::failure::{Failure, Status};
use super::files::{Contents, KnownFiles, Origins};

/// Experiments, planned.
pub(super) struct Session {
    pub experiments: Vec<Experiment>,
    pub planned: Planned,
    pub store: Store,
    /// The directory of `store`.
    pub cache: PathBuf,
    pub env: Env,
    /// Data that are there but cannot be used.
    pub damaged: Vec<String>,
    pub origins: Origins,
    pub contents: Contents,
}

impl Session {
    /// Reads and plans `files`.
    pub fn open(files: &[PathBuf], arguments: &ExperimentArguments) -> Result<Self, Failure> {
        let MachineArguments { cache, device, threads } = &arguments.machine;
        let device = choose_device(device)?;
        use_threads(*threads)?;
        let experiments = read(files, &arguments.set)?;
        let store = Store::open(cache).map_err(Failure::from)?;
        let library = library(cache);
        let known = KnownFiles::new(&library);
        let mut planned = plan(&experiments, &known);
        let (damaged, origins, contents) = known.into_findings();
        check_stages(&experiments, &arguments.stage)?;
        if !arguments.stage.is_empty() {
            planned.plan = planned.plan.restricted(|label| arguments.stage.contains(&label.stage));
        }
        let env = Env { device, library };
        Ok(Self { experiments, planned, store, cache: cache.clone(), env, damaged, origins, contents })
    }

    /// What is recorded with each result.
    pub fn maker(&self) -> Maker {
        let device = match &self.env.device {
            Device::Cpu => format!("cpu ({})", processor(&Device::Cpu)),
            other => processor(other),
        };
        Maker { program: concat!("overinterp ", env!("CARGO_PKG_VERSION")).to_owned(), host: host(), device }
    }
}

/// Reads experiment files, or reports every problem of every one of them.
pub(super) fn read(files: &[PathBuf], set: &[Override]) -> Result<Vec<Experiment>, Failure> {
    let look = if super::coloured() { Look::Coloured } else { Look::Plain };
    let mut experiments = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        match load(file, set) {
            Ok(experiment) => experiments.push(experiment),
            Err(found) => problems.push(found.render(look)),
        }
    }
    if problems.is_empty() { Ok(experiments) } else { Err(Failure::usage(problems.join("\n"))) }
}

/// Checks that every stage of `wanted` is one of `experiments`.
pub(super) fn check_stages(experiments: &[Experiment], wanted: &[String]) -> Result<(), Failure> {
    let known: Vec<&str> =
        experiments.iter().flat_map(|experiment| &experiment.stages).map(|stage| stage.name.as_str()).collect();
    match wanted.iter().find(|stage| !known.contains(&stage.as_str())) {
        None => Ok(()),
        Some(stage) => Err(Failure::usage(format!("there is no stage `{stage}`: {}", suggestion(stage, &known)))),
    }
}

/// The data sets, with what is remembered of them beside the cache's steps.
pub(super) fn library(cache: &Path) -> Library {
    Library::new(Some(cache.join("v1").join("data-index.json")))
}

/// The names that there are, the nearest first if one is near.
pub(super) fn suggestion(typed: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (strsim::jaro_winkler(typed, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness > 0.8 => format!("did you mean `{name}`?"),
        _ => format!("there are {}", known.join(", ")),
    }
}

/// The device that `--device` names; `auto` is the first GPU that can be had, otherwise the CPU.
pub(super) fn choose_device(name: &str) -> Result<Device, Failure> {
    let cuda = |index: usize| {
        gpu::open(index).map_err(|error| {
            Failure::usage(format!(
                "cannot use --device {name}: {error}; build with `--features cuda` on a machine with an NVIDIA GPU, or use --device cpu"
            ))
        })
    };
    match name {
        "auto" if candle_core::utils::cuda_is_available() => Ok(cuda(0).unwrap_or(Device::Cpu)),
        "auto" | "cpu" => Ok(Device::Cpu),
        "cuda" => cuda(0),
        other => match other.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => cuda(index),
            None => Err(Failure::usage(format!("there is no device `{other}`: use auto, cpu, cuda or cuda:N"))),
        },
    }
}

pub(super) fn use_threads(threads: Option<u16>) -> Result<(), Failure> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, usize::from));
    builder.build_global().map_err(|error| Failure::because(Status::Internal, &error))
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} ({})", name.trim(), model_of_processor())
}
