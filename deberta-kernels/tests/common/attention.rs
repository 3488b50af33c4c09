//! Cases of disentangled attention, and what they give: the kernel's result and that of plain loops.

use super::Random;
use deberta_kernels::{
    Attention, Isa, PositionTables, Precision, RelativePositions, SlotTable,
    disentangled_attention, reference,
};
use ndarray::{Array2, s};

/// A case: heads, head size, buckets, max positions, which terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) heads: usize,
    pub(crate) size: usize,
    pub(crate) buckets: Option<usize>,
    pub(crate) max_positions: usize,
    pub(crate) c2p: bool,
    pub(crate) p2c: bool,
}

pub(crate) const CASES: [Case; 8] = [
    Case {
        heads: 2,
        size: 64,
        buckets: Some(256),
        max_positions: 512,
        c2p: true,
        p2c: true,
    },
    Case {
        heads: 3,
        size: 32,
        buckets: Some(16),
        max_positions: 64,
        c2p: true,
        p2c: true,
    },
    Case {
        heads: 1,
        size: 8,
        buckets: Some(16),
        max_positions: 64,
        c2p: true,
        p2c: false,
    },
    Case {
        heads: 2,
        size: 24,
        buckets: Some(32),
        max_positions: 100,
        c2p: false,
        p2c: true,
    },
    Case {
        heads: 1,
        size: 17,
        buckets: None,
        max_positions: 24,
        c2p: true,
        p2c: true,
    },
    Case {
        heads: 2,
        size: 1,
        buckets: None,
        max_positions: 512,
        c2p: true,
        p2c: true,
    },
    Case {
        heads: 2,
        size: 128,
        buckets: None,
        max_positions: 8,
        c2p: false,
        p2c: false,
    },
    // Slots that jump: the logarithm grows faster than the distance.
    Case {
        heads: 1,
        size: 16,
        buckets: Some(40),
        max_positions: 26,
        c2p: true,
        p2c: true,
    },
];

pub(crate) struct Operands {
    pub(crate) query: Array2<f32>,
    pub(crate) key: Array2<f32>,
    pub(crate) value: Array2<f32>,
    pub(crate) position_keys: Array2<f32>,
    pub(crate) position_queries: Array2<f32>,
}

impl Operands {
    pub(crate) fn new(case: Case, tokens: usize, seed: u64) -> Self {
        let width = case.heads * case.size;
        let slots = 2 * RelativePositions::new(case.buckets, case.max_positions)
            .unwrap()
            .span();
        let mut random = Random::new(seed);
        let mut matrix = |rows| {
            Array2::from_shape_vec((rows, width), random.normals(rows * width, 1.0)).unwrap()
        };
        Self {
            query: matrix(tokens),
            key: matrix(tokens),
            value: matrix(tokens),
            position_keys: matrix(slots),
            position_queries: matrix(slots),
        }
    }

    /// The kernel's result in single precision.
    pub(crate) fn run(
        &self,
        isa: Isa,
        case: Case,
        bounds: &[usize],
        positions: Option<&[u32]>,
    ) -> Array2<f32> {
        self.run_in(Precision::F32, isa, case, bounds, positions)
    }

    /// The kernel's result.
    pub(crate) fn run_in(
        &self,
        precision: Precision,
        isa: Isa,
        case: Case,
        bounds: &[usize],
        positions: Option<&[u32]>,
    ) -> Array2<f32> {
        let relative = RelativePositions::new(case.buckets, case.max_positions).unwrap();
        let tables = PositionTables::with_precision(
            isa,
            precision,
            case.c2p.then(|| self.position_keys.view()),
            case.p2c.then(|| self.position_queries.view()),
            case.heads,
        )
        .unwrap();
        let slots = SlotTable::new(relative, self.query.nrows().max(2000));
        let mut out = Array2::from_elem(self.query.raw_dim(), f32::NAN);
        let attention = Attention {
            query: self.query.view(),
            key: self.key.view(),
            value: self.value.view(),
            heads: case.heads,
            scale: scale(case),
            precision,
            bounds,
            positions,
            relative: Some((&tables, &slots)),
        };
        disentangled_attention(isa, &attention, out.view_mut()).unwrap();
        out
    }

    /// The result of plain loops in `f64`.
    pub(crate) fn expected(&self, case: Case, bounds: &[usize], positions: &[u32]) -> Vec<f64> {
        let width = case.heads * case.size;
        let mut out = vec![f64::NAN; self.query.nrows() * width];
        for pair in bounds.windows(2) {
            for head in 0..case.heads {
                let columns = head * case.size..(head + 1) * case.size;
                let of = |matrix: &Array2<f32>, rows: std::ops::Range<usize>| -> Vec<f32> {
                    matrix
                        .slice(s![rows, columns.clone()])
                        .iter()
                        .copied()
                        .collect()
                };
                let sequence = pair[0]..pair[1];
                let slots = 0..self.position_keys.nrows();
                let result = reference::attention(&reference::Head {
                    query: &of(&self.query, sequence.clone()),
                    key: &of(&self.key, sequence.clone()),
                    value: &of(&self.value, sequence.clone()),
                    size: case.size,
                    scale: scale(case),
                    positions: &positions[sequence.clone()],
                    relative: RelativePositions::new(case.buckets, case.max_positions).ok(),
                    position_keys: case.c2p.then_some(&of(&self.position_keys, slots.clone())),
                    position_queries: case.p2c.then_some(&of(&self.position_queries, slots)),
                });
                for (t, row) in sequence.zip(result.chunks(case.size)) {
                    out[t * width + columns.start..][..case.size].copy_from_slice(row);
                }
            }
        }
        out
    }
}

pub(crate) fn scale(case: Case) -> f32 {
    let terms = 1 + usize::from(case.c2p) + usize::from(case.p2c);
    1.0 / ((case.size * terms) as f32).sqrt()
}

pub(crate) fn bounds(lengths: &[usize]) -> Vec<usize> {
    let mut bounds = vec![0];
    for length in lengths {
        bounds.push(bounds[bounds.len() - 1] + length);
    }
    bounds
}

pub(crate) fn consecutive(bounds: &[usize]) -> Vec<u32> {
    bounds
        .windows(2)
        .flat_map(|pair| 0..(pair[1] - pair[0]) as u32)
        .collect()
}
