//! The `decoder` of a `tokenizer.json`: from tokens back to text.

use super::byte_level;
use super::pattern::Pattern;
use super::pre_tokenizers::Metaspace;

/// One step of decoding, or several.
#[derive(Debug, Clone)]
pub(crate) enum Decoder {
    Sequence(Vec<Decoder>),
    Metaspace(Metaspace),
    Replace {
        pattern: Pattern,
        content: String,
    },
    /// All tokens become one.
    Fuse,
    /// Up to so many of a character go from the ends of each token.
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    /// Tokens such as `<0x61>` become the bytes they name.
    ByteFallback,
    /// All tokens become the text that their bytes spell.
    ByteLevel,
    WordPiece(WordPiece),
}

/// Tokens with a prefix continue a word, the others begin one.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct WordPiece {
    pub(crate) prefix: String,
    /// Whether each token loses the spaces that English does without.
    pub(crate) cleanup: bool,
}

impl Decoder {
    /// Decodes tokens, which are then to be joined.
    pub(crate) fn apply(&self, tokens: Vec<String>) -> Vec<String> {
        match self {
            Decoder::Sequence(steps) => {
                steps.iter().fold(tokens, |tokens, step| step.apply(tokens))
            }
            Decoder::Metaspace(metaspace) => tokens
                .iter()
                .enumerate()
                .map(|(index, token)| metaspace.decode(index, token))
                .collect(),
            Decoder::Replace { pattern, content } => tokens
                .iter()
                .map(|token| replace(token, pattern, content))
                .collect(),
            Decoder::Fuse => vec![tokens.concat()],
            Decoder::Strip {
                content,
                start,
                stop,
            } => tokens
                .iter()
                .map(|token| strip(token, *content, *start, *stop))
                .collect(),
            Decoder::ByteFallback => byte_fallback(tokens),
            Decoder::ByteLevel => vec![byte_level::decode(&tokens)],
            Decoder::WordPiece(word_piece) => tokens
                .iter()
                .enumerate()
                .map(|(index, token)| word_piece.decode(index, token))
                .collect(),
        }
    }
}

impl WordPiece {
    /// What the token at place `index` adds to the text.
    fn decode(&self, index: usize, token: &str) -> String {
        let text = match token.strip_prefix(&self.prefix) {
            _ if index == 0 => token.to_owned(),
            Some(rest) => rest.to_owned(),
            None => format!(" {token}"),
        };
        match self.cleanup {
            true => clean_up(&text).replace(" do not", " don't"),
            false => text,
        }
    }
}

/// Removes spaces before punctuation and before parts of English contractions, one rule after the other.
pub(super) fn clean_up(text: &str) -> String {
    const RULES: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    let mut text = text.to_owned();
    for (found, replacement) in RULES {
        if text.contains(found) {
            text = text.replace(found, replacement);
        }
    }
    text
}

fn replace(token: &str, pattern: &Pattern, content: &str) -> String {
    let mut out = String::with_capacity(token.len());
    let mut done = 0;
    for found in pattern.find(token) {
        out.push_str(&token[done..found.start]);
        out.push_str(content);
        done = found.end;
    }
    out.push_str(&token[done..]);
    out
}

fn strip(token: &str, content: char, start: usize, stop: usize) -> String {
    let mut token = token;
    for _ in 0..start {
        match token.strip_prefix(content) {
            Some(rest) => token = rest,
            None => break,
        }
    }
    for _ in 0..stop {
        match token.strip_suffix(content) {
            Some(rest) => token = rest,
            None => break,
        }
    }
    token.to_owned()
}

/// A run of byte tokens that is no UTF-8 becomes one replacement character for each of them.
fn byte_fallback(tokens: Vec<String>) -> Vec<String> {
    fn flush(bytes: &mut Vec<u8>, out: &mut Vec<String>) {
        let count = bytes.len();
        match String::from_utf8(std::mem::take(bytes)) {
            Ok(text) if count > 0 => out.push(text),
            Ok(_) => {}
            Err(_) => out.extend(std::iter::repeat_n("\u{FFFD}".to_owned(), count)),
        }
    }
    let mut out = Vec::with_capacity(tokens.len());
    let mut bytes = Vec::new();
    for token in tokens {
        match byte_of(&token) {
            Some(byte) => bytes.push(byte),
            None => {
                flush(&mut bytes, &mut out);
                out.push(token);
            }
        }
    }
    flush(&mut bytes, &mut out);
    out
}

/// The byte that a token such as `<0x61>` names.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    // A sign is what the reference's number parser takes too.
    if digits.len() == 2 {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(decoder: Decoder, tokens: &[&str]) -> Vec<String> {
        decoder.apply(tokens.iter().map(|&token| token.to_owned()).collect())
    }

    #[test]
    fn bytes_become_text() {
        let fallback = |tokens: &[&str]| apply(Decoder::ByteFallback, tokens);
        assert_eq!(
            fallback(&["a", "<0xE5>", "<0x8f>", "<0xab>", "b"]),
            ["a", "叫", "b"]
        );
        assert_eq!(
            fallback(&["<0xE5>", "<0x8f>", "b"]),
            ["\u{FFFD}", "\u{FFFD}", "b"]
        );
        assert_eq!(
            fallback(&["<0xé>", "<0x1>", "<0x+1>"]),
            ["<0xé>", "<0x1>", "\u{1}"]
        );
        assert_eq!(fallback(&[]), Vec::<String>::new());
    }

    #[test]
    fn strip_takes_no_more_than_there_is() {
        let strip = |start, stop, token: &str| {
            apply(
                Decoder::Strip {
                    content: 'H',
                    start,
                    stop,
                },
                &[token],
            )
            .concat()
        };
        assert_eq!(strip(1, 0, "HHH"), "HH");
        assert_eq!(strip(0, 9, "eH"), "e");
        assert_eq!(strip(1, 1, "H"), "");
    }

    #[test]
    fn word_pieces_are_joined_and_cleaned_one_by_one() {
        let decode = |cleanup, tokens: &[&str]| {
            let prefix = "##".to_owned();
            apply(Decoder::WordPiece(WordPiece { prefix, cleanup }), tokens).concat()
        };
        let tokens = ["##a", "##b", "c", ".", "'", "s", "do not", "'s"];
        assert_eq!(decode(false, &tokens), "##ab c . ' s do not 's");
        // A token alone is looked at: the apostrophe keeps its space, as the reference has it.
        assert_eq!(decode(true, &tokens), "##ab c. ' s don't's");
        assert_eq!(decode(true, &[]), "");
        assert_eq!(clean_up("it ' s do not ."), "it's do not.");
    }

    #[test]
    fn steps_follow_one_another() {
        let steps = vec![
            Decoder::Replace {
                pattern: Pattern::literal("▁").unwrap(),
                content: " ".to_owned(),
            },
            Decoder::Fuse,
            Decoder::Strip {
                content: ' ',
                start: 1,
                stop: 0,
            },
        ];
        assert_eq!(apply(Decoder::Sequence(steps), &["▁a", "▁b"]), ["a b"]);
    }
}
