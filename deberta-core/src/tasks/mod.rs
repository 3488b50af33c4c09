//! From text to answers.
//!
//! | you want | use | answers as |
//! |---|---|---|
//! | one of the labels that a model was trained on | [`TextClassifier`] | `pipeline("text-classification")` |
//! | the same of every part of a long prompt | [`TextClassifier::segments`] | |
//! | names and other parts of a text | [`TokenClassifier`] | `pipeline("token-classification")` |
//! | entities of any kind | [`Gliner`] | `GLiNER.predict_entities` of `gliner` |
//! | the same, and classes of any kind, from one model | [`Gliner2`] | `extract_entities`, `classify_text` of `gliner2` |
//! | any labels | [`ZeroShotClassifier`] | `pipeline("zero-shot-classification")` |
//! | how well documents answer a query | [`Reranker`] | `CrossEncoder` of `sentence-transformers` |
//! | the answer to a question in a text | [`QuestionAnswerer`] | `pipeline("question-answering")` |
//! | words for masks | [`FillMask`] | `pipeline("fill-mask")` |
//! | one vector per text | [`Embedder`] | `SentenceTransformer` |
//! | a summary | [`Summarizer`] | `generate` of `EncoderDecoderModel` |
//!
//! All of them take texts of any length and any number of them. A text that exceeds the model's
//! length is read through overlapping windows whose answers are merged ([`WindowOptions`]; by
//! [`FillMask`] it is read whole, and a [`Summarizer`] is told what to do by [`LongText`]); nothing is cut off unless the caller says so. A batch is worked on in portions of bounded memory, sorted
//! by length inside, and answered in the order of the input; an answer does not depend on the other
//! texts of the batch.
//!
//! Each task answers one text, many (`…_batch`: all answers or the first error), and many with a
//! result for each of them (`…_each`: an input that fails takes no other with it), where a
//! [`Control`] hears of the progress and ends the work.

mod aggregate;
mod control;
mod embed;
mod encode;
mod fill_mask;
mod gliner;
mod gliner2;
mod label;
mod layers;
mod merged;
mod question;
mod reader;
mod rerank;
mod run;
mod score;
mod segment;
mod span;
mod summarize;
mod text;
mod token;
mod window;
mod words;
mod zero_shot;

pub use aggregate::Aggregation;
pub use control::{Control, Progress};
pub use embed::Embedder;
pub use fill_mask::{FillMask, Filled};
pub use gliner::{Gliner, GlinerOptions};
pub use gliner2::{Gliner2, Overlap};
pub use label::{Candidates, LabelScore};
pub use question::{Answer, Question, QuestionAnswerer, QuestionOptions};
pub use rerank::{Ranked, Reranker};
pub use score::ScoreFunction;
pub use segment::Segment;
pub use summarize::{LongText, Summarizer, Summary};
pub use text::{Classification, TextClassifier};
pub use token::{Entity, TokenClassifier};
pub use tokenizer_spm::deberta::Input;
pub use window::{WindowMerge, WindowOptions};
pub use zero_shot::ZeroShotClassifier;
