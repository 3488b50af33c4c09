//! Entities and classes of any kind, named when they are looked for: GLiNER2.
//!
//! The encoder reads what is looked for and the text together, `( [P] entities ( [E] person [E] place ) ) [SEP_TEXT] ada
//! lived in london .`, or `( [P] sentiment ( [L] good [L] bad ) ) [SEP_TEXT] …`. A class is scored by the vector of its
//! marker alone. Entities are scored as in GLiNER, spans of words against labels, but only where the vector of `[P]` does
//! not say that there are none (Zaratiana et al. 2025, <https://arxiv.org/abs/2507.18546>).

mod classes;
mod config;
mod count;
mod entities;
mod head;
mod input;
mod overlap;
mod words;

use std::collections::HashMap;
use std::path::Path;

use ndarray::{ArrayView2, s};
use tokenizer_spm::deberta::DebertaTokenizer;

use super::Candidates;
use super::control::Portion;
use super::label;
use super::reader::Reader;
use super::run;
use super::words::Windows;
use crate::{Error, HeadKind, LoadOptions, Model};
use config::Gliner2Config;
use head::Gliner2Head;
use input::{Markers, Prepared, Task};
pub use overlap::Overlap;

/// Words that are read at once.
const WORDS_AT_ONCE: usize = 2048;

/// A label counts as this many bytes of text where inputs are cut into portions.
const LABEL_COST: usize = 16;

/// A model that finds entities of whatever kinds are asked for, and classifies texts by whatever labels.
///
/// It reads checkpoints of GLiNER2's span models with a DeBERTa encoder (`config.json` with `model_type` `extractor`, the
/// encoder's in `encoder_config`) and answers what the package `gliner2` answers to `extract_entities` and
/// `classify_text`. The package reads texts of any length at once; here those of more than 2048 words are read through
/// windows of words ([`Gliner2::with_window`]).
///
/// ```no_run
/// use deberta_core::tasks::Gliner2;
/// let gliner = Gliner2::load("fastino/gliner2-base-v1")?;
/// let text = "Write to Ada Lovelace, 12 St James's Square, London.";
/// for entity in gliner.entities(text, &["person", "address"])? {
///     println!("{} {:?} {:.2}", entity.label, entity.text, entity.score);
/// }
/// let classes = gliner.classify(text, "intent", &["request", "question"])?;
/// println!("{} {:.2}", classes[0].label, classes[0].score);
/// # Ok::<(), deberta_core::Error>(())
/// ```
pub struct Gliner2 {
    reader: Reader,
    config: Gliner2Config,
    head: Gliner2Head,
    markers: Markers,
    threshold: f32,
    overlap: Overlap,
    multi_label: bool,
    descriptions: HashMap<String, String>,
    window: usize,
}

impl Gliner2 {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// Where a file cannot be read, or the checkpoint is of another architecture.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`Gliner2::load`], with options for the encoder. Which head is no choice here.
    ///
    /// # Errors
    /// As [`Gliner2::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let config = Gliner2Config::read(folder)?;
        let tokenizer = DebertaTokenizer::from_dir(folder)?;
        let options = options.head(HeadKind::Base);
        let model = Model::with_config(config.encoder.clone(), folder, options)?;
        let head = Gliner2Head::load(folder, &config)?;
        let rows = model.vocabulary_rows();
        let reader = Reader::new(model, tokenizer, HeadKind::Base)?;
        let markers = Markers::new(&reader.encoder, rows)?;
        Ok(Self {
            reader,
            config,
            head,
            markers,
            threshold: 0.5,
            overlap: Overlap::default(),
            multi_label: false,
            descriptions: HashMap::new(),
            window: WORDS_AT_ONCE,
        })
    }

    /// Replaces the probability from which on a span is an entity, 0.5.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is not between zero and one.
    pub fn with_threshold(mut self, threshold: f32) -> Result<Self, Error> {
        self.threshold = label::threshold(threshold)?;
        Ok(self)
    }

    /// Replaces what becomes of entities of the same label that share words.
    #[must_use]
    pub fn with_overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Whether a text may have several classes: each then has a score of its own between zero and one.
    #[must_use]
    pub fn with_multi_label(mut self, multi_label: bool) -> Self {
        self.multi_label = multi_label;
        self
    }

    /// Replaces what the model is told of labels, by their names. It is told where a label is asked for, of entities and
    /// of classes.
    #[must_use]
    pub fn with_descriptions<L: Into<String>, D: Into<String>>(
        mut self,
        descriptions: impl IntoIterator<Item = (L, D)>,
    ) -> Self {
        let descriptions = descriptions.into_iter();
        self.descriptions = descriptions
            .map(|(label, text)| (label.into(), text.into()))
            .collect();
        self
    }

    /// Replaces the number of words that are read at once, 2048. Texts of more words are read through windows that
    /// overlap: a span is scored in the one in which it lies farthest from a cut, and a class has the mean of its logits.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is zero.
    pub fn with_window(mut self, words: usize) -> Result<Self, Error> {
        if words == 0 {
            return Err(Error::Argument {
                name: "window",
                expected: "at least 1 word".to_owned(),
                found: words.to_string(),
            });
        }
        self.window = words;
        Ok(self)
    }

    /// The encoder.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// Texts and their labels, ready to be read.
    fn prepare<'a>(
        &self,
        inputs: &[Candidates<'a>],
        task: Task<'_>,
    ) -> Vec<Result<Prepared<'a>, Error>> {
        let windows = Windows {
            most: self.window,
            widest: self.config.max_width,
            truncated: None,
        };
        let reader = &self.reader;
        let prepare = || Prepared::all(inputs, task, &reader.encoder, &self.markers, windows);
        reader.model.install(prepare)
    }

    /// What `answer` makes of the hidden states of every window of texts: it is told the text and the window.
    fn of_windows<T: Send>(
        &self,
        texts: &[Prepared<'_>],
        portion: Portion<'_>,
        answer: impl Fn(ArrayView2<'_, f32>, usize, usize) -> Result<T, Error> + Sync,
    ) -> Vec<Result<Vec<T>, Error>> {
        let windows: Vec<usize> = texts.iter().map(|text| text.windows.len()).collect();
        let model = &self.reader.model;
        run::over_windows(
            portion,
            &windows,
            |text, window| texts[text].length(window),
            |text, window| (texts[text].ids(window), Vec::new()),
            |batch| Ok(model.forward(batch)?.last_hidden_state),
            |text, window, (states, batch, row)| {
                let states = states.slice(s![batch.sequence(row), ..]);
                model.install(|| answer(states, text, window))
            },
        )
    }
}

impl std::fmt::Debug for Gliner2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gliner2")
            .field("config", &self.config)
            .field("threshold", &self.threshold)
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}
