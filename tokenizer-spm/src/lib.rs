//! tokenizer-spm
