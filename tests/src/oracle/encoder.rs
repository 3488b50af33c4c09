//! Ids to hidden states.

use super::maths::{activate, add, convolve, linear, normalize};
use super::weights::Layer;
use super::{Oracle, Rows, Sequence};

impl Oracle {
    /// The hidden states: the embeddings, then the output of every layer.
    pub fn hidden_states(&self, sequence: &Sequence) -> Vec<Rows> {
        let positions = &sequence.positions;
        let mut states = vec![self.embed(sequence)];
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let input = &states[index];
            let mut output = self.layer(layer, input, input, positions);
            if index == 0 {
                output = self.conv(input, output, positions);
            }
            states.push(output);
        }
        states
    }

    /// `LayerNorm( P·(word + position + type) )`
    fn embed(&self, sequence: &Sequence) -> Rows {
        let tables = &self.weights.embeddings;
        let row = |table: &[Vec<f32>], index: u32| {
            let row = table[index as usize].iter();
            row.map(|&x| f64::from(x)).collect()
        };
        let rows = |table: &[Vec<f32>], indices: &[u32]| -> Rows {
            indices.iter().map(|&index| row(table, index)).collect()
        };
        let mut sum = rows(&tables.words, &sequence.ids);
        if self.config.position_biased_input {
            let positions = tables.positions.as_ref().expect("a table of positions");
            sum = add(&sum, &rows(positions, &sequence.positions));
        }
        if let Some(types) = &tables.types {
            sum = add(&sum, &rows(types, &sequence.types));
        }
        if let Some(projection) = &tables.projection {
            sum = linear(&sum, projection);
        }
        normalize(&sum, &tables.norm, self.config.eps)
    }

    /// ```text
    /// a = LayerNorm( W_o·attention(kv, queries) + queries )
    /// y = LayerNorm( W_down·act(W_up·a) + a )
    /// ```
    pub(super) fn layer(
        &self,
        layer: &Layer,
        kv: &Rows,
        queries: &Rows,
        positions: &[u32],
    ) -> Rows {
        let attention = self.attention(layer, kv, queries, positions);
        let output = linear(&attention, &layer.attention_output);
        let a = normalize(
            &add(&output, queries),
            &layer.attention_norm,
            self.config.eps,
        );
        let inner = activate(&linear(&a, &layer.up), self.config.hidden_act);
        let output = linear(&inner, &layer.down);
        normalize(&add(&output, &a), &layer.output_norm, self.config.eps)
    }

    /// `LayerNorm( act(conv(embeddings)) + output of the first layer )`
    fn conv(&self, embeddings: &Rows, output: Rows, positions: &[u32]) -> Rows {
        let (Some(conv), Some((groups, activation))) = (&self.weights.conv, self.config.conv)
        else {
            return output;
        };
        let convolved = convolve(embeddings, positions, &conv.conv, groups);
        let sum = add(&activate(&convolved, activation), &output);
        normalize(&sum, &conv.norm, self.config.eps)
    }
}
