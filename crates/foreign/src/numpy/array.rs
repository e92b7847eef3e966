//! A whole array file, read as exactly the values that are asked for, and written as numpy would.

use std::io::Read;

use super::elements::{ElementType, Exact, Number};
use super::header::{ArrayError, ArrayHeader};

/// Bytes that are decoded at once: a multiple of every element's size.
const CHUNK: usize = 1 << 16;

/// An array: the extent of each dimension, and the elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// The extent of each dimension.
    pub shape: Vec<usize>,
    /// The elements, the last index varying fastest.
    pub elements: Vec<T>,
}

impl<T: Exact> Array<T> {
    /// Reads an array file to its end, in whatever type, byte order and order of elements it was saved. No more is
    /// reserved than there are elements to read.
    ///
    /// # Errors
    /// When it is damaged, has more than `most` elements, or one of them is no such value; that one is named.
    pub fn read(file: &mut impl Read, most: usize) -> Result<Self, ArrayError> {
        let header = ArrayHeader::read(file)?;
        let stored = header.element_type()?;
        let count = header.elements().filter(|&count| count <= most).ok_or(ArrayError::TooLong { most })?;
        let mut elements = Vec::new();
        while elements.len() < count {
            let chunk = (count - elements.len()).min(CHUNK / stored.bytes()) * stored.bytes();
            let read = read_exactly(file, chunk, (count * stored.bytes()) as u64, elements.len() * stored.bytes())?;
            let before = elements.len();
            let unfit = |(place, found)| header.unfit::<T>(before + place, found);
            elements.extend(stored.decode::<T>(&read).map_err(unfit)?);
        }
        if file.read(&mut [0])? > 0 {
            return Err(ArrayError::Malformed("it has more elements than its shape says"));
        }
        if header.column_major {
            elements = row_major(&header.shape, &elements);
        }
        Ok(Self { shape: header.shape, elements })
    }
}

/// The next `chunk` bytes, of `wanted` of which `before` have been read.
fn read_exactly(file: &mut impl Read, chunk: usize, wanted: u64, before: usize) -> Result<Vec<u8>, ArrayError> {
    let mut bytes = Vec::with_capacity(chunk);
    file.take(chunk as u64).read_to_end(&mut bytes)?;
    if bytes.len() == chunk {
        return Ok(bytes);
    }
    Err(ArrayError::Truncated { wanted, left: (before + bytes.len()) as u64 })
}

/// Elements of which the first index varies fastest, so that the last one does.
fn row_major<T: Copy>(shape: &[usize], column_major: &[T]) -> Vec<T> {
    let mut stride = 1;
    let mut strides = Vec::with_capacity(shape.len());
    for &extent in shape {
        strides.push(stride);
        stride *= extent;
    }
    let mut index = vec![0; shape.len()];
    let mut source = 0;
    let mut elements = Vec::with_capacity(column_major.len());
    for _ in column_major {
        elements.push(column_major[source]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            source += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            source -= shape[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    elements
}

/// A type of element that is written.
pub trait Stored {
    /// numpy's name for it.
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

stored!(u8, "|u1");
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

impl<T: Stored> Array<T> {
    /// The array as numpy would save it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = ArrayHeader::new(T::NAME, &self.shape).to_bytes();
        self.elements.iter().for_each(|element| element.encode(&mut bytes));
        bytes
    }
}

impl ArrayHeader {
    /// The type of the elements.
    ///
    /// # Errors
    /// When they are no numbers that can be read.
    pub fn element_type(&self) -> Result<ElementType, ArrayError> {
        ElementType::of(&self.descr).ok_or_else(|| ArrayError::ElementType { descr: self.descr.clone() })
    }

    /// The error of the element that comes at that place of the file, counted from 0, which is `found` and no `T`.
    #[must_use]
    pub fn unfit<T: Exact>(&self, mut place: usize, found: Number) -> ArrayError {
        let mut index = vec![0; self.shape.len()];
        let axes: &mut dyn Iterator<Item = usize> =
            if self.column_major { &mut (0..index.len()) } else { &mut (0..index.len()).rev() };
        for axis in axes {
            index[axis] = place % self.shape[axis];
            place /= self.shape[axis];
        }
        ArrayError::Element { index, found: found.to_string(), expected: T::EXPECTED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 1000;

    fn read<T: Exact>(mut file: &[u8]) -> Result<Array<T>, ArrayError> {
        Array::read(&mut file, MOST)
    }

    /// An array file with these bytes for elements.
    fn file(descr: &str, column_major: bool, shape: &[usize], elements: &[u8]) -> Vec<u8> {
        let header = ArrayHeader { column_major, ..ArrayHeader::new(descr, shape) };
        [header.to_bytes(), elements.to_vec()].concat()
    }

    #[test]
    fn arrays_of_every_rank_come_back() {
        for shape in [vec![], vec![6], vec![0], vec![2, 3], vec![1, 2, 3]] {
            let count = shape.iter().product();
            let array = Array { shape, elements: (-2..4).take(count).collect::<Vec<i64>>() };
            assert_eq!(read(&array.to_bytes()).unwrap(), array);
        }
    }

    #[test]
    fn the_order_of_fortran_becomes_that_of_c() {
        // numpy.arange(12).reshape(2, 3, 2), saved as numpy.asfortranarray of it.
        let saved = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11];
        let array: Array<i64> = read(&file("|u1", true, &[2, 3, 2], &saved)).unwrap();
        assert_eq!(array, Array { shape: vec![2, 3, 2], elements: (0..12).collect() });
    }

    #[test]
    fn an_element_that_does_not_fit_is_named_by_its_index() {
        let place = |saved: &[u8], column_major| match read::<bool>(&file("|u1", column_major, &[2, 3, 2], saved)) {
            Err(ArrayError::Element { index, found, expected: "0 or 1" }) if found == "7" => index,
            other => panic!("{other:?}"),
        };
        let mut saved = [0; 12];
        saved[4] = 7;
        assert_eq!((place(&saved, false), place(&saved, true)), (vec![0, 2, 0], vec![0, 2, 0]));
        saved.swap(4, 5);
        assert_eq!((place(&saved, false), place(&saved, true)), (vec![0, 2, 1], vec![1, 2, 0]));
        let said = read::<bool>(&file("|u1", false, &[2, 3, 2], &saved)).unwrap_err().to_string();
        assert_eq!(said, "element [0, 2, 1] is 7, expected 0 or 1");
    }

    #[test]
    fn a_wrong_length_is_refused_whatever_the_header_says() {
        let bytes = Array { shape: vec![2], elements: vec![1.5, 2.5] }.to_bytes();
        for cut in [1, 8, 16] {
            assert!(matches!(read::<f64>(&bytes[..bytes.len() - cut]), Err(ArrayError::Truncated { .. })), "{cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(read::<f64>(&longer), Err(ArrayError::Malformed(_))));
        for shape in [&[MOST + 1][..], &[usize::MAX, 8], &[usize::MAX]] {
            assert!(matches!(read::<f64>(&file("<f8", false, shape, &[])), Err(ArrayError::TooLong { most: MOST })));
        }
        // Many elements are announced, and few follow: no more is reserved than there are.
        let mut few = &file("<f8", false, &[1 << 40], &[0; 800])[..];
        assert!(matches!(Array::<f64>::read(&mut few, 1 << 50), Err(ArrayError::Truncated { left: 800, .. })));
    }

    #[test]
    fn elements_that_are_no_numbers_are_refused_by_their_type() {
        let said = read::<i64>(&file("|O", false, &[1], &[0; 8])).unwrap_err().to_string();
        assert!(said.contains("`|O`"), "{said}");
    }
}
