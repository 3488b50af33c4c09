//! The tokenizer of a DeBERTa checkpoint.

use std::path::Path;

use super::byte_level;
use super::sentencepiece::SpmTokenizer;
use crate::hf::{
    EncodeOptions, Encoder, Encoding, HfTokenizer, Input, PadToken, Role, Settings, Side, Template,
    check_length,
};
use crate::{SentencePiece, TokenizerError};

/// The tokenizer of a DeBERTa checkpoint: from a `tokenizer.json`, a SentencePiece model (v2, v3, mDeBERTa)
/// or a byte-level vocabulary with its merges (v1).
///
/// It can be used from any number of threads at once.
///
/// ```no_run
/// use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions, Padding, Truncation};
///
/// let tokenizer = DebertaTokenizer::from_dir("my-model")?;
/// let options = EncodeOptions {
///     truncation: Some(Truncation { max_length: 128, ..Truncation::default() }),
///     padding: Some(Padding::default()),
///     ..EncodeOptions::default()
/// };
/// let encodings = tokenizer.encode_batch(&["A text.", "Another, longer text."], &options)?;
/// for encoding in &encodings {
///     assert_eq!(encoding.dropped, 0, "a text was cut off");
/// }
/// # Ok::<(), tokenizer_spm::TokenizerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DebertaTokenizer {
    vocabulary: Vocabulary,
    template: Template,
    cls: Option<u32>,
    sep: Option<u32>,
    pad: Option<u32>,
    unk: Option<u32>,
    mask: Option<u32>,
    max_length: Option<usize>,
    truncation_side: Side,
    padding_side: Side,
}

#[derive(Debug, Clone)]
enum Vocabulary {
    Hf(Box<HfTokenizer>),
    Spm(Box<SpmTokenizer>),
}

/// Names of SentencePiece models in directories of checkpoints.
const SPM_NAMES: [&str; 2] = ["spm.model", "spiece.model"];

impl DebertaTokenizer {
    /// Reads the directory of a checkpoint.
    ///
    /// The vocabulary is `tokenizer.json` if there is one, else `spm.model` or `spiece.model`, else
    /// `vocab.json` with `merges.txt`. Special tokens, their flags and other settings come from
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`; each may be missing.
    ///
    /// `do_lower_case` and `split_by_punct` hold for SentencePiece models, `add_prefix_space` for a
    /// `vocab.json`. A `tokenizer.json` says itself what is done to the text.
    ///
    /// # Errors
    /// When there is no vocabulary, when a file cannot be read or is malformed, or when it asks for
    /// something that this crate does not do.
    pub fn from_dir(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let directory = path.as_ref();
        let settings = Settings::read(directory)?;
        let json = directory.join("tokenizer.json");
        if json.is_file() {
            return Self::from_hf(HfTokenizer::from_file(json)?, &settings);
        }
        for name in SPM_NAMES {
            let model = directory.join(name);
            if model.is_file() {
                return Self::from_spm(SentencePiece::from_file(model)?, &settings);
            }
        }
        match byte_level::read(directory, &settings)? {
            Some(tokenizer) => Self::from_byte_level(tokenizer, &settings),
            None => Err(TokenizerError::NoVocabulary {
                path: directory.to_owned(),
            }),
        }
    }

    /// Reads a directory, a `tokenizer.json`, a `vocab.json` or `merges.txt` with the other of the two
    /// beside it, or a SentencePiece model by any name. A file is taken alone, with DeBERTa's special
    /// tokens.
    ///
    /// # Errors
    /// As [`from_dir`](Self::from_dir).
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        if path.is_dir() {
            return Self::from_dir(path);
        }
        let settings = Settings::default();
        if byte_level::is_file_name(path) {
            let directory = path.parent().unwrap_or(Path::new(""));
            return match byte_level::read(directory, &settings)? {
                Some(tokenizer) => Self::from_byte_level(tokenizer, &settings),
                None => Err(TokenizerError::NoVocabulary {
                    path: directory.to_owned(),
                }),
            };
        }
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
        {
            Self::from_hf(HfTokenizer::from_file(path)?, &settings)
        } else {
            Self::from_spm(SentencePiece::from_file(path)?, &settings)
        }
    }

    fn from_hf(mut tokenizer: HfTokenizer, settings: &Settings) -> Result<Self, TokenizerError> {
        // Tokens that the files beside it declare and the file itself does not know are added.
        let added: Vec<_> = settings
            .added
            .iter()
            .map(|(_, token)| token.clone())
            .collect();
        tokenizer.add_tokens(&added)?;
        let unknown: Vec<_> = settings
            .special
            .all()
            .filter(|(token, is_declared)| *is_declared && !tokenizer.is_added(&token.content))
            .map(|(token, _)| token.clone())
            .collect();
        tokenizer.add_tokens(&unknown)?;
        let template = tokenizer.template().clone();
        Ok(Self::new(
            Vocabulary::Hf(Box::new(tokenizer)),
            template,
            settings,
        ))
    }

    /// Reads the contents of a `vocab.json` and a `merges.txt`, the byte-level vocabulary of DeBERTa v1,
    /// with DeBERTa's special tokens.
    ///
    /// ```
    /// use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};
    ///
    /// let vocabulary = br#"{"[PAD]":0, "[CLS]":1, "[SEP]":2, "[UNK]":3, "h":4, "i":5, "hi":6, "\u0120":7}"#;
    /// let tokenizer = DebertaTokenizer::from_vocab_and_merges(vocabulary, b"#version: 0.2\nh i\n")?;
    /// let encoding = tokenizer.encode("hi h", &EncodeOptions::default())?;
    /// assert_eq!(encoding.ids, [1, 6, 7, 4, 2]);
    /// # Ok::<(), tokenizer_spm::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// When the contents are malformed or do not fit together.
    pub fn from_vocab_and_merges(vocab: &[u8], merges: &[u8]) -> Result<Self, TokenizerError> {
        let settings = Settings::default();
        let tokenizer = byte_level::from_bytes(vocab, merges, &settings)?;
        Self::from_byte_level(tokenizer, &settings)
    }

    fn from_byte_level(
        tokenizer: HfTokenizer,
        settings: &Settings,
    ) -> Result<Self, TokenizerError> {
        let template = Self::bert_template(settings, |token| tokenizer.token_to_id(token))?;
        Ok(Self::new(
            Vocabulary::Hf(Box::new(tokenizer)),
            template,
            settings,
        ))
    }

    fn from_spm(model: SentencePiece, settings: &Settings) -> Result<Self, TokenizerError> {
        let tokenizer = SpmTokenizer::new(model, settings)?;
        let template = Self::bert_template(settings, |token| tokenizer.token_to_id(token))?;
        Ok(Self::new(
            Vocabulary::Spm(Box::new(tokenizer)),
            template,
            settings,
        ))
    }

    /// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, whatever these tokens are called.
    fn bert_template(
        settings: &Settings,
        id: impl Fn(&str) -> Option<u32>,
    ) -> Result<Template, TokenizerError> {
        let special = |role: &Role, component: &str| {
            let token = role.token.as_ref().map(|token| token.content.clone());
            let found = token.and_then(|token| Some((id(&token)?, token)));
            found.ok_or_else(|| TokenizerError::InvalidComponent {
                component: component.to_owned(),
                problem: "a vocabulary without a tokenizer.json needs one, found null".to_owned(),
                file: "tokenizer_config.json".to_owned(),
            })
        };
        Ok(Template::bert(
            special(&settings.special.cls, "cls_token")?,
            special(&settings.special.sep, "sep_token")?,
        ))
    }

    fn new(vocabulary: Vocabulary, template: Template, settings: &Settings) -> Self {
        let id = |role: &Role| vocabulary.token_to_id(&role.token.as_ref()?.content);
        Self {
            cls: id(&settings.special.cls),
            sep: id(&settings.special.sep),
            pad: id(&settings.special.pad),
            unk: id(&settings.special.unk),
            mask: id(&settings.special.mask),
            max_length: settings.max_length,
            truncation_side: settings.truncation_side,
            padding_side: settings.padding_side,
            vocabulary,
            template,
        }
    }

    /// Encodes a text or a pair of texts.
    ///
    /// # Errors
    /// When the options cannot be met, or when a text has 4 GiB or more.
    pub fn encode<'a>(
        &self,
        input: impl Into<Input<'a>>,
        options: &EncodeOptions,
    ) -> Result<Encoding, TokenizerError> {
        self.encode_one(input.into(), options)
    }

    /// Encodes texts, pairs of texts or [`Input`]s on all threads of the current `rayon` pool. Results are
    /// in the order of the inputs, and each is what [`encode`](Self::encode) gives, except that padding to
    /// the longest means the longest of the batch.
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

    /// Puts special tokens around texts, or parts of texts, that were encoded without: what
    /// [`Encoding::slice`] cuts out of a long text becomes a window that a model can read.
    ///
    /// ```no_run
    /// # let tokenizer = tokenizer_spm::deberta::DebertaTokenizer::from_dir("my-model")?;
    /// use tokenizer_spm::deberta::EncodeOptions;
    ///
    /// let bare = EncodeOptions { add_special_tokens: false, ..EncodeOptions::default() };
    /// let text = tokenizer.encode("A long text.", &bare)?;
    /// let window = tokenizer.with_special_tokens(&text.slice(1..3), None);
    /// assert_eq!(window.len(), 4);
    /// # Ok::<(), tokenizer_spm::TokenizerError>(())
    /// ```
    pub fn with_special_tokens(&self, first: &Encoding, second: Option<&Encoding>) -> Encoding {
        let is_pair = second.is_some();
        let capacity = first.len() + second.map_or(0, Encoding::len) + self.template.added(is_pair);
        let mut encoding = self
            .template
            .fill(is_pair, true, capacity, |out, sequence, type_id| {
                let text = if sequence == 0 { Some(first) } else { second };
                let Some(text) = text else { return };
                let start = out.len();
                out.append(text, 0..text.len(), Some(type_id));
                out.sequence_ids[start..].fill(Some(sequence as u8));
            });
        encoding.dropped = first.dropped + second.map_or(0, |second| second.dropped);
        encoding
    }

    /// Text for token ids. Without `skip_special_tokens` special tokens appear as they are written.
    ///
    /// # Errors
    /// When an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, TokenizerError> {
        match &self.vocabulary {
            Vocabulary::Hf(tokenizer) => tokenizer.decode(ids, skip_special_tokens),
            Vocabulary::Spm(tokenizer) => tokenizer.decode(ids, skip_special_tokens),
        }
    }

    /// The id of a token.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.vocabulary.token_to_id(token)
    }

    /// The token of an id.
    pub fn id_to_token(&self, id: u32) -> Option<&str> {
        match &self.vocabulary {
            Vocabulary::Hf(tokenizer) => tokenizer.id_to_token(id),
            Vocabulary::Spm(tokenizer) => tokenizer.id_to_token(id),
        }
    }

    /// How many tokens there are, added ones included. The model's table may have more rows.
    pub fn vocab_size(&self) -> usize {
        match &self.vocabulary {
            Vocabulary::Hf(tokenizer) => tokenizer.vocab_size(),
            Vocabulary::Spm(tokenizer) => tokenizer.vocab_size(),
        }
    }

    /// The id of the token before a text, `[CLS]`.
    pub fn cls_token_id(&self) -> Option<u32> {
        self.cls
    }

    /// The id of the token after each text, `[SEP]`.
    pub fn sep_token_id(&self) -> Option<u32> {
        self.sep
    }

    /// The id of the padding token, `[PAD]`.
    pub fn pad_token_id(&self) -> Option<u32> {
        self.pad
    }

    /// The id of the token for unknown text, `[UNK]`.
    pub fn unk_token_id(&self) -> Option<u32> {
        self.unk
    }

    /// The id of the token for text to be filled in, `[MASK]`.
    pub fn mask_token_id(&self) -> Option<u32> {
        self.mask
    }

    /// How many tokens the model reads at most, if `tokenizer_config.json` says so.
    pub fn model_max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// The end at which `tokenizer_config.json` wants texts to be cut.
    pub fn truncation_side(&self) -> Side {
        self.truncation_side
    }

    /// The end at which `tokenizer_config.json` wants texts to be padded.
    pub fn padding_side(&self) -> Side {
        self.padding_side
    }
}

impl Encoder for DebertaTokenizer {
    fn encode_text(
        &self,
        text: &str,
        sequence: u8,
        trim: bool,
    ) -> Result<Encoding, TokenizerError> {
        check_length(text)?;
        match &self.vocabulary {
            Vocabulary::Hf(tokenizer) => tokenizer.encode_text(text, sequence, trim),
            Vocabulary::Spm(tokenizer) => Ok(tokenizer.encode_text(text, sequence, trim)),
        }
    }

    fn template(&self) -> &Template {
        &self.template
    }

    fn pad_token(&self) -> Result<PadToken, TokenizerError> {
        let token = self.pad.and_then(|id| Some((id, self.id_to_token(id)?)));
        match token {
            Some((id, content)) => Ok(PadToken {
                id,
                content: content.to_owned(),
            }),
            None => Err(TokenizerError::InvalidOptions {
                option: "padding",
                problem: "the tokenizer has no padding token".to_owned(),
            }),
        }
    }
}

impl Vocabulary {
    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Vocabulary::Hf(tokenizer) => tokenizer.token_to_id(token),
            Vocabulary::Spm(tokenizer) => tokenizer.token_to_id(token),
        }
    }
}
