//! Words for the masks in a text.

use std::path::Path;

use tokenizer_spm::deberta::{DebertaTokenizer, EncodeOptions};

use super::control::{Control, Portion};
use super::reader::Reader;
use super::run::{self, Sequences, TOKENS_AT_ONCE};
use super::score::softmax;
use crate::{Error, HeadKind, LoadOptions, Model};

/// Masks whose scores over the vocabulary are held at a time: 128 MB with 128,000 words.
const MASKS_AT_ONCE: usize = 256;

/// A masked language model: which words stand where a text says `[MASK]`.
///
/// Answers are those of the reference's pipeline. The model is the one that was trained on masks, with its head (and the
/// enhanced mask decoder where Microsoft's checkpoint has it): the published v3 models are discriminators and have none.
/// [`FillMask::doubt`] says where the weights cannot give sensible words.
///
/// ```no_run
/// use deberta_core::tasks::FillMask;
/// let model = FillMask::load("microsoft/deberta-base")?;
/// for word in &model.fill("The capital of France is [MASK].")?[0] {
///     println!("{:.3} {}", word.score, word.text);
/// }
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FillMask {
    reader: Reader,
    mask: u32,
    top_k: usize,
    /// The only words to choose from, in rising order.
    targets: Option<Vec<u32>>,
    sequences: bool,
    max_length: usize,
}

/// A word for a mask.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// The token's id.
    pub token: u32,
    /// The token as text.
    pub text: String,
    /// How likely it is among all words.
    pub score: f32,
    /// The whole text with this word. Other masks stay; special tokens are shown only where there are some. Empty where
    /// nobody wants it ([`FillMask::with_sequences`]).
    pub sequence: String,
}

impl FillMask {
    /// Loads model and tokenizer from a directory in Hugging Face layout.
    ///
    /// # Errors
    /// Where either cannot be read, or the checkpoint has no masked-language-model head.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`FillMask::load`], with options.
    ///
    /// # Errors
    /// As [`FillMask::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        Self::new(Reader::load(folder.as_ref(), options, HeadKind::MaskedLm)?)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head, [`Error::Argument`] where the tokenizer has no mask.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        Self::new(Reader::new(model, tokenizer, HeadKind::MaskedLm)?)
    }

    fn new(reader: Reader) -> Result<Self, Error> {
        let mask = reader.encoder.tokenizer().mask_token_id();
        let mask = mask.ok_or_else(|| Error::Argument {
            name: "tokenizer",
            expected: "a mask token ([MASK])".to_owned(),
            found: "none".to_owned(),
        })?;
        Ok(Self {
            reader,
            mask,
            top_k: 5,
            targets: None,
            sequences: true,
            max_length: usize::MAX,
        })
    }

    /// Gives so many words for each mask, by default 5.
    #[must_use]
    pub fn with_top_k(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// Whether each word comes with the whole text that it makes. With many masks in long texts that is what takes memory.
    #[must_use]
    pub fn with_sequences(mut self, sequences: bool) -> Self {
        self.sequences = sequences;
        self
    }

    /// Refuses texts of more tokens, special ones included. By default a text is read whole however long it is, as by the
    /// reference: the time grows with the square of its length.
    #[must_use]
    pub fn with_max_length(mut self, tokens: usize) -> Self {
        self.max_length = tokens;
        self
    }

    /// Chooses among these words alone; their scores stay those among all words. A word that is not in the vocabulary
    /// stands for the first token that it is cut into, as in the reference: [`FillMask::targets`] shows what became of it.
    ///
    /// # Errors
    /// [`Error::Argument`] where a word has no token, or there is none.
    pub fn with_targets(mut self, words: &[&str]) -> Result<Self, Error> {
        let tokenizer = self.reader.encoder.tokenizer();
        let bare = EncodeOptions {
            add_special_tokens: false,
            ..EncodeOptions::default()
        };
        let mut targets = Vec::with_capacity(words.len());
        for &word in words {
            let id = match tokenizer.token_to_id(word) {
                Some(id) => Some(id),
                None => tokenizer.encode(word, &bare)?.ids.first().copied(),
            };
            targets.push(id.ok_or_else(|| Error::Argument {
                name: "targets",
                expected: "words with at least one token".to_owned(),
                found: format!("{word:?}"),
            })?);
        }
        targets.sort_unstable();
        targets.dedup();
        let rows = self.reader.model.vocabulary_rows();
        if let Some(&id) = targets.last().filter(|&&id| id as usize >= rows) {
            let position = 0;
            return Err(Error::IdOutOfRange { id, rows, position });
        }
        if targets.is_empty() {
            return Err(Error::Argument {
                name: "targets",
                expected: "at least one word".to_owned(),
                found: "none".to_owned(),
            });
        }
        self.targets = Some(targets);
        Ok(self)
    }

    /// The tokens to choose from, where words were named.
    pub fn targets(&self) -> Vec<String> {
        let tokenizer = self.reader.encoder.tokenizer();
        let name = |&id: &u32| tokenizer.id_to_token(id).unwrap_or_default().to_owned();
        self.targets.iter().flatten().map(name).collect()
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// Why the words may make no sense, if there is a reason: a head that was trained behind the enhanced mask decoder, in
    /// a file that has lost the decoder's positions (as whatever `transformers` saves has).
    pub fn doubt(&self) -> Option<&'static str> {
        self.reader.model.has_lost_mask_decoder().then_some(
            "the head was trained behind the enhanced mask decoder, and the file lacks the absolute positions \
             (embeddings.position_embeddings) that it needs: the words may make no sense",
        )
    }

    /// Words for each mask of a text, the likeliest first.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no mask, and where the tokenizer or the model refuses the text.
    pub fn fill(&self, text: &str) -> Result<Vec<Vec<Filled>>, Error> {
        run::only(self.fill_each(&[text], &Control::until_error()))
    }

    /// The same for each text.
    ///
    /// # Errors
    /// As [`FillMask::fill`].
    pub fn fill_batch(&self, texts: &[&str]) -> Result<Vec<Vec<Vec<Filled>>>, Error> {
        run::all(self.fill_each(texts, &Control::until_error()))
    }

    /// As [`FillMask::fill_batch`], with a result for each text, and control over the work.
    pub fn fill_each(
        &self,
        texts: &[&str],
        control: &Control<'_>,
    ) -> Vec<Result<Vec<Vec<Filled>>, Error>> {
        run::in_portions(
            texts,
            |text| text.len(),
            control,
            |texts, portion| self.portion(texts, portion),
        )
    }

    fn portion(
        &self,
        texts: &[&str],
        portion: Portion<'_>,
    ) -> Vec<Result<Vec<Vec<Filled>>, Error>> {
        let reader = &self.reader;
        let tokenizer = reader.encoder.tokenizer();
        let encodings = reader.model.install(|| reader.encoder.encode(texts));
        let texts = encodings.into_iter().map(|encoding| {
            let dressed = tokenizer.with_special_tokens(&encoding?, None);
            let is_mask = |&t: &usize| dressed.ids[t] == self.mask;
            let masks: Vec<usize> = (0..dressed.len()).filter(is_mask).collect();
            if masks.is_empty() {
                let mask = tokenizer.id_to_token(self.mask).unwrap_or_default();
                return Err(Error::Argument {
                    name: "text",
                    expected: format!("a mask ({mask})"),
                    found: "none".to_owned(),
                });
            }
            if dressed.len() > self.max_length {
                return Err(Error::Argument {
                    name: "text",
                    expected: format!("at most {} tokens", self.max_length),
                    found: dressed.len().to_string(),
                });
            }
            Ok((dressed, masks))
        });
        run::of_the_good(texts.collect(), |texts, which| {
            let dear = TOKENS_AT_ONCE / MASKS_AT_ONCE;
            let costs: Vec<usize> = texts
                .iter()
                .map(|(encoding, masks)| encoding.len().max(masks.len() * dear))
                .collect();
            let sequences = Sequences {
                portion,
                costs: &costs,
            };
            let mut answers = Vec::new();
            answers.resize_with(texts.len(), || Err(Error::Cancelled));
            sequences.run(
                |i| (texts[i].0.ids.clone(), texts[i].0.type_ids.clone()),
                |batch, pass| {
                    let tokens = pass.iter().enumerate().flat_map(|(row, &i)| {
                        let start = batch.sequence(row).start;
                        texts[i].1.iter().map(move |mask| start + mask)
                    });
                    let tokens: Vec<usize> = tokens.collect();
                    let mut best = Vec::with_capacity(tokens.len());
                    for some in tokens.chunks(MASKS_AT_ONCE) {
                        let logits = reader.model.logits_at(batch, some)?;
                        best.extend(logits.outer_iter().map(|row| self.best(&row.to_vec())));
                    }
                    let counts: Vec<usize> = pass.iter().map(|&i| texts[i].1.len()).collect();
                    Ok((best, counts))
                },
                |i, result| {
                    answers[i] = result.and_then(|((best, counts), _, row)| {
                        let first: usize = counts[..row].iter().sum();
                        let best = best[first..first + counts[row]].iter();
                        let (encoding, masks) = &texts[i];
                        let is_single = masks.len() == 1;
                        let filled = best.zip(masks).map(|(best, &mask)| {
                            let input = portion.first + which[i];
                            let best = best.as_ref().ok_or(Error::NotFiniteOutput { input })?;
                            self.filled(best, &encoding.ids, mask, is_single)
                        });
                        filled.collect()
                    });
                },
            );
            answers
        })
    }

    /// The best words for a mask and their scores; `None` where a logit is no number.
    fn best(&self, logits: &[f32]) -> Option<Vec<(u32, f32)>> {
        if logits.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let tokenizer = self.reader.encoder.tokenizer();
        let scores = softmax(logits);
        let mut words: Vec<u32> = match &self.targets {
            Some(targets) => targets.clone(),
            // Rows beyond the vocabulary are there for alignment and have no word.
            None => (0..scores.len() as u32)
                .filter(|&id| tokenizer.id_to_token(id).is_some())
                .collect(),
        };
        let order = |a: &u32, b: &u32| {
            let by_score = scores[*b as usize].total_cmp(&scores[*a as usize]);
            by_score.then(a.cmp(b))
        };
        if words.len() > self.top_k && self.top_k > 0 {
            words.select_nth_unstable_by(self.top_k - 1, order);
        }
        words.truncate(self.top_k);
        words.sort_by(order);
        let scored = words.into_iter().map(|id| (id, scores[id as usize]));
        Some(scored.collect())
    }

    /// The words as text.
    fn filled(
        &self,
        best: &[(u32, f32)],
        ids: &[u32],
        mask: usize,
        is_single: bool,
    ) -> Result<Vec<Filled>, Error> {
        let tokenizer = self.reader.encoder.tokenizer();
        let mut sequence = ids.to_vec();
        let filled = best.iter().map(|&(token, score)| {
            sequence[mask] = token;
            Ok(Filled {
                token,
                text: tokenizer.decode(&[token], false)?,
                score,
                sequence: match self.sequences {
                    true => tokenizer.decode(&sequence, is_single)?,
                    false => String::new(),
                },
            })
        });
        filled.collect()
    }
}
