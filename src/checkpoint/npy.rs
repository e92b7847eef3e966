//! NumPy's format for one array: a Python dict as text, then the elements.
//!
//! Only what the authors' files hold: integers, floating-point numbers and bools, lowest byte first, in row-major
//! order. The header is not parsed as Python, so it cannot nest. Source: `numpy/lib/format.py`.

use std::io::Read;

use half::f16;

use super::error::Fault;

const MAGIC: &[u8] = b"\x93NUMPY";
/// A header is padded so that the elements begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// Bytes before the header's text in version 1: magic, version, length.
const PREAMBLE: usize = MAGIC.len() + 2 + 2;
/// Bytes of a header that are read at most; NumPy's have 128 or a little more.
const LONGEST_HEADER: u64 = 1 << 20;

/// A type that elements are read as, whatever their width in the file.
pub(super) trait Element: Sized {
    /// Reads every element of `bytes`, of the type that NumPy calls `name`.
    ///
    /// # Errors
    /// When that type has other values, or an element is cut short.
    fn decode(name: &str, bytes: &[u8]) -> Result<Vec<Self>, Fault>;
}

/// A type of element that is written.
pub(super) trait Stored {
    /// NumPy's name.
    const NAME: &'static str;
    /// Adds the element's bytes.
    fn encode(&self, bytes: &mut Vec<u8>);
}

/// Implements [`Stored`] for a number as it lies in memory, lowest byte first.
macro_rules! stored {
    ($number:ty, $name:literal) => {
        impl Stored for $number {
            const NAME: &'static str = $name;

            fn encode(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}

stored!(i32, "<i4");
stored!(i64, "<i8");
stored!(f32, "<f4");
stored!(f64, "<f8");

impl Stored for bool {
    const NAME: &'static str = "|b1";

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push((*self).into());
    }
}

impl Element for i64 {
    fn decode(name: &str, bytes: &[u8]) -> Result<Vec<Self>, Fault> {
        match name {
            "|i1" => numbers(bytes, |element| i8::from_le_bytes(element).into()),
            "<i2" => numbers(bytes, |element| i16::from_le_bytes(element).into()),
            "<i4" => numbers(bytes, |element| i32::from_le_bytes(element).into()),
            "<i8" => numbers(bytes, Self::from_le_bytes),
            "|u1" => numbers(bytes, |element| u8::from_le_bytes(element).into()),
            "<u2" => numbers(bytes, |element| u16::from_le_bytes(element).into()),
            "<u4" => numbers(bytes, |element| u32::from_le_bytes(element).into()),
            _ => Err(other_type("integers")),
        }
    }
}

impl Element for f64 {
    fn decode(name: &str, bytes: &[u8]) -> Result<Vec<Self>, Fault> {
        match name {
            "<f2" => numbers(bytes, |element| f16::from_le_bytes(element).to_f64()),
            "<f4" => numbers(bytes, |element| f32::from_le_bytes(element).into()),
            "<f8" => numbers(bytes, Self::from_le_bytes),
            _ => Err(other_type("floating-point numbers")),
        }
    }
}

impl Element for bool {
    fn decode(name: &str, bytes: &[u8]) -> Result<Vec<Self>, Fault> {
        match name {
            "|b1" => numbers(bytes, |[element]: [u8; 1]| element != 0),
            _ => Err(other_type("bool")),
        }
    }
}

fn numbers<const SIZE: usize, T>(bytes: &[u8], decode: impl Fn([u8; SIZE]) -> T) -> Result<Vec<T>, Fault> {
    let (elements, rest) = bytes.as_chunks();
    if rest.is_empty() {
        Ok(elements.iter().map(|&element| decode(element)).collect())
    } else {
        Err(Fault::Array("the last element is cut short"))
    }
}

const fn other_type(expected: &'static str) -> Fault {
    Fault::Unexpected { expected, found: "another type of element" }
}

/// What an array file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    /// NumPy's name for the type of the elements.
    pub name: String,
    /// The extent of each dimension.
    pub shape: Vec<usize>,
}

impl Header {
    /// Reads a header; the elements follow.
    ///
    /// # Errors
    /// When it is damaged, or the elements are in another order.
    pub fn read(file: &mut impl Read) -> Result<Self, Fault> {
        if take(file, MAGIC.len() as u64)? != MAGIC {
            return Err(Fault::Array("the magic number is missing"));
        }
        let length = match take(file, 2)?[0] {
            1 => take(file, 2)?,
            2 | 3 => take(file, 4)?,
            _ => return Err(Fault::Array("unknown version of the format")),
        };
        let length = length.iter().rev().fold(0, |length, &byte| (length << 8) | u64::from(byte));
        let text = take(file, length)?;
        let text = str::from_utf8(&text).map_err(|_| Fault::Array("the header is not text"))?;
        let name = value(text, "descr")?;
        let name = name.strip_prefix('\'').and_then(|name| name.split_once('\''));
        let (name, _) = name.ok_or(Fault::Array("the elements have no plain type"))?;
        if !value(text, "fortran_order")?.starts_with("False") {
            return Err(Fault::Array("the elements are in column-major order"));
        }
        Ok(Self { name: name.to_owned(), shape: shape(value(text, "shape")?)? })
    }

    /// Bytes of everything under one index of the first axis; `None` when that is no number of bytes.
    pub fn row_bytes(&self) -> Option<usize> {
        let element: usize = self.name.get(2..)?.parse().ok()?;
        self.shape.iter().skip(1).try_fold(element, |bytes, &extent| bytes.checked_mul(extent))
    }

    /// The header of an array of `T`, as NumPy would write it.
    pub fn to_bytes<T: Stored>(shape: &[usize]) -> Vec<u8> {
        let extents: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let comma = if extents.len() == 1 { "," } else { "" };
        let shape = format!("({}{comma})", extents.join(", "));
        let mut text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", T::NAME);
        let end = (PREAMBLE + text.len() + 1).next_multiple_of(ALIGNMENT);
        text.extend(std::iter::repeat_n(' ', end - PREAMBLE - text.len() - 1));
        text.push('\n');

        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
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
    pub fn parse(mut file: &[u8]) -> Result<Self, Fault> {
        let Header { name, shape } = Header::read(&mut file)?;
        let elements = T::decode(&name, file)?;
        let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent));
        if count == Some(elements.len()) {
            Ok(Self { shape, elements })
        } else {
            Err(Fault::Array("it has another number of elements than its shape says"))
        }
    }
}

impl<T: Stored> Array<T> {
    /// The array as NumPy would save it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Header::to_bytes::<T>(&self.shape);
        self.elements.iter().for_each(|element| element.encode(&mut bytes));
        bytes
    }
}

/// The next `count` bytes.
fn take(file: &mut impl Read, count: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    file.take(count.min(LONGEST_HEADER)).read_to_end(&mut bytes)?;
    let left = bytes.len() as u64;
    if left == count { Ok(bytes) } else { Err(Fault::Truncated { wanted: count, left }) }
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
        assert!(matches!(Array::<i64>::parse(&bytes), Err(Fault::Unexpected { expected: "integers", .. })));
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

    /// An array file of one dimension with these bytes for elements.
    fn file(name: &str, count: usize, elements: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{name}', 'fortran_order': False, 'shape': ({count},), }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(elements);
        bytes
    }

    #[test]
    fn integers_and_numbers_of_every_width_are_read() {
        let cases: [(&str, &[u8]); 7] = [
            ("|i1", &[5]),
            ("|u1", &[5]),
            ("<i2", &[5, 0]),
            ("<u2", &[5, 0]),
            ("<i4", &[5, 0, 0, 0]),
            ("<u4", &[5, 0, 0, 0]),
            ("<i8", &[5, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (name, bytes) in cases {
            assert_eq!(Array::<i64>::parse(&file(name, 1, bytes)).unwrap().elements, [5], "{name}");
        }
        let half = f16::from_f32(0.375).to_le_bytes();
        for (name, bytes) in [("<f2", &half[..]), ("<f4", &0.375_f32.to_le_bytes()), ("<f8", &0.375_f64.to_le_bytes())]
        {
            assert_eq!(Array::<f64>::parse(&file(name, 1, bytes)).unwrap().elements, [0.375], "{name}");
        }
        for name in [">i8", "<f4", "|b1", "|O"] {
            assert!(Array::<i64>::parse(&file(name, 1, &[0; 8])).is_err(), "{name}");
        }
    }
}
