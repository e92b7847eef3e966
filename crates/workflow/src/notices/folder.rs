//! Notices as files in a cache's folder, on any file system that many machines may share.
//!
//! A file appears whole, by a hard link to one that was written before; where links cannot be had, by exclusive creation. It
//! is replaced by moving it away first, which one mover alone can do. A file's time is that of the file server.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Notice, Notices, Place, StoreTime};
use overinterp_foreign::bounded::{self, BoundedError};

/// A presence of a worker with as many steps as a machine has cores has some kilobytes.
const LARGEST: u64 = 1 << 20;

/// With what the names of files begin that become notices.
pub(crate) const NOTICE: &str = "notice-";

/// The folder of a cache's version, `CACHE/v1`.
#[derive(Debug)]
pub struct FolderNotices {
    base: PathBuf,
    /// What no other writer's private files are called.
    own: String,
    count: AtomicU64,
    /// The last text that was linked to a place, and the file that has it: claims of one worker are all the same.
    original: Mutex<Option<(String, PathBuf)>>,
}

impl FolderNotices {
    /// The notices in `base`, whose folders need not be there yet.
    #[must_use]
    pub fn new(base: PathBuf) -> Self {
        let own = format!("{NOTICE}{}", crate::workers::random());
        Self { base, own, count: AtomicU64::new(0), original: Mutex::default() }
    }

    fn path(&self, place: Place<'_>) -> PathBuf {
        self.base.join(place.folder).join(place.name)
    }

    /// The path of a private file that nobody else has.
    fn private(&self) -> PathBuf {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        self.base.join("tmp").join(format!("{}-{count}", self.own))
    }

    /// A private file with a text.
    fn written(&self, text: &str) -> io::Result<PathBuf> {
        let path = self.private();
        let mut file = File::create_new(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// Links the file that has `text` to `path`.
    fn link(&self, text: &str, path: &Path) -> io::Result<()> {
        let mut original = self.original.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = original.as_ref().filter(|(known, _)| known == text) {
            match fs::hard_link(file, path) {
                // Garbage collection has taken it, or it has as many names as it can have.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::TooManyLinks) => {}
                linked => return linked,
            }
        }
        if let Some((_, file)) = original.take() {
            let _ = fs::remove_file(file);
        }
        let file = self.written(text)?;
        let linked = fs::hard_link(&file, path);
        *original = Some((text.to_owned(), file));
        linked
    }

    /// Moves the notice of that version away; `false` where it is gone or another is there, which then stays.
    fn take_down(&self, place: Place<'_>, version: &str) -> io::Result<bool> {
        let (path, private) = (self.path(place), self.private());
        match fs::rename(&path, &private) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            moved => moved?,
        }
        let is_it = read(&private)?.is_some_and(|notice| notice.version == version);
        if !is_it {
            // Somebody was faster. Should a third have come in between, both work on the step, which costs time alone.
            let _ = fs::hard_link(&private, &path);
        }
        fs::remove_file(&private)?;
        Ok(is_it)
    }
}

impl Drop for FolderNotices {
    fn drop(&mut self) {
        self.rest();
    }
}

impl Notices for FolderNotices {
    fn put_new(&self, place: Place<'_>, text: &str) -> io::Result<Option<String>> {
        let (path, version) = (self.path(place), Some(text.to_owned()));
        match self.link(text, &path) {
            Ok(()) => return Ok(version),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Err(error),
            // There are file systems without links.
            Err(_) => {}
        }
        match File::create_new(&path) {
            Ok(mut file) => file.write_all(text.as_bytes()).map(|()| version),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&self, place: Place<'_>, text: &str) -> io::Result<String> {
        let private = self.written(text)?;
        let moved = fs::rename(&private, self.path(place)).inspect_err(|_| {
            let _ = fs::remove_file(&private);
        });
        moved.map(|()| text.to_owned())
    }

    fn replace(&self, place: Place<'_>, version: &str, text: &str) -> io::Result<Option<String>> {
        if self.take_down(place, version)? { self.put_new(place, text) } else { Ok(None) }
    }

    fn remove(&self, place: Place<'_>, version: &str) -> io::Result<()> {
        match self.get(place)? {
            Some(notice) if notice.version == version => match fs::remove_file(self.path(place)) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn get(&self, place: Place<'_>) -> io::Result<Option<Notice>> {
        // What stands in a damaged notice may be any text, and names none.
        let is_name =
            !place.name.is_empty() && place.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_name { read(&self.path(place)) } else { Ok(None) }
    }

    fn names(&self, folder: &'static str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.base.join(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names: Vec<String> = names.collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn rest(&self) {
        if let Some((_, file)) = self.original.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // One that stays is swept away.
            let _ = fs::remove_file(file);
        }
    }

    fn list(&self, folder: &'static str) -> io::Result<Vec<(String, StoreTime)>> {
        let entries = match fs::read_dir(self.base.join(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // What is open is as the server has it; a mere look may be answered from a client's memory.
            if let Some(file) = open(&entry.path())? {
                names.push((name, time_of(&file.metadata()?)));
            }
        }
        names.sort_by(|(name, _), (other, _)| name.cmp(other));
        Ok(names)
    }
}

/// Opens a notice; none where there is no plain file. What is replaced just then is opened anew.
fn open(path: &Path) -> io::Result<Option<File>> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        match bounded::open_in_place(path) {
            Ok(file) => return Ok(Some(file)),
            Err(BoundedError::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(BoundedError::Io(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// The notice in a file; none where there is no plain file.
fn read(path: &Path) -> io::Result<Option<Notice>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some(Notice { version: text.clone(), text, written: time_of(&metadata) }))
}

/// When a file was last written, by the clock of whatever keeps it.
fn time_of(metadata: &Metadata) -> StoreTime {
    StoreTime(metadata.mtime() as f64 + metadata.mtime_nsec() as f64 * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { folder: "claims", name: "give-0a" };

    fn notices(dir: &Path) -> FolderNotices {
        for name in ["claims", "tmp"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        FolderNotices::new(dir.to_owned())
    }

    fn names(dir: &Path, folder: &str) -> usize {
        fs::read_dir(dir.join(folder)).unwrap().count()
    }

    #[test]
    fn one_of_many_hangs_up_a_new_notice() {
        let dir = tempfile::tempdir().unwrap();
        let boards: Vec<_> = (0..8).map(|_| notices(dir.path())).collect();
        let won: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = boards
                .iter()
                .enumerate()
                .map(|(who, board)| scope.spawn(move || board.put_new(PLACE, &who.to_string()).unwrap().is_some()))
                .collect();
            tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
        });
        assert_eq!(won, 1);
        drop(boards);
        assert_eq!((names(dir.path(), "claims"), names(dir.path(), "tmp")), (1, 0));
    }

    #[test]
    fn one_of_many_replaces_the_notice_that_all_have_read() {
        let dir = tempfile::tempdir().unwrap();
        let boards: Vec<_> = (0..8).map(|_| notices(dir.path())).collect();
        assert!(boards[0].put_new(PLACE, "dead").unwrap().is_some());
        let won: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = boards
                .iter()
                .enumerate()
                .map(|(who, board)| {
                    scope.spawn(move || board.replace(PLACE, "dead", &who.to_string()).unwrap().is_some())
                })
                .collect();
            tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
        });
        assert_eq!(won, 1);
        drop(boards);
        assert_eq!((names(dir.path(), "claims"), names(dir.path(), "tmp")), (1, 0));
    }

    #[test]
    fn another_notice_is_neither_replaced_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let board = notices(dir.path());
        board.put(PLACE, "new").unwrap();
        assert_eq!(board.replace(PLACE, "old", "mine").unwrap(), None);
        board.remove(PLACE, "old").unwrap();
        assert_eq!(board.get(PLACE).unwrap().unwrap().text, "new");
        assert_eq!(board.list("claims").unwrap().len(), 1);
        board.remove(PLACE, "new").unwrap();
        assert_eq!(board.get(PLACE).unwrap(), None);
        assert_eq!(board.list("claims").unwrap(), []);
    }
}
