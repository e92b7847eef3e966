//! NumPy's format for one array: a Python dict as text, then the elements.
//!
//! Only what the authors' files hold: integers, doubles and bools, lowest byte first, in row-major order. The header
//! is not parsed as Python, so it cannot nest. Source: `numpy/lib/format.py`.

use super::error::Fault;
use super::pickle::Bytes;

const MAGIC: &[u8] = b"\x93NUMPY";
/// A header is padded so that the elements begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// Bytes before the header's text in version 1: magic, version, length.
const PREAMBLE: usize = MAGIC.len() + 2 + 2;

/// A type of element, with the name that NumPy gives it.
pub(super) trait Element: Sized {
    /// NumPy's name.
    const DESCRIPTION: &'static str;
    /// The fault of having another type.
    const EXPECTED: &'static str;
    /// Reads every element of `bytes`; `None` when an element is cut short.
    fn decode(bytes: &[u8]) -> Option<Vec<Self>>;
    /// Adds the element's bytes.
    fn encode(&self, bytes: &mut Vec<u8>);
}

/// Implements [`Element`] for a number as it lies in memory, lowest byte first.
macro_rules! number {
    ($number:ty, $description:literal, $expected:literal) => {
        impl Element for $number {
            const DESCRIPTION: &'static str = $description;
            const EXPECTED: &'static str = $expected;

            fn decode(bytes: &[u8]) -> Option<Vec<Self>> {
                let (elements, rest) = bytes.as_chunks();
                rest.is_empty().then(|| elements.iter().map(|&element| Self::from_le_bytes(element)).collect())
            }

            fn encode(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}

number!(i64, "<i8", "int64");
number!(f64, "<f8", "float64");

impl Element for bool {
    const DESCRIPTION: &'static str = "|b1";
    const EXPECTED: &'static str = "bool";

    fn decode(bytes: &[u8]) -> Option<Vec<Self>> {
        Some(bytes.iter().map(|&byte| byte != 0).collect())
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push((*self).into());
    }
}

/// An array: the extent of each dimension, and the elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array<T> {
    pub shape: Vec<usize>,
    pub elements: Vec<T>,
}

impl<T: Element> Array<T> {
    /// Reads an array file.
    ///
    /// # Errors
    /// When it is damaged, or its elements are of another type or order.
    pub fn parse(file: &[u8]) -> Result<Self, Fault> {
        let mut bytes = Bytes::new(file);
        if bytes.take(MAGIC.len() as u64)? != MAGIC {
            return Err(Fault::Array("the magic number is missing"));
        }
        let length = match bytes.array()? {
            [1, _] => u16::from_le_bytes(bytes.array()?).into(),
            [2 | 3, _] => u32::from_le_bytes(bytes.array()?).into(),
            _ => return Err(Fault::Array("unknown version of the format")),
        };
        let header = std::str::from_utf8(bytes.take(length)?).map_err(|_| Fault::Array("the header is not text"))?;
        if !value(header, "descr")?.starts_with(&format!("'{}'", T::DESCRIPTION)) {
            return Err(Fault::Unexpected { expected: T::EXPECTED, found: "another type of element" });
        }
        if !value(header, "fortran_order")?.starts_with("False") {
            return Err(Fault::Array("the elements are in column-major order"));
        }
        let shape = shape(value(header, "shape")?)?;
        let elements = T::decode(bytes.rest()).ok_or(Fault::Array("the last element is cut short"))?;
        let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
        if count == Some(elements.len()) {
            Ok(Self { shape, elements })
        } else {
            Err(Fault::Array("it has another number of elements than its shape says"))
        }
    }

    /// The array as NumPy would save it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let extents: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let comma = if extents.len() == 1 { "," } else { "" };
        let shape = format!("({}{comma})", extents.join(", "));
        let mut header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", T::DESCRIPTION);
        let end = (PREAMBLE + header.len() + 1).next_multiple_of(ALIGNMENT);
        header.extend(std::iter::repeat_n(' ', end - PREAMBLE - header.len() - 1));
        header.push('\n');

        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        self.elements.iter().for_each(|element| element.encode(&mut bytes));
        bytes
    }
}

/// What follows a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, Fault> {
    let (_, after) = header.split_once(&format!("'{key}':")).ok_or(Fault::Array("the header lacks a key"))?;
    Ok(after.trim_start())
}

/// A tuple of integers.
fn shape(text: &str) -> Result<Vec<usize>, Fault> {
    let fault = || Fault::Array("the shape is no tuple of sizes");
    let (inner, _) = text.strip_prefix('(').and_then(|text| text.split_once(')')).ok_or_else(fault)?;
    let extents = inner.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    extents.map(|extent| extent.parse().map_err(|_| fault())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_every_rank_come_back() {
        for shape in [vec![], vec![6], vec![0], vec![2, 3], vec![1, 2, 3]] {
            let count = shape.iter().product();
            let array = Array { shape, elements: (-2..4).take(count).collect::<Vec<i64>>() };
            assert_eq!(Array::parse(&array.to_bytes()).unwrap(), array);
        }
    }

    #[test]
    fn the_header_ends_at_a_multiple_of_sixty_four() {
        for extent in [1, 10, 1_000_000_000] {
            let bytes = Array::<bool> { shape: vec![0, extent], elements: Vec::new() }.to_bytes();
            assert_eq!((bytes.len() % ALIGNMENT, bytes.last()), (0, Some(&b'\n')));
        }
    }

    #[test]
    fn other_types_orders_and_lengths_are_refused() {
        let bytes = Array { shape: vec![2], elements: vec![1.5, 2.5] }.to_bytes();
        assert!(matches!(Array::<i64>::parse(&bytes), Err(Fault::Unexpected { expected: "int64", .. })));
        assert!(Array::<f64>::parse(&bytes[..bytes.len() - 1]).is_err());
        assert!(Array::<f64>::parse(&bytes[..bytes.len() - 8]).is_err());
        for (from, to) in [("False", "True "), ("(2,)", "(-2)"), ("(2,)", "(2, "), ("'descr'", "'other'")] {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            let changed: Vec<u8> = text.replace(from, to).chars().map(|letter| letter as u8).collect();
            assert!(Array::<f64>::parse(&changed).is_err(), "{from} -> {to}");
        }
        let huge = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, 8)}}", usize::MAX);
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((huge.len() as u32).to_le_bytes());
        bytes.extend(huge.as_bytes());
        assert!(matches!(Array::<f64>::parse(&bytes), Err(Fault::Array(_))));
        assert!(matches!(Array::<f64>::parse(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), Err(Fault::Truncated { .. })));
    }
}
