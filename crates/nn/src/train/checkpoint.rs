//! The state of a training on disk, so that one that was killed goes on as if it had not been.
//!
//! The file is a BLAKE3 hash followed by the safetensors that it is the hash of. It is written beside its place and
//! renamed, so that there is always a whole one. Random streams need no place in it: each is a function of the seed,
//! its name and the epoch or step.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use overinterp_artifacts::{EpochLog, ParameterTensor};
use overinterp_foreign::bounded;

/// Bytes that a state may have: several times the weights and velocities of the largest network.
const MOST_BYTES: u64 = 8 << 30;
const FILE: &str = "checkpoint";
const UNFINISHED: &str = "checkpoint.unfinished";
const HASH_BYTES: usize = blake3::OUT_LEN;

/// Where a training stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    /// Whole epochs behind it.
    pub epoch: usize,
    /// Batches of the current epoch behind it.
    pub batch: usize,
    /// Sum of the losses of this epoch's images.
    pub loss: f64,
    /// Images of this epoch that were classified as labelled.
    pub correct: usize,
    /// The finished epochs.
    pub log: Vec<EpochLog>,
}

/// Everything that a training needs to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Identifies the training; no other goes on from here.
    pub training: [u8; HASH_BYTES],
    /// Where it stands.
    pub position: Position,
    /// What it took to get there.
    pub seconds: f64,
    /// Weights and running statistics.
    pub tensors: BTreeMap<String, ParameterTensor>,
    /// The optimiser's velocities.
    pub velocities: BTreeMap<String, ParameterTensor>,
}

/// Why a checkpoint could not be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It could not be read.
    #[error("cannot read the checkpoint {path}")]
    Read {
        /// The file that could not be read.
        path: PathBuf,
        /// What the operating system said, or that the file is too large.
        source: io::Error,
    },
    /// It could not be written.
    #[error("cannot write the checkpoint {path}")]
    Write {
        /// The file that was to be replaced; one beside it is written first.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It cannot be laid out as safetensors.
    #[error("cannot lay out the checkpoint {path}")]
    Layout {
        /// The file that was to be written.
        path: PathBuf,
        /// What the safetensors library said.
        source: SafeTensorError,
    },
    /// Its content is not what was written.
    #[error("the checkpoint {path} is damaged")]
    Damaged {
        /// The file whose hash or content is wrong.
        path: PathBuf,
    },
    /// It belongs to another training.
    #[error("the checkpoint {path} is of another training")]
    OtherTraining {
        /// The file, which names another training than the one that was asked for.
        path: PathBuf,
    },
}

impl Checkpoint {
    /// Writes the checkpoint into `dir`, in place of any older one.
    ///
    /// # Errors
    /// When the file cannot be written; the older one then still stands.
    pub fn save(&self, dir: &Path) -> Result<(), CheckpointError> {
        let (path, unfinished) = (dir.join(FILE), dir.join(UNFINISHED));
        let body = self.to_bytes().map_err(|source| CheckpointError::Layout { path: path.clone(), source })?;
        let write = || -> io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(blake3::hash(&body).as_bytes())?;
            file.write_all(&body)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|source| CheckpointError::Write { path: path.clone(), source })
    }

    /// Reads the checkpoint of `training` from `dir`; `None` if there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read, is damaged, or belongs to another training.
    pub fn load(dir: &Path, training: [u8; HASH_BYTES]) -> Result<Option<Self>, CheckpointError> {
        let path = dir.join(FILE);
        let bytes = match bounded::read_in_place(&path, MOST_BYTES).map_err(io::Error::from) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Read { path, source }),
        };
        let whole = bytes.split_first_chunk().filter(|(hash, body)| blake3::hash(body) == **hash);
        let Some(checkpoint) = whole.and_then(|(_, body)| Self::from_bytes(body)) else {
            return Err(CheckpointError::Damaged { path });
        };
        if checkpoint.training == training {
            Ok(Some(checkpoint))
        } else {
            Err(CheckpointError::OtherTraining { path })
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, SafeTensorError> {
        let Position { epoch, batch, loss, correct, log } = &self.position;
        let place = [*epoch as u64, *batch as u64, loss.to_bits(), *correct as u64].map(u64::to_le_bytes);
        let seconds = self.seconds.to_le_bytes();
        let log_bytes: Vec<u8> = log.iter().flat_map(log_row).flat_map(f64::to_le_bytes).collect();
        let mut views = vec![
            ("training".to_owned(), TensorView::new(Dtype::U8, vec![HASH_BYTES], &self.training)?),
            ("place".to_owned(), TensorView::new(Dtype::U64, vec![4], place.as_flattened())?),
            ("seconds".to_owned(), TensorView::new(Dtype::F64, vec![1], &seconds)?),
            ("log".to_owned(), TensorView::new(Dtype::F64, vec![log.len(), 5], &log_bytes)?),
        ];
        for (prefix, tensors) in [("tensor", &self.tensors), ("velocity", &self.velocities)] {
            for (name, tensor) in tensors {
                let bytes = bytemuck::cast_slice(&tensor.data);
                let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?;
                views.push((format!("{prefix} {name}"), view));
            }
        }
        safetensors::serialize(views, None)
    }

    /// Reads back [`Checkpoint::to_bytes`]; `None` when something is missing.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let file = SafeTensors::deserialize(bytes).ok()?;
        let words = |name: &str| -> Option<Vec<u64>> {
            let (words, _) = file.tensor(name).ok()?.data().as_chunks();
            Some(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
        };
        let [epoch, batch, loss, correct] = words("place")?.try_into().ok()?;
        // Those that were written before it was noted lack it.
        let seconds = words("seconds").and_then(|words| words.first().copied().map(f64::from_bits)).unwrap_or_default();
        let log_values: Vec<f64> = words("log")?.into_iter().map(f64::from_bits).collect();
        let position = Position {
            epoch: usize::try_from(epoch).ok()?,
            batch: usize::try_from(batch).ok()?,
            loss: f64::from_bits(loss),
            correct: usize::try_from(correct).ok()?,
            log: log_values.as_chunks().0.iter().enumerate().map(log_line).collect(),
        };
        let (mut tensors, mut velocities) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in file.iter() {
            let Some((prefix, name)) = name.split_once(' ') else { continue };
            let (values, _) = view.data().as_chunks();
            let data = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
            let group = if prefix == "tensor" { &mut tensors } else { &mut velocities };
            group.insert(name.to_owned(), ParameterTensor { shape: view.shape().to_vec(), data });
        }
        let training = file.tensor("training").ok()?.data().try_into().ok()?;
        Some(Self { training, position, seconds, tensors, velocities })
    }
}

fn log_row(line: &EpochLog) -> [f64; 5] {
    [line.epoch as f64, line.learning_rate, line.loss, line.train_accuracy, line.test_accuracy]
}

fn log_line((place, row): (usize, &[f64; 5])) -> EpochLog {
    let [_, learning_rate, loss, train_accuracy, test_accuracy] = *row;
    EpochLog { epoch: place + 1, learning_rate, loss, train_accuracy, test_accuracy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let tensor = |values: [f32; 2]| ParameterTensor { shape: vec![1, 2], data: values.to_vec() };
        Checkpoint {
            training: [7; HASH_BYTES],
            position: Position {
                epoch: 1,
                batch: 3,
                loss: 0.1 + 0.2,
                correct: 17,
                log: vec![EpochLog {
                    epoch: 1,
                    learning_rate: 0.1,
                    loss: 1.0 / 3.0,
                    train_accuracy: 0.5,
                    test_accuracy: 2.0 / 7.0,
                }],
            },
            seconds: 12.5,
            tensors: BTreeMap::from([("conv1.weight".to_owned(), tensor([1.5, -0.0]))]),
            velocities: BTreeMap::from([("conv1.weight".to_owned(), tensor([f32::MIN_POSITIVE, 3.0]))]),
        }
    }

    #[test]
    fn what_is_saved_comes_back_to_the_bit() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::load(dir.path(), [7; HASH_BYTES]).unwrap(), None);
        checkpoint().save(dir.path()).unwrap();
        let loaded = Checkpoint::load(dir.path(), [7; HASH_BYTES]).unwrap().unwrap();
        assert_eq!(loaded, checkpoint());
        assert_eq!(loaded.to_bytes().unwrap(), checkpoint().to_bytes().unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn any_flipped_or_missing_byte_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        checkpoint().save(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let bytes = fs::read(&path).unwrap();
        for place in (0..bytes.len()).step_by(11) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let error = Checkpoint::load(dir.path(), [7; HASH_BYTES]).unwrap_err();
            assert!(matches!(error, CheckpointError::Damaged { .. }), "byte {place}");
        }
        for length in [0, 31, 32, bytes.len() - 1] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(Checkpoint::load(dir.path(), [7; HASH_BYTES]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn another_trainings_checkpoint_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        checkpoint().save(dir.path()).unwrap();
        let error = Checkpoint::load(dir.path(), [8; HASH_BYTES]).unwrap_err();
        assert!(matches!(error, CheckpointError::OtherTraining { .. }));
    }
}
