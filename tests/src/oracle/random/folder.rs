//! A random model as files.

use super::plan::{Plan, Stored};
use crate::oracle::tensors::Tensors;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::path::Path;

impl Plan {
    /// The name that a tensor has in the file.
    pub fn stored_name(&self, canonical: &str) -> String {
        let name = match self.style.gamma_beta {
            true => canonical
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta"),
            false => canonical.to_owned(),
        };
        if canonical.starts_with("embeddings.") || canonical.starts_with("encoder.") {
            format!("{}{name}", self.style.prefix)
        } else if self.style.prefix == "module.deberta." {
            // A wrapper around the whole model precedes its head, too.
            format!("module.{name}")
        } else {
            name
        }
    }

    /// Writes `config.json` and `model.safetensors`.
    ///
    /// # Panics
    /// Where a file cannot be written.
    pub fn write(&self, folder: &Path, config: &Value, tensors: &Tensors) {
        std::fs::write(folder.join("config.json"), config.to_string()).expect("writable");
        let dtype = match self.style.stored {
            Stored::F32 => Dtype::F32,
            Stored::F16 => Dtype::F16,
            Stored::Bf16 => Dtype::BF16,
        };
        let arrays = tensors.0.iter().map(|(name, tensor)| {
            let bytes = self.style.stored.bytes(&tensor.values);
            (self.stored_name(name), tensor.shape.clone(), bytes)
        });
        let arrays: Vec<_> = arrays.collect();
        let views = arrays.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(dtype, shape.clone(), bytes).expect("as many values");
            (name.as_str(), view)
        });
        let file = safetensors::serialize(views, None).expect("safetensors");
        std::fs::write(folder.join("model.safetensors"), file).expect("writable");
    }
}

impl Stored {
    fn bytes(self, values: &[f32]) -> Vec<u8> {
        let values = values.iter();
        match self {
            Self::F32 => values.flat_map(|v| v.to_le_bytes()).collect(),
            Self::F16 => values
                .flat_map(|&v| f16::from_f32(v).to_le_bytes())
                .collect(),
            Self::Bf16 => values
                .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
                .collect(),
        }
    }
}
