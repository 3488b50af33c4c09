//! What a model needs of its tensors.

use super::names::Scope;

/// What a model needs of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The canonical name: relative to the encoder (`encoder.layer.0.output.dense.weight`) or, for a
    /// head's tensor, absolute (`classifier.weight`).
    pub name: String,
    /// What the name is relative to.
    pub scope: Scope,
    /// The shape.
    pub shape: Vec<Dim>,
    /// The elements.
    pub elements: ElementKind,
}

/// Which element types will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ElementKind {
    /// Any floating-point type.
    #[default]
    Float,
    /// [`Dtype::I8`](super::Dtype::I8): the weights of a linear layer, with scales beside them.
    Int8,
}

impl TensorSpec {
    /// A tensor of the encoder.
    pub fn encoder(name: impl Into<String>, shape: impl Into<Vec<Dim>>) -> Self {
        Self {
            name: name.into(),
            scope: Scope::Encoder,
            shape: shape.into(),
            elements: ElementKind::Float,
        }
    }

    /// The shape, without the sizes that are whatever the file has.
    pub(crate) fn exact_shape(&self) -> Vec<usize> {
        self.shape.iter().filter_map(|dim| dim.size()).collect()
    }

    /// A tensor of a head.
    pub fn head(name: impl Into<String>, shape: impl Into<Vec<Dim>>) -> Self {
        Self {
            name: name.into(),
            scope: Scope::Head,
            shape: shape.into(),
            elements: ElementKind::Float,
        }
    }
}

/// One entry of a shape that a model needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// This size and no other.
    Exactly(usize),
    /// Whatever the file has, such as the number of vocabulary rows.
    Any,
}

impl Dim {
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Self::Exactly(size) => Some(size),
            Self::Any => None,
        }
    }
}
