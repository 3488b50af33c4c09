//! An ONNX file in rten.

use std::path::Path;

use rten::{Model, ModelOptions, NodeId};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

use crate::{Input, Output, Result, System};

pub(crate) struct Loaded {
    model: Model,
    ids: (NodeId, NdTensor<i32, 2>),
    mask: (NodeId, NdTensor<i32, 2>),
    output: NodeId,
}

impl Loaded {
    pub(crate) fn new(file: &Path, input: &Input) -> Result<Self> {
        let model = ModelOptions::with_all_ops()
            .prepack_weights(true)
            .load_file(file)?;
        let narrow = |numbers: &[i64]| -> Result<NdTensor<i32, 2>> {
            let numbers: std::result::Result<Vec<i32>, _> = numbers
                .iter()
                .map(|&number| i32::try_from(number))
                .collect();
            Ok(NdTensor::from_data([input.batch, input.length], numbers?))
        };
        Ok(Self {
            ids: (model.node_id("input_ids")?, narrow(&input.ids)?),
            mask: (model.node_id("attention_mask")?, narrow(&input.mask)?),
            output: model.node_id("last_hidden_state")?,
            model,
        })
    }

    fn forward(&self) -> Result<NdTensor<f32, 3>> {
        let inputs = vec![
            (self.ids.0, self.ids.1.view().into()),
            (self.mask.0, self.mask.1.view().into()),
        ];
        let [output] = self.model.run_n(inputs, [self.output], None)?;
        Ok(output.try_into()?)
    }
}

impl System for Loaded {
    fn run(&self) -> Result<()> {
        self.forward().map(drop)
    }

    fn output(&self) -> Result<Output> {
        let output = self.forward()?;
        Ok(Output {
            shape: output.shape(),
            values: output.to_vec(),
        })
    }
}
