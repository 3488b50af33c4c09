//! What BERT does to text before it is cut into words.

use super::normal_forms::NormalForm;
use super::normalized::{Edit, Normalized};
use super::unicode9;
use crate::TokenizerError;

/// The normalizer `BertNormalizer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct BertNormalizer {
    /// Control characters out, any white space to spaces.
    pub(crate) clean_text: bool,
    /// Spaces around Chinese characters, so that each is a word.
    pub(crate) handle_chinese_chars: bool,
    /// Where a file does not say, accents go where capital letters do.
    pub(crate) strip_accents: Option<bool>,
    pub(crate) lowercase: bool,
}

impl BertNormalizer {
    /// Everything but putting in lower case, which comes last.
    pub(crate) fn clean(self, text: &mut Normalized) -> Result<(), TokenizerError> {
        if self.clean_text {
            clean_text(text);
        }
        if self.handle_chinese_chars && !text.text().is_ascii() {
            surround_chinese(text)?;
        }
        if self.strip_accents.unwrap_or(self.lowercase) && !text.text().is_ascii() {
            let edits = NormalForm::Nfd.edits(text.text());
            text.check_growth(edits.len())?;
            text.rewrite(edits);
            text.retain(|character| !unicode9::is_nonspacing_mark(character));
        }
        Ok(())
    }
}

fn clean_text(text: &mut Normalized) {
    let is_noise = |character: char| {
        let is_space = matches!(character, '\t' | '\n' | '\r');
        character == '\u{FFFD}' || unicode9::is_other(character) && !is_space
    };
    text.retain(|character| !is_noise(character));
    let is_exotic = |character: char| character != ' ' && character.is_whitespace();
    if text.text().contains(is_exotic) {
        let plain = |character| if is_exotic(character) { ' ' } else { character };
        let edits: Vec<Edit> = text.text().chars().map(plain).map(Edit::replace).collect();
        text.rewrite(edits);
    }
}

fn surround_chinese(text: &mut Normalized) -> Result<(), TokenizerError> {
    let count = text.text().chars().filter(|&c| is_chinese(c)).count();
    if count == 0 {
        return Ok(());
    }
    text.check_growth(text.text().len() + 2 * count)?;
    // The space before takes the place of the character, which is inserted after it: all three are
    // aligned with it.
    let edits: Vec<Edit> = text
        .text()
        .chars()
        .flat_map(|character| {
            let is_chinese = is_chinese(character);
            let first = if is_chinese { ' ' } else { character };
            let rest = [character, ' '].map(Edit::insert);
            let rest = rest.into_iter().filter(move |_| is_chinese);
            std::iter::once(Edit::replace(first)).chain(rest)
        })
        .collect();
    text.rewrite(edits);
    Ok(())
}

/// The blocks of Chinese characters, as BERT's first release lists them (one block begins 0x100 late).
fn is_chinese(character: char) -> bool {
    matches!(
        u32::from(character),
        0x3400..=0x4DBF
            | 0x4E00..=0x9FFF
            | 0xF900..=0xFAFF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0x2F800..=0x2FA1F
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: BertNormalizer = BertNormalizer {
        clean_text: false,
        handle_chinese_chars: false,
        strip_accents: None,
        lowercase: false,
    };

    fn clean(normalizer: BertNormalizer, text: &str) -> (String, Vec<(u32, u32)>) {
        let mut normalized = Normalized::new(text, 0);
        normalizer.clean(&mut normalized).unwrap();
        let places = normalized.text().char_indices();
        let origins = places.map(|(at, _)| normalized.origins()[at]);
        let spans = origins.map(|origin| (origin.start, origin.end)).collect();
        (normalized.text().to_owned(), spans)
    }

    #[test]
    fn control_characters_go_and_white_space_is_a_space() {
        let normalizer = BertNormalizer {
            clean_text: true,
            ..NOTHING
        };
        let (text, spans) = clean(normalizer, "\0a\u{200D}\tb\r\n\u{3000}\u{FFFD}\u{1}");
        assert_eq!(text, "a b   ");
        assert_eq!(spans, [(1, 2), (5, 6), (6, 7), (7, 8), (8, 9), (9, 12)]);
    }

    #[test]
    fn chinese_characters_stand_alone() {
        let normalizer = BertNormalizer {
            handle_chinese_chars: true,
            ..NOTHING
        };
        let (text, spans) = clean(normalizer, "a日か\u{2B820}");
        assert_eq!(text, "a 日 か\u{2B820}");
        assert_eq!(spans, [(0, 1), (1, 4), (1, 4), (1, 4), (4, 7), (7, 11)]);
    }

    #[test]
    fn accents_go_where_capital_letters_do_unless_the_file_says_otherwise() {
        let text = |strip_accents, lowercase| {
            let normalizer = BertNormalizer {
                strip_accents,
                lowercase,
                ..NOTHING
            };
            clean(normalizer, "É\u{20DD}").0
        };
        // An enclosing circle is a mark, but one that takes space.
        assert_eq!(text(None, true), "E\u{20DD}");
        assert_eq!(text(None, false), "É\u{20DD}");
        assert_eq!(text(Some(true), false), "E\u{20DD}");
        assert_eq!(text(Some(false), true), "É\u{20DD}");
    }
}
