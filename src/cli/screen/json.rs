//! One compact object a line on standard output.

use serde_json::{Value, json};

use overinterp_report::CheckedClaim;
use overinterp_workflow::event::{Event, Status, Summary};
use overinterp_workflow::plan::Label;

use crate::failure::chain;

/// Prints a line.
pub(crate) fn line(value: &Value) {
    outln!("{value}");
}

/// The step events of a run.
pub(crate) fn event(event: &Event<'_>) {
    match event {
        Event::Finished { step, status, seconds, error, .. } => {
            let mut value = json!({
                "event": "step",
                "stage": step.label().stage,
                "cell": step.label().cell,
                "part": step.label().part,
                "shard": shard(step.label()),
                "key": step.key().map(ToString::to_string),
                "status": status.to_string(),
                "seconds": rounded(if *status == Status::Ran { *seconds } else { 0.0 }),
            });
            if let Some(error) = error {
                value["error"] = json!(error);
            }
            line(&value);
        }
        Event::Waiting { step, holder, is_new: true, .. } => {
            line(&json!({
                "event": "waiting",
                "stage": step.label().stage,
                "cell": step.label().cell,
                "part": step.label().part,
                "shard": shard(step.label()),
                "key": step.key().map(ToString::to_string),
                "worker": holder.map(|holder| &holder.id),
                "presence": holder.map(|holder| &holder.presence),
                "working": holder.map(|holder| &holder.working),
            }));
        }
        Event::Helping { step, holder, .. } => {
            line(&json!({
                "event": "helping",
                "stage": step.label().stage,
                "cell": step.label().cell,
                "part": step.label().part,
                "shard": shard(step.label()),
                "key": step.key().map(ToString::to_string),
                "worker": holder.id,
            }));
        }
        Event::Helped { step, parts, .. } => {
            line(&json!({
                "event": "helped",
                "stage": step.label().stage,
                "cell": step.label().cell,
                "part": step.label().part,
                "shard": shard(step.label()),
                "key": step.key().map(ToString::to_string),
                "parts": parts,
            }));
        }
        Event::Warning { step, message } => {
            line(&json!({"event": "warning", "stage": step.label().stage, "message": message}));
        }
        _ => {}
    }
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
