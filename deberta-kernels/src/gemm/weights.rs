//! The weights of a linear layer in the form and order in which tiles read them.

use super::dot::{Dot, DotOperation, dispatch};
use super::pack::Source;
use super::tile::VECTORS;
use super::transposed;
use crate::KernelError;
use crate::isa::{Isa, Simd};
use crate::memory::Aligned;
use crate::shape::check_len;
use rayon::prelude::*;
use std::fmt;
use std::ops::Range;

/// The arithmetic of a linear layer. Activations come and go in `f32`; sums are `f32` too.
///
/// | precision | weights | activations | bytes per weight |
/// |---|---|---|---|
/// | [`F32`](Self::F32) | as they are | as they are | 4 |
/// | [`Bf16`](Self::Bf16) | rounded to bf16 | rounded to bf16 | 2 |
/// | [`Int8`](Self::Int8) | 255 levels per output and group of inputs | 256 levels per row and group of inputs | about 1 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// The upper half of single precision.
    Bf16,
    /// 8-bit integers with the scales of small groups.
    Int8,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

/// The most inputs that share a scale in [`Precision::Int8`].
pub(super) const LARGEST_GROUP: usize = 384;

/// Groups end where panels do, whatever their width: 12, 24 or 48 columns. A layer's outputs are then finished group by
/// group of the next layer, which rounds them.
const GRAIN: usize = 48;

/// The inputs that share a scale, of which files of int8 weights tell no more than the number of groups: changing it
/// takes a new version of that format. As few groups as possible, about equal, each a whole number of steps.
pub(super) fn group_size(inputs: usize) -> usize {
    match inputs.div_ceil(LARGEST_GROUP) {
        0 | 1 => inputs.next_multiple_of(4),
        groups => inputs.div_ceil(groups).next_multiple_of(GRAIN),
    }
}

/// A matrix `W: [N, K]` packed for computing `x·Wᵀ`, once, when a model loads.
///
/// ```
/// use deberta_kernels::{Isa, PackedWeights};
/// let weights = PackedWeights::new(Isa::detect(), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
/// assert_eq!((weights.outputs(), weights.inputs()), (2, 3));
/// # Ok::<(), deberta_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PackedWeights {
    isa: Isa,
    outputs: usize,
    inputs: usize,
    precision: Precision,
    form: Form,
}

/// How the weights are kept.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// For our own tiles.
    Packed(Packed),
    /// `[K, N]`, for `matrixmultiply`.
    Transposed(Vec<f32>),
}

/// The right operand of a product, cut into panels as wide as a register tile.
///
/// Column `n` lies in panel `n / width`; within a panel the columns of one step of k lie side by side, so that a tile
/// reads memory in one forward sweep. Steps and columns beyond the matrix are zero:
///
/// ```text
/// values k = step·s .. step·(s+1) of column n  ->  data[n / width][s][n % width]
/// ```
#[derive(Debug, Clone)]
pub(super) struct Packed {
    data: Aligned<u32>,
    /// Columns per panel.
    pub(super) width: usize,
    /// Values of k per step.
    pub(super) step: usize,
    /// Steps per column.
    pub(super) steps: usize,
    /// The factors of quantised weights.
    groups: Option<Groups>,
}

/// The factors of quantised weights, `[panel][group][column]`.
#[derive(Debug, Clone)]
struct Groups {
    scales: Vec<f32>,
    totals: Vec<f32>,
    /// Groups per column.
    count: usize,
    /// Inputs per group.
    size: usize,
}

impl PackedWeights {
    /// Packs the row-major matrix `weights: [outputs, inputs]` in single precision for the given instruction set.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if the slice does not hold `outputs · inputs` values, or none.
    pub fn new(
        isa: Isa,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, KernelError> {
        Self::with_precision(isa, Precision::F32, weights, outputs, inputs)
    }

    /// The same in any precision.
    ///
    /// # Errors
    /// As [`PackedWeights::new`].
    ///
    /// ```
    /// use deberta_kernels::{Isa, PackedWeights, Precision};
    /// let weights = [0.5; 512];
    /// let packed = PackedWeights::with_precision(Isa::detect(), Precision::Int8, &weights, 2, 256)?;
    /// assert_eq!(packed.precision(), Precision::Int8);
    /// # Ok::<(), deberta_kernels::KernelError>(())
    /// ```
    pub fn with_precision(
        isa: Isa,
        precision: Precision,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, KernelError> {
        if outputs.checked_mul(inputs) != Some(weights.len()) {
            return Err(KernelError::Shape {
                argument: "weights",
                expected: vec![outputs, inputs],
                found: vec![weights.len()],
            });
        }
        Self::from_rows(isa, precision, outputs, inputs, |rows, to| {
            to.copy_from_slice(&weights[rows.start * inputs..rows.end * inputs]);
            Ok(())
        })
    }

    /// Packs weights that are read a few rows at a time: `read(rows, to)` writes these rows of `[outputs, inputs]`
    /// to `to`, row-major. Rows are read on the current rayon pool, in no particular order, each once, so that a matrix
    /// in a file never lies in memory as a whole.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if there are no weights, and whatever `read` returns.
    pub fn from_rows<E: From<KernelError> + Send>(
        isa: Isa,
        precision: Precision,
        outputs: usize,
        inputs: usize,
        read: impl Fn(Range<usize>, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        Self::build(isa, precision, outputs, inputs, None, read)
    }

    /// Packs weights in [`Precision::Int8`] and tells for each output what rounding them takes from its product with a
    /// typical input, `Σ_k (w_k - ŵ_k)·mean_k`: to be added to the bias. Rounding errors of weights do not average out
    /// over tokens that have much in common; this takes out what they have in common.
    ///
    /// # Errors
    /// As [`PackedWeights::from_rows`]; [`KernelError::Shape`] also if there is not one mean per input.
    pub fn quantized<E: From<KernelError> + Send>(
        isa: Isa,
        outputs: usize,
        inputs: usize,
        mean: &[f32],
        read: impl Fn(Range<usize>, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<(Self, Vec<f32>), E> {
        check_len("mean", mean.len(), inputs)?;
        let mut drift = vec![0.0; outputs];
        let means = Some((mean, &mut drift[..]));
        let weights = Self::build(isa, Precision::Int8, outputs, inputs, means, read)?;
        Ok((weights, drift))
    }

    /// Packs weights that are in [`Precision::Int8`] already, as [`PackedWeights::quantized_row`] gives them:
    /// `read(rows, to)` writes these rows of `[outputs, inputs]` to `to`, a signed byte per weight, and `scales` is
    /// `[outputs, groups]`. The result is that of quantising, on every instruction set.
    ///
    /// # Errors
    /// [`KernelError::Shape`] if there are no weights, or not a scale for every output and
    /// [group](PackedWeights::quantized_group_size), and whatever `read` returns.
    ///
    /// ```
    /// use deberta_kernels::{Isa, KernelError, PackedWeights};
    /// let (rows, scales) = ([1_i8, -2, 3, 4, 5, -6].map(|w| w as u8), [0.5, 0.25]);
    /// let weights = PackedWeights::from_quantized(Isa::detect(), 2, 3, &scales, |outputs, to| {
    ///     to.copy_from_slice(&rows[outputs.start * 3..outputs.end * 3]);
    ///     Ok::<(), KernelError>(())
    /// })?;
    /// assert_eq!(weights.quantized_row(1), Some((vec![4, 5, -6], vec![0.25])));
    /// # Ok::<(), KernelError>(())
    /// ```
    pub fn from_quantized<E: From<KernelError> + Send>(
        isa: Isa,
        outputs: usize,
        inputs: usize,
        scales: &[f32],
        read: impl Fn(Range<usize>, &mut [u8]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        check_size(outputs, inputs)?;
        let groups = Self::quantized_groups(inputs);
        if outputs.checked_mul(groups) != Some(scales.len()) {
            return Err(KernelError::Shape {
                argument: "scales",
                expected: vec![outputs, groups],
                found: vec![scales.len()],
            }
            .into());
        }
        let mut packed = Packed::zeros(isa, Precision::Int8, outputs, inputs);
        packed.fill(outputs, None, |panel| {
            panel.quantized(isa, inputs, scales, &read)
        })?;
        Ok(Self {
            isa,
            outputs,
            inputs,
            precision: Precision::Int8,
            form: Form::Packed(packed),
        })
    }

    /// How many inputs in a row share a scale in [`Precision::Int8`]: all of them up to 384, else a multiple of 48
    /// that makes as few groups as possible, of about equal size.
    pub fn quantized_group_size(inputs: usize) -> usize {
        group_size(inputs)
    }

    /// How many groups of [`quantized_group_size`](PackedWeights::quantized_group_size) a row has; the last may be
    /// smaller.
    pub fn quantized_groups(inputs: usize) -> usize {
        inputs.div_ceil(group_size(inputs).max(1))
    }

    /// The weights of one output, from -127 to 127, and the scale of each [group](PackedWeights::quantized_group_size),
    /// which they are to be multiplied by. `None` if there is no such output, or the precision is another one.
    pub fn quantized_row(&self, output: usize) -> Option<(Vec<i8>, Vec<f32>)> {
        let Form::Packed(packed) = &self.form else {
            return None;
        };
        let groups = packed.groups.as_ref()?;
        if output >= self.outputs {
            return None;
        }
        let (panel, lane) = (output / packed.width, output % packed.width);
        let steps = packed.panel(panel).chunks_exact(packed.width);
        let mut row: Vec<i8> = steps
            .flat_map(|step| step[lane].to_le_bytes())
            .map(u8::cast_signed)
            .collect();
        row.truncate(self.inputs);
        let (scales, _) = packed.factors(panel);
        let scales = (0..groups.count).map(|group| scales[group * packed.width + lane]);
        Some((row, scales.collect()))
    }

    fn build<E: From<KernelError> + Send>(
        isa: Isa,
        precision: Precision,
        outputs: usize,
        inputs: usize,
        drift: Option<(&[f32], &mut [f32])>,
        read: impl Fn(Range<usize>, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        check_size(outputs, inputs)?;
        let form = match (isa, precision) {
            (Isa::Generic(_), Precision::F32) => {
                Form::Transposed(transposed::read(outputs, inputs, &read)?)
            }
            _ => {
                let (mean, drift) = drift.unzip();
                let source = Source {
                    inputs,
                    mean,
                    read: &read,
                };
                let mut packed = Packed::zeros(isa, precision, outputs, inputs);
                packed.fill(outputs, drift, |panel| source.pack(isa, precision, panel))?;
                Form::Packed(packed)
            }
        };
        Ok(Self {
            isa,
            outputs,
            inputs,
            precision,
            form,
        })
    }

    /// The number of output features, N.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The number of input features, K.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The instruction set that the weights were packed for.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The precision that the weights were packed in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Bytes of memory that the weights take.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::Transposed(values) => size_of_val(&values[..]),
            Form::Packed(packed) => {
                let factors = packed.groups.as_ref().map_or(0, |g| 8 * g.scales.len());
                size_of_val(&packed.data[..]) + factors
            }
        }
    }

    /// Inputs that share a scale, if the weights are quantised.
    pub(super) fn group(&self) -> Option<usize> {
        (self.precision == Precision::Int8).then(|| group_size(self.inputs))
    }

    /// The weights themselves.
    pub(super) fn form(&self) -> &Form {
        &self.form
    }
}

/// Refuses matrices without weights, and those too large to address.
fn check_size(outputs: usize, inputs: usize) -> Result<(), KernelError> {
    match outputs.checked_mul(inputs) {
        Some(1..=MOST_WEIGHTS) => Ok(()),
        _ => Err(KernelError::Shape {
            argument: "weights",
            expected: vec![1, 1],
            found: vec![outputs, inputs],
        }),
    }
}

/// More would not be addressable, whatever the precision.
const MOST_WEIGHTS: usize = isize::MAX as usize / 8;

/// A panel to fill, and the factors of its columns.
pub(super) struct Panel<'a> {
    /// Which outputs its columns are.
    pub(super) outputs: Range<usize>,
    /// `[steps, width]`, zero so far.
    pub(super) data: &'a mut [u32],
    pub(super) width: usize,
    /// `[groups, width]`
    pub(super) scales: &'a mut [f32],
    /// `[groups, width]`
    pub(super) totals: &'a mut [f32],
    /// One for each output, if it is asked for.
    pub(super) drift: Option<&'a mut [f32]>,
}

impl Packed {
    /// For weights of this shape, all of them zero so far.
    fn zeros(isa: Isa, precision: Precision, outputs: usize, inputs: usize) -> Self {
        let Layout { width, step } = layout(isa, precision);
        let steps = inputs.div_ceil(step);
        let panels = outputs.div_ceil(width);
        let groups = (precision == Precision::Int8).then(|| {
            let count = PackedWeights::quantized_groups(inputs);
            let factors = vec![0.0; panels * count * width];
            Groups {
                scales: factors.clone(),
                totals: factors,
                count,
                size: group_size(inputs),
            }
        });
        Self {
            data: Aligned::zeros(panels * steps * width),
            width,
            step,
            steps,
            groups,
        }
    }

    /// Fills every panel, on the current rayon pool.
    fn fill<E: Send>(
        &mut self,
        outputs: usize,
        drift: Option<&mut [f32]>,
        fill: impl Fn(Panel<'_>) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let (width, panels) = (self.width, self.panels());
        let (scales, totals) = match &mut self.groups {
            Some(groups) => (&mut groups.scales[..], &mut groups.totals[..]),
            None => Default::default(),
        };
        let factors = divide(scales, panels)
            .into_par_iter()
            .zip(divide(totals, panels));
        let mut drift = drift.map(|drift| drift.chunks_mut(width));
        let drifts: Vec<_> = (0..panels)
            .map(|_| drift.as_mut().and_then(Iterator::next))
            .collect();
        self.data
            .par_chunks_mut(self.steps * width)
            .zip(factors.zip(drifts))
            .enumerate()
            .try_for_each(|(index, (data, ((scales, totals), drift)))| {
                fill(Panel {
                    outputs: index * width..outputs.min((index + 1) * width),
                    data,
                    width,
                    scales,
                    totals,
                    drift,
                })
            })
    }

    /// The number of panels.
    pub(super) fn panels(&self) -> usize {
        self.data.len() / (self.width * self.steps)
    }

    /// One panel, `[steps, width]`.
    pub(super) fn panel(&self, index: usize) -> &[u32] {
        let size = self.width * self.steps;
        &self.data[index * size..][..size]
    }

    /// Steps per group, if the weights are quantised.
    pub(super) fn group_steps(&self) -> Option<usize> {
        self.groups.as_ref().map(|groups| groups.size / self.step)
    }

    /// Scales and totals of one panel, `[group][column]`; nothing if the weights are not quantised.
    pub(super) fn factors(&self, panel: usize) -> (&[f32], &[f32]) {
        let Some(groups) = &self.groups else {
            return (&[], &[]);
        };
        let range = panel * groups.count * self.width..(panel + 1) * groups.count * self.width;
        (&groups.scales[range.clone()], &groups.totals[range])
    }
}

/// Equal parts of a slice, which may be empty.
fn divide(all: &mut [f32], parts: usize) -> Vec<&mut [f32]> {
    let mut chunks = all.chunks_mut((all.len() / parts).max(1));
    (0..parts)
        .map(|_| chunks.next().unwrap_or_default())
        .collect()
}

/// What the tiles of an instruction set and a precision ask of the right operand.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Columns per panel.
    pub(super) width: usize,
    /// Values of k per step.
    pub(super) step: usize,
}

/// Asks the tiles.
pub(super) fn layout(isa: Isa, precision: Precision) -> Layout {
    struct Ask<'a>(&'a mut Layout);
    impl DotOperation for Ask<'_> {
        fn run<D: Dot>(self, _: D) {
            *self.0 = Layout {
                width: D::Simd::LANES * VECTORS,
                step: D::STEP,
            };
        }
    }
    let mut layout = Layout { width: 0, step: 0 };
    dispatch(isa, precision, Ask(&mut layout));
    layout
}
