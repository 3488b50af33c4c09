//! The tokenizer of a BERT model that comes as a `vocab.txt`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::added_tokens::AddedToken;
use super::bert::BertNormalizer;
use super::decoders::{Decoder, WordPiece};
use super::model::{WordPieceModel, WordPieceOptions};
use super::settings::{self, File, Role, Settings};
use super::tokenizer::{BertParts, HfTokenizer};
use crate::TokenizerError;

pub(super) const VOCABULARY: &str = "vocab.txt";

/// Classes of `transformers` that read a `vocab.txt` all alike; each may end in `Fast`.
const CLASSES: [&str; 4] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
];

/// Keys that end in `_token` and name special tokens that every tokenizer has.
const ROLES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Reads a directory.
pub(super) fn read(directory: &Path) -> Result<HfTokenizer, TokenizerError> {
    let path = directory.join(VOCABULARY);
    let bytes = std::fs::read(&path).map_err(|source| TokenizerError::Io {
        path: path.clone(),
        source,
    })?;
    let vocabulary = lines(&bytes, &path)?;
    let mut settings = Settings::read(directory)?;
    let mut normalizer = usual_normalizer();
    if let Some(config) = File::open(directory, settings::CONFIG)? {
        normalizer = configured(&config)?;
        let more = extra_tokens(&config, !settings.special.additional.is_empty())?;
        settings.special.additional.extend(more);
    }
    if !settings.added_have_flags
        && let Some(map) = File::open(directory, "special_tokens_map.json")?
    {
        check_roles(&map)?;
        let more = extra_tokens(&map, !settings.special.additional.is_empty())?;
        settings.special.additional.extend(more);
    }

    let special = &settings.special;
    let needed = |role: &Role, key: &str| match &role.token {
        Some(token) => Ok(token.content.clone()),
        None => Err(TokenizerError::Unsupported {
            component: key.to_owned(),
            found: "null".to_owned(),
            file: directory.join(settings::CONFIG).display().to_string(),
        }),
    };
    let options = WordPieceOptions {
        unknown: needed(&special.unk, "unk_token")?,
        ..WordPieceOptions::default()
    };
    let model = WordPieceModel::new(vocabulary, &options).map_err(|error| error.in_file(&path))?;
    HfTokenizer::from_bert_parts(BertParts {
        normalizer,
        model,
        decoder: Decoder::WordPiece(WordPiece {
            prefix: options.prefix,
            cleanup: true,
        }),
        cleans_up: settings::cleans_up(directory)?,
        tokens: added_tokens(&settings),
        cls: needed(&special.cls, "cls_token")?,
        sep: needed(&special.sep, "sep_token")?,
        pad: special.pad.token.as_ref().map(|pad| pad.content.clone()),
    })
}

/// The tokens of a vocabulary: one in each line, white space at its end aside, with the line's number,
/// from 0, as id.
fn lines(bytes: &[u8], path: &Path) -> Result<Vec<(String, u32)>, TokenizerError> {
    let mut vocabulary = Vec::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Ok(vocabulary);
    }
    for (id, line) in (0..).zip(whole.split(|&byte| byte == b'\n')) {
        let number = vocabulary.len() + 1;
        let invalid = |expected, found| TokenizerError::InvalidLine {
            file: path.display().to_string(),
            line: number,
            expected,
            found,
        };
        let token = std::str::from_utf8(line).map_err(|error| {
            let valid = error.valid_up_to();
            invalid(
                "UTF-8",
                format!("other bytes from byte {valid} of the line on"),
            )
        })?;
        let token = token.trim_end();
        if let Some(earlier) = seen.insert(token, number) {
            let shown: String = token.chars().take(60).collect();
            return Err(invalid(
                "a token that no other line has",
                format!("{shown:?}, as in line {earlier}"),
            ));
        }
        vocabulary.push((token.to_owned(), id));
    }
    Ok(vocabulary)
}

/// What BERT does to a text where nothing is said.
fn usual_normalizer() -> BertNormalizer {
    BertNormalizer {
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: None,
        lowercase: true,
    }
}

/// What `tokenizer_config.json` says of BERT alone.
fn configured(config: &File) -> Result<BertNormalizer, TokenizerError> {
    let normalizer = BertNormalizer {
        lowercase: flag(config, "do_lower_case", true)?,
        strip_accents: config.optional_flag("strip_accents")?,
        handle_chinese_chars: flag(config, "tokenize_chinese_chars", true)?,
        ..usual_normalizer()
    };
    if let Some(class) = config.given("tokenizer_class") {
        let name = class.as_str().unwrap_or_default();
        if !CLASSES.contains(&name.strip_suffix("Fast").unwrap_or(name)) {
            return Err(config.unsupported("tokenizer_class", class));
        }
    }
    // The Python tokenizer and the one in Rust part here, so neither is followed.
    for (key, usual) in [
        ("do_basic_tokenize", true),
        ("do_split_on_punc", true),
        ("clean_text", true),
        ("split_special_tokens", false),
    ] {
        let found = config.optional_flag(key)?;
        if let Some(found) = found.filter(|&found| found != usual) {
            return Err(config.unsupported(key, found));
        }
    }
    if let Some(never_split) = config.given("never_split")
        && !never_split.as_array().is_some_and(Vec::is_empty)
    {
        return Err(config.unsupported("never_split", never_split));
    }
    if let Some(prefix) = config.given("wordpieces_prefix").filter(|&p| p != "##") {
        return Err(config.unsupported("wordpieces_prefix", prefix));
    }
    check_roles(config)?;
    Ok(normalizer)
}

/// A flag that may be missing but not null.
fn flag(config: &File, key: &str, default: bool) -> Result<bool, TokenizerError> {
    if config.content().get(key) == Some(&Value::Null) {
        return Err(config.invalid(key, "expected true or false, found null"));
    }
    Ok(config.optional_flag(key)?.unwrap_or(default))
}

/// Refuses special tokens in roles of a model's own.
fn check_roles(file: &File) -> Result<(), TokenizerError> {
    for (key, value) in file.content() {
        let is_token = value.is_string() || value.is_object();
        if key.ends_with("_token") && is_token && !ROLES.contains(&key.as_str()) {
            return Err(file.unsupported(key, value));
        }
    }
    Ok(())
}

/// The list `extra_special_tokens`, which has taken the place of `additional_special_tokens`.
fn extra_tokens(file: &File, has_additional: bool) -> Result<Vec<AddedToken>, TokenizerError> {
    const KEY: &str = "extra_special_tokens";
    let tokens = match file.given(KEY) {
        None => return Ok(Vec::new()),
        Some(Value::Object(tokens)) if tokens.is_empty() => return Ok(Vec::new()),
        Some(Value::Array(tokens)) => tokens,
        Some(other) => return Err(file.unsupported(KEY, other)),
    };
    if has_additional && !tokens.is_empty() {
        return Err(file.unsupported(KEY, "a list beside other special tokens"));
    }
    let read = |(index, token)| file.added_token(&format!("{KEY}[{index}]"), token, true);
    tokens.iter().enumerate().map(read).collect()
}

/// All tokens that are added, in the order in which `transformers` adds them.
fn added_tokens(settings: &Settings) -> Vec<AddedToken> {
    let special = &settings.special;
    let roles = [
        &special.unk,
        &special.sep,
        &special.pad,
        &special.cls,
        &special.mask,
    ];
    let roles = roles.into_iter().filter_map(|role| role.token.as_ref());
    let named: Vec<&AddedToken> = special.bounds.iter().chain(roles).collect();

    let mut tokens: Vec<AddedToken> = Vec::new();
    for (_, token) in &settings.added {
        let has_role = named.iter().any(|role| role.content == token.content);
        tokens.push(match settings.added_have_flags {
            true => AddedToken {
                special: token.special || has_role,
                ..token.clone()
            },
            // A list without flags counts for more than how another file says a token is matched.
            false if token.special => AddedToken::special(&token.content),
            false => token.clone(),
        });
    }
    for token in named.into_iter().chain(&special.additional) {
        if !tokens.iter().any(|known| known.content == token.content) {
            tokens.push(token.clone());
        }
    }
    tokens
}
