//! One JSON file with a whole artifact.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Damage;
use overinterp_workflow::stage::ArtifactError;

/// Writes `content` as the file `path`, one line a field, for people to read.
pub(super) fn write(path: &Path, content: &impl Serialize) -> Result<(), ArtifactError> {
    let mut text = serde_json::to_string_pretty(content).map_err(|error| ArtifactError::writing(path, error))?;
    text.push('\n');
    fs::write(path, text).map_err(|error| ArtifactError::writing(path, error))
}

/// Writes `content` as the file `path` without white space.
pub(super) fn write_compact(path: &Path, content: &impl Serialize) -> Result<(), ArtifactError> {
    let mut text = serde_json::to_string(content).map_err(|error| ArtifactError::writing(path, error))?;
    text.push('\n');
    fs::write(path, text).map_err(|error| ArtifactError::writing(path, error))
}

/// Reads what was written, if `valid` finds no fault in it.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    valid: impl FnOnce(&T) -> Result<(), Damage>,
) -> Result<T, ArtifactError> {
    let text = fs::read(path).map_err(|error| ArtifactError::reading(path, error))?;
    let content = serde_json::from_slice(&text).map_err(|error| ArtifactError::reading(path, Damage::Json(error)))?;
    valid(&content).map_err(|damage| ArtifactError::reading(path, damage))?;
    Ok(content)
}
