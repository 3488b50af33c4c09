//! Files of `torch.save` since PyTorch 1.6: a zip archive with the pickle and one entry for each storage.

use std::collections::HashMap;

use super::zip::Archive;
use super::{Refusal, pickle, state_dict};
use crate::checkpoint::tensor::Tensor;

const PICKLE: &str = "data.pkl";

pub(super) fn parse(bytes: &[u8]) -> Result<HashMap<String, Tensor>, Refusal> {
    let archive = Archive::open(bytes)?;
    // Everything is in one folder, which is named after the file that was written.
    let folders: Vec<&str> = archive
        .names()
        .filter_map(|name| name.strip_suffix(PICKLE)?.strip_suffix('/'))
        .filter(|folder| !folder.contains('/'))
        .collect();
    let &[folder] = folders.as_slice() else {
        return Err(Refusal::new(
            0,
            format!("one entry FOLDER/{PICKLE}, as torch.save writes it"),
            format!("{} such entries", folders.len()),
        ));
    };
    if let Some(range) = archive.find(&format!("{folder}/byteorder"))? {
        let order = bytes[range.clone()].trim_ascii();
        if order != b"little" {
            return Err(Refusal::new(
                range.start,
                "numbers in little-endian order",
                format!("byteorder {:?}", String::from_utf8_lossy(order)),
            ));
        }
    }
    let name = format!("{folder}/{PICKLE}");
    let range = archive
        .find_checked(&name)?
        .ok_or_else(|| Refusal::new(0, format!("an entry {name:?}"), "none"))?;
    let program = pickle::load(&bytes[..range.end], range.start)?;
    let storage = |storage: &pickle::Storage<'_>| {
        let name = format!("{folder}/data/{}", storage.key);
        let whole = archive.find(&name)?.ok_or_else(|| {
            let expected = format!("a storage in entry {name:?}");
            Refusal::new(storage.position, expected, "no such entry")
        })?;
        storage.within(whole, "entry of key")
    };
    let storages = program
        .heap
        .storages()
        .iter()
        .map(storage)
        .collect::<Result<Vec<_>, _>>()?;
    state_dict::tensors(&program, &storages, range.start)
}
