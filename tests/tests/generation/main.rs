//! Encoder-decoder models against `EncoderDecoderModel` of `transformers`.
//!
//! * `reference`: the reference's numbers and tokens, whatever the batch and the threads.
//! * `course`: hearing of tokens, and ending a search.
//! * `refusals`: what is refused, and how.
//! * `inspection`: what `inspect` tells of a directory.
//!
//! Fixtures are folders below `tests/fixtures/generation`, written by `tests/reference/make_generation_fixtures.py`.

#[path = "../common/mod.rs"]
mod common;

mod course;
mod inspection;
mod reference;
mod refusals;

use common::Input;
use deberta_core::generate::{EarlyStopping, GenerationOptions};
use deberta_core::{Batch, EncoderDecoder, LoadOptions};
use deberta_tests::fixture;
use ndarray::Array2;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// `cases.json`.
#[derive(Deserialize)]
struct Cases {
    models: Vec<Described>,
    generations: Vec<Generation>,
}

/// A model of the fixtures.
#[derive(Deserialize)]
struct Described {
    name: String,
    decoder: String,
}

/// What `generate` was asked, and what it answered.
#[derive(Deserialize)]
struct Generation {
    model: String,
    covers: String,
    input_ids: Vec<Vec<i64>>,
    attention_mask: Option<Vec<Vec<i64>>>,
    token_type_ids: Option<Vec<Vec<i64>>>,
    options: Map<String, Value>,
    sequences: Vec<Vec<i64>>,
    scores: Option<Vec<f32>>,
}

fn cases() -> Cases {
    let path = fixture("generation/cases.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn folder(model: &str) -> PathBuf {
    fixture("generation").join(model)
}

#[track_caller]
fn load(model: &str) -> EncoderDecoder {
    load_with(model, common::options())
}

#[track_caller]
fn load_with(model: &str, options: LoadOptions) -> EncoderDecoder {
    EncoderDecoder::load(folder(model), options).unwrap_or_else(|e| panic!("{model}: {e}"))
}

fn array(rows: &[Vec<i64>]) -> Array2<i64> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, i)| rows[row][i])
}

impl Generation {
    fn input(&self) -> Input {
        Input {
            ids: array(&self.input_ids),
            mask: self.attention_mask.as_deref().map(array),
            types: self.token_type_ids.as_deref().map(array),
            choices: 1,
        }
    }

    fn batch(&self) -> Batch {
        self.input().batch()
    }

    /// The model's options with what the call says otherwise.
    fn options(&self, model: &EncoderDecoder) -> GenerationOptions {
        let mut options = model.options().clone();
        for (key, value) in &self.options {
            set(&mut options, key, value);
        }
        options
    }
}

/// Sets an option by the reference's name.
fn set(options: &mut GenerationOptions, key: &str, value: &Value) {
    let size = |value: &Value| value.as_u64().expect("a size") as usize;
    let id = |value: &Value| value.as_u64().expect("an id") as u32;
    let ids = |value: &Value| match value {
        Value::Array(ids) => ids.iter().map(id).collect(),
        one => vec![id(one)],
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    match key {
        "num_beams" => options.num_beams = size(value),
        "num_return_sequences" => options.num_return_sequences = size(value),
        "early_stopping" => {
            options.early_stopping = match value {
                Value::Bool(true) => EarlyStopping::Yes,
                Value::Bool(false) => EarlyStopping::No,
                _ => EarlyStopping::Never,
            }
        }
        "length_penalty" => options.length_penalty = number(value),
        "max_length" => options.max_length = Some(size(value)),
        "max_new_tokens" => options.max_new_tokens = Some(size(value)),
        "min_length" => options.min_length = size(value),
        "min_new_tokens" => options.min_new_tokens = Some(size(value)),
        "no_repeat_ngram_size" => options.no_repeat_ngram_size = size(value),
        "repetition_penalty" => options.repetition_penalty = number(value),
        "bad_words_ids" => {
            options.bad_words_ids = value.as_array().expect("lists").iter().map(ids).collect();
        }
        "forced_bos_token_id" => options.forced_bos_token_id = Some(id(value)),
        "forced_eos_token_id" => options.forced_eos_token_id = ids(value),
        "eos_token_id" => options.eos_token_id = ids(value),
        "pad_token_id" => options.pad_token_id = Some(id(value)),
        "decoder_start_token_id" => options.decoder_start_token_id = Some(id(value)),
        "do_sample" => options.do_sample = value.as_bool().expect("a flag"),
        other => panic!("an option that the test does not know: {other}"),
    }
}
