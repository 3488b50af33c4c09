//! Outputs by name, filled batch by batch.

use std::collections::BTreeMap;

use deberta_core::{Batch, HeadKind, Model, Observed, Output};
use ndarray::{Array2, ArrayD, ArrayView2, ArrayViewD, Axis, IxDyn, s};
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};

use super::input::Input;
use super::report::Failure;

/// The arrays to write.
pub(crate) struct Outputs<'a> {
    model: &'a Model,
    rows: usize,
    length: usize,
    choices: Option<usize>,
    arrays: BTreeMap<String, ArrayD<f32>>,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(input: &Input, model: &'a Model) -> Self {
        let (rows, length) = input.ids.dim();
        let mut outputs = Self {
            model,
            rows,
            length,
            choices: input.choices,
            arrays: BTreeMap::new(),
        };
        // There even where there are no rows.
        let hidden = [rows, length, model.config().hidden_size];
        outputs.array("last_hidden_state", &hidden);
        outputs
    }

    /// The array of a name, zeros at first.
    fn array(&mut self, name: &str, shape: &[usize]) -> &mut ArrayD<f32> {
        self.arrays
            .entry(name.to_owned())
            .or_insert_with(|| ArrayD::zeros(IxDyn(shape)))
    }

    /// Hidden states and logits of a batch whose first sequence is row `start`.
    pub(crate) fn add(
        &mut self,
        start: usize,
        batch: &Batch,
        output: Output,
    ) -> Result<(), Failure> {
        let hidden = output.last_hidden_state.view();
        self.tokens("last_hidden_state", start, batch, hidden)?;
        let Some(logits) = output.logits else {
            return Ok(());
        };
        match self.model.head() {
            HeadKind::SequenceClassification => {
                self.rows_of("logits", start, &logits);
            }
            HeadKind::MultipleChoice => self.column("logits", start, &logits),
            HeadKind::QuestionAnswering => {
                for (column, name) in ["start_logits", "end_logits"].into_iter().enumerate() {
                    let logits = logits.slice(s![.., column..column + 1]);
                    self.token_column(name, start, batch, logits)?;
                }
            }
            HeadKind::ReplacedTokenDetection => {
                self.token_column("logits", start, batch, logits.view())?;
            }
            _ => self.tokens("logits", start, batch, logits.view())?,
        }
        Ok(())
    }

    /// One vector per sequence.
    pub(crate) fn vectors(&mut self, start: usize, vectors: &Array2<f32>) {
        self.rows_of("sentence_embedding", start, vectors);
    }

    /// What happened inside.
    pub(crate) fn observe(
        &mut self,
        start: usize,
        batch: &Batch,
        observed: Observed,
        probabilities: bool,
    ) -> Result<(), Failure> {
        for (index, hidden) in observed.hidden_states.iter().enumerate() {
            self.tokens(
                &format!("hidden_states.{index}"),
                start,
                batch,
                hidden.view(),
            )?;
        }
        for map in observed.attention {
            let at = (start, map.sequence, map.head);
            if probabilities {
                let name = format!("attentions.{}", map.layer);
                self.pairs(&name, at, batch, map.probabilities.view());
            }
            let Some(terms) = map.terms else { continue };
            for (name, term) in [
                ("content_content", Some(terms.content_content)),
                ("content_position", terms.content_position),
                ("position_content", terms.position_content),
            ] {
                if let Some(term) = term {
                    self.pairs(
                        &format!("scores.{name}.{}", map.layer),
                        at,
                        batch,
                        term.view(),
                    );
                }
            }
        }
        Ok(())
    }

    /// Rows per sequence: `[B, columns]`.
    fn rows_of(&mut self, name: &str, start: usize, values: &Array2<f32>) {
        let shape = [self.rows, values.ncols()];
        let array = self.array(name, &shape);
        array
            .slice_mut(s![start..start + values.nrows(), ..])
            .assign(values);
    }

    /// One value per choice: `[B, C]`.
    fn column(&mut self, name: &str, start: usize, values: &Array2<f32>) {
        let choices = self.choices.unwrap_or(1);
        let shape = [self.rows / choices.max(1), choices];
        let array = self.array(name, &shape);
        for (offset, &value) in values.column(0).iter().enumerate() {
            let row = start + offset;
            array[[row / choices, row % choices]] = value;
        }
    }

    /// Rows per token: `[B, L, columns]`.
    fn tokens(
        &mut self,
        name: &str,
        start: usize,
        batch: &Batch,
        values: ArrayView2<'_, f32>,
    ) -> Result<(), Failure> {
        let padded = batch.scatter(values, self.length)?;
        let shape = [self.rows, self.length, values.ncols()];
        let range = start..start + batch.len();
        let array = self.array(name, &shape);
        array.slice_mut(s![range, .., ..]).assign(&padded);
        Ok(())
    }

    /// One value per token: `[B, L]`.
    fn token_column(
        &mut self,
        name: &str,
        start: usize,
        batch: &Batch,
        values: ArrayView2<'_, f32>,
    ) -> Result<(), Failure> {
        let padded = batch.scatter(values, self.length)?;
        let shape = [self.rows, self.length];
        let range = start..start + batch.len();
        let array = self.array(name, &shape);
        array
            .slice_mut(s![range, ..])
            .assign(&padded.index_axis(Axis(2), 0));
        Ok(())
    }

    /// A value per pair of tokens: `[B, H, L, L]`.
    fn pairs(
        &mut self,
        name: &str,
        (start, sequence, head): (usize, usize, usize),
        batch: &Batch,
        values: ArrayView2<'_, f32>,
    ) {
        let heads = self.model.config().num_attention_heads;
        let shape = [self.rows, heads, self.length, self.length];
        let array = self.array(name, &shape);
        let tokens = batch.sequence(sequence);
        let place = |i: usize| match batch.positions() {
            Some(positions) => positions[tokens.start + i] as usize,
            None => i,
        };
        for ((i, j), &value) in values.indexed_iter() {
            array[[start + sequence, head, place(i), place(j)]] = value;
        }
    }

    /// The bytes of a file with all arrays.
    pub(crate) fn into_safetensors(self) -> Result<Vec<u8>, Failure> {
        let bytes: Vec<Vec<u8>> = self
            .arrays
            .values()
            .map(|array| little_endian(array.view()))
            .collect();
        let views = self
            .arrays
            .iter()
            .zip(&bytes)
            .map(|((name, array), bytes)| {
                let view = TensorView::new(Dtype::F32, array.shape().to_vec(), bytes)?;
                Ok((name.as_str(), view))
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        Ok(serialize(views, None)?)
    }
}

fn little_endian(array: ArrayViewD<'_, f32>) -> Vec<u8> {
    array.iter().flat_map(|value| value.to_le_bytes()).collect()
}
