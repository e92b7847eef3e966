//! Long work on successive images, done in parts that outlive an interruption.
//!
//! A part lies in the step's scratch directory as its artifact would. Beside its files stands what it is a part of, what it
//! took, and a hash of all that. One that a crash has cut off, or that another model or machine has made, is done again.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use candle_core::Device;

use overinterp_artifacts::Model;
use overinterp_foreign::bounded;
use overinterp_nn::rates::processor;
use overinterp_workflow::stage::{Artifact, Context, StageError};

use super::{Env, Range};

/// The file with the hash of the others, written last.
const WHOLE: &str = "whole";
/// The file with the seconds that the part took.
const SECONDS: &str = "seconds";

/// What all parts of a result have in common. A step's key names its inputs by their keys, which may come to hold other bytes,
/// and says nothing of what computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Identity(blake3::Hash);

impl Identity {
    /// Of what a model finds on a device by this version of the program.
    pub fn of(model: &Model, device: &Device) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("overinterp parts of a selection v1");
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes()).update(processor(device).as_bytes());
        for network in &model.networks {
            let facts = format!("{} {:?} {:?}", network.arch, network.normalise, network.input_dropout);
            hasher.update(facts.as_bytes());
            for (name, tensor) in &network.tensors {
                hasher.update(name.as_bytes()).update(format!("{:?}", tensor.shape).as_bytes());
                hasher.update(bytemuck::cast_slice(&tensor.data));
            }
        }
        Self(hasher.finalize())
    }
}

/// What became of the parts of `range`, of `size` images each, in their order: what `work` makes of a part, or what an
/// interrupted run has left of it, which `found` is told.
///
/// # Errors
/// That of `work`.
pub(super) fn in_parts<A: Artifact>(
    context: &Context<'_, Env>,
    identity: Identity,
    range: Range,
    size: usize,
    found: impl Fn(Range),
    mut work: impl FnMut(Range) -> Result<A, StageError>,
) -> Result<Vec<A>, StageError> {
    let parts = Range::shards(range.count, size.max(1));
    // The result itself is about to be written.
    if let [_] | [] = parts[..] {
        return work(range).map(|whole| vec![whole]);
    }
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        let part = Range { first: range.first + part.first, ..part };
        let (name, images) = (format!("{}-{}", part.first, part.count), images(part));
        let dir = context.scratch().join(format!("images-{name}"));
        match load(&dir, identity) {
            Ok((made, seconds)) => {
                context.log(&format!("{images} are there from a run that was stopped"));
                context.spent_before(seconds);
                found(part);
                all.push(made);
                continue;
            }
            Err(NoPart::Absent) => {}
            Err(why) => context.log(&format!("{images} of a run that was stopped {why}: they are done again")),
        }
        let start = Instant::now();
        let made = work(part)?;
        // It is a convenience: what the disk has no room for is told by the result.
        if let Err(error) = save(&made, &dir, identity, start.elapsed().as_secs_f64()) {
            context.log(&format!("{images} cannot be kept for a run that goes on from here: {error}"));
        }
        all.push(made);
    }
    Ok(all)
}

/// `images 0 to 15`.
fn images(part: Range) -> String {
    format!("images {} to {}", part.first, part.indexes().end.saturating_sub(1))
}

/// Why there is no part to go on from.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NoPart {
    #[error("are not there")]
    Absent,
    #[error("are damaged or were cut off")]
    Damaged,
    #[error("are of another model, another machine or another version of this program")]
    Other,
}

/// A part that is there and whole, and what it took.
fn load<A: Artifact>(dir: &Path, identity: Identity) -> Result<(A, f64), NoPart> {
    if !dir.exists() {
        return Err(NoPart::Absent);
    }
    let read = |name: &str| fs::read(dir.join(name)).map_err(|_| NoPart::Damaged);
    let whole = read(WHOLE)?;
    let (own, hash) = whole.split_at_checked(blake3::OUT_LEN).ok_or(NoPart::Damaged)?;
    if own != identity.0.as_bytes() {
        return Err(NoPart::Other);
    }
    if hash_of(dir, identity).map_err(|_| NoPart::Damaged)?.as_bytes() != hash {
        return Err(NoPart::Damaged);
    }
    let seconds = String::from_utf8(read(SECONDS)?).ok().and_then(|text| text.parse().ok()).ok_or(NoPart::Damaged)?;
    A::load(dir).map(|part| (part, seconds)).map_err(|_| NoPart::Damaged)
}

fn save<A: Artifact>(part: &A, dir: &Path, identity: Identity, seconds: f64) -> Result<(), Box<dyn Error>> {
    // What a crash has left of it.
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(dir)?,
    }
    part.save(dir)?;
    fs::write(dir.join(SECONDS), seconds.to_string())?;
    let hash = hash_of(dir, identity)?;
    let whole = [identity.0.as_bytes().as_slice(), hash.as_bytes()].concat();
    Ok(bounded::replace(&dir.join(WHOLE), &whole)?)
}

/// Of the identity and the names and contents of all files but [`WHOLE`].
fn hash_of(dir: &Path, identity: Identity) -> io::Result<blake3::Hash> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() != WHOLE {
            files.insert(entry.file_name(), blake3::hash(&fs::read(entry.path())?));
        }
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(identity.0.as_bytes());
    for (name, hash) in files {
        hasher.update(name.as_encoded_bytes()).update(hash.as_bytes());
    }
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use overinterp_artifacts::{Curve, Network, ParameterTensor, Ranking};
    use overinterp_spec::{Arch, ImageShape, Normalise, Selection};

    fn part() -> Ranking {
        let mut ranking = Ranking::new(16, 3, Selection::Backward);
        ranking.push(&[2, 0, 1], Some(Curve { class: 1, full: 0.9, values: &[0.8, 0.5, 0.1] }));
        ranking
    }

    fn identity(weight: f32) -> Identity {
        let tensor = ParameterTensor { shape: vec![1], data: vec![weight] };
        let network = Network {
            arch: Arch::Cnn,
            normalise: Normalise { mean: vec![0.0], std: vec![1.0] },
            input_dropout: None,
            tensors: [("weight".to_owned(), tensor)].into(),
            log: Vec::new(),
        };
        let shape = ImageShape { height: 1, width: 3, channels: 1 };
        Identity::of(&Model { shape, classes: 2, networks: vec![network] }, &Device::Cpu)
    }

    #[test]
    fn a_part_that_is_not_what_was_written_or_is_of_another_model_is_done_again() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("images-16-1");
        let loaded = |identity| load::<Ranking>(&dir, identity);
        let write = || save(&part(), &dir, identity(0.5), 2.25).unwrap();
        assert_eq!(loaded(identity(0.5)), Err(NoPart::Absent));
        write();
        assert_eq!(loaded(identity(0.5)), Ok((part(), 2.25)));
        assert_eq!(loaded(identity(0.25)), Err(NoPart::Other));
        for name in ["ranking.safetensors", SECONDS, WHOLE] {
            write();
            let file = dir.join(name);
            let mut bytes = fs::read(&file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&file, &bytes).unwrap();
            assert_eq!(loaded(identity(0.5)), Err(NoPart::Damaged), "{name}");
            fs::remove_file(&file).unwrap();
            assert_eq!(loaded(identity(0.5)), Err(NoPart::Damaged), "{name}");
        }
        write();
        assert_eq!(loaded(identity(0.5)), Ok((part(), 2.25)));
    }
}
