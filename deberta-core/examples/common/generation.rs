//! How tokens are chosen, on a command line.

use clap::Args;
use deberta_core::generate::{EarlyStopping, GenerationOptions};

/// What a call wants otherwise than the model's files say. Names and meanings are those of `generate` of transformers.
#[derive(Args)]
pub(crate) struct Generation {
    /// The most tokens of a sequence, the first one included
    #[arg(long)]
    max_length: Option<usize>,
    /// The most new tokens; goes before --max-length, wherever that is said
    #[arg(long)]
    max_new_tokens: Option<usize>,
    /// The fewest tokens, the first one included
    #[arg(long)]
    min_length: Option<usize>,
    /// The fewest new tokens
    #[arg(long)]
    min_new_tokens: Option<usize>,
    /// Hypotheses that are followed at a time; 1: greedy, or samples
    #[arg(long)]
    num_beams: Option<usize>,
    /// When beam search ends: true, false or never
    #[arg(long, value_parser = early_stopping)]
    early_stopping: Option<EarlyStopping>,
    /// Above 0 favours long sequences among beams
    #[arg(long, allow_hyphen_values = true)]
    length_penalty: Option<f64>,
    /// No so many successive tokens occur twice; 0: they may
    #[arg(long)]
    no_repeat_ngram_size: Option<usize>,
    /// Above 1 makes tokens unlikelier that were written before
    #[arg(long, allow_hyphen_values = true)]
    repetition_penalty: Option<f64>,
    /// Successive tokens that do not occur, separated by commas; may be given several times
    #[arg(long, value_name = "IDS", value_parser = ids)]
    bad_words_ids: Vec<Ids>,
    /// The first new token
    #[arg(long)]
    forced_bos_token_id: Option<u32>,
    /// The last token of a sequence that reaches the greatest length
    #[arg(long, value_name = "IDS", value_parser = ids)]
    forced_eos_token_id: Option<Ids>,
    /// The token that sequences begin with
    #[arg(long)]
    decoder_start_token_id: Option<u32>,
    /// The tokens that end a sequence, separated by commas
    #[arg(long, value_name = "IDS", value_parser = ids)]
    eos_token_id: Option<Ids>,
    /// The token that shorter sequences are filled up with
    #[arg(long)]
    pad_token_id: Option<u32>,
    /// Draw tokens instead of taking the best (true or false)
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    do_sample: Option<bool>,
    /// What scores are divided by before a draw
    #[arg(long, allow_hyphen_values = true)]
    temperature: Option<f64>,
    /// Draw among so many of the best tokens; 0: all
    #[arg(long)]
    top_k: Option<usize>,
    /// Draw among the best tokens that together have this probability
    #[arg(long, allow_hyphen_values = true)]
    top_p: Option<f64>,
    /// Chooses the draws
    #[arg(long)]
    seed: Option<u64>,
    /// The most tokens to compute in a call, over all inputs and beams
    #[arg(long)]
    token_budget: Option<usize>,
}

/// Some token ids.
#[derive(Clone)]
struct Ids(Vec<u32>);

impl Generation {
    /// The options with what the command line says.
    pub(crate) fn over(&self, mut options: GenerationOptions) -> GenerationOptions {
        fn set<T: Clone>(to: &mut T, said: &Option<T>) {
            if let Some(value) = said {
                to.clone_from(value);
            }
        }
        fn set_some<T: Copy>(to: &mut Option<T>, said: Option<T>) {
            *to = said.or(*to);
        }
        set_some(&mut options.max_length, self.max_length);
        set_some(&mut options.max_new_tokens, self.max_new_tokens);
        if let (Some(_), None, Some(new)) =
            (self.max_length, self.max_new_tokens, options.max_new_tokens)
        {
            eprintln!("warning: the model's max_new_tokens, {new}, goes before --max-length");
        }
        set(&mut options.min_length, &self.min_length);
        set_some(&mut options.min_new_tokens, self.min_new_tokens);
        set(&mut options.num_beams, &self.num_beams);
        set(&mut options.early_stopping, &self.early_stopping);
        set(&mut options.length_penalty, &self.length_penalty);
        set(
            &mut options.no_repeat_ngram_size,
            &self.no_repeat_ngram_size,
        );
        set(&mut options.repetition_penalty, &self.repetition_penalty);
        if !self.bad_words_ids.is_empty() {
            options.bad_words_ids = self.bad_words_ids.iter().map(|ids| ids.0.clone()).collect();
        }
        set_some(&mut options.forced_bos_token_id, self.forced_bos_token_id);
        let lists = [
            (&mut options.forced_eos_token_id, &self.forced_eos_token_id),
            (&mut options.eos_token_id, &self.eos_token_id),
        ];
        for (list, said) in lists {
            if let Some(ids) = said {
                list.clone_from(&ids.0);
            }
        }
        set_some(
            &mut options.decoder_start_token_id,
            self.decoder_start_token_id,
        );
        set_some(&mut options.pad_token_id, self.pad_token_id);
        set(&mut options.do_sample, &self.do_sample);
        set(&mut options.temperature, &self.temperature);
        set(&mut options.top_k, &self.top_k);
        set(&mut options.top_p, &self.top_p);
        set(&mut options.seed, &self.seed);
        set_some(&mut options.token_budget, self.token_budget);
        options
    }
}

fn early_stopping(text: &str) -> Result<EarlyStopping, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(EarlyStopping::Yes),
        "false" => Ok(EarlyStopping::No),
        "never" => Ok(EarlyStopping::Never),
        _ => Err("expected true, false or never".to_owned()),
    }
}

fn ids(text: &str) -> Result<Ids, String> {
    let ids = text.split(',').map(|id| id.trim().parse::<u32>());
    let ids: Result<Vec<u32>, _> = ids.collect();
    ids.map(Ids)
        .map_err(|e| format!("expected token ids, separated by commas ({e})"))
}
