//! NumPy's format for one array: a Python dict as text, then the elements.
//!
//! Only what the authors' files hold: integers, floating-point numbers and bools, lowest byte first, in row-major
//! order.

use std::io::Read;

use half::f16;

use crate::numpy::{ArrayHeader, ArrayHeaderError};

use super::error::Fault;

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
            _ => Err(other_type(name, "integers")),
        }
    }
}

impl Element for f64 {
    fn decode(name: &str, bytes: &[u8]) -> Result<Vec<Self>, Fault> {
        match name {
            "<f2" => numbers(bytes, |element| f16::from_le_bytes(element).to_f64()),
            "<f4" => numbers(bytes, |element| f32::from_le_bytes(element).into()),
            "<f8" => numbers(bytes, Self::from_le_bytes),
            _ => Err(other_type(name, "floating-point numbers")),
        }
    }
}

impl Element for bool {
    fn decode(name: &str, bytes: &[u8]) -> Result<Vec<Self>, Fault> {
        match name {
            "|b1" => numbers(bytes, |[element]: [u8; 1]| element != 0),
            _ => Err(other_type(name, "bool")),
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

fn other_type(name: &str, expected: &'static str) -> Fault {
    let found = if name.starts_with('>') { "numbers of big-endian bytes" } else { "another type of element" };
    Fault::Unexpected { expected, found }
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
        let ArrayHeader { descr, column_major, shape, .. } = ArrayHeader::read(file)?;
        if column_major {
            return Err(Fault::Array("the elements are in column-major order"));
        }
        Ok(Self { name: descr, shape })
    }

    /// Bytes of everything under one index of the first axis; `None` when that is no number of bytes.
    pub fn row_bytes(&self) -> Option<usize> {
        let element: usize = self.name.get(2..)?.parse().ok()?;
        self.shape.iter().skip(1).try_fold(element, |bytes, &extent| bytes.checked_mul(extent))
    }

    /// The header of an array of `T`, as NumPy would write it.
    pub fn to_bytes<T: Stored>(shape: &[usize]) -> Vec<u8> {
        ArrayHeader::new(T::NAME, shape).to_bytes()
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

impl From<ArrayHeaderError> for Fault {
    fn from(error: ArrayHeaderError) -> Self {
        match error {
            ArrayHeaderError::Truncated { wanted, left } => Self::Truncated { wanted, left },
            ArrayHeaderError::Malformed(what) => Self::Array(what),
            ArrayHeaderError::Unreadable(error) => Self::from(error),
        }
    }
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
        let bytes: Vec<u8> = Array { shape: vec![1], elements: vec![7_i64] }.to_bytes();
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let swapped: Vec<u8> = text.replace("<i8", ">i8").chars().map(|letter| letter as u8).collect();
        let found = "numbers of big-endian bytes";
        assert!(matches!(Array::<i64>::parse(&swapped), Err(Fault::Unexpected { found: said, .. }) if said == found));
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
