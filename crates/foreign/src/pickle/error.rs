//! What can be wrong with a pickle.

/// A fault and the byte of the pickle where its instruction begins.
#[derive(Debug, thiserror::Error)]
#[error("byte {byte} of the pickle: {fault}")]
pub struct LoadError {
    /// Counted from the pickle's beginning.
    pub byte: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong at one place of a pickle.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes end too early.
    #[error("truncated: {wanted} bytes are announced where {left} are left; copy the file again")]
    Truncated {
        /// Bytes that should follow.
        wanted: u64,
        /// Bytes that do.
        left: u64,
    },
    /// A byte is no instruction.
    #[error("unknown pickle instruction 0x{0:02x}; the file is damaged, or no pickle")]
    UnknownInstruction(u8),
    /// A pickle of another version.
    #[error("pickle protocol {0} is not supported; Python's are 0 to 5")]
    Protocol(u8),
    /// An operand that is written as text is not what it should be.
    #[error("{0}; the file is damaged, or no pickle")]
    Literal(&'static str),
    /// An instruction takes more than there is.
    #[error("a pickle instruction finds too few values")]
    EmptyStack,
    /// An instruction refers to a value that was never remembered.
    #[error("a pickle instruction refers to memo {0}, which was not set")]
    UnknownMemo(u32),
    /// More values than any file needs.
    #[error("the pickle has more than {0} values, far more than weights or images need")]
    TooManyValues(usize),
    /// One kind of value stands in the place of another.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What should be there.
        expected: &'static str,
        /// What stands there instead, in words: `a tuple`.
        found: String,
    },
    /// A count, offset or stride below zero, or beyond what can be addressed.
    #[error("{0} is no valid size, offset or stride")]
    Extent(i128),
}
