//! What can go wrong with the cache, and what to do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::key::StepKey;
use crate::stage::ArtifactError;
use overinterp_foreign::bounded::{Needs, Shortage};

/// A failure of the cache as a place. Damage to a single entry is not one: it is set aside and recomputed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is a file where the cache's directory should be.
    #[error("the cache {} is not a directory: remove it, or name another with --cache", path.display())]
    NotADirectory {
        /// The cache, or a path in it where a directory should be.
        path: PathBuf,
    },
    /// The cache may not be written to.
    #[error("cannot write to the cache at {}: make it writable, or name another with --cache", path.display())]
    NotWritable {
        /// What was to be written.
        path: PathBuf,
        /// What the system said: no permission, or a file system that is only read.
        source: io::Error,
    },
    /// No space is left, or none that this user or this process may take.
    #[error("cannot write {}: {}", path.display(), shortage.told("it", path, *needs))]
    NoRoom {
        /// What was to be written.
        path: PathBuf,
        /// What is wanting.
        shortage: Shortage,
        /// How much it needs, where that is known.
        needs: Option<Needs>,
        /// What the system said: a full disk, a quota, or a limit to the size of files.
        source: io::Error,
    },
    /// A part of the cache lies on another file system, so that nothing can be moved into it in one step.
    #[error("{} is on another file system than the rest of the cache, and finished steps are moved into place: keep the whole cache on one, or name another with --cache", path.display())]
    OtherFileSystem {
        /// What was to be moved.
        path: PathBuf,
    },
    /// A part of the cache is a link, behind which nothing is the cache's own.
    #[error("{} is a link, and the cache follows none inside: put the folder itself there, or make the whole cache folder a link", path.display())]
    Link {
        /// The link itself: `CACHE/v1`, or something in it.
        path: PathBuf,
    },
    /// Any other failure of a file operation.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file or folder to which it was being done.
        path: PathBuf,
        /// Why that failed, mostly in the words of the system.
        source: io::Error,
    },
    /// A step that is not in the cache.
    #[error("{key} is not in the cache: run its experiment first")]
    Absent {
        /// The key of the step that was asked for.
        key: Box<StepKey>,
    },
    /// A damaged entry was asked for.
    #[error(
        "{entry} in the cache is damaged ({damage}): `overinterp cache verify` sets it aside, then its experiment computes it again"
    )]
    Damaged {
        /// The step's key, or `KIND/HASH` where that cannot be told.
        entry: String,
        /// What is wrong with which file.
        damage: String,
    },
    /// An entry whose bytes are as they were written, but which cannot be read.
    #[error("cannot load {key} from the cache")]
    Artifact {
        /// The key of the step whose result was to be loaded.
        key: Box<StepKey>,
        /// Which of its files could not be loaded, and why.
        source: ArtifactError,
    },
    /// Garbage collection while a run uses the cache.
    #[error("a run is using the cache at {} ({by}): collect garbage when it has ended", path.display())]
    InUse {
        /// The directory that is in use, `CACHE/v1`.
        path: PathBuf,
        /// The machine and the process of the run.
        by: String,
    },
}

impl StoreError {
    /// Sorts a failure by what the user can do about it.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if let Some(shortage) = Shortage::of(source.kind()) {
            return Self::NoRoom { path, shortage, needs: Needs::of(&source), source };
        }
        match source.kind() {
            ErrorKind::CrossesDevices => Self::OtherFileSystem { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if doing != READ => {
                Self::NotWritable { path, source }
            }
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Self::NotADirectory { path },
            _ => Self::Io { doing, path, source },
        }
    }
}

/// The kind of the failed file operation at the bottom of an error, if there is one.
#[must_use]
pub fn cause_of(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let mut cause = Some(error);
    let mut kind = None;
    while let Some(error) = cause {
        kind = error.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        cause = error.source();
    }
    kind
}

/// The one thing done to a path that does not write.
pub(super) const READ: &str = "read";

/// Adds to a failed file operation what it was for.
pub(super) trait Doing<T> {
    /// Turns the failure into a [`StoreError`].
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::io(doing, path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let said = |doing, kind: ErrorKind| StoreError::io(doing, Path::new("cache/v1"), kind.into()).to_string();
        let full = said("write", ErrorKind::StorageFull);
        assert!(full.starts_with("cannot write cache/v1: no space is left on the file system at /"), "{full}");
        assert!(full.contains("`overinterp cache gc`"), "{full}");
        assert!(said("write", ErrorKind::QuotaExceeded).contains("the quota on the file system at /"));
        let large = said("write", ErrorKind::FileTooLarge);
        assert!(large.contains("`ulimit -f`") && !large.contains("no space"), "{large}");
        assert!(said("move aside", ErrorKind::CrossesDevices).contains("keep the whole cache on one"));
        assert!(said("create", ErrorKind::PermissionDenied).contains("make it writable, or name another with --cache"));
        assert!(said("lock", ErrorKind::ReadOnlyFilesystem).contains("make it writable"));
        assert!(said("create", ErrorKind::NotADirectory).contains("remove it, or name another with --cache"));
        assert_eq!(said(READ, ErrorKind::PermissionDenied), "cannot read cache/v1");
        assert_eq!(said("remove", ErrorKind::Other), "cannot remove cache/v1");
    }
}
