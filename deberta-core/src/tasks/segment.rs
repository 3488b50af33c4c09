//! The parts of a long text, each with scores of its own.

use std::ops::Range;

use tokenizer_spm::deberta::TruncationStrategy;

use super::control::{Control, Portion};
use super::encode::{Item, Texts};
use super::run;
use super::span::Characters;
use super::text::{Classification, TextClassifier};
use super::window::{WindowOptions, over_text};
use crate::Error;

/// A part of a text, as long as the model reads at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Where it lies, in bytes.
    pub bytes: Range<usize>,
    /// Where it lies, in characters (Unicode scalar values, as Python counts).
    pub chars: Range<usize>,
    /// All labels, in the order of the model's logits.
    pub labels: Vec<Classification>,
}

impl Segment {
    /// The score of a label, by its index.
    pub fn score(&self, index: usize) -> Option<f32> {
        self.labels.get(index).map(|label| label.score)
    }

    /// The segment with the highest score for the label of this index: of a prompt, the part to worry about.
    pub fn worst(segments: &[Self], index: usize) -> Option<&Self> {
        // Of equal ones the first. No segment has a label that the model does not have.
        let scored = segments.iter().rev();
        let scored = scored.filter_map(|segment| Some((segment, segment.score(index)?)));
        scored
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(segment, _)| segment)
    }
}

impl TextClassifier {
    /// Scores every window over a text by itself, where [`TextClassifier::classify`] merges them: an attack in a long
    /// prompt is found however much harmless text stands around it.
    ///
    /// ```no_run
    /// use deberta_core::tasks::{Segment, TextClassifier};
    /// let guard = TextClassifier::load("protectai/deberta-v3-base-prompt-injection-v2")?;
    /// let prompt = "A very long prompt …";
    /// let segments = guard.segments(prompt)?;
    /// if let Some(worst) = Segment::worst(&segments, 1) {
    ///     println!("{:.3} {:?}", worst.labels[1].score, &prompt[worst.bytes.clone()]);
    /// }
    /// # Ok::<(), deberta_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`TextClassifier::classify`].
    pub fn segments(&self, text: &str) -> Result<Vec<Segment>, Error> {
        run::only(self.segments_each(&[text], &Control::until_error()))
    }

    /// As [`TextClassifier::segments`] for each text, with a result for each, and control over the work. All segments of
    /// many texts share forward passes.
    pub fn segments_each(
        &self,
        texts: &[&str],
        control: &Control<'_>,
    ) -> Vec<Result<Vec<Segment>, Error>> {
        run::in_portions(
            texts,
            |text| text.len(),
            control,
            |texts, portion| self.segments_of(texts, portion),
        )
    }

    fn segments_of(
        &self,
        texts: &[&str],
        portion: Portion<'_>,
    ) -> Vec<Result<Vec<Segment>, Error>> {
        let reader = self.reader();
        let encodings = reader.model.install(|| reader.encoder.encode(texts));
        let room = match reader.room(self.windows(), Texts::Single) {
            Ok(room) => room,
            Err(error) => return vec![Err(error)],
        };
        run::of_the_good(encodings, |encodings, which| {
            let (mut parts, mut spans, mut counts) = (Vec::new(), Vec::new(), Vec::new());
            for (encoding, &i) in encodings.iter().zip(which) {
                let mut characters = Characters::new(texts[i]);
                let windows = over_text(encoding.len(), room);
                counts.push(windows.len());
                for window in windows {
                    let part = encoding.slice(window.first);
                    let start = part.offsets.first().map_or(0, |&(start, _)| start);
                    let end = part.offsets.last().map_or(start, |&(_, end)| end);
                    spans.push(characters.span(start..end.max(start)));
                    parts.push((part, i));
                }
            }
            let items: Vec<Item<'_>> = parts.iter().map(|(part, _)| Item::single(part)).collect();
            // Each fits the model: one window.
            let options = WindowOptions {
                overlap: None,
                ..self.windows().clone()
            };
            let merged = reader.merged_logits(
                &items,
                &options,
                TruncationStrategy::LongestFirst,
                portion,
                |item| parts[item].1,
            );
            let mut segments = merged.into_iter().zip(spans).map(|(merged, span)| {
                let labels = self.in_order(&merged?);
                Ok(Segment {
                    bytes: span.bytes,
                    chars: span.chars,
                    labels,
                })
            });
            counts
                .into_iter()
                .map(|count| run::all(segments.by_ref().take(count).collect()))
                .collect()
        })
    }
}
