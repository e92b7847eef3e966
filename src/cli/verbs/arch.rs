//! `arch`: what a network consists of, and what it costs to ask it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use overinterp_config::Override;
use overinterp_config::experiment::{Experiment, ImagesRef};
use overinterp_config::kinds::Settings;
use overinterp_nn::arch::build;
use overinterp_nn::arch::summary::{Layer, Summary, saving};
use overinterp_spec::{Arch, DataKind, DataSource, ImageShape};

use crate::cli::screen::json;
use crate::cli::session::read;
use crate::cli::status::Status;
use crate::computed::names::suggestion;
use crate::failure::{Failure, Kind};

/// Classes where neither the command line nor a published data set says how many.
const CLASSES: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct ArchArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// A stage of it that trains or imports a network, or the NAME of an `[arch.NAME]` that one uses.
    pub name: String,
    /// Changes the file: a key's path, and its value in TOML.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<Override>,
    /// The images that it takes, `HEIGHTxWIDTHxCHANNELS`; as the data set's kind says, if not given.
    #[arg(long, value_name = "SHAPE", value_parser = shape)]
    pub images: Option<ImageShape>,
    /// The classes that it tells apart; as the data set's kind says, if not given.
    #[arg(long, value_name = "N")]
    pub classes: Option<usize>,
    /// Prints only what the layers add up to.
    #[arg(short, long)]
    pub quiet: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
}

fn shape(text: &str) -> Result<ImageShape, String> {
    /// A larger side is a slip of the pen.
    const MOST: usize = 4096;
    let numbers: Vec<usize> = text.split('x').map_while(|number| number.parse().ok()).collect();
    match numbers[..] {
        [height, width, channels]
            if text.split('x').count() == 3 && numbers.iter().all(|number| (1..=MOST).contains(number)) =>
        {
            Ok(ImageShape { height, width, channels })
        }
        _ => Err(format!("write three numbers from 1 to {MOST}, such as 32x32x3")),
    }
}

pub(crate) fn run(arguments: &ArchArguments) -> Result<Status, Failure> {
    let experiments = read(std::slice::from_ref(&arguments.file), &arguments.set)?;
    let networks = networks(&experiments[0], &arguments.name)?;
    for (place, (arch, source)) in networks.into_iter().enumerate() {
        if place > 0 && arguments.format == Format::Human {
            outln!();
        }
        let usual = || source.and_then(|source| source.kind.image_shape()).unwrap_or_else(|| arch.usual_images());
        let shape = arguments.images.unwrap_or_else(usual);
        let classes = arguments.classes.unwrap_or(match source.map(|source| source.kind) {
            Some(DataKind::Cifar100) => 100,
            _ => CLASSES,
        });
        say(arch, shape, classes, arguments)?;
    }
    Ok(Status::Success)
}

/// The different networks of a stage, each with the data set that it is shown.
fn networks<'a>(experiment: &'a Experiment, name: &str) -> Result<Vec<(Arch, Option<&'a DataSource>)>, Failure> {
    let find = |name: &str| experiment.data.iter().find(|source| source.name == name);
    let mut seen = BTreeSet::new();
    let mut networks = Vec::new();
    let instances =
        experiment.stages.iter().flat_map(|stage| stage.instances.iter().map(move |instance| (stage, instance)));
    for (stage, instance) in instances {
        let network = match &instance.settings {
            Settings::Train(train) => match &train.images {
                ImagesRef::Data { source, .. } => (train.arch, find(&source.stage)),
                // All data of a file that has one set are of that one.
                ImagesRef::Subset { .. } => (train.arch, experiment.data.first()),
            },
            Settings::Import(import) => (import.arch, find(&import.data.stage)),
            _ => continue,
        };
        let is_asked_for = stage.name == name || matches!(network.0, Arch::Own(own) if own.name() == name);
        if is_asked_for && seen.insert((network.0, network.1.map(|source| &source.name))) {
            networks.push(network);
        }
    }
    if !networks.is_empty() {
        return Ok(networks);
    }
    let have = experiment.stages.iter().filter(|stage| {
        stage.instances.iter().any(|instance| matches!(instance.settings, Settings::Train(_) | Settings::Import(_)))
    });
    let have: Vec<&str> = have.map(|stage| stage.name.as_str()).collect();
    let failure =
        Failure::usage(format!("no stage `{name}` trains or imports a network, and no stage uses `[arch.{name}]`"));
    Err(failure.hint(suggestion(name, &have)))
}

fn say(arch: Arch, shape: ImageShape, classes: usize, arguments: &ArchArguments) -> Result<(), Failure> {
    let graph = build(arch, shape, classes).map_err(|error| Failure::because(Kind::Usage, error))?;
    let summary = Summary::of(&graph);
    let saving = saving(arch, &graph).ok();
    if arguments.format == Format::Json {
        let ImageShape { height, width, channels } = shape;
        json::line(&json!({
            "arch": arch.to_string(),
            "images": [height, width, channels],
            "classes": classes,
            "layers": if arguments.quiet { Vec::new() } else { summary.layers.iter().map(line).collect() },
            "trained_values": summary.trained_values,
            "multiplications": summary.multiplications,
            "times_fewer_a_candidate": saving,
        }));
        return Ok(());
    }
    outln!("{arch}, for images of {shape} in {classes} classes");
    if !arguments.quiet {
        outln!("{}", table(&summary.layers));
    }
    outln!("  {} trained values", grouped(summary.trained_values as u64));
    outln!("  {} multiplications an image", grouped(summary.multiplications));
    if let Some(saving) = saving {
        outln!("  incremental scoring: {saving:.1} times fewer for a candidate of a selection, in the mean");
    } else {
        outln!("  no incremental scoring: each candidate of a selection is a pass of its own");
    }
    Ok(())
}

fn line(layer: &Layer) -> serde_json::Value {
    let ImageShape { height, width, channels } = layer.shape;
    json!({
        "name": layer.name,
        "does": layer.does,
        "yields": [height, width, channels],
        "trained_values": layer.trained_values,
        "multiplications": layer.multiplications,
    })
}

/// A line a layer, in columns.
fn table(layers: &[Layer]) -> String {
    let cells = layers.iter().map(|layer| {
        let number = |value: u64| if value == 0 { String::new() } else { grouped(value) };
        [
            layer.name.clone(),
            layer.does.clone(),
            layer.shape.to_string(),
            number(layer.trained_values as u64),
            number(layer.multiplications),
        ]
    });
    let head = ["layer", "does", "yields", "trained values", "multiplications"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(cells).collect();
    let widths: [usize; 5] = std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let lines = rows.iter().map(|[name, does, yields, values, times]| {
        let [a, b, c, d, e] = widths;
        format!("  {name:a$}  {does:b$}  {yields:>c$}  {values:>d$}  {times:>e$}").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `40,551,040`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_numbers_grouped() {
        assert_eq!(shape("28x30x1"), Ok(ImageShape { height: 28, width: 30, channels: 1 }));
        for text in ["28x28", "28x28x0", "28x28x1x1", "axbxc", "", "28x28x99999"] {
            assert!(shape(text).is_err(), "{text}");
        }
        assert_eq!([0, 999, 1000, 40_551_040].map(grouped), ["0", "999", "1,000", "40,551,040"]);
    }
}
