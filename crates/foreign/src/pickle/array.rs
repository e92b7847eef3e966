//! numpy's arrays in pickles.

use std::borrow::Cow;

use super::error::Fault;
use super::value::{Handle, Pickle, Value};

/// More dimensions than numpy has.
const MOST_DIMENSIONS: usize = 64;
/// What is expected where an array is wanted.
const ARRAY: &str = "a numpy array";

/// A numpy array: what it says of its elements, and their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'p> {
    /// The type of an element, as array files write it: `|u1`, `<f8`, `>i4`.
    pub descr: String,
    /// The extent of each dimension; none of a scalar.
    pub shape: Vec<usize>,
    /// Whether the first index varies fastest (Fortran's order).
    pub column_major: bool,
    /// The elements, as many bytes as type and shape ask for if [`Array::is_whole`].
    pub bytes: Cow<'p, [u8]>,
}

impl Array<'_> {
    /// The number of elements; `None` beyond what can be counted.
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent))
    }

    /// Bytes of an element, as its type says.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        self.descr.get(2..)?.parse().ok()
    }

    /// Whether there are as many bytes as type and shape ask for.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let bytes = self.elements().zip(self.size()).and_then(|(elements, size)| elements.checked_mul(size));
        bytes == Some(self.bytes.len())
    }
}

impl Pickle<'_> {
    /// The numpy array or numpy scalar at a handle, of elements that are numbers or bools.
    ///
    /// # Errors
    /// When it is something else, has elements of another type, or more or fewer bytes than they need.
    pub fn array(&self, handle: Handle) -> Result<Array<'_>, Fault> {
        let call = self.call(handle).ok_or_else(|| self.instead_of(ARRAY, handle))?;
        let array = match (call.module, call.name, call.arguments) {
            // `scalar(dtype, bytes)`
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar", &[dtype, bytes]) => {
                Array { descr: self.descr(dtype)?, shape: Vec::new(), column_major: false, bytes: self.bytes(bytes)? }
            }
            // The state is (version, shape, dtype, is Fortran's order, bytes); the version is left out by the oldest.
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct", _) => {
                let state = self.state(handle).ok_or_else(|| self.instead_of(ARRAY, handle))?;
                let (&[_, shape, dtype, order, bytes] | &[shape, dtype, order, bytes]) = self.items(state)? else {
                    return Err(self.instead_of("the state of a numpy array", state));
                };
                self.parts(shape, dtype, self.is_true(order)?, bytes)?
            }
            // Protocol 5: `_frombuffer(bytes, dtype, shape, order)`.
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer", &[bytes, dtype, shape, order]) => {
                self.parts(shape, dtype, self.text(order)? == "F", bytes)?
            }
            _ => return Err(self.instead_of(ARRAY, handle)),
        };
        if array.is_whole() {
            Ok(array)
        } else {
            let found = format!("{} bytes for elements {} of shape {:?}", array.bytes.len(), array.descr, array.shape);
            Err(Fault::Unexpected { expected: "as many bytes as the array has elements", found })
        }
    }

    /// The shape of the numpy array at a handle; its elements are not looked at.
    ///
    /// # Errors
    /// When it is something else, or has a shape that makes no sense.
    pub fn array_shape(&self, handle: Handle) -> Result<Vec<usize>, Fault> {
        let call = self.call(handle).ok_or_else(|| self.instead_of(ARRAY, handle))?;
        let state = self.state(handle).and_then(|state| self.items(state).ok());
        let shape = match (call.name, state, call.arguments) {
            ("_reconstruct", Some(&[_, shape, _, _, _] | &[shape, _, _, _]), _)
            | ("_frombuffer", _, &[_, _, shape, _]) => Some(shape),
            _ => None,
        };
        self.extents(shape.ok_or_else(|| self.instead_of(ARRAY, handle))?)
    }

    /// Whether the value at a handle is a numpy array, be it a faulty one; scalars are none.
    #[must_use]
    pub fn is_array(&self, handle: Handle) -> bool {
        self.call(handle).is_some_and(|call| {
            matches!(
                (call.module, call.name),
                ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct")
                    | ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer")
            )
        })
    }

    fn parts(&self, shape: Handle, dtype: Handle, column_major: bool, bytes: Handle) -> Result<Array<'_>, Fault> {
        let shape = self.extents(shape)?;
        Ok(Array { descr: self.descr(dtype)?, shape, column_major, bytes: self.bytes(bytes)? })
    }

    fn extents(&self, shape: Handle) -> Result<Vec<usize>, Fault> {
        let extents = self.items(shape)?;
        if extents.len() > MOST_DIMENSIONS {
            return Err(Fault::Unexpected { expected: "at most 64 dimensions", found: extents.len().to_string() });
        }
        extents.iter().map(|&extent| self.extent(extent)).collect()
    }

    /// `dtype('f8', ...)` with the state (version, byte order, ...), as array files write it.
    fn descr(&self, dtype: Handle) -> Result<String, Fault> {
        const EXPECTED: &str = "numpy's type of numbers or bools";
        let other = || self.instead_of(EXPECTED, dtype);
        let call = self.call(dtype).filter(|call| (call.module, call.name) == ("numpy", "dtype"));
        let kind = self.text(*call.ok_or_else(other)?.arguments.first().ok_or_else(other)?)?;
        let state = self.state(dtype).and_then(|state| self.items(state).ok()?.get(1).copied());
        let order = state.map_or(Ok("|"), |order| self.text(order))?;
        let known = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"];
        let found = known.into_iter().find(|known| *known == kind);
        let Some(kind) = found.filter(|_| matches!(order, "|" | "<" | ">" | "=")) else {
            let found = format!("`{}`", kind.escape_debug().take(20).collect::<String>());
            return Err(Fault::Unexpected { expected: EXPECTED, found });
        };
        let order = match order {
            _ if kind.ends_with('1') => "|",
            ">" => ">",
            // `=` is the order of the machine that reads, and every one that this runs on has the lowest byte first.
            _ => "<",
        };
        Ok(format!("{order}{kind}"))
    }

    fn is_true(&self, handle: Handle) -> Result<bool, Fault> {
        match self.value(handle) {
            Value::Bool(value) => Ok(*value),
            // Older versions write 0 and 1.
            Value::Int(number) => Ok(*number != 0),
            _ => Err(self.instead_of("True or False", handle)),
        }
    }
}
