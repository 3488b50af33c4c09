//! A decoder whose logits lie in a table, as `tests/reference/search_table.py` has it.

use std::collections::BTreeMap;

use deberta_core::Error;
use deberta_core::generate::{GenerationOptions, NextToken};
use deberta_tests::fixture;
use ndarray::Array2;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The list of that name in the file of that name.
pub(crate) fn fixtures<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = fixture("search").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lists: BTreeMap<String, Vec<T>> = serde_json::from_str(&text).unwrap();
    lists.remove(name).unwrap()
}

pub(crate) fn options(json: &Value) -> GenerationOptions {
    GenerationOptions::from_json(&json.to_string(), "options.json").unwrap()
}

/// The tables by their names: [rows, V].
pub(crate) fn tables() -> BTreeMap<String, Array2<f32>> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
        rows: Vec<Vec<Value>>,
    }
    let logit = |value: &Value| match value.as_str() {
        Some(special) => special.parse().unwrap(),
        None => value.as_f64().unwrap() as f32 / 1024.0,
    };
    let table = |Named { name, rows }| {
        let shape = (rows.len(), rows[0].len());
        let logits = rows.iter().flatten().map(logit).collect();
        (name, Array2::from_shape_vec(shape, logits).unwrap())
    };
    fixtures("tables").into_iter().map(table).collect()
}

/// Looks logits up by the input and the last two tokens.
pub(crate) struct Table {
    logits: Array2<f32>,
    /// Of each row of the last call, its input and its last token.
    rows: Vec<(usize, u32)>,
    /// Rows that were asked for, call by call.
    pub(crate) calls: Vec<usize>,
}

impl Table {
    pub(crate) fn new(logits: Array2<f32>) -> Self {
        Self {
            logits,
            rows: Vec::new(),
            calls: Vec::new(),
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        Self::new(tables().remove(name).unwrap())
    }

    /// The row of the table for what follows `before` and `last`.
    pub(crate) fn place(&self, input: usize, before: u32, last: u32) -> usize {
        (7 * input + 3 * before as usize + 5 * last as usize) % self.logits.nrows()
    }

    /// The logits of what follows these tokens.
    pub(crate) fn after(&self, input: usize, tokens: &[u32]) -> Vec<f32> {
        let [.., last] = tokens else { panic!("tokens") };
        let before = tokens.len().checked_sub(2).map_or(last, |i| &tokens[i]);
        self.logits.row(self.place(input, *before, *last)).to_vec()
    }
}

impl NextToken for Table {
    fn vocabulary(&self) -> usize {
        self.logits.ncols()
    }

    fn advance(&mut self, parents: &[usize], tokens: &[u32]) -> Result<Array2<f32>, Error> {
        let first = self.calls.is_empty();
        let before = |(&parent, &token): (&usize, &u32)| match first {
            true => (parent, token),
            false => self.rows[parent],
        };
        let before: Vec<(usize, u32)> = parents.iter().zip(tokens).map(before).collect();
        let places: Vec<usize> = before
            .iter()
            .zip(tokens)
            .map(|(&(input, before), &last)| self.place(input, before, last))
            .collect();
        self.rows = before
            .iter()
            .zip(tokens)
            .map(|(&(input, _), &token)| (input, token))
            .collect();
        self.calls.push(parents.len());
        Ok(self.logits.select(ndarray::Axis(0), &places))
    }
}
