//! One compact object a line on standard output.

use serde_json::{Value, json};

use overinterp_report::CheckedClaim;
use overinterp_workflow::event::{Event, Status, Summary};
use overinterp_workflow::plan::{Label, Step};

use crate::failure::chain;

/// Prints a line.
pub(crate) fn line(value: &Value) {
    outln!("{value}");
}

/// The step events of a run.
pub(crate) fn event(event: &Event<'_>) {
    match event {
        Event::Finished { step, status, seconds, error, .. } => {
            let mut value = of("step", step);
            value["status"] = json!(status.to_string());
            value["seconds"] = json!(rounded(if *status == Status::Ran { *seconds } else { 0.0 }));
            if let Some(error) = error {
                value["error"] = json!(error);
            }
            line(&value);
        }
        Event::Waiting { step, holder, is_new: true, .. } => {
            let mut value = of("waiting", step);
            value["worker"] = json!(holder.map(|holder| &holder.id));
            value["presence"] = json!(holder.map(|holder| &holder.presence));
            value["working"] = json!(holder.map(|holder| &holder.working));
            line(&value);
        }
        Event::Helping { step, holder, .. } => {
            let mut value = of("helping", step);
            value["worker"] = json!(holder.id);
            line(&value);
        }
        Event::Helped { step, parts, .. } => {
            let mut value = of("helped", step);
            value["parts"] = json!(parts);
            line(&value);
        }
        Event::Warning { step, message } => {
            line(&json!({"event": "warning", "stage": step.label().stage, "message": message}));
        }
        _ => {}
    }
}

/// What every event of a step begins with.
fn of(event: &str, step: &Step) -> Value {
    let label = step.label();
    json!({
        "event": event,
        "stage": label.stage,
        "cell": label.cell,
        "part": label.part,
        "shard": shard(label),
        "key": step.key().map(ToString::to_string),
    })
}

/// A claim's verdict.
pub(crate) fn claim(experiment: &str, claim: &CheckedClaim) {
    let comparisons: Vec<Value> = claim.comparisons.iter().map(|comparison| json!(comparison)).collect();
    line(&json!({
        "event": "claim",
        "experiment": experiment,
        "name": claim.name,
        "verdict": claim.verdict.text(),
        "comparisons": comparisons,
    }));
}

/// The last line of every run.
pub(crate) fn summary(summary: &Summary) {
    let Summary { ran, cached, failed, skipped, left, helped, seconds } = summary;
    let mut value = json!({
        "event": "run", "ran": ran, "cached": cached, "failed": failed, "skipped": skipped, "seconds": rounded(*seconds),
    });
    // Only of a worker that leaves kinds of steps to others.
    if *left > 0 {
        value["left"] = json!(left);
    }
    if *helped > 0 {
        value["helped"] = json!(helped);
    }
    line(&value);
}

/// `[i, n]`, or null.
pub(crate) fn shard(label: &Label) -> Value {
    label.shard.map_or(Value::Null, |(index, count)| json!([index, count]))
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// An error, for a run that could not begin.
pub(crate) fn error(error: &dyn std::error::Error) {
    line(&json!({"event": "error", "message": chain(error)}));
}
