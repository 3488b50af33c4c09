//! Any bytes as a tokenizer.json: refused with an error, or a tokenizer that works.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenizer_spm::hf::{EncodeOptions, HfTokenizer};

const TEXTS: [&str; 3] = [
    "Hello, world!",
    "  ﬁne e\u{301} か\u{3099} 😀\t\0",
    "aaaaaaaaaaaaaaaaaaaa<s>[MASK]",
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(tokenizer) = HfTokenizer::from_bytes(bytes) else {
        return;
    };
    for text in TEXTS {
        // A model without an unknown token may have no answer; it must say so.
        if let Ok(encoding) = tokenizer.encode(text, &EncodeOptions::default()) {
            let _ = tokenizer.decode(&encoding.ids, false);
        }
    }
});
