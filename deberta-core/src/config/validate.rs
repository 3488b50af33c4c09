//! Limits of single values, and the relations between values that the reference relies on.

use super::read::Keys;
use super::{Config, Family, ProblemType};
use crate::Error;

// Far above every published model, low enough that no product of three of them overflows 64 bits.
pub(super) const WIDTH: usize = 1 << 16;
pub(super) const FEED_FORWARD: usize = 1 << 20;
pub(super) const LAYERS: usize = 1 << 10;
pub(super) const POSITIONS: usize = 1 << 22;
pub(super) const KERNEL: usize = 1 << 10;
pub(super) const LABELS: usize = 1 << 20;

/// Checks what no single key can tell.
pub(super) fn check(config: &Config, keys: &Keys) -> Result<(), Error> {
    let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
    if hidden % heads != 0 {
        let expected = format!("a divisor of hidden_size ({hidden})");
        return Err(keys.refuse("num_attention_heads", heads, expected));
    }
    // The reference reads the key and then fails in its own reshape unless it changes nothing.
    let head_size = keys.size("attention_head_size", hidden / heads, WIDTH)?;
    if head_size != hidden / heads {
        let expected = format!("hidden_size / num_attention_heads ({})", hidden / heads);
        return Err(keys.refuse("attention_head_size", head_size, expected));
    }
    if config.pooler_hidden_size != hidden {
        let expected = format!("hidden_size ({hidden})");
        return Err(keys.refuse("pooler_hidden_size", config.pooler_hidden_size, expected));
    }
    // Where `transformers` reads v1 it knows neither conv nor buckets: there, what these keys say is no concern of ours.
    if config.family == Family::V2 {
        second_generation(config)
            .map_err(|Unfit(key, found, expected)| keys.refuse(key, found, expected))?;
    }
    if config.problem_type == Some(ProblemType::SingleLabel) && config.num_labels() == 1 {
        let expected = "regression or multi_label_classification for a head with one label";
        return Err(keys.refuse("problem_type", "single_label_classification", expected));
    }
    products(config, keys)
}

/// A key whose value does not fit: the key, what was found, what was expected.
pub(crate) struct Unfit(pub(crate) &'static str, pub(crate) usize, pub(crate) String);

/// Checks the keys that came with the second generation.
pub(crate) fn second_generation(config: &Config) -> Result<(), Unfit> {
    if let Some(conv) = config.conv {
        if conv.kernel_size.is_multiple_of(2) {
            // An even kernel yields one token less than it is given.
            let expected = "an odd number".to_owned();
            return Err(Unfit("conv_kernel_size", conv.kernel_size, expected));
        }
        if !config.hidden_size.is_multiple_of(conv.groups) {
            let expected = format!("a divisor of hidden_size ({})", config.hidden_size);
            return Err(Unfit("conv_groups", conv.groups, expected));
        }
    }
    match config.position_buckets {
        Some(buckets) if config.relative_attention => {
            check_buckets(buckets, config.max_relative_positions)
        }
        _ => Ok(()),
    }
}

/// The logarithm of the bucket formula needs `1 <= mid < m - 1`.
fn check_buckets(buckets: usize, m: usize) -> Result<(), Unfit> {
    let mid = buckets / 2;
    let refuse = |expected| Err(Unfit("position_buckets", buckets, expected));
    if mid == 0 {
        return refuse("at least 2, or -1 for none".to_owned());
    }
    if m - 1 <= mid {
        let limit = m - 1;
        return refuse(format!(
            "less than twice (max_relative_positions - 1), which is {limit}"
        ));
    }
    Ok(())
}

/// The largest tables must be addressable.
fn products(config: &Config, keys: &Keys) -> Result<(), Error> {
    let product = |key: &str, factors: &[usize]| {
        factors
            .iter()
            .chain(&[size_of::<f32>()])
            .try_fold(1usize, |product, &factor| product.checked_mul(factor))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .map(|_| ())
            .ok_or_else(|| keys.refuse(key, format!("{factors:?}"), "a table that fits in memory"))
    };
    product(
        "intermediate_size",
        &[config.hidden_size, config.intermediate_size],
    )?;
    let span = config
        .position_buckets
        .unwrap_or(0)
        .max(config.max_relative_positions);
    product("max_relative_positions", &[2, span, config.hidden_size])?;
    product(
        "max_position_embeddings",
        &[config.max_position_embeddings, config.embedding_size],
    )?;
    product("hidden_size", &[3, config.hidden_size, config.hidden_size])
}
