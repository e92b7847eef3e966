//! The header of an array file (`.npy`): a Python dict as text, after which the elements lie one by one.
//!
//! It is not parsed as Python, so it cannot nest. Source: `numpy/lib/format.py`.

use std::io::{self, Read};

const MAGIC: &[u8] = b"\x93NUMPY";
/// A header is padded so that the elements begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// Bytes before the text in version 1: magic, version, length.
const PREAMBLE: usize = MAGIC.len() + 2 + 2;
/// Bytes of a header that are read at most; numpy's have 128 or a little more.
const LONGEST: u64 = 1 << 20;

/// What an array file says of its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayHeader {
    /// The type of an element as numpy writes it: `|u1`, `<f8`.
    pub descr: String,
    /// Whether the first index varies fastest (Fortran's order).
    pub column_major: bool,
    /// The extent of each dimension.
    pub shape: Vec<usize>,
    /// The byte of the file at which the elements begin.
    pub start: usize,
}

/// Why bytes are no array file, or not the one that is asked for.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// They end before the header does.
    #[error("truncated: {wanted} bytes are announced where {left} are left")]
    Truncated {
        /// Bytes that should follow.
        wanted: u64,
        /// Bytes that do.
        left: u64,
    },
    /// numpy would not have written it.
    #[error("not an array that numpy saved: {0}")]
    Malformed(&'static str),
    /// Elements of a type that is no plain number.
    #[error(
        "its elements are of numpy's type `{descr}`, expected bools, integers, or floating-point numbers of at most 64 \
         bits; save it with `.astype`"
    )]
    ElementType {
        /// The type as numpy writes it.
        descr: String,
    },
    /// More elements than are read.
    #[error("its shape says that it has more than {most} elements, which is the limit")]
    TooLong {
        /// How many are.
        most: usize,
    },
    /// An element that is not such a value.
    #[error("element {index:?} is {found}, expected {expected}")]
    Element {
        /// Its index, a number for each dimension.
        index: Vec<usize>,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// They cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

use ArrayError::Malformed;

impl ArrayHeader {
    /// The header of a file of row-major elements.
    #[must_use]
    pub fn new(descr: &str, shape: &[usize]) -> Self {
        let mut header = Self { descr: descr.to_owned(), column_major: false, shape: shape.to_vec(), start: 0 };
        header.start = header.to_bytes().len();
        header
    }

    /// Reads the header at the beginning of an array file; the elements follow.
    ///
    /// # Errors
    /// When the bytes are not the beginning of one, too few, or cannot be read.
    pub fn read(file: &mut impl Read) -> Result<Self, ArrayError> {
        if take(file, MAGIC.len() as u64)? != MAGIC {
            return Err(Malformed("the magic number is missing"));
        }
        let length = match take(file, 2)?[0] {
            1 => take(file, 2)?,
            2 | 3 => take(file, 4)?,
            _ => return Err(Malformed("unknown version of the format")),
        };
        let before = MAGIC.len() + 2 + length.len();
        let length = length.iter().rev().fold(0, |length, &byte| (length << 8) | u64::from(byte));
        let text = take(file, length)?;
        let header = std::str::from_utf8(&text).map_err(|_| Malformed("the header is not text"))?;
        let quoted = value(header, "descr")?.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let (descr, _) = quoted.ok_or(Malformed("its elements are records"))?;
        let order = value(header, "fortran_order")?;
        let column_major = match (order.starts_with("False"), order.starts_with("True")) {
            (true, _) => false,
            (_, true) => true,
            _ => return Err(Malformed("the order of its elements is neither True nor False")),
        };
        Ok(Self {
            descr: descr.to_owned(),
            column_major,
            shape: shape(value(header, "shape")?)?,
            start: before + text.len(),
        })
    }

    /// The bytes before the elements, as numpy writes them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let extents: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let comma = if extents.len() == 1 { "," } else { "" };
        let shape = format!("({}{comma})", extents.join(", "));
        let order = if self.column_major { "True" } else { "False" };
        let mut header = format!("{{'descr': '{}', 'fortran_order': {order}, 'shape': {shape}, }}", self.descr);
        let end = (PREAMBLE + header.len() + 1).next_multiple_of(ALIGNMENT);
        header.extend(std::iter::repeat_n(' ', end - PREAMBLE - header.len() - 1));
        header.push('\n');

        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes
    }

    /// How many elements the shape says there are; `None` beyond what can be counted.
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent))
    }
}

/// The next `count` bytes.
fn take(file: &mut impl Read, count: u64) -> Result<Vec<u8>, ArrayError> {
    let mut bytes = Vec::new();
    file.take(count.min(LONGEST)).read_to_end(&mut bytes)?;
    let left = bytes.len() as u64;
    if left == count { Ok(bytes) } else { Err(ArrayError::Truncated { wanted: count, left }) }
}

/// What follows a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, ArrayError> {
    let (_, after) = header.split_once(&format!("'{key}':")).ok_or(Malformed("the header lacks a key"))?;
    Ok(after.trim_start())
}

/// A tuple of integers.
fn shape(text: &str) -> Result<Vec<usize>, ArrayError> {
    let fault = || Malformed("the shape is no tuple of sizes");
    let (inner, _) = text.strip_prefix('(').and_then(|text| text.split_once(')')).ok_or_else(fault)?;
    let extents = inner.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    // Python 2 wrote long integers with an L.
    extents.map(|extent| extent.trim_end_matches('L').parse().map_err(|_| fault())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_ends_at_a_multiple_of_sixty_four() {
        for shape in [&[][..], &[6], &[50_000, 32, 32, 3], &[1_000_000_000, 0]] {
            let header = ArrayHeader::new("|u1", shape);
            let bytes = header.to_bytes();
            assert_eq!((bytes.len() % ALIGNMENT, bytes.last()), (0, Some(&b'\n')));
            assert_eq!(ArrayHeader::read(&mut &bytes[..]).unwrap(), header);
        }
    }

    /// `numpy.save` of an array of shape (2, 3) in Fortran's order, as numpy before 1.17 padded it, to 16 bytes, and as
    /// Python 2 wrote long integers.
    #[test]
    fn headers_of_older_versions_are_read() {
        let text = "{'descr': '<f8', 'fortran_order': True, 'shape': (2L, 3), }";
        let mut bytes = b"\x93NUMPY\x01\x00\x46\x00".to_vec();
        bytes.extend(format!("{text:<69}\n").bytes());
        let header = ArrayHeader::read(&mut &bytes[..]).unwrap();
        assert_eq!((header.descr.as_str(), header.column_major), ("<f8", true));
        assert_eq!((header.shape, header.start), (vec![2, 3], 80));
    }

    #[test]
    fn what_is_cut_short_or_no_header_is_refused() {
        let bytes = ArrayHeader::new("<f8", &[2]).to_bytes();
        for length in 0..bytes.len() {
            let found = ArrayHeader::read(&mut &bytes[..length]);
            assert!(matches!(found, Err(ArrayError::Truncated { .. })), "{length}: {found:?}");
        }
        for (from, to) in
            [("NUMPY", "NUMPi"), ("'<f8'", "[('a'"), ("False", "Falsh"), ("(2,)", "(-2)"), ("(2,)", "(2, ")]
        {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            let changed: Vec<u8> = text.replace(from, to).chars().map(|letter| letter as u8).collect();
            assert!(matches!(ArrayHeader::read(&mut &changed[..]), Err(Malformed(_))), "{from} -> {to}");
        }
        assert!(ArrayHeader::read(&mut &b"\x93NUMPY\x09\x00\x10\x00"[..]).is_err());
        assert!(matches!(
            ArrayHeader::read(&mut &b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..]),
            Err(ArrayError::Truncated { .. })
        ));
    }
}
