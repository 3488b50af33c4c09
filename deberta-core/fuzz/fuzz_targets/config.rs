//! Any bytes as a config.json: refused with an error, or a configuration.
#![no_main]

use deberta_core::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(config) = Config::from_json(text, "config.json") {
        assert_eq!(
            config.head_size() * config.num_attention_heads,
            config.hidden_size
        );
        assert_eq!(config.num_labels(), config.labels.len());
    }
});
