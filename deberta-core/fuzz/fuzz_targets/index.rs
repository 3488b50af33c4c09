//! Any bytes as the index of a sharded checkpoint: refused with an error, or names of files of its directory.
#![no_main]

use deberta_core::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(index) = Checkpoint::parse_index("model.safetensors.index.json", bytes) {
        for shard in index.values() {
            assert!(!shard.contains(['/', '\\', ':', '\0']));
            assert!(!["", ".", ".."].contains(&shard.as_str()));
        }
    }
});
