//! What `inspect` tells of a directory with an encoder and a decoder.

use super::common::copy::ModelCopy;
use super::{cases, folder};
use deberta_core::convert::{ConvertOptions, convert};
use deberta_core::inspect::inspect;
use deberta_core::{Error, HeadKind};

#[test]
fn both_parts_are_told_of() {
    for model in cases().models {
        let name = &model.name;
        let found = inspect(folder(name)).expect(name);
        let decoder = found.decoder.as_ref().expect("a decoder");
        assert_eq!(decoder.family.to_string(), model.decoder, "{name}");
        assert_eq!(
            (found.head, &found.heads[..]),
            (HeadKind::Base, &[HeadKind::Base][..])
        );
        assert!(found.unused.is_empty(), "{name}: {:?}", found.unused);
        assert_eq!(found.parameters.unused, 0, "{name}");
        // Every tensor of the files is a parameter of one part, but for the constants.
        let tensors = found
            .checkpoint
            .tensors()
            .filter(|tensor| !tensor.is_constant());
        let elements: usize = tensors.map(|tensor| tensor.elements()).sum();
        assert_eq!(found.parameters.total(), elements, "{name}");
        assert!(found.parameters.decoder > found.parameters.heads, "{name}");
        let doubts = found.warnings.iter();
        // The fixtures have no tokenizers, and one is in PyTorch's format.
        let other =
            doubts.filter(|doubt| !doubt.contains("tokenizer") && !doubt.contains("PyTorch"));
        assert_eq!(other.collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
    }
}

#[test]
fn what_a_decoder_lacks_is_a_warning() {
    let copy = ModelCopy::of("generation/gpt2", "inspected")
        .tensors(|name, values| (!name.contains("h.0.ln_cross_attn")).then_some(values));
    let found = inspect(copy.folder()).expect("an inspection");
    let warned = found
        .warnings
        .iter()
        .any(|warning| warning.contains("ln_cross_attn"));
    assert!(warned, "{:?}", found.warnings);
}

/// `convert` makes encoders; it says what reads the other kind.
#[test]
fn convert_says_that_it_is_for_encoders() {
    let target = std::env::temp_dir().join(format!("deberta-no-convert-{}", std::process::id()));
    let quiet = &mut |_: deberta_core::convert::Progress<'_>| true;
    let error = convert(folder("bert"), &target, &ConvertOptions::default(), quiet).unwrap_err();
    assert!(matches!(error, Error::UnsupportedModel { .. }), "{error:?}");
    assert!(error.to_string().contains("EncoderDecoder"), "{error}");
    assert!(!target.exists());
}
