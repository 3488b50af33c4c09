//! A byte-level vocabulary with its list of merges, as GPT-2 and DeBERTa v1 have them.

use std::path::{Path, PathBuf};

use crate::TokenizerError;
use crate::hf::{
    AddedToken, BpeModel, BpeOptions, ByteLevel, Decoder, HfTokenizer, NumberedVocabulary, Parts,
    PreTokenizer, Settings, SpecialTokens, merge_of_line,
};

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";

/// The content of both files, with their paths for errors.
pub(super) struct Files<'a> {
    pub(super) vocabulary: (&'a [u8], PathBuf),
    pub(super) merges: (&'a [u8], PathBuf),
}

/// Whether that is the name of one of the files.
pub(super) fn is_file_name(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == VOCABULARY || name == MERGES)
}

/// Reads `vocab.json` and `merges.txt` of a directory; `None` if there is neither.
pub(super) fn read(
    directory: &Path,
    settings: &Settings,
) -> Result<Option<HfTokenizer>, TokenizerError> {
    let paths = [directory.join(VOCABULARY), directory.join(MERGES)];
    let missing = |missing, found| TokenizerError::MissingFile {
        path: directory.to_owned(),
        missing,
        found,
    };
    match (paths[0].is_file(), paths[1].is_file()) {
        (false, false) => return Ok(None),
        (true, false) => return Err(missing(MERGES, VOCABULARY)),
        (false, true) => return Err(missing(VOCABULARY, MERGES)),
        (true, true) => {}
    }
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| TokenizerError::Io {
            path: path.clone(),
            source,
        })
    };
    let (vocabulary, merges) = (read(&paths[0])?, read(&paths[1])?);
    let [vocabulary_path, merges_path] = paths;
    let files = Files {
        vocabulary: (&vocabulary, vocabulary_path),
        merges: (&merges, merges_path),
    };
    build(&files, settings).map(Some)
}

/// Reads the contents of the files alone.
pub(super) fn from_bytes(
    vocabulary: &[u8],
    merges: &[u8],
    settings: &Settings,
) -> Result<HfTokenizer, TokenizerError> {
    let files = Files {
        vocabulary: (vocabulary, PathBuf::from(VOCABULARY)),
        merges: (merges, PathBuf::from(MERGES)),
    };
    build(&files, settings)
}

/// What version 4 of `transformers` makes of the files, except that characters of which the vocabulary
/// does not have all bytes become the unknown token instead of nothing.
fn build(files: &Files<'_>, settings: &Settings) -> Result<HfTokenizer, TokenizerError> {
    let (content, path) = &files.vocabulary;
    let NumberedVocabulary(vocabulary) = serde_json::from_slice(content)
        .map_err(|error| TokenizerError::from(error).in_file(path))?;
    let merges = read_merges(files.merges.0, &files.merges.1)?;

    let unknown = settings.special.unk.token.as_ref();
    let unknown = unknown.filter(|unknown| {
        vocabulary
            .iter()
            .any(|(token, _)| *token == unknown.content)
    });
    let options = BpeOptions {
        unknown: unknown.map(|token| token.content.clone()),
        ..BpeOptions::default()
    };
    let pairs: Vec<_> = merges.iter().map(|merge| merge.tokens).collect();
    let model = BpeModel::new(vocabulary, &pairs, &options, |number| {
        let line = merges.get(number).map_or(0, |merge| merge.line);
        format!("the merge of line {line} of {}", files.merges.1.display())
    })
    .map_err(|error| error.in_file(path))?;

    HfTokenizer::from_parts(Parts {
        pre_tokenizer: PreTokenizer::ByteLevel(ByteLevel {
            add_prefix_space: settings.add_prefix_space,
            use_regex: true,
        }),
        model,
        decoder: Decoder::ByteLevel,
        tokens: added_tokens(settings),
    })
}

/// The tokens that the files beside the vocabulary name, with the ids that they give, and DeBERTa's own.
fn added_tokens(settings: &Settings) -> Vec<(Option<u32>, AddedToken)> {
    let given = settings.added.iter();
    let mut tokens: Vec<_> = given
        .map(|(id, token)| {
            let token = match settings.added_have_flags {
                true => token.clone(),
                false => with_default_flags(token, &settings.special),
            };
            (Some(*id), token)
        })
        .collect();
    for (token, _) in settings.special.all() {
        let mut known = tokens.iter();
        if !known.any(|(_, known)| known.content == token.content) {
            tokens.push((None, with_default_flags(token, &settings.special)));
        }
    }
    tokens
}

/// The token as it is matched where no file says how: the mask stands for a word, and a word has the space
/// before it in its token.
fn with_default_flags(token: &AddedToken, special: &SpecialTokens) -> AddedToken {
    let mask = &special.mask;
    let is_mask = |mask: &AddedToken| mask.content == token.content;
    let takes_space = !mask.has_flags && mask.token.as_ref().is_some_and(is_mask);
    AddedToken {
        lstrip: token.lstrip || takes_space,
        normalized: token.normalized || takes_space,
        ..token.clone()
    }
}

/// A merge and the line that it stands in.
struct Merge<'a> {
    line: usize,
    tokens: (&'a str, &'a str),
}

/// The merges of a `merges.txt`: two tokens in each line, with a space between them. A line with the
/// version, which is the first, is none, nor are empty lines at the end.
fn read_merges<'a>(content: &'a [u8], path: &Path) -> Result<Vec<Merge<'a>>, TokenizerError> {
    let mut merges = Vec::new();
    let mut empty = None; // the first of the empty lines before this one
    for (line, bytes) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let invalid = |line, expected, found: String| TokenizerError::InvalidLine {
            file: path.display().to_string(),
            line,
            expected,
            found,
        };
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let found = format!(
                "other bytes from byte {} of the line on",
                error.valid_up_to()
            );
            invalid(line, "UTF-8", found)
        })?;
        const TWO: &str = "two tokens with a space between them";
        if text.is_empty() {
            empty = empty.or(Some(line));
            continue;
        }
        if let Some(line) = empty {
            return Err(invalid(line, TWO, "an empty line".to_owned()));
        }
        if text.starts_with("#version") {
            continue;
        }
        let Some(tokens) = merge_of_line(text) else {
            let shown: String = text.chars().take(60).collect();
            return Err(invalid(line, TWO, format!("{shown:?}")));
        };
        merges.push(Merge { line, tokens });
    }
    Ok(merges)
}
