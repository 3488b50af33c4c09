//! The `model` of a `tokenizer.json`, and the vocabularies and merges of older files.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::TokenizerError;
use crate::hf::model::{
    BpeModel, BpeOptions, Model, UnigramModel, WordPieceModel, WordPieceOptions,
};

/// The model, so far as Unigram, BPE and WordPiece models go.
#[derive(Debug, Deserialize)]
pub(crate) struct ModelEntry {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    unk_id: Option<usize>,
    byte_fallback: Option<bool>,
    merges: Option<Vec<MergeEntry>>,
    unk_token: Option<String>,
    fuse_unk: Option<bool>,
    ignore_merges: Option<bool>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    max_input_chars_per_word: Option<usize>,
}

/// A merge: two tokens, or in older files one string with a space between them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum MergeEntry {
    Pair(String, String),
    Line(String),
}

impl ModelEntry {
    /// The model. `file` names the file in errors.
    pub(crate) fn build(self, file: &str) -> Result<Model, TokenizerError> {
        let unsupported = |component: &str, found: String| TokenizerError::Unsupported {
            component: component.to_owned(),
            found,
            file: file.to_owned(),
        };
        // Files of old versions do not name the type; then the vocabulary tells.
        let kind = match (self.kind.as_deref(), &self.vocab) {
            (None, Vocabulary::Scored(_)) => "Unigram",
            (None, Vocabulary::Numbered(_)) if self.merges.is_some() => "BPE",
            (None, Vocabulary::Numbered(_)) if self.max_input_chars_per_word.is_some() => {
                "WordPiece"
            }
            (kind, _) => kind.unwrap_or("none"),
        };
        let wrong_shape = |expected, found: &str| TokenizerError::InvalidModel {
            what: "model.vocab".to_owned(),
            expected,
            found: found.to_owned(),
        };
        match (kind, self.vocab) {
            ("Unigram", Vocabulary::Scored(pieces)) => Ok(Model::Unigram(UnigramModel::new(
                pieces,
                self.unk_id,
                self.byte_fallback == Some(true),
            )?)),
            ("Unigram", Vocabulary::Numbered(_)) => Err(wrong_shape(
                "a list of pieces with their scores",
                "an object",
            )),
            ("BPE", Vocabulary::Numbered(vocabulary)) => {
                if let Some(dropout) = self.dropout.filter(|&dropout| dropout != 0.0) {
                    return Err(unsupported("model.dropout", dropout.to_string()));
                }
                for (component, affix) in [
                    (
                        "model.continuing_subword_prefix",
                        self.continuing_subword_prefix,
                    ),
                    ("model.end_of_word_suffix", self.end_of_word_suffix),
                ] {
                    if let Some(affix) = affix.filter(|affix| !affix.is_empty()) {
                        return Err(unsupported(component, format!("{affix:?}")));
                    }
                }
                if self.byte_fallback == Some(true) {
                    return Err(unsupported(
                        "model.byte_fallback",
                        "true in a BPE model".to_owned(),
                    ));
                }
                let options = BpeOptions {
                    unknown: self.unk_token,
                    fuse_unknown: self.fuse_unk == Some(true),
                    ignore_merges: self.ignore_merges == Some(true),
                };
                let entries = self.merges.unwrap_or_default();
                let merges = merges(&entries)?;
                let model = BpeModel::new(vocabulary, &merges, &options, |number| {
                    format!("model.merges[{number}]")
                })?;
                Ok(Model::Bpe(model))
            }
            ("WordPiece", Vocabulary::Numbered(vocabulary)) => {
                let needed = |component: &str| TokenizerError::InvalidComponent {
                    component: component.to_owned(),
                    problem: "expected in a WordPiece model, found none".to_owned(),
                    file: file.to_owned(),
                };
                let options = WordPieceOptions {
                    unknown: self.unk_token.ok_or_else(|| needed("model.unk_token"))?,
                    prefix: self
                        .continuing_subword_prefix
                        .ok_or_else(|| needed("model.continuing_subword_prefix"))?,
                    max_characters: self
                        .max_input_chars_per_word
                        .ok_or_else(|| needed("model.max_input_chars_per_word"))?,
                };
                Ok(Model::WordPiece(WordPieceModel::new(vocabulary, &options)?))
            }
            ("BPE" | "WordPiece", Vocabulary::Scored(_)) => {
                Err(wrong_shape("an object of tokens with their ids", "a list"))
            }
            (kind, _) => Err(unsupported("model.type", kind.to_owned())),
        }
    }
}

fn merges(entries: &[MergeEntry]) -> Result<Vec<(&str, &str)>, TokenizerError> {
    let mut merges = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        match entry {
            MergeEntry::Pair(left, right) => merges.push((left.as_str(), right.as_str())),
            MergeEntry::Line(line) if line.starts_with("#version") => {}
            MergeEntry::Line(line) => match merge_of_line(line) {
                Some(tokens) => merges.push(tokens),
                None => {
                    return Err(TokenizerError::InvalidModel {
                        what: format!("model.merges[{number}]"),
                        expected: "two tokens with a space between them",
                        found: format!("{line:?}"),
                    });
                }
            },
        }
    }
    Ok(merges)
}

/// The two tokens of a line that has a space between them and nowhere else.
pub(crate) fn merge_of_line(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.split_once(' ')?;
    (!left.is_empty() && !right.is_empty() && !right.contains(' ')).then_some((left, right))
}

/// A vocabulary with scores (Unigram) or with ids (BPE, WordPiece), in the order of the file.
#[derive(Debug)]
enum Vocabulary {
    Scored(Vec<(String, f64)>),
    Numbered(Vec<(String, u32)>),
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Vocabulary;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(
                    "a list of pieces with their scores, or an object of tokens with their ids",
                )
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocabulary, A::Error> {
                let mut pieces = Vec::new();
                while let Some(piece) = list.next_element()? {
                    pieces.push(piece);
                }
                Ok(Vocabulary::Scored(pieces))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vocabulary, A::Error> {
                entries(map).map(Vocabulary::Numbered)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A `vocab.json`: an object of tokens with their ids.
#[derive(Debug)]
pub(crate) struct NumberedVocabulary(pub(crate) Vec<(String, u32)>);

impl<'de> Deserialize<'de> for NumberedVocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = NumberedVocabulary;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of tokens with their ids")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NumberedVocabulary, A::Error> {
                entries(map).map(NumberedVocabulary)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The entries of an object, those with equal keys included.
fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(String, u32)>, A::Error> {
    let mut entries = Vec::new();
    while let Some(entry) = map.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}
