//! One layer of the encoder: attention, then a feed-forward network, each with a residual and a normalisation.

use super::attention::AttentionKind;
use super::layout::{Affine, LayerLayout};
use super::load::Loader;
use super::observe::Watch;
use super::profile::Stage;
use super::self_attention::{AttentionInput, SelfAttention, products};
use crate::backend::{Backend, End, LinearForm};
use crate::{Activation, Config, Error};
use deberta_kernels::AttentionMap;

/// A transformer layer with disentangled attention.
///
/// ```text
/// a = LayerNorm( W_o·attention(x, x, x) + x )
/// y = LayerNorm( W_down·act(W_up·a) + a )
/// ```
pub(crate) struct Layer<B: Backend> {
    attention: SelfAttention<B>,
    output: Joined<B>,
    up: B::Linear,
    down: Joined<B>,
    activation: Activation,
    /// N.
    width: usize,
    /// The width of the feed-forward network.
    inner: usize,
}

/// A linear layer whose output joins a residual: `LayerNorm(W·x + b + residual)`.
struct Joined<B: Backend> {
    linear: B::Linear,
    norm: B::Norm,
}

impl<B: Backend> Joined<B> {
    fn load(
        loader: &Loader<'_, B>,
        (linear, norm): (&Affine, &Affine),
        eps: f32,
        form: LinearForm<'_>,
    ) -> Result<Self, Error> {
        Ok(Self {
            linear: loader.linear(linear, form)?,
            norm: loader.norm(norm, eps)?,
        })
    }

    fn forward(
        &self,
        backend: &B,
        x: &B::Matrix,
        residual: &B::Matrix,
    ) -> Result<B::Matrix, Error> {
        backend.apply(&self.linear, x, End::plain().residual(residual, &self.norm))
    }
}

impl<B: Backend> Layer<B> {
    /// Reads a layer and projects the relative table, `[2·span, N]`, for it.
    ///
    /// With a `sample`, an input of typical tokens, every linear layer is fitted to the means of what it is given: see
    /// [`LinearForm::mean`]. What the sample becomes is returned.
    pub(crate) fn load(
        loader: &Loader<'_, B>,
        layout: &LayerLayout,
        config: &Config,
        attention: AttentionKind,
        relative: Option<&B::Matrix>,
        sample: Option<&AttentionInput<'_, B>>,
    ) -> Result<(Self, Option<B::Matrix>), Error> {
        let (backend, eps) = (loader.backend, config.layer_norm_eps);
        let mean = |x: Option<&B::Matrix>| x.map(|x| backend.mean(x)).transpose();
        let nothing = Default::default();
        let mut watch = Watch::new(&nothing);

        let hidden = sample.map(|sample| sample.hidden);
        let typical = mean(hidden)?;
        let form = loader.form(typical.as_deref());
        let attention = SelfAttention::load(loader, layout, config, attention, relative, form)?;
        let context = sample
            .map(|sample| attention.forward(backend, sample, &mut watch, &[]))
            .transpose()?
            .map(|(context, _)| context);

        let typical = mean(context.as_ref())?;
        let form = loader.form(typical.as_deref());
        let joined = (&layout.attention_output, &layout.attention_norm);
        let output = Joined::load(loader, joined, eps, form)?;
        let attended = context
            .zip(hidden)
            .map(|(context, hidden)| output.forward(backend, &context, hidden))
            .transpose()?;

        let activation = config.hidden_act;
        let typical = mean(attended.as_ref())?;
        let up = loader.linear(&layout.up, loader.form(typical.as_deref()))?;
        let inner = attended
            .as_ref()
            .map(|attended| backend.apply(&up, attended, End::activation(activation)))
            .transpose()?;

        let typical = mean(inner.as_ref())?;
        let form = loader.form(typical.as_deref());
        let down = Joined::load(loader, (&layout.down, &layout.output_norm), eps, form)?;
        let result = inner
            .zip(attended)
            .map(|(inner, attended)| down.forward(backend, &inner, &attended))
            .transpose()?;

        let layer = Self {
            attention,
            output,
            up,
            down,
            activation,
            width: config.hidden_size,
            inner: config.intermediate_size,
        };
        Ok((layer, result))
    }

    /// The projection to queries, keys and values.
    pub(super) fn content(&self) -> &B::Linear {
        self.attention.content()
    }

    /// The projection of attention's output, and the two of the feed-forward network.
    pub(super) fn linears(&self) -> [&B::Linear; 3] {
        [&self.output.linear, &self.up, &self.down.linear]
    }

    /// `[T, N] -> [T, N]`, and what the observed heads did.
    pub(crate) fn forward(
        &self,
        backend: &B,
        input: &AttentionInput<'_, B>,
        watch: &mut Watch<'_>,
        heads: &[usize],
    ) -> Result<(B::Matrix, Vec<AttentionMap>), Error> {
        let work = |inputs, outputs| products(input.pass.batch, inputs, outputs);
        let (width, inner) = (self.width, self.inner);
        let (context, maps) = self.attention.forward(backend, input, watch, heads)?;
        let attended = watch.stage(Stage::Output, work(width, width), || {
            self.output.forward(backend, &context, input.queries)
        })?;
        // Its memory can be used again.
        drop(context);
        let up = watch.stage(Stage::Up, work(width, inner), || {
            backend.apply_before(&self.up, &attended, self.activation, &self.down.linear)
        })?;
        let Joined { linear, norm } = &self.down;
        let output = watch.stage(Stage::Down, work(inner, width), || {
            backend.apply_after(linear, &up, End::plain().residual(&attended, norm))
        })?;
        Ok((output, maps))
    }
}
