//! A folder of the process's own, in memory where there is such a place: many readers want a path.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that goes when it is dropped.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("overinterp-fuzz-").tempdir_in(place);
        Self(folder.expect("a folder for temporary files"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, with the folders that it lies in, and says where.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        let folder = path.parent().expect("a folder that the file lies in");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(&path, bytes).expect("a temporary file");
        path
    }
}
