//! What a user should know of a model that was loaded.

use deberta_core::{HeadKind, Model};

/// Says on standard error what of the files the model does not use: a hint at another head, or at a configuration that
/// is not that of the weights.
pub(crate) fn unused(model: &Model) {
    const SHOWN: usize = 4;
    let unused = model.unused_tensors();
    if unused.is_empty() {
        return;
    }
    let (shown, more) = unused.split_at(unused.len().min(SHOWN));
    let mut names = shown.join(", ");
    if !more.is_empty() {
        names += &format!(" and {} more", more.len());
    }
    let head = match model.head() {
        HeadKind::Base => "no head",
        _ => "its head",
    };
    eprintln!(
        "note: the model, with {head}, does not use {} tensors of the files: {names}",
        unused.len()
    );
}
