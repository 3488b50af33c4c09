//! Reading a `tokenizer.json`: every component that the file lists becomes one of ours, or an error
//! that names it.

mod model;

pub(crate) use model::{ModelEntry, NumberedVocabulary, merge_of_line};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::added_tokens::AddedToken;
use super::base64;
use super::bert::BertNormalizer;
use super::byte_level::ByteLevel;
use super::decoders::{Decoder, WordPiece};
use super::normal_forms::NormalForm;
use super::normalizers::Normalizer;
use super::options::{PadTo, Padding, Side, Truncation, TruncationStrategy};
use super::pattern::Pattern;
use super::pre_tokenizers::{Metaspace, PreTokenizer, PrependScheme};
use super::splits::SplitBehavior;
use super::template::{Piece, Template};
use crate::TokenizerError;
use crate::charsmap::CharsMap;

/// The file as it is written.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenizerFile {
    version: Option<String>,
    truncation: Option<Value>,
    padding: Option<Value>,
    #[serde(default)]
    pub(crate) added_tokens: Vec<AddedTokenEntry>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    pub(crate) model: ModelEntry,
}

/// An added token; the id that the file gives it is decided by the vocabulary all the same.
#[derive(Debug, Deserialize)]
pub(crate) struct AddedTokenEntry {
    #[serde(rename = "id")]
    _id: u32,
    #[serde(flatten)]
    pub(crate) token: AddedToken,
}

/// What the components become.
pub(crate) struct Components {
    pub(crate) normalizer: Option<Normalizer>,
    pub(crate) pre_tokenizer: Option<PreTokenizer>,
    pub(crate) post_processor: PostProcessor,
    pub(crate) decoder: Option<Decoder>,
    pub(crate) truncation: Option<Truncation>,
    pub(crate) padding: Option<Padding>,
}

/// What is done to the tokens of texts in the end.
#[derive(Default)]
pub(crate) struct PostProcessor {
    pub(crate) template: Option<Template>,
    /// Offsets are trimmed as byte-level tokenizers do, which depends on `add_prefix_space`.
    pub(crate) trims: Option<TrimsOffsets>,
}

/// The post-processor `ByteLevel` with `trim_offsets`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrimsOffsets {
    pub(crate) add_prefix_space: bool,
}

impl TokenizerFile {
    /// Turns the components into ours. `file` names the file in errors.
    pub(crate) fn components(&self, file: &str) -> Result<Components, TokenizerError> {
        let reader = Reader { file };
        if let Some(version) = self.version.as_deref().filter(|&version| version != "1.0") {
            return Err(reader.unsupported("version", version));
        }
        Ok(Components {
            normalizer: optional(&self.normalizer, |value| {
                reader.normalizer("normalizer", value)
            })?,
            pre_tokenizer: optional(&self.pre_tokenizer, |value| {
                let pre_tokenizer = reader.pre_tokenizer("pre_tokenizer", value)?;
                // Each doubles the text, more or less.
                if pre_tokenizer.count_byte_levels() > 1 {
                    return Err(reader.unsupported("pre_tokenizer", "ByteLevel twice"));
                }
                Ok(pre_tokenizer)
            })?,
            post_processor: optional(&self.post_processor, |value| {
                reader.post_processor("post_processor", value)
            })?
            .unwrap_or_default(),
            decoder: optional(&self.decoder, |value| reader.decoder("decoder", value))?,
            truncation: optional(&self.truncation, |value| reader.truncation(value))?,
            padding: optional(&self.padding, |value| reader.padding(value))?,
        })
    }
}

fn optional<T>(
    value: &Option<Value>,
    read: impl FnOnce(&Value) -> Result<T, TokenizerError>,
) -> Result<Option<T>, TokenizerError> {
    value.as_ref().map(read).transpose()
}

/// Reads components; knows the file's name for the errors.
struct Reader<'a> {
    file: &'a str,
}

#[derive(Deserialize)]
struct Strip {
    strip_left: bool,
    strip_right: bool,
}

#[derive(Deserialize)]
enum PatternEntry {
    String(String),
    Regex(String),
}

#[derive(Deserialize)]
struct Replace {
    pattern: PatternEntry,
    content: String,
}

#[derive(Deserialize)]
struct MetaspaceEntry {
    replacement: char,
    add_prefix_space: Option<bool>,
    prepend_scheme: Option<PrependScheme>,
    split: Option<bool>,
}

#[derive(Deserialize)]
struct ByteLevelEntry {
    add_prefix_space: bool,
    trim_offsets: bool,
    use_regex: Option<bool>,
}

#[derive(Deserialize)]
struct DecoderStrip {
    content: char,
    start: usize,
    stop: usize,
}

#[derive(Deserialize)]
enum SequenceName {
    A,
    B,
}

#[derive(Deserialize)]
enum PieceEntry {
    Sequence { id: SequenceName, type_id: u32 },
    SpecialToken { id: String, type_id: u32 },
}

#[derive(Deserialize)]
struct SpecialEntry {
    ids: Vec<u32>,
    tokens: Vec<String>,
}

#[derive(Deserialize)]
struct TemplateEntry {
    single: Vec<PieceEntry>,
    pair: Vec<PieceEntry>,
    special_tokens: std::collections::HashMap<String, SpecialEntry>,
}

/// The post-processors of BERT and RoBERTa; that of BERT has the tokens alone.
#[derive(Deserialize)]
struct TokensEntry {
    sep: (String, u32),
    cls: (String, u32),
}

#[derive(Deserialize)]
struct RobertaEntry {
    #[serde(flatten)]
    tokens: TokensEntry,
    trim_offsets: bool,
    add_prefix_space: bool,
}

impl TokensEntry {
    /// Both tokens with their ids first, that at the beginning before that at the end.
    fn into_pairs(self) -> ((u32, String), (u32, String)) {
        let [cls, sep] = [self.cls, self.sep].map(|(token, id)| (id, token));
        (cls, sep)
    }
}

#[derive(Deserialize)]
struct TruncationEntry {
    #[serde(default)]
    direction: Direction,
    max_length: usize,
    strategy: Strategy,
    stride: usize,
}

#[derive(Deserialize, Default)]
enum Direction {
    Left,
    #[default]
    Right,
}

#[derive(Deserialize)]
enum Strategy {
    LongestFirst,
    OnlyFirst,
    OnlySecond,
}

#[derive(Deserialize)]
struct PaddingEntry {
    strategy: PaddingStrategy,
    direction: Direction,
    pad_to_multiple_of: Option<usize>,
}

#[derive(Deserialize)]
enum PaddingStrategy {
    BatchLongest,
    Fixed(usize),
}

impl From<Direction> for Side {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Left => Side::Left,
            Direction::Right => Side::Right,
        }
    }
}

impl Reader<'_> {
    fn unsupported(&self, component: &str, found: &str) -> TokenizerError {
        TokenizerError::Unsupported {
            component: component.to_owned(),
            found: found.to_owned(),
            file: self.file.to_owned(),
        }
    }

    fn malformed(&self, component: &str, problem: impl ToString) -> TokenizerError {
        TokenizerError::InvalidComponent {
            component: component.to_owned(),
            problem: problem.to_string(),
            file: self.file.to_owned(),
        }
    }

    fn read<T: DeserializeOwned>(&self, at: &str, value: &Value) -> Result<T, TokenizerError> {
        T::deserialize(value).map_err(|error| self.malformed(at, error))
    }

    fn kind<'v>(&self, at: &str, value: &'v Value) -> Result<&'v str, TokenizerError> {
        let kind = value.get("type").and_then(Value::as_str);
        kind.ok_or_else(|| self.malformed(at, "expected an object with a `type`"))
    }

    /// The members of a sequence, each read by `read`.
    fn members<T>(
        &self,
        at: &str,
        value: &Value,
        list: &str,
        read: impl Fn(&str, &Value) -> Result<T, TokenizerError>,
    ) -> Result<Vec<T>, TokenizerError> {
        let Some(members) = value.get(list).and_then(Value::as_array) else {
            return Err(self.malformed(at, format!("expected a list `{list}`")));
        };
        let read_one = |(index, value)| read(&format!("{at}.{list}[{index}]"), value);
        members.iter().enumerate().map(read_one).collect()
    }

    fn normalizer(&self, at: &str, value: &Value) -> Result<Normalizer, TokenizerError> {
        Ok(match self.kind(at, value)? {
            "Sequence" => {
                Normalizer::Sequence(self.members(at, value, "normalizers", |at, value| {
                    self.normalizer(at, value)
                })?)
            }
            "Precompiled" => {
                let Some(blob) = value.get("precompiled_charsmap").and_then(Value::as_str) else {
                    return Err(self.malformed(at, "expected a string `precompiled_charsmap`"));
                };
                let blob = base64::decode(blob)
                    .ok_or_else(|| self.malformed(at, "`precompiled_charsmap` is not base64"))?;
                let map = CharsMap::from_bytes(&blob).map_err(|error| self.malformed(at, error))?;
                Normalizer::Precompiled(Box::new(map))
            }
            "Strip" => {
                let Strip {
                    strip_left,
                    strip_right,
                } = self.read(at, value)?;
                Normalizer::Strip {
                    left: strip_left,
                    right: strip_right,
                }
            }
            "Replace" => {
                let (pattern, content) = self.replace(at, value)?;
                Normalizer::Replace { pattern, content }
            }
            "NFC" => Normalizer::NormalForm(NormalForm::Nfc),
            "NFD" => Normalizer::NormalForm(NormalForm::Nfd),
            "NFKC" => Normalizer::NormalForm(NormalForm::Nfkc),
            "NFKD" => Normalizer::NormalForm(NormalForm::Nfkd),
            "Lowercase" => Normalizer::Lowercase,
            "Prepend" => match value.get("prepend").and_then(Value::as_str) {
                Some(content) => Normalizer::Prepend(content.to_owned()),
                None => return Err(self.malformed(at, "expected a string `prepend`")),
            },
            "Nmt" => Normalizer::Nmt,
            "StripAccents" => Normalizer::StripAccents,
            "BertNormalizer" => Normalizer::Bert(self.read::<BertNormalizer>(at, value)?),
            other => return Err(self.unsupported(at, other)),
        })
    }

    fn replace(&self, at: &str, value: &Value) -> Result<(Pattern, String), TokenizerError> {
        let Replace { pattern, content } = self.read(at, value)?;
        let pattern = match pattern {
            PatternEntry::String(text) => {
                Pattern::literal(&text).map_err(|problem| self.malformed(at, problem))?
            }
            PatternEntry::Regex(expression) => Pattern::regex(&expression).map_err(|problem| {
                self.unsupported(at, &format!("the expression {expression:?}: {problem}"))
            })?,
        };
        Ok((pattern, content))
    }

    fn metaspace(&self, at: &str, value: &Value) -> Result<Metaspace, TokenizerError> {
        let entry: MetaspaceEntry = self.read(at, value)?;
        let prepend = entry.prepend_scheme.unwrap_or(PrependScheme::Always);
        // The older flag may not contradict the newer one, whose default is "always".
        if entry.add_prefix_space == Some(false) && prepend != PrependScheme::Never {
            return Err(self.malformed(at, "`add_prefix_space` contradicts `prepend_scheme`"));
        }
        let split = entry.split.unwrap_or(true);
        Ok(Metaspace {
            replacement: entry.replacement,
            prepend,
            split,
        })
    }

    fn pre_tokenizer(&self, at: &str, value: &Value) -> Result<PreTokenizer, TokenizerError> {
        Ok(match self.kind(at, value)? {
            "Sequence" => {
                PreTokenizer::Sequence(self.members(at, value, "pretokenizers", |at, value| {
                    self.pre_tokenizer(at, value)
                })?)
            }
            "Metaspace" => PreTokenizer::Metaspace(self.metaspace(at, value)?),
            "Punctuation" => PreTokenizer::Punctuation(match value.get("behavior") {
                Some(behavior) => self.read(at, behavior)?,
                None => SplitBehavior::Isolated,
            }),
            "WhitespaceSplit" => PreTokenizer::WhitespaceSplit,
            "BertPreTokenizer" => PreTokenizer::Bert,
            "ByteLevel" => {
                let entry: ByteLevelEntry = self.read(at, value)?;
                PreTokenizer::ByteLevel(ByteLevel {
                    add_prefix_space: entry.add_prefix_space,
                    use_regex: entry.use_regex.unwrap_or(true),
                })
            }
            other => return Err(self.unsupported(at, other)),
        })
    }

    fn post_processor(&self, at: &str, value: &Value) -> Result<PostProcessor, TokenizerError> {
        match self.kind(at, value)? {
            "Sequence" => {
                let members = self.members(at, value, "processors", |at, value| {
                    self.post_processor(at, value)
                })?;
                let mut all = PostProcessor::default();
                for PostProcessor { template, trims } in members {
                    if all.template.is_some() && template.is_some() {
                        return Err(self.unsupported(at, "two templates after one another"));
                    }
                    if all.trims.is_some() && trims.is_some() {
                        return Err(self.unsupported(at, "offsets trimmed twice"));
                    }
                    all.template = all.template.or(template);
                    all.trims = all.trims.or(trims);
                }
                Ok(all)
            }
            "ByteLevel" => {
                let entry: ByteLevelEntry = self.read(at, value)?;
                let add_prefix_space = entry.add_prefix_space;
                Ok(PostProcessor {
                    template: None,
                    trims: entry
                        .trim_offsets
                        .then_some(TrimsOffsets { add_prefix_space }),
                })
            }
            "BertProcessing" => {
                let (cls, sep) = self.read::<TokensEntry>(at, value)?.into_pairs();
                Ok(PostProcessor {
                    template: Some(Template::bert(cls, sep)),
                    trims: None,
                })
            }
            "RobertaProcessing" => {
                let entry: RobertaEntry = self.read(at, value)?;
                let (cls, sep) = entry.tokens.into_pairs();
                let add_prefix_space = entry.add_prefix_space;
                Ok(PostProcessor {
                    template: Some(Template::roberta(cls, sep)),
                    trims: entry
                        .trim_offsets
                        .then_some(TrimsOffsets { add_prefix_space }),
                })
            }
            "TemplateProcessing" => {
                let entry: TemplateEntry = self.read(at, value)?;
                let pieces = |pieces: &[PieceEntry], is_pair| -> Result<Vec<Piece>, _> {
                    pieces
                        .iter()
                        .map(|piece| self.piece(at, piece, &entry, is_pair))
                        .collect()
                };
                let single = pieces(&entry.single, false)?;
                let pair = pieces(&entry.pair, true)?;
                Ok(PostProcessor {
                    template: Some(Template {
                        single,
                        pair,
                        types_windows: false,
                    }),
                    trims: None,
                })
            }
            other => Err(self.unsupported(at, other)),
        }
    }

    fn piece(
        &self,
        at: &str,
        piece: &PieceEntry,
        template: &TemplateEntry,
        is_pair: bool,
    ) -> Result<Piece, TokenizerError> {
        match piece {
            PieceEntry::Sequence {
                id: SequenceName::A,
                type_id,
            } => Ok(Piece::Text {
                sequence: 0,
                type_id: *type_id,
            }),
            PieceEntry::Sequence {
                id: SequenceName::B,
                ..
            } if !is_pair => {
                Err(self.malformed(at, "the template of a single text has a second text"))
            }
            PieceEntry::Sequence {
                id: SequenceName::B,
                type_id,
            } => Ok(Piece::Text {
                sequence: 1,
                type_id: *type_id,
            }),
            PieceEntry::SpecialToken { id, type_id } => {
                let Some(SpecialEntry { ids, tokens }) = template.special_tokens.get(id) else {
                    return Err(self.malformed(at, format!("no special token {id:?}")));
                };
                if ids.len() != tokens.len() {
                    return Err(self.malformed(
                        at,
                        format!("{id:?} has {} ids and {} tokens", ids.len(), tokens.len()),
                    ));
                }
                let tokens = ids.iter().copied().zip(tokens.iter().cloned()).collect();
                Ok(Piece::Special {
                    tokens,
                    type_id: *type_id,
                })
            }
        }
    }

    fn decoder(&self, at: &str, value: &Value) -> Result<Decoder, TokenizerError> {
        Ok(match self.kind(at, value)? {
            "Sequence" => Decoder::Sequence(
                self.members(at, value, "decoders", |at, value| self.decoder(at, value))?,
            ),
            "Metaspace" => Decoder::Metaspace(self.metaspace(at, value)?),
            "Replace" => {
                let (pattern, content) = self.replace(at, value)?;
                Decoder::Replace { pattern, content }
            }
            "Fuse" => Decoder::Fuse,
            "Strip" => {
                let DecoderStrip {
                    content,
                    start,
                    stop,
                } = self.read(at, value)?;
                Decoder::Strip {
                    content,
                    start,
                    stop,
                }
            }
            "ByteFallback" => Decoder::ByteFallback,
            "ByteLevel" => Decoder::ByteLevel,
            "WordPiece" => Decoder::WordPiece(self.read::<WordPiece>(at, value)?),
            other => return Err(self.unsupported(at, other)),
        })
    }

    fn truncation(&self, value: &Value) -> Result<Truncation, TokenizerError> {
        let entry: TruncationEntry = self.read("truncation", value)?;
        Ok(Truncation {
            max_length: entry.max_length,
            strategy: match entry.strategy {
                Strategy::LongestFirst => TruncationStrategy::LongestFirst,
                Strategy::OnlyFirst => TruncationStrategy::OnlyFirst,
                Strategy::OnlySecond => TruncationStrategy::OnlySecond,
            },
            side: entry.direction.into(),
            stride: entry.stride,
        })
    }

    fn padding(&self, value: &Value) -> Result<Padding, TokenizerError> {
        let entry: PaddingEntry = self.read("padding", value)?;
        Ok(Padding {
            to: match entry.strategy {
                PaddingStrategy::BatchLongest => PadTo::Longest,
                PaddingStrategy::Fixed(length) => PadTo::Fixed(length),
            },
            multiple_of: entry.pad_to_multiple_of.filter(|&multiple| multiple > 0),
            side: entry.direction.into(),
        })
    }
}
