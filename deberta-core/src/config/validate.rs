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
    // The reference for v1 knows neither conv nor buckets: there, what these keys say is no concern of ours.
    if let (Family::V2, Some(conv)) = (config.family, config.conv) {
        if conv.kernel_size % 2 == 0 {
            // An even kernel yields one token less than it is given.
            return Err(keys.refuse("conv_kernel_size", conv.kernel_size, "an odd number"));
        }
        if hidden % conv.groups != 0 {
            let expected = format!("a divisor of hidden_size ({hidden})");
            return Err(keys.refuse("conv_groups", conv.groups, expected));
        }
    }
    if config.family == Family::V2 && config.relative_attention {
        buckets(config, keys)?;
    }
    if config.problem_type == Some(ProblemType::SingleLabel) && config.num_labels() == 1 {
        let expected = "regression or multi_label_classification for a head with one label";
        return Err(keys.refuse("problem_type", "single_label_classification", expected));
    }
    products(config, keys)
}

/// The logarithm of the bucket formula needs `1 <= mid < m - 1`.
fn buckets(config: &Config, keys: &Keys) -> Result<(), Error> {
    let Some(buckets) = config.position_buckets else {
        return Ok(());
    };
    let (mid, m) = (buckets / 2, config.max_relative_positions);
    if mid == 0 {
        return Err(keys.refuse("position_buckets", buckets, "at least 2, or -1 for none"));
    }
    if m - 1 <= mid {
        let expected = format!(
            "less than twice (max_relative_positions - 1), which is {}",
            m - 1
        );
        return Err(keys.refuse("position_buckets", buckets, expected));
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
