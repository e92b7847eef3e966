//! Downloads a published data set and checks it before it gets its name.
//!
//! A file grows as `NAME.part`, from where an earlier attempt ended if the server can do that, and is renamed once
//! its published checksum is right. It is then read as it is, packed.

mod error;
mod transfer;

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use overinterp_spec::DataKind;

use super::official::{Download, official};
pub use error::FetchError;

/// How a download behaves.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Where the files are, instead of the official addresses: a URL under which they have their official names.
    pub base: Option<String>,
    /// Failures in a row, without a byte gained in between, after which it gives up.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each further one.
    pub pause: Duration,
    /// A connection that is silent for so long is closed and tried again.
    pub silence: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self { base: None, attempts: 5, pause: Duration::from_secs(1), silence: Duration::from_secs(30) }
    }
}

/// What happens during a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchNotice<'a> {
    /// The file was there already, and its checksum is right.
    Present {
        /// Its name without a folder: `cifar-10-binary.tar.gz`.
        file: &'a str,
    },
    /// Bytes came in.
    Progress {
        /// The name that it gets once it is whole, without `.part`.
        file: &'a str,
        /// Bytes on disk.
        done: u64,
        /// Bytes of the whole file, if the server says.
        total: Option<u64>,
    },
    /// An attempt failed and another will be made.
    Retry {
        /// The file's name.
        file: &'a str,
        /// What went wrong in that attempt, in words.
        reason: &'a str,
        /// After so long.
        pause: Duration,
    },
    /// The file is there under its name, and its checksum is right.
    Finished {
        /// The name that it has now, instead of `NAME.part`.
        file: &'a str,
    },
}

/// Is told what happens; when it breaks, the download stops and can be resumed later.
pub type Notify<'a> = &'a mut dyn FnMut(FetchNotice<'_>) -> ControlFlow<()>;

/// Downloads the files of a data set into the folder `root`, which is made if need be.
///
/// Files that are there with the right checksum are left alone. Gives the paths of all files.
///
/// # Errors
/// When there is nothing to download for that kind, no address has a file, its checksum is wrong, the network
/// fails for good, a file cannot be written, or `notify` breaks.
pub fn fetch(
    kind: DataKind,
    root: &Path,
    options: &FetchOptions,
    notify: Notify<'_>,
) -> Result<Vec<PathBuf>, FetchError> {
    let official = official(kind).ok_or(FetchError::NothingPublished { kind: kind.name() })?;
    let addresses = match &options.base {
        Some(base) => &[base.as_str()],
        None => official.addresses,
    };
    fetch_all(official.downloads, addresses, root, options, notify)
}

fn fetch_all(
    downloads: &[Download],
    addresses: &[&str],
    root: &Path,
    options: &FetchOptions,
    notify: Notify<'_>,
) -> Result<Vec<PathBuf>, FetchError> {
    if root.exists() && !root.is_dir() {
        return Err(FetchError::NotAFolder { path: root.to_owned() });
    }
    fs::create_dir_all(root).map_err(FetchError::writing(root))?;
    let agent = transfer::agent(options);
    let mut paths = Vec::new();
    for download in downloads {
        let path = root.join(download.file);
        transfer::fetch_file(&agent, download, addresses, &path, options, notify)?;
        paths.push(path);
    }
    Ok(paths)
}
