//! The safetensors format: a JSON header, then the elements.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};

use super::error::{Fault, Located, quote};
use super::state_dict::is_bookkeeping;
use super::tensor::{ByteOrder, ElementType, Layout};
use crate::artifacts::ParameterTensor;

/// Whether the file begins as one: the header's length, then a JSON object that fits into the file.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    rest.first() == Some(&b'{') && usize::try_from(u64::from_le_bytes(*length)).is_ok_and(|header| header <= rest.len())
}

/// Reads every tensor.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, ParameterTensor>, Located> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| Fault::from(error).at("the header"))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter().filter(|(name, _)| !is_bookkeeping(name)) {
        let tensor = element_type(view.dtype()).and_then(|element| {
            let layout = Layout::contiguous(view.shape().to_vec())?;
            let data = element.gather(view.data(), ByteOrder::Little, &layout)?;
            Ok(ParameterTensor { shape: view.shape().to_vec(), data })
        });
        tensors.insert(name.to_owned(), tensor.map_err(|fault| fault.at(format!("tensor {}", quote(name))))?);
    }
    Ok(tensors)
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
