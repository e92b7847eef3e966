use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use image::{Rgb, RgbImage};
use serde::Deserialize;

use super::fixtures::source;
use crate::{DataError, Dataset, Library, Provenance};
use overinterp_spec::{DataKind, DataSource, ImageShape, Limit, Photographs, Split, Unreadable};

fn photographs(root: &Path, resize: usize, crop: usize, unreadable: Unreadable) -> DataSource {
    source(DataKind::ImageFolder(Photographs { resize, crop, unreadable }), root)
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/fixtures/photographs").join(name))
        .unwrap()
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(9)).unwrap();
}

/// A photograph of one colour, as a PNG file.
fn flat(height: u32, width: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb(colour)).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Photographs of several sizes; one is a PNG that calls itself a JPEG.
fn write_set(root: &Path) {
    write(root, "train/owl/1.JPEG", &flat(20, 30, [10, 20, 30]));
    write(root, "train/owl/2.png", &flat(31, 9, [40, 50, 60]));
    write(root, "train/cat/a.jpg", &fixture("grey.jpg"));
    write(root, "val/owl/x.jpeg", &flat(8, 8, [70, 80, 90]));
    write(root, "val/.listing", b"passed over");
}

#[test]
fn photographs_of_any_size_are_read_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let source = photographs(dir.path(), 8, 6, Unreadable::Refuse);
    let train = Dataset::locate(&source).unwrap().load(Split::Train).unwrap();
    assert_eq!((train.content.images, train.content.skipped, train.content.provenance), (3, 0, Provenance::Own));
    let images = train.images;
    assert_eq!(images.shape, ImageShape { height: 6, width: 6, channels: 3 });
    assert_eq!(images.classes, ["cat", "owl"]);
    assert_eq!(images.labels, [0, 1, 1]);
    assert!((images.normalise.mean[0] - 0.485 * 255.0).abs() < 1e-9, "{:?}", images.normalise);
    assert_eq!(images.image(1).unwrap()[..], [10, 20, 30].repeat(36));
    assert_eq!(images.image(2).unwrap()[..], [40, 50, 60].repeat(36));
    // They are read when they are asked for, not before.
    fs::remove_file(dir.path().join("train/owl/2.png")).unwrap();
    let error = images.image(2).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("train/owl/2.png: "), "{error}");
    let test = Dataset::locate(&source).unwrap().load(Split::Test).unwrap().images;
    assert_eq!((&test.labels[..], &test.classes, &test.normalise), (&[1][..], &images.classes, &images.normalise));
}

#[test]
fn grey_cmyk_and_ycck_files_become_the_colours_that_pillow_makes_of_them() {
    #[derive(Deserialize)]
    struct Case {
        pixels: Vec<u8>,
    }
    let cases: BTreeMap<String, Case> = serde_json::from_slice(&fixture("colours.json")).unwrap();
    assert_eq!(cases.len(), 3);
    for (name, Case { pixels }) in cases {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train/a/1.jpg", &fixture(&name));
        let source = photographs(dir.path(), 16, 16, Unreadable::Refuse);
        let images = Dataset::locate(&source).unwrap().load(Split::Train).unwrap().images;
        let found = images.image(0).unwrap();
        assert_eq!(found, pixels, "{name}");
    }
}

#[test]
fn a_truncated_file_is_named_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let whole = fixture("cmyk.jpg");
    for (bytes, why) in [
        (&whole[..whole.len() - 30], "it is truncated: its end marker is missing"),
        (b"text", "it is no picture, expected PNG, JPEG, GIF, BMP or WebP"),
        (&flat(9, 9, [1, 2, 3])[..50], "it does not decode"),
    ] {
        write(dir.path(), "train/cat/b.jpg", bytes);
        let source = photographs(dir.path(), 8, 6, Unreadable::Refuse);
        let images = Dataset::locate(&source).unwrap().load(Split::Train).unwrap().images;
        let bad = images.labels.len() - 2;
        let error = (0..images.len()).find_map(|index| images.image(index).err()).unwrap().to_string();
        assert!(error.contains("train/cat/b.jpg is damaged") && error.contains(why), "{error}");
        assert!(error.ends_with("leave such files out with `skip-unreadable = true`"), "{error}");
        assert!(images.image(bad).is_err() || images.image(bad + 1).is_err());
    }
}

#[test]
fn unreadable_files_are_left_out_counted_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let index = tempfile::tempdir().unwrap();
    let index = index.path().join("data-index");
    write_set(dir.path());
    let skipping = photographs(dir.path(), 8, 6, Unreadable::Skip);
    let sound = Library::new(None).content(&skipping, Split::Train).unwrap();
    assert_eq!((sound.images, sound.skipped), (3, 0));
    // Nothing to leave out is no other content than refusing it would be.
    let refusing = photographs(dir.path(), 8, 6, Unreadable::Refuse);
    assert_eq!(Library::new(None).content(&refusing, Split::Train).unwrap().hash, sound.hash);

    write(dir.path(), "train/cat/b.jpg", b"text");
    // What was written a moment ago is not remembered.
    std::thread::sleep(Duration::from_millis(2100));
    for _ in 0..2 {
        let library = Library::new(Some(index.clone()));
        let content = library.content(&skipping, Split::Train).unwrap();
        assert_eq!((content.images, content.skipped, content.hash), (3, 1, sound.hash));
        let images = library.images(&skipping, Split::Train).unwrap();
        assert_eq!(images.labels, [0, 1, 1]);
        assert_eq!(images.image(1).unwrap()[..3], [10, 20, 30]);
        assert_eq!(images.image(2).unwrap()[..3], [40, 50, 60]);
    }
    let other = Library::new(Some(index.clone())).content(&refusing, Split::Train).unwrap();
    assert_eq!((other.images, other.skipped), (4, 0));
    assert_ne!(other.hash, sound.hash);
    let lines = fs::read_to_string(&index).unwrap();
    assert_eq!(lines.lines().filter(|line| line.ends_with(" own 3 6 6 3 2")).count(), 1, "{lines}");

    fs::remove_dir_all(dir.path().join("train")).unwrap();
    fs::remove_dir_all(dir.path().join("val")).unwrap();
    write(dir.path(), "train/cat/b.jpg", b"text");
    let error = Library::new(None).content(&skipping, Split::Train).unwrap_err().to_string();
    assert!(error.contains("neither it nor any other file of its split decodes"), "{error}");
}

#[test]
fn settings_classes_labels_and_files_make_the_content() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let hash = |source: &DataSource| Library::new(None).content(source, Split::Train).unwrap().hash;
    let source = photographs(dir.path(), 8, 6, Unreadable::Refuse);
    let mut hashes = vec![
        hash(&source),
        hash(&photographs(dir.path(), 9, 6, Unreadable::Refuse)),
        hash(&photographs(dir.path(), 8, 5, Unreadable::Refuse)),
        hash(&DataSource { limit: Limit { train: Some(2), test: None }, ..source.clone() }),
    ];
    fs::rename(dir.path().join("train/owl/2.png"), dir.path().join("train/owl/3.jpg")).unwrap();
    assert_eq!(hash(&source), hashes[0], "names and paths do not count");
    fs::rename(dir.path().join("train/owl/3.jpg"), dir.path().join("train/cat/3.jpg")).unwrap();
    hashes.push(hash(&source));
    write(dir.path(), "train/cat/3.jpg", &flat(31, 9, [40, 50, 61]));
    hashes.push(hash(&source));
    for half in ["train", "val"].map(|half| dir.path().join(half)).iter().filter(|half| half.join("cat").is_dir()) {
        fs::rename(half.join("cat"), half.join("dog")).unwrap();
    }
    hashes.push(hash(&source));
    let all = hashes.len();
    hashes.sort_by_key(|hash| *hash.as_bytes());
    hashes.dedup();
    assert_eq!(hashes.len(), all);
}

#[test]
fn one_split_is_enough_until_the_other_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "val/a/1.png", &flat(8, 8, [1, 2, 3]));
    write(dir.path(), "val/b/1.png", &flat(8, 8, [1, 2, 3]));
    let source = photographs(dir.path(), 8, 6, Unreadable::Refuse);
    let library = Library::new(Some(dir.path().join("index")));
    assert_eq!(library.images(&source, Split::Test).unwrap().classes, ["a", "b"]);
    // A class that a network knows and no image is of.
    fs::create_dir(dir.path().join("val/c")).unwrap();
    assert_eq!(Library::new(None).images(&source, Split::Test).unwrap().classes, ["a", "b", "c"]);
    let error = library.content(&source, Split::Train).unwrap_err();
    assert!(matches!(error, DataError::Missing { .. }) && error.to_string().contains("train"), "{error}");
    fs::remove_dir_all(dir.path().join("val")).unwrap();
    assert!(Dataset::locate(&source).unwrap_err().is_missing());
}
