use std::fs;
use std::path::Path;

use super::fixtures::{cifar10_files, source, write_files, write_idx};
use crate::{DataError, Dataset, official};
use overinterp_spec::{DataKind, DataSource, Photographs, Split};

fn error(kind: DataKind, root: &Path) -> DataError {
    Dataset::locate(&source(kind, root)).map(|dataset| format!("{dataset:?}")).unwrap_err()
}

#[test]
fn missing_data_say_where_they_were_looked_for_and_how_to_get_them() {
    let error = error(DataKind::Cifar10, Path::new("/no/such/place"));
    assert!(error.is_missing());
    assert_eq!(
        error.to_string(),
        "cannot find CIFAR-10 (data `mine`): looked in /no/such/place, /no/such/place/cifar-10-batches-bin, \
         /no/such/place/cifar-10-binary.tar.gz, /no/such/place/cifar-10-batches-py, \
         /no/such/place/cifar-10-python.tar.gz; get it with `overinterp data fetch cifar10 --root /no/such/place`"
    );
}

#[test]
fn without_a_root_the_usual_places_are_searched() {
    let source = DataSource { root: None, ..source(DataKind::Mnist, Path::new("")) };
    // Neither this repository nor Debian has MNIST; a machine that does has nothing to say here.
    if let Err(error) = Dataset::locate(&source) {
        let message = error.to_string();
        assert!(message.contains("data/mnist") && message.contains("/usr/share/datasets/mnist"), "{message}");
        assert!(message.ends_with("get it with `overinterp data fetch mnist --root data/mnist`"), "{message}");
    }
}

#[test]
fn fashion_mnist_can_also_be_had_from_debian() {
    let message = error(DataKind::FashionMnist, Path::new("/no where")).to_string();
    assert!(message.contains("`overinterp data fetch fashion-mnist --root '/no where'`"), "{message}");
    assert!(message.contains("`apt-get install dataset-fashion-mnist`"), "{message}");
}

#[test]
fn an_incomplete_set_names_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &cifar10_files());
    fs::remove_file(dir.path().join("data_batch_4.bin")).unwrap();
    let cifar = error(DataKind::Cifar10, dir.path());
    assert!(cifar.is_missing());
    assert!(cifar.to_string().contains(" lacks data_batch_4.bin; get it with"), "{cifar}");
    write_idx(dir.path());
    fs::remove_file(dir.path().join("train-labels-idx1-ubyte")).unwrap();
    let idx = error(DataKind::Mnist, dir.path());
    assert!(idx.to_string().contains(" lacks train-labels-idx1-ubyte; get it with"), "{idx}");
}

#[test]
fn a_regular_file_where_a_folder_should_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, "text").unwrap();
    for kind in DataKind::ALL.map(|(_, kind)| kind) {
        let error = error(kind, &file);
        assert!(matches!(error, DataError::NotAFolder { .. }), "{error}");
        assert!(error.to_string().starts_with(&format!("{} is a file, where a folder", file.display())), "{error}");
    }
}

#[test]
fn a_folder_set_needs_a_root_with_both_splits() {
    let none = DataSource { root: None, ..source(DataKind::Folder, Path::new("")) };
    assert!(matches!(Dataset::locate(&none).unwrap_err(), DataError::NoRoot { .. }));
    let dir = tempfile::tempdir().unwrap();
    let message = error(DataKind::Folder, dir.path()).to_string();
    assert!(message.contains("put images there as train/CLASS/* and test/CLASS/*"), "{message}");
    let kind = DataKind::ImageFolder(Photographs::IMAGENET);
    assert!(matches!(Dataset::locate(&DataSource { kind, ..none }).unwrap_err(), DataError::NoRoot { .. }));
    assert!(error(kind, dir.path()).to_string().contains("put images there as train/CLASS/* and val/CLASS/*"));
}

#[test]
fn what_is_downloaded_is_found_as_it_is() {
    for official in DataKind::ALL.iter().filter_map(|&(_, kind)| official(kind)) {
        let dir = tempfile::tempdir().unwrap();
        for download in official.downloads {
            fs::write(dir.path().join(download.file), []).unwrap();
        }
        let dataset = Dataset::locate(&source(official.kind, dir.path())).unwrap();
        for path in Split::ALL.into_iter().flat_map(|split| dataset.files(split)) {
            let name = path.file_name().unwrap();
            assert!(official.downloads.iter().any(|download| name == download.file), "{}", path.display());
        }
    }
}
