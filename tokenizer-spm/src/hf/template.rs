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
    /// Whether windows that truncation cuts off get the type ids of the template, too, and not the number
    /// of their text.
    pub(crate) types_windows: bool,
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
            types_windows: false,
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
        Self {
            single,
            pair,
            types_windows: false,
        }
    }

    /// `<s> A </s>` and `<s> A </s></s> B </s>` with one type id for all, given both tokens.
    pub(crate) fn roberta(cls: (u32, String), sep: (u32, String)) -> Self {
        let special = |token: &(u32, String)| Piece::Special {
            tokens: vec![token.clone()],
            type_id: 0,
        };
        let text = |sequence| Piece::Text {
            sequence,
            type_id: 0,
        };
        let single = vec![special(&cls), text(0), special(&sep)];
        let mut pair = single.clone();
        pair.extend([special(&sep), text(1), special(&sep)]);
        Self {
            single,
            pair,
            types_windows: true,
        }
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

    /// Puts special tokens around a text, if the template for one text has it once.
    pub(crate) fn surround(&self, text: &mut Encoding) -> bool {
        if self.sequences(false).count() != 1 {
            return false;
        }
        // Where the next piece of the template goes: before the text, or at the end.
        let mut index = 0;
        for piece in &self.single {
            match piece {
                Piece::Text { type_id, .. } => {
                    text.type_ids[index..].fill(*type_id);
                    index = text.len();
                }
                Piece::Special { tokens, type_id } => {
                    for (id, token) in tokens {
                        text.insert_special(index, *id, token, *type_id);
                        index += 1;
                    }
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrounding_a_text_is_filling_the_template() {
        let mut text = Encoding::default();
        for id in 5..8 {
            text.push_token(id, "x", (id as usize, 9), id, 0);
        }
        text.finish_text("0123456789", false);
        let cls = (1, "[CLS]".to_owned());
        let sep = (2, "[SEP]".to_owned());
        let mut longer = Template::bert(cls.clone(), sep.clone());
        longer.single[0] = Piece::Special {
            tokens: vec![cls, sep.clone()],
            type_id: 4,
        };
        longer.single[1] = Piece::Text {
            sequence: 0,
            type_id: 3,
        };
        for template in [longer, Template::bert(sep.clone(), sep), Template::bare()] {
            let filled = template.fill(false, true, 0, |out, _, type_id| {
                out.append(&text, 0..text.len(), Some(type_id));
            });
            let mut surrounded = text.clone();
            assert!(template.surround(&mut surrounded));
            assert_eq!(surrounded, filled);
        }
        let mut twice = Template::bare();
        twice.single.push(twice.single[0].clone());
        assert!(!twice.surround(&mut text));
    }
}
