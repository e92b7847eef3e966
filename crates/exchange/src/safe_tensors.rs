//! The safetensors format: a JSON header, then the elements.

use safetensors::{Dtype, SafeTensors};

use super::error::{Fault, Located};
use super::listing::Listing;
use super::pickled::FaultAt;
use super::tensor::{ByteOrder, ElementType, Layout};
use overinterp_artifacts::ParameterTensor;

/// Whether the file begins as one: the header's length, then a JSON object that fits into the file.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    rest.first() == Some(&b'{') && usize::try_from(u64::from_le_bytes(*length)).is_ok_and(|header| header <= rest.len())
}

/// The tensors of a file.
#[derive(Debug)]
pub(super) struct File<'a>(SafeTensors<'a>);

/// Reads the header.
pub(super) fn open(bytes: &[u8]) -> Result<(Listing, File<'_>), Located> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| Fault::from(error).at("the header"))?;
    let mut tensors: Vec<_> = file.iter().collect();
    tensors.sort_by_key(|(name, view)| (view.data().as_ptr().addr(), *name));
    let named = tensors.into_iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec()));
    Ok((Listing::flat(named), File(file)))
}

impl File<'_> {
    /// Reads a tensor that the header names.
    pub fn tensor(&self, name: &str) -> Result<ParameterTensor, FaultAt> {
        let view = self.0.tensor(name).map_err(Fault::from)?;
        let layout = Layout::contiguous(view.shape().to_vec())?;
        let data = element_type(view.dtype())?.gather(view.data(), ByteOrder::Little, &layout)?;
        Ok(ParameterTensor { shape: view.shape().to_vec(), data })
    }
}

fn element_type(dtype: Dtype) -> Result<ElementType, Fault> {
    Ok(match dtype {
        Dtype::F64 => ElementType::Float64,
        Dtype::F32 => ElementType::Float32,
        Dtype::F16 => ElementType::Float16,
        Dtype::BF16 => ElementType::BFloat16,
        Dtype::I64 => ElementType::Int64,
        Dtype::I32 => ElementType::Int32,
        Dtype::I16 => ElementType::Int16,
        Dtype::I8 => ElementType::Int8,
        Dtype::U8 => ElementType::UInt8,
        Dtype::BOOL => ElementType::Bool,
        other => return Err(Fault::ElementType(format!("{other:?}"))),
    })
}
