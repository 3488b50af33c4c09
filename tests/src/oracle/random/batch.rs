//! Random batches.

use super::plan::Plan;
use crate::oracle::Sequence;
use crate::oracle::heads::Head;
use proptest::prelude::*;

/// The length of the longest sequence.
pub const LONGEST: usize = 80;

/// Padded rows `[B][L]`, as Python passes them.
#[derive(Debug, Clone)]
pub struct Padded {
    /// Token ids; on masked places, any number.
    pub ids: Vec<Vec<i64>>,
    /// 1 for a real token.
    pub mask: Vec<Vec<i64>>,
    /// Token types.
    pub types: Vec<Vec<i64>>,
}

impl Padded {
    /// The real tokens of every row.
    pub fn sequences(&self) -> Vec<Sequence> {
        let sequence = |row: usize| {
            let real = (0..self.mask[row].len()).filter(|&p| self.mask[row][p] == 1);
            let mut sequence = Sequence::default();
            for position in real {
                sequence.ids.push(self.ids[row][position] as u32);
                sequence.types.push(self.types[row][position] as u32);
                sequence.positions.push(position as u32);
            }
            sequence
        };
        (0..self.ids.len()).map(sequence).collect()
    }
}

/// What a place of a row is.
type Place = (prop::sample::Index, prop::sample::Index, bool);

/// One to four rows for a model: lengths up to [`LONGEST`], in half of the rows with holes.
pub(super) fn padded(plan: &Plan) -> impl Strategy<Value = Padded> + use<> {
    let (words, types) = (plan.input.words, plan.input.types);
    // Pooling and detection need the first token.
    let needs_first = !matches!(
        plan.head,
        Head::Base | Head::TokenClassification | Head::QuestionAnswering | Head::MaskedLm
    );
    let length = prop_oneof![1..=20usize, 1..=LONGEST];
    let place = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::bool::weighted(0.85),
    );
    let row = (length, any::<bool>(), prop::bool::weighted(0.9)).prop_flat_map(
        move |(length, holes, first)| {
            let places = prop::collection::vec(place.clone(), length);
            (places, Just(holes), Just(first || needs_first))
        },
    );
    prop::collection::vec(row, 1..=4).prop_map(move |rows| {
        let longest = rows.iter().map(|(places, ..)| places.len()).max();
        let pad = |mut row: Vec<i64>| {
            row.resize(longest.unwrap_or(0), 0);
            row
        };
        let (mut ids, mut mask, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for (places, holes, first) in rows {
            let id = |(id, ..): &Place| id.index(words) as i64;
            // Without a table, types mean nothing: any number will do.
            let kind =
                |(_, kind, _): &Place| kind.index(types.max(1) + usize::from(types == 0)) as i64;
            let is_real = |(p, (.., real)): (usize, &Place)| {
                let real = if p == 0 { first } else { *real || !holes };
                i64::from(real)
            };
            ids.push(pad(places.iter().map(id).collect()));
            kinds.push(pad(places.iter().map(kind).collect()));
            mask.push(pad(places.iter().enumerate().map(is_real).collect()));
        }
        let types = kinds;
        Padded { ids, mask, types }
    })
}
