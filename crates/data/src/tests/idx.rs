use std::fs;
use std::io::Read;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::fixtures::{gzip, idx, load, message, source, write_idx};
use crate::{Dataset, Provenance};
use overinterp_spec::{DataKind, ImageShape, Limit, Split};

const KIND: DataKind = DataKind::FashionMnist;

#[test]
fn reads_images_and_labels_in_order() {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    let loaded = load(KIND, dir.path(), Split::Train).unwrap();
    let images = loaded.images;
    assert_eq!(images.shape, ImageShape { height: 2, width: 3, channels: 1 });
    assert_eq!(images.labels, [0, 1, 2]);
    assert_eq!(images.image(1).unwrap()[..], [60, 70, 80, 90, 100, 110]);
    assert_eq!(images.classes.len(), 10);
    assert_eq!(images.classes[9], "Ankle boot");
    assert_eq!((images.normalise.mean, images.normalise.std), (vec![72.94], vec![90.02]));
    assert_eq!(loaded.content.provenance, Provenance::Unofficial);
    assert_eq!(load(KIND, dir.path(), Split::Test).unwrap().images.labels, [0, 1]);
}

#[test]
fn compression_and_place_do_not_change_the_content_hash() {
    let plain = tempfile::tempdir().unwrap();
    write_idx(plain.path());
    let packed = tempfile::tempdir().unwrap();
    let folder = packed.path().join("fashion-mnist");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(plain.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{}.gz", path.file_name().unwrap().to_str().unwrap());
        fs::write(folder.join(name), gzip(&fs::read(path).unwrap())).unwrap();
    }
    for split in Split::ALL {
        let (plain, packed) = (load(KIND, plain.path(), split).unwrap(), load(KIND, packed.path(), split).unwrap());
        assert_eq!(plain.images, packed.images);
        assert_eq!(plain.content, packed.content);
    }
}

#[test]
fn a_pixel_a_label_and_the_kind_each_change_the_content_hash() {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    let mut hashes = vec![
        load(KIND, dir.path(), Split::Train).unwrap().content.hash,
        load(DataKind::Mnist, dir.path(), Split::Train).unwrap().content.hash,
        load(KIND, dir.path(), Split::Test).unwrap().content.hash,
    ];
    for (file, byte) in [("train-images-idx3-ubyte", 20), ("train-labels-idx1-ubyte", 9)] {
        let path = dir.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[byte] += 1;
        fs::write(&path, bytes).unwrap();
        hashes.push(load(KIND, dir.path(), Split::Train).unwrap().content.hash);
    }
    for (index, hash) in hashes.iter().enumerate() {
        assert!(!hashes[..index].contains(hash), "{index}");
    }
}

#[test]
fn a_limit_takes_the_first_images_and_no_more_than_there_are() {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    let mut source = source(KIND, dir.path());
    source.limit = Limit { train: Some(2), test: Some(3) };
    let dataset = Dataset::locate(&source).unwrap();
    let images = dataset.load(Split::Train).unwrap().images;
    assert_eq!(images.labels, [0, 1]);
    assert_eq!(images.pixels.identity().len(), 12);
    let error = dataset.load(Split::Test).unwrap_err().to_string();
    assert_eq!(error, "data `mine` asks for the first 3 test images, but it has 2; give a limit from 1 to that");
    source.limit.test = Some(0);
    assert!(Dataset::locate(&source).unwrap().load(Split::Test).is_err());
}

/// The message when one training file holds `bytes`.
fn message_for(file: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    let path = dir.path().join(file);
    fs::write(&path, bytes).unwrap();
    let message = message(KIND, dir.path(), Split::Train);
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn an_empty_file_is_refused() {
    let message = message_for("train-images-idx3-ubyte", &[]);
    assert!(message.ends_with("it has 0 bytes, expected at least the 16 of an IDX header"), "{message}");
}

#[test]
fn another_format_is_refused() {
    let message = message_for("train-images-idx3-ubyte", b"\x89PNG and more than sixteen bytes");
    assert!(message.ends_with("it starts with 89504e47, expected 00000803 (IDX, bytes in 3 dimensions)"), "{message}");
}

#[test]
fn swapped_files_are_refused() {
    let message = message_for("train-images-idx3-ubyte", &idx(&[18], &[0; 18]));
    assert!(message.ends_with("it starts with 00000801, expected 00000803 (IDX, bytes in 3 dimensions)"), "{message}");
}

#[test]
fn a_truncated_file_is_refused() {
    let message = message_for("train-images-idx3-ubyte", &idx(&[3, 2, 3], &[0; 17]));
    assert!(message.ends_with("it has 17 bytes of data, expected 3 x 2 x 3 as its header says"), "{message}");
}

#[test]
fn a_header_of_no_or_of_absurdly_many_images_is_refused() {
    let message = message_for("train-images-idx3-ubyte", &idx(&[0, 28, 28], &[]));
    assert!(message.ends_with("its header says 0 x 28 x 28, so it is empty"), "{message}");
    let most = u32::MAX;
    let message = message_for("train-images-idx3-ubyte", &idx(&[most, most, most], &[1]));
    assert!(message.contains("it has 1 bytes of data, expected 4294967295 x 4294967295"), "{message}");
}

#[test]
fn as_many_labels_as_images_are_expected() {
    let message = message_for("train-labels-idx1-ubyte", &idx(&[2], &[0, 1]));
    assert!(
        message.ends_with("it has 2 labels, expected 3, the number of images in train-images-idx3-ubyte"),
        "{message}"
    );
}

#[test]
fn a_label_out_of_range_is_refused() {
    let message = message_for("train-labels-idx1-ubyte", &idx(&[3], &[0, 10, 2]));
    assert!(message.ends_with("image 1 has label 10, expected 0 to 9"), "{message}");
}

#[test]
fn a_truncated_or_corrupted_gzip_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    fs::remove_file(dir.path().join("train-images-idx3-ubyte")).unwrap();
    let path = dir.path().join("train-images-idx3-ubyte.gz");
    let whole = gzip(&idx(&[3, 2, 3], &[7; 18]));
    let mut corrupted = whole.clone();
    let checksum = corrupted.len() - 8;
    corrupted[checksum] ^= 1;
    for bytes in [&whole[..whole.len() - 5], corrupted.as_slice(), &[], b"not gzip at all"] {
        fs::write(&path, bytes).unwrap();
        let message = message(KIND, dir.path(), Split::Train);
        assert!(message.starts_with(&format!("{} is damaged", path.display())), "{message}");
        assert!(message.contains("download it again"), "{message}");
    }
}

/// Of `zeros` bytes after `header`, packed.
fn packed_zeros(header: &[u8], zeros: u64) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::copy(&mut header.chain(std::io::repeat(0).take(zeros)), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_small_file_that_would_unpack_to_very_much_is_refused_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    fs::remove_file(dir.path().join("train-images-idx3-ubyte")).unwrap();
    let path = dir.path().join("train-images-idx3-ubyte.gz");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let message = message(KIND, dir.path(), Split::Train);
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        message
    };
    // 600 MB are announced; what follows does not matter.
    let message = refused(&packed_zeros(&idx(&[765_306, 28, 28], &[]), 1 << 20));
    for word in ["599999904", "67108864 at most", "100 times", "64 MiB", "unpack it first"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    // More is there than is announced, or no header at all.
    let message = refused(&packed_zeros(&idx(&[3, 2, 3], &[]), 1 << 20));
    assert!(message.ends_with("it has more than 18 bytes of data, expected 3 x 2 x 3 as its header says"), "{message}");
    assert!(refused(&packed_zeros(&[], 1 << 20)).contains("it starts with 00000000"));
}

#[test]
fn many_more_images_than_published_are_read() {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    // As many as EMNIST's digits, smaller, and blank as no real ones are.
    let (count, pixels) = (240_000_u32, 16);
    let images = packed_zeros(&idx(&[count, 4, 4], &[]), u64::from(count) * pixels);
    fs::write(dir.path().join("train-images-idx3-ubyte.gz"), images).unwrap();
    fs::write(dir.path().join("train-labels-idx1-ubyte.gz"), packed_zeros(&idx(&[count], &[]), count.into())).unwrap();
    assert_eq!(load(KIND, dir.path(), Split::Train).unwrap().images.len(), count as usize);
}

#[test]
fn the_folders_of_torchvision_are_found_from_each_of_their_parents() {
    let plain = tempfile::tempdir().unwrap();
    write_idx(plain.path());
    for (kind, set) in [(DataKind::Mnist, "MNIST"), (KIND, "FashionMNIST")] {
        let root = tempfile::tempdir().unwrap();
        let raw = root.path().join(set).join("raw");
        fs::create_dir_all(&raw).unwrap();
        // torchvision leaves what it downloaded beside what it unpacked.
        write_idx(&raw);
        for entry in fs::read_dir(plain.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{}.gz", path.file_name().unwrap().to_str().unwrap());
            fs::write(raw.join(name), gzip(&fs::read(path).unwrap())).unwrap();
        }
        // Something of the same name is no obstacle.
        fs::write(root.path().join("train-images-idx3-ubyte"), []).unwrap();
        for place in [root.path(), &root.path().join(set), &raw] {
            for split in Split::ALL {
                let (expected, found) = (load(kind, plain.path(), split).unwrap(), load(kind, place, split).unwrap());
                assert_eq!((found.images, found.content), (expected.images, expected.content), "{}", place.display());
            }
        }
        let other = if kind == KIND { DataKind::Mnist } else { KIND };
        assert!(Dataset::locate(&source(other, root.path())).is_err());
    }
}

#[test]
fn what_a_download_left_in_place_of_data_is_named() {
    const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    const PAGE: &[u8] = b"<!DOCTYPE html><html><title>Sign in</title></html>";
    for (bytes, named) in [(POINTER, "this is a Git LFS pointer"), (PAGE, "this is an HTML page")] {
        for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
            for ending in ["", ".gz"] {
                let dir = tempfile::tempdir().unwrap();
                write_idx(dir.path());
                fs::remove_file(dir.path().join(name)).unwrap();
                let path = dir.path().join(format!("{name}{ending}"));
                fs::write(&path, bytes).unwrap();
                let message = message(KIND, dir.path(), Split::Train);
                assert!(message.starts_with(path.to_str().unwrap()) && message.contains(named), "{message}");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cifar-10-binary.tar.gz");
        fs::write(&path, bytes).unwrap();
        let message = message(DataKind::Cifar10, &path, Split::Train);
        assert!(message.starts_with(path.to_str().unwrap()) && message.contains(named), "{message}");
    }
}
