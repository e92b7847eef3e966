//! Long work on successive images, done in parts that outlive an interruption.
//!
//! A part lies in the step's scratch directory as its artifact would, with a hash of its files beside them, so that one that
//! a crash has cut off is done again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::engine::stage::{Artifact, Context, StageError};

use super::{Env, Range};

/// The file with the hash of the others.
const WHOLE: &str = "whole";
/// The same while it is written.
const UNFINISHED: &str = "whole.unfinished";

/// What became of the parts of `range`, of `size` images each, in their order: what `work` makes of a part, or what an
/// interrupted run has left of it, which `found` is told.
///
/// # Errors
/// That of `work`, or when a part cannot be written.
pub(super) fn in_parts<A: Artifact>(
    context: &Context<'_, Env>,
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
        let dir = context.scratch().join(format!("images-{}-{}", part.first, part.count));
        if let Some(made) = load(&dir) {
            let last = part.indexes().end - 1;
            context.log(&format!("images {} to {last} are there from a run that was stopped", part.first));
            found(part);
            all.push(made);
            continue;
        }
        let made = work(part)?;
        save(&made, &dir).map_err(StageError::failed)?;
        all.push(made);
    }
    Ok(all)
}

/// A part that is there and whole.
fn load<A: Artifact>(dir: &Path) -> Option<A> {
    let written = fs::read(dir.join(WHOLE)).ok()?;
    if hash(dir).ok()?.as_bytes()[..] == written { A::load(dir).ok() } else { None }
}

fn save<A: Artifact>(part: &A, dir: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // What a crash has left of it.
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(dir)?,
    }
    part.save(dir)?;
    let hash = hash(dir)?;
    let unfinished = dir.join(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(hash.as_bytes())?;
    file.sync_all()?;
    Ok(fs::rename(&unfinished, dir.join(WHOLE))?)
}

/// Of the names and contents of all files but [`WHOLE`].
fn hash(dir: &Path) -> io::Result<blake3::Hash> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() != WHOLE && entry.file_name() != UNFINISHED {
            files.insert(entry.file_name(), blake3::hash(&fs::read(entry.path())?));
        }
    }
    let mut hasher = blake3::Hasher::new();
    for (name, hash) in files {
        hasher.update(name.as_encoded_bytes()).update(hash.as_bytes());
    }
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::{Curve, Ranking};
    use crate::spec::Selection;

    fn part() -> Ranking {
        let mut ranking = Ranking::new(16, 3, Selection::Backward);
        ranking.push(&[2, 0, 1], Some(Curve { class: 1, full: 0.9, values: &[0.8, 0.5, 0.1] }));
        ranking
    }

    #[test]
    fn a_part_that_is_not_what_was_written_is_no_part() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("images-16-1");
        assert_eq!(load::<Ranking>(&dir), None);
        save(&part(), &dir).unwrap();
        assert_eq!(load(&dir), Some(part()));
        let file = dir.join("ranking.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(load::<Ranking>(&dir), None);
        // A crash before the hash was written.
        save(&part(), &dir).unwrap();
        fs::remove_file(dir.join(WHOLE)).unwrap();
        assert_eq!(load::<Ranking>(&dir), None);
        save(&part(), &dir).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(load::<Ranking>(&dir), None);
        save(&part(), &dir).unwrap();
        assert_eq!(load(&dir), Some(part()));
    }
}
