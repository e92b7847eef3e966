//! Reads `[data.*]`.

use std::path::Path;

use crate::spec::{DataKind, DataSource, Limit, Photographs, Unreadable};

use super::read::{Item, Reader};
use super::schema::{DATA, LIMIT, PHOTOGRAPHS};
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
    if let (Some(DataKind::Folder | DataKind::ImageFolder(_)), Some(None)) = (kind, &root) {
        table.required("root");
    }
    let kind = kind.and_then(|kind| prepared(kind, &table));
    let (kind, root) = (kind?, root?);
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
        DataKind::FashionMnist | DataKind::Mnist | DataKind::Folder | DataKind::ImageFolder(_) => {
            item.fault("is a regular file, but must be a folder")
        }
    }
}

/// The kind, with what photographs are made; other kinds have no such keys.
fn prepared(kind: DataKind, table: &Reader<'_>) -> Option<DataKind> {
    let DataKind::ImageFolder(usual) = kind else {
        let mut sound = true;
        for item in PHOTOGRAPHS.iter().filter_map(|key| table.optional(key)) {
            sound = false;
            item.fault::<()>(format!("is for data of kind `image-folder`, not of kind `{}`", kind.name()));
        }
        return sound.then_some(kind);
    };
    let resize = table.or("resize", usual.resize, |item| item.whole(1));
    let at_most = resize.map_or(usual.crop, |resize| usual.crop.min(resize));
    let crop = table.or("crop", at_most, |item| {
        let crop = item.whole(1)?;
        match resize {
            Some(resize) if crop > resize => {
                item.fault(format!("must be at most `resize`, which is {resize}, not {crop}"))
            }
            _ => Some(crop),
        }
    });
    let unreadable = table.or("skip-unreadable", usual.unreadable, |item| {
        Some(if item.boolean()? { Unreadable::Skip } else { Unreadable::Refuse })
    });
    Some(DataKind::ImageFolder(Photographs { resize: resize?, crop: crop?, unreadable: unreadable? }))
}
