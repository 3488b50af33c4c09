//! Tensors by name.

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;

/// An array in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Vec<f32>,
}

/// The tensors of a model, by their canonical names: without prefix, `LayerNorm.weight` and `LayerNorm.bias`.
#[derive(Debug, Clone, Default)]
pub struct Tensors(pub BTreeMap<String, Tensor>);

/// Exactly one tensor of a file is called so; what precedes is the encoder's prefix.
const ANCHOR: &str = "embeddings.word_embeddings.weight";

impl Tensors {
    /// Reads all `model*.safetensors` of a folder.
    ///
    /// # Panics
    /// Where they cannot be read.
    pub fn read(folder: &Path) -> Self {
        let mut stored = BTreeMap::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("model") && name.ends_with(".safetensors") {
                let bytes = std::fs::read(&path).expect("readable");
                let file = SafeTensors::deserialize(&bytes).expect("safetensors");
                for (name, view) in file.iter() {
                    let shape = view.shape().to_vec();
                    // Integer tensors are buffers, no weights.
                    if let Some(values) = floats(view.dtype(), view.data()) {
                        stored.insert(name.to_owned(), Tensor { shape, values });
                    }
                }
            }
        }
        let anchors = stored.keys().filter_map(|name| name.strip_suffix(ANCHOR));
        let prefix = anchors.min_by_key(|p| p.len()).expect(ANCHOR).to_owned();
        let canonical = |name: String| {
            let name = name.strip_prefix(&prefix).unwrap_or(&name);
            name.replace("LayerNorm.gamma", "LayerNorm.weight")
                .replace("LayerNorm.beta", "LayerNorm.bias")
        };
        Self(stored.into_iter().map(|(n, t)| (canonical(n), t)).collect())
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values of a tensor.
    ///
    /// # Panics
    /// Where there is none of this name.
    pub fn vector(&self, name: &str) -> Vec<f32> {
        self.tensor(name).values.clone()
    }

    /// The rows of a matrix; of a tensor of more dimensions, its slices.
    ///
    /// # Panics
    /// Where there is none of this name.
    pub fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let tensor = self.tensor(name);
        let width = tensor.shape[1..].iter().product();
        tensor.values.chunks(width).map(<[f32]>::to_vec).collect()
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("no tensor {name}"))
    }
}

fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks().0.iter();
    Some(match dtype {
        Dtype::F32 => {
            let words = bytes.as_chunks().0.iter();
            words.map(|&b| f32::from_le_bytes(b)).collect()
        }
        Dtype::F16 => halves().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => halves().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}
