//! A vocabulary of tokens with ids, as BPE and WordPiece models have it.

use std::collections::HashMap;

use super::invalid;
use crate::TokenizerError;

/// Leaves room for ids of tokens that are added.
const MAX_ID: u32 = u32::MAX >> 1;

/// A text has as much unknown text as it likes, and the token is written out for each piece of it.
const LONGEST_UNKNOWN: usize = 256;

/// Tokens with their ids.
///
/// Ids need not follow one another. Inside, a token is known by its *place* among the ids.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    /// Ascending.
    ids: Vec<u32>,
    tokens: Vec<String>,
    places: HashMap<String, u32>,
}

impl Tokens {
    /// Refuses a vocabulary that is empty, or in which a token or an id is there twice.
    pub(super) fn new(mut vocabulary: Vec<(String, u32)>) -> Result<Self, TokenizerError> {
        if vocabulary.is_empty() {
            return Err(invalid(
                "vocabulary",
                "at least one token",
                "none".to_owned(),
            ));
        }
        if let Some((token, id)) = vocabulary.iter().find(|(_, id)| *id > MAX_ID) {
            return Err(invalid(
                "vocabulary",
                "ids below 2^31",
                format!("{token:?} with id {id}"),
            ));
        }
        vocabulary.sort_by_key(|(_, id)| *id);
        if let Some(pair) = vocabulary.windows(2).find(|pair| pair[0].1 == pair[1].1) {
            return Err(invalid(
                "vocabulary",
                "tokens with different ids",
                format!("{:?} and {:?} with id {}", pair[0].0, pair[1].0, pair[0].1),
            ));
        }
        let mut places = HashMap::with_capacity(vocabulary.len());
        for ((token, _), place) in vocabulary.iter().zip(0..) {
            if places.insert(token.clone(), place).is_some() {
                return Err(invalid(
                    "vocabulary",
                    "tokens that differ from one another",
                    format!("{token:?} twice"),
                ));
            }
        }
        let (tokens, ids) = vocabulary.into_iter().unzip();
        Ok(Self {
            ids,
            tokens,
            places,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The first id after those of all tokens.
    pub(super) fn next_id(&self) -> u32 {
        self.ids.last().map_or(0, |last| last + 1)
    }

    pub(super) fn place(&self, token: &str) -> Option<u32> {
        self.places.get(token).copied()
    }

    /// The id and the token at a place.
    #[inline]
    pub(super) fn at(&self, place: u32) -> Option<(u32, &str)> {
        let place = place as usize;
        Some((*self.ids.get(place)?, self.tokens.get(place)?))
    }

    pub(super) fn id(&self, token: &str) -> Option<u32> {
        Some(self.at(self.place(token)?)?.0)
    }

    pub(super) fn token(&self, id: u32) -> Option<&str> {
        // Most vocabularies have no holes.
        let place = match self.ids.get(id as usize) {
            Some(&found) if found == id => id as usize,
            _ => self.ids.binary_search(&id).ok()?,
        };
        self.tokens.get(place).map(String::as_str)
    }

    /// All tokens by place.
    pub(super) fn all(&self) -> &[String] {
        &self.tokens
    }

    /// The place of the token for unknown text, which must be there.
    pub(super) fn unknown(&self, token: &str) -> Result<u32, TokenizerError> {
        if token.len() > LONGEST_UNKNOWN {
            return Err(invalid(
                "model.unk_token",
                "at most 256 bytes",
                format!("{} bytes", token.len()),
            ));
        }
        self.place(token).ok_or_else(|| {
            invalid(
                "model.unk_token",
                "a token of the vocabulary",
                format!("{token:?}"),
            )
        })
    }
}
