//! Patterns of `Replace`: a literal string, or a regular expression in Oniguruma's dialect.
//!
//! A `tokenizer.json` writes its expressions for Oniguruma with Ruby's syntax, and this crate runs them
//! with the `regex` crate, which takes linear time. The two dialects agree on the common core, and
//! where they spell the same thing differently (`\w`, lines) the expression is translated. Where they
//! mean different things by the same spelling, or one cannot do what the other can (look-around,
//! back-references, possessive repetition), the expression is refused by name.

use std::ops::Range;

use regex::Regex;

/// What Oniguruma takes for a word character. Unlike the `regex` crate it leaves two joiners out, and it
/// counts the superscripts and fractions of Latin-1 in.
const WORD: &str = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u{B2}\u{B3}\u{B9}\u{BC}-\u{BE}";

/// A pattern and how to find it.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Whether a match must begin where a line does. Oniguruma sees no line after a final newline.
    starts_line: bool,
}

impl Pattern {
    /// A string that stands for itself. The empty one is found between all characters.
    pub(crate) fn literal(text: &str) -> Result<Self, String> {
        let regex = Regex::new(&regex::escape(text)).map_err(|error| error.to_string())?;
        Ok(Self {
            regex,
            starts_line: false,
        })
    }

    /// An expression in Oniguruma's dialect.
    pub(crate) fn regex(expression: &str) -> Result<Self, String> {
        let starts_line = expression.starts_with('^');
        let regex = Regex::new(&translate(expression)?).map_err(|error| error.to_string())?;
        Ok(Self { regex, starts_line })
    }

    /// The matches from left to right.
    pub(crate) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let beyond = self.starts_line && !text.is_empty();
        // An empty text has no matches, whatever the pattern.
        let text_is_empty = text.is_empty();
        self.regex
            .find_iter(text)
            .map(|found| found.range())
            .filter(move |found| !(text_is_empty || beyond && found.start == text.len()))
    }
}

/// Rewrites an expression for the `regex` crate.
fn translate(expression: &str) -> Result<String, String> {
    let mut out = String::with_capacity(expression.len() + 8);
    let mut rest = expression.chars().peekable();
    let mut class_depth = 0_usize;
    let mut class_is_empty = false; // nothing since the bracket
    let mut repeated = false; // the last thing was a repetition
    if expression.starts_with('^') {
        if expression.contains('|') {
            return Err("`^` together with `|`".to_owned());
        }
        rest.next();
        out.push_str("(?m:^)");
    }
    while let Some(character) = rest.next() {
        let was_repeated = std::mem::take(&mut repeated);
        let class_was_empty = std::mem::take(&mut class_is_empty);
        match character {
            '\\' => {
                let Some(escaped) = rest.next() else {
                    return Err("a backslash at the end".to_owned());
                };
                escape(escaped, &mut rest, class_depth > 0, &mut out)?;
            }
            '[' => {
                if rest.peek() == Some(&':') {
                    return Err("a POSIX bracket `[:`".to_owned());
                }
                class_depth += 1;
                class_is_empty = true;
                out.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if class_depth > 0 => {
                if class_was_empty {
                    return Err("a `]` at the start of a class".to_owned());
                }
                class_depth -= 1;
                out.push(']');
            }
            '&' | '-' | '~' if class_depth > 0 && rest.peek() == Some(&character) => {
                return Err(format!("`{character}{character}` in a class"));
            }
            _ if class_depth > 0 => out.push(character),
            '(' => {
                out.push('(');
                if rest.next_if_eq(&'?').is_some() {
                    match rest.next() {
                        Some(':') => out.push_str("?:"),
                        other => return Err(format!("the group `(?{}`", optional(other))),
                    }
                }
            }
            '*' | '+' | '?' if was_repeated => {
                return Err(format!("`{character}` after a repetition"));
            }
            '*' | '+' | '?' => {
                out.push(character);
                if rest.next_if_eq(&'?').is_some() {
                    out.push('?');
                }
                repeated = true;
            }
            '{' => {
                let bounds: String =
                    std::iter::from_fn(|| rest.next_if(|&c| c.is_ascii_digit() || c == ','))
                        .collect();
                let well_formed = bounds.starts_with(|c: char| c.is_ascii_digit())
                    && bounds.matches(',').count() <= 1
                    && rest.next() == Some('}');
                if was_repeated || !well_formed || rest.peek() == Some(&'?') {
                    return Err(format!("the repetition `{{{bounds}`"));
                }
                out.push('{');
                out.push_str(&bounds);
                out.push('}');
                repeated = true;
            }
            '$' => out.push_str("(?m:$)"),
            '^' => return Err("`^` anywhere but at the start".to_owned()),
            _ => out.push(character),
        }
    }
    Ok(out)
}

fn optional(character: Option<char>) -> String {
    character.map(String::from).unwrap_or_default()
}

/// What follows a backslash.
fn escape(
    escaped: char,
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    in_class: bool,
    out: &mut String,
) -> Result<(), String> {
    match escaped {
        's' | 'S' | 'd' | 'D' | 'n' | 'r' | 't' | 'f' | 'v' | 'a' => {
            out.push('\\');
            out.push(escaped);
        }
        'w' if in_class => out.push_str(WORD),
        'w' => out.push_str(&format!("[{WORD}]")),
        'W' => out.push_str(&format!("[^{WORD}]")),
        'p' | 'P' => {
            // Names of general categories mean the same to both; other names do not always.
            let name: Option<String> = rest.next_if_eq(&'{').map(|_| {
                std::iter::from_fn(|| rest.next_if(|c| c.is_ascii_alphabetic())).collect()
            });
            match name {
                Some(name) if is_category(&name) && rest.next() == Some('}') => {
                    out.push('\\');
                    out.push(escaped);
                    out.push_str(&format!("{{{name}}}"));
                }
                name => {
                    return Err(format!(
                        "the property `\\{escaped}{{{}`",
                        name.unwrap_or_default()
                    ));
                }
            }
        }
        'u' => {
            let digits: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_hexdigit))
                .take(4)
                .collect();
            if digits.len() != 4 {
                return Err("`\\u` without four digits".to_owned());
            }
            out.push_str(&format!("\\u{{{digits}}}"));
        }
        letter if letter.is_alphanumeric() => return Err(format!("`\\{letter}`")),
        literal => out.push_str(&regex::escape(&literal.to_string())),
    }
    Ok(())
}

/// Short names of Unicode general categories.
fn is_category(name: &str) -> bool {
    let mut letters = name.chars();
    let (major, minor) = (letters.next(), letters.next());
    letters.next().is_none()
        && match (major, minor) {
            (Some('L'), minor) => matches!(minor, None | Some('u' | 'l' | 't' | 'm' | 'o')),
            (Some('M'), minor) => matches!(minor, None | Some('n' | 'c' | 'e')),
            (Some('N'), minor) => matches!(minor, None | Some('d' | 'l' | 'o')),
            (Some('P'), minor) => {
                matches!(minor, None | Some('c' | 'd' | 's' | 'e' | 'i' | 'f' | 'o'))
            }
            (Some('S'), minor) => matches!(minor, None | Some('m' | 'c' | 'k' | 'o')),
            (Some('Z'), minor) => matches!(minor, None | Some('s' | 'l' | 'p')),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(expression: &str, text: &str) -> Vec<Range<usize>> {
        Pattern::regex(expression).unwrap().find(text).collect()
    }

    #[test]
    fn the_common_core() {
        assert_eq!(find(" {2,}", "a  b c    "), [1..3, 6..10]);
        assert_eq!(find(r"\s{2,}|[\n\r\t]", "a\tb \u{3000}"), [1..2, 3..7]);
        assert_eq!(find("[^a]", "a\nb"), [1..2, 2..3]);
        assert_eq!(find(".", "a\nb"), [0..1, 2..3]);
        assert_eq!(find(r"\w+", "aé_\u{200d}ⅷ"), [0..4, 7..10]);
        assert_eq!(find(r"[\w-]+", "a-b c"), [0..3, 4..5]);
        assert_eq!(find(r"\u0061\.", "a.ba."), [0..2, 3..5]);
    }

    #[test]
    fn empty_matches_as_oniguruma_finds_them() {
        assert_eq!(find("x*", "axxb"), [0..0, 1..3, 4..4]);
        assert_eq!(find("^", "a\nb\n"), [0..0, 2..2]);
        assert_eq!(find("$", "a\nb\n"), [1..1, 3..3, 4..4]);
        assert_eq!(
            Pattern::literal("").unwrap().find("é").collect::<Vec<_>>(),
            [0..0, 2..2]
        );
        assert!(find("x*", "").is_empty());
    }

    #[test]
    fn what_differs_is_refused() {
        for expression in [
            "(?=a)",
            "(?<!a)",
            "(?i)a",
            "a++",
            "a{2}?",
            "a{,3}",
            "a{x",
            r"\bword",
            r"\h",
            r"\1",
            "[[:punct:]]",
            "[a&&b]",
            "[]a]",
            r"\p{Han}",
            r"\p{^L}",
            "a|^b",
            "^a|b",
            "(",
            "[a",
            "a\\",
            r"\x41",
            r"\u41",
        ] {
            assert!(
                Pattern::regex(expression).is_err(),
                "{expression} was accepted"
            );
        }
    }
}
