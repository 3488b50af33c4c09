//! Options as models bring them: `generation_config.json`, or the keys that older models have in `config.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::{EarlyStopping, GenerationOptions};
use crate::Error;

/// The file of a model's directory that options are read from.
const FILE: &str = "generation_config.json";

/// Keys whose effect this crate does not have, and the values that have none.
const REFUSED: [(&str, &[f64]); 17] = [
    ("assistant_early_exit", &[]),
    ("constraints", &[]),
    ("diversity_penalty", &[0.0]),
    ("dola_layers", &[]),
    ("encoder_no_repeat_ngram_size", &[0.0]),
    ("encoder_repetition_penalty", &[1.0]),
    ("force_words_ids", &[]),
    ("guidance_scale", &[1.0]),
    ("max_time", &[]),
    ("num_beam_groups", &[0.0, 1.0]),
    ("penalty_alpha", &[0.0]),
    ("prompt_lookup_num_tokens", &[]),
    ("stop_strings", &[]),
    ("token_healing", &[]),
    ("top_h", &[]),
    ("use_mtp", &[]),
    ("watermarking_config", &[]),
];

/// Arguments of a call that the reference does not take from a file.
const ARGUMENTS: [&str; 8] = [
    "assistant_model",
    "logits_processor",
    "negative_prompt_attention_mask",
    "negative_prompt_ids",
    "prefix_allowed_tokens_fn",
    "stopping_criteria",
    "streamer",
    "synced_gpus",
];

impl GenerationOptions {
    /// Options of the model in a directory: its `generation_config.json`; without one, [`Self::from_model_config`] of its
    /// `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], and [`Error::Config`] for a key with a value that no call could use, or that asks
    /// for what this crate does not do.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let read = |path: &Path| std::fs::read_to_string(path).map_err(Error::io(path));
        let file = folder.join(FILE);
        if file.exists() {
            return Self::from_json(&read(&file)?, &file);
        }
        let config = folder.join("config.json");
        Self::from_model_config(&read(&config)?, &config)
    }

    /// Options from the text of a `generation_config.json`; `file` is its name in errors.
    ///
    /// Absent keys and `null` have their defaults. Keys that change no token, and those that the reference does not know,
    /// are passed over.
    ///
    /// ```
    /// use deberta_core::generate::GenerationOptions;
    ///
    /// let json = r#"{"num_beams": 4, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 1}"#;
    /// let options = GenerationOptions::from_json(json, "generation_config.json")?;
    /// assert_eq!((options.num_beams, options.eos_token_id), (4, vec![2]));
    ///
    /// let json = r#"{"num_beams": 4, "num_beam_groups": 2}"#;
    /// let error = GenerationOptions::from_json(json, "generation_config.json").unwrap_err();
    /// assert!(error.to_string().contains("num_beam_groups"));
    /// # Ok::<(), deberta_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Json`] and [`Error::Config`], as [`Self::from_folder`]. Values that only some calls cannot use, such as a
    /// temperature of 0, are for the call to refuse.
    pub fn from_json(json: &str, file: impl AsRef<Path>) -> Result<Self, Error> {
        let file = file.as_ref();
        let layers = vec![parse(json, file)?];
        Keys { file, layers }.read(false)
    }

    /// Options from the text of a `config.json`, as `GenerationConfig.from_model_config` of the reference reads it: a key
    /// that its top level lacks is looked for in `decoder`, `generator` or `text_config`, the first of them that is there.
    ///
    /// Mind that transformers 4 wrote defaults into `decoder`: a `max_length` of 20 there is 20 tokens with the start
    /// token, not 20 new ones.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_model_config(json: &str, file: impl AsRef<Path>) -> Result<Self, Error> {
        let file = file.as_ref();
        let top = parse(json, file)?;
        let filled = |value: &&Value| value.as_object().is_some_and(|inner| !inner.is_empty());
        let inner = ["decoder", "generator", "text_config"]
            .iter()
            .find_map(|key| top.get(*key).filter(filled))
            .and_then(Value::as_object)
            .cloned();
        let layers = std::iter::once(top).chain(inner).collect();
        Keys { file, layers }.read(true)
    }
}

fn parse(json: &str, file: &Path) -> Result<Map<String, Value>, Error> {
    // A byte order mark, which some editors write, is no JSON.
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    serde_json::from_str(json).map_err(|source| Error::Json {
        file: file.to_owned(),
        source,
    })
}

/// Objects of a file; a key is taken from the first that has it.
struct Keys<'a> {
    file: &'a Path,
    layers: Vec<Map<String, Value>>,
}

impl Keys<'_> {
    fn read(&self, of_model: bool) -> Result<GenerationOptions, Error> {
        self.refuse_others()?;
        let mut options = GenerationOptions::default();
        macro_rules! take {
            ($($name:ident: $how:expr, $expected:literal;)*) => {$(
                let value = self.value(stringify!($name), $how, $expected)?;
                if let Some(value) = value {
                    options.$name = value.into();
                }
            )*};
        }
        take! {
            num_beams: size, "a whole number, at least 1";
            num_return_sequences: size, "a whole number, at least 1";
            early_stopping: early_stopping, "true, false or \"never\"";
            length_penalty: Value::as_f64, "a number";
            do_sample: Value::as_bool, "true or false";
            temperature: Value::as_f64, "a number";
            top_k: size, "a whole number";
            top_p: Value::as_f64, "a number";
            min_p: Value::as_f64, "a number";
            typical_p: Value::as_f64, "a number";
            epsilon_cutoff: Value::as_f64, "a number";
            eta_cutoff: Value::as_f64, "a number";
            max_length: size, "a whole number";
            max_new_tokens: size, "a whole number, at least 1";
            min_length: size, "a whole number";
            min_new_tokens: size, "a whole number";
            no_repeat_ngram_size: size, "a whole number";
            repetition_penalty: Value::as_f64, "a number above 0";
            bad_words_ids: words, "lists of token ids, at least one";
            sequence_bias: biases, "lists of token ids, each with a number";
            forced_bos_token_id: token, "a token id";
            forced_eos_token_id: one_or_more, "a token id or a list of them";
            exponential_decay_length_penalty: decay, "a whole number and a number";
            renormalize_logits: Value::as_bool, "true or false";
            remove_invalid_values: Value::as_bool, "true or false";
            suppress_tokens: tokens, "a list of token ids";
            begin_suppress_tokens: tokens, "a list of token ids";
            bos_token_id: token, "a token id";
            eos_token_id: one_or_more, "a token id or a list of them";
            pad_token_id: token, "a token id";
            decoder_start_token_id: token, "a token id";
        }
        let top = |key: &str| {
            self.layers
                .iter()
                .take(1)
                .any(|layer| truthy(layer.get(key)))
        };
        if (of_model || top("_from_model_config")) && top("force_bos_token_to_be_generated") {
            let first = &self.layers[..1];
            options.forced_bos_token_id = find(first, "bos_token_id").and_then(token);
        }
        options.check_alone().map_err(|p| p.in_file(self.file))?;
        Ok(options)
    }

    fn value<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = find(&self.layers, key) else {
            return Ok(None);
        };
        let refused = || self.refuse(key, value, expected);
        read(value).map(Some).ok_or_else(refused)
    }

    fn refuse(&self, key: &str, found: &Value, expected: &str) -> Error {
        Error::Config {
            file: self.file.to_owned(),
            key: key.to_owned(),
            found: found.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// Refuses what would change the tokens and cannot be done.
    fn refuse_others(&self) -> Result<(), Error> {
        for (key, neutral) in REFUSED {
            let Some(value) = find(&self.layers, key) else {
                continue;
            };
            let harmless = match value {
                Value::Bool(on) => !on,
                other => other.as_f64().is_some_and(|x| neutral.contains(&x)),
            };
            if !harmless {
                let values: Vec<String> = neutral.iter().map(f64::to_string).collect();
                let values = values.join(" or ");
                let or = if values.is_empty() { "" } else { " or " };
                let expected = format!("nothing{or}{values}: this crate does not do that");
                return Err(self.refuse(key, value, &expected));
            }
        }
        let mut arguments = ARGUMENTS.iter();
        match arguments.find_map(|key| Some((key, self.layers[0].get(*key)?))) {
            Some((key, value)) => {
                Err(self.refuse(key, value, "nothing: it is an argument of a call"))
            }
            None => Ok(()),
        }
    }
}

/// `null` is the same as absence.
fn find<'a>(layers: &'a [Map<String, Value>], key: &str) -> Option<&'a Value> {
    let values = layers.iter().filter_map(|layer| layer.get(key));
    values.into_iter().find(|value| !value.is_null())
}

fn truthy(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_bool().unwrap_or(false))
}

fn size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn token(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn tokens(value: &Value) -> Option<Vec<u32>> {
    value.as_array()?.iter().map(token).collect()
}

fn one_or_more(value: &Value) -> Option<Vec<u32>> {
    let list = token(value).map(|id| vec![id]).or_else(|| tokens(value))?;
    (!list.is_empty()).then_some(list)
}

fn early_stopping(value: &Value) -> Option<EarlyStopping> {
    match value {
        Value::Bool(true) => Some(EarlyStopping::Yes),
        Value::Bool(false) => Some(EarlyStopping::No),
        Value::String(text) if text == "never" => Some(EarlyStopping::Never),
        _ => None,
    }
}

fn words(value: &Value) -> Option<Vec<Vec<u32>>> {
    let list: Vec<Vec<u32>> = value
        .as_array()?
        .iter()
        .map(tokens)
        .collect::<Option<_>>()?;
    let filled = !list.is_empty() && list.iter().all(|word| !word.is_empty());
    filled.then_some(list)
}

fn biases(value: &Value) -> Option<Vec<(Vec<u32>, f32)>> {
    let bias = |entry: &Value| match entry.as_array()?.as_slice() {
        [ids, bias] => Some((
            tokens(ids).filter(|ids| !ids.is_empty())?,
            bias.as_f64()? as f32,
        )),
        _ => None,
    };
    let list: Vec<_> = value.as_array()?.iter().map(bias).collect::<Option<_>>()?;
    (!list.is_empty()).then_some(list)
}

fn decay(value: &Value) -> Option<(usize, f64)> {
    match value.as_array()?.as_slice() {
        [start, factor] => Some((size(start)?, factor.as_f64()?)),
        _ => None,
    }
}
