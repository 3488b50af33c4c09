//! What the logits of a classification head are called and how they are meant.

use std::collections::BTreeMap;

use serde_json::Value;

use super::read::Keys;
use super::validate::LABELS;
use crate::Error;

/// The names of a head's outputs, in the order of its logits (`id2label`, `label2id`, `num_labels`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
    indices: BTreeMap<String, usize>,
}

impl Labels {
    pub(super) fn read(keys: &Keys) -> Result<Self, Error> {
        let names = match keys.get("id2label") {
            Some(value) => id2label(keys, value)?,
            // The reference writes neither key for the default of two labels.
            None => {
                let count = keys.size("num_labels", 2, LABELS)?;
                (0..count).map(|i| format!("LABEL_{i}")).collect()
            }
        };
        let mut indices = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            indices.entry(name.clone()).or_insert(index);
        }
        label2id(keys, names.len(), &mut indices)?;
        Ok(Self { names, indices })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none. A configuration always names at least one.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, in the order of the logits.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of output `index`.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(String::as_str)
    }

    /// The output that is called `name` in `label2id` or else in `id2label`.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.indices.get(name).copied()
    }
}

/// The names by index. The keys of the object must be 0..n.
fn id2label(keys: &Keys, value: &Value) -> Result<Vec<String>, Error> {
    const KEY: &str = "id2label";
    let Value::Object(map) = value else {
        return Err(keys.refuse(KEY, value, "an object of index to name"));
    };
    if map.is_empty() || map.len() > LABELS {
        let found = format!("{} labels", map.len());
        return Err(keys.refuse(KEY, found, format!("from 1 to {LABELS} labels")));
    }
    let mut names = vec![None; map.len()];
    for (key, value) in map {
        let slot = key
            .parse::<usize>()
            .ok()
            .and_then(|index| names.get_mut(index));
        let Some(slot) = slot else {
            let expected = format!("the indices 0 to {}", map.len() - 1);
            return Err(keys.refuse(KEY, format!("index {key:?}"), expected));
        };
        let name = match value {
            Value::String(name) => name.clone(),
            // Data sets whose classes are numbers leave numbers here.
            Value::Number(number) => number.to_string(),
            other => return Err(keys.refuse(KEY, other, "names")),
        };
        if slot.replace(name).is_some() {
            return Err(keys.refuse(KEY, format!("index {key:?} twice"), "each index once"));
        }
    }
    names
        .into_iter()
        .enumerate()
        .map(|(i, name)| {
            name.ok_or_else(|| keys.refuse(KEY, format!("no index {i}"), "every index"))
        })
        .collect()
}

/// Adds the aliases of `label2id`; its entries win over the inverse of `id2label`.
fn label2id(keys: &Keys, count: usize, indices: &mut BTreeMap<String, usize>) -> Result<(), Error> {
    const KEY: &str = "label2id";
    // Without id2label the names are the default ones, and the reference rebuilds the inverse too.
    let (Some(value), Some(_)) = (keys.get(KEY), keys.get("id2label")) else {
        return Ok(());
    };
    let Value::Object(map) = value else {
        return Err(keys.refuse(KEY, value, "an object of name to index"));
    };
    for (name, value) in map {
        let index = match value {
            Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let Some(index) = index.filter(|&index| index < count) else {
            let found = format!("{value} for {name:?}");
            return Err(keys.refuse(KEY, found, format!("an index below {count}")));
        };
        indices.insert(name.clone(), index);
    }
    Ok(())
}

/// How the logits of a sequence head are meant (`problem_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemType {
    /// Numbers; no function is applied.
    Regression,
    /// Exactly one label applies: softmax.
    SingleLabel,
    /// Each label applies or not: sigmoid.
    MultiLabel,
}

impl ProblemType {
    pub(super) fn read(keys: &Keys) -> Result<Option<Self>, Error> {
        const KEY: &str = "problem_type";
        Ok(match keys.string(KEY)? {
            None => None,
            Some("regression") => Some(Self::Regression),
            Some("single_label_classification") => Some(Self::SingleLabel),
            Some("multi_label_classification") => Some(Self::MultiLabel),
            Some(other) => {
                let expected =
                    "regression, single_label_classification or multi_label_classification";
                return Err(keys.refuse(KEY, format!("{other:?}"), expected));
            }
        })
    }
}
