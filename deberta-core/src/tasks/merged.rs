//! Logits of texts and pairs of any length: those of their windows, merged.

use super::control::Portion;
use tokenizer_spm::deberta::{Encoding, TruncationStrategy};

use super::encode::{Item, Texts};
use super::reader::Reader;
use super::run;
use super::window::{self, Window, WindowMerge, WindowOptions};
use crate::{Batch, Error};

impl Reader {
    /// The windows over a text or a pair.
    pub(super) fn windows(
        &self,
        item: Item<'_>,
        options: &WindowOptions,
        strategy: TruncationStrategy,
    ) -> Result<Vec<Window>, Error> {
        let (first, second) = (item.first.len(), item.second.map(Encoding::len));
        let texts = second.map_or(Texts::Single, |_| Texts::Pair);
        let room = self.room(options, texts)?;
        if options.truncate {
            let specials = self.encoder.specials(second.is_some());
            let lengths: Vec<usize> = [Some(first), second].into_iter().flatten().collect();
            let window = window::truncated(&lengths, room.tokens + specials, specials, strategy)?;
            return Ok(vec![window]);
        }
        Ok(match second {
            None => window::over_text(first, room),
            Some(second) => window::over_pair(first, second, room),
        })
    }

    /// Runs the model over windows: what `answer` makes of each, item by item. It is told the item, the number of the
    /// window, and where its result is.
    pub(super) fn read<R, T>(
        &self,
        items: &[(Item<'_>, &[Window])],
        portion: Portion<'_>,
        forward: impl FnMut(&Batch) -> Result<R, Error>,
        answer: impl FnMut(usize, usize, (&R, &Batch, usize)) -> Result<T, Error>,
    ) -> Vec<Result<Vec<T>, Error>> {
        let counts: Vec<usize> = items.iter().map(|(_, windows)| windows.len()).collect();
        let part = |i: usize, window: usize| (items[i].0, &items[i].1[window]);
        run::over_windows(
            portion,
            &counts,
            |i, window| {
                let (item, window) = part(i, window);
                self.encoder.length(item, window)
            },
            |i, window| {
                let (item, window) = part(i, window);
                self.encoder.assemble(item, window)
            },
            forward,
            answer,
        )
    }

    /// The merged logits of each item, with a sequence head. `input` tells to which input of the portion an item belongs,
    /// for errors.
    pub(super) fn merged_logits(
        &self,
        items: &[Item<'_>],
        options: &WindowOptions,
        strategy: TruncationStrategy,
        portion: Portion<'_>,
        input: impl Fn(usize) -> usize,
    ) -> Vec<Result<Merged, Error>> {
        let labels = self.config().num_labels();
        let merge = options.merge.unwrap_or_default();
        let cuts = items.iter();
        let cuts = cuts.map(|&item| self.windows(item, options, strategy));
        run::of_the_good(cuts.collect(), |cuts, which| {
            let cut = cuts.iter().zip(which);
            let cut: Vec<_> = cut.map(|(cut, &i)| (items[i], &cut[..])).collect();
            let logits = self.read(
                &cut,
                portion,
                |batch| run::logits_of(&self.model, batch),
                |i, _, (logits, _, row)| {
                    let row = logits.row(row).to_vec();
                    let input = portion.first + input(which[i]);
                    let finite = row.iter().all(|x| x.is_finite());
                    finite
                        .then_some(row)
                        .ok_or(Error::NotFiniteOutput { input })
                },
            );
            let texts = logits.into_iter().zip(cuts);
            texts
                .map(|(logits, cut)| {
                    let mut merged = Merged::new(merge, labels, cut.len());
                    for (logits, window) in logits?.into_iter().zip(cut) {
                        merged.add(logits.into_iter(), window.weight);
                    }
                    Ok(merged)
                })
                .collect()
        })
    }
}

/// Logits of one text, gathered window by window.
#[derive(Debug)]
pub(super) struct Merged {
    merge: WindowMerge,
    values: Vec<f64>,
    weight: f64,
    /// How many there are.
    pub(super) windows: usize,
}

impl Merged {
    fn new(merge: WindowMerge, labels: usize, windows: usize) -> Self {
        let start = match merge {
            WindowMerge::Mean => 0.0,
            WindowMerge::Max => f64::NEG_INFINITY,
        };
        Self {
            merge,
            values: vec![start; labels],
            weight: 0.0,
            windows,
        }
    }

    fn add(&mut self, logits: impl Iterator<Item = f32>, weight: usize) {
        let weight = weight as f64;
        for (value, logit) in self.values.iter_mut().zip(logits) {
            match self.merge {
                WindowMerge::Mean => *value += weight * f64::from(logit),
                WindowMerge::Max => *value = value.max(f64::from(logit)),
            }
        }
        self.weight += weight;
    }

    pub(super) fn logits(&self) -> Vec<f32> {
        let divisor = match self.merge {
            WindowMerge::Mean => self.weight,
            WindowMerge::Max => 1.0,
        };
        self.values
            .iter()
            .map(|value| (value / divisor) as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_window_keeps_its_logits_bit_for_bit() {
        let logits = [0.1f32, -3.3, 7.7e-8, 1e30];
        for weight in [1, 3, 510, 261_121] {
            let mut mean = Merged::new(WindowMerge::Mean, 4, 1);
            mean.add(logits.into_iter(), weight);
            assert_eq!(mean.logits(), logits, "{weight}");
        }
    }

    #[test]
    fn windows_are_merged_as_documented() {
        let mut mean = Merged::new(WindowMerge::Mean, 2, 2);
        mean.add([4.0, 0.0].into_iter(), 3);
        mean.add([0.0, 8.0].into_iter(), 1);
        assert_eq!(mean.logits(), [3.0, 2.0]);
        let mut max = Merged::new(WindowMerge::Max, 2, 2);
        max.add([-4.0, 0.5].into_iter(), 3);
        max.add([-5.0, 8.0].into_iter(), 1);
        assert_eq!(max.logits(), [-4.0, 8.0]);
    }
}
