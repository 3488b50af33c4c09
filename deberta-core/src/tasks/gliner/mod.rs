//! Entities of any kind, named when they are looked for: GLiNER.
//!
//! The encoder reads the labels and the text together, `[CLS] <<ENT>> person <<ENT>> place <<SEP>> Ada lived in London
//! [SEP]`. A label's vector is that of its marker, a word's that of its first token; spans of words are scored by the
//! product of their vectors with those of the labels (Zaratiana et al. 2023, <https://arxiv.org/abs/2311.08526>).

mod config;
mod decode;
mod head;
mod input;
mod layers;
mod words;

use std::path::{Path, PathBuf};

use ndarray::{ArrayView2, s};
use tokenizer_spm::deberta::DebertaTokenizer;

use super::Candidates;
use super::control::{Control, Portion};
use super::label;
use super::layers::{sigmoid, spans};
use super::reader::Reader;
use super::run;
use super::span::Characters;
use super::token::Entity;
use super::words::Windows;
use crate::{Batch, Error, HeadKind, LoadOptions, Model, Observe};
use config::GlinerConfig;
use decode::{Candidate, Rules, choose};
use head::GlinerHead;
use input::{Markers, Prepared};

/// A label counts as this many bytes of text where inputs are cut into portions.
const LABEL_COST: usize = 16;

/// A model that finds entities of whatever kinds are asked for.
///
/// It reads checkpoints of GLiNER's span models with a DeBERTa v2 or v3 encoder (`gliner_config.json`) and answers what
/// the package `gliner` answers. Texts of more words than the model reads at once are read through windows of words, where
/// the package leaves out the rest ([`Gliner::with_truncation`] does the same).
///
/// ```no_run
/// use deberta_core::tasks::Gliner;
/// let gliner = Gliner::load("knowledgator/gliner-pii-base-v1.0")?;
/// let text = "Write to Ada Lovelace, 12 St James's Square, London.";
/// for entity in gliner.entities(text, &["person", "address"])? {
///     println!("{} {:?} {:.2}", entity.label, entity.text, entity.score);
/// }
/// # Ok::<(), deberta_core::Error>(())
/// ```
pub struct Gliner {
    reader: Reader,
    config: GlinerConfig,
    head: GlinerHead,
    markers: Markers,
    threshold: f32,
    rules: Rules,
    truncates: bool,
}

/// How to load a checkpoint of GLiNER.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlinerOptions {
    /// How to load the encoder. Which head is no choice here.
    pub load: LoadOptions,
    /// The directory with the encoder's own tokenizer, and its configuration where it is not one of Microsoft's v3 models:
    /// for checkpoints that only name it (`model_name`), as those of the first releases do. `None`: a directory of that
    /// name inside the checkpoint's.
    pub encoder: Option<PathBuf>,
}

impl GlinerOptions {
    /// Loads the encoder so.
    pub fn load(self, load: LoadOptions) -> Self {
        Self { load, ..self }
    }

    /// Takes the encoder's own files from this directory.
    pub fn encoder(self, folder: impl Into<PathBuf>) -> Self {
        Self {
            encoder: Some(folder.into()),
            ..self
        }
    }
}

impl Gliner {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// Where a file cannot be read, or the checkpoint is of another architecture.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, GlinerOptions::default())
    }

    /// As [`Gliner::load`], with options.
    ///
    /// # Errors
    /// As [`Gliner::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: GlinerOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let config = GlinerConfig::read(folder, options.encoder.as_deref())?;
        let tokenizer = DebertaTokenizer::from_dir(&config.tokenizer)?;
        let load = options.load.head(HeadKind::Base);
        let model = Model::with_config(config.encoder.clone(), folder, load)?;
        let head = GlinerHead::load(folder, &config)?;
        let rows = model.vocabulary_rows();
        let markers = Markers::new(&tokenizer, &config, rows)?;
        Ok(Self {
            reader: Reader::new(model, tokenizer, HeadKind::Base)?,
            config,
            head,
            markers,
            threshold: 0.5,
            rules: Rules {
                flat: true,
                multi_label: false,
            },
            truncates: false,
        })
    }

    /// Replaces the probability above which a span is an entity, 0.5.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is not between zero and one.
    pub fn with_threshold(mut self, threshold: f32) -> Result<Self, Error> {
        self.threshold = label::threshold(threshold)?;
        Ok(self)
    }

    /// Whether an entity may lie inside another. By default no two share a word.
    #[must_use]
    pub fn with_nested(mut self, nested: bool) -> Self {
        self.rules.flat = !nested;
        self
    }

    /// Whether the same words may have several labels.
    #[must_use]
    pub fn with_multi_label(mut self, multi_label: bool) -> Self {
        self.rules.multi_label = multi_label;
        self
    }

    /// Whether words that are too many to be read at once are left out, as the reference does, instead of read in another
    /// window. Tokens beyond the tokenizer's `model_max_length` are then left out too.
    #[must_use]
    pub fn with_truncation(mut self, truncates: bool) -> Self {
        self.truncates = truncates;
        self
    }

    /// The encoder.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// The entities of a text, in its order. Labels that are named twice count once; without labels there are none.
    ///
    /// [`Entity::tokens`] are the words that an entity covers.
    ///
    /// # Errors
    /// [`Error::Argument`] for a label without a token, and where the tokenizer or the model refuses the text.
    pub fn entities(&self, text: &str, labels: &[&str]) -> Result<Vec<Entity>, Error> {
        let input = Candidates { text, labels };
        run::only(self.entities_each(&[input], &Control::until_error()))
    }

    /// The same for each text.
    ///
    /// # Errors
    /// As [`Gliner::entities`].
    pub fn entities_batch(
        &self,
        texts: &[&str],
        labels: &[&str],
    ) -> Result<Vec<Vec<Entity>>, Error> {
        let inputs = Candidates::of_all(texts, labels);
        run::all(self.entities_each(&inputs, &Control::until_error()))
    }

    /// As [`Gliner::entities`] for texts with labels of their own, with a result for each, and control over the work.
    pub fn entities_each(
        &self,
        inputs: &[Candidates<'_>],
        control: &Control<'_>,
    ) -> Vec<Result<Vec<Entity>, Error>> {
        let size = |input: &Candidates<'_>| input.cost(LABEL_COST);
        run::in_portions(inputs, size, control, |inputs, portion| {
            let reader = &self.reader;
            let most = reader.encoder.tokenizer().model_max_length();
            let room = Windows {
                most: self.config.max_length,
                widest: self.config.max_width,
                truncated: self.truncates.then(|| most.unwrap_or(usize::MAX)),
            };
            let prepare = || Prepared::all(inputs, &reader.encoder, &self.markers, room);
            let prepared = reader.model.install(prepare);
            run::of_the_good(prepared, |prepared, which| {
                let found = self.candidates(prepared, which, portion);
                let answers = found.into_iter().zip(prepared).zip(which);
                answers
                    .map(|((found, prepared), &i)| {
                        Ok(self.entities_of(inputs[i].text, prepared, found?))
                    })
                    .collect()
            })
        })
    }

    /// The likely spans of each text.
    fn candidates(
        &self,
        texts: &[Prepared<'_>],
        which: &[usize],
        portion: Portion<'_>,
    ) -> Vec<Result<Vec<Candidate>, Error>> {
        let windows: Vec<usize> = texts.iter().map(|text| text.windows.len()).collect();
        let model = &self.reader.model;
        let found = run::over_windows(
            portion,
            &windows,
            |text, window| texts[text].length(window),
            |text, window| (texts[text].ids(window, &self.markers), Vec::new()),
            |batch| self.states(batch),
            |text, window, (states, batch, row)| {
                let tokens = batch.sequence(row);
                let states: Vec<ArrayView2<'_, f32>> = states
                    .iter()
                    .map(|layer| layer.slice(s![tokens.clone(), ..]))
                    .collect();
                let input = portion.first + which[text];
                model.install(|| self.score(&states, &texts[text], window, input))
            },
        );
        let of_text = |found: Result<Vec<Vec<_>>, Error>| Ok(found?.concat());
        found.into_iter().map(of_text).collect()
    }

    /// The hidden states of the last layer, or of all layers where they are mixed.
    fn states(&self, batch: &Batch) -> Result<Vec<ndarray::Array2<f32>>, Error> {
        let model = &self.reader.model;
        if !self.config.fuses_layers {
            return Ok(vec![model.forward(batch)?.last_hidden_state]);
        }
        let (_, observed) = model.observe(batch, &Observe::default().hidden_states())?;
        // The embeddings have no part in it.
        Ok(observed.hidden_states.into_iter().skip(1).collect())
    }

    /// The spans of a window that are likely enough, and for which no other window has more context.
    fn score(
        &self,
        states: &[ArrayView2<'_, f32>],
        text: &Prepared<'_>,
        window: usize,
        input: usize,
    ) -> Result<Vec<Candidate>, Error> {
        let range = text.windows[window].clone();
        let logits = self.head.logits(states, text, window, &self.config)?;
        if logits.iter().any(|x| !x.is_finite()) {
            return Err(Error::NotFiniteOutput { input });
        }
        let mut candidates = Vec::new();
        let all = spans(range.len(), self.config.max_width);
        for ((first, last), row) in all.zip(logits.outer_iter()) {
            let words = range.start + first..=range.start + last;
            if text.window_of(&words) != window {
                continue;
            }
            for (label, &logit) in row.iter().enumerate() {
                let score = sigmoid(logit);
                if score > self.threshold {
                    candidates.push(Candidate {
                        words: words.clone(),
                        label,
                        score,
                    });
                }
            }
        }
        Ok(candidates)
    }

    fn entities_of(
        &self,
        text: &str,
        prepared: &Prepared<'_>,
        mut found: Vec<Candidate>,
    ) -> Vec<Entity> {
        found.sort_by_key(|c| (*c.words.start(), *c.words.end(), c.label));
        let mut characters = Characters::new(text);
        choose(found, self.rules)
            .into_iter()
            .map(|candidate| {
                let (first, last) = candidate.words.into_inner();
                let span = prepared.words[first].start..prepared.words[last].end;
                let span = characters.span(span);
                Entity {
                    label: prepared.labels[candidate.label].to_owned(),
                    score: candidate.score,
                    text: span.text,
                    bytes: span.bytes,
                    chars: span.chars,
                    tokens: first..last + 1,
                }
            })
            .collect()
    }
}

impl std::fmt::Debug for Gliner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gliner")
            .field("config", &self.config)
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}
