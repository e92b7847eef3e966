//! The bytes of a data file, however they are packed, and never more of them than its size on disk allows.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use overinterp_foreign::bounded;

use super::DataError;

/// What a packed file may unpack to: so many times its own size. The published images unpack to five times theirs at most;
/// zeros, to a thousand times.
const TIMES: u64 = 100;
/// What it may unpack to at any rate, so that few images that are nearly empty are no exception.
const ANY_RATE: u64 = 64 << 20;

/// Bytes that a file may have on disk, packed or not: ninety times those of MNIST's images.
const LARGEST: u64 = 4 << 30;

/// What a packed file of so many bytes may unpack to.
const fn most(packed: u64) -> u64 {
    let most = packed.saturating_mul(TIMES);
    if most > ANY_RATE { most } else { ANY_RATE }
}

/// A file that is read from its beginning, unpacked if its name ends in `.gz`.
pub(super) struct Payload {
    path: PathBuf,
    reader: Box<dyn Read>,
    /// Its own size.
    size: u64,
    /// Whether that is the size of what it unpacks to.
    packed: bool,
}

impl Payload {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = bounded::open_within(path, LARGEST).map_err(DataError::refused(path))?;
        let size = file.metadata().map_err(DataError::reading(path))?.len();
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn Read> =
            if packed { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
        Ok(Self { path: path.to_owned(), reader, size, packed })
    }

    /// Bytes of the file if it is not packed, which nothing in it can change.
    pub(super) const fn size(&self) -> Option<u64> {
        if self.packed { None } else { Some(self.size) }
    }

    /// The next `count` bytes, or as many as are left.
    ///
    /// # Errors
    /// When they cannot be read or unpacked, or it may not unpack to so many.
    pub(super) fn take(&mut self, count: u64) -> Result<Vec<u8>, DataError> {
        let most = if self.packed { most(self.size) } else { self.size };
        if self.packed && count > most {
            return Err(DataError::Unpacks { path: self.path.clone(), announced: count, most, packed: self.size });
        }
        let mut bytes = Vec::new();
        let room = usize::try_from(count.min(most)).unwrap_or(usize::MAX);
        if bytes.try_reserve_exact(room).is_err() {
            let source = io::ErrorKind::OutOfMemory.into();
            return Err(DataError::Read { path: self.path.clone(), source });
        }
        match self.reader.by_ref().take(count).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) if self.packed => Err(damaged_gzip(&self.path, &error)),
            Err(source) => Err(DataError::Read { path: self.path.clone(), source }),
        }
    }

    /// Whether nothing follows, so that a packed file was whole.
    pub(super) fn is_at_end(&mut self) -> Result<bool, DataError> {
        self.take(1).map(|next| next.is_empty())
    }
}

/// How many bytes a file may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub most: u64,
    /// The end of the sentence that begins "it has more than 9 bytes, the most that".
    pub what: &'static str,
}

impl Bound {
    fn check(self, path: &Path, bytes: u64) -> Result<(), DataError> {
        let Self { most, what } = self;
        if bytes <= most {
            return Ok(());
        }
        Err(DataError::malformed(path, format!("it has more than {most} bytes, the most that {what}")))
    }
}

/// Reads a whole file of at most so many bytes.
pub(super) fn read(path: &Path, bound: Bound) -> Result<Vec<u8>, DataError> {
    let bytes = Payload::open(path)?.take(bound.most + 1)?;
    bound.check(path, bytes.len() as u64)?;
    Ok(bytes)
}

/// Reads a whole file that is not packed, so that its own size is the limit.
pub(super) fn read_whole(path: &Path) -> Result<Vec<u8>, DataError> {
    Payload::open(path)?.take(u64::MAX)
}

/// Passes each of `members` that a `.tar.gz` holds to `visit`, in the archive's order: its place in `members`, a
/// path for messages, and its bytes. Members are known by their file names, whatever their folder.
///
/// The archive is read to its end, so that a truncated one never passes.
pub(super) fn visit_archive(
    archive: &Path,
    members: &[(&str, Bound)],
    mut visit: impl FnMut(usize, &Path, &[u8]) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let file = bounded::open(archive).map_err(DataError::refused(archive))?;
    let packed = file.metadata().map_err(DataError::reading(archive))?.len();
    let (left, exceeded) = (most(packed), Rc::new(Cell::new(false)));
    let unpacked = Limited { reader: MultiGzDecoder::new(BufReader::new(file)), left, exceeded: Rc::clone(&exceeded) };
    let mut tar = tar::Archive::new(unpacked);
    let broken = |error: &io::Error| {
        if exceeded.get() {
            let most = most(packed);
            return DataError::Unpacks { path: archive.to_owned(), announced: most + 1, most, packed };
        }
        damaged_gzip(archive, error)
    };
    let mut found = vec![false; members.len()];
    let mut bytes = Vec::new();
    for entry in tar.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(|error| broken(&error))?.into_owned();
        let is_named = |member: &str| path.file_name().is_some_and(|name| name == member);
        let Some(index) = members.iter().position(|(member, _)| is_named(member)) else {
            continue;
        };
        let named = member_path(archive, &path);
        members[index].1.check(&named, entry.size())?;
        // No more than its bound. One buffer serves for all.
        bytes.clear();
        bytes.reserve_exact(usize::try_from(entry.size()).unwrap_or(0));
        entry.read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        if bytes.len() as u64 != entry.size() {
            return Err(DataError::malformed(&named, "the archive ends before it does; get it again"));
        }
        if !std::mem::replace(&mut found[index], true) {
            visit(index, &named, &bytes)?;
        }
    }
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|error| broken(&error))?;
    Ok(())
}

/// A reader of at most `left` bytes more.
struct Limited<R> {
    reader: R,
    left: u64,
    /// Set when there are more.
    exceeded: Rc<Cell<bool>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if let Some(left) = self.left.checked_sub(count as u64) {
            self.left = left;
            Ok(count)
        } else {
            self.exceeded.set(true);
            Err(io::Error::other("it unpacks to too much"))
        }
    }
}

/// How a file in an archive is named in messages: `ARCHIVE:MEMBER`.
pub(super) fn member_path(archive: &Path, member: &Path) -> PathBuf {
    PathBuf::from(format!("{}:{}", archive.display(), member.display()))
}

fn damaged_gzip(path: &Path, error: &io::Error) -> DataError {
    DataError::malformed(path, format!("it does not unpack ({error}); download it again"))
}
