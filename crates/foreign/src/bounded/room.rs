//! Want of room: what stands in the way of a file, how much the file needs, and what to do.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why no more can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The file system is full.
    Disk,
    /// The user may not take more of it.
    Quota,
    /// No file may be so large.
    FileSize,
}

/// How much a file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// So many bytes.
    Bytes(u64),
    /// More bytes than these, which were written.
    MoreThan(u64),
}

/// A failure for want of room, with how much there had to be.
#[derive(Debug)]
struct Lacking {
    needs: Needs,
    said: String,
}

impl Error for Lacking {}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl Shortage {
    /// What a failure of that kind lacks; `None` where it does not lack room.
    #[must_use]
    pub const fn of(kind: ErrorKind) -> Option<Self> {
        match kind {
            ErrorKind::StorageFull => Some(Self::Disk),
            ErrorKind::QuotaExceeded => Some(Self::Quota),
            ErrorKind::FileTooLarge => Some(Self::FileSize),
            _ => None,
        }
    }

    /// In few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "no space is left",
            Self::Quota => "the quota is used up",
            Self::FileSize => "no file may be as large as is needed",
        }
    }

    /// Where `what` lacks room that was to be written at `path`, how much it needs, and what to do.
    #[must_use]
    pub fn told(self, what: &str, path: &Path, needs: Option<Needs>) -> String {
        let place = file_system(path);
        let place = place.display();
        let limit = match self {
            Self::Disk => format!("no space is left on the file system at {place}"),
            Self::Quota => format!("the quota on the file system at {place} is used up"),
            Self::FileSize => {
                format!("no file may be so large, by the limit of `ulimit -f` or of the file system at {place}")
            }
        };
        let needs = match needs {
            Some(Needs::Bytes(bytes)) => format!("{bytes} bytes"),
            Some(Needs::MoreThan(bytes)) => format!("more than the {bytes} bytes that were written"),
            None => "at least an entry in its folder".to_owned(),
        };
        let room = match self {
            Self::Disk | Self::Quota => {
                "free some (`overinterp cache gc` removes from a cache what no experiment needs)"
            }
            Self::FileSize => "raise the limit",
        };
        format!("{limit}, and {what} needs {needs}: {room}, or name another place, for a cache with --cache")
    }
}

impl Needs {
    /// What a failure for want of room says that it needs.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(lacking) = inside.and_then(|inside| inside.downcast_ref::<Lacking>()) {
                return Some(lacking.needs);
            }
            // An error that holds another one says of itself what that one says of its cause.
            cause = match inside {
                Some(inside) => inside.source(),
                None => error.source(),
            };
        }
        None
    }
}

/// The same failure, which says how much was needed where it is for want of room.
#[must_use]
pub fn lacking(error: io::Error, needs: Needs) -> io::Error {
    let kind = error.kind();
    if Shortage::of(kind).is_none() {
        return error;
    }
    io::Error::new(kind, Lacking { needs, said: error.to_string() })
}

/// Where the file system of a path begins: the highest folder above it that is on the same device.
fn file_system(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut there = path.ancestors().filter_map(|folder| Some((folder, folder.metadata().ok()?.dev())));
    let Some((mut highest, device)) = there.next() else { return path.clone() };
    for (folder, _) in there.take_while(|(_, other)| *other == device) {
        highest = folder;
    }
    highest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shortage_is_called_by_its_name_with_what_is_needed_and_what_helps() {
        let told = |kind: ErrorKind| {
            let error = lacking(kind.into(), Needs::Bytes(12));
            Shortage::of(error.kind()).unwrap().told("the file", Path::new("a"), Needs::of(&error))
        };
        let full = told(ErrorKind::StorageFull);
        for part in ["no space is left on the file system at /", "the file needs 12 bytes: ", "`overinterp cache gc`"] {
            assert!(full.contains(part), "{full}");
        }
        assert!(told(ErrorKind::QuotaExceeded).starts_with("the quota on the file system at /"));
        let large = told(ErrorKind::FileTooLarge);
        assert!(large.contains("`ulimit -f`") && !large.contains("is full") && !large.contains("gc"), "{large}");
        assert_eq!(Shortage::of(ErrorKind::PermissionDenied), None);
    }

    #[test]
    fn what_is_needed_is_found_below_other_errors() {
        let lacks = lacking(ErrorKind::StorageFull.into(), Needs::MoreThan(3));
        assert_eq!(lacks.to_string(), "no storage space");
        let wrapped = io::Error::new(lacks.kind(), zip::result::ZipError::from(lacks));
        assert_eq!((wrapped.kind(), Needs::of(&wrapped)), (ErrorKind::StorageFull, Some(Needs::MoreThan(3))));
        assert_eq!(Needs::of(&lacking(ErrorKind::NotFound.into(), Needs::Bytes(1))), None);
    }
}
