//! Who hears of tokens while a search goes on, and what ends it early.

use std::sync::atomic::{AtomicBool, Ordering};

/// Tokens of the first sequence of an input, as soon as nothing can change them any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decided<'a> {
    /// The index of the input.
    pub input: usize,
    /// The tokens that follow those told before; in the end there may be none.
    pub tokens: &'a [u32],
    /// Whether the sequence is complete.
    pub last: bool,
}

/// Who hears of decided tokens, and what ends a search early.
///
/// For every input the tokens that are told, one call after the other, are its first returned sequence, start token and
/// all. Without beams each token is told when it is chosen. In beam search, where a sequence may still lose to another,
/// tokens are told once the best finished hypothesis and all that still run share them.
///
/// ```
/// use deberta_core::generate::{Decided, Watch};
/// use std::sync::atomic::AtomicBool;
///
/// let stop = AtomicBool::new(false); // to be set by another thread, or by the callback
/// let mut hear = |decided: Decided<'_>| println!("{}: {:?}", decided.input, decided.tokens);
/// let watch = Watch::default().on_tokens(&mut hear).cancelled_by(&stop);
/// ```
#[derive(Default)]
pub struct Watch<'a> {
    hear: Option<&'a mut dyn FnMut(Decided<'_>)>,
    cancelled: Option<&'a AtomicBool>,
}

impl<'a> Watch<'a> {
    /// Calls `hear` after every step that decided something, on the thread that searches.
    #[must_use]
    pub fn on_tokens(self, hear: &'a mut dyn FnMut(Decided<'_>)) -> Self {
        Self {
            hear: Some(hear),
            ..self
        }
    }

    /// Ends the search before its next step once `flag` is set. It is no error: what there is by then is returned, with
    /// [`Ended::Cancelled`](super::Ended::Cancelled) where a sequence was not complete.
    #[must_use]
    pub fn cancelled_by(self, flag: &'a AtomicBool) -> Self {
        Self {
            cancelled: Some(flag),
            ..self
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// How many tokens of an input's first sequence were told.
#[derive(Debug, Default)]
pub(super) struct Told(usize);

impl Told {
    pub(super) fn count(&self) -> usize {
        self.0
    }

    /// Tells what is new in the tokens that are decided.
    pub(super) fn tell(
        &mut self,
        input: usize,
        decided: &[u32],
        last: bool,
        watch: &mut Watch<'_>,
    ) {
        let new = decided.get(self.0..).unwrap_or_default();
        if let Some(hear) = &mut watch.hear
            && (last || !new.is_empty())
        {
            hear(Decided {
                input,
                tokens: new,
                last,
            });
        }
        self.0 += new.len();
    }
}

/// How many first tokens all sequences share.
pub(super) fn shared<'a>(mut sequences: impl Iterator<Item = &'a [u32]>) -> &'a [u32] {
    let first = sequences.next().unwrap_or_default();
    sequences.fold(first, |prefix, other| {
        let same = prefix.iter().zip(other).take_while(|(a, b)| a == b);
        &prefix[..same.count()]
    })
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn what_all_begin_with_is_shared() {
        let of = |lists: &[&'static [u32]]| shared(lists.iter().copied());
        assert_eq!(of(&[&[1, 2, 3], &[1, 2], &[1, 2, 4]]), [1, 2]);
        assert!(of(&[&[1, 2], &[3]]).is_empty());
        assert_eq!(of(&[&[1, 2]]), [1, 2]);
        assert!(of(&[]).is_empty());
    }
}
