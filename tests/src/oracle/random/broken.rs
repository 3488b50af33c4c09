//! Valid models with one thing wrong.

use super::plan::{Family, Plan};
use super::tensors::Spec;
use crate::oracle::heads::Head;
use crate::oracle::tensors::Tensors;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// A value of `config.json` that no model can have, and the key that the error must name.
#[derive(Debug, Clone)]
pub struct BrokenKey {
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
}

/// One broken key of a model.
pub fn key(plan: &Plan) -> impl Strategy<Value = BrokenKey> + use<> {
    let hidden = plan.size.hidden;
    let mut choices = vec![
        ("model_type", json!("bert")),
        ("model_type", json!(null)),
        ("num_attention_heads", json!(hidden + 1)),
        ("num_attention_heads", json!(0)),
        ("attention_head_size", json!(hidden / plan.size.heads + 1)),
        ("hidden_size", json!(0)),
        ("hidden_size", json!(hidden as f64 + 0.5)),
        ("hidden_size", json!(u64::MAX)),
        ("num_hidden_layers", json!(-1)),
        ("num_hidden_layers", json!("2")),
        ("intermediate_size", json!([16])),
        ("hidden_act", json!("gelo")),
        ("hidden_act", json!(1)),
        ("pooler_hidden_act", json!("")),
        ("pooler_hidden_size", json!(hidden + 1)),
        ("layer_norm_eps", json!(0)),
        ("layer_norm_eps", json!(-1e-7)),
        ("layer_norm_eps", json!("small")),
        ("relative_attention", json!("yes")),
        ("pos_att_type", json!(["p2p"])),
        ("pos_att_type", json!("c2p|p2p")),
        ("pos_att_type", json!("c2p, p2c")),
        ("pos_att_type", json!({"c2p": true})),
        ("pos_att_type", json!([1])),
        ("max_position_embeddings", json!(0)),
        ("max_relative_positions", json!("all")),
        ("embedding_size", json!(0)),
        ("type_vocab_size", json!(1.5)),
        ("id2label", json!({"0": "a", "2": "b"})),
        ("id2label", json!(["a", "b"])),
        ("num_labels", json!(0)),
        ("problem_type", json!("guess")),
        ("norm_rel_ebd", json!("batch_norm")),
    ];
    if plan.family != Family::V1 {
        choices.push(("conv_kernel_size", json!(2)));
        if plan.conv.is_some() {
            choices.push(("conv_groups", json!(hidden + 1)));
            choices.push(("conv_act", json!("tan")));
        }
        if plan.relative.enabled {
            let distances = plan.relative.max_distance.unwrap_or(plan.input.positions);
            choices.push(("position_buckets", json!(1)));
            choices.push(("position_buckets", json!(2 * distances)));
        }
    }
    select(choices).prop_map(|(key, value)| BrokenKey { key, value })
}

/// What is wrong with a tensor.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It has one column more than it should, or one element.
    Wider,
    /// It has another number of dimensions.
    Flat,
    /// One of its values is no number.
    NotFinite(f32),
}

/// A tensor that the model needs, and its fault.
#[derive(Debug, Clone)]
pub struct BrokenTensor {
    /// The tensor.
    pub spec: Spec,
    /// The fault.
    pub fault: Fault,
    /// Which of its values is no number.
    at: Index,
}

/// One broken tensor of a model.
pub fn tensor(plan: &Plan) -> impl Strategy<Value = BrokenTensor> + use<> {
    let needed: Vec<Spec> = plan.specs().into_iter().filter(|s| s.needed).collect();
    let fault = select(vec![
        Fault::Missing,
        Fault::Wider,
        Fault::Flat,
        Fault::NotFinite(f32::NAN),
        Fault::NotFinite(f32::NEG_INFINITY),
    ]);
    (select(needed), fault, any::<Index>()).prop_map(|(spec, fault, at)| {
        let fault = match fault {
            // A vector has no fewer dimensions to give.
            Fault::Flat if spec.shape.len() == 1 => Fault::Wider,
            fault => fault,
        };
        BrokenTensor { spec, fault, at }
    })
}

impl BrokenTensor {
    /// Breaks it. `row` is one that a table's reader is sure to look at.
    ///
    /// # Panics
    /// Where the model has no such tensor.
    pub fn apply(&self, tensors: &mut Tensors, row: impl Fn(&str) -> usize) {
        let name = &self.spec.name;
        let tensor = tensors.0.get_mut(name).expect("a tensor of the model");
        let width: usize = tensor.shape[1..].iter().product();
        match self.fault {
            Fault::Missing => {
                tensors.0.remove(name);
            }
            Fault::Wider => {
                let last = tensor.shape.len() - 1;
                tensor.shape[last] += 1;
                tensor.values.resize(tensor.shape.iter().product(), 0.5);
            }
            Fault::Flat => tensor.shape = vec![tensor.values.len()],
            Fault::NotFinite(value) if is_table(name) => {
                let column = self.at.index(width);
                tensor.values[row(name) * width + column] = value;
            }
            Fault::NotFinite(value) => {
                let at = self.at.index(tensor.values.len());
                tensor.values[at] = value;
            }
        }
    }
}

/// Whether a tensor is looked up by rows, so that a row that nobody asks for is never read.
fn is_table(name: &str) -> bool {
    name.starts_with("embeddings.") && name.ends_with("_embeddings.weight")
}

/// A configuration with one key changed to something odd: valid, invalid, or at odds with the tensors.
pub fn odd_key(plan: &Plan) -> impl Strategy<Value = (String, Value)> + use<> {
    let config = plan.config();
    let keys: Vec<String> = config
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k.clone())
        .collect();
    let values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(7),
        json!(-1),
        json!(1e300),
        json!(4_194_304),
        json!(i64::MIN),
        json!(u64::MAX),
        json!("gelu"),
        json!("p2c|c2p"),
        json!("layer_norm"),
        json!("\u{0}|\u{fffd}"),
        json!([]),
        json!(["c2p", null]),
        json!({}),
        json!("deberta"),
        json!("deberta-v2"),
    ];
    (select(keys), select(values))
}

impl Plan {
    /// Whether another layout would be tried if this tensor were not there.
    pub fn decides_layout(&self, name: &str) -> bool {
        let attention = self.family == Family::V1Separate
            && name == "encoder.layer.0.attention.self.query_proj.weight";
        let head = self.head == Head::MaskedLm
            && (name == "cls.predictions.transform.dense.weight"
                || name == "lm_predictions.lm_head.dense.weight");
        attention || head
    }
}
