//! The small JSON files beside a vocabulary: `tokenizer_config.json`, `special_tokens_map.json` and
//! `added_tokens.json`.

use std::path::Path;

use serde_json::{Map, Value};

use super::added_tokens::AddedToken;
use super::options::Side;
use crate::TokenizerError;

pub(super) const CONFIG: &str = "tokenizer_config.json";

pub(crate) type Object = Map<String, Value>;

/// The special tokens by their roles.
#[derive(Debug, Clone)]
pub(crate) struct SpecialTokens {
    pub(crate) cls: Role,
    pub(crate) sep: Role,
    pub(crate) pad: Role,
    pub(crate) unk: Role,
    pub(crate) mask: Role,
    /// Tokens for the beginning and the end of a text, where they are not those above.
    pub(crate) bounds: Vec<AddedToken>,
    /// What other tokens the files declare special.
    pub(crate) additional: Vec<AddedToken>,
}

/// The token that plays a role.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// `None` where a file says that nothing plays it.
    pub(crate) token: Option<AddedToken>,
    /// Whether a file names the token; otherwise it is the default, which DeBERTa
    /// and BERT have in common.
    pub(crate) is_declared: bool,
    /// Whether that file says how the token is matched; otherwise the kind of tokenizer decides.
    pub(crate) has_flags: bool,
}

impl SpecialTokens {
    /// All tokens, in the order in which Hugging Face adds them to a vocabulary.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&AddedToken, bool)> {
        [&self.unk, &self.sep, &self.pad, &self.cls, &self.mask]
            .into_iter()
            .filter_map(|role| Some((role.token.as_ref()?, role.is_declared)))
            .chain(
                self.bounds
                    .iter()
                    .chain(&self.additional)
                    .map(|token| (token, true)),
            )
    }
}

/// What the files say.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) special: SpecialTokens,
    /// Tokens with their ids, in the order of these.
    pub(crate) added: Vec<(u32, AddedToken)>,
    /// Whether a file says how each of these is matched; `added_tokens.json` does not.
    pub(crate) added_have_flags: bool,
    pub(crate) lower_case: bool,
    pub(crate) split_by_punct: bool,
    pub(crate) add_prefix_space: bool,
    pub(crate) max_length: Option<usize>,
    pub(crate) truncation_side: Side,
    pub(crate) padding_side: Side,
}

impl Settings {
    /// What holds where there are no files.
    pub(crate) fn default() -> Self {
        let role = |content: &str| Role {
            token: Some(AddedToken::special(content)),
            is_declared: false,
            has_flags: false,
        };
        Self {
            special: SpecialTokens {
                cls: role("[CLS]"),
                sep: role("[SEP]"),
                pad: role("[PAD]"),
                unk: role("[UNK]"),
                mask: role("[MASK]"),
                bounds: Vec::new(),
                additional: Vec::new(),
            },
            added: Vec::new(),
            added_have_flags: false,
            lower_case: false,
            split_by_punct: false,
            add_prefix_space: false,
            max_length: None,
            truncation_side: Side::Right,
            padding_side: Side::Right,
        }
    }

    /// Reads those of the files that there are.
    pub(crate) fn read(directory: &Path) -> Result<Self, TokenizerError> {
        let mut settings = Self::default();
        let config = File::open(directory, CONFIG)?;
        if let Some(config) = &config {
            settings.configure(config)?;
        }
        // A list of all added tokens, with their flags, makes the two older files redundant.
        let has_list = |config: &File| config.given("added_tokens_decoder").is_some();
        settings.added_have_flags = config.as_ref().is_some_and(has_list);
        if !settings.added_have_flags {
            if let Some(map) = File::open(directory, "special_tokens_map.json")? {
                settings.name_special_tokens(&map)?;
            }
            if let Some(tokens) = File::open(directory, "added_tokens.json")? {
                settings.add_tokens(&tokens)?;
            }
        }
        Ok(settings)
    }

    fn configure(&mut self, file: &File) -> Result<(), TokenizerError> {
        self.name_special_tokens(file)?;
        self.lower_case = file.flag("do_lower_case")?;
        self.split_by_punct = file.flag("split_by_punct")?;
        self.add_prefix_space = file.flag("add_prefix_space")?;
        self.max_length = file.length("model_max_length")?;
        self.truncation_side = file.side("truncation_side")?;
        self.padding_side = file.side("padding_side")?;
        match file.content.get("added_tokens_decoder") {
            None | Some(Value::Null) => {}
            Some(Value::Object(tokens)) => {
                for (key, token) in tokens {
                    let at = format!("added_tokens_decoder[{key:?}]");
                    let id = key
                        .parse()
                        .map_err(|_| file.invalid(&at, "the key is no id"))?;
                    self.added.push((id, file.added_token(&at, token, false)?));
                }
                self.added.sort_by_key(|(id, _)| *id);
            }
            Some(_) => return Err(file.invalid("added_tokens_decoder", "expected an object")),
        }
        Ok(())
    }

    fn name_special_tokens(&mut self, file: &File) -> Result<(), TokenizerError> {
        let special = &mut self.special;
        for (key, role) in [
            ("cls_token", &mut special.cls),
            ("sep_token", &mut special.sep),
            ("pad_token", &mut special.pad),
            ("unk_token", &mut special.unk),
            ("mask_token", &mut special.mask),
        ] {
            let Some(value) = file.content.get(key) else {
                continue;
            };
            let token = match value {
                Value::Null => None,
                value => Some(file.added_token(key, value, true)?),
            };
            *role = Role {
                token,
                is_declared: true,
                has_flags: value.is_object(),
            };
        }
        for key in ["bos_token", "eos_token"] {
            if let Some(value) = file.content.get(key).filter(|value| !value.is_null()) {
                let token = file.added_token(key, value, true)?;
                if !self.is_special(&token) {
                    self.special.bounds.push(token);
                }
            }
        }
        match file.content.get("additional_special_tokens") {
            None | Some(Value::Null) => {}
            Some(Value::Array(tokens)) => {
                for (index, token) in tokens.iter().enumerate() {
                    let at = format!("additional_special_tokens[{index}]");
                    let token = file.added_token(&at, token, true)?;
                    if !self.is_special(&token) {
                        self.special.additional.push(token);
                    }
                }
            }
            Some(_) => return Err(file.invalid("additional_special_tokens", "expected a list")),
        }
        Ok(())
    }

    fn is_special(&self, token: &AddedToken) -> bool {
        self.special
            .all()
            .any(|(known, _)| known.content == token.content)
    }

    /// `added_tokens.json` gives ids and no flags.
    fn add_tokens(&mut self, file: &File) -> Result<(), TokenizerError> {
        for (content, id) in &file.content {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| file.invalid(&format!("{content:?}"), "expected an id"))?;
            let special = self
                .special
                .all()
                .find(|(token, _)| token.content == *content);
            let token = match special {
                Some((token, _)) => token.clone(),
                None => AddedToken {
                    normalized: true,
                    special: false,
                    ..AddedToken::special(content)
                },
            };
            self.added.push((id, token));
        }
        self.added.sort_by_key(|(id, _)| *id);
        Ok(())
    }
}

/// Whether a decoded text is to be cleaned up as a whole.
pub(super) fn cleans_up(directory: &Path) -> Result<bool, TokenizerError> {
    let config = File::open(directory, CONFIG)?;
    config.map_or(Ok(false), |config| {
        config.flag("clean_up_tokenization_spaces")
    })
}

/// One of the files.
pub(crate) struct File {
    /// Its path, for errors.
    name: String,
    content: Object,
}

impl File {
    /// `None` where there is no such file.
    pub(crate) fn open(directory: &Path, name: &str) -> Result<Option<Self>, TokenizerError> {
        let path = directory.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TokenizerError::Io { path, source }),
        };
        let content = serde_json::from_slice(&bytes)
            .map_err(|error| TokenizerError::from(error).in_file(&path))?;
        Ok(Some(Self {
            name: path.display().to_string(),
            content,
        }))
    }

    pub(crate) fn invalid(&self, component: &str, problem: &str) -> TokenizerError {
        TokenizerError::InvalidComponent {
            component: component.to_owned(),
            problem: problem.to_owned(),
            file: self.name.clone(),
        }
    }

    pub(crate) fn unsupported(&self, component: &str, found: impl ToString) -> TokenizerError {
        TokenizerError::Unsupported {
            component: component.to_owned(),
            found: found.to_string(),
            file: self.name.clone(),
        }
    }

    pub(crate) fn content(&self) -> &Object {
        &self.content
    }

    /// The value of a key, if there is one and it is not null.
    pub(crate) fn given(&self, key: &str) -> Option<&Value> {
        self.content.get(key).filter(|value| !value.is_null())
    }

    /// `false` where it is absent.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, TokenizerError> {
        Ok(self.optional_flag(key)?.unwrap_or(false))
    }

    pub(crate) fn optional_flag(&self, key: &str) -> Result<Option<bool>, TokenizerError> {
        match self.given(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => {
                Err(self.invalid(key, &format!("expected true or false, found {other}")))
            }
        }
    }

    fn side(&self, key: &str) -> Result<Side, TokenizerError> {
        match self.content.get(key).map(|value| (value, value.as_str())) {
            None | Some((Value::Null, _)) | Some((_, Some("right"))) => Ok(Side::Right),
            Some((_, Some("left"))) => Ok(Side::Left),
            Some((other, _)) => Err(self.invalid(
                key,
                &format!("expected \"left\" or \"right\", found {other}"),
            )),
        }
    }

    /// A number of tokens. Hugging Face writes 10^30 for "no limit", so what is beyond any text is none.
    fn length(&self, key: &str) -> Result<Option<usize>, TokenizerError> {
        let Some(value) = self.content.get(key).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if number >= 1e15 => Ok(None),
            Some(number) if number >= 1.0 && number.fract() == 0.0 => Ok(Some(number as usize)),
            _ => Err(self.invalid(key, &format!("expected a number of tokens, found {value}"))),
        }
    }

    /// A token, as its content alone or with flags.
    pub(crate) fn added_token(
        &self,
        at: &str,
        value: &Value,
        special: bool,
    ) -> Result<AddedToken, TokenizerError> {
        let object = match value {
            Value::String(content) => {
                return Ok(AddedToken {
                    special,
                    normalized: !special,
                    ..AddedToken::special(content)
                });
            }
            Value::Object(object) => object,
            other => {
                return Err(self.invalid(at, &format!("expected a token, found {other}")));
            }
        };
        let Some(content) = object.get("content").and_then(Value::as_str) else {
            return Err(self.invalid(at, "expected a string `content`"));
        };
        let flag = |key: &str, default: bool| match object.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.invalid(
                at,
                &format!("`{key}`: expected true or false, found {other}"),
            )),
        };
        let special = special || flag("special", false)?;
        Ok(AddedToken {
            content: content.to_owned(),
            single_word: flag("single_word", false)?,
            lstrip: flag("lstrip", false)?,
            rstrip: flag("rstrip", false)?,
            normalized: flag("normalized", !special)?,
            special,
        })
    }
}
