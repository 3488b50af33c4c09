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

    /// The tokens of sequence `i`.
    ///
    /// # Panics
    /// Where `i` is not below [`Batch::len`].
    pub fn sequence(&self, i: usize) -> Range<usize> {
        self.bounds[i]..self.bounds[i + 1]
    }

    /// Whether sequence `i` has a token at position 0, where a tokenizer puts [CLS].
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
