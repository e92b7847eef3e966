//! What paths in an experiment are relative to.

use std::path::{Component, Path, PathBuf};

use super::catalog::LONGEST_OF_A_FILE;
use super::read::Item;

/// The folders of the files that an experiment comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folders<'a> {
    /// That of the experiment file.
    pub own: &'a Path,
    /// That of each source, relative to it.
    pub sources: &'a [PathBuf],
}

impl Folders<'_> {
    /// The path that `item` names, relative to the file in which it is written. An override counts as written in the
    /// experiment file.
    pub fn resolve(&self, item: &Item<'_>) -> Option<PathBuf> {
        if !item.is_path() {
            // What the schema does not declare would not be moved when the experiment is written out.
            return item.fault("is read as a path, but is not declared as one: this is a fault of the program");
        }
        let path = item.words()?;
        if let Some(part) = Path::new(&path).components().find(|part| part.as_os_str().len() > LONGEST_OF_A_FILE) {
            let length = part.as_os_str().len();
            return item.fault(format!(
                "has a part of {length} bytes, but no file's name may have more than {LONGEST_OF_A_FILE}"
            ));
        }
        let folder = self.sources.get(item.node.place.source);
        Some(shortened(&self.own.join(folder.map_or_else(|| PathBuf::from(&path), |folder| folder.join(&path)))))
    }
}

/// The same place without `folder/..`, as far as `folder` is one and no link, behind which `..` may be elsewhere.
fn shortened(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        let is_back = part == Component::ParentDir;
        let is_named = matches!(short.components().next_back(), Some(Component::Normal(_)));
        if is_back && is_named && short.symlink_metadata().is_ok_and(|folder| folder.is_dir()) {
            short.pop();
        } else {
            short.push(part);
        }
    }
    if short.as_os_str().is_empty() { PathBuf::from(".") } else { short }
}
