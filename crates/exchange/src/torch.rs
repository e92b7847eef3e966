//! What PyTorch calls in its pickles: how tensors are rebuilt, and the types of storages and elements.
//!
//! Source: PyTorch's `torch/_utils.py`, `torch/_tensor.py` and `torch/serialization.py`.

use super::tensor::ElementType;
use overinterp_foreign::pickle::{Call, Handle, Pickle, Value};

/// How many parameters, subclasses and so on may be wrapped around a tensor.
const DEEPEST: usize = 8;

/// What a tensor is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rebuilt<'p> {
    /// Storage, offset, size, stride, and more that does not matter.
    Stored {
        /// The arguments of the call that rebuilds it, in that order.
        parts: &'p [Handle],
        /// The type of the elements, where it is not that of the storage.
        element: Option<Handle>,
    },
    /// A numpy array.
    Array(Handle),
    /// Something that PyTorch would rebuild in another way, on which no reader is needed for weights.
    Otherwise,
}

/// What the tensor at a handle is made of; `None` if the value there is no tensor.
pub(super) fn rebuilt<'p>(pickle: &'p Pickle<'_>, handle: Handle) -> Option<Rebuilt<'p>> {
    if pickle.is_array(handle) {
        return Some(Rebuilt::Array(handle));
    }
    let mut call = pickle.call(handle)?;
    for _ in 0..DEEPEST {
        let Call { module, name, arguments } = call;
        call = match (module, name, arguments) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2", parts) => {
                return Some(Rebuilt::Stored { parts, element: None });
            }
            ("torch._utils", "_rebuild_tensor_v3", parts) => {
                return Some(Rebuilt::Stored { parts, element: parts.get(6).copied() });
            }
            (
                "torch._utils",
                "_rebuild_parameter" | "_rebuild_parameter_with_state" | "_rebuild_device_tensor_from_numpy",
                &[inner, ..],
            )
            | ("torch.nn.parameter", "Parameter" | "Buffer", &[inner, ..]) => {
                if pickle.is_array(inner) {
                    return Some(Rebuilt::Array(inner));
                }
                pickle.call(inner)?
            }
            ("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2", &[function, _, arguments, ..]) => {
                pickle.call_of(function, arguments)?
            }
            (module, name, _) if module.starts_with("torch") && name.starts_with("_rebuild") => break,
            _ => return None,
        };
    }
    Some(Rebuilt::Otherwise)
}

/// Whether the value at a handle is a tensor.
pub(super) fn is_tensor(pickle: &Pickle<'_>, handle: Handle) -> bool {
    rebuilt(pickle, handle).is_some()
}

/// The dicts of parameters, buffers and modules in the module at a handle; `None` if there is no module.
pub(super) fn module_parts(pickle: &Pickle<'_>, handle: Handle) -> Option<Vec<Handle>> {
    /// Attributes of a module; one has tens.
    const MOST_ATTRIBUTES: usize = 1000;
    let state = pickle.state(handle)?;
    if !matches!(pickle.value(state), Value::Dict(entries) if entries.len() <= MOST_ATTRIBUTES) {
        return None;
    }
    let [parameters, modules] = [pickle.get(state, "_parameters")?, pickle.get(state, "_modules")?];
    Some([Some(parameters), pickle.get(state, "_buffers"), Some(modules)].into_iter().flatten().collect())
}

/// The type of the elements of the storage whose class is at a handle, or of an element type at it.
pub(super) fn element_type(pickle: &Pickle<'_>, handle: Handle) -> Option<ElementType> {
    let (module, name) = pickle.global(handle)?;
    if !matches!(module, "torch" | "torch.cuda" | "torch.storage") {
        return None;
    }
    Some(match name {
        "DoubleStorage" | "float64" => ElementType::Float64,
        "FloatStorage" | "float32" => ElementType::Float32,
        "HalfStorage" | "float16" => ElementType::Float16,
        "BFloat16Storage" | "bfloat16" => ElementType::BFloat16,
        "LongStorage" | "int64" => ElementType::Int64,
        "IntStorage" | "int32" => ElementType::Int32,
        "ShortStorage" | "int16" => ElementType::Int16,
        "CharStorage" | "int8" => ElementType::Int8,
        "ByteStorage" | "uint8" => ElementType::UInt8,
        "BoolStorage" | "bool" => ElementType::Bool,
        "UntypedStorage" | "_UntypedStorage" => ElementType::Unread { name: "bytes without a type", size: 1 },
        "QInt8Storage" | "QUInt8Storage" | "QUInt4x2Storage" | "QUInt2x4Storage" => {
            ElementType::Unread { name: "quantised integers", size: 1 }
        }
        "QInt32Storage" => ElementType::Unread { name: "quantised integers", size: 4 },
        "ComplexFloatStorage" => ElementType::Unread { name: "complex64", size: 8 },
        "ComplexDoubleStorage" => ElementType::Unread { name: "complex128", size: 16 },
        _ => return None,
    })
}
