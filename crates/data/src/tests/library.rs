use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::fixtures::{source, write_idx};
use crate::{DataError, Dataset, Library};
use overinterp_spec::{DataKind, Split};

const KIND: DataKind = DataKind::FashionMnist;

/// Makes a file look as if it was last changed `seconds` ago.
fn age(path: &Path, seconds: u64) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(seconds))
        .unwrap();
}

fn aged_set(folder: &Path) {
    write_idx(folder);
    for entry in fs::read_dir(folder).unwrap() {
        age(&entry.unwrap().path(), 100);
    }
    // No program can set the time of the last change.
    std::thread::sleep(Duration::from_millis(2100));
}

#[test]
fn a_split_is_decoded_once_and_shared() {
    let dir = tempfile::tempdir().unwrap();
    write_idx(dir.path());
    let library = Library::new(None);
    let mut renamed = source(KIND, dir.path());
    renamed.name = "another name".to_owned();
    let sets: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| library.images(&renamed, Split::Train).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let again = library.images(&source(KIND, dir.path()), Split::Train).unwrap();
    assert!(sets.iter().all(|set| Arc::ptr_eq(set, &again)));
    assert_ne!(library.images(&renamed, Split::Test).unwrap(), again);
}

#[test]
fn the_index_spares_reading_the_files_again() {
    let dir = tempfile::tempdir().unwrap();
    let index = tempfile::tempdir().unwrap();
    let index = index.path().join("new/folder/data-index");
    aged_set(dir.path());
    let source = source(KIND, dir.path());
    let expected = Dataset::locate(&source).unwrap().load(Split::Train).unwrap().content;
    assert_eq!(Library::new(Some(index.clone())).content(&source, Split::Train).unwrap(), expected);
    // Another hash in the index shows that the next answer comes from there alone.
    let text = fs::read_to_string(&index).unwrap();
    let [told, other] = [expected.hash.to_string(), "ab".repeat(32)];
    assert!(text.starts_with("overinterp data index 3\n") && text.contains(&told), "{text}");
    fs::write(&index, text.replace(&told, &other)).unwrap();
    let told_by_index = Library::new(Some(index.clone())).content(&source, Split::Train).unwrap();
    assert_eq!(told_by_index.hash.to_string(), other);
    // What another version wrote is not read.
    fs::write(&index, text.replace("index 3\n", "index 2\n").replace(&told, &other)).unwrap();
    assert_eq!(Library::new(Some(index.clone())).content(&source, Split::Train).unwrap(), expected);
}

#[cfg(unix)]
#[test]
fn a_change_that_keeps_path_size_and_time_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let index = tempfile::tempdir().unwrap();
    let index = index.path().join("data-index");
    aged_set(dir.path());
    let source = source(KIND, dir.path());
    let expected = Library::new(Some(index.clone())).content(&source, Split::Train).unwrap();
    let path = dir.path().join("train-images-idx3-ubyte");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let size = fs::metadata(&path).unwrap().len();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    assert_ne!(Library::new(Some(index)).content(&source, Split::Train).unwrap().hash, expected.hash);
}

#[test]
fn a_limit_has_an_entry_of_its_own_in_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let index = tempfile::tempdir().unwrap();
    let index = index.path().join("data-index");
    aged_set(dir.path());
    let whole = source(KIND, dir.path());
    let mut limited = whole.clone();
    limited.limit.train = Some(2);
    for _ in 0..2 {
        let library = Library::new(Some(index.clone()));
        assert_eq!(library.content(&whole, Split::Train).unwrap().images, 3);
        assert_eq!(library.content(&limited, Split::Train).unwrap().images, 2);
    }
    assert_eq!(fs::read_to_string(&index).unwrap().lines().count(), 1 + 2);
}

#[test]
fn a_file_written_a_moment_ago_is_not_indexed() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("data-index");
    write_idx(dir.path());
    Library::new(Some(index.clone())).content(&source(KIND, dir.path()), Split::Train).unwrap();
    assert!(!index.exists());
}

#[test]
fn a_damaged_or_unwritable_index_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    aged_set(dir.path());
    let source = source(KIND, dir.path());
    let index = dir.path().join("data-index");
    fs::write(&index, b"\xff\xfe nonsense\nand more\n").unwrap();
    let expected = Library::new(Some(index.clone())).content(&source, Split::Test).unwrap();
    assert_eq!(Library::new(Some(index)).content(&source, Split::Test).unwrap(), expected);
    let under_a_file = dir.path().join("t10k-labels-idx1-ubyte/index");
    assert_eq!(Library::new(Some(under_a_file)).content(&source, Split::Test).unwrap(), expected);
}

#[test]
fn files_that_changed_since_planning_are_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("data-index");
    aged_set(dir.path());
    let source = source(KIND, dir.path());
    Library::new(Some(index.clone())).content(&source, Split::Train).unwrap();
    let library = Library::new(Some(index));
    library.content(&source, Split::Train).unwrap();
    let path = dir.path().join("train-labels-idx1-ubyte");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 5;
    fs::write(&path, bytes).unwrap();
    let error = library.images(&source, Split::Train).unwrap_err();
    assert!(matches!(error, DataError::Changed { .. }), "{error}");
}

#[test]
fn a_folders_test_split_shares_the_training_split() {
    let dir = tempfile::tempdir().unwrap();
    for (path, value) in [("train/a/1.png", 10), ("train/b/1.png", 20), ("test/a/1.png", 30)] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(2, 2, image::Luma([value])).save(path).unwrap();
    }
    let library = Library::new(None);
    let source = source(DataKind::Folder, dir.path());
    let test = library.images(&source, Split::Test).unwrap();
    // The training images were decoded on the way: they are there even when their files are not.
    fs::remove_dir_all(dir.path().join("train")).unwrap();
    let train = library.images(&source, Split::Train).unwrap();
    assert_eq!(
        (train.normalise.mean.as_slice(), train.normalise.std.as_slice()),
        ([15.0].as_slice(), [5.0].as_slice())
    );
    assert_eq!(test.normalise, train.normalise);
}
