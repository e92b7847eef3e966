//! CIFAR for Python. The fixtures are made by `tests/fixtures/cifar/make.py`, by Python 2 as those published and by
//! Python 3; what is wrong is written here, as Python 2 would.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::fixtures::{cifar_record, cifar10_files, gzip, load, message, source, tar_gz, write_files};
use crate::{Dataset, checksum};
use overinterp_spec::{DataKind, Split};

const KIND: DataKind = DataKind::Cifar10;
const FOLDER: &str = "cifar-10-batches-py";
/// The pickles in which the fixtures have the same images.
const WRITTEN: [&str; 8] = [
    "python2-protocol0",
    "python2-protocol2",
    "python3-protocol0",
    "python3-protocol2",
    "python3-protocol4",
    "python3-protocol5",
    "bytes",
    "numpy",
];

fn fixture(set: &str, written: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join(format!("tests/fixtures/cifar/{set}-{written}.tar.gz"))
}

fn unpack(archive: &Path, to: &Path) {
    tar::Archive::new(GzDecoder::new(File::open(archive).unwrap())).unpack(to).unwrap();
}

/// The same images and names as the fixtures' in the binary form.
fn cifar10_with_names() -> Vec<(String, Vec<u8>)> {
    let mut files = cifar10_files();
    let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n";
    files.push(("batches.meta.txt".to_owned(), names.into()));
    files
}

fn cifar100_with_names() -> Vec<(String, Vec<u8>)> {
    let train = [cifar_record(&[19, 99], 0), cifar_record(&[0, 1], 1)].concat();
    let names: Vec<String> = (0..100).map(|n| format!("class {n}")).collect();
    vec![
        ("train.bin".to_owned(), train),
        ("test.bin".to_owned(), cifar_record(&[3, 42], 2)),
        ("fine_label_names.txt".to_owned(), names.join("\n").into()),
    ]
}

#[test]
fn the_same_images_are_the_same_data_in_every_form() {
    let sets = [
        (KIND, "cifar10", FOLDER, ["cifar-10-binary", "cifar-10-python"], cifar10_with_names()),
        (
            DataKind::Cifar100,
            "cifar100",
            "cifar-100-python",
            ["cifar-100-binary", "cifar-100-python"],
            cifar100_with_names(),
        ),
    ];
    for (kind, set, folder, archives, files) in sets {
        let dir = tempfile::tempdir().unwrap();
        let [binary, packed] = ["binary", "packed"].map(|name| dir.path().join(name));
        write_files(&binary, &files);
        fs::create_dir(&packed).unwrap();
        tar_gz(&packed.join(format!("{}.tar.gz", archives[0])), "any", &files);
        let mut roots = vec![packed];
        for written in WRITTEN {
            let archive = fixture(set, written);
            let [unpacked, packed] = ["unpacked", "packed"].map(|how| dir.path().join(format!("{written} {how}")));
            unpack(&archive, &unpacked);
            fs::create_dir(&packed).unwrap();
            fs::copy(&archive, packed.join(format!("{}.tar.gz", archives[1]))).unwrap();
            // The last is an archive that goes by another name.
            roots.extend([unpacked.join(folder), unpacked, packed, archive]);
        }
        for split in Split::ALL {
            let expected = load(kind, &binary, split).unwrap();
            for root in &roots {
                let found = load(kind, root, split).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(found.images, expected.images, "{}", root.display());
                assert_eq!(found.content, expected.content, "{}", root.display());
            }
        }
    }
}

#[test]
fn the_fixtures_are_written_as_the_published_files_are() {
    let dir = tempfile::tempdir().unwrap();
    unpack(&fixture("cifar10", "python2-protocol2"), dir.path());
    // What torchvision says of the published file.
    let published = "5ff9c542aee3614f3951f8cda6e48888";
    assert_eq!(checksum::md5(&fs::read(dir.path().join(FOLDER).join("batches.meta")).unwrap()), published);
}

#[test]
fn of_both_forms_the_binary_one_is_taken_if_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    unpack(&fixture("cifar10", "python2-protocol2"), dir.path());
    let binary = dir.path().join("cifar-10-batches-bin");
    let mut files = cifar10_files();
    files[5].1[0] = 7;
    write_files(&binary, &files);
    let labels = || load(KIND, dir.path(), Split::Test).unwrap().images.labels;
    assert_eq!(labels(), [7, 5]);
    fs::remove_file(binary.join("data_batch_3.bin")).unwrap();
    assert_eq!(labels(), [4, 5]);
    fs::remove_file(dir.path().join(FOLDER).join("data_batch_4")).unwrap();
    let lacking = message(KIND, dir.path(), Split::Test);
    assert!(lacking.contains("cifar-10-batches-bin lacks data_batch_3.bin; get it with"), "{lacking}");
    fs::remove_dir_all(binary).unwrap();
    let lacking = message(KIND, dir.path(), Split::Test);
    assert!(lacking.contains("cifar-10-batches-py lacks data_batch_4; get it with"), "{lacking}");
}

#[test]
fn the_names_of_classes_are_those_of_the_file_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    unpack(&fixture("cifar100", "python2-protocol2"), dir.path());
    let kind = DataKind::Cifar100;
    let meta = dir.path().join("cifar-100-python/meta");
    assert_eq!(load(kind, dir.path(), Split::Test).unwrap().images.classes[99], "class 99");
    assert!(Dataset::locate(&source(kind, dir.path())).unwrap().files(Split::Test).contains(&meta));
    for (bytes, problem) in [
        (dict(&[("fine_label_names", [&b"]("[..], &text("a"), b"e"].concat())]), "it names 1 classes, expected 100"),
        (dict(&[("fine_label_names", integers(&[1]))]), "its `fine_label_names`: expected text, found an integer"),
        (dict(&[("label_names", integers(&[]))]), "it has no `fine_label_names`, but `label_names`"),
        (vec![b'N'; 100_000], "it has more than 65536 bytes, the most that the names of classes may have"),
    ] {
        fs::write(&meta, bytes).unwrap();
        let found = message(kind, dir.path(), Split::Test);
        assert!(found.starts_with(meta.to_str().unwrap()) && found.ends_with(problem), "{found}");
    }
    fs::remove_file(meta).unwrap();
    assert_eq!(load(kind, dir.path(), Split::Test).unwrap().images.classes[99], "worm");
}

fn text(text: &str) -> Vec<u8> {
    [&[b'U', u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn integers(numbers: &[i32]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| [&b"J"[..], &number.to_le_bytes()].concat()).collect();
    [b"](", &numbers[..], b"e"].concat()
}

/// A whole pickle.
fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"\x80\x02}(", &entries[..], b"u."].concat()
}

fn array(kind: &str, shape: &[i32], bytes: &[u8]) -> Vec<u8> {
    let [shape, length] =
        [shape, &[i32::try_from(bytes.len()).unwrap()]].map(|numbers| integers(numbers)[2..].to_vec());
    [
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R(K\x01(".to_vec(),
        [&shape[..shape.len() - 1], b"tcnumpy\ndtype\n", &text(kind), b"K\0K\x01\x87R(K\x03U\x01|NNNN"].concat(),
        [b"NK\0tb\x89T", &length[1..5], bytes, b"tb"].concat(),
    ]
    .concat()
}

/// Two images labelled 2 and 3, which is what the second batch has, under other entries.
fn batch(other: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pixels = [cifar_record(&[], 2), cifar_record(&[], 3)].concat();
    let mut entries = vec![("data", array("u1", &[2, 3072], &pixels)), ("labels", integers(&[2, 3]))];
    for (key, value) in other {
        entries.retain(|(known, _)| known != key);
        if !value.is_empty() {
            entries.push((key, value.clone()));
        }
    }
    dict(&entries)
}

/// What is said of a second batch of these bytes, in a folder and in an archive.
fn messages(bytes: &[u8]) -> [String; 2] {
    let dir = tempfile::tempdir().unwrap();
    unpack(&fixture("cifar10", "python2-protocol2"), dir.path());
    let path = dir.path().join(FOLDER).join("data_batch_2");
    fs::write(&path, bytes).unwrap();
    let unpacked = message(KIND, dir.path(), Split::Train);
    assert!(unpacked.starts_with(&format!("{} is damaged or is not", path.display())), "{unpacked}");
    let archive = dir.path().join("a.tar.gz");
    tar_gz(&archive, FOLDER, &[("data_batch_2".to_owned(), bytes.to_vec())]);
    let packed = message(KIND, &archive, Split::Train);
    let member = format!("{}:{FOLDER}/data_batch_2 is damaged or is not", archive.display());
    assert!(packed.starts_with(&member), "{packed}");
    [unpacked, packed]
}

#[test]
fn a_batch_written_as_python_2_does_is_read() {
    let dir = tempfile::tempdir().unwrap();
    unpack(&fixture("cifar10", "python2-protocol2"), dir.path());
    let expected = load(KIND, dir.path(), Split::Train).unwrap();
    let path = dir.path().join(FOLDER).join("data_batch_2");
    let ran = dir.path().join("ran");
    let call = [b"cos\nsystem\n", &text(&format!("touch {}", ran.display()))[..], b"\x85R"].concat();
    fs::write(&path, batch(&[("filenames", call)])).unwrap();
    let found = load(KIND, dir.path(), Split::Train).unwrap();
    assert_eq!((found.images, found.content), (expected.images, expected.content));
    assert!(!ran.exists(), "nothing that a pickle names is run");
}

#[test]
fn a_batch_that_is_not_as_it_should_be_is_named() {
    let whole = batch(&[]);
    let call = b"cposix\nsystem\nU\x02id\x85R";
    let changed = |key, value: &[u8]| batch(&[(key, value.to_vec())]);
    let image = cifar_record(&[], 0);
    let cases: [(Vec<u8>, &str); 27] = [
        (Vec::new(), "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(), "`git lfs pull`"),
        (b"<!DOCTYPE html><html><p>Not found".to_vec(), "this is an HTML page, not the file"),
        (gzip(&whole), "this is packed by gzip; unpack it first"),
        (b"Not found".to_vec(), "of the pickle: a pickle instruction finds too few values; a file of CIFAR for Python"),
        (vec![0xff; 100], "byte 0 of the pickle: unknown pickle instruction 0xff"),
        (whole[..3000].to_vec(), "truncated: 6144 bytes are announced where 28"),
        (whole[..whole.len() - 1].to_vec(), "truncated: 1 bytes are announced where 0 are left"),
        (b"T\0\0\0\xf0.".to_vec(), "truncated: 4026531840 bytes are announced where 1 are left"),
        (b"N".repeat(100_000), "the pickle has more than 65920 values"),
        (b"].".to_vec(), "it is a list, expected a dict with `data`"),
        ([&call[..], b"."].concat(), "it is an object of `posix.system`, expected a dict with `data`"),
        (b"}.".to_vec(), "it has no `data`, being an empty dict"),
        (changed("data", b""), "it has no `data`, but `labels`"),
        (batch(&[("labels", Vec::new()), ("fine_labels", integers(&[1]))]), "no `labels`, but `data`, `fine_labels`"),
        (changed("data", call), "its `data` cannot be read: expected a numpy array, found an object of `posix.system`"),
        (changed("data", &text("pixels")), "its `data` cannot be read: expected a numpy array, found bytes"),
        (
            changed("data", &array("f4", &[2, 3072], &vec![0; 4 * 2 * 3072])),
            "its `data` is of numpy's type `<f4`, expected `|u1` (uint8)",
        ),
        (
            changed("data", &array("u1", &[2, 3071], &[0; 2 * 3071])),
            "the shape of its `data` is (2, 3071), expected (images, 3072)",
        ),
        (changed("data", &array("u1", &[1, 3, 32, 32], &image)), "is (1, 3, 32, 32), expected (images, 3072)"),
        (changed("data", &array("u1", &[0, 3072], &[])), "is (0, 3072), expected (images, 3072)"),
        (changed("data", &array("u1", &[2, 3072], &image)), "found 3072 bytes for elements |u1 of shape [2, 3072]"),
        (changed("labels", &integers(&[2])), "it has 1 labels in `labels`, expected 2, one for each image"),
        (changed("labels", &integers(&[2, 3, 4])), "it has 3 labels in `labels`, expected 2, one for each image"),
        (changed("labels", &integers(&[2, 10])), "image 1 has label 10, expected 0 to 9"),
        (changed("labels", &integers(&[-1, 2])), "image 0 has label -1, expected 0 to 9"),
        (changed("labels", b"K\x01"), "its `labels`: expected a tuple or list, found an integer"),
    ];
    for (bytes, problem) in cases {
        for message in messages(&bytes) {
            assert!(message.contains(problem), "{message}\nfor {problem}");
        }
    }
    for (label, found) in [
        (&b"F2.0\n"[..], "is a float, expected an integer"),
        (b"U\x012", "is bytes, expected an integer"),
        (b"N", "is None, expected an integer"),
        (b"I01\n", "is a bool, expected an integer"),
        (b"\x8a\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", "is an integer of more than 16 bytes"),
    ] {
        for message in messages(&changed("labels", &[b"](K\x02", label, b"e"].concat())) {
            assert!(message.ends_with(&format!("its `labels`: that of image 1 {found}")), "{message}");
        }
    }
    for message in messages(&changed("labels", &array("f8", &[2], &[0; 16]))) {
        assert!(
            message.ends_with("its `labels`: expected integers, found numpy's type `<f8` of shape [2]"),
            "{message}"
        );
    }
}

#[test]
fn an_archive_of_neither_form_says_what_is_not_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.tar.gz");
    tar_gz(&archive, "any", &[("other".to_owned(), Vec::new())]);
    let neither = message(KIND, &archive, Split::Train);
    assert!(neither.ends_with("there is no data_batch_1.bin and no data_batch_1 in it"), "{neither}");
    tar_gz(&archive, "any", &[("data_batch_2".to_owned(), batch(&[]))]);
    let pickled = message(KIND, &archive, Split::Train);
    assert!(pickled.ends_with("there is no data_batch_1 in it"), "{pickled}");
}
