//! Long work on successive images, done in parts that outlive an interruption.
//!
//! A part lies in the step's scratch directory as its artifact would. Beside its files stands what it is a part of, what it
//! took, and a hash of all that. One that a crash has cut off, or that another model or machine has made, is done again. Workers
//! that have nothing else to do help with parts.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use candle_core::Device;

use overinterp_artifacts::Model;
use overinterp_nn::rates::processor;
use overinterp_workflow::stage::{Artifact, Context, Part, StageError};

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
/// interrupted run has left of it or another worker has made of it, which `found` is told. A worker that helps another leaves
/// parts for it.
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
    let parts: Vec<Range> = parts.into_iter().map(|part| Range { first: range.first + part.first, ..part }).collect();
    let shared = Shared { context, identity, longest: 0.0 };
    if context.helps() {
        shared.help(&parts, work)?;
        return Err(StageError::Cancelled);
    }
    // The result itself is about to be written.
    if let [_] | [] = parts[..] {
        return work(range).map(|whole| vec![whole]);
    }
    shared.all(&parts, found, &mut work)
}

/// Parts of a step that several workers may do.
struct Shared<'a> {
    context: &'a Context<'a, Env>,
    identity: Identity,
    /// Seconds that the longest part took that this worker did.
    longest: f64,
}

/// Between two looks at what another worker does.
const PAUSE: Duration = Duration::from_millis(50);

impl Shared<'_> {
    /// Every part, whoever did it.
    fn all<A: Artifact>(
        mut self,
        parts: &[Range],
        found: impl Fn(Range),
        work: &mut impl FnMut(Range) -> Result<A, StageError>,
    ) -> Result<Vec<A>, StageError> {
        let context = self.context;
        let mut all: Vec<Option<A>> = Vec::with_capacity(parts.len());
        for &part in parts {
            all.push(self.left(part).inspect(|_| found(part)));
        }
        if all.iter().any(Option::is_none) {
            context.share(self.identity.0.to_hex().as_str())?;
        }
        let mut waiting: Option<Instant> = None;
        loop {
            let mut theirs = None;
            for (place, &part) in parts.iter().enumerate() {
                if all[place].is_some() {
                    continue;
                }
                match self.one(part, &found, work)? {
                    Some(made) => {
                        waiting = None;
                        all[place] = Some(made);
                    }
                    None => {
                        theirs.get_or_insert((place, part));
                    }
                }
            }
            let Some((place, part)) = theirs else { return Ok(all.into_iter().flatten().collect()) };
            if context.cancelled() {
                return Err(StageError::Cancelled);
            }
            // One that is much slower is not waited for.
            let since = *waiting.get_or_insert_with(Instant::now);
            if self.longest > 0.0 && since.elapsed().as_secs_f64() > 2.0 * self.longest + 1.0 {
                all[place] = Some(self.make(part, work)?);
                continue;
            }
            thread::sleep(PAUSE);
            // A client of a file server may remember that a name was not there, until the folder is opened anew.
            let _ = fs::File::open(context.scratch());
        }
    }

    /// A part, unless another worker is at it.
    fn one<A: Artifact>(
        &mut self,
        part: Range,
        found: &impl Fn(Range),
        work: &mut impl FnMut(Range) -> Result<A, StageError>,
    ) -> Result<Option<A>, StageError> {
        if let Some(made) = self.theirs(part).inspect(|_| found(part)) {
            return Ok(Some(made));
        }
        let Part::Mine(_claim) = self.context.claim_part(&name(part))? else { return Ok(None) };
        // It may have come between the look and the claim.
        match self.theirs(part).inspect(|_| found(part)) {
            None => self.make(part, work).map(Some),
            made => Ok(made),
        }
    }

    /// Does parts that are free, from the last to the first, for the worker that has the step.
    fn help<A: Artifact>(
        mut self,
        parts: &[Range],
        mut work: impl FnMut(Range) -> Result<A, StageError>,
    ) -> Result<(), StageError> {
        let context = self.context;
        if parts.len() < 2 {
            return Ok(());
        }
        context.share(self.identity.0.to_hex().as_str())?;
        for &part in parts.iter().rev() {
            if !context.goes_on() {
                break;
            }
            let dir = self.dir(part);
            if !dir.exists()
                && let Part::Mine(_claim) = context.claim_part(&name(part))?
                && !dir.exists()
            {
                self.make(part, &mut work)?;
            }
        }
        Ok(())
    }

    /// Does a part, and keeps it where whoever goes on from here, or has the step, finds it.
    fn make<A: Artifact>(
        &mut self,
        part: Range,
        work: &mut impl FnMut(Range) -> Result<A, StageError>,
    ) -> Result<A, StageError> {
        let start = Instant::now();
        let made = work(part)?;
        let seconds = start.elapsed().as_secs_f64();
        self.longest = self.longest.max(seconds);
        // It is a convenience: what the disk has no room for is told by the result.
        if let Err(error) = save(&made, &self.dir(part), self.identity, seconds) {
            self.context.log(&format!("{} cannot be kept for a run that goes on from here: {error}", images(part)));
        }
        Ok(made)
    }

    /// A part that an interrupted run has left.
    fn left<A: Artifact>(&self, part: Range) -> Option<A> {
        let images = images(part);
        match load(&self.dir(part), self.identity) {
            Ok((made, seconds)) => {
                self.context.log(&format!("{images} are there from before"));
                self.context.spent_before(seconds);
                return Some(made);
            }
            Err(NoPart::Absent) => {}
            Err(why) => self.context.log(&format!("{images} that are there from before {why}: they are done again")),
        }
        None
    }

    /// A part that another worker has done.
    fn theirs<A: Artifact>(&self, part: Range) -> Option<A> {
        let (made, seconds) = load(&self.dir(part), self.identity).ok()?;
        self.context.log(&format!("{} are there from another worker", images(part)));
        self.context.spent_before(seconds);
        Some(made)
    }

    fn dir(&self, part: Range) -> PathBuf {
        self.context.scratch().join(name(part))
    }
}

/// What a part is called in the step's scratch directory.
fn name(part: Range) -> String {
    format!("images-{}-{}", part.first, part.count)
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

/// Writes a part beside its place, and moves it there: two workers may do the same one.
fn save<A: Artifact>(part: &A, dir: &Path, identity: Identity, seconds: f64) -> Result<(), Box<dyn Error>> {
    // Where the step has come to its end, the folder is gone, and stays so.
    let private = tempfile::Builder::new().prefix(".part-").tempdir_in(dir.parent().unwrap_or(dir))?;
    let files = private.path().join("files");
    fs::create_dir(&files)?;
    part.save(&files)?;
    fs::write(files.join(SECONDS), seconds.to_string())?;
    let hash = hash_of(&files, identity)?;
    let whole = [identity.0.as_bytes().as_slice(), hash.as_bytes()].concat();
    fs::write(files.join(WHOLE), &whole)?;
    // What a crash has left of it, or another version of this program.
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(fs::rename(&files, dir)?),
    }
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
