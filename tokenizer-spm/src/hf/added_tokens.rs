//! Tokens that are found in the text itself, before the model sees it: `[MASK]` and the like.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use super::normalized::Normalized;
use super::normalizers::Normalizer;
use super::splits::Splits;
use crate::TokenizerError;

/// A token added to the vocabulary of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct AddedToken {
    /// How it is written.
    pub content: String,
    /// Found only where no word character is next to it.
    pub single_word: bool,
    /// Takes the white space before it along.
    pub lstrip: bool,
    /// Takes the white space after it along.
    pub rstrip: bool,
    /// Found in the normalised text, not in the text as it came.
    pub normalized: bool,
    /// Left out when decoding without special tokens.
    pub special: bool,
}

impl AddedToken {
    /// A special token that is matched as it is written.
    pub fn special(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        }
    }
}

/// A trie of token contents, for the leftmost and there the longest match.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matcher {
    /// Sorted outgoing edges of each node; the root is node 0.
    nodes: Vec<MatcherNode>,
    /// Bytes with which some token begins.
    first: Vec<bool>,
}

#[derive(Debug, Clone, Default)]
struct MatcherNode {
    edges: Vec<(u8, u32)>,
    id: Option<u32>,
}

impl Matcher {
    /// Of tokens written alike the first counts. An empty content is never found.
    pub(crate) fn new<'a>(tokens: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut nodes = vec![MatcherNode::default()];
        let mut first = vec![false; 256];
        for (content, id) in tokens {
            let mut at = 0;
            for &byte in content.as_bytes() {
                at = match nodes[at].edges.binary_search_by_key(&byte, |edge| edge.0) {
                    Ok(index) => nodes[at].edges[index].1 as usize,
                    Err(index) => {
                        let next = nodes.len();
                        nodes[at].edges.insert(index, (byte, next as u32));
                        nodes.push(MatcherNode::default());
                        next
                    }
                };
            }
            if let Some(&byte) = content.as_bytes().first() {
                first[usize::from(byte)] = true;
                nodes[at].id.get_or_insert(id);
            }
        }
        Self { nodes, first }
    }

    /// The longest token that `text` begins with.
    fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        let mut at = self.nodes.first()?;
        let mut longest = None;
        for (index, byte) in text.iter().enumerate() {
            let Ok(edge) = at.edges.binary_search_by_key(byte, |edge| edge.0) else {
                break;
            };
            at = &self.nodes[at.edges[edge].1 as usize];
            if let Some(id) = at.id {
                longest = Some((index + 1, id));
            }
        }
        longest
    }

    /// Matches from left to right that do not overlap.
    pub(crate) fn find<'a>(
        &'a self,
        text: &'a str,
    ) -> impl Iterator<Item = (Range<usize>, u32)> + 'a {
        let bytes = text.as_bytes();
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                at += bytes[at..]
                    .iter()
                    .position(|&byte| self.first[usize::from(byte)])?;
                match self.longest(&bytes[at..]) {
                    Some((length, id)) => {
                        let start = at;
                        at += length;
                        return Some((start..at, id));
                    }
                    None => at += 1,
                }
            }
        })
    }
}

/// Tokens by id and by content.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddedTokens {
    ids: HashMap<String, u32>,
    by_id: BTreeMap<u32, AddedToken>,
}

impl AddedTokens {
    pub(crate) fn insert(&mut self, id: u32, token: AddedToken) {
        self.ids.insert(token.content.clone(), id);
        self.by_id.insert(id, token);
    }

    pub(crate) fn id(&self, content: &str) -> Option<u32> {
        self.ids.get(content).copied()
    }

    pub(crate) fn token(&self, id: u32) -> Option<&AddedToken> {
        self.by_id.get(&id)
    }

    /// In the order of the ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &AddedToken)> {
        self.by_id.iter().map(|(&id, token)| (id, token))
    }

    fn max_id(&self) -> Option<u32> {
        self.by_id.last_key_value().map(|(&id, _)| id)
    }
}

/// All added tokens of a tokenizer.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddedVocabulary {
    tokens: AddedTokens,
    special: Vec<AddedToken>,
    special_contents: HashSet<String>,
    ordinary: Vec<AddedToken>,
    /// Finds tokens in the text as it came.
    raw: Matcher,
    /// Finds tokens in the normalised text.
    normalized: Matcher,
}

impl AddedVocabulary {
    /// Adds tokens in order. A token that the model knows keeps the model's id, a new one gets the next
    /// free id, whatever a file may say.
    pub(crate) fn add(
        &mut self,
        tokens: &[AddedToken],
        model_id: impl Fn(&str) -> Option<u32>,
        model_size: usize,
        normalizer: Option<&Normalizer>,
    ) -> Result<(), TokenizerError> {
        for token in tokens
            .iter()
            .filter(|token| token.special && !token.content.is_empty())
        {
            if self.special_contents.insert(token.content.clone()) {
                self.special.push(token.clone());
            }
        }
        let model_size = model_size as u32;
        let mut next_id = match self.tokens.max_id() {
            Some(max) if max >= model_size => max.checked_add(1),
            _ => Some(model_size),
        };
        let mut existing: HashSet<AddedToken> =
            self.tokens.iter().map(|(_, token)| token.clone()).collect();
        for token in tokens {
            if token.content.is_empty() || existing.contains(token) {
                continue;
            }
            let known = self.tokens.id(&token.content);
            let id = match known.or_else(|| model_id(&token.content)) {
                Some(id) => id,
                None => {
                    let id = next_id.ok_or_else(|| TokenizerError::InvalidModel {
                        what: format!("added token {:?}", token.content),
                        expected: "ids that leave room for another",
                        found: "one with the greatest id that there is".to_owned(),
                    })?;
                    next_id = id.checked_add(1);
                    id
                }
            };
            self.tokens.insert(id, token.clone());
            if !self.special_contents.contains(&token.content) {
                self.ordinary.push(token.clone());
            }
            existing.insert(token.clone());
        }

        let with_ids = |wanted: bool| {
            self.special
                .iter()
                .chain(&self.ordinary)
                .filter(move |token| token.normalized == wanted)
                .filter_map(|token| Some((token, self.tokens.id(&token.content)?)))
        };
        self.raw = Matcher::new(with_ids(false).map(|(token, id)| (token.content.as_str(), id)));
        let mut contents: Vec<(String, u32)> = Vec::new();
        for (token, id) in with_ids(true) {
            let mut content = Normalized::new(&token.content, 0);
            if let Some(normalizer) = normalizer {
                normalizer.apply(&mut content)?;
            }
            // The reference finds an empty token between all bytes: no text survives that.
            if content.text().is_empty() {
                return Err(TokenizerError::InvalidModel {
                    what: format!("added token {:?}", token.content),
                    expected: "something that normalisation does not remove",
                    found: "nothing left".to_owned(),
                });
            }
            contents.push((content.text().to_owned(), id));
        }
        self.normalized =
            Matcher::new(contents.iter().map(|(content, id)| (content.as_str(), *id)));
        Ok(())
    }

    pub(crate) fn tokens(&self) -> &AddedTokens {
        &self.tokens
    }

    pub(crate) fn is_special(&self, content: &str) -> bool {
        self.special_contents.contains(content)
    }

    /// Cuts the added tokens out of a text and normalises what lies between them.
    pub(crate) fn extract(
        &self,
        text: &str,
        normalizer: Option<&Normalizer>,
    ) -> Result<Splits, TokenizerError> {
        let mut splits = Splits::default();
        let mut outcome = Ok(());
        self.cut(text, &self.raw, |range, id| {
            let mut segment = Normalized::new(&text[range.clone()], range.start as u32);
            if id.is_some() {
                splits.push(&segment, 0..segment.text().len(), id);
                return;
            }
            if let Some(normalizer) = normalizer
                && let Err(error) = normalizer.apply(&mut segment)
            {
                outcome = Err(error);
                return;
            }
            self.cut(segment.text(), &self.normalized, |range, id| {
                splits.push(&segment, range, id);
            });
        });
        outcome.map(|()| splits)
    }

    /// Hands over the matches in `text` and what lies between them.
    fn cut(&self, text: &str, matcher: &Matcher, mut emit: impl FnMut(Range<usize>, Option<u32>)) {
        let mut done = 0;
        for (found, id) in matcher.find(text) {
            let Some(token) = self.tokens.token(id) else {
                continue;
            };
            let Range {
                mut start,
                end: mut stop,
            } = found;
            if token.single_word
                && (ends_with_word(&text[..start]) || starts_with_word(&text[stop..]))
            {
                continue;
            }
            if token.lstrip {
                let before = text.get(done..start).unwrap_or_default();
                start -= before.len() - before.trim_end().len();
                start = start.max(done);
            }
            if token.rstrip {
                let after = &text[stop..];
                stop += after.len() - after.trim_start().len();
            }
            // White space that an earlier token took along may have held this one.
            if start >= stop {
                continue;
            }
            if done < start {
                emit(done..start, None);
            }
            emit(start..stop, Some(id));
            done = stop;
        }
        if done < text.len() {
            emit(done..text.len(), None);
        }
    }
}

fn is_word(character: char) -> bool {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A\w").ok());
    let mut bytes = [0; 4];
    let text = character.encode_utf8(&mut bytes);
    WORD.as_ref().is_some_and(|word| word.is_match(text))
}

fn ends_with_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(is_word)
}

fn starts_with_word(text: &str) -> bool {
    text.chars().next().is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(tokens: &[AddedToken]) -> AddedVocabulary {
        let mut vocabulary = AddedVocabulary::default();
        vocabulary.add(tokens, |_| None, 100, None).unwrap();
        vocabulary
    }

    fn token(content: &str) -> AddedToken {
        AddedToken::special(content)
    }

    fn extract(vocabulary: &AddedVocabulary, text: &str) -> Vec<(String, Option<u32>)> {
        let splits = vocabulary.extract(text, None).unwrap();
        let parts = splits.parts().iter();
        parts
            .map(|part| (splits.text(part.range.clone()).to_owned(), part.token))
            .collect()
    }

    #[test]
    fn the_leftmost_and_longest_match_wins() {
        let vocabulary = vocabulary(&[token("ab"), token("abcd"), token("bcdefg")]);
        assert_eq!(
            extract(&vocabulary, "xabcdefg"),
            [
                ("x".into(), None),
                ("abcd".into(), Some(101)),
                ("efg".into(), None)
            ]
        );
        assert_eq!(
            extract(&vocabulary, "abcx"),
            [("ab".into(), Some(100)), ("cx".into(), None)]
        );
        assert_eq!(extract(&vocabulary, ""), []);
    }

    #[test]
    fn single_words_stand_alone() {
        let vocabulary = vocabulary(&[AddedToken {
            single_word: true,
            ..token("cat")
        }]);
        assert_eq!(extract(&vocabulary, "concat"), [("concat".into(), None)]);
        assert_eq!(
            extract(&vocabulary, "a cat."),
            [
                ("a ".into(), None),
                ("cat".into(), Some(100)),
                (".".into(), None)
            ]
        );
    }

    #[test]
    fn white_space_is_taken_along() {
        let both = AddedToken {
            lstrip: true,
            rstrip: true,
            ..token("<x>")
        };
        let vocabulary = vocabulary(&[both]);
        assert_eq!(
            extract(&vocabulary, "a  <x> <x> \n b"),
            [
                ("a".into(), None),
                ("  <x> ".into(), Some(100)),
                ("<x> \n ".into(), Some(100)),
                ("b".into(), None)
            ]
        );
    }

    #[test]
    fn ids_come_from_the_model_or_are_the_next_free() {
        let mut vocabulary = AddedVocabulary::default();
        let known = |content: &str| (content == "b").then_some(7);
        vocabulary
            .add(
                &[token("a"), token("b"), token("a"), token("c")],
                known,
                100,
                None,
            )
            .unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|content| vocabulary.tokens().id(content)),
            [Some(100), Some(7), Some(101)]
        );
        vocabulary.add(&[token("d")], |_| None, 100, None).unwrap();
        assert_eq!(vocabulary.tokens().id("d"), Some(102));
    }
}
