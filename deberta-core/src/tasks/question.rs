//! Answers that stand in a text.

mod spans;

use std::ops::Range;
use std::path::Path;

use ndarray::s;
use tokenizer_spm::deberta::{DebertaTokenizer, Encoding, Truncation, TruncationStrategy};

use super::control::{Control, Portion};
use super::encode::Item;
use super::reader::Reader;
use super::run;
use super::span::Characters;
use super::window::Window;
use crate::{Error, HeadKind, LoadOptions, Model};
use spans::{Spans, WindowLogits};

/// The reference's default length of windows, and the most that they share.
const DEFAULT_LENGTH: usize = 384;
const DEFAULT_STRIDE: usize = 128;

/// A model that finds the answer to a question in a text, as the models trained on SQuAD do.
///
/// Answers and scores are those of the reference's pipeline (of `transformers` 4, which is the last to have one), less the
/// space that its spans have before the first word. A long text is read through windows that share tokens; an answer
/// that several windows find has the sum of their scores, as there.
///
/// ```no_run
/// use deberta_core::tasks::QuestionAnswerer;
/// let answerer = QuestionAnswerer::load("deepset/deberta-v3-base-squad2")?;
/// let answer = answerer.answer("Who wrote it?", "The book was written by Ada in 1843.")?;
/// println!("{:?} {:.3} at {:?}", answer.text, answer.score, answer.bytes);
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug)]
pub struct QuestionAnswerer {
    reader: Reader,
    options: QuestionOptions,
}

/// How answers are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionOptions {
    /// Tokens of one window, the question and special tokens included. `None`: 384, or what the model reads if that is
    /// less.
    pub max_length: Option<usize>,
    /// Tokens that neighbouring windows share. `None`: 128, or half of `max_length` if that is less; a question that
    /// leaves little room for the text makes it smaller.
    pub stride: Option<usize>,
    /// Tokens of an answer at most.
    pub max_answer_tokens: usize,
    /// Whether a text may have no answer: one without text is then among the answers.
    pub allow_no_answer: bool,
    /// Widens answers to whole words. It suits languages that put spaces between them.
    pub align_to_words: bool,
}

impl Default for QuestionOptions {
    fn default() -> Self {
        Self {
            max_length: None,
            stride: None,
            max_answer_tokens: 15,
            allow_no_answer: false,
            align_to_words: true,
        }
    }
}

/// A question and the text that has the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// The question.
    pub question: &'a str,
    /// The text.
    pub context: &'a str,
}

/// A part of a text that answers a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The part, without white space around it. Empty, at the beginning, where the text has no answer.
    pub text: String,
    /// How likely it is: the product of the probabilities of its beginning and its end, summed where several windows or
    /// several places have the same words.
    pub score: f32,
    /// Where it lies, in bytes.
    pub bytes: Range<usize>,
    /// Where it lies, in characters (Unicode scalar values, as Python counts).
    pub chars: Range<usize>,
}

impl Answer {
    /// Whether it says that the text has no answer.
    pub fn is_none(&self) -> bool {
        self.text.is_empty()
    }
}

impl QuestionAnswerer {
    /// Loads model and tokenizer from a directory in Hugging Face layout.
    ///
    /// # Errors
    /// Where either cannot be read, or the checkpoint has no question-answering head.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_with(folder, LoadOptions::default())
    }

    /// As [`QuestionAnswerer::load`], with options.
    ///
    /// # Errors
    /// As [`QuestionAnswerer::load`].
    pub fn load_with(folder: impl AsRef<Path>, options: LoadOptions) -> Result<Self, Error> {
        let needed = HeadKind::QuestionAnswering;
        Self::new(Reader::load(folder.as_ref(), options, needed)?)
    }

    /// Combines a model and a tokenizer.
    ///
    /// # Errors
    /// [`Error::Head`] where the model has another head.
    pub fn from_parts(model: Model, tokenizer: DebertaTokenizer) -> Result<Self, Error> {
        let needed = HeadKind::QuestionAnswering;
        Self::new(Reader::new(model, tokenizer, needed)?)
    }

    fn new(reader: Reader) -> Result<Self, Error> {
        let options = QuestionOptions::default();
        Ok(Self { reader, options })
    }

    /// Replaces the way that answers are looked for.
    ///
    /// # Errors
    /// [`Error::Argument`] where windows are longer than the model allows or share all their tokens, or answers have no
    /// token.
    pub fn with_options(mut self, options: &QuestionOptions) -> Result<Self, Error> {
        if options.max_answer_tokens == 0 {
            return Err(Error::Argument {
                name: "max_answer_tokens",
                expected: "at least 1".to_owned(),
                found: "0".to_owned(),
            });
        }
        self.options = options.clone();
        let length = self.length()?;
        if let Some(stride) = options.stride.filter(|&stride| stride >= length) {
            return Err(Error::Argument {
                name: "stride",
                expected: format!("less than the {length} tokens of a window"),
                found: stride.to_string(),
            });
        }
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.reader.model
    }

    /// The best answer.
    ///
    /// # Errors
    /// Where the question leaves no room for the text, the text has nothing that could be an answer, or the tokenizer or
    /// the model refuses them.
    pub fn answer(&self, question: &str, context: &str) -> Result<Answer, Error> {
        let best = self.answers(question, context, 1)?.into_iter().next();
        // A text with a token has an answer, however unlikely.
        best.ok_or(Error::Cancelled)
    }

    /// The best `k` answers, the best first; fewer where there are not so many.
    ///
    /// # Errors
    /// As [`QuestionAnswerer::answer`].
    pub fn answers(&self, question: &str, context: &str, k: usize) -> Result<Vec<Answer>, Error> {
        let input = Question { question, context };
        run::only(self.answers_each(&[input], k, &Control::until_error()))
    }

    /// The best `k` answers to each question.
    ///
    /// # Errors
    /// As [`QuestionAnswerer::answer`].
    pub fn answers_batch(
        &self,
        inputs: &[Question<'_>],
        k: usize,
    ) -> Result<Vec<Vec<Answer>>, Error> {
        run::all(self.answers_each(inputs, k, &Control::until_error()))
    }

    /// As [`QuestionAnswerer::answers_batch`], with a result for each question, and control over the work.
    pub fn answers_each(
        &self,
        inputs: &[Question<'_>],
        k: usize,
        control: &Control<'_>,
    ) -> Vec<Result<Vec<Answer>, Error>> {
        let size = |input: &Question<'_>| input.question.len() + input.context.len();
        run::in_portions(inputs, size, control, |inputs, portion| {
            self.portion(inputs, k, portion)
        })
    }

    fn portion(
        &self,
        inputs: &[Question<'_>],
        k: usize,
        portion: Portion<'_>,
    ) -> Vec<Result<Vec<Answer>, Error>> {
        let reader = &self.reader;
        let questions: Vec<&str> = inputs.iter().map(|input| input.question).collect();
        let contexts: Vec<&str> = inputs.iter().map(|input| input.context).collect();
        let (questions, contexts) = reader.model.install(|| {
            let encoder = &reader.encoder;
            (encoder.encode(&questions), encoder.encode(&contexts))
        });
        let texts = questions.into_iter().zip(contexts);
        let texts = texts.map(|(question, context)| {
            let (question, context) = (question?, context?);
            if context.is_empty() && !self.options.allow_no_answer {
                return Err(Error::Argument {
                    name: "context",
                    expected: "a text with at least one token".to_owned(),
                    found: "none".to_owned(),
                });
            }
            let windows = self.windows(question.len(), context.len())?;
            Ok((question, context, windows))
        });
        run::of_the_good(texts.collect(), |texts, which| {
            let found = self.spans(texts, which, portion, k);
            found
                .into_iter()
                .zip(which)
                .map(|(spans, &i)| Ok(answers(spans?, inputs[i].context, &self.options, k)))
                .collect()
        })
    }

    /// What the model says of each text's windows.
    fn spans(
        &self,
        texts: &[(Encoding, Encoding, Vec<Window>)],
        which: &[usize],
        portion: Portion<'_>,
        k: usize,
    ) -> Vec<Result<Spans, Error>> {
        let encoder = &self.reader.encoder;
        let items: Vec<_> = texts
            .iter()
            .map(|(first, second, windows)| (Item::pair(first, second), &windows[..]))
            .collect();
        let found = self.reader.read(
            &items,
            portion,
            |batch| run::logits_of(&self.reader.model, batch),
            |i, window, (logits, batch, row)| {
                let logits = logits.slice(s![batch.sequence(row), ..]);
                if logits.iter().any(|x| !x.is_finite()) {
                    let input = portion.first + which[i];
                    return Err(Error::NotFiniteOutput { input });
                }
                let (item, windows) = items[i];
                let logits = WindowLogits {
                    logits,
                    encoding: &encoder.dress(item, &windows[window]),
                    classifier: encoder.tokenizer().cls_token_id(),
                };
                Ok(Spans::of_window(&logits, &self.options, k))
            },
        );
        let found = found.into_iter();
        found.map(|spans| Ok(Spans::merged(spans?))).collect()
    }

    fn length(&self) -> Result<usize, Error> {
        let config = self.reader.config();
        let encoder = &self.reader.encoder;
        let most = encoder.tokenizer().model_max_length();
        let wanted = self.options.max_length;
        let wanted = wanted.or(Some(most.unwrap_or(DEFAULT_LENGTH).min(DEFAULT_LENGTH)));
        encoder.window_length(config, wanted)
    }

    /// The windows over a text, each beside the whole question.
    fn windows(&self, question: usize, context: usize) -> Result<Vec<Window>, Error> {
        let length = self.length()?;
        let specials = self.reader.encoder.specials(true);
        let room = length.saturating_sub(specials + question);
        if room == 0 {
            return Err(Error::Argument {
                name: "question",
                expected: format!("fewer than {} tokens", length.saturating_sub(specials)),
                found: format!("{question} tokens"),
            });
        }
        let stride = match self.options.stride {
            Some(stride) => stride,
            None => (length / 2).min(DEFAULT_STRIDE).min(room / 2),
        };
        let truncation = Truncation {
            max_length: length,
            strategy: TruncationStrategy::OnlySecond,
            stride,
            ..Truncation::default()
        };
        let mut windows = truncation.windows(&[question, context], specials)?;
        let contexts = windows.pop().unwrap_or_default();
        Ok(contexts
            .into_iter()
            .map(|second| Window {
                first: 0..question,
                second,
                weight: 1,
            })
            .collect())
    }
}

/// The best spans of a text, as answers.
fn answers(spans: Spans, text: &str, options: &QuestionOptions, k: usize) -> Vec<Answer> {
    let mut characters = Characters::new(text);
    let ranked = spans.rank(text, options, k).into_iter();
    ranked
        .map(|(score, bytes)| {
            let span = characters.span(bytes);
            Answer {
                text: span.text,
                score: score as f32,
                bytes: span.bytes,
                chars: span.chars,
            }
        })
        .collect()
}
