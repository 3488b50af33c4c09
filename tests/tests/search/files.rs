//! Options from `generation_config.json` and `config.json`.

use deberta_core::generate::{EarlyStopping, GenerationOptions};
use serde_json::{Value, json};

fn read(json: &Value) -> Result<GenerationOptions, String> {
    GenerationOptions::from_json(&json.to_string(), "g.json").map_err(|e| e.to_string())
}

fn read_model(json: &Value) -> Result<GenerationOptions, String> {
    GenerationOptions::from_model_config(&json.to_string(), "c.json").map_err(|e| e.to_string())
}

#[test]
fn every_key_is_read() {
    let json = json!({
        "num_beams": 4, "num_return_sequences": 2, "early_stopping": "never", "length_penalty": 2,
        "do_sample": true, "temperature": 0.5, "top_k": 3, "top_p": 0.25, "min_p": 0.125, "typical_p": 0.75,
        "epsilon_cutoff": 0.5, "eta_cutoff": 0.25, "max_length": 30, "max_new_tokens": 20, "min_length": 3,
        "min_new_tokens": 2, "no_repeat_ngram_size": 3, "repetition_penalty": 1.5,
        "bad_words_ids": [[1], [2, 3]], "sequence_bias": [[[4], 1.5], [[4, 5], -2]],
        "forced_bos_token_id": 6, "forced_eos_token_id": 2, "exponential_decay_length_penalty": [5, 1.25],
        "renormalize_logits": true, "remove_invalid_values": true, "suppress_tokens": [7, 8],
        "begin_suppress_tokens": [], "bos_token_id": 0, "eos_token_id": [2, 3], "pad_token_id": 9,
        "decoder_start_token_id": 10
    });
    let expected = GenerationOptions::default()
        .num_beams(4)
        .num_return_sequences(2)
        .early_stopping(EarlyStopping::Never)
        .length_penalty(2.0)
        .do_sample(true)
        .temperature(0.5)
        .top_k(3)
        .top_p(0.25)
        .min_p(0.125)
        .typical_p(0.75)
        .epsilon_cutoff(0.5)
        .eta_cutoff(0.25)
        .max_length(30)
        .max_new_tokens(20)
        .min_length(3)
        .min_new_tokens(2)
        .no_repeat_ngram_size(3)
        .repetition_penalty(1.5)
        .bad_words_ids([vec![1], vec![2, 3]])
        .sequence_bias([(vec![4], 1.5), (vec![4, 5], -2.0)])
        .forced_bos_token_id(6)
        .forced_eos_token_id([2])
        .exponential_decay_length_penalty((5, 1.25))
        .renormalize_logits(true)
        .remove_invalid_values(true)
        .suppress_tokens([7, 8])
        .bos_token_id(0)
        .eos_token_id([2, 3])
        .pad_token_id(9)
        .decoder_start_token_id(10);
    assert_eq!(read(&json), Ok(expected.clone()));
    assert_eq!(read_model(&json), Ok(expected));
    // null is absence, for each of them.
    let nulls = json.as_object().unwrap().keys();
    let nulls: Value = nulls.map(|key| (key.clone(), Value::Null)).collect();
    assert_eq!(read(&nulls), Ok(GenerationOptions::default()));
    assert_eq!(read(&json!({})), Ok(GenerationOptions::default()));
}

#[test]
fn values_of_another_kind_are_refused() {
    for (key, value, expected) in [
        ("num_beams", json!("4"), "a whole number, at least 1"),
        ("num_beams", json!(2.5), "a whole number, at least 1"),
        ("num_beams", json!(-1), "a whole number, at least 1"),
        (
            "num_return_sequences",
            json!([1]),
            "a whole number, at least 1",
        ),
        (
            "early_stopping",
            json!("sometimes"),
            "true, false or \"never\"",
        ),
        ("early_stopping", json!(1), "true, false or \"never\""),
        ("length_penalty", json!("1"), "a number"),
        ("do_sample", json!(1), "true or false"),
        ("temperature", json!({}), "a number"),
        ("top_k", json!(-1), "a whole number"),
        ("top_p", json!(true), "a number"),
        ("min_p", json!("0.1"), "a number"),
        ("typical_p", json!([]), "a number"),
        ("epsilon_cutoff", json!(""), "a number"),
        ("eta_cutoff", json!(false), "a number"),
        ("max_length", json!(1.5), "a whole number"),
        ("max_new_tokens", json!("20"), "a whole number, at least 1"),
        ("min_length", json!(-3), "a whole number"),
        ("min_new_tokens", json!(true), "a whole number"),
        ("no_repeat_ngram_size", json!(2.5), "a whole number"),
        ("repetition_penalty", json!("high"), "a number above 0"),
        (
            "bad_words_ids",
            json!([]),
            "lists of token ids, at least one",
        ),
        (
            "bad_words_ids",
            json!([3]),
            "lists of token ids, at least one",
        ),
        (
            "bad_words_ids",
            json!([[]]),
            "lists of token ids, at least one",
        ),
        (
            "bad_words_ids",
            json!([[-1]]),
            "lists of token ids, at least one",
        ),
        (
            "sequence_bias",
            json!([]),
            "lists of token ids, each with a number",
        ),
        (
            "sequence_bias",
            json!([[[3]]]),
            "lists of token ids, each with a number",
        ),
        (
            "sequence_bias",
            json!([[[], 1.0]]),
            "lists of token ids, each with a number",
        ),
        (
            "sequence_bias",
            json!({"(3,)": 1.0}),
            "lists of token ids, each with a number",
        ),
        ("forced_bos_token_id", json!([3]), "a token id"),
        (
            "forced_eos_token_id",
            json!([]),
            "a token id or a list of them",
        ),
        (
            "forced_eos_token_id",
            json!([-1]),
            "a token id or a list of them",
        ),
        (
            "exponential_decay_length_penalty",
            json!([3]),
            "a whole number and a number",
        ),
        (
            "exponential_decay_length_penalty",
            json!([1.5, 2]),
            "a whole number and a number",
        ),
        ("renormalize_logits", json!("yes"), "true or false"),
        ("remove_invalid_values", json!(0), "true or false"),
        ("suppress_tokens", json!(3), "a list of token ids"),
        (
            "begin_suppress_tokens",
            json!([4294967296_u64]),
            "a list of token ids",
        ),
        ("bos_token_id", json!("[CLS]"), "a token id"),
        (
            "eos_token_id",
            json!([2, "x"]),
            "a token id or a list of them",
        ),
        ("eos_token_id", json!([]), "a token id or a list of them"),
        ("pad_token_id", json!(-1), "a token id"),
        ("decoder_start_token_id", json!([1]), "a token id"),
    ] {
        let json: Value = [(key.to_owned(), value.clone())].into_iter().collect();
        let message = format!("g.json: key {key:?}: expected {expected}, found {value}");
        assert_eq!(read(&json), Err(message));
        let message = format!("c.json: key {key:?}: expected {expected}, found {value}");
        assert_eq!(read_model(&json), Err(message));
    }
}

#[test]
fn values_that_no_call_could_use_are_refused() {
    for (json, message) in [
        (
            json!({"num_beams": 0}),
            "key \"num_beams\": expected from 1 to 65536, found 0",
        ),
        (
            json!({"max_new_tokens": 0}),
            "key \"max_new_tokens\": expected at least 1, found 0",
        ),
        (
            json!({"num_beams": 2, "num_return_sequences": 3}),
            "key \"num_return_sequences\": expected at most num_beams, 2, found 3",
        ),
        (
            json!({"forced_eos_token_id": 2, "suppress_tokens": [2]}),
            "key \"forced_eos_token_id\": expected a token that is not in suppress_tokens, found [2]",
        ),
    ] {
        assert_eq!(read(&json), Err(format!("g.json: {message}")));
    }
    // A call may say otherwise.
    let read = read(&json!({"temperature": 0.0, "repetition_penalty": -1.0})).unwrap();
    assert_eq!((read.temperature, read.repetition_penalty), (0.0, -1.0));
}

#[test]
fn what_this_crate_does_not_do_is_refused() {
    let absent = "nothing: this crate does not do that";
    let zero = "nothing or 0: this crate does not do that";
    let one = "nothing or 1: this crate does not do that";
    let call = "nothing: it is an argument of a call";
    for (key, value, expected) in [
        ("assistant_early_exit", json!(2), absent),
        ("assistant_model", json!("x"), call),
        ("constraints", json!(["x"]), absent),
        ("diversity_penalty", json!(0.5), zero),
        ("dola_layers", json!("low"), absent),
        ("encoder_no_repeat_ngram_size", json!(3), zero),
        ("encoder_repetition_penalty", json!(1.5), one),
        ("force_words_ids", json!([[1]]), absent),
        ("guidance_scale", json!(3.0), one),
        ("logits_processor", json!([]), call),
        ("max_time", json!(1.0), absent),
        (
            "num_beam_groups",
            json!(2),
            "nothing or 0 or 1: this crate does not do that",
        ),
        ("penalty_alpha", json!(0.6), zero),
        ("prompt_lookup_num_tokens", json!(10), absent),
        ("stop_strings", json!(["."]), absent),
        ("stopping_criteria", json!([]), call),
        ("streamer", json!("x"), call),
        ("token_healing", json!(true), absent),
        ("top_h", json!(0.4), absent),
        ("use_mtp", json!(true), absent),
        ("watermarking_config", json!({"bias": 1.0}), absent),
    ] {
        let json: Value = [(key.to_owned(), value.clone())].into_iter().collect();
        let message = format!("g.json: key {key:?}: expected {expected}, found {value}");
        assert_eq!(read(&json), Err(message));
    }
}

#[test]
fn what_changes_no_token_is_passed_over() {
    let json = json!({
        "transformers_version": "5.23.0", "use_cache": true, "output_scores": true, "_from_model_config": true,
        "return_dict_in_generate": true, "of_the_future": [1], "num_beam_groups": 1, "penalty_alpha": 0,
        "diversity_penalty": 0.0, "encoder_repetition_penalty": 1.0, "guidance_scale": 1, "token_healing": false,
        "encoder_no_repeat_ngram_size": 0, "constraints": null, "max_time": null, "stop_strings": null
    });
    assert_eq!(read(&json), Ok(GenerationOptions::default()));
}

#[test]
fn a_config_has_keys_of_its_decoder() {
    let json = json!({
        "decoder_start_token_id": 1, "eos_token_id": null,
        "decoder": {"decoder_start_token_id": 5, "eos_token_id": 2, "num_beams": 3, "max_length": 20},
        "generator": {"num_beams": 7, "length_penalty": 2.0}
    });
    let expected = GenerationOptions::default()
        .decoder_start_token_id(1)
        .eos_token_id([2])
        .num_beams(3)
        .max_length(20);
    assert_eq!(read_model(&json), Ok(expected));
    // No decoder is an empty one.
    let json = json!({"decoder": {}, "text_config": {"num_beams": 7}});
    assert_eq!(
        read_model(&json),
        Ok(GenerationOptions::default().num_beams(7))
    );
    // A generation_config.json has no such parts.
    assert_eq!(read(&json), Ok(GenerationOptions::default()));
    let json = json!({"force_bos_token_to_be_generated": true, "bos_token_id": 4});
    let expected = GenerationOptions::default().bos_token_id(4);
    assert_eq!(read(&json), Ok(expected.clone()));
    assert_eq!(read_model(&json), Ok(expected.forced_bos_token_id(4)));
}

#[test]
fn no_object_is_an_error() {
    for text in ["", "[]", "{", "3", "null", "{\"num_beams\": NaN}"] {
        let found = GenerationOptions::from_json(text, "g.json").unwrap_err();
        assert_eq!(
            found.to_string(),
            "g.json: not the JSON that is expected",
            "{text}"
        );
    }
    assert!(GenerationOptions::from_json("\u{feff}{}", "g.json").is_ok());
}

#[test]
fn a_folder_has_one_of_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let read = || GenerationOptions::from_folder(folder.path()).map_err(|e| e.to_string());
    let missing = read().unwrap_err();
    assert!(missing.contains("config.json"), "{missing}");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("config.json", r#"{"num_beams": 2}"#);
    assert_eq!(read(), Ok(GenerationOptions::default().num_beams(2)));
    write("generation_config.json", r#"{"length_penalty": 0.5}"#);
    assert_eq!(read(), Ok(GenerationOptions::default().length_penalty(0.5)));
    write("generation_config.json", r#"{"num_beams": "x"}"#);
    let wrong = read().unwrap_err();
    assert!(
        wrong.contains("generation_config.json: key \"num_beams\""),
        "{wrong}"
    );
}
