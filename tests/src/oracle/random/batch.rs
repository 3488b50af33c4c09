//! Random batches.

use super::plan::Plan;
use crate::oracle::Sequence;
use crate::oracle::heads::Head;
use proptest::collection::vec as vec_of;
use proptest::prelude::*;
use proptest::sample::{Index, select};

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

/// Which tokens of a row are real.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// All.
    Whole,
    /// The first, and most of the others.
    Holes,
    /// Not the first, and most of the others.
    Late,
    /// None.
    Empty,
}

/// What stands at a place of a row: an id, a type, and whether a row with holes has it.
type Place = (Index, Index, bool);

/// One to four rows for a model: lengths up to [`LONGEST`], in half of the rows with holes.
pub(super) fn padded(plan: &Plan) -> impl Strategy<Value = Padded> + use<> {
    let words = plan.input.words;
    // Without a table, types mean nothing: any number will do.
    let types = if plan.input.types == 0 {
        9
    } else {
        plan.input.types
    };
    let shapes = match plan.head {
        Head::SequenceClassification | Head::MultipleChoice | Head::ReplacedTokenDetection => {
            // These read the first token.
            vec![Shape::Whole, Shape::Holes]
        }
        _ => {
            let usual = [Shape::Whole, Shape::Holes].repeat(5);
            [usual, vec![Shape::Late, Shape::Empty]].concat()
        }
    };
    let place = (any::<Index>(), any::<Index>(), prop::bool::weighted(0.85));
    let length = prop_oneof![1..=20usize, 1..=LONGEST];
    let row = (select(shapes), length)
        .prop_flat_map(move |(shape, length)| (Just(shape), vec_of(place.clone(), length)));
    vec_of(row, 1..=4).prop_map(move |rows| {
        let longest = rows.iter().map(|(_, places)| places.len()).max();
        let collect = |value: &dyn Fn(Shape, usize, &Place) -> i64| -> Vec<Vec<i64>> {
            let row = |(shape, places): &(Shape, Vec<Place>)| {
                let places = places.iter().enumerate();
                let mut row: Vec<i64> = places.map(|(p, place)| value(*shape, p, place)).collect();
                row.resize(longest.unwrap_or(0), 0);
                row
            };
            rows.iter().map(row).collect()
        };
        Padded {
            ids: collect(&|_, _, (id, ..)| id.index(words) as i64),
            types: collect(&|_, _, (_, kind, _)| kind.index(types) as i64),
            mask: collect(&|shape, p, (.., kept)| {
                i64::from(match shape {
                    Shape::Whole => true,
                    Shape::Holes => p == 0 || *kept,
                    Shape::Late => p > 0 && *kept,
                    Shape::Empty => false,
                })
            }),
        }
    })
}
