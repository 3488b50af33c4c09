//! Any bytes as a safetensors file: refused with an error, or tensors that can be read.
#![no_main]

mod read;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| read::read("model.safetensors", bytes.to_vec()));
