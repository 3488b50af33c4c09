//! From text to pieces.

use rayon::prelude::*;

use super::scratch::Scratch;
use super::{Model, Piece, SentencePiece, Token};
use crate::normalizer::{Alignment, Normalized};
use crate::unigram::{Lattice, Span};

impl SentencePiece {
    /// The text as the model sees it.
    ///
    /// Leading, trailing and repeated spaces are gone, spaces are written `▁`, and compatibility
    /// characters have been replaced, all as far as this model's settings say so.
    pub fn normalize(&self, text: &str) -> String {
        self.normalizer.normalized(text)
    }

    /// Cuts `text` into pieces.
    ///
    /// The spans are SentencePiece's own: they cover the text in order, and the white space in front
    /// of a word belongs to the word. An unknown character that is spelled in bytes gives one piece
    /// for each byte, of which only the last has a span that is not empty.
    pub fn encode(&self, text: &str) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        self.each_piece(text, |token, surface| {
            pieces.push(Piece {
                id: token.id,
                piece: surface.to_owned(),
                start: token.start,
                end: token.end,
            });
        });
        pieces
    }

    /// Ids and spans, as [`encode`](Self::encode) gives them, without the text of the pieces.
    pub fn encode_tokens(&self, text: &str) -> Vec<Token> {
        Scratch::with(|scratch| {
            self.segment_aligned(text, scratch);
            let mut tokens = Vec::with_capacity(scratch.spans.len());
            self.each_token(scratch, |token, _| tokens.push(token));
            tokens
        })
    }

    /// The ids alone: the fastest way.
    pub fn encode_ids(&self, text: &str) -> Vec<u32> {
        Scratch::with(|scratch| {
            let Scratch {
                plain,
                lattice,
                spans,
                ..
            } = scratch;
            self.normalizer.normalize(text, plain);
            self.find_pieces(plain, lattice, spans);
            let mut ids = Vec::with_capacity(spans.len());
            let unknown = self.vocabulary.unknown();
            let mut after_unknown = false;
            for span in spans {
                let is_unknown = span.id == unknown;
                match self.vocabulary.bytes() {
                    Some(bytes) if is_unknown => ids.extend(
                        plain.bytes()[span.start..span.end]
                            .iter()
                            .map(|&byte| bytes[usize::from(byte)]),
                    ),
                    _ if is_unknown && after_unknown => {}
                    _ => ids.push(span.id),
                }
                after_unknown = is_unknown;
            }
            ids
        })
    }

    /// The ids of many texts, on all threads of the current `rayon` pool, in the order of the texts.
    pub fn encode_ids_batch<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Vec<Vec<u32>> {
        texts
            .par_iter()
            .map(|text| self.encode_ids(text.as_ref()))
            .collect()
    }

    /// Calls `emit` for each token of `text` with the text of its piece.
    pub(crate) fn each_piece(&self, text: &str, mut emit: impl FnMut(Token, &str)) {
        Scratch::with(|scratch| {
            self.segment_aligned(text, scratch);
            let normalized = scratch.aligned.text();
            self.each_token(scratch, |token, surface| match surface {
                Surface::Normalized(start, end) => {
                    emit(token, normalized.get(start..end).unwrap_or_default());
                }
                Surface::Byte => emit(token, self.vocabulary.piece(token.id).unwrap_or_default()),
            });
        });
    }

    fn find_pieces<A: Alignment>(
        &self,
        normalized: &Normalized<A>,
        lattice: &mut Lattice<f32>,
        spans: &mut Vec<Span>,
    ) {
        match &self.model {
            Model::Unigram(model) => {
                model.segment_words(normalized.words(self.cuts_words), lattice, spans);
            }
            Model::Bpe(model) => model.segment(&normalized.text(), spans),
            Model::Words(model) => model.segment(&normalized.text(), spans),
            Model::Characters(model) => model.segment(&normalized.text(), spans),
        }
    }

    fn segment_aligned(&self, text: &str, scratch: &mut Scratch) {
        let Scratch {
            aligned,
            lattice,
            spans,
            ..
        } = scratch;
        self.normalizer.normalize(text, aligned);
        self.find_pieces(aligned, lattice, spans);
    }

    /// Calls `emit` for each token and says where its text is.
    fn each_token(&self, scratch: &Scratch, mut emit: impl FnMut(Token, Surface)) {
        let unknown = self.vocabulary.unknown();
        let mut alignment = scratch.aligned.alignment().follow();
        let mut end = scratch
            .spans
            .first()
            .map_or(0, |span| alignment.original(span.start));
        let mut spans = scratch.spans.iter().copied().peekable();
        while let Some(mut span) = spans.next() {
            let is_unknown = span.id == unknown;
            let start = end;
            let bytes = self.vocabulary.bytes().filter(|_| is_unknown);
            if is_unknown && bytes.is_none() {
                // Without bytes to spell them, neighbouring unknown characters are one token.
                while let Some(next) = spans.next_if(|next| next.id == unknown) {
                    span.end = next.end;
                }
            }
            end = alignment.original(span.end);
            match bytes {
                Some(ids) => {
                    let surface = &scratch.aligned.bytes()[span.start..span.end];
                    let last = surface.len() - 1;
                    for (index, &byte) in surface.iter().enumerate() {
                        let id = ids[usize::from(byte)];
                        let end = if index == last { end } else { start };
                        emit(Token { id, start, end }, Surface::Byte);
                    }
                }
                None => emit(
                    Token {
                        id: span.id,
                        start,
                        end,
                    },
                    Surface::Normalized(span.start, span.end),
                ),
            }
        }
    }
}

/// Where the text of a token's piece is.
enum Surface {
    /// In the normalised text, from here to there.
    Normalized(usize, usize),
    /// In the vocabulary: it is the piece of a byte.
    Byte,
}
