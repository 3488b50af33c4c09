//! Where the time of a forward pass goes.

use std::fmt;
use std::time::{Duration, Instant};

/// A part of a forward pass. Normalisations belong to the part that they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Ids to vectors: tables, projection, normalisation.
    Embedding,
    /// Hidden states to queries, keys and values.
    Projection,
    /// Disentangled attention.
    Attention,
    /// The output projection of attention, residual and normalisation.
    Output,
    /// The first half of the feed-forward network, with its activation.
    Up,
    /// The second half, residual and normalisation.
    Down,
    /// The convolution over tokens, residual and normalisation.
    Convolution,
    /// Hidden states to logits.
    Head,
}

impl Stage {
    /// Every stage, in the order of a pass.
    pub const ALL: [Self; 8] = [
        Self::Embedding,
        Self::Projection,
        Self::Attention,
        Self::Output,
        Self::Up,
        Self::Down,
        Self::Convolution,
        Self::Head,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedding => "embedding, norm",
            Self::Projection => "query, key, value",
            Self::Attention => "attention",
            Self::Output => "output, norm",
            Self::Up => "feed-forward up, activation",
            Self::Down => "feed-forward down, norm",
            Self::Convolution => "convolution, norm",
            Self::Head => "head",
        })
    }
}

/// Time and work of the stages of one forward pass, all layers together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    times: [Duration; Stage::ALL.len()],
    operations: [f64; Stage::ALL.len()],
}

impl Profile {
    /// The time that a stage took.
    pub fn time(&self, stage: Stage) -> Duration {
        self.times[stage as usize]
    }

    /// The multiplications and additions of a stage's matrix products. Attention counts `4·L²·N` for contents and
    /// values and `2·L·S·N` for each position term, where S is the number of slots within reach. Embeddings and heads
    /// count nothing.
    pub fn operations(&self, stage: Stage) -> f64 {
        self.operations[stage as usize]
    }

    /// The time of all stages.
    pub fn total(&self) -> Duration {
        self.times.iter().sum()
    }

    /// Runs a stage and adds its time and work.
    pub(super) fn measure<R>(
        &mut self,
        stage: Stage,
        operations: f64,
        run: impl FnOnce() -> R,
    ) -> R {
        let start = Instant::now();
        let result = run();
        self.times[stage as usize] += start.elapsed();
        self.operations[stage as usize] += operations;
        result
    }
}
