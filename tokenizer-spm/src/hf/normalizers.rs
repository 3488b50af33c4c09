//! The `normalizer` of a `tokenizer.json`.

use unicode_segmentation::UnicodeSegmentation;

use super::bert::BertNormalizer;
use super::normal_forms::NormalForm;
use super::normalized::{Edit, Normalized};
use super::pattern::Pattern;
use super::unicode9;
use crate::TokenizerError;
use crate::charsmap::CharsMap;

/// One step of normalisation, or several.
#[derive(Debug, Clone)]
pub(crate) enum Normalizer {
    Sequence(Vec<Normalizer>),
    /// SentencePiece's compiled replacement table.
    Precompiled(Box<CharsMap>),
    Strip {
        left: bool,
        right: bool,
    },
    Replace {
        pattern: Pattern,
        content: String,
    },
    NormalForm(NormalForm),
    Lowercase,
    Prepend(String),
    /// Control characters out, exotic white space to spaces.
    Nmt,
    StripAccents,
    Bert(BertNormalizer),
}

impl Normalizer {
    /// Normalises in place.
    ///
    /// # Errors
    /// When the text becomes unreasonably long.
    pub(crate) fn apply(&self, text: &mut Normalized) -> Result<(), TokenizerError> {
        match self {
            Normalizer::Sequence(steps) => {
                for step in steps {
                    step.apply(text)?;
                }
            }
            Normalizer::Precompiled(map) => precompiled(map, text)?,
            Normalizer::Strip { left, right } => text.strip(*left, *right),
            Normalizer::Replace { pattern, content } => {
                let matches: Vec<_> = pattern.find(text.text()).collect();
                let grown = matches.len().saturating_mul(content.len());
                text.check_growth(text.text().len().saturating_add(grown))?;
                text.replace(matches, content);
            }
            Normalizer::NormalForm(form) => {
                if !form.is_obvious(text.text()) {
                    let edits = form.edits(text.text());
                    text.check_growth(edits.len())?;
                    text.rewrite(edits);
                }
            }
            Normalizer::Lowercase => lowercase(text),
            Normalizer::Prepend(content) => {
                text.check_growth(text.text().len().saturating_add(content.len()))?;
                text.prepend(content);
            }
            Normalizer::Nmt => nmt(text),
            Normalizer::StripAccents => {
                text.retain(|character| !unicode9::is_combining_mark(character));
            }
            Normalizer::Bert(bert) => {
                bert.clean(text)?;
                if bert.lowercase {
                    lowercase(text);
                }
            }
        }
        Ok(())
    }
}

/// Applies SentencePiece's table the way Hugging Face does, which is not SentencePiece's way: a
/// grapheme of less than six bytes is replaced as a whole by what the *shortest* key that it begins
/// with maps to; otherwise its characters are looked up one by one, again by shortest key.
fn precompiled(map: &CharsMap, text: &mut Normalized) -> Result<(), TokenizerError> {
    let whole = text.text();
    let bytes = whole.as_bytes();
    let mut at = fixed(map, bytes);
    if at == bytes.len() {
        return Ok(());
    }
    let mut edits: Vec<Edit> = Vec::with_capacity(bytes.len());
    edits.extend(whole[..at].chars().map(Edit::replace));
    let mut changed = false;
    while at < bytes.len() {
        // Up to where ASCII text goes on: between two of its characters a grapheme always ends.
        let end = (at + 1..bytes.len())
            .find(|&end| {
                bytes[end - 1].is_ascii() && bytes[end].is_ascii() && bytes[end - 1] != b'\r'
            })
            .unwrap_or(bytes.len());
        for grapheme in whole[at..end].graphemes(true) {
            text.check_growth(edits.len())?;
            if grapheme.len() < 6
                && let Some(replacement) = shortest(map, grapheme)
            {
                changed = true;
                substitute(&mut edits, grapheme.chars().count(), replacement);
                continue;
            }
            let mut bytes = [0; 4];
            for character in grapheme.chars() {
                match shortest(map, character.encode_utf8(&mut bytes)) {
                    Some(replacement) => {
                        changed = true;
                        substitute(&mut edits, 1, replacement);
                    }
                    None => edits.push(Edit::replace(character)),
                }
            }
        }
        if end < bytes.len() {
            text.check_growth(edits.len())?;
        }
        at = end + fixed(map, &bytes[end..]);
        edits.extend(whole[end..at].chars().map(Edit::replace));
    }
    if changed {
        text.rewrite(edits);
    }
    Ok(())
}

/// The length of the ASCII text that `text`, which begins with a grapheme, begins with and that surely stays as it
/// is.
fn fixed(map: &CharsMap, text: &[u8]) -> usize {
    let is_fixed = |&byte: &u8| byte != b'\r' && map.keeps_alone(byte);
    let length = text
        .iter()
        .position(|byte| !is_fixed(byte))
        .unwrap_or(text.len());
    // Something that is not ASCII may belong to the last character's grapheme.
    let is_alone = text.get(length).is_none_or(u8::is_ascii);
    length.saturating_sub(usize::from(!is_alone))
}

/// The replacement of the shortest key that `text` begins with.
fn shortest<'a>(map: &'a CharsMap, text: &'a str) -> Option<&'a str> {
    map.prefixes(text.as_bytes())
        .next()
        .map(|(_, replacement)| replacement)
}

/// Puts `replacement` in the place of `replaced` characters. Each new character takes one old one; a
/// surplus of new ones is inserted at the end, a surplus of old ones goes to the last edit. That may be
/// an earlier edit, and where there is none at all the surplus is lost: the reference then shifts the
/// alignment of what follows, and so do we.
fn substitute(edits: &mut Vec<Edit>, replaced: usize, replacement: &str) {
    let mut count = 0;
    for character in replacement.chars() {
        let takes = u32::from(count < replaced);
        edits.push(Edit { character, takes });
        count += 1;
    }
    if let Some(last) = edits.last_mut()
        && count < replaced
    {
        last.takes += (replaced - count) as u32;
    }
}

fn lowercase(text: &mut Normalized) {
    let edits: Vec<Edit> = text
        .text()
        .chars()
        .flat_map(|character| {
            let lower = character.to_lowercase();
            lower.enumerate().map(|(index, character)| Edit {
                character,
                takes: u32::from(index == 0),
            })
        })
        .collect();
    text.rewrite(edits);
}

fn nmt(text: &mut Normalized) {
    text.retain(|character| {
        !matches!(
            character,
            '\u{1}'..='\u{8}' | '\u{B}' | '\u{E}'..='\u{1F}' | '\u{7F}' | '\u{8F}' | '\u{9F}'
        )
    });
    let edits: Vec<Edit> = text
        .text()
        .chars()
        .map(|character| match character {
            '\t'
            | '\n'
            | '\u{C}'
            | '\r'
            | '\u{1680}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{2581}'
            | '\u{FEFF}'
            | '\u{FFFD}' => Edit::replace(' '),
            _ => Edit::replace(character),
        })
        .collect();
    text.rewrite(edits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(normalizer: Normalizer, text: &str) -> (String, Vec<(u32, u32)>) {
        let mut normalized = Normalized::new(text, 0);
        normalizer.apply(&mut normalized).unwrap();
        let spans = normalized
            .text()
            .char_indices()
            .map(|(at, _)| (normalized.origins()[at].start, normalized.origins()[at].end))
            .collect();
        (normalized.text().to_owned(), spans)
    }

    #[test]
    fn lowercase_may_grow() {
        let (text, spans) = apply(Normalizer::Lowercase, "Aİ");
        assert_eq!(text, "ai\u{307}");
        assert_eq!(spans, [(0, 1), (1, 3), (1, 3)]);
    }

    #[test]
    fn accents_go() {
        let (text, spans) = apply(
            Normalizer::Sequence(vec![
                Normalizer::NormalForm(NormalForm::Nfkd),
                Normalizer::StripAccents,
            ]),
            "ậ…",
        );
        assert_eq!(text, "a...");
        assert_eq!(spans, [(0, 3), (3, 6), (3, 6), (3, 6)]);
    }

    #[test]
    fn nmt_cleans() {
        let (text, spans) = apply(Normalizer::Nmt, "\u{1}a\tb\u{200b}");
        assert_eq!(text, "a b ");
        assert_eq!(spans, [(1, 2), (2, 3), (3, 4), (4, 7)]);
    }

    #[test]
    fn a_surplus_of_old_characters_goes_to_the_last_edit() {
        let mut edits = vec![];
        substitute(&mut edits, 1, "");
        assert_eq!(edits, []);
        substitute(&mut edits, 1, "abc");
        assert_eq!(
            edits,
            [Edit::replace('a'), Edit::insert('b'), Edit::insert('c')]
        );
        substitute(&mut edits, 2, "");
        assert_eq!(
            edits[2],
            Edit {
                character: 'c',
                takes: 2
            }
        );
        substitute(&mut edits, 3, "d");
        assert_eq!(
            edits[3],
            Edit {
                character: 'd',
                takes: 3
            }
        );
    }

    /// The table of a real model.
    fn charsmap() -> CharsMap {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/tokenizer/unigram.model"
        );
        let model: crate::proto::ModelProto =
            prost::Message::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
        CharsMap::from_bytes(model.normalizer_spec.unwrap().precompiled_charsmap()).unwrap()
    }

    /// What [`precompiled`] does, with no thought of speed.
    fn grapheme_by_grapheme(map: &CharsMap, text: &mut Normalized) {
        let mut edits = Vec::new();
        for grapheme in text.text().graphemes(true) {
            if grapheme.len() < 6
                && let Some(replacement) = shortest(map, grapheme)
            {
                substitute(&mut edits, grapheme.chars().count(), replacement);
                continue;
            }
            for character in grapheme.chars() {
                match shortest(map, &character.to_string()) {
                    Some(replacement) => substitute(&mut edits, 1, replacement),
                    None => edits.push(Edit::replace(character)),
                }
            }
        }
        text.rewrite(edits);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(3000))]

        #[test]
        fn ascii_text_is_passed_over_without_a_difference(
            text in "([a-z #*1]{0,6}|[\r\n\t\0\x7F]{0,3}|\u{600}|\u{301}|\u{200D}|\u{3099}|[éﬁ½Ａか😀\u{A0}\u{1F1E6}]|\\PC){0,9}",
        ) {
            thread_local! {
                static MAP: CharsMap = charsmap();
            }
            MAP.with(|map| {
                let mut expected = Normalized::new(&text, 3);
                let mut found = expected.clone();
                grapheme_by_grapheme(map, &mut expected);
                precompiled(map, &mut found).unwrap();
                proptest::prop_assert_eq!(found.text(), expected.text());
                proptest::prop_assert_eq!(found.origins(), expected.origins());
                Ok(())
            })?;
        }
    }
}
