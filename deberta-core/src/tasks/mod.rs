//! From text to answers: classification of whole texts and of the tokens in them.
//!
//! Both tasks take texts of any length and any number of them. A text that exceeds the model's
//! length is read through overlapping windows whose answers are merged ([`WindowOptions`]), nothing
//! is cut off. A batch is worked on in portions of bounded memory, sorted by length inside, and
//! answered in the order of the input; an answer does not depend on the other texts of the batch.

mod aggregate;
mod control;
mod embed;
mod encode;
mod fill_mask;
mod gliner;
mod merged;
mod question;
mod reader;
mod rerank;
mod run;
mod score;
mod segment;
mod span;
mod text;
mod token;
mod window;
mod zero_shot;

pub use aggregate::Aggregation;
pub use control::{Control, Progress};
pub use embed::Embedder;
pub use fill_mask::{FillMask, Filled};
pub use gliner::{Gliner, GlinerOptions};
pub use question::{Answer, Question, QuestionAnswerer, QuestionOptions};
pub use rerank::{Ranked, Reranker};
pub use score::ScoreFunction;
pub use segment::Segment;
pub use text::{Classification, TextClassifier};
pub use token::{Entity, TokenClassifier};
pub use tokenizer_spm::deberta::Input;
pub use window::{WindowMerge, WindowOptions};
pub use zero_shot::{Candidates, LabelScore, ZeroShotClassifier};
