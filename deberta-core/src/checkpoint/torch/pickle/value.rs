//! What a pickle builds: values that are copied freely because everything large is in a heap.
//!
//! A value that the pickle uses twice is one object of the heap and two numbers, so that no sharing, however
//! deep, makes the result larger than the instructions that built it. Nothing here is recursive, dropping
//! included.

use std::ops::Range;

use super::globals::Global;
use crate::checkpoint::dtype::Dtype;
use crate::checkpoint::tensor::View;
use crate::checkpoint::torch::Refusal;

/// A value of the machine.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Value<'a> {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number of more than 64 bits, as it is stored.
    Long(&'a [u8]),
    /// A floating-point number.
    Float,
    /// Text, still in the file.
    Text(&'a str),
    /// Bytes.
    Bytes,
    /// A class or function.
    Global(Global),
    /// A tuple.
    Tuple(usize),
    /// A list or a set.
    List(usize),
    /// A dictionary.
    Dict(usize),
    /// A storage.
    Storage(usize),
    /// A tensor.
    Tensor(usize),
}

/// A storage that the pickle refers to. Where its bytes are is the affair of the file format.
#[derive(Debug)]
pub(in super::super) struct Storage<'a> {
    /// The name of the storage in the file.
    pub(in super::super) key: &'a str,
    /// Its bytes, all of them.
    pub(in super::super) size: usize,
    /// The part of it that this reference means: offset and size in bytes.
    pub(in super::super) part: (usize, usize),
    /// The type of its elements.
    pub(in super::super) dtype: Dtype,
    /// The byte of the file with the reference, for errors.
    pub(in super::super) position: usize,
}

impl Storage<'_> {
    /// The part that this reference means of the storage that lies at `whole` in the file, in what `place` calls so.
    pub(in super::super) fn within(
        &self,
        whole: Range<usize>,
        place: &str,
    ) -> Result<Range<usize>, Refusal> {
        if whole.len() != self.size {
            return Err(Refusal::new(
                self.position,
                format!("{} bytes in {place} {:?}", self.size, self.key),
                whole.len().to_string(),
            ));
        }
        // The part was checked against the size when it was read.
        let (offset, size) = self.part;
        Ok(whole.start + offset..whole.start + offset + size)
    }
}

/// Where the tuples, lists and so on are.
#[derive(Debug, Default)]
pub(in super::super) struct Heap<'a> {
    pub(super) sequences: Vec<Vec<Value<'a>>>,
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub(super) storages: Vec<Storage<'a>>,
    /// The number of a storage, and a view that fits into it.
    pub(super) tensors: Vec<(usize, View)>,
}

impl<'a> Heap<'a> {
    pub(in super::super) fn sequence(&self, index: usize) -> &[Value<'a>] {
        self.sequences.get(index).map_or(&[], Vec::as_slice)
    }

    pub(in super::super) fn dict(&self, index: usize) -> &[(Value<'a>, Value<'a>)] {
        self.dicts.get(index).map_or(&[], Vec::as_slice)
    }

    pub(in super::super) fn storages(&self) -> &[Storage<'a>] {
        &self.storages
    }

    pub(in super::super) fn tensor(&self, index: usize) -> Option<&(usize, View)> {
        self.tensors.get(index)
    }

    /// How to call a value in an error.
    pub(in super::super) fn describe(&self, value: Value<'a>) -> String {
        match value {
            Value::None => "None".to_owned(),
            Value::Bool(_) => "a truth value".to_owned(),
            Value::Int(n) => n.to_string(),
            Value::Long(_) => "a whole number of more than 64 bits".to_owned(),
            Value::Float => "a floating-point number".to_owned(),
            Value::Text(text) => {
                let shown: String = text.chars().take(60).collect();
                format!("the text {shown:?}")
            }
            Value::Bytes => "bytes".to_owned(),
            Value::Global(global) => format!("the name of {global:?}"),
            Value::Tuple(i) => format!("a tuple of {}", self.sequence(i).len()),
            Value::List(i) => format!("a list of {}", self.sequence(i).len()),
            Value::Dict(i) => format!("a dictionary of {}", self.dict(i).len()),
            Value::Storage(_) => "a storage".to_owned(),
            Value::Tensor(_) => "a tensor".to_owned(),
        }
    }
}
