//! The model: weights that are loaded once, immutable, and used from any number of threads.
//!
//! * `attention`: the few facts in which generations differ.
//! * `layout`: every tensor by name and shape.
//! * `load`: from tensors to a backend's weights.
//! * `embeddings`, `self_attention`, `layer`, `encoder`: ids to hidden states.
//! * `head`, `pretraining`: hidden states to logits.
//! * `pooling`: hidden states to one vector per sequence.
//! * `quantized`: the tensors of a model whose linear layers are in 8 bits, for files.
//! * `observe`: looking inside; `profile`: where the time goes.

mod attention;
mod embeddings;
mod encoder;
mod head;
mod layer;
mod layout;
mod load;
mod observe;
mod pooling;
mod pretraining;
mod profile;
mod quantized;
mod self_attention;

pub use head::{HeadChoice, HeadKind};
pub use observe::{AttentionMap, Observe, Observed};
pub use pooling::Pooling;
pub use profile::{Profile, Stage};

use crate::backend::{Backend, Cpu};
use crate::checkpoint::Checkpoint;
use crate::{Batch, Config, Error};
use deberta_kernels::Precision;
use encoder::Encoder;
use head::Head;
pub(crate) use layout::Layout;
use load::Loader;
use ndarray::Array2;
use observe::Watch;
pub(crate) use quantized::{Made, Quantized};
use std::fmt;
use std::path::Path;

/// How to load a model.
///
/// ```
/// use deberta_core::LoadOptions;
/// let options = LoadOptions::default().threads(2);
/// assert_eq!(options.threads, Some(2));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Threads of the model's own pool. `None`: the rayon pool of whoever calls, which by default is the global one
    /// with a thread per core.
    pub threads: Option<usize>,
    /// Which head to load.
    pub head: HeadChoice,
    /// The arithmetic of the encoder's linear layers, to which their weights are converted when they are loaded.
    /// `None`: that of the files, which is [`Precision::Int8`] where [`convert`](crate::convert) has rounded them to it,
    /// and [`Precision::F32`] otherwise. Weights that a file holds in 8 bits are used so and not otherwise.
    ///
    /// Attention and the position tables are in bf16 with [`Precision::Bf16`] and in `f32` otherwise. Normalisations and
    /// heads compute in `f32` always, and so do the words of a masked-language-model head, whose weights are bf16 unless
    /// this is [`Precision::F32`].
    pub precision: Option<Precision>,
}

impl LoadOptions {
    /// Gives the model a pool of its own with this many threads.
    pub fn threads(self, threads: usize) -> Self {
        Self {
            threads: Some(threads),
            ..self
        }
    }

    /// Computes the linear layers of the encoder in this precision.
    ///
    /// ```
    /// use deberta_core::{LoadOptions, Precision};
    /// assert_eq!(LoadOptions::default().precision(Precision::Int8).precision, Some(Precision::Int8));
    /// ```
    pub fn precision(self, precision: Precision) -> Self {
        Self {
            precision: Some(precision),
            ..self
        }
    }

    /// Loads this head, whatever the configuration names.
    pub fn head(self, head: HeadKind) -> Self {
        Self {
            head: HeadChoice::Only(head),
            ..self
        }
    }
}

/// What a forward pass gives. Rows are the tokens of the batch, packed: see [`Batch::scatter`] for padded arrays.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The hidden states of the last layer, `[T, N]`.
    pub last_hidden_state: Array2<f32>,
    /// The head's logits, `None` without a head:
    ///
    /// | head | shape |
    /// |---|---|
    /// | sequence classification | `[B, labels]` |
    /// | multiple choice | `[B, 1]`, each choice being a sequence |
    /// | token classification | `[T, labels]` |
    /// | question answering | `[T, 2]`: start, end |
    /// | masked language modelling | `[T, V]` |
    /// | replaced-token detection | `[T, 1]` |
    pub logits: Option<Array2<f32>>,
}

impl Output {
    /// One vector per sequence of the batch, `[B, N]`, with Euclidean length one if `normalize` says so.
    ///
    /// # Errors
    /// [`Error`] where the batch is not the one that gave this output, or a sequence is empty or (for
    /// [`Pooling::Cls`]) has no `[CLS]`.
    pub fn embeddings(
        &self,
        batch: &Batch,
        pooling: Pooling,
        normalize: bool,
    ) -> Result<Array2<f32>, Error> {
        pooling::pool(self.last_hidden_state.view(), batch, pooling, normalize)
    }
}

/// A DeBERTa encoder and its head.
///
/// ```no_run
/// use deberta_core::{Batch, LoadOptions, Model};
/// let model = Model::load("models/sentiment", LoadOptions::default())?;
/// let output = model.forward(&Batch::packed([(vec![1, 5365, 964, 2], vec![])])?)?;
/// println!("{:?}", output.logits);
/// # Ok::<(), deberta_core::Error>(())
/// ```
pub struct Model {
    config: Config,
    kind: HeadKind,
    precision: Precision,
    backend: Cpu,
    encoder: Encoder<Cpu>,
    head: Head<Cpu>,
    pool: Option<rayon::ThreadPool>,
    unused: Vec<String>,
}

impl Model {
    /// Loads a directory in Hugging Face layout: `config.json` and weights in any of the formats of
    /// [`checkpoint`](crate::checkpoint).
    ///
    /// The weights are read once into the form in which they are used, and the position tables are projected; only
    /// the embedding tables stay memory-mapped. The files must not change while the model is in use.
    ///
    /// Rounding to [`Precision::Int8`] fits one layer after the other to what random tokens become in those before it.
    /// [`convert`](crate::convert) can do that once and for all: such files load several times as fast.
    ///
    /// # Errors
    /// [`Error`] says which file, key or tensor is missing, misshapen, corrupt or not supported.
    pub fn load(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let config = Config::from_file(folder.join("config.json"))?;
        let kind = options.head.resolve(&config);
        let backend = Cpu::new()?;
        let pool = options.threads.map(pool).transpose()?;
        let load = || {
            let checkpoint = Checkpoint::open(folder)?;
            let precision = precision(&checkpoint, options.precision)?;
            let layout = Layout::new(&config, &checkpoint, kind)?;
            let unused = checkpoint.verify(&layout.tensors)?;
            let loader = Loader {
                backend: &backend,
                checkpoint: &checkpoint,
                precision,
            };
            let encoder = Encoder::load(&loader, &layout, &config)?;
            let head = Head::load(&loader, &layout.head, &config)?;
            checkpoint.release();
            backend.release();
            Ok::<_, Error>((encoder, head, precision, unused))
        };
        let (encoder, head, precision, unused) = match &pool {
            Some(pool) => pool.install(load)?,
            None => load()?,
        };
        Ok(Self {
            config,
            kind,
            precision,
            backend,
            encoder,
            head,
            pool,
            unused,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The head.
    pub fn head(&self) -> HeadKind {
        self.kind
    }

    /// The arithmetic of the encoder's linear layers.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Rows of the word table: every id must be below this.
    pub fn vocabulary_rows(&self) -> usize {
        self.encoder.vocabulary()
    }

    /// Tensors in the files that the model does not use.
    pub fn unused_tensors(&self) -> &[String] {
        &self.unused
    }

    /// Whether the masked-language-model head stands behind the enhanced mask decoder, as Microsoft trained it.
    ///
    /// Where a checkpoint with Microsoft's head has lost the table of absolute positions (that is what `transformers`
    /// saves), and the model adds no positions to its input either, the words it gives for masks make no sense.
    pub fn has_enhanced_mask_decoder(&self) -> bool {
        self.head.has_mask_decoder()
    }

    /// Hidden states and logits of every sequence in the batch.
    ///
    /// What a sequence gives depends on that sequence alone, to the last bit: neither on the others in the batch nor
    /// on the number of threads.
    ///
    /// # Errors
    /// [`Error`] for an id, type or position outside its table, a sequence without `[CLS]` where the head needs one, or
    /// a table row that holds NaN or an infinity.
    pub fn forward(&self, batch: &Batch) -> Result<Output, Error> {
        Ok(self.observe(batch, &Observe::default())?.0)
    }

    /// The same, keeping what happens inside.
    ///
    /// Observed layers compute their attention with every score in memory; their last bits may differ from those of
    /// [`Model::forward`].
    ///
    /// ```no_run
    /// use deberta_core::{Batch, LoadOptions, Model, Observe};
    /// let model = Model::load("models/sentiment", LoadOptions::default())?;
    /// let batch = Batch::packed([(vec![1, 5365, 964, 2], vec![])])?;
    /// let wanted = Observe::default().attention(0, 1).score_terms();
    /// let (_, observed) = model.observe(&batch, &wanted)?;
    /// println!("{:.3}", observed.attention[0].probabilities);
    /// # Ok::<(), deberta_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::forward`], or for a layer or head that the model does not have.
    pub fn observe(&self, batch: &Batch, wanted: &Observe) -> Result<(Output, Observed), Error> {
        let (output, watch) = self.watched(batch, wanted)?;
        Ok((output, watch.observed))
    }

    /// The same as [`Model::forward`], measuring where the time goes.
    ///
    /// ```no_run
    /// use deberta_core::{Batch, LoadOptions, Model, Stage};
    /// let model = Model::load("models/sentiment", LoadOptions::default())?;
    /// let (_, profile) = model.profile(&Batch::packed([(vec![1, 5365, 964, 2], vec![])])?)?;
    /// println!("{:?} of {:?}", profile.time(Stage::Attention), profile.total());
    /// # Ok::<(), deberta_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn profile(&self, batch: &Batch) -> Result<(Output, Profile), Error> {
        let nothing = Observe::default();
        let (output, watch) = self.watched(batch, &nothing)?;
        Ok((output, watch.profile))
    }

    fn watched<'a>(
        &self,
        batch: &Batch,
        wanted: &'a Observe,
    ) -> Result<(Output, Watch<'a>), Error> {
        wanted.check(&self.config)?;
        if self.head.needs_cls() {
            head::first_tokens(batch)?;
        }
        self.install(|| {
            let mut watch = Watch::new(wanted);
            let states = self.encoder.forward(&self.backend, batch, &mut watch)?;
            let logits = watch.stage(Stage::Head, 0.0, || {
                self.head
                    .forward(&self.backend, &self.encoder, &states, batch)
            })?;
            let output = Output {
                last_hidden_state: self.backend.read(states.last)?,
                logits: logits.map(|logits| self.backend.read(logits)).transpose()?,
            };
            Ok((output, watch))
        })
    }

    /// Runs something on the model's own pool, or on that of the caller if it has none.
    pub(crate) fn install<R: Send>(&self, run: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(run),
            None => run(),
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("config", &self.config)
            .field("head", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The precision to load a checkpoint in.
fn precision(checkpoint: &Checkpoint, wanted: Option<Precision>) -> Result<Precision, Error> {
    match (checkpoint.is_int8(), wanted) {
        (true, None | Some(Precision::Int8)) => Ok(Precision::Int8),
        (true, Some(other)) => Err(Error::Argument {
            name: "precision",
            expected: format!(
                "{}, to which the weights in {} have been rounded",
                Precision::Int8,
                checkpoint.source().display()
            ),
            found: other.to_string(),
        }),
        (false, wanted) => Ok(wanted.unwrap_or_default()),
    }
}

/// A pool of its own for a model.
fn pool(threads: usize) -> Result<rayon::ThreadPool, Error> {
    if threads == 0 {
        let (expected, found) = ("at least 1".into(), "0".into());
        return Err(Error::Argument {
            name: "threads",
            expected,
            found,
        });
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("deberta-{index}"))
        .build()
        .map_err(|error| Error::Threads {
            threads,
            reason: error.to_string(),
        })
}
