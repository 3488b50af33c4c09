//! The arrays of one safetensors file.

use ndarray::{Array2, Array3, Array4};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::path::Path;

/// A file.
pub struct Arrays(Vec<u8>);

impl Arrays {
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        Self(std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    fn view(&self, name: &str) -> Option<TensorView<'_>> {
        SafeTensors::deserialize(&self.0).unwrap().tensor(name).ok()
    }

    pub fn has(&self, name: &str) -> bool {
        self.view(name).is_some()
    }

    #[track_caller]
    pub fn shape(&self, name: &str) -> Vec<usize> {
        let view = self.view(name);
        view.unwrap_or_else(|| panic!("no {name}")).shape().to_vec()
    }

    /// Integers, all but the last dimension as one.
    pub fn ids(&self, name: &str) -> Option<Array2<i64>> {
        let view = self.view(name)?;
        let bytes = view.data().as_chunks().0.iter();
        let values: Vec<i64> = bytes.map(|&b| i64::from_le_bytes(b)).collect();
        let length = *view.shape().last().unwrap();
        Some(Array2::from_shape_vec((values.len() / length, length), values).unwrap())
    }

    #[track_caller]
    fn values(&self, name: &str) -> Vec<f32> {
        let view = self.view(name).unwrap_or_else(|| panic!("no {name}"));
        let bytes = view.data().as_chunks().0.iter();
        bytes.map(|&b| f32::from_le_bytes(b)).collect()
    }

    /// Numbers of any dimensions as `[first, second, rest]`.
    #[track_caller]
    pub fn floats(&self, name: &str) -> Array3<f32> {
        let shape = self.shape(name);
        let second = shape.get(1).copied().unwrap_or(1);
        let rest = shape.iter().skip(2).product();
        Array3::from_shape_vec((shape[0], second, rest), self.values(name)).unwrap()
    }

    /// Numbers in two dimensions.
    #[track_caller]
    pub fn matrix(&self, name: &str) -> Array2<f32> {
        let shape = self.shape(name);
        Array2::from_shape_vec((shape[0], shape[1]), self.values(name)).unwrap()
    }

    /// Numbers in four dimensions.
    #[track_caller]
    pub fn maps(&self, name: &str) -> Array4<f32> {
        let shape = self.shape(name);
        let shape = (shape[0], shape[1], shape[2], shape[3]);
        Array4::from_shape_vec(shape, self.values(name)).unwrap()
    }
}
