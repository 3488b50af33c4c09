//! Any bytes as a SentencePiece model: refused with an error, or a tokenizer that works.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenizer_spm::SentencePiece;

const TEXTS: [&str; 3] = [
    "Hello, world!",
    "  ﬁne e\u{301} か\u{3099} 😀\t\0",
    "aaaaaaaaaaaaaaaaaaaa<s>[MASK]",
];

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = SentencePiece::from_bytes(bytes) else {
        return;
    };
    for text in TEXTS {
        let ids = model.encode_ids(text);
        assert_eq!(model.encode(text).len(), ids.len());
        model.decode(&ids).expect("ids of the model's own");
    }
});
