//! The authors' selection results (`fixtures/selections/make.py`, and `variants.py` as other tools save them) are read,
//! and written as NumPy writes them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use overinterp_exchange::{ExchangeError, Fault, PackedFile, SelectionFile};
use overinterp_foreign::numpy::ArrayHeader;
use zip::ZipArchive;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/selections").join(name)
}

fn order() -> Vec<u32> {
    (0..20).map(|step| (7 * step + 3) % 20).collect()
}

fn values() -> Vec<f64> {
    (0..20).map(|step| 1.0 - f64::from(step) / 32.0).collect()
}

/// The arrays of a file, uncompressed.
fn entries(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(fs::read(path).unwrap())).unwrap();
    let mut entry = |index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    };
    (0..4).map(&mut entry).collect()
}

/// Writes the first fixture with one array replaced or left out, and returns the fault of reading it.
fn fault_with(name: &str, array: Option<&[u8]>) -> Fault {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cifar10_0.npz");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (entry, bytes) in entries(&fixture("cifar10_0.npz")) {
        let bytes = if entry == format!("{name}.npy") { array } else { Some(bytes.as_slice()) };
        if let Some(bytes) = bytes {
            archive.start_file(entry, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
    }
    archive.finish().unwrap();
    match SelectionFile::read(&path).expect_err("the file is refused") {
        ExchangeError::Malformed { path: named, place, source } => {
            assert_eq!(named, path);
            assert!(place.contains(name) || place == "its arrays", "{place}");
            source
        }
        ExchangeError::Unreadable { source, .. } => panic!("{source}"),
    }
}

#[test]
fn an_order_its_values_and_its_subset_are_read() {
    let file = SelectionFile::read(&fixture("cifar10_0.npz")).unwrap();
    assert_eq!((file.height(), file.width()), (4, 5));
    assert_eq!((file.order(), file.values()), (&*order(), &*values()));
    assert_eq!(file.sis(), [16, 9, 2]);
    let chosen: Vec<usize> = (0..20).filter(|&pixel| file.mask()[pixel]).collect();
    assert_eq!(chosen, [2, 9, 16]);
}

#[test]
fn a_selection_at_threshold_zero_has_no_subset_and_a_mask_that_is_all_true() {
    let file = SelectionFile::read(&fixture("cifar10_1.npz")).unwrap();
    assert!(file.sis().is_empty());
    assert_eq!(file.mask(), [true; 20]);
}

#[test]
fn what_is_written_holds_the_bytes_that_numpy_would_write() {
    let folder = tempfile::tempdir().unwrap();
    for (name, sis) in [("cifar10_0.npz", vec![16, 9, 2]), ("cifar10_1.npz", Vec::new())] {
        let written = folder.path().join(name);
        SelectionFile::new(4, 5, order(), values(), sis).unwrap().write(&written).unwrap();
        assert_eq!(entries(&written), entries(&fixture(name)), "{name}");
    }
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let part = |order: &[u32], values: &[f64], sis: &[u32]| {
        SelectionFile::new(1, 3, order.to_vec(), values.to_vec(), sis.to_vec()).is_ok()
    };
    assert!(part(&[2, 0, 1], &[0.9, 0.5, 0.1], &[1, 0]));
    assert!(part(&[2, 0, 1], &[0.9, 0.4, 0.8], &[0]), "the dip before the last, as the authors' code has it");
    assert!(!part(&[2, 0, 2], &[0.9, 0.5, 0.1], &[]), "a repeated pixel");
    assert!(!part(&[2, 0, 3], &[0.9, 0.5, 0.1], &[]), "a pixel outside");
    assert!(!part(&[2, 0, 1], &[0.9, 0.5], &[]), "a value too few");
    assert!(!part(&[2, 0, 1], &[0.9, 0.5, 0.1], &[0, 1]), "a subset in another order");
    assert!(!part(&[1], &[0.9], &[1, 0]), "a subset larger than the order");
}

#[test]
fn damaged_missing_and_endless_arrays_are_refused_by_name() {
    let arrays = entries(&fixture("cifar10_0.npz"));
    let mask = "mask";
    assert!(matches!(fault_with(mask, None), Fault::NoArray));
    assert!(matches!(fault_with(mask, Some(b"PK")), Fault::Truncated { .. }));
    assert!(matches!(fault_with(mask, Some(&arrays["sis.npy"])), Fault::Elements(_)));
    let mut elsewhere = arrays["mask.npy"].clone();
    *elsewhere.last_mut().unwrap() ^= 1;
    assert!(matches!(fault_with(mask, Some(&elsewhere)), Fault::Selection(_)));
    let mut outside = arrays["sis.npy"].clone();
    let end = outside.len();
    outside[end - 8] = 5;
    assert!(matches!(fault_with("sis", Some(&outside)), Fault::Place { step: 2, place: [0, _, 5], .. }));
    // The pixel masked last once more in place of the first.
    let mut twice = arrays["ordering_over_entire_backselect.npy"].clone();
    let (start, end) = (twice.len() - 20 * 24, twice.len());
    twice.copy_within(end - 24..end, start);
    assert!(matches!(fault_with("ordering_over_entire_backselect", Some(&twice)), Fault::Selection(_)));
    // 80 MB of zeros, which compress to 80 kB, and a header that says so, more, or less.
    for (rows, long) in [(10_000_000, true), (usize::MAX, true), (1 << 40, true), (10, false)] {
        let header = ArrayHeader::new("|u1", &[rows, 8]).to_bytes();
        let fault = fault_with("sis", Some(&[header, vec![0; 80_000_000]].concat()));
        assert_eq!(matches!(fault, Fault::LongArray(_)), long, "{rows}: {fault}");
        assert!(matches!(fault, Fault::LongArray(_) | Fault::Array(_)), "{rows}: {fault}");
    }
}

#[test]
fn a_file_cut_short_is_refused() {
    let bytes = fs::read(fixture("cifar10_0.npz")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.npz");
    for length in (0..bytes.len()).step_by(7) {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(SelectionFile::read(&path).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn numbers_of_any_type_order_and_version_are_read_as_the_same_selection() {
    let expected = SelectionFile::read(&fixture("cifar10_0.npz")).unwrap();
    let mut read = 0;
    for entry in fs::read_dir(fixture("variants")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("bad-") && !name.starts_with("packed-") {
            assert_eq!(
                SelectionFile::read(&path).unwrap_or_else(|error| panic!("{name}: {error}")),
                expected,
                "{name}"
            );
            read += 1;
        }
    }
    assert_eq!(read, 10);
}

#[test]
fn what_is_not_exactly_a_value_is_refused_by_file_array_and_element() {
    const ORDER: &str = "ordering_over_entire_backselect";
    for (name, array, problem) in [
        ("bad-mask", "mask", "element [0, 1, 2] is 0.5, expected 0 or 1"),
        ("bad-order", ORDER, "element [3, 1] is 0.75, expected a whole number of 64 bits"),
        ("bad-place", ORDER, "place 5 is (0, 3, -1), expected (0, row, column) within 4x5 pixels"),
        ("bad-complex", "values_over_entire_backselect", "its elements are of numpy's type `<c16`"),
    ] {
        let path = fixture(&format!("variants/{name}.npz"));
        let error = SelectionFile::read(&path).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(error.to_string(), format!("cannot read {}: fault in {array}", path.display()));
        assert!(source.starts_with(problem), "{name}: {source}");
    }
}

#[test]
fn packed_selections_are_the_same_in_either_order_of_elements() {
    let rows = |name: &str| {
        let file = PackedFile::open(&fixture(&format!("variants/{name}.npz"))).unwrap();
        let mut rows = Vec::new();
        let collect = |row| {
            rows.push(row);
            true
        };
        file.for_each(|image| image != 7, collect).unwrap();
        rows
    };
    let expected = rows("packed-c");
    assert_eq!(rows("packed-fortran"), expected);
    assert_eq!(
        (expected[0].image, &expected[0].order[..], expected[0].sis_size),
        (4, &[3, 0, 5, 1, 2, 4][..], Some(2))
    );
    assert_eq!((expected[1].image, &expected[1].order[..], expected[1].sis_size), (9, &[5, 4, 3, 2, 1, 0][..], None));
    assert_eq!(expected[1].values[..2], [0.875, 0.8125]);
}
