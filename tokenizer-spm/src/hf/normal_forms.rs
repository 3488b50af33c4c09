//! Unicode normal forms as lists of edits.
//!
//! The four forms are built from decomposition, canonical ordering and composition (Unicode Standard
//! Annex 15). Every character carries along how many characters of the text it takes the place of;
//! that is what keeps the alignment.
//!
//! Hugging Face's tokenizers normalise by the tables of Unicode 9, so characters that were assigned
//! later stay as they are here too, although our tables are newer.

use unicode_normalization::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};

use super::normalized::Edit;
use super::unicode9;

/// Which normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormalForm {
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
}

impl NormalForm {
    /// Whether `text` is in this form already, as far as a glance can tell.
    pub(crate) fn is_obvious(self, text: &str) -> bool {
        match self {
            // Everything below the combining marks is composed and in order.
            NormalForm::Nfc => text.chars().all(|character| character < '\u{300}'),
            _ => text.is_ascii(),
        }
    }

    /// The edits that bring `text` into this form.
    pub(crate) fn edits(self, text: &str) -> Vec<Edit> {
        let compatible = matches!(self, NormalForm::Nfkc | NormalForm::Nfkd);
        let decomposed = decompose(text, compatible);
        match self {
            NormalForm::Nfd | NormalForm::Nfkd => {
                decomposed.into_iter().map(|unit| unit.edit).collect()
            }
            NormalForm::Nfc | NormalForm::Nfkc => recompose(decomposed),
        }
    }
}

/// A character of decomposed text.
#[derive(Debug, Clone, Copy)]
struct Unit {
    edit: Edit,
    /// Canonical combining class: 0 for a starter.
    class: u8,
}

/// Decomposition in canonical order.
fn decompose(text: &str, compatible: bool) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::with_capacity(text.len());
    let mut run = 0; // where the run of marks that is still unordered starts
    for character in text.chars() {
        let mut takes = 1;
        let mut push = |part: char| {
            let class = combining_class(part);
            if class == 0 {
                units[run..].sort_by_key(|unit| unit.class);
                run = units.len();
            }
            units.push(Unit {
                edit: Edit {
                    character: part,
                    takes,
                },
                class,
            });
            takes = 0;
        };
        if unicode9::is_inert(character) {
            push(character);
        } else if compatible {
            decompose_compatible(character, push);
        } else {
            decompose_canonical(character, push);
        }
    }
    units[run..].sort_by_key(|unit| unit.class);
    units
}

fn combining_class(character: char) -> u8 {
    if unicode9::is_inert(character) {
        0
    } else {
        canonical_combining_class(character)
    }
}

/// Composition of ordered, decomposed text.
fn recompose(units: Vec<Unit>) -> Vec<Edit> {
    let mut out: Vec<Edit> = Vec::with_capacity(units.len());
    let mut starter: Option<usize> = None; // index in `out` of the last starter
    let mut last_class = None; // of the marks kept after it
    for Unit { edit, class } in units {
        if let Some(index) = starter {
            // A mark is blocked by a kept one of the same or a higher class before it.
            let reachable = last_class.is_none_or(|last| last < class);
            let composed = if reachable {
                compose(out[index].character, edit.character).filter(|&c| !unicode9::is_inert(c))
            } else {
                None
            };
            if let Some(character) = composed {
                out[index] = Edit {
                    character,
                    takes: out[index].takes + edit.takes,
                };
                continue;
            }
        }
        if class == 0 {
            starter = Some(out.len());
            last_class = None;
        } else {
            last_class = Some(class);
        }
        out.push(edit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization::UnicodeNormalization;

    fn apply(form: NormalForm, text: &str) -> String {
        form.edits(text)
            .into_iter()
            .map(|edit| edit.character)
            .collect()
    }

    #[test]
    fn agrees_with_the_published_forms() {
        for text in [
            "",
            "é",
            "e\u{301}",
            "ﬁ ½ ㍿ ậ…",
            "각\u{1100}\u{1161}\u{11a8}",
            "a\u{315}\u{300}\u{5ae}b",
            "\u{344}\u{316}",
        ] {
            assert_eq!(apply(NormalForm::Nfc, text), text.nfc().collect::<String>());
            assert_eq!(apply(NormalForm::Nfd, text), text.nfd().collect::<String>());
            assert_eq!(
                apply(NormalForm::Nfkc, text),
                text.nfkc().collect::<String>()
            );
            assert_eq!(
                apply(NormalForm::Nfkd, text),
                text.nfkd().collect::<String>()
            );
        }
    }

    #[test]
    fn characters_newer_than_unicode_9_stay() {
        // U+32FF SQUARE ERA NAME REIWA came with Unicode 12.1.
        assert_eq!(apply(NormalForm::Nfkc, "\u{32ff}"), "\u{32ff}");
        assert_eq!(apply(NormalForm::Nfkc, "\u{32fe}"), "ヲ");
    }

    #[test]
    fn edits_count_what_they_take() {
        let takes = |form: NormalForm, text| {
            form.edits(text)
                .iter()
                .map(|edit| edit.takes)
                .collect::<Vec<_>>()
        };
        assert_eq!(takes(NormalForm::Nfc, "e\u{301}x"), [2, 1]);
        assert_eq!(takes(NormalForm::Nfd, "éx"), [1, 0, 1]);
        assert_eq!(takes(NormalForm::Nfc, "éx"), [1, 1]);
    }

    #[test]
    fn a_glance_is_never_wrong() {
        for text in ["abc", "é", "ÿ\u{2ff}"] {
            for form in [
                NormalForm::Nfc,
                NormalForm::Nfd,
                NormalForm::Nfkc,
                NormalForm::Nfkd,
            ] {
                if form.is_obvious(text) {
                    assert_eq!(apply(form, text), text);
                }
            }
        }
    }
}
