//! One vector for a text.

use std::path::Path;

use ndarray::{Array2, Axis, concatenate};
use serde_json::Value;
use tokenizer_spm::deberta::{DebertaTokenizer, TruncationStrategy};

use super::control::{Control, Portion};
use super::encode::{Item, Texts};
use super::reader::{Reader, json};
use super::run;
use super::window::WindowOptions;
use crate::{Batch, Error, HeadKind, LoadOptions, Model, Pooling};

/// A model that makes one vector of a text: for search, clustering, comparison.
///
/// A directory of sentence-transformers (`modules.json`) says how its vectors are pooled and whether they are scaled to
/// length one; otherwise they are means of all tokens, not scaled. A text that exceeds the model's length is read through
/// windows, whose vectors are averaged by the share of the text that each adds (for [`Pooling::Max`], the largest of each
/// column is taken); [`truncate`](WindowOptions::truncate) leaves the end out, as sentence-transformers does.
///
/// ```no_run
/// use deberta_core::tasks::Embedder;
/// let embedder = Embedder::load("models/sentiment")?.with_normalize(true);
/// let vectors = embedder.embed_batch(&["A good film.", "A fine movie."])?;
/// let cosine: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
/// println!("{cosine:.3}");
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Embedder {
    reader: Reader,
    /// One, or several whose vectors stand side by side.
    pooling: Vec<Pooling>,
    normalize: bool,
    windows: WindowOptions,
    /// Tokens of a window where nobody says otherwise.
    length: Option<usize>,
}

impl Embedder {
    /// Loads model and tokenizer from a directory in Hugging Face layout, or that of sentence-transformers.
    ///
    /// # Errors
    /// Where either cannot be read, or the directory describes vectors that are made otherwise.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`Embedder::load`], with options.
    ///
    /// # Errors
    /// As [`Embedder::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let described = Described::read(folder)?;
        let mut embedder = Self::new(Reader::load(folder, options, HeadKind::Base)?)?;
        if let Some(described) = described {
            embedder.pooling = described.pooling;
            embedder.normalize = described.normalize;
            let config = embedder.reader.config();
            let most = embedder.reader.encoder.tokenizer().model_max_length();
            let most = most.map_or(config.max_position_embeddings, |most| {
                most.min(config.max_position_embeddings)
            });
            embedder.length = Some(described.max_length.unwrap_or(most));
            embedder = embedder.with_windows(&WindowOptions::default())?;
        }
        Ok(embedder)
    }

    /// Combines a model, whose head is not used, and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Argument`] where the tokenizer's windows do not fit the model.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        Self::new(Reader::new(model, tokenizer, HeadKind::Base)?)
    }

    fn new(reader: Reader) -> Result<Self, Error> {
        let windows = WindowOptions::default();
        reader.room(&windows, Texts::Single)?;
        Ok(Self {
            reader,
            pooling: vec![Pooling::Mean],
            normalize: false,
            windows,
            length: None,
        })
    }

    /// Replaces the way that the vectors of tokens become one.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = vec![pooling];
        self
    }

    /// Whether vectors are scaled to Euclidean length one.
    #[must_use]
    pub fn with_normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// Replaces the way that long texts are read; `merge` has no say here. Without a `max_length`, windows are as long as
    /// the directory of sentence-transformers says.
    ///
    /// # Errors
    /// [`Error::Argument`] where a window would have no room, be longer than the model allows, or
    /// overlap its neighbour entirely.
    pub fn with_windows(mut self, options: &WindowOptions) -> Result<Self, Error> {
        let mut windows = options.clone();
        windows.max_length = windows.max_length.or(self.length);
        self.reader.room(&windows, Texts::Single)?;
        self.windows = windows;
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// Numbers in a vector.
    pub fn dimension(&self) -> usize {
        self.pooling.len() * self.reader.config().hidden_size
    }

    /// The vector of a text.
    ///
    /// # Errors
    /// Where the tokenizer or the model refuses the text.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, Error> {
        run::only(self.embed_each(&[text], &Control::until_error()))
    }

    /// The vector of each text.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn embed_batch(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        run::all(self.embed_each(texts, &Control::until_error()))
    }

    /// As [`Embedder::embed_batch`], with a result for each text, and control over the work.
    pub fn embed_each(
        &self,
        texts: &[&str],
        control: &Control<'_>,
    ) -> Vec<Result<Vec<f32>, Error>> {
        run::in_portions(
            texts,
            |text| text.len(),
            control,
            |texts, portion| self.portion(texts, portion),
        )
    }

    /// The pooled vectors of a batch.
    fn vectors(&self, batch: &Batch) -> Result<Array2<f32>, Error> {
        let model = &self.reader.model;
        if let [pooling] = *self.pooling {
            return model.embeddings(batch, pooling, false);
        }
        let output = model.forward(batch)?;
        let parts = self.pooling.iter();
        let parts: Vec<Array2<f32>> = parts
            .map(|&pooling| output.embeddings(batch, pooling, false))
            .collect::<Result<_, _>>()?;
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        // All have a row for each sequence.
        Ok(concatenate(Axis(1), &views).unwrap_or_default())
    }

    fn portion(&self, texts: &[&str], portion: Portion<'_>) -> Vec<Result<Vec<f32>, Error>> {
        let reader = &self.reader;
        let encodings = reader.model.install(|| reader.encoder.encode(texts));
        let cut = encodings.into_iter().map(|encoding| {
            let encoding = encoding?;
            let item = Item::single(&encoding);
            let windows = reader.windows(item, &self.windows, TruncationStrategy::LongestFirst)?;
            Ok((encoding, windows))
        });
        run::of_the_good(cut.collect(), |texts, which| {
            let items: Vec<_> = texts
                .iter()
                .map(|(text, windows)| (Item::single(text), &windows[..]))
                .collect();
            let vectors = reader.read(
                &items,
                portion,
                |batch| self.vectors(batch),
                |i, _, (vectors, _, row)| {
                    let vector = vectors.row(row).to_vec();
                    let input = portion.first + which[i];
                    let finite = vector.iter().all(|x| x.is_finite());
                    finite
                        .then_some(vector)
                        .ok_or(Error::NotFiniteOutput { input })
                },
            );
            vectors
                .into_iter()
                .zip(texts)
                .map(|(vectors, (_, windows))| {
                    let mut merged = Merged::new(&self.pooling, self.dimension());
                    for (vector, window) in vectors?.into_iter().zip(windows) {
                        merged.add(vector.into_iter(), window.weight);
                    }
                    Ok(merged.vector(self.normalize))
                })
                .collect()
        })
    }
}

/// The vector of a text, gathered window by window.
struct Merged<'a> {
    pooling: &'a [Pooling],
    values: Vec<f64>,
    weight: f64,
}

impl<'a> Merged<'a> {
    fn new(pooling: &'a [Pooling], dimension: usize) -> Self {
        let mut merged = Self {
            pooling,
            values: vec![0.0; dimension],
            weight: 0.0,
        };
        for (pooling, values) in merged.parts() {
            if pooling == Pooling::Max {
                values.fill(f64::NEG_INFINITY);
            }
        }
        merged
    }

    /// The vector of each way of pooling.
    fn parts(&mut self) -> impl Iterator<Item = (Pooling, &mut [f64])> {
        let width = self.values.len() / self.pooling.len().max(1);
        let parts = self.values.chunks_exact_mut(width.max(1));
        self.pooling.iter().copied().zip(parts)
    }

    fn add(&mut self, mut row: impl Iterator<Item = f32>, weight: usize) {
        let weight = weight as f64;
        for (pooling, values) in self.parts() {
            for (value, x) in values.iter_mut().zip(row.by_ref()) {
                match pooling {
                    Pooling::Max => *value = value.max(f64::from(x)),
                    Pooling::Cls | Pooling::Mean => *value += weight * f64::from(x),
                }
            }
        }
        self.weight += weight;
    }

    fn vector(mut self, normalize: bool) -> Vec<f32> {
        let weight = self.weight;
        for (pooling, values) in self.parts() {
            if pooling != Pooling::Max {
                values.iter_mut().for_each(|value| *value /= weight);
            }
        }
        let length = match normalize {
            // As in torch.nn.functional.normalize, the zero vector stays.
            true => {
                let squares: f64 = self.values.iter().map(|x| x * x).sum();
                squares.sqrt().max(1e-12)
            }
            false => 1.0,
        };
        self.values.iter().map(|x| (x / length) as f32).collect()
    }
}

/// How a directory of sentence-transformers makes vectors.
struct Described {
    pooling: Vec<Pooling>,
    normalize: bool,
    max_length: Option<usize>,
}

impl Described {
    /// What `modules.json` and the files that it names say; `None` where it is not there.
    fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let file = folder.join("modules.json");
        let Some(modules) = json(&file)? else {
            return Ok(None);
        };
        let refuse = |found: String, expected: &str| Error::Config {
            file: file.clone(),
            key: "type".to_owned(),
            found,
            expected: expected.to_owned(),
        };
        let (mut pooling, mut normalize) = (None, false);
        for module in modules.as_array().into_iter().flatten() {
            let kind = module
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let path = module
                .get("path")
                .and_then(Value::as_str)
                .unwrap_or_default();
            match kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" if path.is_empty() => {}
                "Pooling" => pooling = Some(pooling_of(&folder.join(path).join("config.json"))?),
                "Normalize" => normalize = true,
                _ => {
                    let expected = "Transformer (in the directory itself), Pooling, Normalize";
                    return Err(refuse(format!("{kind} in {path:?}"), expected));
                }
            }
        }
        let pooling = pooling.ok_or_else(|| refuse("no Pooling".to_owned(), "Pooling"))?;
        let settings = json(&folder.join("sentence_bert_config.json"))?;
        let length = settings.and_then(|settings| settings.get("max_seq_length")?.as_u64());
        Ok(Some(Self {
            pooling,
            normalize,
            max_length: length.and_then(|length| usize::try_from(length).ok()),
        }))
    }
}

/// The ways of pooling that a module's `config.json` names, in the order in which their vectors stand side by side.
fn pooling_of(file: &Path) -> Result<Vec<Pooling>, Error> {
    /// By the names of both releases, in the older one's order.
    const KNOWN: [(&str, &str, Pooling); 3] = [
        ("cls", "pooling_mode_cls_token", Pooling::Cls),
        ("max", "pooling_mode_max_tokens", Pooling::Max),
        ("mean", "pooling_mode_mean_tokens", Pooling::Mean),
    ];
    let config = json(file)?.unwrap_or_default();
    let named: Vec<String> = match config.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode.clone()],
        Some(Value::Array(modes)) => modes
            .iter()
            .map(|mode| mode.as_str().unwrap_or_default().to_owned())
            .collect(),
        _ => {
            let flags = config.as_object().into_iter().flatten();
            let set = flags.filter(|(key, value)| {
                key.starts_with("pooling_mode_") && value.as_bool() == Some(true)
            });
            let mut set: Vec<String> = set.map(|(key, _)| key.clone()).collect();
            set.sort_by_key(|key| KNOWN.iter().position(|(_, old, _)| old == key));
            set
        }
    };
    let known = |name: &String| {
        let mut all = KNOWN.iter();
        all.find(|(new, old, _)| name == new || name == old)
            .map(|&(_, _, pooling)| pooling)
    };
    let pooling: Option<Vec<Pooling>> = named.iter().map(known).collect();
    pooling
        .filter(|pooling| !pooling.is_empty())
        .ok_or_else(|| Error::Config {
            file: file.to_owned(),
            key: "pooling_mode".to_owned(),
            found: format!("{named:?}"),
            expected: "cls, mean, max, or several of them".to_owned(),
        })
}
