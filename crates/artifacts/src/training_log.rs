//! How a training went, as CSV.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{Damage, EpochLog};
use overinterp_workflow::stage::ArtifactError;

const LOG_HEADER: &str = "epoch,learning-rate,loss,train-accuracy,test-accuracy";

/// Writes the file `path`.
pub(super) fn write(path: &Path, log: &[EpochLog]) -> Result<(), ArtifactError> {
    fs::write(path, log_text(log)).map_err(|error| ArtifactError::writing(path, error))
}

/// Reads what was written.
pub(super) fn read(path: &Path) -> Result<Vec<EpochLog>, ArtifactError> {
    let text = fs::read_to_string(path).map_err(|error| ArtifactError::reading(path, error))?;
    parse_log(&text).map_err(|damage| ArtifactError::reading(path, damage))
}

/// The log as CSV, each number in the fewest digits that give it back.
fn log_text(log: &[EpochLog]) -> String {
    let mut text = format!("{LOG_HEADER}\n");
    for EpochLog { epoch, learning_rate, loss, train_accuracy, test_accuracy } in log {
        let _ = writeln!(text, "{epoch},{learning_rate},{loss},{train_accuracy},{test_accuracy}"); // cannot fail
    }
    text
}

fn parse_log(text: &str) -> Result<Vec<EpochLog>, Damage> {
    let mut lines = text.lines();
    if lines.next() != Some(LOG_HEADER) {
        return Err(Damage::Line(1));
    }
    lines.enumerate().map(|(index, line)| parse_epoch(line).ok_or(Damage::Line(index + 2))).collect()
}

fn parse_epoch(line: &str) -> Option<EpochLog> {
    let (epoch, numbers) = line.split_once(',')?;
    let numbers: Vec<f64> = numbers.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [learning_rate, loss, train_accuracy, test_accuracy] = numbers.try_into().ok()?;
    Some(EpochLog { epoch: epoch.parse().ok()?, learning_rate, loss, train_accuracy, test_accuracy })
}
