//! From scores per token to entities, as the reference pipeline groups them.
//!
//! Two steps. Tokens are labelled, each by its own scores or, with the word strategies, all tokens of
//! a word together. Then neighbours with the same tag are joined, unless a prefix says that another
//! entity begins.
//!
//! Label schemes: BIO as the reference reads it (a label without prefix continues its like), and BIOES
//! (or BILOU), which the reference would split at every `E-` and `S-`: a scheme counts as such where
//! some tag has `B-` and one of `E-`, `S-`, `L-`, `U-`. Another difference on purpose: the reference
//! cuts any label at its first hyphen (`date-time` becomes `time`), here only scheme prefixes go.

use std::ops::Range;

use super::score::argmax;

/// How the labels of tokens become entities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// No grouping: each token with its own label, prefix included.
    None,
    /// Neighbouring tokens with the same tag are one entity.
    #[default]
    Simple,
    /// A word has the label of its first token; words are grouped as by `Simple`.
    First,
    /// A word has the label with the highest mean score over its tokens.
    Average,
    /// A word has the label of the token with the highest score.
    Max,
}

/// What is known of a text's tokens, special ones left out.
pub(super) struct Tokens<'a> {
    pub(super) text: &'a str,
    /// Byte spans with their leading spaces: the reference decides by them what begins a word.
    pub(super) spans: &'a [Range<usize>],
    /// Which tokens are the unknown one.
    pub(super) unknown: &'a [bool],
    /// Scores per token, each a row of `labels.len()`.
    pub(super) scores: &'a [f32],
    pub(super) labels: &'a [String],
}

/// A label and the tokens it covers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group<'a> {
    pub(super) label: &'a str,
    pub(super) score: f32,
    pub(super) tokens: Range<usize>,
}

/// Labels the tokens and groups them.
pub(super) fn aggregate<'a>(tokens: &Tokens<'a>, aggregation: Aggregation) -> Vec<Group<'a>> {
    let labelled = match aggregation {
        Aggregation::None | Aggregation::Simple => (0..tokens.spans.len())
            .map(|i| tokens.first(i..i + 1))
            .collect(),
        Aggregation::First => tokens.words(Tokens::first),
        Aggregation::Average => tokens.words(Tokens::average),
        Aggregation::Max => tokens.words(Tokens::max),
    };
    match aggregation {
        Aggregation::None => labelled,
        _ => join(labelled, Scheme::of(tokens.labels)),
    }
}

impl<'a> Tokens<'a> {
    fn row(&self, token: usize) -> &[f32] {
        &self.scores[token * self.labels.len()..(token + 1) * self.labels.len()]
    }

    fn group(&self, scores: &[f32], tokens: Range<usize>) -> Group<'a> {
        let best = argmax(scores);
        let label = self.labels.get(best).map_or("", String::as_str);
        Group {
            label,
            score: scores.get(best).copied().unwrap_or(0.0),
            tokens,
        }
    }

    fn first(&self, tokens: Range<usize>) -> Group<'a> {
        self.group(self.row(tokens.start), tokens)
    }

    fn max(&self, tokens: Range<usize>) -> Group<'a> {
        let peaks: Vec<f32> = tokens
            .clone()
            .map(|token| {
                self.row(token)
                    .iter()
                    .copied()
                    .fold(f32::NEG_INFINITY, f32::max)
            })
            .collect();
        self.group(self.row(tokens.start + argmax(&peaks)), tokens)
    }

    fn average(&self, tokens: Range<usize>) -> Group<'a> {
        let count = tokens.len() as f64;
        let mean: Vec<f32> = (0..self.labels.len())
            .map(|label| {
                let sum: f64 = tokens
                    .clone()
                    .map(|token| f64::from(self.row(token)[label]))
                    .sum();
                (sum / count) as f32
            })
            .collect();
        self.group(&mean, tokens)
    }

    /// Labels each word.
    fn words(&self, label: impl Fn(&Self, Range<usize>) -> Group<'a>) -> Vec<Group<'a>> {
        let mut groups = Vec::new();
        let mut start = 0;
        for token in 1..=self.spans.len() {
            if token == self.spans.len() || !self.continues_word(token) {
                groups.push(label(self, start..token));
                start = token;
            }
        }
        groups
    }

    /// The reference's rule for tokenizers without a continuation mark: a token continues a word
    /// unless it begins the text, is unknown, or a space (U+0020 and no other) is its first character
    /// or the one before it. Punctuation therefore belongs to the word that it touches.
    fn continues_word(&self, token: usize) -> bool {
        let start = self.spans[token].start;
        let (Some(before), Some(after)) = (self.text.get(..start), self.text.get(start..)) else {
            return true; // inside a character: a piece of its bytes
        };
        start > 0 && !self.unknown[token] && !before.ends_with(' ') && !after.starts_with(' ')
    }
}

/// Which prefixes labels have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bio,
    Bioes,
}

impl Scheme {
    fn of(labels: &[String]) -> Self {
        let ends = labels.iter().filter_map(|label| {
            ["E-", "S-", "L-", "U-"]
                .iter()
                .find_map(|prefix| label.strip_prefix(prefix))
        });
        let mut begins = labels.iter().filter_map(|label| label.strip_prefix("B-"));
        let ends: Vec<&str> = ends.collect();
        if begins.any(|tag| ends.contains(&tag)) {
            Self::Bioes
        } else {
            Self::Bio
        }
    }
}

/// Where in an entity a label stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Inside,
    End,
    Single,
}

fn parse(label: &str, scheme: Scheme) -> (Place, &str) {
    let place = match (label.get(..2), scheme) {
        (Some("B-"), _) => Place::Begin,
        (Some("I-"), _) => Place::Inside,
        (Some("E-" | "L-"), Scheme::Bioes) => Place::End,
        (Some("S-" | "U-"), Scheme::Bioes) => Place::Single,
        _ => return (Place::Inside, label),
    };
    (place, &label[2..])
}

/// Joins neighbours with the same tag. The score of an entity is the mean over its parts.
fn join(labelled: Vec<Group<'_>>, scheme: Scheme) -> Vec<Group<'_>> {
    let mut joined: Vec<Group<'_>> = Vec::new();
    let mut last_place = Place::Single;
    let (mut sum, mut parts) = (0.0, 0.0);
    for group in labelled {
        let (place, tag) = parse(group.label, scheme);
        let continues = matches!(place, Place::Inside | Place::End)
            && matches!(last_place, Place::Begin | Place::Inside);
        last_place = place;
        match joined
            .last_mut()
            .filter(|last| continues && last.label == tag)
        {
            Some(last) => {
                sum += f64::from(group.score);
                parts += 1.0;
                last.score = (sum / parts) as f32;
                last.tokens.end = group.tokens.end;
            }
            None => {
                (sum, parts) = (f64::from(group.score), 1.0);
                joined.push(Group {
                    label: tag,
                    ..group
                });
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    /// The tags and token ranges that a sequence of labels gives.
    fn joined(sequence: &[&str], all: &[&str]) -> Vec<(String, Range<usize>)> {
        let groups = sequence
            .iter()
            .enumerate()
            .map(|(i, label)| Group {
                label,
                score: 1.0,
                tokens: i..i + 1,
            })
            .collect();
        let joined = join(groups, Scheme::of(&names(all)));
        joined
            .into_iter()
            .map(|group| (group.label.to_owned(), group.tokens))
            .collect()
    }

    fn expect(found: &[(String, Range<usize>)], expected: &[(&str, Range<usize>)]) {
        let found: Vec<_> = found
            .iter()
            .map(|(tag, range)| (tag.as_str(), range.clone()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn bio() {
        const ALL: &[&str] = &["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];
        let found = joined(
            &["B-PER", "I-PER", "B-PER", "O", "O", "I-LOC", "I-PER"],
            ALL,
        );
        expect(
            &found,
            &[
                ("PER", 0..2),
                ("PER", 2..3),
                ("O", 3..5),
                ("LOC", 5..6),
                ("PER", 6..7),
            ],
        );
    }

    #[test]
    fn labels_without_prefix_continue_their_like() {
        expect(
            &joined(
                &["PER", "PER", "date-time", "date-time", "O"],
                &["O", "PER", "date-time"],
            ),
            &[("PER", 0..2), ("date-time", 2..4), ("O", 4..5)],
        );
    }

    #[test]
    fn bioes_and_bilou() {
        const BIOES: &[&str] = &["O", "B-PER", "I-PER", "E-PER", "S-PER"];
        let found = joined(
            &[
                "B-PER", "I-PER", "E-PER", "I-PER", "S-PER", "S-PER", "E-PER",
            ],
            BIOES,
        );
        expect(
            &found,
            &[
                ("PER", 0..3),
                ("PER", 3..4),
                ("PER", 4..5),
                ("PER", 5..6),
                ("PER", 6..7),
            ],
        );
        const BILOU: &[&str] = &["O", "B-X", "I-X", "L-X", "U-X"];
        let found = joined(&["B-X", "L-X", "U-X", "B-X", "L-X"], BILOU);
        expect(&found, &[("X", 0..2), ("X", 2..3), ("X", 3..5)]);
        // Without B- of the same tag these are names, not prefixes.
        expect(
            &joined(&["S-1", "E-2"], &["O", "S-1", "E-2", "B-PER"]),
            &[("S-1", 0..1), ("E-2", 1..2)],
        );
    }

    #[test]
    fn words_and_their_labels() {
        let text = "Hugging Face, Paris";
        // Hugg|ing| Face|,| Paris with leading spaces in the spans.
        let spans = [0..4, 4..7, 7..12, 12..13, 13..19];
        let labels = names(&["O", "B-ORG", "I-ORG"]);
        #[rustfmt::skip]
        let scores = [
            0.1, 0.6, 0.3,
            0.7, 0.1, 0.2,
            0.3, 0.2, 0.5,
            0.9, 0.0, 0.1,
            0.6, 0.4, 0.0,
        ];
        let tokens = Tokens {
            text,
            spans: &spans,
            unknown: &[false; 5],
            scores: &scores,
            labels: &labels,
        };
        let run = |aggregation| {
            aggregate(&tokens, aggregation)
                .into_iter()
                .map(|g| (g.label, (g.score * 100.0).round() as i32, g.tokens))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(Aggregation::None)[0], ("B-ORG", 60, 0..1));
        assert_eq!(
            run(Aggregation::Simple),
            [
                ("ORG", 60, 0..1),
                ("O", 70, 1..2),
                ("ORG", 50, 2..3),
                ("O", 75, 3..5)
            ]
        );
        assert_eq!(
            run(Aggregation::First),
            [("ORG", 55, 0..4), ("O", 60, 4..5)]
        );
        assert_eq!(run(Aggregation::Max), [("O", 73, 0..5)]);
        assert_eq!(run(Aggregation::Average), [("O", 53, 0..5)]);
    }

    #[test]
    fn what_begins_a_word() {
        let words = |text: &str, spans: &[Range<usize>], unknown: &[bool]| {
            let labels = names(&["O"]);
            let scores = vec![1.0; spans.len()];
            let tokens = Tokens {
                text,
                spans,
                unknown,
                scores: &scores,
                labels: &labels,
            };
            tokens
                .words(Tokens::first)
                .into_iter()
                .map(|g| g.tokens)
                .collect::<Vec<_>>()
        };
        // A space in the span or before it, no other white space.
        assert_eq!(words("a b", &[0..1, 1..3], &[false; 2]), [0..1, 1..2]);
        assert_eq!(words("a b", &[0..1, 2..3], &[false; 2]), [0..1, 1..2]);
        assert_eq!(
            words("a\nb c", &[0..1, 1..3, 3..5], &[false; 3]),
            [0..2, 2..3]
        );
        // An unknown token stands alone, what touches it joins it.
        assert_eq!(
            words("abc", &[0..1, 1..2, 2..3], &[false, true, false]),
            [0..1, 1..3]
        );
        // Pieces of one character's bytes stay together.
        assert_eq!(words("é f", &[0..1, 1..2, 2..4], &[false; 3]), [0..2, 2..3]);
        assert_eq!(words("", &[], &[]), [] as [Range<usize>; 0]);
    }
}
