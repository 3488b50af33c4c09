//! Finding the tensors in what a pickle built.

use std::collections::HashMap;
use std::ops::Range;

use super::Refusal;
use super::pickle::{Heap, Pickle, Value};
use crate::checkpoint::tensor::Tensor;

/// Under which keys training scripts put the state dict.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];
/// Wrappers in wrappers that are looked into.
const MAX_WRAPPERS: usize = 4;

/// The tensors of the pickle's state dict: a dictionary from names to tensors, perhaps inside wrappers.
/// Entries that are no tensors are left out. `storages` are the places of the heap's storages.
pub(super) fn tensors(
    program: &Pickle<'_>,
    storages: &[Range<usize>],
    position: usize,
) -> Result<HashMap<String, Tensor>, Refusal> {
    let Pickle { heap, root, .. } = program;
    let refuse = |expected: &str, found: String| Refusal::new(position, expected, found);
    let Value::Dict(mut dict) = *root else {
        return Err(refuse("a dictionary of tensors", heap.describe(*root)));
    };
    for _ in 0..MAX_WRAPPERS {
        match wrapped(heap, dict).as_slice() {
            [] => break,
            [(_, inner)] => dict = *inner,
            // Which of them is meant is not for us to guess.
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                return Err(refuse(
                    "one state dict",
                    format!("several: {}", names.join(", ")),
                ));
            }
        }
    }
    let mut tensors = HashMap::new();
    for (key, value) in heap.dict(dict) {
        let (Value::Text(name), Value::Tensor(index)) = (key, value) else {
            continue;
        };
        // Every tensor has a storage and every storage a place.
        let Some((view, storage)) = heap
            .tensor(*index)
            .and_then(|(storage, view)| Some((view, storages.get(*storage)?)))
        else {
            continue;
        };
        let tensor = Tensor::view(view.clone(), storage.clone())
            .map_err(|found| refuse("a tensor inside its storage", found))?;
        if tensors.insert((*name).to_owned(), tensor).is_some() {
            return Err(refuse("names that differ", format!("two tensors {name:?}")));
        }
    }
    Ok(tensors)
}

/// The dictionaries in `dict` that are called as wrapped ones are and hold tensors, or another wrapper.
fn wrapped(heap: &Heap<'_>, dict: usize) -> Vec<(&'static str, usize)> {
    let find = |wrapper: &'static str| {
        let inner = heap.dict(dict).iter().rev().find_map(|(key, value)| {
            matches!(key, Value::Text(key) if *key == wrapper).then_some(value)
        })?;
        match *inner {
            Value::Dict(inner) if heap.dict(inner).iter().any(is_promising) => {
                Some((wrapper, inner))
            }
            _ => None,
        }
    };
    WRAPPERS.into_iter().filter_map(find).collect()
}

fn is_promising((key, value): &(Value<'_>, Value<'_>)) -> bool {
    match (key, value) {
        (Value::Text(_), Value::Tensor(_)) => true,
        (Value::Text(key), Value::Dict(_)) => WRAPPERS.contains(key),
        _ => false,
    }
}
