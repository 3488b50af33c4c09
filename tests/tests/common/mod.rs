//! What the tests of models share: fixtures and their files, comparison within bounds, models with something changed.
//!
//! Fixtures are folders below `tests/fixtures/models`, written by `tests/reference/make_parity_fixtures.py`.

#![allow(dead_code, unreachable_pub)] // each test program includes all of it and uses a part

pub mod arrays;
pub mod bounds;
pub mod copy;

use arrays::Arrays;
use bounds::Tolerance;
use deberta_core::{Batch, Device, HeadKind, LoadOptions, Model};
use deberta_tests::fixture;
use ndarray::{Array2, Array3, Axis, s};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// How models are loaded: on the device that `DEBERTA_DEVICE` names, the processor where it names none.
pub fn options() -> LoadOptions {
    let device = std::env::var("DEBERTA_DEVICE").map_or(Device::Cpu, |name| name.parse().unwrap());
    LoadOptions::default().device(device)
}

/// One line of `cases.json`.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    head: String,
    outputs: Vec<String>,
    #[serde(default)]
    pub observed: bool,
    #[serde(default)]
    pub pooled: bool,
}

impl Case {
    pub fn folder(&self) -> PathBuf {
        fixture("models").join(&self.name)
    }

    pub fn kind(&self) -> HeadKind {
        match self.head.as_str() {
            "base" => HeadKind::Base,
            "sequence" => HeadKind::SequenceClassification,
            "token" => HeadKind::TokenClassification,
            "question" => HeadKind::QuestionAnswering,
            "choice" => HeadKind::MultipleChoice,
            "masked" => HeadKind::MaskedLm,
            "replaced" => HeadKind::ReplacedTokenDetection,
            other => panic!("unknown head {other}"),
        }
    }

    pub fn has(&self, output: &str) -> bool {
        self.outputs.iter().any(|name| name == output)
    }

    pub fn input(&self) -> Input {
        Input::read(&self.folder())
    }

    pub fn expected(&self) -> Arrays {
        Arrays::read(&self.folder().join("expected.safetensors"))
    }

    pub fn observations(&self) -> Arrays {
        Arrays::read(&self.folder().join("observed.safetensors"))
    }

    pub fn tolerance(&self) -> Tolerance {
        let text = std::fs::read_to_string(self.folder().join("tolerance.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[track_caller]
    pub fn load(&self) -> Model {
        self.load_with(options())
    }

    #[track_caller]
    pub fn load_with(&self, options: LoadOptions) -> Model {
        Model::load(self.folder(), options).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

/// Every fixture.
pub fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Cases {
        cases: Vec<Case>,
    }
    let text = std::fs::read_to_string(fixture("models").join("cases.json")).unwrap();
    serde_json::from_str::<Cases>(&text).unwrap().cases
}

/// The fixture of this name.
#[track_caller]
pub fn case(name: &str) -> Case {
    let found = cases().into_iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("no fixture {name}"))
}

/// What a model is given, `[B, L]`; the choices of multiple choice are sequences of their own.
pub struct Input {
    pub ids: Array2<i64>,
    pub mask: Option<Array2<i64>>,
    pub types: Option<Array2<i64>>,
    /// Sequences that belong together: choices, or 1.
    pub choices: usize,
}

impl Input {
    pub fn read(folder: &Path) -> Self {
        let arrays = Arrays::read(&folder.join("input.safetensors"));
        let shape = arrays.shape("input_ids");
        Self {
            ids: arrays.ids("input_ids").expect("input_ids"),
            mask: arrays.ids("attention_mask"),
            types: arrays.ids("token_type_ids"),
            choices: if shape.len() == 3 { shape[1] } else { 1 },
        }
    }

    pub fn is_real(&self, row: usize, column: usize) -> bool {
        self.mask
            .as_ref()
            .is_none_or(|mask| mask[(row, column)] == 1)
    }

    /// The columns of a row's real tokens.
    pub fn real(&self, row: usize) -> Vec<usize> {
        (0..self.ids.ncols())
            .filter(|&column| self.is_real(row, column))
            .collect()
    }

    pub fn batch(&self) -> Batch {
        let (mask, types) = (self.mask.as_ref(), self.types.as_ref());
        Batch::from_padded(
            self.ids.view(),
            mask.map(|m| m.view()),
            types.map(|t| t.view()),
        )
        .unwrap()
    }

    /// One sequence of the batch.
    pub fn row(&self, row: usize) -> Batch {
        let one = |array: &Array2<i64>| array.slice(s![row..row + 1, ..]).to_owned();
        let part = Self {
            ids: one(&self.ids),
            mask: self.mask.as_ref().map(one),
            types: self.types.as_ref().map(one),
            choices: 1,
        };
        part.batch()
    }

    /// The rows of `[B, L, N]` that belong to real tokens, in packed order.
    pub fn real_rows(&self, padded: &Array3<f32>) -> Array2<f32> {
        let mut rows = Array2::zeros((0, padded.dim().2));
        for row in 0..padded.dim().0 {
            for column in self.real(row) {
                rows.push_row(padded.slice(s![row, column, ..])).unwrap();
            }
        }
        rows
    }

    /// The square of `[B, H, L, L]` that one head's real tokens share.
    pub fn real_square(
        &self,
        padded: &ndarray::Array4<f32>,
        row: usize,
        head: usize,
    ) -> Array2<f32> {
        let real = self.real(row);
        let square = padded
            .index_axis(Axis(0), row)
            .index_axis_move(Axis(0), head);
        square.select(Axis(0), &real).select(Axis(1), &real)
    }
}
