//! DeBERTa inference: from a directory in Hugging Face layout to labels, spans and scores.
//!
//! ```no_run
//! use deberta_core::TextClassifier;
//!
//! let classifier = TextClassifier::load("models/sentiment")?;
//! let answer = classifier.classify("This is a positive example.")?;
//! println!("{} {:.3}", answer.label, answer.score);
//! # Ok::<(), deberta_core::Error>(())
//! ```
//!
//! # What to use
//!
//! | you want | use |
//! |---|---|
//! | answers about text | [`TextClassifier`], [`TokenClassifier`], [`ZeroShotClassifier`], [`Gliner`] and others: see [`tasks`] |
//! | a model from the Hugging Face hub, or a directory | [`Source`]: see [`source`] |
//! | hidden states and logits of token ids | [`Model`] and [`Batch`] |
//! | to write: an encoder with a decoder | [`Summarizer`]; [`EncoderDecoder`] and [`generate`] |
//! | attention, score terms, vectors of texts | [`Model::observe`], [`Output::embeddings`] |
//! | to know or convert a checkpoint | [`inspect`](mod@inspect), [`convert`](mod@convert), [`checkpoint`] |
//! | the operations themselves | the crate `deberta-kernels` |
//!
//! ```no_run
//! use deberta_core::{Batch, LoadOptions, Model};
//!
//! let model = Model::load("path/to/deberta-v3-base", LoadOptions::default().threads(2))?;
//! let batch = Batch::packed([(vec![1, 5365, 964, 2], vec![]), (vec![1, 329, 2], vec![])])?;
//! let output = model.forward(&batch)?;
//! assert_eq!(output.last_hidden_state.nrows(), 7); // real tokens end to end, no padding
//! # Ok::<(), deberta_core::Error>(())
//! ```
//!
//! # What DeBERTa computes
//!
//! A transformer encoder compares every token with every other one. BERT adds an embedding of a token's *absolute*
//! position to that of its content, and from then on the two are one. DeBERTa keeps them apart: a score is a sum of up
//! to three products between the contents of two tokens and the embedding of the *distance* between them,
//!
//! ```text
//! s[i, j] = ( Q_i·K_j  +  Q_i·PK[slot(i-j)]  +  K_j·PQ[slot(i-j)] ) / sqrt(D·f)
//!             content     content→position      position→content
//! ```
//!
//! where PK and PQ are projections of one table of distances that all layers share. In v2 and v3, distances beyond 128
//! share logarithmic buckets, so that a table of 512 rows serves texts of any length; in v1, distances beyond 512 share
//! the last row. (He et al., *DeBERTa:
//! Decoding-enhanced BERT with Disentangled Attention*, 2021, equation 4; *DeBERTaV3*, 2021.) Everything else is the
//! usual layer: softmax, weighted sum of values, a feed-forward network, each with a residual and a LayerNorm.
//!
//! Text goes through these rooms:
//!
//! ```text
//! text ─ tokenizer_spm ─► Encoding ─ Batch ─► ids [T] ─ embeddings ─► [T, N] ─ layers ─► [T, N] ─ head ─► logits
//!                                                                                     tasks ─► labels, spans, scores
//! ```
//!
//! T counts the real tokens of all sequences in a batch: they are packed end to end, padding does not exist inside.
//! PK and PQ are properties of the weights and are computed once, when a model loads. The result of a sequence depends
//! on that sequence alone, to the last bit: not on the others in its batch, nor on the number of threads.
//!
//! # Errors
//!
//! Everything that a file or an input can get wrong is an [`Error`] that says what was expected, what was found, and
//! in which file, tensor or argument. Nothing is cut off, skipped or replaced in silence.

mod backend;
pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod convert;
mod device;
mod encoder_decoder;
mod error;
pub mod generate;
pub mod inspect;
mod model;
mod precision;
pub mod source;
pub mod tasks;

pub use batch::Batch;
pub use config::Config;
#[cfg(feature = "cuda")]
pub use deberta_cuda::CudaError;
pub use deberta_kernels::{Activation, ScoreTerms};
pub use device::{BestDevice, Device};
pub use encoder_decoder::EncoderDecoder;
pub use error::{Error, Misshapen};
pub use model::{
    AttentionMap, HeadChoice, HeadKind, LoadOptions, Model, Observe, Observed, Output, Pooling,
    Profile, Stage,
};
pub use precision::Precision;
#[cfg(feature = "hub")]
pub use source::HubOptions;
pub use source::{HubProblem, ResolveOptions, Source};
pub use tasks::{
    Embedder, FillMask, Gliner, Gliner2, QuestionAnswerer, Reranker, Summarizer, TextClassifier,
    TokenClassifier, ZeroShotClassifier,
};

/// Keeps the README's code compiling.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
