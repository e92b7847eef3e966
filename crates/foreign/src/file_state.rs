//! By what a file that has not changed is known without reading it: size, time of modification, and, where the system has
//! them, the time of its last change of any kind and its inode.
//!
//! A program can set the time of modification as it likes (`cp -p`, `touch -d`, `tar`), but not that of the last change,
//! and a file that was put in another's place has another inode. What is still not noticed: a change on a system without
//! either that keeps size and time, and one below the file system or with its clock turned back.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

/// A file older than this is taken to have times of its own (some file systems count in seconds).
const SETTLED: Duration = Duration::from_secs(2);

/// The state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    bytes: u64,
    /// When its bytes were last written, as far as programs say, in nanoseconds since 1970.
    modified: i128,
    /// When anything of it last changed, and its inode; zeros where there is neither.
    changed: i128,
    inode: u64,
}

impl FileState {
    /// The state that `metadata` tells of.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map_or(0, nanoseconds);
        let (changed, inode) = change(metadata);
        Self { bytes: metadata.len(), modified, changed, inode }
    }

    /// Whether the file is so old that it cannot change again without a change of its times.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let last = if self.changed == 0 { self.modified } else { self.changed };
        let age = nanoseconds(SystemTime::now()) - last;
        age < 0 || age >= SETTLED.as_nanos().cast_signed()
    }

    /// The state as bytes, different for different ones.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.modified.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.changed.to_le_bytes());
        bytes[40..].copy_from_slice(&self.inode.to_le_bytes());
        bytes
    }

    /// A number that another state of the file has only by chance, one in 2^63.
    #[must_use]
    pub fn number(&self) -> i64 {
        let hash = blake3::hash(&self.to_bytes());
        let mut number = [0; 8];
        number.copy_from_slice(&hash.as_bytes()[..8]);
        i64::from_le_bytes(number) & i64::MAX
    }
}

fn nanoseconds(time: SystemTime) -> i128 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or_else(|before| -before.duration().as_nanos().cast_signed(), |since| since.as_nanos().cast_signed())
}

#[cfg(unix)]
fn change(metadata: &Metadata) -> (i128, u64) {
    use std::os::unix::fs::MetadataExt as _;
    let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    (changed, metadata.ino())
}

#[cfg(not(unix))]
fn change(_: &Metadata) -> (i128, u64) {
    (0, 0)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use super::*;

    fn state(path: &Path) -> FileState {
        FileState::of(&fs::metadata(path).unwrap())
    }

    #[test]
    fn a_change_that_keeps_size_and_time_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let (first, time) = (state(&path), fs::metadata(&path).unwrap().modified().unwrap());
        assert_eq!((first, first.number()), (state(&path), state(&path).number()));
        std::thread::sleep(Duration::from_millis(30));
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        let second = state(&path);
        assert_eq!((second.bytes, second.modified, second.inode), (first.bytes, first.modified, first.inode));
        assert!(second != first && second.number() != first.number());
        // Another file in its place.
        let other = folder.path().join("other");
        fs::write(&other, "one").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(state(&path).inode, first.inode);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_settled_whatever_time_it_bears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let past = SystemTime::now() - Duration::from_secs(1000);
        File::options().write(true).open(&path).unwrap().set_modified(past).unwrap();
        assert!(!state(&path).is_settled());
        std::thread::sleep(SETTLED + Duration::from_millis(100));
        assert!(state(&path).is_settled());
    }
}
