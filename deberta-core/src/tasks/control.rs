//! Watching and ending a task that has many inputs.

use std::sync::atomic::{AtomicBool, Ordering};

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Inputs that are answered; of those that are worked on together, the share that is done.
    pub done: usize,
    /// Inputs in all.
    pub total: usize,
}

/// Who hears how far a task is, and what ends it early.
///
/// The methods of tasks that end in `_each` take one. They give a result for every input: one that fails takes no other
/// with it, and inputs that were not reached when the flag went up have [`Error::Cancelled`](crate::Error::Cancelled).
///
/// ```no_run
/// use deberta_core::tasks::{Control, Input, TextClassifier};
/// use std::sync::atomic::AtomicBool;
///
/// let classifier = TextClassifier::load("models/sentiment")?;
/// let stop = AtomicBool::new(false); // to be set by another thread, or by the callback
/// let say = |p: deberta_core::tasks::Progress| println!("{} of {}", p.done, p.total);
/// let control = Control::default().on_progress(&say).cancelled_by(&stop);
/// for answer in classifier.top_k_each(&["Good.", "Bad."].map(Input::from), 1, &control) {
///     println!("{answer:?}");
/// }
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Control<'a> {
    progress: Option<&'a dyn Fn(Progress)>,
    cancelled: Option<&'a AtomicBool>,
    /// Whether nobody wants what comes after an error.
    ends_at_error: bool,
}

impl<'a> Control<'a> {
    /// Calls `hear` after every forward pass, on the thread that runs the task.
    #[must_use]
    pub fn on_progress(self, hear: &'a dyn Fn(Progress)) -> Self {
        Self {
            progress: Some(hear),
            ..self
        }
    }

    /// Ends between two forward passes once `flag` is set.
    #[must_use]
    pub fn cancelled_by(self, flag: &'a AtomicBool) -> Self {
        Self {
            cancelled: Some(flag),
            ..self
        }
    }

    /// For callers that give back the first error and nothing else.
    pub(super) fn until_error() -> Self {
        Self {
            ends_at_error: true,
            ..Self::default()
        }
    }

    /// The same for those who hear nothing.
    pub(super) fn silent(&self) -> Self {
        Self {
            progress: None,
            ..*self
        }
    }

    /// What ends it.
    pub(super) fn flag(&self) -> Option<&'a AtomicBool> {
        self.cancelled
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub(super) fn ends_at_error(&self) -> bool {
        self.ends_at_error
    }

    fn report(&self, done: usize, total: usize) {
        if let Some(hear) = self.progress {
            hear(Progress { done, total });
        }
    }
}

impl std::fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// The inputs of a task that are worked on together, and where they stand among all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion<'a> {
    pub(super) control: &'a Control<'a>,
    /// The index of its first input.
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) total: usize,
}

impl Portion<'_> {
    /// Says that `done` of `whole` equal steps over the portion are done.
    pub(super) fn report(&self, done: usize, whole: usize) {
        let share = (self.count as u128 * done as u128) / whole.max(1) as u128;
        self.control.report(self.first + share as usize, self.total);
    }
}
