//! What every verb that reads an experiment begins with: its files read, its steps planned, its cache opened.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use candle_core::Device;

use overinterp_config::experiment::Experiment;
use overinterp_config::{Look, Override, load};
use overinterp_data::Library;
use overinterp_kernels::gpu;
use overinterp_nn::rates::{model_of_processor, processor};
use overinterp_stages::Env;
use overinterp_workflow::store::{Maker, Store};

use crate::PROGRAM;
use crate::cli::args::{ExperimentArguments, MachineArguments};
use crate::cli::status::Status;
use crate::cli::whereabouts::Whereabouts;
use crate::computed::Computed;
use crate::computed::frozen::Frozen;
use crate::failure::{Failure, Kind};
use crate::records::past::Past;

/// Experiments that a verb was given, with what the cache has of them.
pub(crate) struct Session {
    computed: Computed,
    /// Why it computes on the CPU, where nobody asked for that.
    pub passed_over: Option<PassedOver>,
}

impl Deref for Session {
    type Target = Computed;

    fn deref(&self) -> &Computed {
        &self.computed
    }
}

/// What is done where there is no cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithoutCache {
    /// One is made.
    Make,
    /// Nothing: who only reads, and perhaps mistyped its name, leaves no trace.
    Leave,
}

impl Session {
    /// Reads and plans `files`, to look at what there is.
    pub fn open(files: &[PathBuf], arguments: &ExperimentArguments) -> Result<Self, Failure> {
        Self::open_or(WithoutCache::Leave, files, arguments)
    }

    /// Reads and plans `files`.
    pub fn open_or(
        without_cache: WithoutCache,
        files: &[PathBuf],
        arguments: &ExperimentArguments,
    ) -> Result<Self, Failure> {
        let MachineArguments { cache, device, threads } = &arguments.machine;
        let Chosen { device, passed_over } = choose_device(device)?;
        use_threads(*threads)?;
        let whereabouts = Whereabouts::of(cache.as_deref(), files);
        whereabouts.say();
        let cache = &whereabouts.cache;
        let experiments = read(files, &arguments.set)?;
        let env = Env { device, library: library(cache, without_cache) };
        let computed = Computed::plan(experiments, cache, env, &arguments.stage, say_warning)?;
        Ok(Self { computed, passed_over })
    }

    /// Reads and plans the files again that another session was made of, on its device.
    pub fn reopen(files: &[PathBuf], arguments: &ExperimentArguments, before: &Self) -> Result<Self, Failure> {
        let cache = &before.cache;
        let experiments = read(files, &arguments.set)?;
        let env = Env { device: before.env.device.clone(), library: library(cache, WithoutCache::Make) };
        let computed = Computed::plan(experiments, cache, env, &arguments.stage, say_warning)?;
        Ok(Self { computed, passed_over: None })
    }

    /// Its cache, to share it.
    pub const fn store_mut(&mut self) -> &mut Store {
        self.computed.store_mut()
    }

    /// Plans by a frozen plan; with the files of its experiments.
    pub fn open_frozen(plan: &Path, arguments: &MachineArguments) -> Result<(Vec<PathBuf>, Self), Failure> {
        let MachineArguments { cache, device, threads, .. } = arguments;
        let Chosen { device, passed_over } = choose_device(device)?;
        use_threads(*threads)?;
        let frozen = Frozen::read(plan)?;
        let whereabouts = Whereabouts::of(cache.as_deref(), &frozen.files());
        whereabouts.say();
        let cache = &whereabouts.cache;
        let env = Env { device, library: library(cache, WithoutCache::Make) };
        let computed = Computed::frozen(&frozen, cache, env, say_warning)?;
        Ok((frozen.files(), Self { computed, passed_over }))
    }

    /// What a run computed, planned as it was then, wherever its data are now.
    pub fn of_run(past: &Past, cache: &Path, arguments: &ExperimentArguments) -> Result<Self, Failure> {
        let MachineArguments { device, threads, .. } = &arguments.machine;
        let Chosen { device, passed_over } = choose_device(device)?;
        use_threads(*threads)?;
        let env = Env { device, library: library(cache, WithoutCache::Leave) };
        let beginning = &past.beginning;
        let stages = if arguments.stage.is_empty() { &beginning.stages } else { &arguments.stage };
        let computed =
            Computed::plan_as_found(past.experiments()?, &beginning.findings, cache, env, stages, say_warning)?;
        Ok(Self { computed, passed_over })
    }

    /// With what a verb ends that would otherwise end with `status`: with damage, if it met some.
    pub fn ended(&self, status: Status) -> Status {
        let hides = matches!(status, Status::Success | Status::Usage);
        if hides && self.has_met_damage() { Status::Stage } else { status }
    }

    /// Says on standard error why no GPU is used, where one is missed.
    pub fn say_what_computes(&self) {
        if let Some(passed_over) = &self.passed_over {
            passed_over.say();
        }
    }

    /// What is recorded with each result.
    pub fn maker(&self) -> Maker {
        let device = match &self.env.device {
            Device::Cpu => format!("cpu ({})", processor(&Device::Cpu)),
            other => processor(other),
        };
        Maker { program: PROGRAM.to_owned(), host: host(), device }
    }
}

/// Tells of what is passed over.
pub(crate) fn say_warning(text: &str) {
    errln!("{text}");
}

/// Reads experiment files, or reports every problem of every one of them.
pub(crate) fn read(files: &[PathBuf], set: &[Override]) -> Result<Vec<Experiment>, Failure> {
    let look = if crate::cli::screen::terminal::colours() { Look::Coloured } else { Look::Plain };
    let mut experiments = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        match load(file, set) {
            Ok(experiment) => experiments.push(experiment),
            Err(found) => problems.push(found.render(look)),
        }
    }
    if problems.is_empty() { Ok(experiments) } else { Err(Failure::problems(problems.join("\n"))) }
}

/// The data sets, with what is remembered of them beside the cache's steps.
pub(crate) fn library(cache: &Path, without_cache: WithoutCache) -> Library {
    let beside = cache.join("v1");
    let remembers = without_cache == WithoutCache::Make || beside.is_dir();
    Library::new(remembers.then(|| beside.join("data-index.json")))
}

/// The cache in `cache`, for verbs that are about what it holds.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(crate) fn open_cache(cache: &Path) -> Result<Store, Failure> {
    let store = Store::open(cache).map_err(Failure::from)?;
    if store.is_there() {
        return Ok(store);
    }
    let failure = Failure::usage(format!("there is no cache in {}", cache.display()));
    Err(failure.hint("`overinterp run FILE` makes one, or name another with --cache"))
}

/// A device, and why it is no GPU where nobody asked for the CPU.
pub(crate) struct Chosen {
    pub device: Device,
    pub passed_over: Option<PassedOver>,
}

/// Why `auto` took the CPU.
pub(crate) struct PassedOver {
    pub reason: String,
    /// Whether there is a GPU, or a build for one, so that a user waits for it to be used.
    pub is_missed: bool,
}

impl PassedOver {
    /// Says on standard error why no GPU is used, where one is missed.
    pub fn say(&self) {
        if self.is_missed {
            errln!("computing on the CPU: {}", self.reason);
        }
    }
}

/// The device that `--device` names; `auto` is the first GPU that can be had, otherwise the CPU.
pub(crate) fn choose_device(name: &str) -> Result<Chosen, Failure> {
    let cuda = |index: usize| match gpu::open(index) {
        Ok(device) => Ok(Chosen { device, passed_over: None }),
        Err(error) => Err(Failure::usage(format!(
            "cannot use --device {name}: {error}; build with `--features cuda` on a machine with an NVIDIA GPU, or use --device cpu"
        ))),
    };
    match name {
        "auto" => Ok(first_gpu(Path::new("/"))),
        "cpu" => Ok(Chosen { device: Device::Cpu, passed_over: None }),
        "cuda" => cuda(0),
        other => match other.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => cuda(index),
            None => Err(Failure::usage(format!("there is no device `{other}`")).hint("use auto, cpu, cuda or cuda:N")),
        },
    }
}

/// The first GPU, otherwise the CPU with the reason; `root` is that of the file system.
fn first_gpu(root: &Path) -> Chosen {
    let has_gpu = ["dev/nvidia0", "proc/driver/nvidia"].iter().any(|sign| root.join(sign).exists());
    let on_cpu = |reason: String, is_missed| {
        let passed_over = Some(PassedOver { reason, is_missed });
        Chosen { device: Device::Cpu, passed_over }
    };
    if !candle_core::utils::cuda_is_available() {
        let reason = "this build has no CUDA; `cargo build --profile cuda --features cudnn` makes one that has";
        return on_cpu(reason.to_owned(), has_gpu);
    }
    match gpu::open(0) {
        Ok(device) => Chosen { device, passed_over: None },
        Err(error) => on_cpu(format!("no GPU can be used ({error}); `--device cuda` insists on one"), true),
    }
}

pub(crate) fn use_threads(threads: Option<u16>) -> Result<(), Failure> {
    /// There is one pool; whoever opens two experiments asks twice.
    static BUILT: OnceLock<()> = OnceLock::new();
    if BUILT.set(()).is_err() {
        return Ok(());
    }
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, usize::from));
    builder.build_global().map_err(|error| Failure::because(Kind::Internal, error))
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{} ({})", name.trim(), model_of_processor())
}

#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use super::*;

    #[test]
    fn that_a_gpu_is_not_used_is_said_where_there_is_one() {
        let root = tempfile::tempdir().unwrap();
        let why = |root: &Path| first_gpu(root).passed_over.unwrap();
        assert!(!why(root.path()).is_missed);
        for sign in ["dev/nvidia0", "proc/driver/nvidia"] {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(root.path().join(sign)).unwrap();
            let PassedOver { reason, is_missed } = why(root.path());
            assert!(is_missed && reason.starts_with("this build has no CUDA; `cargo build"), "{reason}");
        }
        assert!(choose_device("cpu").is_ok_and(|chosen| chosen.passed_over.is_none()));
    }
}
