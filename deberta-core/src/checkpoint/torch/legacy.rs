//! Files of `torch.save` before PyTorch 1.6, which newer versions still write on request.
//!
//! Four pickles: a magic number, the format's version, the writing machine's habits, and the object; a fifth
//! with the list of storages; and then, for each of these, the number of its elements in eight bytes and the
//! elements.

use std::collections::HashMap;
use std::ops::Range;

use super::bytes::Reader;
use super::pickle::{Heap, Storage, Value};
use super::{Refusal, pickle, state_dict};
use crate::checkpoint::tensor::Tensor;

/// 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: i64 = 1001;

pub(super) fn parse(bytes: &[u8]) -> Result<HashMap<String, Tensor>, Refusal> {
    let magic = pickle::load(bytes, 0)?;
    if !matches!(magic.root, Value::Long(found) if found == MAGIC) {
        return Err(Refusal::new(
            0,
            "the magic number of torch.save",
            format!(
                "{}: a pickle of another kind",
                magic.heap.describe(magic.root)
            ),
        ));
    }
    let version = pickle::load(bytes, magic.end)?;
    if !matches!(version.root, Value::Int(VERSION)) {
        return Err(Refusal::new(
            magic.end,
            format!("version {VERSION} of the format"),
            version.heap.describe(version.root),
        ));
    }
    let system = pickle::load(bytes, version.end)?;
    check_byte_order(&system.heap, system.root, version.end)?;
    let program = pickle::load(bytes, system.end)?;
    let keys = pickle::load(bytes, program.end)?;
    let places = places(bytes, &program.heap, &keys, program.end)?;
    let storage = |storage: &Storage<'_>| {
        let whole = places.get(storage.key).ok_or_else(|| {
            Refusal::new(
                storage.position,
                format!("storage {:?} in the list of storages", storage.key),
                "no such storage",
            )
        })?;
        storage.within(whole.clone(), "storage")
    };
    let storages = program
        .heap
        .storages()
        .iter()
        .map(storage)
        .collect::<Result<Vec<_>, _>>()?;
    state_dict::tensors(&program, &storages, system.end)
}

/// Where each storage lies: they follow the list of their keys, in its order.
fn places<'a>(
    bytes: &[u8],
    heap: &Heap<'a>,
    keys: &pickle::Pickle<'a>,
    position: usize,
) -> Result<HashMap<&'a str, Range<usize>>, Refusal> {
    let Value::List(list) = keys.root else {
        return Err(Refusal::new(
            position,
            "the list of storages",
            keys.heap.describe(keys.root),
        ));
    };
    // The element count is of the type with which the storage was first mentioned.
    let mut first: HashMap<&str, &Storage<'_>> = HashMap::new();
    for storage in heap.storages() {
        first.entry(storage.key).or_insert(storage);
    }
    let mut reader = Reader::new(bytes, keys.end);
    let mut places = HashMap::new();
    for &key in keys.heap.sequence(list) {
        let Value::Text(key) = key else {
            return Err(Refusal::new(
                position,
                "keys of storages",
                keys.heap.describe(key),
            ));
        };
        let at = reader.position();
        let Some(storage) = first.get(key) else {
            return Err(Refusal::new(
                position,
                "keys of storages that the pickle mentions",
                format!("{key:?}"),
            ));
        };
        let count = reader.u64()?;
        let size = usize::try_from(count)
            .ok()
            .and_then(|count| storage.dtype.bytes(count))
            .filter(|&size| size == storage.size)
            .ok_or_else(|| {
                Refusal::new(
                    at,
                    format!(
                        "{} bytes of {} in storage {key:?}",
                        storage.size, storage.dtype
                    ),
                    format!("{count} elements"),
                )
            })?;
        let start = reader.position();
        reader.skip(size)?;
        if places.insert(key, start..start + size).is_some() {
            return Err(Refusal::new(
                at,
                "storages that differ",
                format!("{key:?} twice"),
            ));
        }
    }
    if reader.remaining() != 0 {
        return Err(Refusal::new(
            reader.position(),
            "the end of the file",
            format!("{} more bytes", reader.remaining()),
        ));
    }
    Ok(places)
}

/// Refuses files of big-endian machines. Theirs say so in `little_endian`, whose value decides.
fn check_byte_order(heap: &Heap<'_>, system: Value<'_>, position: usize) -> Result<(), Refusal> {
    let Value::Dict(index) = system else {
        return Err(Refusal::new(
            position,
            "a description of the machine",
            heap.describe(system),
        ));
    };
    let little = heap
        .dict(index)
        .iter()
        .rev()
        .find_map(|&(key, value)| matches!(key, Value::Text("little_endian")).then_some(value));
    match little {
        Some(Value::Bool(false)) => Err(Refusal::new(
            position,
            "numbers in little-endian order",
            "little_endian False",
        )),
        _ => Ok(()),
    }
}
