use std::fs;
use std::path::Path;

use super::fixtures::{cifar_record, cifar_value, cifar10_files, gzip, load, message, tar_gz, write_files};
use crate::{Provenance, official};
use overinterp_spec::{DataKind, ImageShape, Split};

const KIND: DataKind = DataKind::Cifar10;

#[test]
fn planes_become_channels_last_and_batches_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &cifar10_files());
    let loaded = load(KIND, dir.path(), Split::Train).unwrap();
    let images = loaded.images;
    assert_eq!(images.shape, ImageShape { height: 32, width: 32, channels: 3 });
    assert_eq!(images.labels, (0..10).collect::<Vec<u16>>());
    for (n, row, column) in [(0, 0, 0), (3, 5, 31), (9, 31, 2)] {
        let at = (row * 32 + column) * 3;
        let expected = [0, 1, 2].map(|channel| cifar_value(n, channel, row, column));
        assert_eq!(images.image(n).unwrap()[at..at + 3], expected);
    }
    assert_eq!(images.normalise.mean, [125.3, 123.0, 113.9]);
    assert_eq!(images.normalise.std, [63.0, 62.1, 66.7]);
    assert_eq!(images.classes[..2], ["airplane", "automobile"]);
    assert_eq!(loaded.content.provenance, Provenance::Unofficial);
    assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.labels, [4, 5]);
}

#[test]
fn the_archive_is_read_as_downloaded() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = cifar10_files();
    let extracted = dir.path().join("extracted");
    write_files(&extracted.join("cifar-10-batches-bin"), &files);
    files.reverse(); // the official archive is in no particular order either
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    tar_gz(&archive, "cifar-10-batches-bin", &files);
    for split in Split::ALL {
        let expected = load(KIND, &extracted, split).unwrap();
        for root in [dir.path(), archive.as_path()] {
            let found = load(KIND, root, split).unwrap();
            assert_eq!(found.images, expected.images);
            assert_eq!(found.content, expected.content);
        }
    }
}

#[test]
fn class_names_come_from_the_file_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = cifar10_files();
    files.push(("batches.meta.txt".to_owned(), b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n".to_vec()));
    write_files(dir.path(), &files);
    assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.classes[9], "j");
    fs::write(dir.path().join("batches.meta.txt"), "a\nb\n").unwrap();
    let message = message(KIND, dir.path(), Split::Test);
    assert!(message.ends_with("it names 2 classes, expected 10"), "{message}");
}

#[test]
fn cifar100_takes_the_fine_label() {
    let dir = tempfile::tempdir().unwrap();
    let train = [cifar_record(&[19, 99], 0), cifar_record(&[0, 1], 1)].concat();
    write_files(dir.path(), &[("train.bin".into(), train), ("test.bin".into(), cifar_record(&[3, 42], 2))]);
    let images = load(DataKind::Cifar100, dir.path(), Split::Train).unwrap().images;
    assert_eq!(images.labels, [99, 1]);
    assert_eq!(images.classes.len(), 100);
    assert_eq!((images.classes[99].as_str(), images.classes[1].as_str()), ("worm", "aquarium_fish"));
    assert_eq!(images.image(1).unwrap()[..3], [0, 1, 2].map(|channel| cifar_value(1, channel, 0, 0)));
    assert_eq!(load(DataKind::Cifar100, dir.path(), Split::Test).unwrap().images.labels, [42]);
}

#[test]
fn the_hundred_class_names_are_in_order_and_distinct() {
    let classes = official(DataKind::Cifar100).unwrap().classes;
    assert!(classes.is_sorted_by(|one, next| one < next));
}

fn message_with(file: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &cifar10_files());
    let path = dir.path().join(file);
    fs::write(&path, bytes).unwrap();
    let message = message(KIND, dir.path(), Split::Train);
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn an_empty_or_truncated_batch_is_refused() {
    let message = message_with("data_batch_3.bin", &[]);
    assert!(message.ends_with("it has 0 bytes, expected a whole number of images of 3073 bytes each"), "{message}");
    let message = message_with("data_batch_3.bin", &cifar_record(&[1], 1)[..3000]);
    assert!(message.contains("it has 3000 bytes"), "{message}");
}

#[test]
fn a_label_out_of_range_is_refused() {
    let bytes = [cifar_record(&[9], 1), cifar_record(&[10], 1)].concat();
    let message = message_with("data_batch_2.bin", &bytes);
    assert!(message.ends_with("image 1 has label 10, expected 0 to 9"), "{message}");
}

fn archive_message(path: &Path) -> String {
    let message = message(KIND, path, Split::Train);
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn a_damaged_archive_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cifar-10-binary.tar.gz");
    tar_gz(&path, "cifar-10-batches-bin", &cifar10_files());
    let whole = fs::read(&path).unwrap();
    for length in [0, 100, whole.len() / 2, whole.len() - 4] {
        fs::write(&path, &whole[..length]).unwrap();
        let message = archive_message(&path);
        assert!(message.contains("is damaged"), "{length}: {message}");
    }
    let mut corrupted = whole;
    let middle = corrupted.len() / 2;
    corrupted[middle..middle + 50].fill(0);
    fs::write(&path, corrupted).unwrap();
    assert!(archive_message(&path).contains("is damaged"));
}

#[test]
fn an_archive_without_a_batch_is_refused_and_a_bad_member_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cifar-10-binary.tar.gz");
    let mut files = cifar10_files();
    files[1].1.pop();
    tar_gz(&path, "cifar-10-batches-bin", &files);
    let message = archive_message(&path);
    assert!(message.contains("cifar-10-binary.tar.gz:cifar-10-batches-bin/data_batch_2.bin is damaged"), "{message}");
    files.remove(1);
    tar_gz(&path, "cifar-10-batches-bin", &files);
    assert!(archive_message(&path).ends_with("there is no data_batch_2.bin in it"));
}

#[test]
fn an_archive_that_unpacks_to_very_much_is_refused_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cifar-10-binary.tar.gz");
    let mut files = cifar10_files();
    // Passed over, but unpacked on the way.
    files.insert(0, ("zeros".to_owned(), vec![0; 70 << 20]));
    tar_gz(&path, "cifar-10-batches-bin", &files);
    let message = archive_message(&path);
    assert!(message.contains("may unpack to 67108864 at most") && message.contains("64 MiB at any rate"), "{message}");
}

/// An archive of one file that is announced with so many bytes, and has none.
fn announcing(path: &Path, file: &str, bytes: u64) {
    let mut header = tar::Header::new_gnu();
    header.set_path(format!("any/{file}")).unwrap();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_cksum();
    fs::write(path, gzip(header.as_bytes())).unwrap();
}

#[test]
fn a_packed_file_of_more_images_than_the_largest_is_refused_unread_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cifar-10.tar.gz");
    for (kind, file, most) in [
        (KIND, "data_batch_1.bin", 153_650_000),
        (KIND, "data_batch_1", 166_400_000),
        (DataKind::Cifar100, "train.bin", 153_700_000),
        (DataKind::Cifar100, "train", 166_400_000),
    ] {
        announcing(&path, file, most + 1);
        let found = message(kind, &path, Split::Train);
        assert!(found.contains(&format!("cifar-10.tar.gz:any/{file} is damaged")), "{found}");
        assert!(found.contains(&format!("it has more than {most} bytes, the most that 50,000 images")), "{found}");
        assert!(found.ends_with("unpack the archive: of unpacked files there is no limit"), "{found}");
        announcing(&path, file, most);
        let found = message(kind, &path, Split::Train);
        assert!(found.ends_with("the archive ends before it does; get it again"), "{found}");
    }
}

#[test]
fn an_unpacked_file_may_have_any_number_of_images() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &cifar10_files());
    let file = fs::File::create(dir.path().join("test_batch.bin")).unwrap();
    file.set_len(50_001 * 3073).unwrap();
    assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.len(), 50_001);
}

#[test]
fn names_of_classes_that_are_too_long_are_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &cifar10_files());
    let path = dir.path().join("batches.meta.txt");
    fs::write(&path, vec![b'a'; 100_000]).unwrap();
    let found = message(KIND, dir.path(), Split::Train);
    let limit = "it has more than 65536 bytes, the most that the names of classes may have";
    assert!(found.contains("batches.meta.txt") && found.ends_with(limit), "{found}");
}
