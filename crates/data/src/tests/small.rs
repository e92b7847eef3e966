//! The images that come with the repository.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::fixtures::{load, source};
use crate::{Dataset, Provenance};
use overinterp_spec::{DataKind, ImageShape, Limit, Split};

const KIND: DataKind = DataKind::FashionMnist;

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("data/fashion-mnist-small")
}

#[test]
fn its_files_have_the_checksums_that_its_readme_gives() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let bytes = fs::read(folder().join(row[1].trim_matches('`'))).unwrap();
        assert_eq!(bytes.len().to_string(), row[2].replace(',', ""), "{}", row[1]);
        let sum = crate::checksum::hexadecimal(&Sha256::digest(&bytes));
        assert_eq!(sum, row[3].trim_matches('`'), "{}", row[1]);
    }
}

#[test]
fn it_takes_at_most_four_megabytes() {
    let sizes = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(sizes.sum::<u64>() <= 4_000_000);
}

#[test]
fn it_holds_4000_and_1000_images_of_all_classes() {
    for (split, count) in [(Split::Train, 4000), (Split::Test, 1000)] {
        let loaded = load(KIND, &folder(), split).unwrap();
        assert_eq!(loaded.images.len(), count);
        assert_eq!(loaded.images.shape, ImageShape { height: 28, width: 28, channels: 1 });
        assert_eq!(loaded.content.provenance, Provenance::Excerpt);
        assert!((0..10).all(|class| loaded.images.labels.contains(&class)));
    }
}

/// The hashes enter every key of the quickstart, so they may not change by accident. They were computed apart, with
/// Python's `blake3`, from the layout that [`crate::ContentHash`] documents.
#[test]
fn its_content_hashes_are_golden() {
    let hash = |split| load(KIND, &folder(), split).unwrap().content.hash.to_string();
    assert_eq!(hash(Split::Train), "37de49f2b07aaa054a77b9555132e50ccf25d76f86a9e599e502d627fe2f8ba6");
    assert_eq!(hash(Split::Test), "c0e29f1a77665545c0d19e61a2065de576991151f446aa133b6dc84604b6cc36");
}

/// Runs where Debian's `dataset-fashion-mnist` is installed.
#[test]
fn it_is_the_beginning_of_the_whole_set() {
    let root = Path::new("/usr/share/datasets/fashion-mnist");
    if !root.exists() {
        return;
    }
    let mut whole = source(KIND, root);
    assert_eq!(Dataset::locate(&whole).unwrap().load(Split::Test).unwrap().content.provenance, Provenance::Official);
    whole.limit = Limit { train: Some(4000), test: Some(1000) };
    for split in Split::ALL {
        let expected = load(KIND, &folder(), split).unwrap();
        let first = Dataset::locate(&whole).unwrap().load(split).unwrap();
        assert_eq!(first.images, expected.images);
        assert_eq!(first.content.hash, expected.content.hash);
    }
}
