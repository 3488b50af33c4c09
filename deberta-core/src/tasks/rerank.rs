//! How well documents answer a query: cross-encoders.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizer_spm::deberta::{DebertaTokenizer, TruncationStrategy};

use super::control::Control;
use super::encode::{Item, Texts};
use super::reader::{Reader, json};
use super::run;
use super::score::ScoreFunction;
use super::window::{WindowMerge, WindowOptions};
use crate::{Error, HeadKind, LoadOptions, Model};

/// A model that reads a query and a document together and says how well they fit.
///
/// Scores are those of `CrossEncoder.predict` and `CrossEncoder.rank` of sentence-transformers. A long document is read
/// through windows, each beside the whole query, and has the score of the best of them; with
/// [`truncate`](WindowOptions::truncate) its end is left out, as sentence-transformers does.
///
/// ```no_run
/// use deberta_core::tasks::Reranker;
/// let reranker = Reranker::load("mixedbread-ai/mxbai-rerank-base-v1")?;
/// let documents = ["Rust is a language.", "Iron rusts in the rain."];
/// for ranked in reranker.rank("Why does iron rust?", &documents)? {
///     println!("{:.3} {}", ranked.score, documents[ranked.index]);
/// }
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Reranker {
    reader: Reader,
    function: ScoreFunction,
    windows: WindowOptions,
}

/// A document's place in a ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// Its index among the documents.
    pub index: usize,
    /// Its score: the higher, the better it fits.
    pub score: f32,
}

impl Reranker {
    /// Loads model and tokenizer from a directory in Hugging Face layout.
    ///
    /// Scores are between zero and one (sigmoid), unless the files name another function as sentence-transformers does.
    ///
    /// # Errors
    /// Where either cannot be read, or the checkpoint has no sequence-classification head of one label.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`Reranker::load`], with options.
    ///
    /// # Errors
    /// As [`Reranker::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let needed = HeadKind::SequenceClassification;
        let mut reranker = Self::new(Reader::load(folder, options, needed)?)?;
        if let Some(function) = named_function(folder)? {
            reranker.function = function;
        }
        Ok(reranker)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head, or more than one label.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        let needed = HeadKind::SequenceClassification;
        Self::new(Reader::new(model, tokenizer, needed)?)
    }

    fn new(reader: Reader) -> Result<Self, Error> {
        let windows = WindowOptions {
            merge: Some(WindowMerge::Max),
            ..WindowOptions::default()
        };
        reader.room(&windows, Texts::Pair)?;
        let labels = reader.config().num_labels();
        if labels != 1 {
            return Err(Error::Head {
                expected: "reranking: one label, which is the score".to_owned(),
                found: format!("{labels} labels (for those, there is TextClassifier)"),
            });
        }
        Ok(Self {
            reader,
            function: ScoreFunction::Sigmoid,
            windows,
        })
    }

    /// Replaces the function that turns a logit into a score; [`ScoreFunction::None`] gives the logit itself.
    #[must_use]
    pub fn with_function(mut self, function: ScoreFunction) -> Self {
        self.function = function;
        self
    }

    /// Replaces the way that long documents are read. Without a `merge`, a document is as good as its best window.
    ///
    /// # Errors
    /// [`Error::Argument`] where a window would have no room, be longer than the model allows, or
    /// overlap its neighbour entirely.
    pub fn with_windows(mut self, options: &WindowOptions) -> Result<Self, Error> {
        self.reader.room(options, Texts::Pair)?;
        self.windows = options.clone();
        self.windows.merge.get_or_insert(WindowMerge::Max);
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// The documents, the best first; equal ones in their order.
    ///
    /// # Errors
    /// Where the tokenizer or the model refuses a text.
    pub fn rank(&self, query: &str, documents: &[&str]) -> Result<Vec<Ranked>, Error> {
        self.rank_top(query, documents, usize::MAX)
    }

    /// The best `k` documents, or all where there are fewer.
    ///
    /// # Errors
    /// As [`Reranker::rank`].
    pub fn rank_top(
        &self,
        query: &str,
        documents: &[&str],
        k: usize,
    ) -> Result<Vec<Ranked>, Error> {
        let pairs: Vec<(&str, &str)> = documents.iter().map(|&text| (query, text)).collect();
        let scores = self.scores(&pairs)?;
        let ranked = scores.into_iter().enumerate();
        let mut ranked: Vec<Ranked> = ranked
            .map(|(index, score)| Ranked { index, score })
            .collect();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
        ranked.truncate(k);
        Ok(ranked)
    }

    /// The score of each query and document, in their order.
    ///
    /// # Errors
    /// As [`Reranker::rank`].
    pub fn scores(&self, pairs: &[(&str, &str)]) -> Result<Vec<f32>, Error> {
        run::all(self.scores_each(pairs, &Control::until_error()))
    }

    /// As [`Reranker::scores`], with a result for each pair, and control over the work.
    pub fn scores_each(
        &self,
        pairs: &[(&str, &str)],
        control: &Control<'_>,
    ) -> Vec<Result<f32, Error>> {
        let reader = &self.reader;
        let size = |(query, document): &(&str, &str)| query.len() + document.len();
        run::in_portions(pairs, size, control, |pairs, portion| {
            // The same query beside many documents is read once.
            let mut queries: Vec<&str> = pairs.iter().map(|&(query, _)| query).collect();
            queries.dedup();
            let documents: Vec<&str> = pairs.iter().map(|&(_, document)| document).collect();
            let (firsts, seconds) = reader.model.install(|| {
                let encoder = &reader.encoder;
                (encoder.encode(&queries), encoder.encode(&documents))
            });
            let firsts = match run::all(firsts) {
                Ok(firsts) => firsts,
                Err(error) => return vec![Err(error)],
            };
            run::of_the_good(seconds, |seconds, which| {
                let mut query = 0;
                let mut items = Vec::with_capacity(seconds.len());
                for (second, &i) in seconds.iter().zip(which) {
                    while queries[query] != pairs[i].0 {
                        query += 1;
                    }
                    items.push(Item::pair(&firsts[query], second));
                }
                let merged = reader.merged_logits(
                    &items,
                    &self.windows,
                    TruncationStrategy::LongestFirst,
                    portion,
                    |i| which[i],
                );
                let score = |logits: Vec<f32>| self.function.apply(&logits)[0];
                merged
                    .into_iter()
                    .map(|merged| merged.map(|merged| score(merged.logits())))
                    .collect()
            })
        })
    }
}

/// The activation that sentence-transformers has written beside the model or, earlier, to its configuration.
fn named_function(folder: &Path) -> Result<Option<ScoreFunction>, Error> {
    const OLD: &str = "sbert_ce_default_activation_function";
    let beside = folder.join("config_sentence_transformers.json");
    let config = folder.join("config.json");
    let find = |file: &Path, keys: &[&str]| -> Result<Option<(PathBuf, String, Value)>, Error> {
        let mut value = json(file)?.unwrap_or_default();
        for key in keys {
            value = value.get_mut(key).map(Value::take).unwrap_or_default();
        }
        Ok((!value.is_null()).then(|| (file.to_owned(), keys.join("."), value)))
    };
    let places = [
        find(&beside, &["activation_fn"])?,
        find(&config, &["sentence_transformers", "activation_fn"])?,
        find(&config, &[OLD])?,
    ];
    let Some((file, key, value)) = places.into_iter().flatten().next() else {
        return Ok(None);
    };
    match value.as_str().and_then(|path| path.rsplit('.').next()) {
        Some("Sigmoid") => Ok(Some(ScoreFunction::Sigmoid)),
        Some("Identity") => Ok(Some(ScoreFunction::None)),
        _ => Err(Error::Config {
            file,
            key,
            found: value.to_string(),
            expected: "torch.nn.modules.activation.Sigmoid or torch.nn.modules.linear.Identity"
                .to_owned(),
        }),
    }
}
