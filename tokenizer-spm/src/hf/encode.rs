//! What all tokenizers do alike, given one that encodes a text: pairs, truncation, special tokens, batches,
//! padding.

use rayon::prelude::*;

use super::assemble::{PadToken, assemble, pad};
use super::encoding::Encoding;
use super::options::{EncodeOptions, Input};
use super::template::Template;
use crate::TokenizerError;

/// A tokenizer of single texts, which the provided methods make a whole one.
pub(crate) trait Encoder: Sync {
    /// The tokens of one text, before anything is added or cut off.
    fn encode_text(&self, text: &str, sequence: u8, trim: bool)
    -> Result<Encoding, TokenizerError>;

    /// Where special tokens go.
    fn template(&self) -> &Template;

    /// The token to pad with, if there is one.
    fn pad_token(&self) -> Result<PadToken, TokenizerError>;

    /// Encodes a text or a pair of texts.
    fn encode_one(
        &self,
        input: Input<'_>,
        options: &EncodeOptions,
    ) -> Result<Encoding, TokenizerError> {
        let mut encoding = self.encode_unpadded(input, options)?;
        self.pad(std::slice::from_mut(&mut encoding), options)?;
        Ok(encoding)
    }

    /// Encodes inputs on all threads, in order; padding to the longest is to the longest of them.
    fn encode_all<'a, I>(
        &self,
        inputs: &[I],
        options: &EncodeOptions,
    ) -> Result<Vec<Encoding>, TokenizerError>
    where
        I: Into<Input<'a>> + Copy + Sync,
    {
        let mut encodings = inputs
            .par_iter()
            .map(|&input| self.encode_unpadded(input.into(), options))
            .collect::<Result<Vec<_>, _>>()?;
        self.pad(&mut encodings, options)?;
        Ok(encodings)
    }

    /// The rest of [`encode_one`](Self::encode_one) before padding.
    fn encode_unpadded(
        &self,
        input: Input<'_>,
        options: &EncodeOptions,
    ) -> Result<Encoding, TokenizerError> {
        let encode = |text, sequence| self.encode_text(text, sequence, options.trim_offsets);
        let texts = match input {
            Input::Single(text) => vec![encode(text, 0)?],
            Input::Pair(first, second) => vec![encode(first, 0)?, encode(second, 1)?],
        };
        assemble(texts, self.template(), options)
    }

    /// Pads if the options say so.
    fn pad(
        &self,
        encodings: &mut [Encoding],
        options: &EncodeOptions,
    ) -> Result<(), TokenizerError> {
        match &options.padding {
            Some(padding) => pad(encodings, padding, &self.pad_token()?),
            None => Ok(()),
        }
    }
}
