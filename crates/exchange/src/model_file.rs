//! A model file: what it names, which of it are the weights of an architecture, and their values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{ExchangeError, Fault, Located, quote};
use super::listing::Listing;
use super::misfit::FitError;
use super::names::{self, Architecture, Fitting};
use super::{legacy, pickled, safe_tensors, zip_archive};
use overinterp_artifacts::ParameterTensor;
use overinterp_foreign::bounded;
use overinterp_foreign::sniff::{Foreign, LOOKED_AT};

/// A model file whose names are read, and whose tensors are not yet.
#[derive(Debug)]
pub struct ModelFile<'a> {
    path: PathBuf,
    listing: Listing,
    source: Source<'a>,
}

/// Where the tensors come from.
#[derive(Debug)]
pub(super) enum Source<'a> {
    SafeTensors(safe_tensors::File<'a>),
    Pickled(pickled::File<'a>),
}

impl ModelFile<'_> {
    /// Bytes that such a file may have: several times the largest network, VGG-16 on ImageNet, with all that a training keeps
    /// beside it.
    pub const MOST_BYTES: u64 = 4 << 30;

    /// Refuses by its first bytes what is no model file, so that it need not be read whole.
    ///
    /// # Errors
    /// When it cannot be opened, is no regular file, or of no known format.
    pub fn look_at(path: &Path) -> Result<(), ExchangeError> {
        let start = bounded::start(path, LOOKED_AT as u64).map_err(|error| ExchangeError::unreadable(path, error))?;
        // The header of a safetensors file goes on behind these.
        if start.get(8) == Some(&b'{') {
            return Ok(());
        }
        Format::of(path, &start).map(drop).map_err(|located| located.of(path))
    }
}

impl<'a> ModelFile<'a> {
    /// Reads the names in the content of the file at `path`. Its format is told by its content.
    ///
    /// Nothing that a pickle asks for is run. Batch norm's `num_batches_tracked` counts for nothing.
    ///
    /// # Errors
    /// When the file is damaged, or holds no tensors.
    pub fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, ExchangeError> {
        let format = Format::of(path, bytes).map_err(|located| located.of(path))?;
        let (listing, source) = format.read(bytes).map_err(|located| located.of(path))?;
        Ok(Self { path: path.to_owned(), listing, source })
    }

    /// Finds the weights of an architecture: those that have its names behind a common prefix, whatever it is.
    ///
    /// `weights` are the first parts of that prefix (`params_ema`, `ema.state_dict`). Where several prefixes fit, that
    /// with the usual words is taken, and else the first in the file.
    ///
    /// # Errors
    /// When no prefix fits; the error tells what is amiss with the nearest one.
    pub fn fit(&self, architecture: &Architecture<'_>, weights: Option<&str>) -> Result<Fitting, FitError> {
        names::fit(&self.listing, architecture, weights)
    }

    /// Whether [`ModelFile::fit`] finds the weights of an architecture.
    #[must_use]
    pub fn fits(&self, architecture: &Architecture<'_>, weights: Option<&str>) -> bool {
        names::fits(&self.listing, architecture, weights)
    }

    /// Reads the weights that were found, as float32, under the architecture's names. Half, bfloat16, double and integer
    /// tensors become the nearest float32.
    ///
    /// # Errors
    /// When one of them is no tensor, or damaged.
    pub fn gather(&mut self, fitting: &Fitting) -> Result<BTreeMap<String, ParameterTensor>, ExchangeError> {
        let read = |name: &String| -> Result<_, Located> {
            let full = format!("{}{name}", fitting.prefix);
            let tensor = match (&mut self.source, self.listing.named.get(&full).and_then(|named| named.value)) {
                (Source::SafeTensors(file), _) => file.tensor(&full),
                (Source::Pickled(file), Some(value)) => file.tensor(value),
                (Source::Pickled(_), None) => Err(Fault::NoTensor.into()),
            };
            let tensor = tensor.map_err(|found| found.at(format!("tensor {}", quote(&full))))?;
            Ok((name.clone(), tensor))
        };
        let tensors: Result<_, Located> = fitting.names.iter().map(read).collect();
        tensors.map_err(|located| located.of(&self.path))
    }
}

/// A file format, as the content tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    SafeTensors,
    Zip,
    Legacy,
    Pickle,
}

impl Format {
    fn of(path: &Path, bytes: &[u8]) -> Result<Self, Located> {
        let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
        if zip_archive::recognises(bytes) {
            Ok(Self::Zip)
        } else if legacy::recognises(bytes) {
            Ok(Self::Legacy)
        } else if safe_tensors::recognises(bytes) {
            Ok(Self::SafeTensors)
        } else if pickled::recognises(bytes) {
            Ok(Self::Pickle)
        } else if legacy::is_of_first_pytorch(bytes) {
            Err(Fault::FirstPyTorch.at("its first bytes"))
        } else if let Some(foreign) = Foreign::of(bytes) {
            Err(Fault::Foreign(foreign).at("its first bytes"))
        } else if named {
            // Cut short or damaged: its reader says how.
            Ok(Self::SafeTensors)
        } else {
            Err(Fault::UnknownFormat.at("its first bytes"))
        }
    }

    fn read(self, bytes: &[u8]) -> Result<(Listing, Source<'_>), Located> {
        match self {
            Self::SafeTensors => safe_tensors::open(bytes).map(|(listing, file)| (listing, Source::SafeTensors(file))),
            Self::Zip => zip_archive::open(bytes).map(|(listing, file)| (listing, Source::Pickled(file))),
            Self::Legacy => legacy::open(bytes).map(|(listing, file)| (listing, Source::Pickled(file))),
            Self::Pickle => pickled::open(bytes).map(|(listing, file)| (listing, Source::Pickled(file))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Reads every tensor of a file.
    fn read_all(path: &Path, bytes: &[u8]) -> Result<usize, ExchangeError> {
        let mut file = ModelFile::parse(path, bytes)?;
        let tensors = file.listing.named.iter().filter(|(_, named)| named.shape.is_some());
        let names: Vec<String> = tensors.map(|(name, _)| name.clone()).collect();
        let fitting = Fitting { names, ..Fitting::default() };
        file.gather(&fitting).map(|tensors| tensors.len())
    }

    /// Every committed model file that can be read.
    fn sound() -> Vec<(PathBuf, Vec<u8>)> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/fixtures/checkpoints");
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let files = paths.filter_map(|path| {
            let bytes = fs::read(&path).unwrap();
            read_all(&path, &bytes).is_ok().then_some((path, bytes))
        });
        files.collect()
    }

    #[test]
    fn a_file_cut_short_anywhere_is_refused() {
        let files = sound();
        assert!(files.len() >= 20, "{} fixtures are sound", files.len());
        for (path, bytes) in files {
            // Every byte of a small file.
            for length in (0..bytes.len()).step_by(1 + bytes.len() / 3000) {
                assert!(read_all(&path, &bytes[..length]).is_err(), "{} cut to {length} bytes", path.display());
            }
        }
    }

    #[test]
    fn a_damaged_byte_anywhere_never_panics() {
        for (path, mut bytes) in sound() {
            for place in (0..bytes.len()).step_by(1 + bytes.len() / 3000) {
                let right = bytes[place];
                bytes[place] = [right ^ 1, right ^ 0x80, 0, 0xff][place % 4];
                let _ = read_all(&path, &bytes);
                bytes[place] = right;
            }
        }
    }
}
