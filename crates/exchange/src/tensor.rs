//! From stored elements to float32 tensors: element types, byte order, strides.

use half::{bf16, f16};

use super::error::Fault;

/// PyTorch's limit on the number of dimensions.
const MOST_DIMENSIONS: usize = 64;

/// How one element is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ElementType {
    Float64,
    Float32,
    Float16,
    BFloat16,
    Int64,
    Int32,
    Int16,
    Int8,
    UInt8,
    Bool,
    /// Elements that no weights have: their size is known, so that a reader can go past them.
    Unread {
        /// Their type, for messages.
        name: &'static str,
        /// Bytes of one.
        size: usize,
    },
}

/// Which end of an element comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ElementType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::Float64 | Self::Int64 => 8,
            Self::Float32 | Self::Int32 => 4,
            Self::Float16 | Self::BFloat16 | Self::Int16 => 2,
            Self::Int8 | Self::UInt8 | Self::Bool => 1,
            Self::Unread { size, .. } => size,
        }
    }

    /// Reads the elements of `bytes` that `layout` visits, each as the nearest float32.
    ///
    /// # Errors
    /// When the layout reaches outside `bytes`, or no weights have such elements.
    pub fn gather(self, bytes: &[u8], order: ByteOrder, layout: &Layout) -> Result<Vec<f32>, Fault> {
        match self {
            Self::Float64 => gather(bytes, order, layout, |b| f64::from_le_bytes(b) as f32),
            Self::Float32 => gather(bytes, order, layout, f32::from_le_bytes),
            Self::Float16 => gather(bytes, order, layout, |b| f16::from_le_bytes(b).to_f32()),
            Self::BFloat16 => gather(bytes, order, layout, |b| bf16::from_le_bytes(b).to_f32()),
            Self::Int64 => gather(bytes, order, layout, |b| i64::from_le_bytes(b) as f32),
            Self::Int32 => gather(bytes, order, layout, |b| i32::from_le_bytes(b) as f32),
            Self::Int16 => gather(bytes, order, layout, |b| f32::from(i16::from_le_bytes(b))),
            Self::Int8 => gather(bytes, order, layout, |b| f32::from(i8::from_le_bytes(b))),
            Self::UInt8 => gather(bytes, order, layout, |[b]| f32::from(b)),
            Self::Bool => gather(bytes, order, layout, |[b]| f32::from(u8::from(b != 0))),
            Self::Unread { name, .. } => Err(Fault::ElementType(name.to_owned())),
        }
    }
}

fn gather<const SIZE: usize>(
    bytes: &[u8],
    order: ByteOrder,
    layout: &Layout,
    decode: impl Fn([u8; SIZE]) -> f32,
) -> Result<Vec<f32>, Fault> {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    let count = layout.check(elements.len())?;
    let mut values = Vec::with_capacity(count);
    layout.visit(count, |position| {
        let mut element = elements[position];
        if order == ByteOrder::Big {
            element.reverse();
        }
        values.push(decode(element));
    });
    Ok(values)
}

/// Which elements of a storage make up a tensor: PyTorch's offset, size and stride, counted in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Layout {
    /// A layout from its parts.
    ///
    /// # Errors
    /// When shape and strides disagree, or there are too many dimensions.
    pub fn new(offset: usize, shape: Vec<usize>, strides: Vec<usize>) -> Result<Self, Fault> {
        Self::check_rank(shape.len())?;
        if shape.len() != strides.len() {
            return Err(Fault::Strides { shape: shape.len(), strides: strides.len() });
        }
        Ok(Self { offset, shape, strides })
    }

    /// Refuses more dimensions than PyTorch has.
    pub const fn check_rank(dimensions: usize) -> Result<(), Fault> {
        if dimensions <= MOST_DIMENSIONS { Ok(()) } else { Err(Fault::Rank(dimensions)) }
    }

    /// A tensor whose elements follow each other in row-major order from the first on.
    pub fn contiguous(shape: Vec<usize>) -> Result<Self, Fault> {
        let mut strides = vec![1_usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Self::new(0, shape, strides)
    }

    /// A tensor whose elements follow each other with the first index varying fastest.
    pub fn column_major(shape: Vec<usize>) -> Result<Self, Fault> {
        let mut strides = vec![1_usize; shape.len()];
        for axis in 1..shape.len() {
            strides[axis] = strides[axis - 1].saturating_mul(shape[axis - 1]);
        }
        Self::new(0, shape, strides)
    }

    /// Extent of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements; `None` beyond what can be counted.
    pub fn elements(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent))
    }

    /// The number of elements, all of which lie among the first `available` of the storage.
    fn check(&self, available: usize) -> Result<usize, Fault> {
        let beyond = || Fault::BeyondStorage { elements: available };
        let count = self.elements().ok_or_else(beyond)?;
        if count == 0 {
            return Ok(0);
        }
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, |last, (&extent, &stride)| {
            (extent - 1).checked_mul(stride).and_then(|reach| last.checked_add(reach))
        });
        if last.is_some_and(|last| last < available) { Ok(count) } else { Err(beyond()) }
    }

    /// Calls `element` with the place of each of the `count` elements, in row-major order.
    fn visit(&self, count: usize, mut element: impl FnMut(usize)) {
        let mut counters = vec![0_usize; self.shape.len()];
        let mut position = self.offset;
        for _ in 0..count {
            element(position);
            for axis in (0..self.shape.len()).rev() {
                counters[axis] += 1;
                if counters[axis] < self.shape[axis] {
                    position += self.strides[axis];
                    break;
                }
                counters[axis] = 0;
                position -= self.strides[axis] * (self.shape[axis] - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn a_transposed_layout_is_read_in_row_major_order() {
        // [[0, 1, 2], [3, 4, 5]] transposed.
        let layout = Layout::new(0, vec![3, 2], vec![1, 3]).unwrap();
        let bytes = floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let values = ElementType::Float32.gather(&bytes, ByteOrder::Little, &layout).unwrap();
        assert_eq!(values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    #[test]
    fn a_scalar_has_one_element_and_an_empty_tensor_none() {
        let bytes = floats(&[7.0, 8.0]);
        let scalar = Layout::new(1, Vec::new(), Vec::new()).unwrap();
        assert_eq!(ElementType::Float32.gather(&bytes, ByteOrder::Little, &scalar).unwrap(), [8.0]);
        let empty = Layout::new(9, vec![3, 0, usize::MAX], vec![0, 1, usize::MAX]).unwrap();
        assert!(ElementType::Float32.gather(&bytes, ByteOrder::Little, &empty).unwrap().is_empty());
    }

    #[test]
    fn big_endian_elements_are_turned_around() {
        let layout = Layout::contiguous(vec![2]).unwrap();
        let bytes = [0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0];
        assert_eq!(ElementType::Float32.gather(&bytes, ByteOrder::Big, &layout).unwrap(), [1.0, -2.0]);
    }

    #[test]
    fn layouts_that_leave_the_storage_or_overflow_are_refused() {
        let bytes = floats(&[0.0; 4]);
        for (offset, shape, strides) in [
            (4, vec![1], vec![1]),
            (0, vec![5], vec![1]),
            (1, vec![2, 2], vec![2, 1]),
            (usize::MAX, vec![2], vec![1]),
            (0, vec![2], vec![usize::MAX]),
            (0, vec![usize::MAX, usize::MAX], vec![0, 0]),
        ] {
            let layout = Layout::new(offset, shape, strides).unwrap();
            let fault = ElementType::Float32.gather(&bytes, ByteOrder::Little, &layout).unwrap_err();
            assert!(matches!(fault, Fault::BeyondStorage { elements: 4 }), "{layout:?}: {fault}");
        }
    }
}
