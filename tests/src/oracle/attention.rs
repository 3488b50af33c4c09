//! Disentangled attention.

use super::config::Config;
use super::maths::linear;
use super::weights::Layer;
use super::{Oracle, Rows};
use deberta_kernels::reference;

impl Oracle {
    /// What every token gathers from the others, `[L][N]`, heads side by side.
    ///
    /// Keys and values come from `kv`, queries from `queries`: the same rows, except in the Enhanced Mask Decoder.
    pub(super) fn attention(
        &self,
        layer: &Layer,
        kv: &Rows,
        queries: &Rows,
        positions: &[u32],
    ) -> Rows {
        let query = linear(queries, &layer.query);
        let key = linear(kv, &layer.key);
        let value = linear(kv, &layer.value);

        // weights[h][i][j]: scores first, then probabilities.
        let mut weights: Vec<Rows> = (0..self.config.heads)
            .map(|head| scores(&self.config, layer, head, &query, &key, positions))
            .collect();
        if let Some(mixing) = &layer.talking_heads {
            weights = mix(&mixing.before, &weights);
        }
        for row in weights.iter_mut().flatten() {
            *row = reference::softmax(row);
        }
        if let Some(mixing) = &layer.talking_heads {
            weights = mix(&mixing.after, &weights);
        }

        let width = layer.value.bias.len();
        let size = width / self.config.heads;
        let gathered = |i: usize, n: usize| {
            let probabilities = &weights[n / size][i];
            let products = probabilities.iter().zip(&value).map(|(p, v)| p * v[n]);
            products.sum()
        };
        (0..queries.len())
            .map(|i| (0..width).map(|n| gathered(i, n)).collect())
            .collect()
    }
}

/// Equation 4 of the paper, for one head:
/// `s[i][j] = ( Q_i·K_j + Q_i·PK[slot(i-j)] + K_j·PQ[slot(i-j)] ) / sqrt(D·f)`
fn scores(
    config: &Config,
    layer: &Layer,
    head: usize,
    query: &Rows,
    key: &Rows,
    positions: &[u32],
) -> Rows {
    let size = layer.query.bias.len() / config.heads;
    let dot = |a: &[f64], b: &[f64]| -> f64 {
        let channels = head * size..(head + 1) * size;
        channels.map(|n| a[n] * b[n]).sum()
    };
    let scale = (size as f64 * score_terms(config)).sqrt();
    let score = |i: usize, j: usize| {
        let mut sum = dot(&query[i], &key[j]);
        if let Some(relative) = &config.relative {
            let slot = relative.slot(i64::from(positions[i]) - i64::from(positions[j]));
            if let Some(position_keys) = &layer.position_keys {
                sum += dot(&query[i], &position_keys[slot]);
            }
            if let Some(position_queries) = &layer.position_queries {
                sum += dot(&key[j], &position_queries[slot]);
            }
        }
        sum / scale
    };
    (0..query.len())
        .map(|i| (0..key.len()).map(|j| score(i, j)).collect())
        .collect()
}

/// f: how many terms the scores are thought to have.
///
/// v1 counts the entries of `pos_att_type`, whatever they are (the string "none" is one); later versions count the
/// terms. Either way the count does not ask whether attention is relative at all.
fn score_terms(config: &Config) -> f64 {
    let entries = &config.position_terms;
    if config.interleaved {
        return 1.0 + entries.len() as f64;
    }
    let present = |term: &&str| entries.iter().any(|entry| entry == term);
    1.0 + ["c2p", "p2c"].iter().filter(|term| present(term)).count() as f64
}

/// `mixed[h] = Σ_k W[h][k]·heads[k]`
fn mix(weight: &[Vec<f32>], heads: &[Rows]) -> Vec<Rows> {
    let value = |weights: &[f32], i: usize, j: usize| -> f64 {
        let terms = weights.iter().zip(heads);
        terms.map(|(&w, head)| f64::from(w) * head[i][j]).sum()
    };
    let length = heads[0].len();
    weight
        .iter()
        .map(|row| {
            (0..length)
                .map(|i| (0..length).map(|j| value(row, i, j)).collect())
                .collect()
        })
        .collect()
}
