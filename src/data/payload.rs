//! The bytes of a data file, however they are packed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::DataError;

/// Reads a whole file, uncompressed if its name ends in `.gz`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut file = File::open(path).map_err(DataError::reading(path))?;
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut unpacked = MultiGzDecoder::new(BufReader::new(file));
        unpacked.read_to_end(&mut bytes).map_err(|error| damaged_gzip(path, &error))?;
    } else {
        let size = file.metadata().map_err(DataError::reading(path))?.len();
        bytes.reserve_exact(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes).map_err(DataError::reading(path))?;
    }
    Ok(bytes)
}

/// Passes each of `members` that a `.tar.gz` holds to `visit`, in the archive's order: its place in `members`, a
/// path for messages, and its bytes. Members are known by their file names, whatever their folder.
///
/// The archive is read to its end, so that a truncated one never passes.
pub(super) fn visit_archive(
    archive: &Path,
    members: &[&str],
    mut visit: impl FnMut(usize, &Path, &[u8]) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let file = File::open(archive).map_err(DataError::reading(archive))?;
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let broken = |error: &io::Error| damaged_gzip(archive, error);
    let mut found = vec![false; members.len()];
    for entry in tar.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(|error| broken(&error))?.into_owned();
        let Some(index) = members.iter().position(|member| path.file_name().is_some_and(|name| name == *member)) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| broken(&error))?;
        if !std::mem::replace(&mut found[index], true) {
            visit(index, &member_path(archive, &path), &bytes)?;
        }
    }
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|error| broken(&error))?;
    Ok(())
}

/// How a file in an archive is named in messages: `ARCHIVE:MEMBER`.
pub(super) fn member_path(archive: &Path, member: &Path) -> PathBuf {
    PathBuf::from(format!("{}:{}", archive.display(), member.display()))
}

fn damaged_gzip(path: &Path, error: &io::Error) -> DataError {
    DataError::malformed(path, format!("it does not unpack ({error}); download it again"))
}
