//! Typed access to the keys of a `config.json`, each with its default.

use std::path::{Path, PathBuf};

use deberta_kernels::Activation;
use serde_json::{Map, Value};

use super::{Family, PosAttType, encoder_decoder};
use crate::Error;

/// An object in a configuration file, and its place for errors.
pub(super) struct Keys {
    file: PathBuf,
    /// The keys that lead to the object, each with a dot behind it: none, or such as `decoder.`.
    within: String,
    map: Map<String, Value>,
}

impl Keys {
    pub(super) fn parse(json: &str, file: &Path) -> Result<Self, Error> {
        // A byte order mark, which some editors write, is no JSON.
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let map = serde_json::from_str(json).map_err(|source| Error::Json {
            file: file.to_owned(),
            source,
        })?;
        Ok(Self {
            file: file.to_owned(),
            within: String::new(),
            map,
        })
    }

    /// The object that is the value of `key`.
    pub(super) fn object(&self, key: &str) -> Result<Self, Error> {
        match self.get(key) {
            Some(Value::Object(map)) => Ok(Self {
                file: self.file.clone(),
                within: format!("{}{key}.", self.within),
                map: map.clone(),
            }),
            Some(other) => Err(self.refuse(key, other, "an object")),
            None => Err(self.refuse(key, "nothing", "an object")),
        }
    }

    /// The value of `key`; `null` is the same as absence.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// An error about the value of `key`.
    pub(super) fn refuse(
        &self,
        key: &str,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Error {
        Error::Config {
            file: self.file.clone(),
            key: format!("{}{key}", self.within),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    pub(super) fn family(&self) -> Result<Family, Error> {
        const SUPPORTED: &str = "supported: deberta (v1) and deberta-v2 (v2, v3, mDeBERTa)";
        match self.model_type(SUPPORTED)? {
            "deberta" => Ok(Family::V1),
            "deberta-v2" => Ok(Family::V2),
            encoder_decoder::MODEL_TYPE => {
                Err(self.unsupported_type("has a decoder: it is loaded by EncoderDecoder and Summarizer (the examples generate and summarize)"))
            }
            _ => Err(self.unsupported_type(&format!("is not supported; {SUPPORTED}"))),
        }
    }

    /// The value of `model_type`.
    pub(super) fn model_type(&self, supported: &str) -> Result<&str, Error> {
        match self.get("model_type") {
            Some(Value::String(name)) => Ok(name),
            Some(_) => Err(self.unsupported_type(&format!("is no string; {supported}"))),
            None => {
                let reason = format!("is needed to tell the family; {supported}");
                Err(self.unsupported_type(&reason))
            }
        }
    }

    /// An error about the value of `model_type`.
    pub(super) fn unsupported_type(&self, reason: &str) -> Error {
        let found = match self.get("model_type") {
            Some(found) => found.to_string(),
            None => "(missing)".to_owned(),
        };
        Error::UnsupportedModel {
            file: self.file.clone(),
            found: match self.within.strip_suffix('.') {
                Some(part) => format!("{found} of the {part}"),
                None => found,
            },
            reason: reason.to_owned(),
        }
    }

    /// A size from 1 to `limit`.
    pub(super) fn size(&self, key: &str, default: usize, limit: usize) -> Result<usize, Error> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (1..=limit).contains(n))
            .ok_or_else(|| self.refuse(key, value, format!("a whole number from 1 to {limit}")))
    }

    /// A size for which zero and negative numbers stand for absence, as in the reference.
    pub(super) fn optional_size(&self, key: &str, limit: usize) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        if value.as_i64().is_some_and(|n| n <= 0) {
            return Ok(None);
        }
        self.size(key, 0, limit).map(Some)
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value
            .as_bool()
            .ok_or_else(|| self.refuse(key, value, "true or false"))
    }

    pub(super) fn positive(&self, key: &str, default: f32) -> Result<f32, Error> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value
            .as_f64()
            .map(|x| x as f32)
            .filter(|x| x.is_finite() && *x > 0.0)
            .ok_or_else(|| self.refuse(key, value, "a positive number"))
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.refuse(key, value, "a string"))
    }

    pub(super) fn activation(&self, key: &str, default: Activation) -> Result<Activation, Error> {
        let Some(name) = self.string(key)? else {
            return Ok(default);
        };
        Activation::from_name(name).ok_or_else(|| {
            self.refuse(
                key,
                format!("{name:?}"),
                format!("one of {}", Activation::NAMES.join(", ")),
            )
        })
    }

    /// A list, or a `|`-separated string in any case and with spaces.
    pub(super) fn pos_att_type(&self) -> Result<PosAttType, Error> {
        const KEY: &str = "pos_att_type";
        let entries: Vec<String> = match self.get(KEY) {
            None => Vec::new(),
            Some(Value::String(text)) => separated(text),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| match value {
                    Value::String(entry) => Ok(entry.clone()),
                    other => Err(self.refuse(KEY, other, "strings in the list")),
                })
                .collect::<Result<_, _>>()?,
            Some(other) => return Err(self.refuse(KEY, other, "a list or a string")),
        };
        let mut terms = PosAttType {
            entries: entries.len(),
            ..PosAttType::default()
        };
        for entry in entries {
            match entry.as_str() {
                "c2p" => terms.c2p = true,
                "p2c" => terms.p2c = true,
                "" | "none" => {}
                other => {
                    let expected = "c2p, p2c or none (p2p exists only in Microsoft's own code)";
                    return Err(self.refuse(KEY, format!("{other:?}"), expected));
                }
            }
        }
        Ok(terms)
    }

    pub(super) fn norm_rel_ebd(&self) -> Result<bool, Error> {
        const KEY: &str = "norm_rel_ebd";
        let Some(text) = self.string(KEY)? else {
            return Ok(false);
        };
        let mut normalised = false;
        for entry in separated(text) {
            match entry.as_str() {
                "layer_norm" => normalised = true,
                "" | "none" => {}
                other => {
                    return Err(self.refuse(KEY, format!("{other:?}"), "none or layer_norm"));
                }
            }
        }
        Ok(normalised)
    }

    /// `null` and negative numbers: none.
    pub(super) fn token_id(&self, key: &str, default: Option<u32>) -> Result<Option<u32>, Error> {
        match self.map.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(value) => match value.as_i64() {
                Some(n) if n < 0 => Ok(None),
                Some(n) if u32::try_from(n).is_ok() => Ok(u32::try_from(n).ok()),
                _ => Err(self.refuse(key, value, "a token id")),
            },
        }
    }

    pub(super) fn architectures(&self) -> Result<Vec<String>, Error> {
        const KEY: &str = "architectures";
        match self.get(KEY) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| match value {
                    Value::String(name) => Ok(name.clone()),
                    other => Err(self.refuse(KEY, other, "strings in the list")),
                })
                .collect(),
            Some(other) => Err(self.refuse(KEY, other, "a list of class names")),
        }
    }
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    String::from_utf8(bytes).map_err(|e| Error::Io {
        path: path.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, e.utf8_error()),
    })
}

/// The entries of a `|`-separated string, trimmed and in lower case.
fn separated(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split('|')
        .map(|entry| entry.trim().to_owned())
        .collect()
}
