//! A DeBERTa encoder and a decoder that attends to what it has read: models that write.
//!
//! * `layout`: every tensor of the decoder by name and shape.
//! * `layer`, `decoder`: tokens to scores.
//! * `attend`: self-attention and cross-attention, over whole sequences or over caches.
//!
//! ```text
//! ids ─ encoder ─► [T, N] ─ once per layer ─► keys, values ─┐ cross-attention
//!                                                           ▼
//! tokens so far ─ embeddings ─► [R, M] ─ layers, each with a cache of its own keys and values ─► scores [R, V]
//! ```

mod attend;
mod decoder;
mod layer;
mod layout;

pub(crate) use layout::decoder_tensors;
use layout::is_of_decoder;

use crate::checkpoint::Checkpoint;
use crate::config::EncoderDecoderConfig;
use crate::generate::{Generated, GenerationOptions, NextToken, Watch, generate_watched};
use crate::{Batch, Error, HeadKind, LoadOptions, Model};
use attend::Stepwise;
use decoder::Decoder;
use ndarray::Array2;
use std::fmt;
use std::path::Path;

/// A DeBERTa encoder with an autoregressive decoder: `EncoderDecoderModel` of `transformers` with a `deberta` or
/// `deberta-v2` encoder and a `bert`, `roberta` or `gpt2` decoder.
///
/// The encoder runs on whatever device the options say, the decoder on the processor.
pub struct EncoderDecoder {
    config: EncoderDecoderConfig,
    encoder: Model,
    decoder: Decoder,
    options: GenerationOptions,
    unused: Vec<String>,
}

impl EncoderDecoder {
    /// Loads a directory in Hugging Face layout whose `config.json` has the `model_type` `encoder-decoder`.
    ///
    /// Of the options, `head` has no say. Where the encoder is not in `f32`, the weights of the decoder are bf16.
    ///
    /// # Errors
    /// [`Error`] says which file, key or tensor is missing, misshapen, corrupt or not supported.
    pub fn load(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let config = EncoderDecoderConfig::from_file(folder.join("config.json"))?;
        let options = options.head(HeadKind::Base);
        let encoder = Model::with_config(config.encoder.clone(), folder, options)
            .map_err(|error| about(error, |name| !is_of_decoder(name)))?;
        let precision = encoder.precision();
        let loaded = encoder.install(|| {
            let checkpoint = Checkpoint::open(folder)?;
            Decoder::load(&config, &checkpoint, precision)
        });
        let (decoder, unused) = loaded.map_err(|error| about(error, is_of_decoder))?;
        let both = encoder.unused_tensors().iter();
        let unused = both.filter(|name| unused.contains(name)).cloned().collect();
        Ok(Self {
            options: GenerationOptions::from_folder(folder)?,
            config,
            encoder,
            decoder,
            unused,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &EncoderDecoderConfig {
        &self.config
    }

    /// What reads.
    pub fn encoder(&self) -> &Model {
        &self.encoder
    }

    /// Rows of the decoder's word table: every id that it is given or writes is below this.
    pub fn vocabulary_rows(&self) -> usize {
        self.decoder.vocabulary()
    }

    /// The most tokens that a sequence can have, the one that it begins with included: one more than the decoder has
    /// positions, as the last is written and not read.
    pub fn max_length(&self) -> usize {
        self.config.decoder.positions() + 1
    }

    /// Tensors in the files that the model does not use.
    pub fn unused_tensors(&self) -> &[String] {
        &self.unused
    }

    /// How tokens are chosen as the directory has it: `generation_config.json`, or older keys of `config.json`.
    pub fn options(&self) -> &GenerationOptions {
        &self.options
    }

    /// How many sequences a batch should have at the most, so that what is scored and remembered of all hypotheses takes no
    /// more than some hundred megabytes, if they become as long as they may. With a token budget, which a call shares among
    /// them, that is one.
    pub fn inputs_at_once(&self, options: &GenerationOptions) -> usize {
        /// Hypotheses; scores of words; keys and values that are kept of tokens.
        const MOST: (usize, usize, usize) = (256, 1 << 24, 1 << 26);
        if options.token_budget.is_some() {
            return 1;
        }
        let decoder = &self.config.decoder;
        let kept = 2 * decoder.hidden_size * decoder.num_hidden_layers;
        let longest = options.longest().min(self.max_length());
        let rows = (MOST.0)
            .min(MOST.1 / self.vocabulary_rows().max(1))
            .min(MOST.2 / (kept * longest).max(1));
        let hypotheses = options.num_beams.max(options.num_return_sequences).max(1);
        (rows / hypotheses).max(1)
    }

    /// Writes for each sequence of a batch.
    ///
    /// What is written for a sequence depends on that sequence and the options alone, not on the others in the batch nor
    /// on the number of threads. A step costs as much as there are hypotheses, however long they are but for attention:
    /// nothing that was read or written is computed again.
    ///
    /// # Errors
    /// As [`Model::forward`] and [`generate`](crate::generate::generate); [`Error::Batch`] where a sequence is empty, and
    /// [`Error::Argument`] where the options allow more tokens than [`EncoderDecoder::max_length`].
    pub fn generate(
        &self,
        batch: &Batch,
        options: &GenerationOptions,
    ) -> Result<Vec<Generated>, Error> {
        self.generate_watched(batch, options, Watch::default())
    }

    /// As [`EncoderDecoder::generate`], with somebody who hears of tokens as they are decided and may end the search.
    ///
    /// # Errors
    /// As [`EncoderDecoder::generate`].
    pub fn generate_watched(
        &self,
        batch: &Batch,
        options: &GenerationOptions,
        watch: Watch<'_>,
    ) -> Result<Vec<Generated>, Error> {
        self.check(batch)?;
        let (most, longest) = (self.max_length(), options.longest());
        if longest > most {
            let name = match options.max_new_tokens {
                Some(_) => "max_new_tokens",
                None => "max_length",
            };
            let start = usize::from(options.max_new_tokens.is_some());
            return Err(Error::Argument {
                name,
                expected: format!(
                    "at most {} (the decoder has {} positions)",
                    most - start,
                    most - 1
                ),
                found: (longest - start).to_string(),
            });
        }
        let hidden = self.encoder.forward(batch)?.last_hidden_state;
        let decoder = &self.decoder;
        let begin = || Stepwise::new(decoder, hidden.view(), batch.bounds());
        let mut steps = OnPool {
            encoder: &self.encoder,
            steps: self.encoder.install(begin)?,
        };
        generate_watched(&mut steps, batch.len(), options, watch)
    }

    /// The scores of what follows each token where it is known what was written (teacher forcing): a sequence of the
    /// decoder for each of the batch, `[ΣL, V]` end to end, as logits.
    ///
    /// # Errors
    /// As [`Model::forward`]; [`Error::Batch`] where there is not a sequence for each of the batch, one of the batch is
    /// empty, an id is outside the decoder's vocabulary, or a sequence has more tokens than the decoder has positions.
    pub fn logits(&self, batch: &Batch, sequences: &[Vec<u32>]) -> Result<Array2<f32>, Error> {
        self.check(batch)?;
        self.check_sequences(batch, sequences)?;
        let hidden = self.encoder.forward(batch)?.last_hidden_state;
        self.encoder.install(|| {
            self.decoder
                .forced(hidden.view(), batch.bounds(), sequences)
        })
    }

    /// Refuses a batch with a sequence of which there is nothing to attend to.
    fn check(&self, batch: &Batch) -> Result<(), Error> {
        match (0..batch.len()).find(|&i| batch.sequence(i).is_empty()) {
            None => Ok(()),
            Some(empty) => Err(Error::Batch {
                what: format!("sequence {empty}"),
                expected: "at least one token that is not masked".to_owned(),
                found: "none".to_owned(),
            }),
        }
    }

    /// Refuses sequences that the decoder cannot take.
    fn check_sequences(&self, batch: &Batch, sequences: &[Vec<u32>]) -> Result<(), Error> {
        let refuse = |what: String, expected: String, found: usize| {
            Err(Error::Batch {
                what,
                expected,
                found: found.to_string(),
            })
        };
        if sequences.len() != batch.len() {
            let expected = format!("{} sequences, one for each of the encoder", batch.len());
            return refuse(
                "the decoder's sequences".to_owned(),
                expected,
                sequences.len(),
            );
        }
        let (most, rows) = (self.config.decoder.positions(), self.vocabulary_rows());
        for (i, sequence) in sequences.iter().enumerate() {
            if sequence.len() > most {
                let expected = format!("at most {most} tokens (the decoder's positions)");
                let what = format!("the decoder's sequence {i}");
                return refuse(what, expected, sequence.len());
            }
            if let Some(at) = sequence.iter().position(|&id| id as usize >= rows) {
                let what = format!("token {at} of the decoder's sequence {i}");
                let found = sequence[at] as usize;
                return refuse(what, format!("an id below {rows}"), found);
            }
        }
        Ok(())
    }
}

/// An error that tells only of the unused tensors of one part, as the other part uses the others.
fn about(mut error: Error, is_of_part: impl Fn(&str) -> bool) -> Error {
    if let Error::Weights { unused, .. } = &mut error {
        unused.retain(|name| is_of_part(name));
    }
    error
}

/// Steps that run on the model's own pool. The search between them stays with the caller.
struct OnPool<'a> {
    encoder: &'a Model,
    steps: Stepwise<'a>,
}

impl NextToken for OnPool<'_> {
    fn vocabulary(&self) -> usize {
        self.steps.vocabulary()
    }

    fn advance(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Array2<f32>, Error> {
        let Self { encoder, steps } = self;
        encoder.install(|| steps.advance(parents, tokens))
    }
}

impl fmt::Debug for EncoderDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncoderDecoder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
