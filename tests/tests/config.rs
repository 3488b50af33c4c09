//! What `Config` makes of real, incomplete and wrong `config.json` files.

use deberta_core::config::{Family, ProblemType};
use deberta_core::{Config, Error};
use serde_json::{Map, Value, json};

/// A configuration with `changes` on top of a small valid one.
fn read(changes: Value) -> Result<Config, Error> {
    let mut keys: Map<String, Value> = serde_json::from_value(json!({
        "model_type": "deberta-v2", "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 128,
    }))
    .expect("an object");
    let Value::Object(changes) = changes else {
        panic!("changes must be an object")
    };
    keys.extend(changes);
    Config::from_json(&Value::Object(keys).to_string(), "dir/config.json")
}

/// The key that an error blames, after checking that the message names file and key.
fn refused(changes: Value) -> String {
    let error = read(changes.clone()).expect_err(&changes.to_string());
    let message = error.to_string();
    let Error::Config { key, .. } = error else {
        panic!("{changes}: {error:?}")
    };
    assert!(
        message.contains("dir/config.json") && message.contains(&key),
        "{message}"
    );
    key
}

#[test]
fn absent_keys_have_the_defaults_of_the_reference() {
    let config = Config::from_json(r#"{"model_type": "deberta-v2"}"#, "c").expect("valid");
    assert_eq!((config.hidden_size, config.num_hidden_layers), (1536, 24));
    assert_eq!(
        (config.num_attention_heads, config.intermediate_size),
        (24, 6144)
    );
    assert_eq!(config.hidden_act, deberta_core::Activation::Gelu);
    assert_eq!(config.layer_norm_eps, 1e-7);
    assert!(!config.relative_attention && config.position_biased_input && config.legacy);
    assert_eq!(
        (
            config.max_position_embeddings,
            config.max_relative_positions
        ),
        (512, 512)
    );
    assert_eq!(
        (config.position_buckets, config.max_relative_positions),
        (None, 512)
    );
    assert!(!config.pos_att_type.c2p && !config.pos_att_type.p2c);
    assert!(!config.share_att_key && !config.norm_rel_ebd && config.conv.is_none());
    assert_eq!((config.type_vocab_size, config.embedding_size), (0, 1536));
    assert_eq!(
        (config.pad_token_id, config.pooler_hidden_size),
        (Some(0), 1536)
    );
    assert_eq!(config.pooler_hidden_act, deberta_core::Activation::Gelu);
    assert_eq!(config.labels.names(), ["LABEL_0", "LABEL_1"]);
    assert_eq!((config.problem_type, config.architectures.len()), (None, 0));
}

/// The keys of the published v3 base model: neither `pad_token_id` nor the pooler's are there.
#[test]
fn published_v3_file() {
    let json = r#"{
      "model_type": "deberta-v2", "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
      "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
      "intermediate_size": 3072, "max_position_embeddings": 512, "relative_attention": true,
      "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": true,
      "pos_att_type": "p2c|c2p", "layer_norm_eps": 1e-7, "max_relative_positions": -1,
      "position_biased_input": false, "num_attention_heads": 12, "num_hidden_layers": 12,
      "type_vocab_size": 0, "vocab_size": 128100 }"#;
    let config = Config::from_json(json, "config.json").expect("valid");
    assert!(config.relative_attention && config.norm_rel_ebd && config.share_att_key);
    assert!(config.pos_att_type.c2p && config.pos_att_type.p2c && !config.position_biased_input);
    assert_eq!(
        (config.position_buckets, config.head_size()),
        (Some(256), 64)
    );
    assert_eq!(config.max_relative_positions, 512);
}

/// The keys of the published v2 xlarge model: a convolution with another activation than the default.
#[test]
fn published_v2_file() {
    let config = read(json!({
        "hidden_size": 1536, "num_attention_heads": 24, "attention_head_size": 64,
        "conv_kernel_size": 3, "conv_act": "gelu", "relative_attention": true,
        "position_buckets": 256, "max_relative_positions": -1, "pos_att_type": "p2c|c2p",
        "norm_rel_ebd": "layer_norm", "share_att_key": true, "position_biased_input": false,
    }))
    .expect("valid");
    let conv = config.conv.expect("a convolution");
    assert_eq!((conv.kernel_size, conv.groups), (3, 1));
    assert_eq!(conv.activation, deberta_core::Activation::Gelu);
}

#[test]
fn every_way_to_write_the_position_terms() {
    let terms = |value: Value| {
        let terms = read(json!({ "pos_att_type": value }))
            .expect("valid")
            .pos_att_type;
        (terms.c2p, terms.p2c)
    };
    assert_eq!(terms(json!("p2c|c2p")), (true, true));
    assert_eq!(terms(json!(" C2P | P2C ")), (true, true));
    assert_eq!(terms(json!(["p2c"])), (false, true));
    assert_eq!(terms(json!(["c2p", "p2c"])), (true, true));
    assert_eq!(terms(json!("c2p")), (true, false));
    for none in [
        json!(null),
        json!([]),
        json!(""),
        json!("none"),
        json!(["none"]),
    ] {
        assert_eq!(terms(none), (false, false));
    }
}

#[test]
fn sizes_that_stand_for_absence() {
    let config = read(json!({
        "position_buckets": -1, "max_relative_positions": 0, "max_position_embeddings": 99,
        "conv_kernel_size": 0, "type_vocab_size": 0, "embedding_size": null,
        "attention_head_size": null, "pad_token_id": null,
    }))
    .expect("valid");
    assert_eq!(
        (config.position_buckets, config.max_relative_positions),
        (None, 99)
    );
    assert_eq!((config.type_vocab_size, config.embedding_size), (0, 64));
    assert!(config.conv.is_none() && config.pad_token_id.is_none());
    // The default activation of a convolution is not that of the feed-forward layer.
    let conv = read(json!({"conv_kernel_size": 5, "conv_groups": 2}))
        .expect("valid")
        .conv;
    let conv = conv.expect("a convolution");
    assert_eq!((conv.kernel_size, conv.groups), (5, 2));
    assert_eq!(conv.activation, deberta_core::Activation::Tanh);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let config = Config::from_json("\u{feff}{\"model_type\": \"deberta-v2\"}", "c");
    assert_eq!(config.expect("valid").hidden_size, 1536);
}

#[test]
fn labels_follow_their_indices() {
    let config = read(json!({
        "id2label": {"10": "k", "2": "c", "0": "a", "1": "b", "3": "d", "4": "e", "5": "f",
                     "6": "g", "7": "h", "8": "i", "9": "j"},
        "label2id": {"a": 0, "alias": "10"}, "num_labels": 3,
    }))
    .expect("valid");
    assert_eq!(config.labels.names().concat(), "abcdefghijk");
    assert_eq!(config.num_labels(), 11);
    assert_eq!(config.labels.index("alias"), Some(10));
    assert_eq!(config.labels.index("c"), Some(2));
    assert_eq!(config.labels.index("z"), None);
    let five = read(json!({"num_labels": 5})).expect("valid");
    assert_eq!(five.labels.name(4), Some("LABEL_4"));
    assert_eq!(
        refused(json!({"id2label": {"0": "a", "2": "b"}})),
        "id2label"
    );
    assert_eq!(refused(json!({"id2label": {"zero": "a"}})), "id2label");
    assert_eq!(
        refused(json!({"id2label": {"0": "a", "00": "b"}})),
        "id2label"
    );
    assert_eq!(refused(json!({"id2label": {}})), "id2label");
    assert_eq!(refused(json!({"id2label": ["a"]})), "id2label");
    assert_eq!(refused(json!({"id2label": {"0": []}})), "id2label");
    assert_eq!(
        refused(json!({"id2label": {"0": "a"}, "label2id": {"a": 1}})),
        "label2id"
    );
    assert_eq!(refused(json!({"num_labels": 0})), "num_labels");
}

#[test]
fn problem_types() {
    let problem = |name: &str| read(json!({ "problem_type": name })).map(|c| c.problem_type);
    assert_eq!(
        problem("regression").expect("valid"),
        Some(ProblemType::Regression)
    );
    assert_eq!(
        problem("multi_label_classification").expect("ok"),
        Some(ProblemType::MultiLabel)
    );
    assert_eq!(
        problem("single_label_classification").expect("ok"),
        Some(ProblemType::SingleLabel)
    );
    assert_eq!(refused(json!({"problem_type": "ranking"})), "problem_type");
    let single = json!({"problem_type": "single_label_classification", "num_labels": 1});
    assert_eq!(refused(single), "problem_type");
}

#[test]
fn values_that_are_not_implemented_are_refused_by_name() {
    for (changes, key) in [
        (json!({"hidden_act": "gelo"}), "hidden_act"),
        (json!({"hidden_act": 3}), "hidden_act"),
        (json!({"pooler_hidden_act": "GELU"}), "pooler_hidden_act"),
        (
            json!({"conv_kernel_size": 3, "conv_act": "snake"}),
            "conv_act",
        ),
        (json!({"norm_rel_ebd": "batch_norm"}), "norm_rel_ebd"),
        (json!({"pos_att_type": "c2p|p2p"}), "pos_att_type"),
        (json!({"pos_att_type": ["c2p|p2c"]}), "pos_att_type"),
        (json!({"pos_att_type": {"c2p": true}}), "pos_att_type"),
        (json!({"attention_head_size": 32}), "attention_head_size"),
        (json!({"num_attention_heads": 5}), "num_attention_heads"),
        (json!({"pooler_hidden_size": 32}), "pooler_hidden_size"),
        (json!({"conv_kernel_size": 4}), "conv_kernel_size"),
        (
            json!({"conv_kernel_size": 3, "conv_groups": 7}),
            "conv_groups",
        ),
        (json!({"hidden_size": 0}), "hidden_size"),
        (json!({"hidden_size": -64}), "hidden_size"),
        (json!({"hidden_size": 64.0}), "hidden_size"),
        (json!({"hidden_size": "64"}), "hidden_size"),
        (json!({"hidden_size": 4_000_000_000_u64}), "hidden_size"),
        (json!({"hidden_size": u64::MAX}), "hidden_size"),
        (json!({"num_hidden_layers": 0}), "num_hidden_layers"),
        (
            json!({"max_position_embeddings": 0}),
            "max_position_embeddings",
        ),
        (
            json!({"max_relative_positions": u64::MAX}),
            "max_relative_positions",
        ),
        (json!({"layer_norm_eps": 0}), "layer_norm_eps"),
        (json!({"layer_norm_eps": -1e-7}), "layer_norm_eps"),
        (json!({"layer_norm_eps": "tiny"}), "layer_norm_eps"),
        (json!({"relative_attention": 1}), "relative_attention"),
        (json!({"architectures": "DebertaV2Model"}), "architectures"),
        (json!({"pad_token_id": 1.5}), "pad_token_id"),
    ] {
        assert_eq!(refused(changes.clone()), key, "{changes}");
    }
}

/// The first generation has defaults of its own, counts the entries of `pos_att_type`, and does not look at the keys of
/// the second: what they say is neither used nor refused.
#[test]
fn first_generation() {
    let config = Config::from_json(r#"{"model_type": "deberta"}"#, "c").expect("valid");
    assert_eq!(config.family, Family::V1);
    assert_eq!((config.hidden_size, config.num_hidden_layers), (768, 12));
    assert_eq!(
        (config.num_attention_heads, config.intermediate_size),
        (12, 3072)
    );
    assert!(!config.talking_head && config.tie_word_embeddings);
    for (text, entries) in [
        ("\"\"", 1),
        ("\"none\"", 1),
        ("\"c2p|p2c\"", 2),
        ("[\"c2p\", \"c2p\"]", 2),
        ("[]", 0),
        ("null", 0),
    ] {
        let json = format!(
            r#"{{"model_type": "deberta", "relative_attention": true, "position_buckets": 5000,
                 "conv_kernel_size": 2, "talking_head": true, "pos_att_type": {text}}}"#
        );
        let config = Config::from_json(&json, "c").expect(text);
        assert_eq!(config.pos_att_type.entries, entries, "{text}");
        assert!(config.talking_head);
    }
}

/// The logarithm of the bucket formula is undefined where mid reaches m - 1.
#[test]
fn buckets_need_room_for_the_logarithm() {
    let with = |relative, buckets, m| json!({"relative_attention": relative, "position_buckets": buckets, "max_relative_positions": m});
    assert_eq!(refused(with(true, 256, 129)), "position_buckets");
    assert_eq!(refused(with(true, 1, 512)), "position_buckets");
    assert_eq!(
        read(with(true, 256, 130)).expect("valid").position_buckets,
        Some(256)
    );
    // Nobody computes a bucket without relative attention.
    assert_eq!(
        read(with(false, 256, 129)).expect("valid").position_buckets,
        Some(256)
    );
}

#[test]
fn other_families_are_refused_by_name() {
    let message = |json: &str| {
        let error = Config::from_json(json, "config.json").expect_err(json);
        assert!(matches!(error, Error::UnsupportedModel { .. }), "{error:?}");
        error.to_string()
    };
    let bert = message(r#"{"model_type": "bert"}"#);
    assert!(bert.contains("deberta (v1) and deberta-v2"), "{bert}");
    assert!(message(r#"{"model_type": "bert"}"#).contains("bert"));
    assert!(message("{}").contains("missing"));
    assert!(message(r#"{"model_type": 2}"#).contains('2'));
}

#[test]
fn what_is_no_configuration_is_an_error() {
    for json in [
        "",
        "[]",
        "{",
        "null",
        "\"deberta-v2\"",
        "{\"model_type\": NaN}",
    ] {
        let error = Config::from_json(json, "config.json").expect_err(json);
        assert!(matches!(error, Error::Json { .. }), "{json}: {error:?}");
    }
    let missing = Config::from_file("no/such/config.json").expect_err("missing");
    assert!(
        missing.to_string().contains("no/such/config.json"),
        "{missing}"
    );
}
