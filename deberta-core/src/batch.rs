//! Token ids as the encoder wants them: real tokens end to end, and where each sequence begins.

use std::ops::Range;

use ndarray::{Array3, ArrayView2, s};

use crate::Error;

/// Sequences of token ids, packed: no padding between them.
///
/// `bounds` has one entry more than there are sequences, sequence `i` is the range
/// `bounds[i]..bounds[i + 1]` of the `T` tokens. `positions` is present only where some sequence's
/// tokens do not stand at 0, 1, 2, ...: a mask with holes, or padding on the left. The distance
/// between two tokens is then that of their positions.
///
/// ```
/// use deberta_core::Batch;
/// let batch = Batch::packed([(vec![1, 5, 2], vec![0, 0, 0]), (vec![1, 2], vec![])])?;
/// assert_eq!((batch.len(), batch.tokens()), (2, 5));
/// assert_eq!(batch.sequence(1), 3..5);
/// # Ok::<(), deberta_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    bounds: Vec<usize>,
    positions: Option<Vec<u32>>,
}

impl Batch {
    /// A batch of whole sequences. Each comes with one type id per token, or none at all: all 0.
    ///
    /// # Errors
    /// [`Error::Batch`] where a sequence has another number of type ids than of ids, or more tokens
    /// than positions can count.
    pub fn packed<I, A, B>(sequences: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item = (A, B)>,
        A: AsRef<[u32]>,
        B: AsRef<[u32]>,
    {
        let mut batch = Self {
            ids: Vec::new(),
            type_ids: Vec::new(),
            bounds: vec![0],
            positions: None,
        };
        for (index, (ids, type_ids)) in sequences.into_iter().enumerate() {
            let (ids, type_ids) = (ids.as_ref(), type_ids.as_ref());
            length(ids.len(), || format!("sequence {index}"))?;
            batch.ids.extend_from_slice(ids);
            if type_ids.is_empty() {
                batch.type_ids.resize(batch.ids.len(), 0);
            } else if type_ids.len() == ids.len() {
                batch.type_ids.extend_from_slice(type_ids);
            } else {
                return Err(Error::Batch {
                    what: format!("type ids of sequence {index}"),
                    expected: format!("{} (one per id) or none", ids.len()),
                    found: type_ids.len().to_string(),
                });
            }
            batch.bounds.push(batch.ids.len());
        }
        Ok(batch)
    }

    /// A batch from padded arrays `[B, L]`, as the Python libraries pass them.
    ///
    /// Tokens whose mask is 0 are left out, whatever their ids; the others keep their positions. A
    /// row without any token becomes an empty sequence. No mask: every token counts.
    ///
    /// # Errors
    /// [`Error::Batch`] where the arrays differ in shape, the mask holds something else than 0 and 1,
    /// or a token that counts has a negative id or type.
    pub fn from_padded(
        input_ids: ArrayView2<'_, i64>,
        attention_mask: Option<ArrayView2<'_, i64>>,
        token_type_ids: Option<ArrayView2<'_, i64>>,
    ) -> Result<Self, Error> {
        let shape = input_ids.dim();
        let others = [
            ("attention_mask", &attention_mask),
            ("token_type_ids", &token_type_ids),
        ];
        for (name, array) in others {
            if let Some(found) = array
                .as_ref()
                .map(ArrayView2::dim)
                .filter(|&dim| dim != shape)
            {
                return Err(Error::Batch {
                    what: format!("shape of {name}"),
                    expected: format!("{shape:?} (that of input_ids)"),
                    found: format!("{found:?}"),
                });
            }
        }
        length(shape.1, || "rows of input_ids".to_owned())?;

        let (mut ids, mut type_ids, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        let mut bounds = vec![0];
        let mut contiguous = true;
        for row in 0..shape.0 {
            let start = ids.len();
            for column in 0..shape.1 {
                let at = (row, column);
                match attention_mask.as_ref().map_or(1, |mask| mask[at]) {
                    0 => continue,
                    1 => {}
                    other => return Err(element("attention_mask", at, "0 or 1", other)),
                }
                contiguous &= column == ids.len() - start;
                ids.push(unsigned("input_ids", at, input_ids[at])?);
                let type_id = token_type_ids.as_ref().map_or(0, |types| types[at]);
                type_ids.push(unsigned("token_type_ids", at, type_id)?);
                positions.push(column as u32); // fits: `length` has seen the row
            }
            bounds.push(ids.len());
        }
        Ok(Self {
            ids,
            type_ids,
            bounds,
            positions: (!contiguous).then_some(positions),
        })
    }

    /// Number of sequences, B.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there are no sequences.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of tokens in all sequences together, T.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Token ids, `[T]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Token type ids, `[T]`.
    pub fn type_ids(&self) -> &[u32] {
        &self.type_ids
    }

    /// Where the sequences begin and end, `[B + 1]`.
    pub fn bounds(&self) -> &[usize] {
        &self.bounds
    }

    /// Positions of the tokens within their sequences, `[T]`; `None` where they are 0, 1, 2, ....
    pub fn positions(&self) -> Option<&[u32]> {
        self.positions.as_deref()
    }

    /// The position of every token within its sequence, `[T]`.
    pub(crate) fn absolute_positions(&self) -> Vec<u32> {
        match self.positions() {
            Some(positions) => positions.to_vec(),
            None => (0..self.len())
                .flat_map(|i| 0..self.sequence(i).len() as u32)
                .collect(),
        }
    }

    /// The tokens of sequence `i`.
    ///
    /// # Panics
    /// Where `i` is not below [`Batch::len`].
    pub fn sequence(&self, i: usize) -> Range<usize> {
        self.bounds[i]..self.bounds[i + 1]
    }

    /// Whether sequence `i` has a token at position 0, where a tokenizer puts `[CLS]`.
    ///
    /// # Panics
    /// Where `i` is not below [`Batch::len`].
    pub fn starts_with_cls(&self, i: usize) -> bool {
        let range = self.sequence(i);
        !range.is_empty() && self.positions.as_ref().is_none_or(|p| p[range.start] == 0)
    }

    /// Lays packed rows `[T, N]` out as `[B, length, N]`, zeros where there is no token.
    ///
    /// # Errors
    /// [`Error::Batch`] where there are not T rows, or a token's position is not below `length`.
    pub fn scatter(&self, rows: ArrayView2<'_, f32>, length: usize) -> Result<Array3<f32>, Error> {
        if rows.nrows() != self.tokens() {
            return Err(Error::Batch {
                what: "rows to scatter".to_owned(),
                expected: format!("{} (one per token)", self.tokens()),
                found: rows.nrows().to_string(),
            });
        }
        let mut padded = Array3::zeros((self.len(), length, rows.ncols()));
        for i in 0..self.len() {
            for (offset, token) in self.sequence(i).enumerate() {
                let position = self
                    .positions
                    .as_ref()
                    .map_or(offset, |p| p[token] as usize);
                if position >= length {
                    return Err(Error::Batch {
                        what: format!("position of a token in sequence {i}"),
                        expected: format!("below {length}"),
                        found: position.to_string(),
                    });
                }
                padded
                    .slice_mut(s![i, position, ..])
                    .assign(&rows.row(token));
            }
        }
        Ok(padded)
    }
}

/// Positions are 32-bit.
fn length(tokens: usize, what: impl FnOnce() -> String) -> Result<(), Error> {
    if u32::try_from(tokens).is_ok() {
        return Ok(());
    }
    Err(Error::Batch {
        what: format!("length of {}", what()),
        expected: format!("at most {}", u32::MAX),
        found: tokens.to_string(),
    })
}

fn unsigned(array: &str, at: (usize, usize), value: i64) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| element(array, at, "a number from 0 to 4294967295", value))
}

fn element(array: &str, at: (usize, usize), expected: &str, found: i64) -> Error {
    Error::Batch {
        what: format!("{array}[{}, {}]", at.0, at.1),
        expected: expected.to_owned(),
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn full_rows_need_no_positions() {
        let ids = array![[1, 5, 2], [1, 6, 2]];
        let batch = Batch::from_padded(ids.view(), None, None).expect("valid");
        assert_eq!(batch.ids(), [1, 5, 2, 1, 6, 2]);
        assert_eq!(batch.type_ids(), [0; 6]);
        assert_eq!((batch.bounds(), batch.positions()), (&[0, 3, 6][..], None));
    }

    #[test]
    fn padding_on_the_right_needs_no_positions() {
        let (ids, mask) = (array![[1, 5, 2], [1, 2, -7]], array![[1, 1, 1], [1, 1, 0]]);
        let types = array![[0, 1, 1], [0, 1, -1]];
        let batch = Batch::from_padded(ids.view(), Some(mask.view()), Some(types.view()));
        let batch = batch.expect("the masked id does not count");
        assert_eq!(
            (batch.ids(), batch.type_ids()),
            (&[1, 5, 2, 1, 2][..], &[0, 1, 1, 0, 1][..])
        );
        assert_eq!(batch.positions(), None);
        let rows = Array2::from_shape_fn((5, 2), |(t, n)| (10 * t + n) as f32 + 1.0);
        let padded = batch.scatter(rows.view(), 3).expect("fits");
        let expected = array![
            [[1.0, 2.0], [11.0, 12.0], [21.0, 22.0]],
            [[31.0, 32.0], [41.0, 42.0], [0.0, 0.0]]
        ];
        assert_eq!(padded, expected);
        assert!(batch.scatter(rows.view(), 2).is_err());
        assert!(batch.scatter(rows.slice(s![..4, ..]), 3).is_err());
    }

    #[test]
    fn holes_left_padding_and_empty_rows_keep_positions() {
        let ids = array![[1, 5, 6, 2], [0, 0, 1, 2], [0, 0, 0, 0], [1, 2, 0, 0]];
        let mask = array![[1, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]];
        let batch = Batch::from_padded(ids.view(), Some(mask.view()), None).expect("valid");
        assert_eq!(batch.bounds(), [0, 3, 5, 5, 7]);
        assert_eq!(batch.positions(), Some(&[0, 2, 3, 2, 3, 0, 1][..]));
        let starts: Vec<bool> = (0..4).map(|i| batch.starts_with_cls(i)).collect();
        assert_eq!(starts, [true, false, false, true]);
        let rows = Array2::from_elem((7, 1), 1.0);
        let padded = batch.scatter(rows.view(), 4).expect("fits");
        assert_eq!(
            padded
                .mapv(|x| x as i64)
                .into_shape_with_order((4, 4))
                .expect("square"),
            mask
        );
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors() {
        let ids = array![[1, 2]];
        let refused = |ids: &Array2<i64>, mask: Option<Array2<i64>>, types: Option<Array2<i64>>| {
            let (mask, types) = (
                mask.as_ref().map(|m| m.view()),
                types.as_ref().map(|t| t.view()),
            );
            Batch::from_padded(ids.view(), mask, types)
                .expect_err("refused")
                .to_string()
        };
        assert!(refused(&ids, Some(array![[1, 1, 1]]), None).contains("attention_mask"));
        assert!(refused(&ids, None, Some(array![[0], [0]])).contains("token_type_ids"));
        assert!(refused(&ids, Some(array![[1, 2]]), None).contains("attention_mask[0, 1]"));
        assert!(refused(&ids, Some(array![[1, -1]]), None).contains("-1"));
        assert!(refused(&array![[1, -2]], None, None).contains("input_ids[0, 1]"));
        assert!(refused(&array![[1, 1 << 32]], None, None).contains("4294967296"));
        assert!(refused(&ids, None, Some(array![[0, -1]])).contains("token_type_ids[0, 1]"));
        let types = Batch::packed([(vec![1, 2], vec![0])]).expect_err("one type for two ids");
        assert!(types.to_string().contains("sequence 0"), "{types}");
    }

    #[test]
    fn empty_batches() {
        let batch = Batch::packed(std::iter::empty::<([u32; 0], [u32; 0])>()).expect("valid");
        assert!(batch.is_empty() && batch.tokens() == 0);
        let batch = Batch::packed([([0u32; 0], [0u32; 0])]).expect("valid");
        assert!(batch.len() == 1 && !batch.starts_with_cls(0));
        for shape in [(0, 0), (0, 3), (2, 0)] {
            let batch = Batch::from_padded(Array2::zeros(shape).view(), None, None).expect("valid");
            assert_eq!((batch.len(), batch.tokens()), (shape.0, 0));
        }
    }
}
