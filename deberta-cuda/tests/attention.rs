//! The attention kernels against plain loops in `f64`.

mod common;

use common::{Random, bounds, compare, gpu, rounded, sequences, unit, upload};
use deberta_cuda::{
    Attention, Columns, Dtype, Gpu, HeadMixing, PositionTables, ScoreMap, Slots, queries_per_task,
};
use deberta_kernels::RelativePositions;
use deberta_kernels::reference::{self, Head};
use ndarray::{Array2, Axis, concatenate, s};

/// What a case consists of.
#[derive(Debug, Clone)]
struct Case {
    lengths: Vec<usize>,
    heads: usize,
    size: usize,
    relative: Option<RelativePositions>,
    c2p: bool,
    p2c: bool,
    /// Positions with holes.
    holes: bool,
    dtype: Dtype,
    /// The deviation of queries and keys: large ones make sharp attention.
    spread: f32,
}

/// Its operands, rounded to its type.
struct Operands {
    query: Array2<f32>,
    key: Array2<f32>,
    value: Array2<f32>,
    tables: [Option<Array2<f32>>; 2],
    positions: Vec<u32>,
    bounds: Vec<usize>,
    scale: f32,
}

impl Case {
    /// Like v3's, on sequences of these lengths.
    fn new(lengths: &[usize], size: usize, dtype: Dtype) -> Self {
        Self {
            lengths: lengths.to_vec(),
            heads: 2,
            size,
            relative: Some(RelativePositions::new(Some(256), 512).unwrap()),
            c2p: true,
            p2c: true,
            holes: false,
            dtype,
            spread: 1.0,
        }
    }

    fn operands(&self) -> Operands {
        let bounds = bounds(&self.lengths);
        let (tokens, width) = (bounds[bounds.len() - 1], self.heads * self.size);
        let mut random = Random(0x9e37_79b9 + tokens as u64);
        let mut matrix = |rows, spread| rounded(&random.matrix(rows, width, spread), self.dtype);
        let (query, key) = (matrix(tokens, self.spread), matrix(tokens, self.spread));
        let value = matrix(tokens, 1.0);
        let rows = self.relative.map_or(0, |relative| 2 * relative.span());
        let tables = [self.c2p, self.p2c].map(|there| there.then(|| matrix(rows, 1.0)));
        let mut positions = Vec::new();
        for &length in &self.lengths {
            let mut position = if self.holes {
                random.below(3) as u32
            } else {
                0
            };
            for _ in 0..length {
                positions.push(position);
                let gap = match random.below(8) {
                    0 if self.holes => 1 + random.below(40),
                    _ => 0,
                };
                position += 1 + gap as u32;
            }
        }
        let terms = 1 + usize::from(self.c2p) + usize::from(self.p2c);
        Operands {
            query,
            key,
            value,
            tables,
            positions,
            bounds,
            scale: 1.0 / ((self.size * terms) as f32).sqrt(),
        }
    }

    /// Runs something with the operands on the device: queries, keys and values side by side, as a projection gives them.
    fn on_device<R>(
        &self,
        gpu: &Gpu,
        operands: &Operands,
        run: impl FnOnce(&Attention<'_>, &deberta_cuda::Sequences) -> R,
    ) -> R {
        let parts = [&operands.query, &operands.key, &operands.value].map(|part| part.view());
        let all = upload(gpu, &concatenate(Axis(1), &parts).unwrap(), self.dtype);
        let [keys, queries] = [0, 1].map(|index| {
            let table = operands.tables[index].as_ref();
            table.map(|table| upload(gpu, table, self.dtype))
        });
        let tables = PositionTables { keys, queries };
        let slots = self.relative.map(|r| Slots::new(gpu, r).unwrap());
        let positions = self.holes.then_some(&operands.positions[..]);
        let block = queries_per_task(self.dtype, self.size);
        let sequences = sequences(gpu, &operands.bounds, positions, block);
        let width = self.heads * self.size;
        let columns = |part| Columns {
            matrix: &all,
            first: part * width,
        };
        let attention = Attention {
            query: columns(0),
            key: columns(1),
            value: columns(2),
            width,
            heads: self.heads,
            scale: operands.scale,
            relative: slots.as_ref().map(|slots| (&tables, slots)),
        };
        run(&attention, &sequences)
    }

    /// What the oracle says, `[T, H·D]`: of some queries only where there are many.
    fn expected(&self, operands: &Operands, sequence: usize, queries: &[usize]) -> Array2<f64> {
        let tokens = operands.bounds[sequence]..operands.bounds[sequence + 1];
        let mut all = Array2::zeros((queries.len(), self.heads * self.size));
        for head in 0..self.heads {
            let columns = head * self.size..(head + 1) * self.size;
            let part = |of: &Array2<f32>| -> Vec<f32> {
                of.slice(s![tokens.clone(), columns.clone()])
                    .iter()
                    .copied()
                    .collect()
            };
            let table = |index: usize| -> Option<Vec<f32>> {
                let table = operands.tables[index].as_ref();
                table.map(|t| t.slice(s![.., columns.clone()]).iter().copied().collect())
            };
            let (query, key, value) = (
                part(&operands.query),
                part(&operands.key),
                part(&operands.value),
            );
            let (keys, queries_of) = (table(0), table(1));
            let found = reference::attention_of(
                &Head {
                    query: &query,
                    key: &key,
                    value: &value,
                    size: self.size,
                    scale: operands.scale,
                    positions: &operands.positions[tokens.clone()],
                    relative: self.relative,
                    position_keys: keys.as_deref(),
                    position_queries: queries_of.as_deref(),
                },
                queries,
            );
            let found = Array2::from_shape_vec((queries.len(), self.size), found).unwrap();
            all.slice_mut(s![.., columns]).assign(&found);
        }
        all
    }

    /// What rounding may do: to the weights, whose sum with the values averages, and to the result.
    fn bound(&self) -> (f64, f64) {
        match self.dtype {
            Dtype::F32 => (4e-6, 4e-6),
            other => (unit(other), 4.0 * unit(other)),
        }
    }

    fn check(&self, gpu: &Gpu) {
        let operands = self.operands();
        let run = |attention: &Attention<'_>, sequences: &deberta_cuda::Sequences| {
            attention.apply(gpu, sequences).unwrap().to_f32().unwrap()
        };
        let found = self.on_device(gpu, &operands, run);
        let (relative, absolute) = self.bound();
        let mut worst = 0.0_f64;
        for (sequence, &length) in self.lengths.iter().enumerate() {
            // All of a short sequence, and of a long one its ends and what is around the ends of tiles.
            let queries: Vec<usize> = (0..length)
                .filter(|i| length <= 200 || i % 64 < 2 || i % 64 > 61 || i % 37 == 0)
                .collect();
            let expected = self.expected(&operands, sequence, &queries);
            let rows: Vec<usize> = queries
                .iter()
                .map(|i| i + operands.bounds[sequence])
                .collect();
            let found = found.select(Axis(0), &rows);
            let expected: Vec<f64> = expected.iter().copied().collect();
            let what = format!("{self:?}, sequence {sequence}");
            worst = worst.max(compare(&what, found.view(), &expected, relative, absolute));
        }
        println!("{self:?}: {worst:.2} of the bound");
    }
}

#[test]
fn heads_of_every_size_and_type() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        for size in [32, 64, 128] {
            Case::new(&[1, 70, 0, 33], size, dtype).check(&gpu);
        }
        for size in [5, 8, 24, 40, 100] {
            Case::new(&[19, 2], size, dtype).check(&gpu);
        }
    }
}

#[test]
fn lengths_around_the_ends_of_tiles() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        for length in [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 150] {
            Case::new(&[length], 32, dtype).check(&gpu);
        }
    }
}

#[test]
fn far_distances_share_slots() {
    let Some(gpu) = gpu() else { return };
    // Every distance its own slot, slots of many distances, and all far ones one: within one sequence.
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let mut case = Case::new(&[200], 32, dtype);
        case.heads = 1;
        for (buckets, most) in [(Some(16), 40), (Some(64), 512), (None, 20), (None, 150)] {
            case.relative = Some(RelativePositions::new(buckets, most).unwrap());
            case.check(&gpu);
        }
    }
    let mut case = Case::new(&[700], 64, Dtype::F16);
    case.heads = 1;
    case.check(&gpu);
}

#[test]
#[ignore = "takes minutes on the emulator"]
fn thirty_two_thousand_tokens() {
    let Some(gpu) = gpu() else { return };
    let mut case = Case::new(&[32_768], 32, Dtype::Bf16);
    case.heads = 1;
    let operands = case.operands();
    let run = |attention: &Attention<'_>, sequences: &deberta_cuda::Sequences| {
        attention.apply(&gpu, sequences).unwrap().to_f32().unwrap()
    };
    let found = case.on_device(&gpu, &operands, run);
    let queries = [0, 1, 63, 64, 511, 512, 16_383, 20_000, 32_704, 32_767];
    let expected = case.expected(&operands, 0, &queries);
    let expected: Vec<f64> = expected.iter().copied().collect();
    let (relative, absolute) = case.bound();
    let found = found.select(Axis(0), &queries);
    compare("32,768 tokens", found.view(), &expected, relative, absolute);
}

#[test]
fn shared_memory_suffices_on_every_device() {
    // What a block can have at compute capability 8.6 and 8.9, the least of all: 99 KiB.
    for dtype in Dtype::ALL {
        for size in [32, 64, 128] {
            let bytes = deberta_cuda::shared_bytes_per_block(dtype, size);
            assert!(bytes <= 99 << 10, "{dtype}, heads of {size}: {bytes} bytes");
        }
    }
}

#[test]
fn coarse_buckets_skip_slots() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        let mut case = Case::new(&[100, 30], 32, dtype);
        // Distances 11 and 12 are five slots apart.
        case.relative = Some(RelativePositions::new(Some(20), 13).unwrap());
        case.check(&gpu);
        case.relative = Some(RelativePositions::new(Some(160), 100).unwrap());
        case.check(&gpu);
    }
}

#[test]
fn either_term_or_none() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        for (c2p, p2c) in [(true, false), (false, true), (false, false)] {
            let mut case = Case::new(&[80, 3], 32, dtype);
            (case.c2p, case.p2c) = (c2p, p2c);
            case.check(&gpu);
            case.relative = case.relative.filter(|_| c2p || p2c);
            case.holes = true;
            case.check(&gpu);
        }
    }
}

#[test]
fn positions_with_holes() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        for size in [32, 64, 128] {
            let mut case = Case::new(&[90, 1, 20], size, dtype);
            case.holes = true;
            case.check(&gpu);
        }
        let mut case = Case::new(&[21], 7, dtype);
        case.holes = true;
        case.check(&gpu);
    }
}

#[test]
fn sharp_attention() {
    let Some(gpu) = gpu() else { return };
    // Scores of some hundred: the running maximum moves, and all weight is on few keys.
    let mut case = Case::new(&[140], 64, Dtype::F32);
    case.spread = 6.0;
    let operands = case.operands();
    let run = |attention: &Attention<'_>, sequences: &deberta_cuda::Sequences| {
        attention.apply(&gpu, sequences).unwrap().to_f32().unwrap()
    };
    let found = case.on_device(&gpu, &operands, run);
    let all: Vec<usize> = (0..140).collect();
    let expected = case.expected(&operands, 0, &all);
    let expected: Vec<f64> = expected.iter().copied().collect();
    // Scores of this size are known to some 1e-5 in f32, and so are the logarithms of weights.
    compare("sharp", found.view(), &expected, 2e-4, 2e-4);
}

#[test]
fn what_a_token_gets_depends_on_its_own_sequence_alone() {
    let Some(gpu) = gpu() else { return };
    for dtype in Dtype::ALL {
        let together = Case::new(&[70, 33, 5], 64, dtype);
        let operands = together.operands();
        let run = |attention: &Attention<'_>, sequences: &deberta_cuda::Sequences| {
            attention.apply(&gpu, sequences).unwrap().to_f32().unwrap()
        };
        let all = together.on_device(&gpu, &operands, run);
        for (sequence, &length) in together.lengths.iter().enumerate() {
            let tokens = operands.bounds[sequence]..operands.bounds[sequence + 1];
            let part = |of: &Array2<f32>| of.slice(s![tokens.clone(), ..]).to_owned();
            let alone = Operands {
                query: part(&operands.query),
                key: part(&operands.key),
                value: part(&operands.value),
                tables: operands.tables.clone(),
                positions: operands.positions[tokens.clone()].to_vec(),
                bounds: vec![0, length],
                scale: operands.scale,
            };
            let found = together.on_device(&gpu, &alone, run);
            assert_eq!(
                found,
                all.slice(s![tokens, ..]),
                "{dtype}, sequence {sequence}"
            );
        }
    }
}

#[test]
fn every_score_in_memory() {
    let Some(gpu) = gpu() else { return };
    for (dtype, holes) in [
        (Dtype::F32, false),
        (Dtype::F32, true),
        (Dtype::Bf16, false),
    ] {
        let mut case = Case::new(&[70, 0, 9], 24, dtype);
        case.holes = holes;
        let operands = case.operands();
        // Heads that mix with the identity are heads that do not mix.
        let identity = upload(&gpu, &Array2::eye(case.heads), Dtype::F32);
        let again = upload(&gpu, &Array2::eye(case.heads), Dtype::F32);
        let mixing = HeadMixing {
            logits: identity,
            weights: again,
        };
        let run = |attention: &Attention<'_>, sequences: &deberta_cuda::Sequences| {
            let (out, maps) = attention
                .apply_explicitly(&gpu, sequences, Some(&mixing), &[1, 0], true)
                .unwrap();
            (out.to_f32().unwrap(), maps)
        };
        let (found, maps) = case.on_device(&gpu, &operands, run);
        let (relative, absolute) = case.bound();
        for (sequence, &length) in case.lengths.iter().enumerate() {
            let all: Vec<usize> = (0..length).collect();
            let expected = case.expected(&operands, sequence, &all);
            let expected: Vec<f64> = expected.iter().copied().collect();
            let rows = operands.bounds[sequence]..operands.bounds[sequence + 1];
            let found = found.slice(s![rows, ..]);
            compare(&format!("{case:?}"), found, &expected, relative, absolute);
        }
        let order: Vec<(usize, usize)> = maps.iter().map(|m| (m.sequence, m.head)).collect();
        assert_eq!(order, [(0, 1), (0, 0), (1, 1), (1, 0), (2, 1), (2, 0)]);
        maps.iter().for_each(check_map);
    }
}

/// The terms give the probabilities.
fn check_map(map: &ScoreMap) {
    let terms = map.terms.as_ref().unwrap();
    let length = map.probabilities.nrows();
    for i in 0..length {
        let score = |j: usize| -> f64 {
            let of_term = |term: &Option<Array2<f32>>| f64::from(term.as_ref().unwrap()[[i, j]]);
            terms.iter().map(of_term).sum()
        };
        let expected = reference::softmax(&(0..length).map(score).collect::<Vec<_>>());
        let row = map.probabilities.row(i);
        compare("map", row.insert_axis(Axis(0)), &expected, 1e-5, 1e-6);
    }
}

#[test]
fn operands_that_do_not_fit_are_errors() {
    let Some(gpu) = gpu() else { return };
    let case = Case::new(&[9], 32, Dtype::F32);
    let operands = case.operands();
    case.on_device(&gpu, &operands, |attention, sequences| {
        let heads = Attention {
            heads: 3,
            ..*attention
        };
        assert!(
            heads.apply(&gpu, sequences).is_err(),
            "64 numbers in 3 heads"
        );
        let width = Attention {
            width: 96,
            ..*attention
        };
        assert!(
            width.apply(&gpu, sequences).is_err(),
            "columns beyond the last"
        );
        let other = upload(&gpu, &Array2::zeros((8, 192)), Dtype::F32);
        let query = Columns {
            matrix: &other,
            first: 0,
        };
        let rows = Attention {
            query,
            ..*attention
        };
        assert!(rows.apply(&gpu, sequences).is_err(), "a row too few");
        let other = upload(&gpu, &Array2::zeros((9, 192)), Dtype::F16);
        let key = Columns {
            matrix: &other,
            first: 0,
        };
        let dtype = Attention { key, ..*attention };
        assert!(dtype.apply(&gpu, sequences).is_err(), "another type");
        let slots = Slots::new(&gpu, RelativePositions::new(None, 5).unwrap()).unwrap();
        let tables = attention.relative.unwrap().0;
        let relative = Attention {
            relative: Some((tables, &slots)),
            ..*attention
        };
        assert!(
            relative.apply(&gpu, sequences).is_err(),
            "tables of other positions"
        );
    });
}
