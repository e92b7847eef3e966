//! `bench`: what this machine does in a second with each network, and how long an experiment's stages take at that rate.

use std::path::PathBuf;
use std::time::Duration;

use candle_core::Device;
use clap::Args;
use serde_json::json;

use overinterp_artifacts::{Effort, noted_effort};
use overinterp_config::Override;
use overinterp_nn::rates::{measure, processor};
use overinterp_spec::{Arch, ImageShape, Rates};

use crate::cli::args::{EventFormat, ExperimentArguments, MachineArguments};
use crate::cli::screen::json;
use crate::cli::session::{Chosen, PassedOver, Session, choose_device, use_threads};
use crate::cli::status::Status;
use crate::cli::whereabouts::Whereabouts;
use crate::failure::{Failure, Kind};
use crate::forecast::first_images::{self, Learnt};
use crate::forecast::rates;
use crate::forecast::rates::{Runs, Shares, Time};
use crate::text;
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Experiment files: their networks are measured, and each stage's time is told.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Changes a value of the files, as in `run`.
    #[arg(long, value_name = "PATH=VALUE", requires = "files", conflicts_with = "arch")]
    pub set: Vec<Override>,
    /// Only this stage of the files and what it needs; may be repeated.
    #[arg(long, value_name = "NAME", requires = "files", conflicts_with = "arch")]
    pub stage: Vec<String>,
    /// A network to measure, on images of 32x32x3 (`cnn`: 28x28x1); may be repeated. Without it and without files, all
    /// but `wideresnet`.
    #[arg(long, value_name = "ARCH", conflicts_with = "files", value_parser = arch)]
    pub arch: Vec<Arch>,
    /// Seconds to spend on each of a network's four rates; more where one run takes longer.
    #[arg(long, value_name = "N", default_value_t = rates::ENOUGH, value_parser = seconds)]
    pub seconds: f64,
    /// Images that each model in the cache selects, if it has selected none, to learn how sure it is, within two minutes. If not
    /// given, as many as there are threads (16 on a GPU), once.
    #[arg(long, value_name = "N", requires = "files")]
    pub first_images: Option<usize>,
    #[command(flatten)]
    pub machine: MachineArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

fn arch(name: &str) -> Result<Arch, String> {
    let names = || Arch::NAMED.map(|(name, _)| name).join(", ");
    name.parse()
        .map_err(|fault| format!("{fault}; there are {}, and such as `resnet-cifar depth=56 width=16`", names()))
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("it must lie between 0 and 3600".to_owned()) }
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<Status, Failure> {
    if arguments.files.is_empty() {
        let MachineArguments { cache, device, threads } = &arguments.machine;
        let Chosen { device, passed_over } = choose_device(device)?;
        passed_over.iter().for_each(PassedOver::say);
        use_threads(*threads)?;
        let measured = measured(&networks(&arguments.arch), &device, arguments)?;
        rates::save(&Whereabouts::of(cache.as_deref(), &[]).cache, &measured)?;
        return Ok(Status::Success);
    }
    let MachineArguments { cache, device, threads } = &arguments.machine;
    let machine = MachineArguments { cache: cache.clone(), device: device.clone(), threads: *threads };
    let experiment = ExperimentArguments { set: arguments.set.clone(), stage: arguments.stage.clone(), machine };
    let session = Session::open(&arguments.files, &experiment)?;
    session.say_what_computes();
    let view = session.view()?;
    let mut networks: Vec<(Arch, ImageShape)> = Vec::new();
    let steps = session.planned.plan.steps();
    for work in steps.filter_map(|(_, step)| session.planned.work.get(step.identity())).flatten() {
        if !networks.contains(&(work.arch, work.shape)) {
            networks.push((work.arch, work.shape));
        }
    }
    let measured = measured(&networks, &session.env.device, arguments)?;
    rates::save(&session.cache, &measured)?;
    let runs = Runs::of(&view, &session);
    first_images::learn(&session, &runs, &measured, arguments.first_images, |learnt| tell(learnt, arguments.format))?;
    stages(&session, &runs, &measured, arguments.format);
    Ok(session.ended(Status::Success))
}

/// Tells what the first images of a model took, or why that is not known.
fn tell(learnt: Learnt<'_>, format: EventFormat) {
    match (learnt, format) {
        (Learnt::Took { stage, cell, images, first, seconds, effort }, EventFormat::Json) => json::line(
            &json!({"model": stage, "cell": cell, "images": images, "first": first, "seconds": seconds, "effort": effort}),
        ),
        (Learnt::Took { stage, cell, images, first, seconds, effort }, EventFormat::Human) => {
            let (title, first) = (first_images::title(stage, cell), text::count(first, "image"));
            outln!("\nThe first {first} of `{images}` by {title}, in {}", text::duration(seconds));
            outln!("  {effort}");
        }
        (Learnt::Nothing { title, why }, _) => errln!("{title} cannot foretell its selections: {why}"),
    }
}

/// The networks wanted, each on the images that it is made for.
fn networks(wanted: &[Arch]) -> Vec<(Arch, ImageShape)> {
    let all: Vec<Arch> = Arch::SMALL.into_iter().filter(|&arch| arch != Arch::Wideresnet).collect();
    let on = |&arch: &Arch| (arch, arch.usual_images());
    if wanted.is_empty() { &all } else { wanted }.iter().map(on).collect()
}

/// Measures one network after the other, and prints each when it is done.
fn measured(
    networks: &[(Arch, ImageShape)],
    device: &Device,
    arguments: &BenchArguments,
) -> Result<Vec<Rates>, Failure> {
    let budget = Duration::from_secs_f64(arguments.seconds);
    let mut all = Vec::with_capacity(networks.len());
    if arguments.format == EventFormat::Human && !networks.is_empty() {
        outln!("{}, {}", processor(device), text::count(rayon::current_num_threads(), "thread"));
    }
    for &(arch, image) in networks {
        let rates = measure(arch, image, device, budget).map_err(|error| Failure::because(Kind::Internal, error))?;
        match arguments.format {
            EventFormat::Human => print_human(&rates),
            EventFormat::Json => json::line(&json!(rates)),
        }
        all.push(rates);
    }
    Ok(all)
}

fn print_human(rates: &Rates) {
    let pixels = rates.image.pixels() as f64;
    let candidates = pixels * (pixels + 1.0) / 2.0;
    outln!("\n{} on images of {}", rates.arch, rates.image);
    outln!(
        "  backward selection  {:>9.0} candidates/s, {} an image",
        rates.candidates_per_second,
        text::duration(candidates / rates.candidates_per_second)
    );
    outln!("  training step       {:>9.1} ms for {} images", rates.train_step_ms, rates.batch);
    outln!("  evaluation          {:>9.0} images/s", rates.images_per_second);
    outln!("  gradient round      {:>9.1} ms for {} images", rates.gradient_round_ms, rates.batch);
}

/// What a stage takes, from nothing.
#[derive(Default)]
struct Stage {
    name: String,
    steps: usize,
    time: Time,
    /// What its selections in the cache took.
    effort: Effort,
}

/// How long each stage takes, cached or not: at the rates that were measured, but selections by what those in the cache took
/// where there are some.
fn stages(session: &Session, runs: &Runs, measured: &[Rates], format: EventFormat) {
    let mut stages: Vec<Stage> = Vec::new();
    let (mut total, mut on_gpu) = (Time::default(), Time::default());
    let gpu = if session.env.device.is_cpu() { rates::of_last_gpu(rates::load(&session.cache)) } else { None };
    let shares = Shares::all(session);
    for (_, step) in session.planned.plan.steps() {
        let name = &step.label().stage;
        let place = stages.iter().position(|stage| stage.name == *name).unwrap_or_else(|| {
            stages.push(Stage { name: name.clone(), ..Stage::default() });
            stages.len() - 1
        });
        let stage = &mut stages[place];
        stage.steps += 1;
        // What asks no network takes no time beside what does.
        let work = session.planned.work.get(step.identity());
        let estimate = work.and_then(|work| runs.at_rates(work, &shares, measured));
        stage.time.add(estimate);
        if let Some(work) = work {
            total.add(estimate);
            on_gpu.add(gpu.as_ref().and_then(|(_, rates)| shares.rated(work, rates)));
        }
        let noted = step.key().and_then(|key| noted_effort(&session.store().dir(key)));
        stage.effort = stage.effort + noted.unwrap_or_default();
    }
    if format == EventFormat::Json {
        for Stage { name, steps, time, effort } in stages {
            let seconds = (time.known > 0).then_some(time.seconds);
            let effort = (effort.exhaustive > 0).then(|| json!(effort));
            json::line(&json!({
                "stage": name, "steps": steps, "seconds": seconds, "at-most": time.at_most, "unknown": time.unknown,
                "effort": effort,
            }));
        }
        let told = |time: Time| {
            let seconds = (time.known > 0).then_some(time.seconds);
            json!({ "seconds": seconds, "at-most": time.at_most, "unknown": time.unknown })
        };
        let mut last = json!({ "total": told(total) });
        if let Some((name, _)) = gpu {
            last["gpu"] = told(on_gpu);
            last["gpu"]["name"] = json!(name);
        }
        json::line(&last);
        return;
    }
    outln!("\nAt these rates, from nothing");
    let width = stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0);
    for Stage { name, steps, time, effort } in &stages {
        outln!("  {name:<width$}  {:>9}  {}", text::count(*steps, "step"), time.text());
        if effort.exhaustive > 0 {
            outln!("  {:width$}  {:>9}  so far {effort}", "", "");
        }
    }
    outln!("\nIn all {}", total.text());
    if let Some((name, _)) = gpu {
        outln!("On {name}, the GPU measured last, {}", on_gpu.text());
    }
    if total.at_most {
        outln!(
            "\nA selection evaluates no candidate behind the first one that leaves the network sure to the last digit: by a \
             well-trained network it takes a tenth or less. Once a network is in the cache, its first images tell."
        );
    }
}
