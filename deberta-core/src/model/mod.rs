//! The model: weights that are loaded once, immutable, and used from any number of threads.
//!
//! * `attention`: the few facts in which generations differ.
//! * `layout`: every tensor by name and shape.
//! * `load`: from tensors to a backend's weights.
//! * `embeddings`, `self_attention`, `layer`, `encoder`: ids to hidden states.
//! * `head`, `pretraining`: hidden states to logits.
//! * `engine`: all of these on one backend; `sessions`: on a GPU, for many threads.
//! * `pooling`: hidden states to one vector per sequence.
//! * `quantized`: the tensors of a model whose linear layers are in 8 bits, for files.
//! * `observe`: looking inside; `profile`: where the time goes.

mod attention;
mod embeddings;
mod encoder;
mod engine;
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
#[cfg(feature = "cuda")]
mod sessions;

pub use head::{HeadChoice, HeadKind};
pub use observe::{AttentionMap, Observe, Observed};
pub use pooling::Pooling;
pub use profile::{Profile, Stage};

use crate::backend::Cpu;
#[cfg(feature = "cuda")]
use crate::backend::Cuda;
use crate::checkpoint::Checkpoint;
use crate::{Batch, Config, Device, Error, Precision};
use engine::{Engine, Parts};
pub(crate) use layout::{Affine, Layout};
pub(crate) use load::Loader;
use ndarray::Array2;
#[cfg(feature = "cuda")]
pub(crate) use pooling::check as check_pooled;
pub(crate) use pooling::pool;
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
    /// What the model runs on.
    pub device: Device,
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
    ///
    /// On a GPU what is between layers is stored in this type too, files in 8 bits are widened to [`Precision::F16`], and the
    /// words of a masked-language-model head are in the type of the layers.
    pub precision: Option<Precision>,
}

impl LoadOptions {
    /// Runs the model on this device.
    pub fn device(self, device: Device) -> Self {
        Self { device, ..self }
    }

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
    device: Device,
    engine: Box<dyn Engine>,
    pool: Option<rayon::ThreadPool>,
    unused: Vec<String>,
    lost_mask_decoder: bool,
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
        Self::with_config(config, folder, options)
    }

    /// The same with a configuration that comes from elsewhere.
    pub(crate) fn with_config(
        config: Config,
        folder: &Path,
        options: LoadOptions,
    ) -> Result<Self, Error> {
        let kind = options.head.resolve(&config);
        let pool = options.threads.map(thread_pool).transpose()?;
        let load = || {
            let checkpoint = Checkpoint::open(folder)?;
            let precision = precision(&checkpoint, options.precision, options.device)?;
            let layout = Layout::new(&config, &checkpoint, kind)?;
            let unused = checkpoint.verify(&layout.tensors)?;
            let (checked, layout, config) = (&checkpoint, &layout, &config);
            let engine: Box<dyn Engine> = match options.device {
                Device::Cpu => Box::new(Parts::load(
                    Cpu::new()?,
                    checked,
                    layout,
                    config,
                    precision,
                )?),
                #[cfg(feature = "cuda")]
                Device::Cuda(ordinal) => {
                    let size = config.head_size();
                    let backend = Cuda::new(ordinal, precision, size)?;
                    let fused = backend.is_fused() && !layout.attention.talking;
                    let parts = Parts::load(backend, checked, layout, config, precision)?;
                    Box::new(sessions::Sessions::new(parts, fused))
                }
                #[cfg(not(feature = "cuda"))]
                Device::Cuda(_) => return Err(crate::device::no_cuda()),
            };
            checkpoint.release();
            let lost = layout.has_lost_mask_decoder(config);
            Ok::<_, Error>((engine, precision, unused, lost))
        };
        let (engine, precision, unused, lost_mask_decoder) = match &pool {
            Some(pool) => pool.install(load)?,
            None => load()?,
        };
        Ok(Self {
            config,
            kind,
            precision,
            device: options.device,
            engine,
            pool,
            unused,
            lost_mask_decoder,
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

    /// What the model runs on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Rows of the word table: every id must be below this.
    pub fn vocabulary_rows(&self) -> usize {
        self.engine.vocabulary()
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
        self.engine.has_mask_decoder()
    }

    /// Whether a masked-language-model head in Microsoft's layout lacks the enhanced mask decoder that it was trained
    /// behind: see [`Model::has_enhanced_mask_decoder`].
    pub fn has_lost_mask_decoder(&self) -> bool {
        self.lost_mask_decoder
    }

    /// Hidden states and logits of every sequence in the batch.
    ///
    /// What a sequence gives depends on that sequence alone, to the last bit: neither on the others in the batch nor
    /// on the number of threads. (On a GPU, in 16 bits, where cuBLASLt can be loaded: within their rounding.)
    ///
    /// # Errors
    /// [`Error`] for an id, type or position outside its table, a sequence without `[CLS]` where the head needs one, or
    /// a table row that holds NaN or an infinity.
    pub fn forward(&self, batch: &Batch) -> Result<Output, Error> {
        Ok(self.observe(batch, &Observe::default())?.0)
    }

    /// The logits alone, `None` without a head: see [`Output::logits`]. On a GPU this spares copying all hidden states to
    /// the processor.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn logits(&self, batch: &Batch) -> Result<Option<Array2<f32>>, Error> {
        self.install(|| self.engine.logits(batch))
    }

    /// The logits of some tokens alone, in their order: of masks, where those of every token would take `T x V` numbers.
    /// `tokens` are packed indices, and the head one that has logits for every token.
    ///
    /// # Errors
    /// As [`Model::forward`], and [`Error::Argument`] for a token that the batch does not have or another head.
    pub fn logits_at(&self, batch: &Batch, tokens: &[usize]) -> Result<Array2<f32>, Error> {
        let refuse = |expected: String, found: String| Error::Argument {
            name: "tokens",
            expected,
            found,
        };
        let known = |&token: &usize| u32::try_from(token).ok().filter(|_| token < batch.tokens());
        let rows: Option<Vec<u32>> = tokens.iter().map(known).collect();
        let rows = rows.ok_or_else(|| {
            let most = tokens.iter().max().copied().unwrap_or_default();
            refuse(format!("below {}", batch.tokens()), most.to_string())
        })?;
        let head = || {
            refuse(
                "a head with logits per token".to_owned(),
                self.kind.to_string(),
            )
        };
        if self.kind.is_per_sequence() {
            return Err(head());
        }
        let logits = self.install(|| self.engine.logits_at(batch, &rows))?;
        logits.ok_or_else(head)
    }

    /// One vector per sequence of the batch, `[B, N]`, with Euclidean length one if `normalize` says so: as
    /// [`Output::embeddings`], but on a GPU without copying all hidden states to the processor.
    ///
    /// # Errors
    /// As [`Model::forward`], or where a sequence is empty or (for [`Pooling::Cls`]) has no `[CLS]`.
    pub fn embeddings(
        &self,
        batch: &Batch,
        pooling: Pooling,
        normalize: bool,
    ) -> Result<Array2<f32>, Error> {
        self.install(|| self.engine.embeddings(batch, pooling, normalize))
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
        wanted.check(&self.config)?;
        let (output, watch) = self.install(|| self.engine.forward(batch, wanted))?;
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
        self.install(|| self.engine.profile(batch))
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
fn precision(
    checkpoint: &Checkpoint,
    wanted: Option<Precision>,
    device: Device,
) -> Result<Precision, Error> {
    let refuse = |expected: String, found: Precision| {
        Err(Error::Argument {
            name: "precision",
            expected,
            found: found.to_string(),
        })
    };
    match (device, checkpoint.is_int8(), wanted) {
        (Device::Cpu, true, None | Some(Precision::Int8)) => Ok(Precision::Int8),
        (Device::Cpu, true, Some(other)) => {
            let (int8, source) = (Precision::Int8, checkpoint.source().display());
            let expected = format!("{int8}, to which the weights in {source} have been rounded");
            refuse(expected, other)
        }
        (Device::Cpu, false, Some(Precision::F16)) => refuse(
            "f32, bf16 or int8 on the processor".to_owned(),
            Precision::F16,
        ),
        (Device::Cuda(_), true, None | Some(Precision::Int8)) => Ok(Precision::F16),
        (Device::Cuda(_), false, Some(Precision::Int8)) => {
            refuse("f32, f16 or bf16 on a GPU".to_owned(), Precision::Int8)
        }
        (_, _, wanted) => Ok(wanted.unwrap_or_default()),
    }
}

/// A pool of its own for a model.
fn thread_pool(threads: usize) -> Result<rayon::ThreadPool, Error> {
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
