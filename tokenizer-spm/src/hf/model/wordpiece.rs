//! The WordPiece model: a word becomes the longest token that it begins with, then the longest that the
//! rest begins with, and so on, or one unknown token where that does not work out.
//!
//! What continues a word is written with a prefix in the vocabulary: `playing` is `play` and `##ing`.

use super::tokens::Tokens;
use super::{invalid, push_added};
use crate::TokenizerError;
use crate::double_array::DoubleArray;
use crate::hf::encoding::Encoding;
use crate::hf::splits::Splits;

/// With longer tokens the search for them would take more than linear time.
const LONGEST_TOKEN: usize = 8000;

/// The prefix is written out for each token that continues a word.
const LONGEST_PREFIX: usize = 256;

/// A vocabulary and how words are cut by it.
#[derive(Debug, Clone)]
pub(crate) struct WordPieceModel {
    tokens: Tokens,
    /// Tokens as they begin a word: their places.
    beginnings: DoubleArray,
    /// Tokens that continue a word, without the prefix: their places.
    continuations: DoubleArray,
    /// The place of the token for unknown words.
    unknown: u32,
    max_characters: usize,
}

/// What a file says about its model beyond the vocabulary.
#[derive(Debug, Clone)]
pub(crate) struct WordPieceOptions {
    /// The token for words that no tokens make up.
    pub(crate) unknown: String,
    /// With what tokens begin that continue a word.
    pub(crate) prefix: String,
    /// Longer words are unknown.
    pub(crate) max_characters: usize,
}

impl Default for WordPieceOptions {
    fn default() -> Self {
        Self {
            unknown: "[UNK]".to_owned(),
            prefix: "##".to_owned(),
            max_characters: 100,
        }
    }
}

impl WordPieceModel {
    pub(crate) fn new(
        vocabulary: Vec<(String, u32)>,
        options: &WordPieceOptions,
    ) -> Result<Self, TokenizerError> {
        if options.prefix.len() > LONGEST_PREFIX {
            return Err(invalid(
                "model.continuing_subword_prefix",
                "at most 256 bytes",
                format!("{} bytes", options.prefix.len()),
            ));
        }
        if let Some((token, id)) = vocabulary
            .iter()
            .find(|(token, _)| token.len() >= LONGEST_TOKEN)
        {
            return Err(invalid(
                &format!("vocabulary: length of the token with id {id}"),
                "fewer than 8000 bytes",
                token.len().to_string(),
            ));
        }
        let tokens = Tokens::new(vocabulary)?;
        let unknown = tokens.unknown(&options.unknown)?;
        let beginnings = trie(places(&tokens))?;
        let continuations = trie(places(&tokens).filter_map(|(token, place)| {
            let rest = token.strip_prefix(&options.prefix)?;
            (!rest.is_empty()).then_some((rest, place))
        }))?;
        Ok(Self {
            tokens,
            beginnings,
            continuations,
            unknown,
            max_characters: options.max_characters,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.tokens.id(token)
    }

    pub(crate) fn token(&self, id: u32) -> Option<&str> {
        self.tokens.token(id)
    }

    /// Cuts the parts of a text into tokens; words are counted by parts.
    pub(crate) fn tokenize(
        &self,
        splits: &Splits,
        sequence: u8,
        out: &mut Encoding,
    ) -> Result<(), TokenizerError> {
        let mut spans = Vec::new();
        for (part, word) in splits.parts().iter().zip(0..) {
            if push_added(splits, part, word, sequence, out) {
                continue;
            }
            self.segment(splits.text(part.range.clone()), &mut spans);
            let mut start = part.range.start;
            for &(end, place) in &spans {
                let end = part.range.start + end;
                if let Some((id, token)) = self.tokens.at(place) {
                    out.push_token(id, token, splits.original(start..end), word, sequence);
                }
                start = end;
            }
        }
        Ok(())
    }

    /// Cuts a word into tokens: where each ends, and its place.
    fn segment(&self, word: &str, spans: &mut Vec<(usize, u32)>) {
        spans.clear();
        let mut done = 0;
        let is_short = word.chars().nth(self.max_characters).is_none();
        while is_short && done < word.len() {
            let trie = match done {
                0 => &self.beginnings,
                _ => &self.continuations,
            };
            let Some((length, place)) = trie.longest_prefix(&word.as_bytes()[done..]) else {
                break;
            };
            done += length;
            spans.push((done, place));
        }
        // What is left over makes the whole word unknown.
        if done < word.len() {
            spans.clear();
            spans.push((word.len(), self.unknown));
        }
    }
}

/// All tokens with their places.
fn places(tokens: &Tokens) -> impl Iterator<Item = (&str, u32)> {
    tokens.all().iter().map(String::as_str).zip(0..)
}

fn trie<'a>(tokens: impl Iterator<Item = (&'a str, u32)>) -> Result<DoubleArray, TokenizerError> {
    let mut keys: Vec<(&[u8], u32)> = tokens
        .map(|(token, place)| (token.as_bytes(), place))
        .collect();
    keys.sort_unstable();
    DoubleArray::build(&keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hf::normalized::Normalized;

    fn model(tokens: &[&str], options: WordPieceOptions) -> Result<WordPieceModel, TokenizerError> {
        let vocabulary = tokens.iter().map(|&token| token.to_owned()).zip(5..);
        WordPieceModel::new(vocabulary.collect(), &options)
    }

    fn cut(model: &WordPieceModel, word: &str) -> Vec<(String, (usize, usize))> {
        let mut splits = Splits::default();
        splits.push(&Normalized::new(word, 0), 0..word.len(), None);
        let mut out = Encoding::default();
        model.tokenize(&splits, 0, &mut out).unwrap();
        out.tokens.into_iter().zip(out.offsets).collect()
    }

    #[test]
    fn the_longest_token_is_taken_each_time() {
        let tokens = [
            "[UNK]", "un", "##aff", "##a", "##able", "##é", "##ab", "able", "##", "",
        ];
        let model = model(&tokens, WordPieceOptions::default()).unwrap();
        let token = |token: &str, start, end| (token.to_owned(), (start, end));
        assert_eq!(
            cut(&model, "unaffable"),
            [
                token("un", 0, 2),
                token("##aff", 2, 5),
                token("##able", 5, 9)
            ]
        );
        assert_eq!(cut(&model, "uné"), [token("un", 0, 2), token("##é", 2, 4)]);
        // `##ab` is taken and `le` left over: there is no way back to `##a`.
        assert_eq!(cut(&model, "unablé"), [token("[UNK]", 0, 7)]);
        assert_eq!(cut(&model, "affable"), [token("[UNK]", 0, 7)]);
        // Not a continuation, but a token all the same.
        assert_eq!(cut(&model, "##a"), [token("##a", 0, 3)]);
        assert_eq!((model.id("un"), model.token(6)), (Some(6), Some("un")));
    }

    #[test]
    fn long_words_are_unknown() {
        let options = |max_characters, prefix: &str| WordPieceOptions {
            max_characters,
            prefix: prefix.to_owned(),
            ..WordPieceOptions::default()
        };
        let lengths = |max, prefix, word| {
            let model = model(&["[UNK]", "é", "##é"], options(max, prefix)).unwrap();
            cut(&model, word).len()
        };
        assert_eq!(lengths(3, "##", "ééé"), 3);
        assert_eq!(lengths(3, "##", "éééé"), 1);
        assert_eq!(lengths(0, "##", "é"), 1);
        assert_eq!(lengths(3, "", "ééé"), 3);
        assert_eq!(lengths(3, "@@", "éé"), 1);
        assert_eq!(lengths(usize::MAX, "##", "éééé"), 4);
    }

    #[test]
    fn what_is_no_vocabulary_is_refused() {
        let error = |tokens: &[&str], options| model(tokens, options).unwrap_err().to_string();
        let default = WordPieceOptions::default;
        assert!(error(&[], default()).contains("at least one token"));
        assert!(error(&["a"], default()).contains("model.unk_token"));
        assert!(error(&["[UNK]", "a", "a"], default()).contains("\"a\" twice"));
        assert!(error(&["[UNK]", &"a".repeat(8000)], default()).contains("8000"));
        let long = || "a".repeat(257);
        let prefix = WordPieceOptions {
            prefix: long(),
            ..default()
        };
        assert!(error(&["[UNK]"], prefix).contains("model.continuing_subword_prefix"));
        let unknown = WordPieceOptions {
            unknown: long(),
            ..default()
        };
        assert!(error(&[&long()], unknown).contains("model.unk_token"));
    }
}
