//! Attention with every score in memory against plain loops in `f64`, under every instruction set: mixed heads, and
//! what is shown of probabilities and terms.

mod common;

use common::{Random, assert_close, isas, pool};
use deberta_kernels::{
    Attention, AttentionMap, HeadMixing, Isa, KernelError, Observation, PositionTables, Precision,
    RelativePositions, SlotTable, disentangled_attention, explicit_attention, reference,
};
use ndarray::{Array2, array};

const HEADS: usize = 3;
const SIZE: usize = 16;
const BOUNDS: [usize; 4] = [0, 1, 1, 151];
const SCALE: f32 = 0.2;

struct Operands {
    query: Array2<f32>,
    key: Array2<f32>,
    value: Array2<f32>,
    position_keys: Array2<f32>,
    position_queries: Array2<f32>,
    positions: Option<Vec<u32>>,
    mixing: [Array2<f32>; 2],
}

fn relative() -> RelativePositions {
    RelativePositions::new(Some(16), 64).unwrap()
}

impl Operands {
    fn new(holes: bool) -> Self {
        let mut random = Random::new(3);
        let mut matrix = |rows, columns| {
            Array2::from_shape_vec((rows, columns), random.normals(rows * columns, 1.0)).unwrap()
        };
        let (tokens, width) = (BOUNDS[3], HEADS * SIZE);
        let position = |t: usize| {
            let i = if t == 0 { 0 } else { t - 1 };
            (i + i / 7) as u32
        };
        Self {
            query: matrix(tokens, width),
            key: matrix(tokens, width),
            value: matrix(tokens, width),
            position_keys: matrix(32, width),
            position_queries: matrix(32, width),
            positions: holes.then(|| (0..tokens).map(position).collect()),
            mixing: [matrix(HEADS, HEADS), matrix(HEADS, HEADS)],
        }
    }

    fn run(
        &self,
        isa: Isa,
        mixed: bool,
        heads: &[usize],
    ) -> Result<(Array2<f32>, Vec<AttentionMap>), KernelError> {
        self.with(isa, |attention| {
            let [logits, weights] = self.mixing.clone();
            let mixing = HeadMixing::new(logits, weights)?;
            let show = Observation { heads, terms: true };
            let mut out = Array2::from_elem(self.query.raw_dim(), f32::NAN);
            let mixing = mixed.then_some(&mixing);
            let maps = explicit_attention(isa, attention, mixing, show, out.view_mut())?;
            Ok((out, maps))
        })
    }

    fn with<R>(&self, isa: Isa, run: impl FnOnce(&Attention<'_>) -> R) -> R {
        let (keys, queries) = (self.position_keys.view(), self.position_queries.view());
        let tables = PositionTables::new(isa, Some(keys), Some(queries), HEADS).unwrap();
        let slots = SlotTable::new(relative(), 200);
        run(&Attention {
            query: self.query.view(),
            key: self.key.view(),
            value: self.value.view(),
            heads: HEADS,
            scale: SCALE,
            precision: Precision::F32,
            bounds: &BOUNDS,
            positions: self.positions.as_deref(),
            relative: Some((&tables, &slots)),
        })
    }

    /// A term of the score of tokens `i` and `j` of the packed batch, by its number.
    fn term(&self, head: usize, i: usize, j: usize, term: usize) -> f64 {
        let dot = |a: &Array2<f32>, i: usize, b: &Array2<f32>, j: usize| -> f64 {
            let columns = head * SIZE..(head + 1) * SIZE;
            columns
                .map(|c| f64::from(a[(i, c)]) * f64::from(b[(j, c)]))
                .sum()
        };
        let place = |t: usize| {
            self.positions
                .as_ref()
                .map_or(t as i64, |p| i64::from(p[t]))
        };
        let slot = relative().slot(place(i) - place(j));
        f64::from(SCALE)
            * match term {
                0 => dot(&self.query, i, &self.key, j),
                1 => dot(&self.query, i, &self.position_keys, slot),
                _ => dot(&self.key, j, &self.position_queries, slot),
            }
    }

    /// Probabilities `[H][i][j]` of the last sequence, and its outputs.
    fn expected(&self, mixed: bool) -> (Vec<Vec<Vec<f64>>>, Vec<f64>) {
        let tokens = BOUNDS[2]..BOUNDS[3];
        let mix = |matrix: &Array2<f32>, planes: Vec<Vec<Vec<f64>>>| {
            let sum = |g: usize, i: usize, j: usize| -> f64 {
                let heads = 0..HEADS;
                heads
                    .map(|h| f64::from(matrix[(g, h)]) * planes[h][i][j])
                    .sum()
            };
            let rows = |g| (0..tokens.len()).map(move |i| (g, i));
            (0..HEADS)
                .map(|g| {
                    let row = |(g, i)| (0..tokens.len()).map(|j| sum(g, i, j)).collect();
                    rows(g).map(row).collect()
                })
                .collect()
        };
        let score = |h, i, j| (0..3).map(|term| self.term(h, i, j, term)).sum::<f64>();
        let mut planes: Vec<Vec<Vec<f64>>> = (0..HEADS)
            .map(|h| {
                let row = |i| tokens.clone().map(|j| score(h, i, j)).collect();
                tokens.clone().map(row).collect()
            })
            .collect();
        if mixed {
            planes = mix(&self.mixing[0], planes);
        }
        for row in planes.iter_mut().flatten() {
            *row = reference::softmax(row);
        }
        if mixed {
            planes = mix(&self.mixing[1], planes);
        }
        let place = |i| (0..HEADS * SIZE).map(move |column| (i, column));
        let out = (0..tokens.len()).flat_map(place).map(|(i, column)| {
            let weights = planes[column / SIZE][i].iter().zip(tokens.clone());
            weights
                .map(|(w, j)| w * f64::from(self.value[(j, column)]))
                .sum()
        });
        let out = out.collect();
        (planes, out)
    }
}

#[test]
fn outputs_probabilities_and_terms_equal_the_oracle() {
    let shown = [2, 0];
    for holes in [false, true] {
        let operands = Operands::new(holes);
        for mixed in [false, true] {
            let (planes, expected) = operands.expected(mixed);
            for isa in isas() {
                let what = format!("{} mixed={mixed} holes={holes}", isa.name());
                let (out, maps) = operands.run(isa, mixed, &shown).unwrap();
                let rows = out.iter().copied().skip(BOUNDS[2] * HEADS * SIZE);
                assert_close(rows, &expected, 2e-5, &what);
                let order: Vec<_> = maps.iter().map(|m| (m.sequence, m.head)).collect();
                assert_eq!(
                    order,
                    [(0, 2), (0, 0), (1, 2), (1, 0), (2, 2), (2, 0)],
                    "{what}"
                );
                assert_eq!(
                    maps[2].probabilities.dim(),
                    (0, 0),
                    "{what}: an empty sequence"
                );
                for map in &maps[4..] {
                    let found = map.probabilities.iter().copied();
                    assert_close(found, &planes[map.head].concat(), 1e-5, &what);
                    let terms = map.terms.as_ref().unwrap();
                    let terms = [
                        Some(&terms.content_content),
                        terms.content_position.as_ref(),
                        terms.position_content.as_ref(),
                    ];
                    for (number, term) in terms.into_iter().enumerate() {
                        let tokens = BOUNDS[2]..BOUNDS[3];
                        let expected: Vec<f64> = tokens
                            .clone()
                            .flat_map(|i| tokens.clone().map(move |j| (i, j)))
                            .map(|(i, j)| operands.term(map.head, i, j, number))
                            .collect();
                        let found = term.unwrap().iter().copied();
                        assert_close(found, &expected, 1e-5, &format!("{what} term {number}"));
                    }
                }
            }
        }
    }
}

#[test]
fn without_mixing_it_is_the_streaming_kernel() {
    let operands = Operands::new(false);
    for isa in isas() {
        let (explicit, maps) = operands.run(isa, false, &[]).unwrap();
        assert!(maps.is_empty());
        let mut streamed = Array2::zeros(operands.query.raw_dim());
        operands
            .with(isa, |attention| {
                disentangled_attention(isa, attention, streamed.view_mut())
            })
            .unwrap();
        let streamed: Vec<f64> = streamed.iter().map(|&x| f64::from(x)).collect();
        assert_close(explicit, &streamed, 5e-6, isa.name());
    }
}

#[test]
fn threads_change_nothing() {
    let operands = Operands::new(true);
    for isa in isas() {
        let one = pool(1).install(|| operands.run(isa, true, &[1]).unwrap());
        let many = pool(5).install(|| operands.run(isa, true, &[1]).unwrap());
        assert_eq!(one, many, "{}", isa.name());
    }
}

#[test]
fn bad_arguments_are_errors() {
    let mut operands = Operands::new(false);
    let isa = isas()[0];
    assert!(operands.run(isa, true, &[2]).is_ok());
    let error = operands.run(isa, true, &[3]).unwrap_err();
    assert!(
        matches!(error, KernelError::Parameter { found: 3, .. }),
        "{error}"
    );
    operands.mixing = [array![[1.0, 0.0]], array![[1.0]]];
    assert!(operands.run(isa, true, &[]).is_err(), "not square");
    operands.mixing = [array![[1.0]], array![[1.0]]];
    assert!(
        operands.run(isa, true, &[]).is_err(),
        "another number of heads"
    );
    assert!(operands.run(isa, false, &[]).is_ok());
}
