//! One lock a step, so that two runs on one cache compute each step once; and one on the cache as a whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::files;

/// A lock that is held until it is dropped. Its file goes with it.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    /// Closing it releases the lock.
    _file: File,
    mode: Mode,
}

/// Who else may hold a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Exclusive,
    Shared,
}

impl Lock {
    /// Takes the lock; `None` while another holds it.
    pub(super) fn try_take(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        loop {
            // A link would lead to what is not the cache's own.
            if files::is_link(path) {
                fs::remove_file(path)?;
            }
            let file = File::options().create(true).truncate(false).write(true).read(true).open(path)?;
            let taken = match mode {
                Mode::Exclusive => file.try_lock(),
                Mode::Shared => file.try_lock_shared(),
            };
            match taken {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
                Ok(()) => {}
            }
            // The last holder may have removed the file after it was opened here: then this lock is on nothing.
            let ours = file.metadata()?;
            match fs::symlink_metadata(path) {
                Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                    return Ok(Some(Self { path: path.to_owned(), _file: file, mode }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.mode == Mode::Exclusive {
            // A file that stays does no harm: it is locked by nobody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_taken_once_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::try_take(&path, Mode::Exclusive).unwrap();
        assert!(held.is_some());
        assert!(Lock::try_take(&path, Mode::Exclusive).unwrap().is_none());
        drop(held);
        assert!(!path.exists());
        assert!(Lock::try_take(&path, Mode::Exclusive).unwrap().is_some());
    }

    #[test]
    fn shared_locks_exclude_only_an_exclusive_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::try_take(&path, Mode::Shared).unwrap().unwrap();
        let second = Lock::try_take(&path, Mode::Shared).unwrap().unwrap();
        assert!(Lock::try_take(&path, Mode::Exclusive).unwrap().is_none());
        drop((first, second));
        assert!(Lock::try_take(&path, Mode::Exclusive).unwrap().is_some());
    }
}
