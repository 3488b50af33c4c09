//! The few names that a pickle of tensors may mention. Every other one is refused.

use crate::checkpoint::dtype::Dtype;

/// Something of Python's that a pickle names. None is ever called: each stands for a rule of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Global {
    /// `collections.OrderedDict`: what `state_dict()` returns.
    OrderedDict,
    /// The functions that make a tensor of a storage.
    Rebuild(Rebuild),
    /// `_rebuild_parameter` and `_rebuild_parameter_with_state`: a tensor and things that we do not need.
    Parameter,
    /// `_rebuild_from_type_v2`: a call of another of these functions, for tensors with attributes.
    FromType,
    /// `torch.Tensor` and `torch.nn.Parameter`, which that function names.
    TensorClass,
    /// A class of storages and the type of their elements.
    Storage(Dtype),
    /// A type of elements, such as `torch.uint16`.
    Dtype(Dtype),
}

/// How the arguments of a function that makes a tensor go on after storage, offset, shape and strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Rebuild {
    /// `_rebuild_tensor`, `_rebuild_tensor_v2`: with nothing that we need.
    Typed,
    /// `_rebuild_tensor_v3`: whether a gradient is needed, hooks, and the type of the elements.
    Untyped,
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
                Self::Rebuild(Rebuild::Typed)
            }
            ("torch._utils", "_rebuild_tensor_v3") => Self::Rebuild(Rebuild::Untyped),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::Parameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Self::FromType,
            ("torch", "Tensor") | ("torch.nn.parameter", "Parameter") => Self::TensorClass,
            ("torch" | "torch.storage", name) if name.ends_with("Storage") => {
                Self::Storage(storage(name.strip_suffix("Storage")?)?)
            }
            ("torch", name) => Self::Dtype(dtype(name)?),
            _ => return None,
        })
    }
}

fn storage(kind: &str) -> Option<Dtype> {
    Some(match kind {
        "Double" => Dtype::F64,
        "Float" => Dtype::F32,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::BF16,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::Bool,
        // Bytes of no type, counted in bytes.
        "Untyped" => Dtype::U8,
        _ => return None,
    })
}

fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float64" => Dtype::F64,
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint64" => Dtype::U64,
        "uint32" => Dtype::U32,
        "uint16" => Dtype::U16,
        "uint8" => Dtype::U8,
        "bool" => Dtype::Bool,
        _ => return None,
    })
}
