//! What can go wrong with a download.

use std::io;
use std::path::{Path, PathBuf};

use overinterp_foreign::bounded::{Needs, Shortage};

/// Why a data set was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The kind is not that of a published set.
    #[error(
        "there is nothing to download for `{kind}`; known are cifar10, cifar100, cifar10-c, fashion-mnist and mnist"
    )]
    NothingPublished {
        /// The kind that was asked for: `folder`.
        kind: &'static str,
    },
    /// The root is something else than a folder.
    #[error("{path} is not a folder, where one for the data should be: name another with --root")]
    NotAFolder {
        /// What was named as the root, and is no folder.
        path: PathBuf,
    },
    /// A file cannot be read, written or renamed.
    #[error("cannot write {path}{}", advice(path, source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process is writing the same file.
    #[error("another download is writing {path}; wait for it to end")]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// No address has the file.
    #[error(
        "cannot download {file}: {reason}; give another address with --base URL, or put the file into {folder} yourself"
    )]
    Refused {
        /// The name that it has at each address and on disk.
        file: String,
        /// What each address answered.
        reason: String,
        /// Where it belongs.
        folder: PathBuf,
    },
    /// The connection kept failing.
    #[error("cannot download {url}: {reason}; {}run the same command to go on",
        if part.exists() { format!("what came is kept in {}: ", part.display()) } else { String::new() })]
    Failed {
        /// The last address that kept failing, with the name of the file.
        url: String,
        /// The last failure.
        reason: String,
        /// The unfinished file.
        part: PathBuf,
    },
    /// The file came whole, but is not the published one.
    #[error("{url} is not the published file: its MD5 is {found}, expected {expected}; nothing was kept")]
    Checksum {
        /// The address that it came from, with its name.
        url: String,
        /// Of what came.
        found: String,
        /// The MD5 that its publisher gives.
        expected: String,
    },
    /// A file of that name is there, but is not the published one.
    #[error("{path} is not the published file: its MD5 is {found}, expected {expected}; move it away to download it")]
    Other {
        /// The file that is there already. It is left as it is.
        path: PathBuf,
        /// The MD5 of what it holds.
        found: String,
        /// The MD5 that the publisher gives for that name.
        expected: String,
    },
    /// The user stopped it.
    #[error("stopped; what came is kept in {part}: run the same command to go on")]
    Stopped {
        /// The unfinished file.
        part: PathBuf,
    },
}

impl FetchError {
    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}

/// What to do where there is no room.
fn advice(path: &Path, error: &io::Error) -> String {
    let shortage = Shortage::of(error.kind());
    shortage.map_or_else(String::new, |shortage| format!(": {}", shortage.told("the download", path, Needs::of(error))))
}
