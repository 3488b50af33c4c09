//! Any bytes as a byte-level vocabulary with merges, from its two files and as a tokenizer.json: refused with
//! an error, or a tokenizer whose tokens lie where they say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokenizer_spm::TokenizerError;
use tokenizer_spm::deberta::DebertaTokenizer;
use tokenizer_spm::hf::{EncodeOptions, Encoding, HfTokenizer, Truncation};

// Options in the first byte, then the vocabulary, the merges and a text, with zero bytes between them.
fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, rest)) = bytes.split_first() else {
        return;
    };
    let mut parts = rest.splitn(3, |&byte| byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (vocabulary, merges, text) = (part(), part(), String::from_utf8_lossy(part()));
    let flag = |bit: u8| flags >> bit & 1 == 1;
    let options = EncodeOptions {
        trim_offsets: flag(0),
        truncation: flag(1).then(|| Truncation {
            max_length: 5,
            stride: usize::from(flag(2)),
            ..Truncation::default()
        }),
        ..EncodeOptions::default()
    };

    if let Ok(tokenizer) = DebertaTokenizer::from_vocab_and_merges(vocabulary, merges) {
        check(&text, tokenizer.encode(text.as_ref(), &options), |ids| {
            tokenizer.decode(ids, false)
        });
    }

    let Ok(vocabulary) = std::str::from_utf8(vocabulary) else {
        return;
    };
    let lines = String::from_utf8_lossy(merges);
    let lines: Vec<String> = lines.lines().map(|line| format!("{line:?}")).collect();
    let byte_level = format!(
        r#"{{"type": "ByteLevel", "add_prefix_space": {}, "trim_offsets": {}, "use_regex": {}}}"#,
        flag(3),
        flag(4),
        flag(5)
    );
    let file = format!(
        r#"{{"added_tokens": [{{"id": 0, "content": "[MASK]", "single_word": {}, "lstrip": true,
             "rstrip": {}, "normalized": {}, "special": true}}],
            "pre_tokenizer": {byte_level}, "post_processor": {byte_level}, "decoder": {byte_level},
            "model": {{"type": "BPE", "ignore_merges": {}, "vocab": {vocabulary}, "merges": [{}]}}}}"#,
        flag(6),
        flag(7),
        flag(2),
        flag(1),
        lines.join(",")
    );
    if let Ok(tokenizer) = HfTokenizer::from_bytes(file.as_bytes()) {
        check(&text, tokenizer.encode(text.as_ref(), &options), |ids| {
            tokenizer.decode(ids, false)
        });
    }
});

/// A vocabulary without an unknown token may have no answer; whatever answer there is must be sound.
fn check(
    text: &str,
    encoding: Result<Encoding, TokenizerError>,
    decode: impl Fn(&[u32]) -> Result<String, TokenizerError>,
) {
    let Ok(encoding) = encoding else { return };
    for window in std::iter::once(&encoding).chain(&encoding.overflowing) {
        decode(&window.ids).expect("ids of the tokenizer's own");
        for (&(start, end), &(first, last)) in window.offsets.iter().zip(&window.char_offsets) {
            assert!(text.get(start..end).is_some());
            assert_eq!(text[..start].chars().count(), first);
            assert_eq!(text[..end].chars().count(), last);
        }
    }
}
