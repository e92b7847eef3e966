use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::fixtures::source;
use crate::{DataError, Dataset, Library, Loaded, Provenance};
use overinterp_artifacts::ImageSet;
use overinterp_foreign::numpy::{ArrayHeader, RandomState};
use overinterp_spec::{Corrupted, Corruption, DataKind, DataSource, Severity, Split};

/// Images of each file: two a severity.
const IMAGES: usize = 10;

/// The byte of a fixture's image at a place: tells file, image and place apart.
#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
fn value(array: usize, image: usize, byte: usize) -> u8 {
    (array * 11 + image * 23 + byte) as u8
}

fn array(descr: &str, shape: &[usize], elements: &[u8]) -> Vec<u8> {
    [ArrayHeader::new(descr, shape).to_bytes(), elements.to_vec()].concat()
}

fn pixels(array: usize) -> Vec<u8> {
    (0..IMAGES).flat_map(|image| (0..3072).map(move |byte| value(array, image, byte))).collect()
}

/// All 19 files and the labels; image n is labelled n.
fn files() -> Vec<(String, Vec<u8>)> {
    let arrays = Corruption::ALL.iter().enumerate();
    let mut files: Vec<(String, Vec<u8>)> = arrays
        .map(|(index, (name, _))| (format!("{name}.npy"), array("|u1", &[IMAGES, 32, 32, 3], &pixels(index))))
        .collect();
    let labels: Vec<u8> = (0..10).collect();
    files.push(("labels.npy".to_owned(), array("|u1", &[IMAGES], &labels)));
    files
}

fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (name, bytes) in files() {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn one(root: &Path, corruption: Corruption, severity: u8) -> DataSource {
    let corrupted = Corrupted::One { corruption, severity: Severity::new(severity).unwrap() };
    DataSource { corrupted: Some(corrupted), ..source(DataKind::Cifar10C, root) }
}

fn sampled(root: &Path, count: usize, seed: u32) -> DataSource {
    DataSource { corrupted: Some(Corrupted::Sample { count, seed }), ..source(DataKind::Cifar10C, root) }
}

fn load(source: &DataSource) -> Result<Loaded, DataError> {
    Dataset::locate(source)?.load(Split::Test)
}

fn message(source: &DataSource) -> String {
    load(source).map(|loaded| format!("loaded {} images", loaded.images.len())).unwrap_err().to_string()
}

fn assert_is(images: &ImageSet, index: usize, array: usize, image: usize) {
    let expected: Vec<u8> = (0..3072).map(|byte| value(array, image, byte)).collect();
    assert!(images.image(index).unwrap()[..] == expected, "image {index} is not number {image} of file {array}");
    assert_eq!(usize::from(images.labels[index]), image);
}

#[test]
fn a_severity_is_a_fifth_of_its_corruptions_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    for (array, corruption, severity) in
        [(0, Corruption::Brightness, 1), (4, Corruption::Fog, 4), (18, Corruption::ZoomBlur, 5)]
    {
        let Loaded { images, content, .. } = load(&one(dir.path(), corruption, severity)).unwrap();
        assert_eq!((images.len(), images.shape.bytes()), (2, 3072));
        for index in 0..2 {
            assert_is(&images, index, array, usize::from(severity - 1) * 2 + index);
        }
        assert_eq!(images.normalise.mean, [125.3, 123.0, 113.9]);
        assert_eq!(images.normalise.std, [63.0, 62.1, 66.7]);
        assert_eq!(images.classes[8], "ship");
        assert_eq!(content.provenance, Provenance::Unofficial);
    }
    let hash = |severity| load(&one(dir.path(), Corruption::Fog, severity)).unwrap().content.hash;
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
    let limited = DataSource {
        limit: overinterp_spec::Limit { train: None, test: Some(1) },
        ..one(dir.path(), Corruption::Fog, 2)
    };
    assert_is(&load(&limited).unwrap().images, 0, 4, 2);
}

#[test]
fn a_sample_is_numpys_choice_of_all_images_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let images = load(&sampled(dir.path(), 7, 1234)).unwrap().images;
    let chosen = RandomState::new(1234).choice(190, 7);
    assert_eq!(images.len(), 7);
    for (index, chosen) in chosen.into_iter().enumerate() {
        assert_is(&images, index, chosen as usize / IMAGES, chosen as usize % IMAGES);
    }
    for count in [0, 191] {
        let message = message(&sampled(dir.path(), count, 1));
        assert!(message.contains(&format!("a sample of {count} images, but there are 190")), "{message}");
    }
}

#[test]
fn the_archive_is_read_as_downloaded_and_in_a_folder_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("CIFAR-10-C.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
    for (name, bytes) in files().into_iter().rev() {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, format!("CIFAR-10-C/{name}"), bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
    let extracted = dir.path().join("extracted");
    write(&extracted.join("CIFAR-10-C"));
    for source in [|root: &Path| one(root, Corruption::Snow, 3), |root: &Path| sampled(root, 30, 5)] {
        let expected = load(&source(&extracted)).unwrap();
        for root in [dir.path(), archive.as_path()] {
            let found = load(&source(root)).unwrap();
            assert_eq!((found.images, found.content), (expected.images.clone(), expected.content));
        }
    }
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    let cut = message(&one(&archive, Corruption::Brightness, 1));
    assert!(cut.contains("CIFAR-10-C.tar") && cut.ends_with("there is no brightness.npy in it"), "{cut}");
    fs::write(&archive, &bytes[..600]).unwrap();
    let cut = message(&one(&archive, Corruption::Brightness, 1));
    assert!(cut.contains("labels.npy") && cut.contains("the archive ends before it does"), "{cut}");
}

#[test]
fn a_file_that_is_not_as_it_should_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fog.npy");
    let fog = pixels(4);
    let cases: [(Vec<u8>, &str); 9] = [
        (array("|u1", &[IMAGES, 32, 32, 3], &fog[..fog.len() - 1]), "its own header says 30848; get it again"),
        (array("|u1", &[IMAGES, 32, 32, 3], &[&fog[..], &[0]].concat()), "it has 30849 bytes, but its own header"),
        (array("|u1", &[5, 32, 32, 3], &fog[..5 * 3072]), "it has 5 images, but labels.npy has 10 labels"),
        (array("<f4", &[IMAGES, 32, 32, 3], &fog), "its elements are of numpy's type `<f4`, expected `|u1` (uint8)"),
        (array("|u1", &[IMAGES, 3, 32, 32], &fog), "its shape is (10, 3, 32, 32), expected (images, 32, 32, 3)"),
        (array("|u1", &[usize::MAX, 32, 32, 3], &fog), "its own header says more than there can be"),
        (array("|u1", &[usize::MAX], &fog), "expected (images, 32, 32, 3)"),
        (fog.clone(), "not an array that numpy saved: the magic number is missing"),
        (
            array("|u1", &[IMAGES, 32, 32, 3], &[])[..40].to_vec(),
            "truncated: 118 bytes are announced where 30 are left",
        ),
    ];
    for (bytes, problem) in cases {
        write(dir.path());
        fs::write(&path, bytes).unwrap();
        for source in [one(dir.path(), Corruption::Fog, 1), sampled(dir.path(), 3, 0)] {
            let message = message(&source);
            assert!(message.starts_with(&format!("{} is damaged", path.display())), "{message}");
            assert!(message.contains(problem), "{message}");
        }
        assert!(load(&one(dir.path(), Corruption::Frost, 1)).is_ok());
    }
    let mut header = ArrayHeader::new("|u1", &[IMAGES, 32, 32, 3]);
    header.column_major = true;
    fs::write(&path, [header.to_bytes(), fog].concat()).unwrap();
    let message = message(&one(dir.path(), Corruption::Fog, 1));
    assert!(message.contains("fog.npy") && message.contains("Fortran's order"), "{message}");
}

#[test]
fn labels_that_are_not_as_they_should_be_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.npy");
    let cases: [(Vec<u8>, &str); 5] = [
        (
            array("|u1", &[5], &[0; 5]),
            "fog.npy is damaged or is not what it should be: it has 10 images, but labels.npy has 5",
        ),
        (array("|u1", &[12], &[0; 12]), "it has 12 labels, expected as many for each of 5 severities"),
        (array("|u1", &[0], &[]), "it has 0 labels"),
        (array("|u1", &[5, 2], &[0; 10]), "its shape is (5, 2), expected (images,)"),
        (array("|u1", &[IMAGES], &[0, 1, 2, 10, 4, 5, 6, 7, 8, 9]), "image 3 has label 10, expected 0 to 9"),
    ];
    for (bytes, problem) in cases {
        write(dir.path());
        fs::write(&path, bytes).unwrap();
        let message = message(&one(dir.path(), Corruption::Fog, 1));
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn more_labels_than_a_hundred_times_the_published_are_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let path = dir.path().join("labels.npy");
    let header = ArrayHeader::new("|u1", &[5_000_005]).to_bytes();
    fs::write(&path, &header).unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_len(header.len() as u64 + 5_000_005).unwrap();
    let message = message(&one(dir.path(), Corruption::Fog, 1));
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    assert!(message.ends_with("it has 5000005 labels, more than 5000000, which is the limit"), "{message}");
}

#[test]
fn only_the_files_asked_for_need_be_there() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    fs::remove_file(dir.path().join("fog.npy")).unwrap();
    assert!(load(&one(dir.path(), Corruption::Frost, 1)).is_ok());
    for source in [one(dir.path(), Corruption::Fog, 1), sampled(dir.path(), 3, 0)] {
        let error = load(&source).unwrap_err();
        assert!(error.is_missing());
        assert!(error.to_string().contains(" lacks fog.npy; get it with `overinterp data fetch cifar10-c"), "{error}");
    }
    fs::write(dir.path().join("fog.npy"), []).unwrap();
    let dataset = Dataset::locate(&one(dir.path(), Corruption::Frost, 1)).unwrap();
    assert!(matches!(dataset.load(Split::Train), Err(DataError::NoHalf { .. })));
}

#[test]
fn images_of_a_severity_are_held_while_they_are_used() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let library = Library::new(None);
    let (mild, severe) = (one(dir.path(), Corruption::Fog, 1), one(dir.path(), Corruption::Fog, 5));
    let images = library.images(&mild, Split::Test).unwrap();
    assert!(Arc::ptr_eq(&images, &library.images(&mild, Split::Test).unwrap()));
    assert_is(&library.images(&severe, Split::Test).unwrap(), 0, 4, 8);
    assert_eq!(Arc::strong_count(&images), 1, "the library holds them weakly");
    drop(images);
    // Read once more, and found to be what they were; or to have changed.
    assert_is(&library.images(&mild, Split::Test).unwrap(), 0, 4, 0);
    let mut bytes = fs::read(dir.path().join("fog.npy")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(dir.path().join("fog.npy"), bytes).unwrap();
    assert!(library.images(&mild, Split::Test).is_ok());
    assert!(matches!(library.images(&severe, Split::Test), Err(DataError::Changed { .. })));
}
