//! Reads `[data.*]`.

use std::path::Path;

use overinterp_spec::{
    Cell, Corrupted, Corruption, DataKind, DataSource, Limit, Photographs, Severity, Split, Unreadable,
};

use super::catalog::Catalog;
use super::document::Entry;
use super::folders::Folders;
use super::problem::Sink;
use super::read::{Item, Reader};
use super::schema::{DATA, LIMIT, PHOTOGRAPHS, SAMPLE};
use super::sweep::Sweep;
use super::variants;

/// The keys that say which images of CIFAR-10-C are meant.
const WHICH: [&str; 3] = ["corruption", "severity", "sample"];

/// Reads every `[data.NAME]` of a file, each at every value of the axes that it mentions.
pub(super) fn read_all(catalog: &Catalog<'_>, sweep: &Sweep, folders: Folders<'_>, sink: &Sink) -> Vec<DataSource> {
    let variants = catalog.data.iter().flat_map(|entry: &Entry| {
        let table = Item::new(&entry.node, format!("data.{}", entry.key), sink);
        let variants = variants::expand(&table, sweep, catalog).into_iter();
        let read: Vec<Option<DataSource>> = variants
            .map(|variant| read(&entry.key, variant.cell, &Item::new(&variant.node, &table.path, sink), folders))
            .collect();
        read.into_iter().flatten()
    });
    variants.collect()
}

/// Reads a `[data.NAME]`; its root is relative to the file in which it is written.
fn read(name: &str, cell: Cell, item: &Item<'_>, folders: Folders<'_>) -> Option<DataSource> {
    let table = item.table(DATA)?;
    let kind = table.required("kind").and_then(|item| item.choice("kinds of data sets", &DataKind::ALL));
    let root = table.or("root", None, |item| Some(Some((folders.resolve(&item)?, item))));
    let limit = table.or("limit", Limit::default(), |item| {
        let table = item.table(LIMIT)?;
        let train = table.or("train", None, |item| {
            if let Some(kind) = kind.filter(|kind| !kind.has(Split::Train)) {
                return item.fault(format!("has no place here: data of kind `{}` have no training half", kind.name()));
            }
            item.whole(1).map(Some)
        });
        let test = table.or("test", None, |item| item.whole(1).map(Some));
        Some(Limit { train: train?, test: test? })
    });
    let corrupted = kind.and_then(|kind| match kind {
        DataKind::Cifar10C => corrupted(item, &table).map(Some),
        _ => lacks_corruption(&table).then_some(None),
    });
    if let (Some(DataKind::Folder | DataKind::ImageFolder(_)), Some(None)) = (kind, &root) {
        table.required("root");
    }
    let kind = kind.and_then(|kind| prepared(kind, &table));
    let (kind, root) = (kind?, root?);
    if let Some((path, item)) = &root {
        check_root(kind, path, item)?;
    }
    let root = root.map(|(path, _)| path);
    Some(DataSource { name: name.to_owned(), cell, kind, root, limit: limit?, corrupted: corrupted? })
}

/// Which images of CIFAR-10-C: those of one corruption and severity, or a sample of all.
fn corrupted(item: &Item<'_>, table: &Reader<'_>) -> Option<Corrupted> {
    let [corruption, severity, sample] = WHICH.map(|key| table.optional(key));
    if let Some(sample) = sample {
        for item in [corruption, severity].into_iter().flatten() {
            item.fault::<()>("cannot stand beside `sample`, which is drawn from all corruptions and severities");
        }
        let table = sample.table(SAMPLE)?;
        let count = table.required("count").and_then(|item| item.whole(1));
        let seed = table.required("seed").and_then(|item| item.whole(0));
        return Some(Corrupted::Sample { count: count?, seed: seed? });
    }
    if corruption.is_none() && severity.is_none() {
        let problem = item.problem("does not say which of the 950,000 images it means");
        let help = "add `corruption = \"${corruption}\"` and `severity = \"${severity}\"` with these axes in `[sweep]`, \
                    or `sample = { count = 2000, seed = 1234 }`";
        item.sink().report(problem.help(help));
        return None;
    }
    let corruption = table.required("corruption").and_then(|item| item.choice("corruptions", &Corruption::ALL));
    let severity = table.required("severity").and_then(|item| {
        let number = item.whole(1)?;
        Severity::new(number).or_else(|| item.fault(format!("must be from 1 to {}, not {number}", Severity::COUNT)))
    });
    Some(Corrupted::One { corruption: corruption?, severity: severity? })
}

/// Whether no key is there that only CIFAR-10-C takes; each that is is reported.
fn lacks_corruption(table: &Reader<'_>) -> bool {
    let strays: Vec<Item<'_>> = WHICH.into_iter().filter_map(|key| table.optional(key)).collect();
    for item in &strays {
        item.fault::<()>("has no place here: only data of kind `cifar10-c` take it");
    }
    strays.is_empty()
}

/// Reports a regular file in a folder's place. A root that does not exist is left to those who read it, so that
/// an experiment can be planned without its data.
fn check_root(kind: DataKind, path: &Path, item: &Item<'_>) -> Option<()> {
    if !path.is_file() {
        return Some(());
    }
    let name = path.to_string_lossy();
    match kind {
        DataKind::Cifar10 | DataKind::Cifar100 if name.ends_with(".tar.gz") => Some(()),
        DataKind::Cifar10C if name.ends_with(".tar") => Some(()),
        DataKind::Cifar10 | DataKind::Cifar100 => {
            item.fault("is a regular file, but must be a folder or the official `.tar.gz`")
        }
        DataKind::Cifar10C => item.fault("is a regular file, but must be a folder or the official `.tar`"),
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
