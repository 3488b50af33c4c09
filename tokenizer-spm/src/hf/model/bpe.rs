//! The BPE model as Hugging Face runs it: a word starts as its characters, and of all neighbours that
//! the list of merges has, those that come first in the list are merged first
//! ([`merge`](crate::merge)).

use super::tokens::Tokens;
use super::{invalid, push_added};
use crate::TokenizerError;
use crate::hf::encoding::Encoding;
use crate::hf::splits::Splits;
use crate::merge::{MAX_TEXT, Merger, Rules, Symbol};

/// A vocabulary and the list of merges.
#[derive(Debug, Clone)]
pub(crate) struct BpeModel {
    tokens: Tokens,
    /// The places of the tokens that are one character below U+0200, `NOWHERE` for none: all that
    /// byte-level text consists of.
    characters: Vec<u32>,
    merges: Merges,
    unknown: Option<u32>,
    fuse_unknown: bool,
    ignore_merges: bool,
}

/// What a file says about its model beyond vocabulary and merges.
#[derive(Debug, Clone, Default)]
pub(crate) struct BpeOptions {
    /// The token for characters that are none of the vocabulary.
    pub(crate) unknown: Option<String>,
    /// Whether a run of such characters is one token.
    pub(crate) fuse_unknown: bool,
    /// Whether a word that is a token is left whole, whatever the merges.
    pub(crate) ignore_merges: bool,
}

const NOWHERE: u32 = u32::MAX;

/// The merges, sorted by the left token and then the right one.
#[derive(Debug, Clone)]
struct Merges {
    /// By place of the left token: where its merges start. One more entry ends the last.
    starts: Vec<u32>,
    merges: Vec<Merge>,
}

#[derive(Debug, Clone, Copy)]
struct Merge {
    right: u32,
    /// The greatest goes first.
    rank: u32,
    union: u32,
}

impl Merges {
    /// `merges` are the places of left, right and union, the most important first. Of equal pairs the last
    /// counts.
    fn new(tokens: usize, merges: &[(u32, u32, u32)]) -> Self {
        let mut sorted: Vec<(u32, Merge)> = merges
            .iter()
            .zip((0..merges.len() as u32).rev())
            .map(|(&(left, right, union), rank)| (left, Merge { right, rank, union }))
            .collect();
        sorted.sort_by_key(|(left, merge)| (*left, merge.right, merge.rank));
        sorted.dedup_by_key(|(left, merge)| (*left, merge.right));
        let mut starts = vec![0; tokens + 1];
        for (left, _) in &sorted {
            starts[*left as usize + 1] += 1;
        }
        for place in 0..tokens {
            starts[place + 1] += starts[place];
        }
        let merges = sorted.into_iter().map(|(_, merge)| merge).collect();
        Self { starts, merges }
    }

    fn get(&self, left: u32, right: u32) -> Option<Merge> {
        let left = left as usize;
        let (start, end) = (*self.starts.get(left)?, *self.starts.get(left + 1)?);
        let merges = self.merges.get(start as usize..end as usize)?;
        let found = merges.binary_search_by_key(&right, |merge| merge.right);
        found.ok().and_then(|index| merges.get(index)).copied()
    }
}

/// Symbols are known by the places of their tokens.
impl Rules for &Merges {
    type Label = u32;

    fn rank(&mut self, left: &Symbol<u32>, right: &Symbol<u32>) -> Option<u32> {
        Some(self.get(left.label, right.label)?.rank)
    }

    fn union(&self, left: &Symbol<u32>, right: &Symbol<u32>) -> u32 {
        self.get(left.label, right.label)
            .map_or(left.label, |merge| merge.union)
    }
}

impl BpeModel {
    /// A model of tokens with their ids and of merges, the most important first.
    ///
    /// `place` says where a merge stands, for errors, given its number.
    pub(crate) fn new(
        vocabulary: Vec<(String, u32)>,
        merges: &[(&str, &str)],
        options: &BpeOptions,
        place: impl Fn(usize) -> String,
    ) -> Result<Self, TokenizerError> {
        if vocabulary.len().max(merges.len()) >= NOWHERE as usize {
            return Err(invalid(
                "vocabulary",
                "less than 2^32 tokens and merges",
                format!("{} and {}", vocabulary.len(), merges.len()),
            ));
        }
        let tokens = Tokens::new(vocabulary)?;

        let mut resolved = Vec::with_capacity(merges.len());
        for (number, &(left, right)) in merges.iter().enumerate() {
            let find = |token: &str| {
                tokens.place(token).ok_or_else(|| {
                    invalid(
                        &place(number),
                        "tokens of the vocabulary whose union is one too",
                        format!("{left:?} and {right:?}, and there is no {token:?}"),
                    )
                })
            };
            if left.is_empty() || right.is_empty() {
                let found = format!("{left:?} and {right:?}");
                return Err(invalid(
                    &place(number),
                    "two tokens that are not empty",
                    found,
                ));
            }
            resolved.push((find(left)?, find(right)?, find(&format!("{left}{right}"))?));
        }

        let unknown = options.unknown.as_deref();
        let unknown = unknown.map(|token| tokens.unknown(token)).transpose()?;
        let characters = (0..0x200_u32)
            .map(|code| {
                let character = char::from_u32(code).map(String::from);
                let place = character.and_then(|character| tokens.place(&character));
                place.unwrap_or(NOWHERE)
            })
            .collect();
        Ok(Self {
            merges: Merges::new(tokens.len(), &resolved),
            tokens,
            characters,
            unknown,
            fuse_unknown: options.fuse_unknown,
            ignore_merges: options.ignore_merges,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The first id after those of all tokens.
    pub(crate) fn next_id(&self) -> u32 {
        self.tokens.next_id()
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
        let mut merger = Merger::default();
        for (part, word) in splits.parts().iter().zip(0..) {
            if push_added(splits, part, word, sequence, out) {
                continue;
            }
            let text = splits.text(part.range.clone());
            self.segment(text, &mut merger)?;
            for symbol in merger.symbols() {
                let Some((id, token)) = self.tokens.at(symbol.label) else {
                    continue;
                };
                let start = part.range.start;
                let offsets = splits.original(start + symbol.start()..start + symbol.end());
                out.push_token(id, token, offsets, word, sequence);
            }
        }
        Ok(())
    }

    /// Cuts a word into tokens: the symbols of `merger`, labelled with places.
    fn segment(&self, text: &str, merger: &mut Merger<u32>) -> Result<(), TokenizerError> {
        if text.len() > MAX_TEXT {
            return Err(TokenizerError::TextTooLong {
                length: text.len(),
                max: MAX_TEXT,
            });
        }
        merger.clear();
        if self.ignore_merges
            && let Some(place) = self.tokens.place(text)
        {
            merger.push(text.len(), place);
            return Ok(());
        }
        let mut unknown_length = 0; // of unknown characters that are not pushed yet
        for (offset, character) in text.char_indices() {
            let length = character.len_utf8();
            let place = match self.characters.get(character as usize) {
                Some(&NOWHERE) => None,
                Some(&place) => Some(place),
                None => self.tokens.place(&text[offset..offset + length]),
            };
            let (place, is_unknown) = match (place, self.unknown) {
                (Some(place), _) => (place, false),
                (None, Some(unknown)) => (unknown, true),
                (None, None) => {
                    return Err(invalid(
                        "vocabulary",
                        "a token for each character of the text, or one for unknown ones",
                        format!("none for {character:?}"),
                    ));
                }
            };
            if is_unknown && self.fuse_unknown {
                unknown_length += length;
                continue;
            }
            self.push_unknown(&mut unknown_length, merger);
            merger.push(length, place);
        }
        self.push_unknown(&mut unknown_length, merger);
        merger.merge(&mut &self.merges, self.merges.merges.len());
        Ok(())
    }

    fn push_unknown(&self, length: &mut usize, merger: &mut Merger<u32>) {
        if let Some(unknown) = self.unknown
            && *length > 0
        {
            merger.push(std::mem::take(length), unknown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hf::normalized::Normalized;

    fn model(tokens: &[&str], merges: &[(&str, &str)], options: BpeOptions) -> BpeModel {
        try_model(tokens, merges, options).unwrap()
    }

    fn try_model(
        tokens: &[&str],
        merges: &[(&str, &str)],
        options: BpeOptions,
    ) -> Result<BpeModel, TokenizerError> {
        let vocabulary = tokens
            .iter()
            .map(|&token| token.to_owned())
            .zip(0..)
            .collect();
        BpeModel::new(vocabulary, merges, &options, |number| {
            format!("merge {number}")
        })
    }

    fn encode(model: &BpeModel, text: &str) -> Result<Vec<String>, TokenizerError> {
        let mut splits = Splits::default();
        splits.push(&Normalized::new(text, 0), 0..text.len(), None);
        let mut out = Encoding::default();
        model.tokenize(&splits, 0, &mut out)?;
        Ok(out.tokens)
    }

    const TOKENS: [&str; 7] = ["?", "a", "b", "c", "ab", "bc", "abc"];

    #[test]
    fn the_first_merge_of_the_list_goes_first() {
        let merges = [("b", "c"), ("a", "b"), ("a", "bc")];
        let model = model(&TOKENS, &merges, BpeOptions::default());
        assert_eq!(encode(&model, "abcab").unwrap(), ["abc", "ab"]);
        assert_eq!(encode(&model, "aabcc").unwrap(), ["a", "abc", "c"]);
        assert_eq!(encode(&model, "").unwrap(), [""; 0]);
    }

    #[test]
    fn of_a_merge_that_is_listed_twice_the_last_counts() {
        let twice = [("a", "b"), ("b", "c"), ("a", "b")];
        let model = model(&TOKENS, &twice, BpeOptions::default());
        assert_eq!(encode(&model, "abc").unwrap(), ["a", "bc"]);
    }

    #[test]
    fn unknown_characters() {
        let unknown = |fuse_unknown| BpeOptions {
            unknown: Some("?".to_owned()),
            fuse_unknown,
            ..BpeOptions::default()
        };
        let merges = [("a", "b")];
        let apart = model(&TOKENS, &merges, unknown(false));
        assert_eq!(encode(&apart, "xyab日").unwrap(), ["?", "?", "ab", "?"]);
        let fused = model(&TOKENS, &merges, unknown(true));
        assert_eq!(encode(&fused, "xyab日").unwrap(), ["?", "ab", "?"]);
        let error = encode(&model(&TOKENS, &merges, BpeOptions::default()), "ax");
        assert!(error.unwrap_err().to_string().contains("none for 'x'"));
    }

    #[test]
    fn merges_can_be_ignored() {
        let whole = BpeOptions {
            ignore_merges: true,
            ..BpeOptions::default()
        };
        let model = model(&TOKENS, &[], whole);
        assert_eq!(encode(&model, "abc").unwrap(), ["abc"]);
        assert_eq!(encode(&model, "abca").unwrap(), ["a", "b", "c", "a"]);
    }

    #[test]
    fn ids_may_have_holes() {
        let vocabulary = [("a", 7), ("b", 2_000_000_000), ("ab", 2)];
        let vocabulary = vocabulary
            .map(|(token, id)| (token.to_owned(), id))
            .to_vec();
        let options = BpeOptions::default();
        let model = BpeModel::new(vocabulary, &[("a", "b")], &options, |_| String::new()).unwrap();
        assert_eq!((model.len(), model.id("b")), (3, Some(2_000_000_000)));
        assert_eq!((model.token(2), model.token(0)), (Some("ab"), None));
        assert_eq!(model.token(2_000_000_000), Some("b"));
        assert_eq!(encode(&model, "abb").unwrap(), ["ab", "b"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |tokens: &[&str], merges: &[(&str, &str)], options: BpeOptions| {
            try_model(tokens, merges, options).unwrap_err().to_string()
        };
        let plain = BpeOptions::default;
        assert!(refused(&[], &[], plain()).contains("at least one"));
        assert!(refused(&["a", "a"], &[], plain()).contains("twice"));
        let error = refused(&TOKENS, &[("a", "b"), ("b", "a")], plain());
        assert!(
            error.contains("merge 1") && error.contains("\"ba\""),
            "{error}"
        );
        assert!(refused(&TOKENS, &[("a", "x")], plain()).contains("no \"x\""));
        assert!(refused(&["", "a"], &[("", "a")], plain()).contains("not empty"));
        let unknown = BpeOptions {
            unknown: Some("x".to_owned()),
            ..plain()
        };
        assert!(refused(&TOKENS, &[], unknown).contains("unk_token"));
        let unknown = BpeOptions {
            unknown: Some("x".repeat(257)),
            ..plain()
        };
        assert!(refused(&TOKENS, &[], unknown).contains("257 bytes"));
        let large = vec![("a".to_owned(), 1 << 31)];
        let large = BpeModel::new(large, &[], &plain(), |_| String::new());
        assert!(large.unwrap_err().to_string().contains("2147483648"));
        let same = vec![("a".to_owned(), 1), ("b".to_owned(), 1)];
        let same = BpeModel::new(same, &[], &plain(), |_| String::new());
        assert!(same.unwrap_err().to_string().contains("id 1"));
    }
}
