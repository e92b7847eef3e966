//! File operations that survive a crash.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::key::ContentHash;
use overinterp_foreign::bounded::{self, BoundedError, Needs, lacking};

/// The BLAKE3 of a file's bytes.
pub(super) fn hash_file(path: &Path) -> io::Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(bounded::open_in_place(path)?)?;
    Ok(ContentHash::new(hasher.finalize()))
}

/// The same of a file that is known to be a plain one of so many bytes; a small one is read at once.
pub(super) fn hash_of(path: &Path, bytes: u64) -> io::Result<ContentHash> {
    const SMALL: u64 = 1 << 20;
    let mut file = File::open(path)?;
    if bytes > SMALL {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        return Ok(ContentHash::new(hasher.finalize()));
    }
    // A byte more than there should be, to find out whether there are more.
    let mut content = vec![0; bytes as usize + 1];
    let mut filled = 0;
    while (filled as u64) < bytes {
        match file.read(&mut content[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(ContentHash::new(blake3::hash(&content[..filled])))
}

/// The bytes of a small file of the cache's own; `None` where there is something else than a plain file of at most
/// `most` bytes. A link is never followed.
pub(super) fn read_small(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    match bounded::read_in_place(path, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(BoundedError::Io(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Whether there is a link, wherever it leads.
pub(super) fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// Writes a file and waits until it is on the disk. What had the name goes, so that a link is not written through.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let write = || {
        let mut file = create_anew(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| lacking(error, Needs::Bytes(bytes.len() as u64)))
}

/// Writes a file in the place of what had the name, without waiting for the disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_anew(path)?.write_all(bytes)
}

fn create_anew(path: &Path) -> io::Result<File> {
    remove(path)?;
    File::create_new(path)
}

/// Waits until a directory's list of names is on the disk.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The time of a file's last change, in nanoseconds since 1970.
pub(super) fn modified(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

/// The directories in a directory. What else lies there, links to directories too, is passed over.
pub(super) fn folders(dir: &Path) -> io::Result<Vec<String>> {
    Ok(list(dir)?.into_iter().filter(|(_, metadata)| metadata.is_dir()).map(|(name, _)| name).collect())
}

/// Whether there is a directory itself, and no link to one.
pub(super) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The names in a directory with their metadata; none when there is no such directory, and none behind a link.
pub(super) fn list(dir: &Path) -> io::Result<BTreeMap<String, Metadata>> {
    if is_link(dir) { Ok(BTreeMap::new()) } else { list_behind(dir) }
}

/// The same of a directory that may be a link.
pub(super) fn list_behind(dir: &Path) -> io::Result<BTreeMap<String, Metadata>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut names = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) => {
                names.insert(entry.file_name().to_string_lossy().into_owned(), metadata);
            }
            // Another run moved it away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// The names in a directory, without a look at what has them; none when there is no such directory, and none behind a link.
pub(super) fn names(dir: &Path) -> io::Result<Vec<String>> {
    if is_link(dir) {
        return Ok(Vec::new());
    }
    match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

/// Removes a file or a directory with all that is in it; nothing to remove is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the files in a directory, the one called `first` before the others, and then the directory. A link goes without
/// what it leads to; directories in it stay, and it with them.
pub(super) fn remove_files(dir: &Path, first: &str) -> io::Result<()> {
    remove(&dir.join(first))?;
    let mut stays = false;
    for (name, metadata) in list(dir)? {
        if metadata.is_dir() {
            stays = true;
        } else {
            remove(&dir.join(name))?;
        }
    }
    if stays { Ok(()) } else { remove(dir) }
}

/// The bytes of a file, or of all files under a directory.
pub(super) fn bytes_under(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += bytes_under(&entry?.path())?;
    }
    Ok(bytes)
}

/// The same file in a second place: a hard link, or a copy where links cannot be made.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => fs::copy(from, to).map(drop),
        linked => linked,
    }
}
