//! GPT-2's byte-level alphabet and its way of cutting a text into words.
//!
//! A byte-level vocabulary is made of the 256 bytes, so no text is unknown to it. Its files write each byte
//! as a visible character: printable ones of Latin-1 stand for themselves, the others take the characters
//! from U+0100 on, in order. A space becomes `Ġ`, a newline `Ċ`, and `é`, two bytes of UTF-8, `Ã©`.

use unicode_general_category::{GeneralCategory, get_general_category};

use super::encoding::Encoding;
use super::splits::Splits;

/// What a space is written as.
const SPACE: char = CHARACTERS[b' ' as usize];

/// The character for each byte.
const CHARACTERS: [char; 256] = {
    let mut characters = ['\0'; 256];
    let mut byte = 0;
    let mut next = 0x100;
    while byte < 256 {
        let stands_for_itself = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if stands_for_itself { byte as u32 } else { next };
        if let Some(character) = char::from_u32(code) {
            characters[byte] = character;
        }
        if !stands_for_itself {
            next += 1;
        }
        byte += 1;
    }
    characters
};

/// The byte for each character below U+0144.
const BYTES: [Option<u8>; 0x144] = {
    let mut bytes = [None; 0x144];
    let mut byte = 0;
    while byte < 256 {
        bytes[CHARACTERS[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    bytes
};

/// The character that a byte is written as.
fn character_of(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// The byte that a character stands for.
fn byte_of(character: char) -> Option<u8> {
    *BYTES.get(character as usize)?
}

/// How a byte-level tokenizer cuts text and what it does to offsets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteLevel {
    /// Puts a space before every part that does not start with one.
    pub(crate) add_prefix_space: bool,
    /// Cuts the text into words.
    pub(crate) use_regex: bool,
}

impl ByteLevel {
    pub(crate) fn apply(self, splits: &mut Splits) {
        if self.add_prefix_space {
            splits.rewrite(|text, _, out| {
                if !text.starts_with(' ') {
                    out.push(' ', 0);
                }
                for (offset, character) in text.char_indices() {
                    out.push(character, offset);
                }
            });
        }
        if self.use_regex {
            splits.split_words(word_length);
        }
        splits.rewrite(|text, _, out| {
            // All bytes of a character come from all of it.
            let mut start = 0;
            for (offset, &byte) in text.as_bytes().iter().enumerate() {
                if text.is_char_boundary(offset) {
                    start = offset;
                }
                out.push(character_of(byte), start);
            }
        });
    }
}

/// The bytes that tokens spell, as text. What is no UTF-8 becomes the replacement character.
pub(crate) fn decode(tokens: &[String]) -> String {
    let mut bytes = Vec::with_capacity(tokens.iter().map(String::len).sum());
    for token in tokens {
        let start = bytes.len();
        for character in token.chars() {
            match byte_of(character) {
                Some(byte) => bytes.push(byte),
                None => {
                    // A token that was added need not be in the alphabet.
                    bytes.truncate(start);
                    bytes.extend_from_slice(token.as_bytes());
                    break;
                }
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What GPT-2 takes for the kind of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Other,
}

fn kind(character: char) -> Kind {
    use GeneralCategory::{
        DecimalNumber, LetterNumber, LowercaseLetter, ModifierLetter, OtherLetter, OtherNumber,
        TitlecaseLetter, UppercaseLetter,
    };
    match character {
        'a'..='z' | 'A'..='Z' => Kind::Letter,
        '0'..='9' => Kind::Number,
        _ if character.is_whitespace() => Kind::Space,
        _ if character.is_ascii() => Kind::Other,
        _ => match get_general_category(character) {
            UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter => {
                Kind::Letter
            }
            DecimalNumber | LetterNumber | OtherNumber => Kind::Number,
            _ => Kind::Other,
        },
    }
}

/// The length in bytes of the word that a text begins with; 0 only for an empty text.
///
/// The words are the matches of GPT-2's expression: an English contraction's ending, or a run of letters,
/// of numbers, or of anything else that is no white space, each with one space before it if there is one,
/// or a run of white space without the last character of it if a word follows.
fn word_length(text: &str) -> usize {
    if let Some(rest) = text.strip_prefix('\'') {
        for ending in ["s", "t", "re", "ve", "m", "ll", "d"] {
            if rest.starts_with(ending) {
                return 1 + ending.len();
            }
        }
    }
    let space = usize::from(text.starts_with(' '));
    let Some(first) = text[space..].chars().next() else {
        return space;
    };
    let first = kind(first);
    if first != Kind::Space {
        return space + run_length(&text[space..], first);
    }
    let run = run_length(text, Kind::Space);
    match text[..run].chars().next_back() {
        Some(last) if run < text.len() && last.len_utf8() < run => run - last.len_utf8(),
        _ => run,
    }
}

/// How many bytes of characters of that kind a text begins with.
fn run_length(text: &str, wanted: Kind) -> usize {
    text.char_indices()
        .find(|(_, character)| kind(*character) != wanted)
        .map_or(text.len(), |(offset, _)| offset)
}

/// Trims the spans of a text's tokens as the post-processor `ByteLevel` does: by as many characters as
/// the token is written with spaces at its ends, whether these come from the text or not.
pub(crate) fn trim_offsets(encoding: &mut Encoding, text: &str, add_prefix_space: bool) {
    let is_space = |character: &char| *character == SPACE || character.is_whitespace();
    let mut boundaries: Vec<usize> = text.char_indices().map(|(offset, _)| offset).collect();
    boundaries.push(text.len());
    let columns = encoding.tokens.iter().zip(&mut encoding.offsets);
    for (index, (token, offsets)) in columns.enumerate() {
        let leading = token.chars().take_while(is_space).count();
        let trailing = token.chars().rev().take_while(is_space).count();
        if leading == 0 && trailing == 0 {
            continue;
        }
        // Spans begin and end between characters.
        let place = |byte: usize| boundaries.partition_point(|&boundary| boundary < byte);
        let (mut start, mut end) = (place(offsets.0), place(offsets.1));
        let is_added = add_prefix_space && leading == 1 && (index == 0 || start == 0);
        if !is_added {
            start = (start + leading).min(end);
        }
        if end >= trailing {
            end = (end - trailing).max(start);
        }
        if let (Some(&start), Some(&end)) = (boundaries.get(start), boundaries.get(end)) {
            *offsets = (start, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hf::normalized::Normalized;

    fn words(text: &str) -> Vec<&str> {
        let mut rest = text;
        std::iter::from_fn(|| {
            let (word, after) = rest.split_at(word_length(rest));
            rest = after;
            (!word.is_empty()).then_some(word)
        })
        .collect()
    }

    #[test]
    fn words_are_cut_as_gpt_2_cuts_them() {
        assert_eq!(
            words("Hello my friend, it's 7th!"),
            ["Hello", " my", " friend", ",", " it", "'s", " 7", "th", "!"]
        );
        assert_eq!(
            words("we'll 'd 'S 're"),
            ["we", "'ll", " '", "d", " '", "S", " '", "re"]
        );
        assert_eq!(
            words("a   b\n\nc \n"),
            ["a", "  ", " b", "\n", "\n", "c", " \n"]
        );
        assert_eq!(words("\u{3000}\u{3000}x"), ["\u{3000}", "\u{3000}", "x"]);
        assert_eq!(words(" \u{3000}x "), [" ", "\u{3000}", "x", " "]);
        assert_eq!(words("x²Ⅷ٣e\u{301}"), ["x", "²Ⅷ٣", "e", "\u{301}"]);
        assert_eq!(words("'"), ["'"]);
        assert_eq!(words(""), [""; 0]);
    }

    /// The kind of every code point, as a hash over words that `tests/reference/byte_level_fixtures.py` made.
    #[test]
    fn words_around_every_code_point() {
        const HASHES: &str =
            include_str!("../../../tests/fixtures/tokenizer/byte_level/words.json");
        let hashes: Vec<String> = serde_json::from_str(HASHES).unwrap();
        assert_eq!(hashes.len(), 0x110);
        for (block, expected) in (0_u32..).zip(hashes) {
            let points = (block << 12..(block + 1) << 12).filter_map(char::from_u32);
            let text: String = points.map(|c| format!("x{c}1{c}!{c} {c}{c}\n")).collect();
            let hash = words(&text)
                .iter()
                .fold(0xCBF2_9CE4_8422_2325, |hash, word| {
                    (hash ^ word.chars().count() as u64).wrapping_mul(0x0100_0000_01B3)
                });
            assert_eq!(
                format!("{hash:016x}"),
                expected,
                "from U+{:04X} on",
                block << 12
            );
        }
    }

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        for byte in 0..=255 {
            assert_eq!(byte_of(character_of(byte)), Some(byte));
        }
        assert_eq!(
            [b' ', b'\n', b'!', 0xAD].map(character_of),
            ['Ġ', 'Ċ', '!', 'Ń']
        );
        assert_eq!(byte_of(' '), None);
        assert_eq!(byte_of('😀'), None);
    }

    #[test]
    fn characters_keep_their_span_in_bytes() {
        let mut splits = Splits::default();
        let text = "é b";
        splits.push(&Normalized::new(text, 0), 0..text.len(), None);
        ByteLevel {
            add_prefix_space: true,
            use_regex: true,
        }
        .apply(&mut splits);
        let parts: Vec<_> = splits
            .parts()
            .iter()
            .map(|part| {
                let range = part.range.clone();
                (splits.text(range.clone()), splits.original(range))
            })
            .collect();
        assert_eq!(parts, [("ĠÃ©", (0, 2)), ("Ġb", (2, 4))]);
        let copyright = splits.parts()[0].range.end - "©".len()..splits.parts()[0].range.end;
        assert_eq!(splits.original(copyright), (0, 2));
    }

    #[test]
    fn tokens_become_text() {
        let tokens =
            |tokens: &[&str]| decode(&tokens.iter().map(|&t| t.to_owned()).collect::<Vec<_>>());
        assert_eq!(tokens(&["ĠðŁĺ", "Ģ", "日", "a日"]), " 😀日a日");
        assert_eq!(tokens(&["ðŁĺ", "a"]), "\u{FFFD}a");
    }
}
