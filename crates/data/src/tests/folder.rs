use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use super::fixtures::{load, message, source};
use crate::{Dataset, Provenance};
use overinterp_spec::{DataKind, ImageShape, Limit, Split};

const KIND: DataKind = DataKind::Folder;

fn write_grey(path: &Path, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_fn(3, 2, |x, _| Luma([value + u8::try_from(x).unwrap()])).save(path).unwrap();
}

fn write_colour(path: &Path, colour: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(3, 2, Rgb(colour)).save(path).unwrap();
}

/// Two classes; the training images' files in byte order are owl/1 owl/10 owl/2 and cat/a.
fn write_set(root: &Path) {
    write_grey(&root.join("train/owl/1.png"), 10);
    write_grey(&root.join("train/owl/10.png"), 20);
    write_grey(&root.join("train/owl/2.png"), 30);
    write_grey(&root.join("train/cat/a.png"), 40);
    write_grey(&root.join("test/owl/x.png"), 50);
    fs::create_dir_all(root.join("test/cat")).unwrap();
    fs::write(root.join("train/.DS_Store"), "ignored").unwrap();
}

#[test]
fn classes_are_folders_in_byte_order_and_images_go_in_turns() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let loaded = load(KIND, dir.path(), Split::Train).unwrap();
    let images = loaded.images;
    assert_eq!(images.classes, ["cat", "owl"]);
    assert_eq!(images.shape, ImageShape { height: 2, width: 3, channels: 1 });
    assert_eq!(images.labels, [0, 1, 1, 1]);
    assert_eq!([0, 1, 2, 3].map(|n| images.image(n).unwrap()[0]), [40, 10, 20, 30]);
    assert_eq!(images.image(0).unwrap()[..], [40, 41, 42, 40, 41, 42]);
    assert_eq!(loaded.content.provenance, Provenance::Own);
}

#[test]
fn both_splits_are_normalised_by_the_training_images() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let train = load(KIND, dir.path(), Split::Train).unwrap().images;
    let test = load(KIND, dir.path(), Split::Test).unwrap().images;
    // Values v, v+1, v+2 for v in 10, 20, 30, 40: mean 26, variance 125 + 2/3.
    assert_eq!(train.normalise.mean, [26.0]);
    assert!((train.normalise.std[0] - (125.0_f64 + 2.0 / 3.0).sqrt()).abs() < 1e-9);
    assert_eq!(test.normalise, train.normalise);
    assert_eq!(test.labels, [1]);
}

#[test]
fn a_limit_takes_images_of_all_classes() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let mut source = source(KIND, dir.path());
    source.limit = Limit { train: Some(2), test: None };
    let dataset = Dataset::locate(&source).unwrap();
    assert_eq!(dataset.load(Split::Train).unwrap().images.labels, [0, 1]);
    assert_eq!(dataset.load(Split::Test).unwrap().images.normalise.mean, [26.0]);
    source.limit.train = Some(9);
    assert!(Dataset::locate(&source).unwrap().load(Split::Train).unwrap_err().to_string().contains("it has 4"));
}

#[test]
fn grey_images_among_coloured_ones_become_coloured() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    write_colour(&dir.path().join("train/cat/b.png"), [1, 2, 3]);
    let train = load(KIND, dir.path(), Split::Train).unwrap().images;
    assert_eq!(train.shape.channels, 3);
    assert_eq!(train.image(0).unwrap()[..6], [40, 40, 40, 41, 41, 41]);
    assert_eq!(train.normalise.mean.len(), 3);
    assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.image(0).unwrap()[..3], [50, 50, 50]);
}

#[test]
fn jpeg_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    write_colour(&dir.path().join("train/owl/3.JPG"), [200, 30, 90]);
    let train = load(KIND, dir.path(), Split::Train).unwrap().images;
    let last = train.image(4).unwrap();
    for (found, expected) in last[..3].iter().zip([200_u8, 30, 90]) {
        assert!(found.abs_diff(expected) <= 4, "{last:?}");
    }
}

#[test]
fn a_colour_among_grey_training_images_is_refused_in_the_test_split() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    write_colour(&dir.path().join("test/cat/b.png"), [1, 2, 3]);
    let message = message(KIND, dir.path(), Split::Test);
    assert!(message.ends_with("it is coloured, expected grey like the training images"), "{message}");
}

#[test]
fn an_image_of_another_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let path = dir.path().join("train/owl/wide.png");
    GrayImage::new(4, 2).save(&path).unwrap();
    let message = message(KIND, dir.path(), Split::Train);
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    assert!(message.contains("it is 2x4 (height x width), expected 2x3"), "{message}");
}

#[test]
fn alpha_is_dropped_and_content_tells_what_a_file_is() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 4])).save(dir.path().join("train/owl/z.png")).unwrap();
    fs::rename(dir.path().join("train/owl/z.png"), dir.path().join("train/owl/z.JPEG")).unwrap();
    let train = load(KIND, dir.path(), Split::Train).unwrap().images;
    assert_eq!(train.image(4).unwrap()[..], [1, 2, 3].repeat(6));
}

#[test]
fn a_file_that_is_no_image_or_is_cut_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let cut = dir.path().join("train/owl/cut.png");
    let whole = fs::read(dir.path().join("train/owl/1.png")).unwrap();
    let photograph =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/fixtures/photographs/grey.jpg");
    let photograph = fs::read(photograph).unwrap();
    for bytes in [&whole[..whole.len() - 20], b"text".as_slice(), &[], &photograph[..photograph.len() / 2]] {
        fs::write(&cut, bytes).unwrap();
        let message = message(KIND, dir.path(), Split::Train);
        assert!(message.starts_with(&format!("{} is damaged", cut.display())), "{message}");
    }
}

#[test]
fn a_picture_too_large_to_be_held_with_others_is_refused_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(2, 2).write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    let mut bytes = bytes.into_inner();
    for place in [18, 22] {
        bytes[place..place + 4].copy_from_slice(&5000_u32.to_le_bytes());
    }
    fs::write(dir.path().join("train/owl/large.png"), bytes).unwrap();
    let message = message(KIND, dir.path(), Split::Train);
    assert!(message.contains("train/owl/large.png is damaged"), "{message}");
    assert!(message.contains("its 5000x5000 (width x height) pixels take 72 MiB to decode"), "{message}");
    assert!(message.contains("and the limit is 48 MiB"), "{message}");
}

#[test]
fn other_files_are_passed_over_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    let plain = load(KIND, dir.path(), Split::Train).unwrap().content;
    for other in ["train/cat/Thumbs.db", "train/owl/desktop.ini", "train/README.txt", "train/owl/notes"] {
        fs::write(dir.path().join(other), b"\xd0\xcf\x11\xe0").unwrap();
    }
    for hidden in ["train/owl/._1.png", "train/owl/.DS_Store"] {
        fs::write(dir.path().join(hidden), "no image").unwrap();
    }
    for folder in ["train/__MACOSX", "train/.ipynb_checkpoints", "train/owl/.thumbnails"] {
        write_grey(&dir.path().join(folder).join("1.png"), 9);
    }
    let found = load(KIND, dir.path(), Split::Train).unwrap().content;
    assert_eq!((found.hash, found.images, found.passed, plain.passed), (plain.hash, plain.images, 4, 0));
    // The index does not hold the number; it is counted again.
    let index = dir.path().join("index");
    for _ in 0..2 {
        let library = crate::Library::new(Some(index.clone()));
        assert_eq!(library.content(&source(KIND, dir.path()), Split::Train).unwrap().passed, 4);
    }
}

#[test]
fn folders_below_a_class_are_searched() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    write_grey(&dir.path().join("train/owl/0/deep/9.png"), 60);
    write_grey(&dir.path().join("train/owl/0/7.png"), 70);
    let images = load(KIND, dir.path(), Split::Train).unwrap().images;
    assert_eq!(images.labels, [0, 1, 1, 1, 1, 1]);
    let first: Vec<u8> = (0..6).map(|n| images.image(n).unwrap()[0]).collect();
    assert_eq!(first, [40, 10, 20, 30, 70, 60], "files of the class first, then folder by folder");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_circles_of_them_end() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    write_set(dir.path());
    write_grey(&elsewhere.path().join("more/5.png"), 80);
    let owl = dir.path().join("train/owl");
    symlink(elsewhere.path().join("more"), owl.join("linked")).unwrap();
    symlink(&owl, owl.join("itself")).unwrap();
    symlink(dir.path(), owl.join("above")).unwrap();
    symlink(&owl, elsewhere.path().join("more/back")).unwrap();
    let images = load(KIND, dir.path(), Split::Train).unwrap().images;
    assert_eq!(images.labels, [0, 1, 1, 1, 1]);
    assert_eq!(images.image(4).unwrap()[0], 80);
    symlink("/dev/zero", owl.join("endless.png")).unwrap();
    let message = message(KIND, dir.path(), Split::Train);
    assert!(message.contains("endless.png") && message.ends_with("it is neither a file nor a folder"), "{message}");
}

#[test]
fn a_validation_half_serves_as_test_half_where_there_is_no_other() {
    for name in ["val", "validation", "valid"] {
        let dir = tempfile::tempdir().unwrap();
        write_set(dir.path());
        fs::rename(dir.path().join("test"), dir.path().join(name)).unwrap();
        assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.labels, [1], "{name}");
        write_grey(&dir.path().join("test/cat/1.png"), 1);
        assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.labels, [0], "{name} beside test");
    }
}

#[test]
fn an_unknown_class_in_the_test_split_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    write_grey(&dir.path().join("test/dog/1.png"), 1);
    let message = message(KIND, dir.path(), Split::Test);
    assert!(message.contains("test/dog"), "{message}");
    assert!(message.contains("there is no class of that name in"), "{message}");
}

#[test]
fn a_file_where_a_folder_should_be_and_an_empty_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    write_grey(&dir.path().join("train/1.png"), 1);
    let text = message(KIND, dir.path(), Split::Train);
    assert!(text.ends_with("train/1.png is a file, where a folder named after a class should be"), "{text}");
    fs::remove_dir_all(dir.path().join("train")).unwrap();
    fs::create_dir(dir.path().join("train")).unwrap();
    let text = message(KIND, dir.path(), Split::Train);
    assert!(text.contains("there is no image in it"), "{text}");
}

#[test]
fn a_channel_that_never_changes_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    write_colour(&dir.path().join("train/cat/a.png"), [10, 20, 7]);
    write_colour(&dir.path().join("train/owl/a.png"), [30, 60, 7]);
    write_colour(&dir.path().join("test/owl/a.png"), [30, 60, 9]);
    let normalise = load(KIND, dir.path(), Split::Test).unwrap().images.normalise;
    assert_eq!((normalise.mean, normalise.std), (vec![20.0, 40.0, 7.0], vec![10.0, 20.0, 255.0]));
}

#[test]
fn a_class_without_images_is_named_unless_only_the_test_half_lacks_it() {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path());
    assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.classes, ["cat", "owl"]);
    fs::create_dir_all(dir.path().join("train/bat/below")).unwrap();
    let message = message(KIND, dir.path(), Split::Train);
    assert!(message.contains("bat") && message.contains("no image in this class: put images there"), "{message}");
}
