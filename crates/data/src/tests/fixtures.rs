//! Small data sets in official layouts, written from closed formulas.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{DataError, Dataset, Loaded};
use overinterp_spec::{Cell, Corrupted, DataKind, DataSource, Limit, Split};

pub fn source(kind: DataKind, root: &Path) -> DataSource {
    DataSource {
        name: "mine".to_owned(),
        cell: Cell::new(),
        kind,
        root: Some(root.to_owned()),
        limit: Limit::default(),
        corrupted: (kind == DataKind::Cifar10C).then_some(Corrupted::Sample { count: 20, seed: 1234 }),
    }
}

pub fn load(kind: DataKind, root: &Path, split: Split) -> Result<Loaded, DataError> {
    Dataset::locate(&source(kind, root))?.load(split)
}

/// The message of a load that must fail.
pub fn message(kind: DataKind, root: &Path, split: Split) -> String {
    match load(kind, root, split) {
        Ok(loaded) => panic!("loaded {} images", loaded.images.len()),
        Err(error) => error.to_string(),
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn idx(extents: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, u8::try_from(extents.len()).unwrap()];
    bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Three training and two test images of 2 x 3 pixels; byte n of the pixels is 10n, label n is n.
pub fn write_idx(folder: &Path) {
    let pixels: Vec<u8> = (0..18).map(|n| n * 10).collect();
    fs::write(folder.join("train-images-idx3-ubyte"), idx(&[3, 2, 3], &pixels)).unwrap();
    fs::write(folder.join("train-labels-idx1-ubyte"), idx(&[3], &[0, 1, 2])).unwrap();
    fs::write(folder.join("t10k-images-idx3-ubyte"), idx(&[2, 2, 3], &pixels[..12])).unwrap();
    fs::write(folder.join("t10k-labels-idx1-ubyte"), idx(&[2], &[0, 1])).unwrap();
}

/// The value of a CIFAR fixture's image `n` at a place.
#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
pub fn cifar_value(n: usize, channel: usize, row: usize, column: usize) -> u8 {
    (n * 7 + channel * 80 + row * 3 + column) as u8
}

/// A record: `labels`, then the three planes of image `n`.
pub fn cifar_record(labels: &[u8], n: usize) -> Vec<u8> {
    let mut record = labels.to_vec();
    for channel in 0..3 {
        for row in 0..32 {
            record.extend((0..32).map(|column| cifar_value(n, channel, row, column)));
        }
    }
    record
}

/// The files of a CIFAR-10 of two images a batch: image n of the split is labelled n.
pub fn cifar10_files() -> Vec<(String, Vec<u8>)> {
    let batch = |first: u8| {
        let records = [first, first + 1].map(|n| cifar_record(&[n], n.into()));
        records.concat()
    };
    let mut files: Vec<(String, Vec<u8>)> =
        (0..5).map(|index| (format!("data_batch_{}.bin", index + 1), batch(index * 2))).collect();
    files.push(("test_batch.bin".to_owned(), batch(4)));
    files
}

pub fn write_files(folder: &Path, files: &[(String, Vec<u8>)]) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// A `.tar.gz` of the files under `folder/`.
pub fn tar_gz(path: &Path, folder: &str, files: &[(String, Vec<u8>)]) {
    let mut tar = tar::Builder::new(GzEncoder::new(File::create(path).unwrap(), Compression::best()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, format!("{folder}/{name}"), bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}
