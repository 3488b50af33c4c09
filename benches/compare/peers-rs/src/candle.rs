//! A safetensors file in candle.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::debertav2::{Config, DebertaV2Model};

use crate::{Input, Output, Result, System};

pub(crate) struct Loaded {
    model: DebertaV2Model,
    ids: Tensor,
    mask: Tensor,
}

impl Loaded {
    pub(crate) fn new(file: &Path, input: &Input) -> Result<Self> {
        let config: Config =
            serde_json::from_slice(&std::fs::read(file.with_file_name("config.json"))?)?;
        // SAFETY: the file is not changed while this process, which ends soon, has it mapped.
        let weights =
            unsafe { VarBuilder::from_mmaped_safetensors(&[file], DType::F32, &Device::Cpu)? };
        let shape = (input.batch, input.length);
        Ok(Self {
            model: DebertaV2Model::load(weights, &config)?,
            ids: Tensor::from_slice(&input.ids, shape, &Device::Cpu)?,
            mask: Tensor::from_slice(&input.mask, shape, &Device::Cpu)?,
        })
    }

    fn forward(&self) -> Result<Tensor> {
        Ok(self
            .model
            .forward(&self.ids, None, Some(self.mask.clone()))?)
    }
}

impl System for Loaded {
    fn run(&self) -> Result<()> {
        self.forward().map(drop)
    }

    fn output(&self) -> Result<Output> {
        let output = self.forward()?;
        Ok(Output {
            shape: output.dims3()?.into(),
            values: output.flatten_all()?.to_vec1()?,
        })
    }
}
