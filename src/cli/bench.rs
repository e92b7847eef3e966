//! `bench`: what this machine does in a second with each network, and how long an experiment's stages take at that rate.

use std::time::Duration;

use candle_core::Device;
use serde_json::json;

use crate::nn::rates::{measure, processor};
use crate::spec::{Arch, ImageShape, Rates};

use super::args::{BenchArguments, EventFormat, ExperimentArguments, MachineArguments};
use super::failure::{Failure, Status};
use super::session::{Chosen, PassedOver, Session, choose_device, use_threads};
use super::{json, rates, text};

pub(super) fn run(arguments: &BenchArguments) -> Result<Status, Failure> {
    if arguments.files.is_empty() {
        let MachineArguments { cache, device, threads } = &arguments.machine;
        let Chosen { device, passed_over } = choose_device(device)?;
        passed_over.iter().for_each(PassedOver::say);
        use_threads(*threads)?;
        let measured = measured(&networks(&arguments.arch), &device, arguments)?;
        rates::save(cache, &measured)?;
        return Ok(Status::Success);
    }
    let MachineArguments { cache, device, threads } = &arguments.machine;
    let machine = MachineArguments { cache: cache.clone(), device: device.clone(), threads: *threads };
    let experiment = ExperimentArguments { set: arguments.set.clone(), stage: arguments.stage.clone(), machine };
    let session = Session::open(&arguments.files, &experiment)?;
    session.say_what_computes();
    session.name_damage()?;
    let mut networks: Vec<(Arch, ImageShape)> = Vec::new();
    let steps = session.planned.plan.steps();
    for work in steps.filter_map(|(_, step)| session.planned.work.get(step.identity())).flatten() {
        if !networks.contains(&(work.arch, work.shape)) {
            networks.push((work.arch, work.shape));
        }
    }
    let measured = measured(&networks, &session.env.device, arguments)?;
    rates::save(cache, &measured)?;
    stages(&session, &measured, arguments.format);
    Ok(session.ended(Status::Success))
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
        let rates = measure(arch, image, device, budget).map_err(|error| Failure::because(Status::Internal, &error))?;
        match arguments.format {
            EventFormat::Human => print_human(&rates),
            EventFormat::Json => json::line(&json!(rates)),
        }
        all.push(rates);
    }
    Ok(all)
}

fn print_human(rates: &Rates) {
    let ImageShape { height, width, channels } = rates.image;
    let pixels = rates.image.pixels() as f64;
    let candidates = pixels * (pixels + 1.0) / 2.0;
    outln!("\n{} on images of {height}x{width}x{channels}", rates.arch);
    outln!(
        "  backward selection  {:>9.0} candidates/s, {} an image",
        rates.candidates_per_second,
        text::duration(candidates / rates.candidates_per_second)
    );
    outln!("  training step       {:>9.1} ms for {} images", rates.train_step_ms, rates.batch);
    outln!("  evaluation          {:>9.0} images/s", rates.images_per_second);
    outln!("  gradient round      {:>9.1} ms for {} images", rates.gradient_round_ms, rates.batch);
}

/// How long each stage takes, cached or not.
fn stages(session: &Session, measured: &[Rates], format: EventFormat) {
    let mut stages: Vec<(String, usize, f64, usize)> = Vec::new();
    for (_, step) in session.planned.plan.steps() {
        let name = &step.label().stage;
        let place = stages.iter().position(|(stage, ..)| stage == name).unwrap_or_else(|| {
            stages.push((name.clone(), 0, 0.0, 0));
            stages.len() - 1
        });
        let (_, steps, total, unknown) = &mut stages[place];
        *steps += 1;
        match session.planned.work.get(step.identity()).and_then(|work| rates::seconds(work, measured)) {
            Some(seconds) => *total += seconds,
            None => *unknown += 1,
        }
    }
    if format == EventFormat::Json {
        for (stage, steps, seconds, unknown) in stages {
            let seconds = (unknown < steps).then_some(seconds);
            json::line(&json!({"stage": stage, "steps": steps, "seconds": seconds, "unknown": unknown}));
        }
        return;
    }
    outln!("\nAt these rates, from nothing");
    let width = stages.iter().map(|(stage, ..)| stage.len()).max().unwrap_or(0);
    for (stage, steps, seconds, unknown) in stages {
        let time = match unknown {
            0 => format!("about {}", text::duration(seconds)),
            _ if unknown == steps => "time unknown".to_owned(),
            _ => format!("about {}, and {unknown} of unknown time", text::duration(seconds)),
        };
        outln!("  {stage:<width$}  {:>9}  {time}", text::count(steps, "step"));
    }
}
