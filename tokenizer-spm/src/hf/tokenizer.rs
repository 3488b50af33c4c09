//! The tokenizer that a `tokenizer.json` describes.

use std::collections::HashMap;
use std::path::Path;

use super::added_tokens::{AddedToken, AddedVocabulary};
use super::assemble::PadToken;
use super::bert::BertNormalizer;
use super::byte_level;
use super::decoders::{Decoder, clean_up};
use super::encode::Encoder;
use super::encoding::Encoding;
use super::model::{BpeModel, Model, WordPieceModel};
use super::normalizers::Normalizer;
use super::options::{EncodeOptions, Input, Padding, Truncation};
use super::pre_tokenizers::PreTokenizer;
use super::schema::{TokenizerFile, TrimsOffsets};
use super::template::Template;
use super::{settings, vocab_txt};
use crate::TokenizerError;

/// A tokenizer read from a `tokenizer.json`, with a Unigram model, a BPE model such as byte-level ones, or
/// a WordPiece model such as BERT's; or from the `vocab.txt` of a BERT model.
///
/// It does what the file says and nothing else, step by step as Hugging Face's `tokenizers` does: cut
/// out added tokens, normalise, cut into words, cut these into tokens, put special tokens around them.
///
/// ```
/// use tokenizer_spm::hf::{EncodeOptions, HfTokenizer};
///
/// let file = br#"{
///     "added_tokens": [],
///     "pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"},
///     "decoder": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"},
///     "model": {"type": "Unigram", "unk_id": 0,
///               "vocab": [["?", 0.0], ["_hello", -1.0], ["_world", -1.5], ["!", -2.0]]}
/// }"#;
/// let tokenizer = HfTokenizer::from_bytes(file)?;
/// let encoding = tokenizer.encode("hello world!", &EncodeOptions::default())?;
/// assert_eq!(encoding.tokens, ["_hello", "_world", "!"]);
/// assert_eq!(encoding.ids, [1, 2, 3]);
/// assert_eq!(encoding.offsets, [(0, 5), (6, 11), (11, 12)]);
/// assert_eq!(tokenizer.decode(&encoding.ids, true)?, "hello world!");
/// # Ok::<(), tokenizer_spm::TokenizerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct HfTokenizer {
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<PreTokenizer>,
    model: Model,
    added: AddedVocabulary,
    template: Template,
    /// Whether the reference trims offsets in its own way.
    trims: Option<TrimsOffsets>,
    decoder: Option<Decoder>,
    cleans_up: bool,
    truncation: Option<Truncation>,
    padding: Option<Padding>,
    /// Names of the token to pad with; the first that is there counts.
    pads: Vec<String>,
}

/// The token that DeBERTa or other SentencePiece models pad with.
fn usual_pads() -> Vec<String> {
    ["[PAD]", "<pad>"].map(String::from).to_vec()
}

/// What a BERT tokenizer consists of.
pub(super) struct BertParts {
    pub(super) normalizer: BertNormalizer,
    pub(super) model: WordPieceModel,
    pub(super) decoder: Decoder,
    /// Whether a decoded text is cleaned up as a whole.
    pub(super) cleans_up: bool,
    /// Added in this order.
    pub(super) tokens: Vec<AddedToken>,
    pub(super) cls: String,
    pub(super) sep: String,
    pub(super) pad: Option<String>,
}

/// What a tokenizer consists of that comes from other files than a `tokenizer.json`.
pub(crate) struct Parts {
    pub(crate) pre_tokenizer: PreTokenizer,
    pub(crate) model: BpeModel,
    pub(crate) decoder: Decoder,
    /// Tokens with the ids that they must have, if any.
    pub(crate) tokens: Vec<(Option<u32>, AddedToken)>,
}

impl HfTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be read, is malformed, or lists a component that this crate does not have.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| TokenizerError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::read(&bytes, &path.display().to_string()).map_err(|error| match error {
            named @ (TokenizerError::Unsupported { .. }
            | TokenizerError::InvalidComponent { .. }) => named,
            error => error.in_file(path),
        })
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        Self::read(bytes, "tokenizer.json")
    }

    /// Reads the directory of a BERT model that has no `tokenizer.json`: the vocabulary is `vocab.txt`, a
    /// token in each line. A `tokenizer.json` is not looked at; where there is one, it is the better choice.
    ///
    /// The result is what `BertTokenizer` of `transformers` 5 makes of the directory. Its settings come from
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`; each may be missing:
    ///
    /// | key | what it does | where it is missing |
    /// |---|---|---|
    /// | `do_lower_case` | puts text in lower case | true |
    /// | `strip_accents` | removes accents | as `do_lower_case` |
    /// | `tokenize_chinese_chars` | makes each Chinese character a word | true |
    /// | `cls_token`, `sep_token`, `pad_token`, `unk_token`, `mask_token` | name the special tokens | `[CLS]`, `[SEP]`, `[PAD]`, `[UNK]`, `[MASK]` |
    /// | `bos_token`, `eos_token`, `additional_special_tokens` or `extra_special_tokens` | name more of them | none |
    /// | `added_tokens_decoder` | says how added tokens are matched | as they are written |
    /// | `clean_up_tokenization_spaces` | cleans a decoded text up once more, as a whole | false |
    ///
    /// Lengths and sides of truncation and padding are read and not applied, as those of a `tokenizer.json`.
    /// Settings that would change the tokens in any other way are refused by name.
    ///
    /// ```
    /// use tokenizer_spm::hf::{EncodeOptions, HfTokenizer};
    ///
    /// let directory = tempfile::tempdir()?;
    /// let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nplay\n##ing\n!\n";
    /// std::fs::write(directory.path().join("vocab.txt"), vocabulary)?;
    ///
    /// let tokenizer = HfTokenizer::from_vocab_txt(directory.path())?;
    /// let encoding = tokenizer.encode("Playing!", &EncodeOptions::default())?;
    /// assert_eq!(encoding.tokens, ["[CLS]", "play", "##ing", "!", "[SEP]"]);
    /// assert_eq!(encoding.offsets[1..4], [(0, 4), (4, 7), (7, 8)]);
    /// assert_eq!(tokenizer.decode(&encoding.ids, true)?, "playing!");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When a file cannot be read or is malformed, when a line is there twice or the unknown token is not,
    /// or when a setting asks for something that this crate does not do.
    pub fn from_vocab_txt(directory: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        vocab_txt::read(directory.as_ref())
    }

    /// Reads a directory: its `tokenizer.json`, or its `vocab.txt` where it has none
    /// ([`from_vocab_txt`](Self::from_vocab_txt)).
    ///
    /// Where `tokenizer_config.json` says `clean_up_tokenization_spaces`, a decoded text is cleaned up as a
    /// whole, but not that of a BPE model, as `transformers` 5 has it.
    ///
    /// # Errors
    /// When the directory has neither file; else as [`from_file`](Self::from_file) or
    /// [`from_vocab_txt`](Self::from_vocab_txt).
    pub fn from_dir(directory: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let directory = directory.as_ref();
        let file = directory.join("tokenizer.json");
        if file.is_file() {
            let mut tokenizer = Self::from_file(file)?;
            let may = !matches!(tokenizer.model, Model::Bpe(_));
            tokenizer.cleans_up = may && settings::cleans_up(directory)?;
            return Ok(tokenizer);
        }
        match directory.join(vocab_txt::VOCABULARY).is_file() {
            true => Self::from_vocab_txt(directory),
            false => Err(TokenizerError::NoVocabulary {
                path: directory.to_owned(),
            }),
        }
    }

    fn read(bytes: &[u8], file: &str) -> Result<Self, TokenizerError> {
        let content: TokenizerFile = serde_json::from_slice(bytes)?;
        let components = content.components(file)?;
        let mut tokenizer = Self {
            normalizer: components.normalizer,
            pre_tokenizer: components.pre_tokenizer,
            model: content.model.build(file)?,
            added: AddedVocabulary::default(),
            template: components
                .post_processor
                .template
                .unwrap_or_else(Template::bare),
            trims: components.post_processor.trims,
            decoder: components.decoder,
            cleans_up: false,
            truncation: components.truncation,
            padding: components.padding,
            pads: usual_pads(),
        };
        let tokens: Vec<AddedToken> = content
            .added_tokens
            .into_iter()
            .map(|entry| entry.token)
            .collect();
        tokenizer.add_tokens(&tokens)?;
        Ok(tokenizer)
    }

    /// A tokenizer without a template.
    pub(crate) fn from_parts(parts: Parts) -> Result<Self, TokenizerError> {
        let ids: HashMap<&str, u32> = parts
            .tokens
            .iter()
            .filter_map(|(id, token)| Some((token.content.as_str(), (*id)?)))
            .collect();
        let tokens: Vec<AddedToken> = parts
            .tokens
            .iter()
            .map(|(_, token)| token.clone())
            .collect();
        // What has an id already, of the model or of a file, is not given away again.
        let next = ids
            .values()
            .copied()
            .filter(|&id| id < u32::MAX)
            .map(|id| id + 1);
        let next = next.fold(parts.model.next_id(), u32::max);
        let mut added = AddedVocabulary::default();
        let id = |token: &str| ids.get(token).copied().or_else(|| parts.model.id(token));
        added.add(&tokens, id, next as usize, None)?;
        Ok(Self {
            normalizer: None,
            pre_tokenizer: Some(parts.pre_tokenizer),
            model: Model::Bpe(parts.model),
            added,
            template: Template::bare(),
            trims: None,
            decoder: Some(parts.decoder),
            cleans_up: false,
            truncation: None,
            padding: None,
            pads: usual_pads(),
        })
    }

    pub(super) fn from_bert_parts(parts: BertParts) -> Result<Self, TokenizerError> {
        let mut tokenizer = Self {
            normalizer: Some(Normalizer::Bert(parts.normalizer)),
            pre_tokenizer: Some(PreTokenizer::Bert),
            model: Model::WordPiece(parts.model),
            added: AddedVocabulary::default(),
            template: Template::bare(),
            trims: None,
            decoder: Some(parts.decoder),
            cleans_up: parts.cleans_up,
            truncation: None,
            padding: None,
            pads: parts.pad.into_iter().collect(),
        };
        tokenizer.add_tokens(&parts.tokens)?;
        let [cls, sep] = [parts.cls, parts.sep].map(|token| {
            let id = tokenizer.token_to_id(&token);
            id.map(|id| (id, token))
        });
        // Both have just been added.
        if let (Some(cls), Some(sep)) = (cls, sep) {
            tokenizer.template = Template::bert(cls, sep);
        }
        Ok(tokenizer)
    }

    /// Adds tokens to the vocabulary, in order. A token that is known keeps its id, a new one gets the
    /// next free id after the model's and the added ones; an equal token is not added twice.
    ///
    /// # Errors
    /// When normalisation makes a token unreasonably long.
    pub fn add_tokens(&mut self, tokens: &[AddedToken]) -> Result<(), TokenizerError> {
        let Self {
            model,
            added,
            normalizer,
            ..
        } = self;
        added.add(
            tokens,
            |token| model.id(token),
            model.len(),
            normalizer.as_ref(),
        )
    }

    /// Encodes a text or a pair of texts.
    ///
    /// # Errors
    /// When the options cannot be met, when a text has 4 GiB or more, or when the vocabulary has no token
    /// for unknown text and the text needs one.
    pub fn encode<'a>(
        &self,
        input: impl Into<Input<'a>>,
        options: &EncodeOptions,
    ) -> Result<Encoding, TokenizerError> {
        self.encode_one(input.into(), options)
    }

    /// Encodes texts, pairs of texts or [`Input`]s on all threads of the current `rayon` pool; results are in
    /// the order of the inputs.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_batch<'a, I>(
        &self,
        inputs: &[I],
        options: &EncodeOptions,
    ) -> Result<Vec<Encoding>, TokenizerError>
    where
        I: Into<Input<'a>> + Copy + Sync,
    {
        self.encode_all(inputs, options)
    }

    /// Whether this is an added token, known to the model or not.
    pub(crate) fn is_added(&self, content: &str) -> bool {
        self.added.tokens().id(content).is_some()
    }

    /// Text for token ids. Without `skip_special_tokens` special tokens appear as they are written.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TokenizerError> {
        let mut tokens = Vec::with_capacity(ids.len());
        for &id in ids {
            let Some(token) = self.id_to_token(id) else {
                return Err(TokenizerError::IdOutOfRange {
                    id,
                    vocab_size: self.vocab_size(),
                });
            };
            if !(skip_special_tokens && self.added.is_special(token)) {
                tokens.push(token.to_owned());
            }
        }
        let text = match &self.decoder {
            Some(decoder) => decoder.apply(tokens).concat(),
            None => tokens.join(" "),
        };
        Ok(match self.cleans_up {
            true => clean_up(&text),
            false => text,
        })
    }

    /// Whether a decoded text is cleaned up as a whole: spaces before punctuation and around apostrophes are removed, so
    /// that more tokens can change what those before them have been decoded to.
    pub fn cleans_up(&self) -> bool {
        self.cleans_up
    }

    /// The id of a token.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.added
            .tokens()
            .id(token)
            .or_else(|| self.model.id(token))
    }

    /// The token of an id.
    pub fn id_to_token(&self, id: u32) -> Option<&str> {
        let added = self
            .added
            .tokens()
            .token(id)
            .map(|token| token.content.as_str());
        added.or_else(|| self.model.piece(id))
    }

    /// How many tokens there are, added ones included.
    pub fn vocab_size(&self) -> usize {
        let new = self
            .added
            .tokens()
            .iter()
            .filter(|(_, token)| self.model.id(&token.content).is_none());
        self.model.len() + new.count()
    }

    /// The added tokens with their ids, in the order of these.
    pub fn added_tokens(&self) -> Vec<(u32, &AddedToken)> {
        self.added.tokens().iter().collect()
    }

    /// The truncation that the file asks for. It is applied only if it is passed to
    /// [`encode`](Self::encode): nothing is ever cut off unasked.
    pub fn truncation(&self) -> Option<&Truncation> {
        self.truncation.as_ref()
    }

    /// The padding that the file asks for. It is applied only if it is passed to
    /// [`encode`](Self::encode).
    pub fn padding(&self) -> Option<&Padding> {
        self.padding.as_ref()
    }
}

impl Encoder for HfTokenizer {
    fn encode_text(
        &self,
        text: &str,
        sequence: u8,
        trim: bool,
    ) -> Result<Encoding, TokenizerError> {
        check_length(text)?;
        let mut splits = self.added.extract(text, self.normalizer.as_ref())?;
        if let Some(pre_tokenizer) = &self.pre_tokenizer {
            pre_tokenizer.apply(&mut splits);
        }
        let mut encoding = Encoding::with_capacity(splits.parts().len());
        self.model.tokenize(&splits, sequence, &mut encoding)?;
        if let Some(trims) = self.trims.filter(|_| !trim) {
            byte_level::trim_offsets(&mut encoding, text, trims.add_prefix_space);
        }
        encoding.finish_text(text, trim);
        Ok(encoding)
    }

    fn template(&self) -> &Template {
        &self.template
    }

    fn pad_token(&self) -> Result<PadToken, TokenizerError> {
        let known = |content: &String| {
            let id = self.token_to_id(content)?;
            let content = content.clone();
            Some(PadToken { id, content })
        };
        self.pads
            .iter()
            .find_map(known)
            .ok_or_else(|| TokenizerError::InvalidOptions {
                option: "padding",
                problem: match self.pads.as_slice() {
                    [] => "the tokenizer has no token to pad with".to_owned(),
                    pads => format!("the vocabulary has none of {pads:?}"),
                },
            })
    }
}

/// Positions in a text are kept in 32 bits.
pub(crate) fn check_length(text: &str) -> Result<(), TokenizerError> {
    const MAX: usize = u32::MAX as usize - 1;
    if text.len() > MAX {
        return Err(TokenizerError::TextTooLong {
            length: text.len(),
            max: MAX,
        });
    }
    Ok(())
}
