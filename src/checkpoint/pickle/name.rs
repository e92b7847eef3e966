//! The Python names that a state dict needs. There are no others, and none of them runs anything.

use crate::checkpoint::tensor::ElementType;

/// What an allowed name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) enum Name {
    /// An ordered, default or plain dict.
    Dict,
    /// A dict of counts, made from a dict.
    Counter,
    /// A tensor from storage, offset, size and stride.
    Tensor,
    /// A parameter from its tensor.
    Parameter,
    /// The size of a tensor, which is a tuple.
    Size,
    /// The type of a storage.
    Storage(ElementType),
    /// A setting beside the weights (a device, an element type, a set): read past, never looked at.
    Setting,
}

/// What `module.name` stands for, if it is allowed.
pub(super) fn lookup(module: &str, name: &str) -> Option<Name> {
    Some(match (module, name) {
        ("collections", "OrderedDict" | "defaultdict") => Name::Dict,
        ("collections", "Counter") => Name::Counter,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Name::Tensor,
        ("torch._utils", "_rebuild_parameter") => Name::Parameter,
        ("torch", "Size") => Name::Size,
        ("torch" | "torch.cuda", "DoubleStorage") => Name::Storage(ElementType::Float64),
        ("torch" | "torch.cuda", "FloatStorage") => Name::Storage(ElementType::Float32),
        ("torch" | "torch.cuda", "HalfStorage") => Name::Storage(ElementType::Float16),
        ("torch" | "torch.cuda", "BFloat16Storage") => Name::Storage(ElementType::BFloat16),
        ("torch" | "torch.cuda", "LongStorage") => Name::Storage(ElementType::Int64),
        ("torch" | "torch.cuda", "IntStorage") => Name::Storage(ElementType::Int32),
        ("torch" | "torch.cuda", "ShortStorage") => Name::Storage(ElementType::Int16),
        ("torch" | "torch.cuda", "CharStorage") => Name::Storage(ElementType::Int8),
        ("torch" | "torch.cuda", "ByteStorage") => Name::Storage(ElementType::UInt8),
        ("torch" | "torch.cuda", "BoolStorage") => Name::Storage(ElementType::Bool),
        (
            "torch",
            "device" | "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "int16" | "int8" | "uint8"
            | "bool",
        )
        | ("builtins" | "__builtin__", "set" | "frozenset" | "dict" | "list" | "int" | "float") => Name::Setting,
        _ => return None,
    })
}
