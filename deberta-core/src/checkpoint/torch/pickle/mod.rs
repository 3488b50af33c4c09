//! Pickles, restricted to what tensors need.
//!
//! A pickle is a program for a small stack machine. Python's own machine may import any module and call any
//! function; ours knows the instructions that build numbers, text, tuples, lists and dictionaries, and the
//! handful of names ([`globals`]) with which PyTorch describes a tensor. It executes nothing: a call of
//! `_rebuild_tensor_v2` becomes a record of where the tensor lies. Any other name or instruction is refused
//! with the name and its place in the file.

mod globals;
mod machine;
mod opcodes;
mod rebuild;
mod value;

pub(super) use machine::{Pickle, load};
pub(super) use value::{Heap, Storage, Value};
