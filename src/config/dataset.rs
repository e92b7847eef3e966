//! Reads `[data.*]`.

use std::path::Path;

use crate::spec::{DataKind, DataSource, Limit};

use super::read::Item;
use super::schema::{DATA, LIMIT};
use super::stage::Folders;

/// Reads a `[data.NAME]`; its root is relative to the file in which it is written.
pub(super) fn read(name: &str, item: &Item<'_>, folders: Folders<'_>) -> Option<DataSource> {
    let table = item.table(DATA)?;
    let kind = table.required("kind").and_then(|item| item.choice("kinds of data sets", &DataKind::ALL));
    let root = table.or("root", None, |item| Some(Some((folders.resolve(&item)?, item))));
    let limit = table.or("limit", Limit::default(), |item| {
        let table = item.table(LIMIT)?;
        let train = table.or("train", None, |item| item.whole(1).map(Some));
        let test = table.or("test", None, |item| item.whole(1).map(Some));
        Some(Limit { train: train?, test: test? })
    });
    let (kind, root) = (kind?, root?);
    if let (DataKind::Folder, None) = (kind, &root) {
        table.required("root")?;
    }
    if let Some((path, item)) = &root {
        check_root(kind, path, item)?;
    }
    Some(DataSource { name: name.to_owned(), kind, root: root.map(|(path, _)| path), limit: limit? })
}

/// Reports a regular file in a folder's place. A root that does not exist is left to those who read it, so that
/// an experiment can be planned without its data.
fn check_root(kind: DataKind, path: &Path, item: &Item<'_>) -> Option<()> {
    if !path.is_file() {
        return Some(());
    }
    let archive = path.to_string_lossy().ends_with(".tar.gz");
    match kind {
        DataKind::Cifar10 | DataKind::Cifar100 if archive => Some(()),
        DataKind::Cifar10 | DataKind::Cifar100 => {
            item.fault("is a regular file, but must be a folder or the official `.tar.gz`")
        }
        DataKind::FashionMnist | DataKind::Mnist | DataKind::Folder => {
            item.fault("is a regular file, but must be a folder")
        }
    }
}
