//! What a search may be told.

/// When a beam search of an input ends.
///
/// It never ends before it has kept as many finished hypotheses as there are beams, unless the length does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlyStopping {
    /// `false`: once the best hypothesis that still runs could not beat the worst kept one if it ended here.
    #[default]
    No,
    /// `true`: as soon as there are enough.
    Yes,
    /// `"never"`: as `No`, but where `length_penalty` favours long sequences it is asked whether it could at the greatest
    /// length.
    Never,
}

/// Declares the options with their defaults, and a setter for each.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, from $param:ty;)*) => {
        /// How tokens are chosen and when a sequence ends.
        ///
        /// Names, meanings and defaults are those of `GenerationConfig` and of `generate` of transformers, but for
        /// [`seed`](Self#structfield.seed) and [`token_budget`](Self#structfield.token_budget), which it does not have.
        /// Read from a model's directory with [`from_folder`](Self::from_folder), then override what a call wants
        /// otherwise:
        ///
        /// ```
        /// use deberta_core::generate::{EarlyStopping, GenerationOptions};
        ///
        /// let options = GenerationOptions::default()
        ///     .num_beams(4)
        ///     .early_stopping(EarlyStopping::Yes)
        ///     .max_new_tokens(60)
        ///     .eos_token_id([2]);
        /// assert_eq!(options.num_beams, 4);
        /// assert_eq!(options.max_new_tokens, Some(60));
        /// ```
        ///
        /// Lengths count tokens. Those without `new` in their name count the start token too. An empty list is no list.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct GenerationOptions {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for GenerationOptions {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl GenerationOptions {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
                #[must_use]
                pub fn $name(mut self, $name: $param) -> Self {
                    self.$name = $name.into();
                    self
                }
            )*
        }
    };
}

options! {
    /// Hypotheses that are followed at a time, at least 1; 1 is no beam search.
    num_beams: usize = 1, from usize;
    /// Sequences that are returned for an input: at most as many as beams; without beams, more than one only of samples.
    num_return_sequences: usize = 1, from usize;
    /// When a beam search ends.
    early_stopping: EarlyStopping = EarlyStopping::No, from EarlyStopping;
    /// Exponent of the number of new tokens by which a beam's summed log probability is divided. Above 0 it favours long
    /// sequences.
    length_penalty: f64 = 1.0, from f64;
    /// Draws tokens instead of taking the best.
    do_sample: bool = false, from bool;
    /// What scores are divided by before a draw; above 0. Below 1 the likely become likelier.
    temperature: f64 = 1.0, from f64;
    /// Only so many of the best tokens can be drawn; 0: all.
    top_k: usize = 50, from usize;
    /// Only the best tokens that together have this probability can be drawn; from 0 to 1.
    top_p: f64 = 1.0, from f64;
    /// Only tokens that are at least so many times as likely as the best can be drawn; from 0 to 1.
    min_p: Option<f64> = None, from impl Into<Option<f64>>;
    /// Only the tokens whose surprise is nearest to the expected one, of this probability together, can be drawn; above
    /// 0, 1: all.
    typical_p: f64 = 1.0, from f64;
    /// Only tokens of at least this probability can be drawn; from 0 to below 1.
    epsilon_cutoff: f64 = 0.0, from f64;
    /// As `epsilon_cutoff`, but lower where the distribution has much entropy; from 0 to below 1.
    eta_cutoff: f64 = 0.0, from f64;
    /// Chooses the draws: the same seed gives the same tokens. Every input of a call draws as if it were alone.
    seed: u64 = 0, from u64;
    /// The most tokens of a sequence. Without it and `max_new_tokens`: 20 new tokens.
    max_length: Option<usize> = None, from impl Into<Option<usize>>;
    /// The most new tokens; goes before `max_length`.
    max_new_tokens: Option<usize> = None, from impl Into<Option<usize>>;
    /// The fewest tokens before one of `eos_token_id`.
    min_length: usize = 0, from usize;
    /// The fewest new tokens before one of `eos_token_id`; goes before `min_length`.
    min_new_tokens: Option<usize> = None, from impl Into<Option<usize>>;
    /// No so many successive tokens occur twice in a sequence; 0: they may.
    no_repeat_ngram_size: usize = 0, from usize;
    /// Above 1, tokens that a sequence has already become unlikelier: negative scores are multiplied by it, others
    /// divided. Above 0. Scores are logits; in beam search, their log softmax.
    repetition_penalty: f64 = 1.0, from f64;
    /// Successions of tokens that do not occur. One of a single `eos_token_id` is no such thing.
    bad_words_ids: Vec<Vec<u32>> = Vec::new(), from impl Into<Vec<Vec<u32>>>;
    /// What is added to the score of the last token of each of these, where those before it lie before it.
    sequence_bias: Vec<(Vec<u32>, f32)> = Vec::new(), from impl Into<Vec<(Vec<u32>, f32)>>;
    /// The first new token.
    forced_bos_token_id: Option<u32> = None, from impl Into<Option<u32>>;
    /// The last token of a sequence that reaches the greatest length is one of these.
    forced_eos_token_id: Vec<u32> = Vec::new(), from impl Into<Vec<u32>>;
    /// `(n, factor)`: after n new tokens, the score of ending grows by this factor per token.
    exponential_decay_length_penalty: Option<(usize, f64)> = None, from impl Into<Option<(usize, f64)>>;
    /// Makes log probabilities of scores after everything else.
    renormalize_logits: bool = false, from bool;
    /// Makes finite numbers of NaN and the infinities. Without it, NaN in the logits is an error.
    remove_invalid_values: bool = false, from bool;
    /// Tokens that do not occur.
    suppress_tokens: Vec<u32> = Vec::new(), from impl Into<Vec<u32>>;
    /// Tokens that do not occur as the first new one; as the second, where `forced_bos_token_id` is the first.
    begin_suppress_tokens: Vec<u32> = Vec::new(), from impl Into<Vec<u32>>;
    /// The start token where there is no `decoder_start_token_id`.
    bos_token_id: Option<u32> = None, from impl Into<Option<u32>>;
    /// Each of these ends a sequence, of which it is a part.
    eos_token_id: Vec<u32> = Vec::new(), from impl Into<Vec<u32>>;
    /// What [`padded`](super::padded) fills up with; the first of `eos_token_id` where it is missing.
    pad_token_id: Option<u32> = None, from impl Into<Option<u32>>;
    /// The token that every sequence begins with.
    decoder_start_token_id: Option<u32> = None, from impl Into<Option<u32>>;
    /// The most tokens that the decoder may be asked to continue in a call, all inputs, beams and steps together. When
    /// another step would take more, all sequences end as at the greatest length, with
    /// [`Ended::Budget`](super::Ended::Budget).
    token_budget: Option<usize> = None, from impl Into<Option<usize>>;
}

impl GenerationOptions {
    /// New tokens where nothing says how many, as in the reference.
    pub const DEFAULT_NEW_TOKENS: usize = 20;

    /// The most tokens of a sequence, with the start token (`_prepare_generated_length` of the reference).
    #[must_use]
    pub fn longest(&self) -> usize {
        match (self.max_new_tokens, self.max_length) {
            (Some(new), _) => new.saturating_add(1),
            (None, Some(length)) => length,
            (None, None) => Self::DEFAULT_NEW_TOKENS + 1,
        }
    }

    /// Whether hypotheses are followed together.
    pub(super) fn is_beam_search(&self) -> bool {
        self.num_beams > 1
    }
}
