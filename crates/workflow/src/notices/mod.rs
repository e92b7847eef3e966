//! Short texts that all who work on one store see: who works, who has claimed which step, what failed.
//!
//! Nothing here relies on advisory locks or on clocks that agree: a notice is made by exclusive creation or replaced if it
//! is still the one that was read, and its time is the store's own.

mod folder;

use std::fmt;
use std::io;

pub use folder::FolderNotices;
pub(crate) use folder::NOTICE;

/// Where a notice hangs: a folder of the store and a name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    /// The folder: `workers`, `claims` or `failures`.
    pub folder: &'static str,
    /// The name in it, made of letters, digits and `-`.
    pub name: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder, self.name)
    }
}

/// A moment by the store's clock, in seconds. Only differences on one store mean anything.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct StoreTime(pub f64);

impl StoreTime {
    /// Seconds from `earlier` to this moment; negative when the store's clock was set back.
    #[must_use]
    pub fn since(self, earlier: Self) -> f64 {
        self.0 - earlier.0
    }
}

/// What hangs at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The text as it was put there.
    pub text: String,
    /// What tells this notice from any other at the place, so that only the one that was read is replaced.
    pub version: String,
    /// When it was written.
    pub written: StoreTime,
}

/// A board for notices. It may fail like any file system or network does.
pub trait Notices: fmt::Debug + Send + Sync {
    /// Hangs up a notice where none is, and gives its version; `None` where one is.
    ///
    /// # Errors
    /// When the board cannot be reached or written to.
    fn put_new(&self, place: Place<'_>, text: &str) -> io::Result<Option<String>>;

    /// Hangs up a notice in the place of whatever is there, and gives its version. For those that one worker alone writes.
    ///
    /// # Errors
    /// As [`Notices::put_new`].
    fn put(&self, place: Place<'_>, text: &str) -> io::Result<String>;

    /// Puts `text` in the place of the notice of that version, and gives the new one; `None` where it is gone or another is
    /// there.
    ///
    /// # Errors
    /// As [`Notices::put_new`].
    fn replace(&self, place: Place<'_>, version: &str, text: &str) -> io::Result<Option<String>>;

    /// Takes down the notice of that version; one that is gone, and another, are left as they are.
    ///
    /// # Errors
    /// As [`Notices::put_new`].
    fn remove(&self, place: Place<'_>, version: &str) -> io::Result<()>;

    /// What hangs there.
    ///
    /// # Errors
    /// When the board cannot be reached or read.
    fn get(&self, place: Place<'_>) -> io::Result<Option<Notice>>;

    /// The names in a folder in ascending order, each with the time when its notice was written.
    ///
    /// # Errors
    /// As [`Notices::get`].
    fn list(&self, folder: &'static str) -> io::Result<Vec<(String, StoreTime)>>;

    /// The names in a folder in ascending order, without a look at the notices.
    ///
    /// # Errors
    /// As [`Notices::get`].
    fn names(&self, folder: &'static str) -> io::Result<Vec<String>> {
        Ok(self.list(folder)?.into_iter().map(|(name, _)| name).collect())
    }

    /// Gives up what was kept for the next notice: this process leaves.
    fn rest(&self) {}
}
