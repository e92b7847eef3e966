//! What can be wrong with a file made elsewhere, and where.

use std::io;
use std::path::{Path, PathBuf};

use overinterp_foreign::bounded::BoundedError;
use overinterp_foreign::numpy::ArrayError;
use overinterp_foreign::pickle;
use overinterp_foreign::sniff::Foreign;

/// A file made elsewhere that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The operating system would not give its bytes, or it is no regular file, or too large.
    #[error("cannot open {path}")]
    Unreadable {
        /// The file that was to be read.
        path: PathBuf,
        /// What the system said, or that it is no regular file or too large.
        source: io::Error,
    },
    /// Its content is not what it should be.
    #[error("cannot read {path}: fault in {place}")]
    Malformed {
        /// The file whose content is at fault.
        path: PathBuf,
        /// The part of it, by name and byte where there is one.
        place: String,
        /// What is wrong there.
        source: Fault,
    },
}

impl ExchangeError {
    pub(super) fn unreadable(path: &Path, error: BoundedError) -> Self {
        Self::Unreadable { path: path.to_owned(), source: error.into() }
    }
}

/// What is wrong at one place of a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No format is recognised.
    #[error("neither a safetensors file nor one that torch.save wrote; save `model.state_dict()` with torch.save")]
    UnknownFormat,
    /// The bytes end too early.
    #[error("truncated: {wanted} bytes are announced where {left} are left; copy the file again")]
    Truncated {
        /// Bytes that should follow.
        wanted: u64,
        /// Bytes that do.
        left: u64,
    },
    /// One kind of value stands in the place of another.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What should be there.
        expected: &'static str,
        /// What stands there instead, in words: `fewer values`.
        found: &'static str,
    },
    /// What is wrong with a pickle, or with what it says of a tensor.
    #[error(transparent)]
    Pickle(#[from] pickle::Fault),
    /// A tensor of more dimensions than PyTorch has.
    #[error("{0} dimensions; PyTorch has at most 64")]
    Rank(usize),
    /// As many strides as dimensions are needed.
    #[error("{shape} dimensions but {strides} strides")]
    Strides {
        /// Number of dimensions.
        shape: usize,
        /// Number of strides.
        strides: usize,
    },
    /// A tensor reaches outside its storage.
    #[error("the tensor reaches beyond its storage of {elements} elements")]
    BeyondStorage {
        /// The storage's length.
        elements: usize,
    },
    /// A storage that the pickle mentions is not there.
    #[error("storage {0} is missing")]
    MissingStorage(String),
    /// A storage's length differs from what the pickle says.
    #[error("{found} bytes, where the pickle says {expected}")]
    StorageLength {
        /// Bytes that the pickle announces.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The same storage is announced twice, differently.
    #[error("it is announced with two different types or lengths")]
    StorageConflict,
    /// The tensors are larger than the file can justify.
    #[error("the tensors have more elements than the file has bytes ({limit})")]
    TooLarge {
        /// The file's length.
        limit: u64,
    },
    /// The file is something else.
    #[error("{0}. A model file is a safetensors file, or one that torch.save wrote")]
    Foreign(Foreign),
    /// The archive of arrays is something else.
    #[error("{0}")]
    Instead(Foreign),
    /// A tar archive by PyTorch 0.1.
    #[error(
        "a tar archive by PyTorch 0.1; load it with a PyTorch up to 2.5 and save its `state_dict()` with torch.save"
    )]
    FirstPyTorch,
    /// An archive with the code of a model.
    #[error(
        "a TorchScript archive, which torch.jit.save wrote; load it with torch.jit.load and save its `state_dict()` with \
         torch.save"
    )]
    TorchScript,
    /// An archive of numpy arrays.
    #[error("an archive of arrays that numpy saved; a model file is a safetensors file, or one that torch.save wrote")]
    NumpyArchive,
    /// No state dict is found.
    #[error("no state dict: expected a dict of tensors, perhaps in other dicts, found {0} without any tensor")]
    NoStateDict(String),
    /// What should be a tensor has no value.
    #[error("there is no such tensor")]
    NoTensor,
    /// A machine of the other byte order wrote it.
    #[error(
        "written on a big-endian machine in the legacy format, which is not supported; load and save it with a current PyTorch"
    )]
    BigEndian,
    /// An archive entry that is compressed or encrypted.
    #[error("the entry is compressed or encrypted, which torch.save never does; save it again with torch.save")]
    Compressed,
    /// An archive without a pickle.
    #[error("no data.pkl in the zip archive; it was not written by torch.save")]
    NoPickle,
    /// An element type that weights do not have.
    #[error("element type {0} is not supported; convert the tensor to float32 first")]
    ElementType(String),
    /// An array file that NumPy would not have written.
    #[error("not an array that NumPy saved: {0}")]
    Array(&'static str),
    /// An array that a selection result needs is not in the archive.
    #[error(
        "there is no such array; a backward selection has `ordering_over_entire_backselect` and `mask`, one by batched \
         gradient `mask_order`: check `method`"
    )]
    NoArray,
    /// More elements than any selection result has.
    #[error("its shape says that it has more than {0} elements, more than any selection result")]
    LongArray(u64),
    /// An array of other elements than a selection result has.
    #[error(transparent)]
    Elements(ArrayError),
    /// A place that is none of the image.
    #[error("place {step} is ({}), expected (0, row, column) within {height}x{width} pixels", joined(.place))]
    Place {
        /// Which one, counted from 0.
        step: usize,
        /// What is there.
        place: [i64; 3],
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
    },
    /// A selection result that contradicts itself.
    #[error("{0}")]
    Selection(&'static str),
    /// A line of predictions that is none.
    #[error("{0}; a line is `index,class,confidence`, below a header with these names or none")]
    Prediction(String),
    /// Predictions that are no table.
    #[error("{0}")]
    Table(String),
    /// The zip archive is damaged.
    #[error("damaged zip archive")]
    Zip(#[from] zip::result::ZipError),
    /// An entry of the archive does not match its checksum.
    #[error("damaged zip entry")]
    Entry(#[from] io::Error),
    /// The safetensors file is damaged.
    #[error("damaged safetensors file")]
    SafeTensors(#[from] safetensors::SafeTensorError),
}

/// A fault and its place, as the readers of single formats return it.
#[derive(Debug)]
pub(super) struct Located {
    /// The part of the file.
    pub place: String,
    /// What is wrong there.
    pub fault: Fault,
}

impl From<ArrayError> for Fault {
    fn from(error: ArrayError) -> Self {
        match error {
            ArrayError::Truncated { wanted, left } => Self::Truncated { wanted, left },
            ArrayError::Malformed(what) => Self::Array(what),
            ArrayError::Unreadable(error) => Self::from(error),
            ArrayError::TooLong { most } => Self::LongArray(most as u64),
            ArrayError::ElementType { .. } | ArrayError::Element { .. } => Self::Elements(error),
        }
    }
}

impl Fault {
    /// Says where the fault is.
    pub(super) fn at(self, place: impl Into<String>) -> Located {
        Located { place: place.into(), fault: self }
    }
}

impl Located {
    /// Says of which file.
    pub(super) fn of(self, path: &Path) -> ExchangeError {
        ExchangeError::Malformed { path: path.to_owned(), place: self.place, source: self.fault }
    }
}

/// A name from a file, fit for a message: escaped, and cut if it is long.
pub(super) fn quote(name: &str) -> String {
    const LONGEST: usize = 120;
    let escaped: String = name.escape_debug().take(LONGEST).collect();
    if name.chars().count() > LONGEST { format!("{escaped}...") } else { escaped }
}

fn joined(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
