use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::{Habit, Request, Server};
use super::{Download, FetchError, FetchNotice, FetchOptions, Notify, fetch, fetch_all};
use overinterp_spec::DataKind;

const FILE: &str = "set.tar.gz";
/// MD5 of [`content`]: `python3 -c "import hashlib; print(hashlib.md5(bytes(i*i%251 for i in range(300000))).hexdigest())"`.
const MD5: &str = "574c4a1f42aa2ef0c4440084e5f44b46";

fn content() -> Vec<u8> {
    (0..300_000_u64).map(|i| u8::try_from(i * i % 251).unwrap()).collect()
}

fn options() -> FetchOptions {
    let pause = Duration::from_millis(1);
    FetchOptions { base: None, attempts: 3, pause, silence: Duration::from_secs(5) }
}

fn fetch_from(addresses: &[&str], root: &Path, notify: Notify<'_>) -> Result<Vec<PathBuf>, FetchError> {
    fetch_all(&[Download { file: FILE, md5: MD5 }], addresses, root, &options(), notify)
}

fn quiet(_: FetchNotice<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn downloads_checks_and_renames() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("new/folder");
    let server = Server::start(content(), Habit::Good);
    let mut notices = Vec::new();
    let paths = fetch_from(&[&server.address], &root, &mut |notice| {
        match notice {
            FetchNotice::Progress { done, total, .. } => notices.push((done, total)),
            FetchNotice::Finished { file } => assert_eq!(file, FILE),
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    });
    assert_eq!(paths.unwrap(), [root.join(FILE)]);
    assert_eq!(names(&root), [FILE]);
    assert_eq!(fs::read(root.join(FILE)).unwrap(), content());
    assert!(notices.is_sorted());
    assert_eq!(notices.last(), Some(&(300_000, Some(300_000))));
    assert_eq!(server.requests(), [Request { path: format!("/data/{FILE}"), from: None }]);
}

#[test]
fn a_file_that_is_there_is_not_downloaded_again() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(FILE), content()).unwrap();
    let server = Server::start(content(), Habit::Good);
    let mut present = 0;
    fetch_from(&[&server.address], root.path(), &mut |notice| {
        present += usize::from(notice == FetchNotice::Present { file: FILE });
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((present, server.requests().len()), (1, 0));
}

#[test]
fn another_file_of_that_name_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(FILE), "mine").unwrap();
    let server = Server::start(content(), Habit::Good);
    let error = fetch_from(&[&server.address], root.path(), &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::Other { .. }), "{error}");
    assert_eq!(fs::read(root.path().join(FILE)).unwrap(), b"mine");
}

#[test]
fn a_cut_connection_is_resumed_where_it_ended() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::Cuts(130_000));
    let mut retries = 0;
    fetch_from(&[&server.address], root.path(), &mut |notice| {
        retries += usize::from(matches!(notice, FetchNotice::Retry { .. }));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(fs::read(root.path().join(FILE)).unwrap(), content());
    let starts: Vec<_> = server.requests().into_iter().map(|request| request.from).collect();
    assert_eq!(starts, [None, Some(130_000), Some(260_000)]);
    assert_eq!(retries, 2);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::WholeOnlyCutsOnce(100_000));
    fetch_from(&[&server.address], root.path(), &mut quiet).unwrap();
    assert_eq!(fs::read(root.path().join(FILE)).unwrap(), content());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_silent_connection_is_given_up_and_resumed() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::FallsSilent(70_000));
    let options = FetchOptions { silence: Duration::from_millis(300), ..options() };
    let download = Download { file: FILE, md5: MD5 };
    fetch_all(&[download], &[&server.address], root.path(), &options, &mut quiet).unwrap();
    assert_eq!(fs::read(root.path().join(FILE)).unwrap(), content());
    assert_eq!(server.requests()[1].from, Some(70_000));
}

#[test]
fn a_server_that_resumes_elsewhere_starts_over() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("set.tar.gz.part"), &content()[..1000]).unwrap();
    let server = Server::start(content(), Habit::WrongRange);
    fetch_from(&[&server.address], root.path(), &mut quiet).unwrap();
    assert_eq!(fs::read(root.path().join(FILE)).unwrap(), content());
}

#[test]
fn a_stopped_download_goes_on_with_the_next_command() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::Good);
    let error = fetch_from(&[&server.address], root.path(), &mut |notice| match notice {
        FetchNotice::Progress { done, .. } if done >= 100_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(error.unwrap_err(), FetchError::Stopped { .. }));
    assert_eq!(names(root.path()), ["set.tar.gz.part"]);
    let have = fs::metadata(root.path().join("set.tar.gz.part")).unwrap().len();
    fetch_from(&[&server.address], root.path(), &mut quiet).unwrap();
    assert_eq!(names(root.path()), [FILE]);
    assert_eq!(server.requests()[1].from, usize::try_from(have).ok());
}

#[test]
fn a_whole_unfinished_file_needs_no_more_bytes() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("set.tar.gz.part"), content()).unwrap();
    let server = Server::start(content(), Habit::Good);
    fetch_from(&[&server.address], root.path(), &mut quiet).unwrap();
    assert_eq!(fs::read(root.path().join(FILE)).unwrap(), content());
}

#[test]
fn an_unfinished_file_of_something_else_is_started_over() {
    let root = tempfile::tempdir().unwrap();
    for length in [1000, 400_000] {
        fs::write(root.path().join("set.tar.gz.part"), vec![1; length]).unwrap();
        let server = Server::start(content(), Habit::Good);
        fetch_from(&[&server.address], root.path(), &mut quiet).unwrap();
        assert_eq!(fs::read(root.path().join(FILE)).unwrap(), content());
        fs::remove_file(root.path().join(FILE)).unwrap();
    }
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut other = content();
    other[7] ^= 1;
    let server = Server::start(other, Habit::Good);
    let error = fetch_from(&[&server.address], root.path(), &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert!(error.to_string().contains(&format!("expected {MD5}; nothing was kept")), "{error}");
    assert!(names(root.path()).is_empty());
}

#[test]
fn a_file_that_no_address_has_is_refused_at_once() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::HasNothing);
    let error = fetch_from(&[&server.address], root.path(), &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("set.tar.gz answered 404 Not Found"), "{error}");
    assert_eq!(server.requests().len(), 1);
    assert!(names(root.path()).is_empty());
}

#[test]
fn the_next_address_is_asked_where_one_has_nothing() {
    let root = tempfile::tempdir().unwrap();
    let empty = Server::start(content(), Habit::HasNothing);
    let full = Server::start(content(), Habit::Good);
    fetch_from(&[&empty.address, &full.address], root.path(), &mut quiet).unwrap();
    assert_eq!(names(root.path()), [FILE]);
}

#[test]
fn a_busy_server_is_asked_again_but_not_for_ever() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::Busy(2));
    fetch_from(&[&server.address], root.path(), &mut quiet).unwrap();
    assert_eq!(server.requests().len(), 3);
    fs::remove_file(root.path().join(FILE)).unwrap();
    let server = Server::start(content(), Habit::Busy(100));
    let error = fetch_from(&[&server.address], root.path(), &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::Failed { .. }), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_server_that_is_not_there_fails_with_its_address() {
    let root = tempfile::tempdir().unwrap();
    let error = fetch_from(&["http://127.0.0.1:9/"], root.path(), &mut quiet).unwrap_err();
    assert!(error.to_string().starts_with("cannot download http://127.0.0.1:9/set.tar.gz: "), "{error}");
    assert!(names(root.path()).is_empty());
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::Good);
    let mut inner = None;
    fetch_from(&[&server.address], root.path(), &mut |_| {
        inner.get_or_insert_with(|| fetch_from(&[&server.address], root.path(), &mut quiet));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(matches!(inner, Some(Err(FetchError::Busy { .. }))));
}

#[test]
fn the_official_checksums_guard_what_a_mirror_serves() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(content(), Habit::Good);
    let options = FetchOptions { base: Some(server.address.clone()), ..options() };
    let error = fetch(DataKind::Cifar10, root.path(), &options, &mut quiet).unwrap_err();
    assert!(error.to_string().contains("expected c32a1d4ab5d03f1284b67883e8d87530"), "{error}");
    assert_eq!(server.requests()[0].path, "/data/cifar-10-binary.tar.gz");
    let error = fetch(DataKind::Folder, root.path(), &options, &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::NothingPublished { .. }), "{error}");
}

#[test]
fn a_root_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "text").unwrap();
    let error = fetch_from(&["http://127.0.0.1:9/"], &file, &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::NotAFolder { .. }), "{error}");
}
