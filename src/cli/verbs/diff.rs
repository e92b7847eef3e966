//! `diff`: two experiments or runs beside each other: the settings that differ, then the results, with their deviations.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use overinterp_config::Override;
use overinterp_report::{Measurement, Statistic};
use overinterp_spec::AxisValue;

use crate::cli::args::{EventFormat, ExperimentArguments, MachineArguments};
use crate::cli::screen::json;
use crate::cli::session::{Session, open_cache};
use crate::cli::status::Status;
use crate::cli::whereabouts::Whereabouts;
use crate::failure::Failure;
use crate::gathering::measure::measurements;
use crate::records::past::Past;
use crate::records::settings::{Difference, differences};
use crate::text;

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// An experiment file, or a run: its name in `overinterp runs`, or `last`.
    pub first: String,
    /// The other; without it, the first one as `--set` changes it.
    #[arg(required_unless_present = "set")]
    pub second: Option<String>,
    /// Changes a value of the second, which is a file: `--set stage.full.recipe.epochs=2`.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<Override>,
    /// Names the results that are the same, too.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub machine: MachineArguments,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = EventFormat::Human)]
    pub format: EventFormat,
}

/// One of both.
struct Side {
    name: String,
    text: String,
    results: BTreeMap<String, Statistic>,
}

pub(crate) fn run(arguments: &DiffArguments) -> Result<Status, Failure> {
    let first = side(&arguments.first, &[], &arguments.machine)?;
    let second = side(arguments.second.as_ref().unwrap_or(&arguments.first), &arguments.set, &arguments.machine)?;
    let settings = differences(&first.text, &second.text);
    let mut names: Vec<&String> = first.results.keys().chain(second.results.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let (same, other): (Vec<&String>, Vec<&String>) =
        names.into_iter().partition(|name| first.results.get(*name) == second.results.get(*name));
    let shown: Vec<&String> = if arguments.all { other.iter().chain(&same).copied().collect() } else { other.clone() };
    if arguments.format == EventFormat::Json {
        let settings: Vec<Value> = settings
            .iter()
            .map(|(path, first, second)| json!({"setting": path, "first": first, "second": second}))
            .collect();
        let results: Vec<Value> = shown
            .iter()
            .map(|name| json!({"result": name, "first": first.results.get(*name), "second": second.results.get(*name)}))
            .collect();
        json::line(&json!({"settings": settings, "results": results, "same": same.len()}));
        return Ok(Status::Success);
    }
    outln!("{} -> {}", first.name, second.name);
    outln!("\nSettings");
    if settings.is_empty() {
        outln!("  none differs");
    }
    for difference in &settings {
        outln!("  {}", told(difference));
    }
    outln!("\nResults");
    for name in shown {
        let number = |side: &Side| side.results.get(name).map_or_else(|| "not there".to_owned(), number);
        let by = match (first.results.get(name), second.results.get(name)) {
            (Some(first), Some(second)) => format!("  ({:+.4})", second.mean - first.mean),
            _ => String::new(),
        };
        outln!("  {name}: {} -> {}{by}", number(&first), number(&second));
    }
    outln!("  {} the same", text::count(same.len(), "result"));
    Ok(Status::Success)
}

fn side(name: &str, set: &[Override], machine: &MachineArguments) -> Result<Side, Failure> {
    let MachineArguments { cache, device, threads } = machine;
    let machine = MachineArguments { cache: cache.clone(), device: device.clone(), threads: *threads };
    let arguments = ExperimentArguments { set: set.to_vec(), stage: Vec::new(), machine };
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|ending| ending == "toml") || path.is_file();
    let (session, text) = if is_file {
        let session = Session::open(&[path.to_owned()], &arguments)?;
        let text = overinterp_config::merged(path, set).map_err(|problems| Failure::problems(problems.to_string()))?;
        (session, text)
    } else {
        if !set.is_empty() {
            return Err(Failure::usage("--set changes a file, not a run").hint("name the experiment file"));
        }
        let cache = Whereabouts::of(cache.as_deref(), &[]).cache;
        let past = Past::find(&open_cache(&cache)?, name)?;
        let text = past.beginning.files.iter().map(|file| file.text.as_str()).collect::<Vec<_>>().join("\n");
        (Session::of_run(&past, &cache, &arguments)?, text)
    };
    let mut all = Vec::new();
    for results in &session.planned.results {
        all.extend(measurements(&session, results)?);
    }
    let sets = set.iter().map(|set| format!(" --set {}", set.text())).collect::<Vec<_>>().concat();
    Ok(Side { name: format!("{name}{sets}"), text, results: grouped(&all) })
}

/// Results by name; of several that differ in `seed` alone, the mean and the deviation.
fn grouped(measurements: &[Measurement]) -> BTreeMap<String, Statistic> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for measurement in measurements {
        let Measurement { stage, model, images, cell, metric, value, .. } = measurement;
        let cell = text::cell(&cell.iter().filter(|(axis, _)| *axis != "seed").map(owned).collect());
        let on = if images.is_empty() { String::new() } else { format!(" on {images}") };
        let subject = if model.is_empty() { String::new() } else { format!(" {model}") };
        if let Some(value) = value {
            values.entry(format!("{stage}:{subject}{on}{cell} {}", metric.name())).or_default().push(*value);
        }
    }
    values.into_iter().filter_map(|(name, values)| Some((name, Statistic::of(&values)?))).collect()
}

fn owned((axis, value): (&String, &AxisValue)) -> (String, AxisValue) {
    (axis.clone(), value.clone())
}

/// `0.8010 +- 0.0100 (2)`.
fn number(statistic: &Statistic) -> String {
    let Statistic { mean, deviation, n, .. } = statistic;
    deviation.map_or_else(|| format!("{mean:.4}"), |deviation| format!("{mean:.4} +- {deviation:.4} ({n})"))
}

fn told((path, first, second): &Difference) -> String {
    match (first, second) {
        (Some(first), Some(second)) => format!("{path} {first} -> {second}"),
        (None, Some(second)) => format!("{path} added: {second}"),
        (Some(first), None) => format!("{path} removed: it was {first}"),
        (None, None) => path.clone(),
    }
}
