//! From text to pieces.

use super::{Model, Piece, SentencePiece, Token};
use crate::unigram::{Lattice, Span};

/// The text after normalisation, and what the model made of it.
#[derive(Default)]
struct Segmented {
    normalized: String,
    /// For each byte of `normalized`, and for its end, the position in the original text.
    alignment: Vec<usize>,
    spans: Vec<Span>,
}

impl SentencePiece {
    /// The text as the model sees it.
    ///
    /// Leading, trailing and repeated spaces are gone, spaces are written `▁`, and compatibility
    /// characters have been replaced, all as far as this model's settings say so.
    pub fn normalize(&self, text: &str) -> String {
        let mut normalized = String::new();
        self.normalizer.normalize(text, &mut normalized, &mut ());
        normalized
    }

    /// Cuts `text` into pieces.
    ///
    /// The spans are SentencePiece's own: they cover the text in order, and the white space in front
    /// of a word belongs to the word. An unknown character that is spelled in bytes gives one piece
    /// for each byte, of which only the last has a span that is not empty.
    pub fn encode(&self, text: &str) -> Vec<Piece> {
        let segmented = self.segment(text);
        let mut pieces: Vec<Piece> = Vec::with_capacity(segmented.spans.len());
        self.each_token(&segmented, |token, surface, continues| {
            match pieces.last_mut() {
                Some(last) if continues => {
                    last.piece.push_str(surface);
                    last.end = token.end;
                }
                _ => pieces.push(Piece {
                    id: token.id,
                    piece: surface.to_owned(),
                    start: token.start,
                    end: token.end,
                }),
            };
        });
        pieces
    }

    /// Ids and spans, as [`encode`](Self::encode) gives them, without the text of the pieces.
    pub fn encode_tokens(&self, text: &str) -> Vec<Token> {
        let segmented = self.segment(text);
        let mut tokens: Vec<Token> = Vec::with_capacity(segmented.spans.len());
        self.each_token(&segmented, |token, _, continues| match tokens.last_mut() {
            Some(last) if continues => last.end = token.end,
            _ => tokens.push(token),
        });
        tokens
    }

    /// The ids alone: the fastest way.
    pub fn encode_ids(&self, text: &str) -> Vec<u32> {
        let mut normalized = String::new();
        self.normalizer.normalize(text, &mut normalized, &mut ());
        let mut spans = Vec::new();
        self.find_pieces(&normalized, &mut spans);
        let mut ids = Vec::with_capacity(spans.len());
        let unknown = self.vocabulary.unknown();
        let mut after_unknown = false;
        for span in spans {
            let is_unknown = span.id == unknown;
            match self.vocabulary.bytes() {
                Some(bytes) if is_unknown => ids.extend(
                    normalized.as_bytes()[span.start..span.end]
                        .iter()
                        .map(|&byte| bytes[usize::from(byte)]),
                ),
                _ if is_unknown && after_unknown => {}
                _ => ids.push(span.id),
            }
            after_unknown = is_unknown;
        }
        ids
    }

    fn find_pieces(&self, normalized: &str, spans: &mut Vec<Span>) {
        match &self.model {
            Model::Unigram(model) => model.segment(normalized, &mut Lattice::default(), spans),
            Model::Bpe(model) => model.segment(normalized, spans),
            Model::Words(model) => model.segment(normalized, spans),
            Model::Characters(model) => model.segment(normalized, spans),
        }
    }

    fn segment(&self, text: &str) -> Segmented {
        let mut segmented = Segmented::default();
        self.normalizer
            .normalize(text, &mut segmented.normalized, &mut segmented.alignment);
        self.find_pieces(&segmented.normalized, &mut segmented.spans);
        segmented
    }

    /// Calls `emit` for each token with its text; `true` where it only continues the unknown token
    /// before it.
    fn each_token(&self, segmented: &Segmented, mut emit: impl FnMut(Token, &str, bool)) {
        let Segmented {
            normalized,
            alignment,
            spans,
        } = segmented;
        let unknown = self.vocabulary.unknown();
        let original = |position: usize| alignment.get(position).copied().unwrap_or_default();
        let mut after_unknown = false;
        for span in spans {
            let (start, end) = (original(span.start), original(span.end));
            let surface = &normalized[span.start..span.end];
            let is_unknown = span.id == unknown;
            match self.vocabulary.bytes() {
                Some(bytes) if is_unknown => {
                    let last = surface.len() - 1;
                    for (index, byte) in surface.bytes().enumerate() {
                        let id = bytes[usize::from(byte)];
                        let end = if index == last { end } else { start };
                        let piece = self.vocabulary.piece(id).unwrap_or_default();
                        emit(Token { id, start, end }, piece, false);
                    }
                }
                _ => {
                    let token = Token {
                        id: span.id,
                        start,
                        end,
                    };
                    emit(token, surface, is_unknown && after_unknown);
                }
            }
            after_unknown = is_unknown;
        }
    }
}
