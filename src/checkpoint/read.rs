//! Opens a model file and tells its format by its content.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::error::{CheckpointError, Fault, Located};
use super::{legacy, safe_tensors, zip_archive};
use crate::artifacts::ParameterTensor;

/// Reads every tensor of a model file as float32, under the name that it has there.
///
/// Wrappings such as `{'state_dict': ..., 'epoch': 3}` are looked into; batch norm's `num_batches_tracked` is left
/// out, since nothing depends on it. Half, bfloat16, double and integer tensors become the nearest float32.
///
/// # Errors
/// When the file cannot be opened, is damaged, holds anything but a state dict, or asks for code to be run.
pub fn read(path: &Path) -> Result<BTreeMap<String, ParameterTensor>, CheckpointError> {
    let unreadable = |source| CheckpointError::Unreadable { path: path.to_owned(), source };
    let malformed =
        |Located { place, fault }| CheckpointError::Malformed { path: path.to_owned(), place, source: fault };
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(malformed(Fault::NotAFile.at("the path")));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let format = match Format::of(&bytes) {
        _ if path.extension().is_some_and(|extension| extension == "safetensors") => Some(Format::SafeTensors),
        format => format,
    };
    let format = format.ok_or_else(|| malformed(Fault::UnknownFormat.at("its first bytes")))?;
    format.read(&bytes).map_err(malformed)
}

/// A file format, as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    SafeTensors,
    Zip,
    Legacy,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        if zip_archive::recognises(bytes) {
            Some(Self::Zip)
        } else if legacy::recognises(bytes) {
            Some(Self::Legacy)
        } else {
            safe_tensors::recognises(bytes).then_some(Self::SafeTensors)
        }
    }

    fn read(self, bytes: &[u8]) -> Result<BTreeMap<String, ParameterTensor>, Located> {
        match self {
            Self::SafeTensors => safe_tensors::read(bytes),
            Self::Zip => zip_archive::read(bytes),
            Self::Legacy => legacy::read(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Every committed checkpoint that can be read.
    fn sound() -> Vec<(PathBuf, Format, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints");
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = paths.filter_map(|path| {
            let bytes = fs::read(&path).unwrap();
            let format = Format::of(&bytes)?;
            format.read(&bytes).is_ok().then_some((path, format, bytes))
        });
        files.collect()
    }

    #[test]
    fn a_file_cut_short_anywhere_is_refused() {
        let files = sound();
        assert!(files.len() >= 20, "{} fixtures are sound", files.len());
        for (path, format, bytes) in files {
            for length in 0..bytes.len() {
                assert!(format.read(&bytes[..length]).is_err(), "{} cut to {length} bytes", path.display());
            }
        }
    }

    #[test]
    fn a_damaged_byte_anywhere_never_panics() {
        for (_, format, mut bytes) in sound() {
            for place in 0..bytes.len() {
                let right = bytes[place];
                bytes[place] = [right ^ 1, right ^ 0x80, 0, 0xff][place % 4];
                let _ = format.read(&bytes);
                bytes[place] = right;
            }
        }
    }
}
