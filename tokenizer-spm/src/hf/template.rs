//! Where special tokens go: the `post_processor` of a `tokenizer.json`.

use super::encoding::Encoding;

/// What stands at one place of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The text: 0 for the first, 1 for the second.
    Text { sequence: u8, type_id: u32 },
    /// Tokens that are always there.
    Special {
        tokens: Vec<(u32, String)>,
        type_id: u32,
    },
}

/// A template for one text and one for two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) single: Vec<Piece>,
    pub(crate) pair: Vec<Piece>,
}

impl Template {
    /// No special tokens: the texts one after the other.
    pub(crate) fn bare() -> Self {
        Self {
            single: vec![Piece::Text {
                sequence: 0,
                type_id: 0,
            }],
            pair: vec![
                Piece::Text {
                    sequence: 0,
                    type_id: 0,
                },
                Piece::Text {
                    sequence: 1,
                    type_id: 1,
                },
            ],
        }
    }

    /// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, given both tokens.
    pub(crate) fn bert(cls: (u32, String), sep: (u32, String)) -> Self {
        let special = |token: &(u32, String), type_id| Piece::Special {
            tokens: vec![token.clone()],
            type_id,
        };
        let single = vec![
            special(&cls, 0),
            Piece::Text {
                sequence: 0,
                type_id: 0,
            },
            special(&sep, 0),
        ];
        let mut pair = single.clone();
        pair.extend([
            Piece::Text {
                sequence: 1,
                type_id: 1,
            },
            special(&sep, 1),
        ]);
        Self { single, pair }
    }

    pub(crate) fn pieces(&self, is_pair: bool) -> &[Piece] {
        if is_pair { &self.pair } else { &self.single }
    }

    /// How many special tokens the template adds.
    pub(crate) fn added(&self, is_pair: bool) -> usize {
        let count = |piece: &Piece| match piece {
            Piece::Special { tokens, .. } => tokens.len(),
            Piece::Text { .. } => 0,
        };
        self.pieces(is_pair).iter().map(count).sum()
    }

    /// The texts of the template in order: 0 for the first, 1 for the second.
    pub(crate) fn sequences(&self, is_pair: bool) -> impl Iterator<Item = usize> {
        self.pieces(is_pair)
            .iter()
            .filter_map(move |piece| match piece {
                Piece::Text { sequence, .. } => Some(usize::from(is_pair && *sequence > 0)),
                Piece::Special { .. } => None,
            })
    }

    /// Fills the template: special tokens if they are wanted, and for each text whatever `text`
    /// appends, given which text it is and its type id.
    pub(crate) fn fill(
        &self,
        is_pair: bool,
        specials: bool,
        capacity: usize,
        mut text: impl FnMut(&mut Encoding, usize, u32),
    ) -> Encoding {
        let mut out = Encoding::with_capacity(capacity);
        for piece in self.pieces(is_pair) {
            match piece {
                Piece::Text { sequence, type_id } => {
                    text(&mut out, usize::from(is_pair && *sequence > 0), *type_id);
                }
                Piece::Special { tokens, type_id } if specials => {
                    for (id, token) in tokens {
                        out.push_special(*id, token, *type_id, 1);
                    }
                }
                Piece::Special { .. } => {}
            }
        }
        out
    }
}
