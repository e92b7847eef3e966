//! `explain`: what a step's key is made of, and how it differs from the nearest in the cache.

use std::path::PathBuf;

use clap::Args;
use overinterp_workflow::explain::{Explanation, explain};
use overinterp_workflow::plan::{Label, StepId};
use overinterp_workflow::schedule::Schedule;

use crate::cli::args::ExperimentArguments;
use crate::cli::session::Session;
use crate::cli::status::Status;
use crate::computed::causes::{Teller, roots};
use crate::computed::cell::{self, AxisValue};
use crate::computed::names::check_stages;
use crate::failure::Failure;
use crate::text;
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Experiment file.
    pub file: PathBuf,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub name: String,
    /// Only cells with these values: `arch=resnet20,seed=0`.
    #[arg(long, value_delimiter = ',', value_name = "AXIS=VALUE")]
    pub cell: Vec<AxisValue>,
    #[command(flatten)]
    pub experiment: ExperimentArguments,
}

pub(crate) fn run(arguments: &ExplainArguments) -> Result<Status, Failure> {
    let session = Session::open(std::slice::from_ref(&arguments.file), &arguments.experiment)?;
    check_stages(&session.experiments, std::slice::from_ref(&arguments.name))?;
    let plan = &session.planned.plan;
    let view = session.view()?;
    let schedule = Schedule::new(plan, &view);
    let steps: Vec<StepId> = plan
        .steps()
        .filter(|(_, step)| {
            step.labels().iter().any(|label| label.stage == arguments.name && has(label, &arguments.cell))
        })
        .map(|(id, _)| id)
        .collect();
    if steps.is_empty() {
        return Err(cell::none(&session.experiments[0], &arguments.name, &arguments.cell));
    }
    let roots = roots(plan, &schedule);
    let teller = Teller::new(&session, &schedule, &view);
    for (place, id) in steps.into_iter().enumerate() {
        let explanation = explain(plan, id, &view, &schedule, session.store()).map_err(Failure::from)?;
        if place > 0 {
            outln!();
        }
        let root = roots.get(id.index()).copied().flatten();
        let cause = root.map(|root| (root, teller.told(root)));
        let cause = cause.map(|(root, (text, remedy))| {
            let of = if root == id { String::new() } else { format!(" (of {})", plan.step(root).label()) };
            format!("{text}{of}{}", remedy.map_or_else(String::new, |remedy| format!(": {remedy}")))
        });
        print(&explanation, cause.as_deref());
    }
    Ok(session.ended(Status::Success))
}

fn has(label: &Label, wanted: &[AxisValue]) -> bool {
    cell::has(wanted, |axis| {
        let found = label.cell.get(axis)?;
        Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
    })
}

fn print(explanation: &Explanation, cause: Option<&str>) {
    for label in &explanation.labels {
        outln!("{label}");
    }
    match &explanation.key {
        Some(key) => outln!("  key      {key}"),
        None => outln!("  key      none while its data are absent"),
    }
    match explanation.forecast.why() {
        None => outln!("  status   cached"),
        Some(why) => outln!("  status   run: {why}"),
    }
    if let Some(cause) = cause {
        outln!("  cause    {cause}");
    }
    if let Some(record) = &explanation.record {
        let made = &record.made;
        outln!("  made     {} by {} on {} ({})", made.date, made.by.program, made.by.host, made.by.device);
        outln!("  took     {}", text::duration(record.seconds));
    }
    outln!("  manifest");
    let manifest = explanation.manifest.to_value();
    for line in serde_json::to_string_pretty(&manifest).unwrap_or_else(|_| manifest.to_string()).lines() {
        outln!("    {line}");
    }
    if let Some(nearest) = &explanation.nearest {
        let labels: Vec<String> = nearest.record.labels.iter().map(ToString::to_string).collect();
        outln!("  nearest  {} ({})", labels.join(", "), nearest.record.key);
        for change in &nearest.changes {
            outln!("    {change}");
        }
    }
}
