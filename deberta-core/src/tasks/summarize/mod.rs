//! A shorter text for a long one.
//!
//! * `chunks`: where a text that is too long is cut.
//! * `writer`: from the decoder's tokens to text, at once or as they come.

mod chunks;
mod writer;

use std::path::Path;

use tokenizer_spm::deberta::{DebertaTokenizer, Encoding};

use super::control::{Control, Portion};
use super::encode::{Encoder, Item, Texts};
use super::run;
use super::window::{Room, Window, WindowOptions};
use crate::generate::{Decided, Ended, Generated, GenerationOptions, Watch};
use crate::{Batch, EncoderDecoder, Error, LoadOptions};
use writer::{Stream, Writer};

/// A model that writes a summary of a text, or whatever else it was trained to write.
///
/// How tokens are chosen is what the model's `generation_config.json` says, as in `transformers`: without a word there,
/// greedily and at most 20 of them. [`Summarizer::with_options`] overrides it. A text that exceeds the model's length is
/// refused unless [`Summarizer::with_long_texts`] says what to do with it.
///
/// ```no_run
/// use deberta_core::tasks::Summarizer;
/// let summarizer = Summarizer::load("path/to/encoder-decoder")?;
/// println!("{}", summarizer.summarize("A long story that could be told in a few words.")?.text);
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Summarizer {
    model: EncoderDecoder,
    encoder: Encoder,
    writer: Writer,
    options: GenerationOptions,
    long: LongText,
    room: Room,
}

/// What becomes of a text that is longer than the model reads at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LongText {
    /// It is refused: [`Error::Argument`] says how many tokens it has and how many it may have.
    #[default]
    Refuse,
    /// It is cut into parts, at the ends of sentences where there are any, and each part is summarised. The summaries one
    /// after the other are the text that is summarised next, until one part is enough.
    Combine,
    /// Its beginning is read and its end left out, as most other programs do without a word.
    Truncate,
}

/// A summary.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// What the model has written, without special tokens and without spaces around it.
    pub text: String,
    /// The score of the sequence where there are beams: the mean logarithm of its tokens' probabilities, if
    /// `length_penalty` is 1.
    pub score: Option<f32>,
    /// Why it ends where it ends: [`Ended::Length`] has been cut off, [`Ended::Budget`] also where this is what a part's
    /// summary has come to.
    pub ended: Ended,
    /// Parts in which the text was read at first.
    pub parts: usize,
}

impl Summarizer {
    /// Loads model and tokenizers from a directory in Hugging Face layout. The decoder's tokenizer is that in the folder
    /// `decoder_tokenizer` or `decoder` where there is one, else the same as the encoder's.
    ///
    /// # Errors
    /// Where something cannot be read, or the tokenizer knows more tokens than the decoder.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`Summarizer::load`], with options.
    ///
    /// # Errors
    /// As [`Summarizer::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let model = EncoderDecoder::load(folder, options)?;
        let writer = Writer::load(folder, model.vocabulary_rows())?;
        let encoder = Encoder::new(DebertaTokenizer::from_dir(folder)?);
        Ok(Self {
            room: room(&encoder, &model, None)?,
            options: model.options().clone(),
            model,
            encoder,
            writer,
            long: LongText::default(),
        })
    }

    /// Replaces the way that tokens are chosen. `num_return_sequences` has no say: the best sequence is the summary.
    /// `token_budget` is for each reading of a text or a part of it.
    #[must_use]
    pub fn with_options(mut self, options: GenerationOptions) -> Self {
        self.options = options;
        self
    }

    /// Says what becomes of texts that are too long.
    #[must_use]
    pub fn with_long_texts(mut self, long: LongText) -> Self {
        self.long = long;
        self
    }

    /// Replaces the number of tokens that the model reads at once, special ones included: by default the tokenizer's
    /// `model_max_length`, or 512 where it states none.
    ///
    /// # Errors
    /// [`Error::Argument`] where that is more than the model has absolute positions, or leaves no room for text.
    pub fn with_max_input(mut self, tokens: usize) -> Result<Self, Error> {
        self.room = room(&self.encoder, &self.model, Some(tokens))?;
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &EncoderDecoder {
        &self.model
    }

    /// How tokens are chosen.
    pub fn options(&self) -> &GenerationOptions {
        &self.options
    }

    /// The summary of a text.
    ///
    /// # Errors
    /// Where the text is too long ([`LongText::Refuse`]) or has no tokens, the options do not fit the model, or the
    /// tokenizer or the model refuses the text.
    pub fn summarize(&self, text: &str) -> Result<Summary, Error> {
        run::only(self.summarize_each(&[text], &Control::until_error()))
    }

    /// The summary of each text.
    ///
    /// # Errors
    /// As [`Summarizer::summarize`].
    pub fn summarize_batch(&self, texts: &[&str]) -> Result<Vec<Summary>, Error> {
        run::all(self.summarize_each(texts, &Control::until_error()))
    }

    /// As [`Summarizer::summarize_batch`], with a result for each text, and control over the work. Progress is that of
    /// the first reading.
    pub fn summarize_each(
        &self,
        texts: &[&str],
        control: &Control<'_>,
    ) -> Vec<Result<Summary, Error>> {
        run::in_portions(
            texts,
            |text| text.len(),
            control,
            |texts, portion| {
                let encodings = self.encode(texts);
                let cut = encodings.into_iter().zip(texts).map(|(encoding, text)| {
                    let encoding = encoding?;
                    let parts = self.parts(text, &encoding)?;
                    Ok((encoding, parts))
                });
                run::of_the_good(cut.collect(), |cut, whose| {
                    let written = self.write(cut, portion).into_iter().zip(whose);
                    let whole = |(written, &text): (Result<Vec<Summary>, Error>, &usize)| {
                        self.whole(texts[text], written?, &control.silent())
                    };
                    written.map(whole).collect()
                })
            },
        )
    }

    /// As [`Summarizer::summarize`], telling the text piece by piece as it is decided: without beams with every token,
    /// with beams as soon as all hypotheses agree. The pieces one after the other are the summary's text. Of a text that
    /// is read in parts, the last reading is told, and the control hears how many parts have been read at first. Its flag
    /// ends the work with [`Error::Cancelled`].
    ///
    /// ```no_run
    /// use deberta_core::tasks::{Control, Summarizer};
    /// let summarizer = Summarizer::load("path/to/encoder-decoder")?;
    /// let mut print = |piece: &str| print!("{piece}");
    /// summarizer.summarize_streaming("A long story.", &Control::default(), &mut print)?;
    /// # Ok::<(), deberta_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Summarizer::summarize`].
    pub fn summarize_streaming(
        &self,
        text: &str,
        control: &Control<'_>,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Summary, Error> {
        let encoding = run::only(self.encode(&[text]))?;
        let parts = self.parts(text, &encoding)?;
        if let [part] = &parts[..] {
            return self.last_reading(&encoding, part, control, hear);
        }
        let written = self.parts_of(encoding, parts, control)?;
        self.rest(text, written, control, hear)
    }

    /// The summary of a text, given those of its parts.
    fn whole(
        &self,
        text: &str,
        mut written: Vec<Summary>,
        control: &Control<'_>,
    ) -> Result<Summary, Error> {
        match written.len() {
            0 | 1 => written.pop().ok_or(Error::Cancelled),
            _ => self.rest(text, written, control, &mut |_| {}),
        }
    }

    /// The summary of what is read at once, told as it comes.
    fn last_reading(
        &self,
        encoding: &Encoding,
        part: &Window,
        control: &Control<'_>,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Summary, Error> {
        let batch = Batch::packed([self.dress(encoding, part)])?;
        let mut stream = Stream::new(&self.writer, hear);
        let mut tell = |decided: Decided<'_>| stream.tell(decided.tokens, decided.last);
        let watch = watch(control).on_tokens(&mut tell);
        let found = self.model.generate_watched(&batch, &self.best(), watch)?;
        stream.result()?;
        self.summary(&found[0], 1)
    }

    /// The summary of a text whose parts have been summarised: that of their summaries.
    fn rest(
        &self,
        text: &str,
        mut written: Vec<Summary>,
        control: &Control<'_>,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Summary, Error> {
        let (mut length, count) = (text.len(), written.len());
        let mut budget = false;
        let summary = loop {
            budget |= written.iter().any(|part| part.ended == Ended::Budget);
            let joined = joined(&written);
            let Some(last) = written.pop() else {
                return Err(Error::Cancelled);
            };
            // Where nothing was written about any part, that is the summary.
            if joined.is_empty() {
                break last;
            }
            length = shorter(length, joined.len())?;
            let encoding = run::only(self.encode(&[&joined]))?;
            let parts = self.parts(&joined, &encoding)?;
            if let [part] = &parts[..] {
                break self.last_reading(&encoding, part, control, hear)?;
            }
            written = self.parts_of(encoding, parts, &control.silent())?;
        };
        Ok(Summary {
            parts: count,
            ended: if budget { Ended::Budget } else { summary.ended },
            ..summary
        })
    }

    fn encode(&self, texts: &[&str]) -> Vec<Result<Encoding, Error>> {
        self.model.encoder().install(|| self.encoder.encode(texts))
    }

    /// The windows over a text.
    fn parts(&self, text: &str, encoding: &Encoding) -> Result<Vec<Window>, Error> {
        let (tokens, most) = (encoding.len(), self.room.tokens);
        if tokens == 0 {
            return Err(Error::Argument {
                name: "text",
                expected: "something to summarise".to_owned(),
                found: "no tokens".to_owned(),
            });
        }
        let ranges = match self.long {
            _ if tokens <= most => std::iter::once(0..tokens).collect(),
            LongText::Truncate => std::iter::once(0..most).collect(),
            LongText::Combine => chunks::cut(text, &encoding.offsets, most),
            LongText::Refuse => {
                return Err(Error::Argument {
                    name: "text",
                    expected: format!("at most {most} tokens, which the model reads at once"),
                    found: tokens.to_string(),
                });
            }
        };
        let window = |first| Window {
            first,
            second: 0..0,
            weight: 1,
        };
        Ok(ranges.into_iter().map(window).collect())
    }

    /// A part of a text as the encoder reads it.
    fn dress(&self, encoding: &Encoding, part: &Window) -> run::Sequence {
        self.encoder.assemble(Item::single(encoding), part)
    }

    /// The options for one sequence per input.
    fn best(&self) -> GenerationOptions {
        self.options.clone().num_return_sequences(1)
    }

    /// What the model writes for each part of each text.
    fn write(
        &self,
        texts: &[(Encoding, Vec<Window>)],
        portion: Portion<'_>,
    ) -> Vec<Result<Vec<Summary>, Error>> {
        let counts: Vec<usize> = texts.iter().map(|(_, parts)| parts.len()).collect();
        let options = self.best();
        // Passes hold so many tokens together; of what writes much at a time there have to be fewer.
        let least = run::TOKENS_AT_ONCE.div_ceil(self.model.inputs_at_once(&options));
        run::over_windows(
            portion,
            &counts,
            |text, part| {
                let (encoding, parts) = &texts[text];
                let tokens = self.encoder.length(Item::single(encoding), &parts[part]);
                tokens.max(least)
            },
            |text, part| self.dress(&texts[text].0, &texts[text].1[part]),
            |batch| {
                let watch = watch(portion.control);
                self.model.generate_watched(batch, &options, watch)
            },
            |text, _, (found, _, row)| self.summary(&found[row], counts[text]),
        )
    }

    /// The summaries of a text's parts.
    fn parts_of(
        &self,
        encoding: Encoding,
        parts: Vec<Window>,
        control: &Control<'_>,
    ) -> Result<Vec<Summary>, Error> {
        let portion = Portion {
            control,
            first: 0,
            count: parts.len(),
            total: parts.len(),
        };
        run::only(self.write(&[(encoding, parts)], portion))
    }

    fn summary(&self, found: &Generated, parts: usize) -> Result<Summary, Error> {
        let Some(best) = found.sequences.first() else {
            return Err(Error::Cancelled);
        };
        match best.ended {
            Ended::Cancelled => Err(Error::Cancelled),
            ended => Ok(Summary {
                text: self.writer.text(&best.tokens)?.trim().to_owned(),
                score: best.score,
                ended,
                parts,
            }),
        }
    }
}

/// What the model reads at once.
fn room(encoder: &Encoder, model: &EncoderDecoder, wanted: Option<usize>) -> Result<Room, Error> {
    let options = WindowOptions {
        max_length: wanted,
        overlap: Some(0),
        ..WindowOptions::default()
    };
    encoder.room(&model.config().encoder, &options, Texts::Single)
}

/// Ends where the control does.
fn watch<'a>(control: &Control<'a>) -> Watch<'a> {
    match control.flag() {
        Some(flag) => Watch::default().cancelled_by(flag),
        None => Watch::default(),
    }
}

/// Summaries one after the other, less those that say nothing.
fn joined(summaries: &[Summary]) -> String {
    let texts = summaries.iter().map(|part| part.text.as_str());
    let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
    texts.join(" ")
}

/// The bytes of the summaries of a text's parts, which are read next: fewer than the text has, or there would be no end.
fn shorter(text: usize, summaries: usize) -> Result<usize, Error> {
    if summaries < text {
        return Ok(summaries);
    }
    Err(Error::Argument {
        name: "text",
        expected: "summaries of its parts that are shorter than the text".to_owned(),
        found: format!("{summaries} bytes for {text} bytes"),
    })
}
