//! The heads that DeBERTa was pretrained with, against Microsoft's own implementation.
//!
//! The reference data holds what that implementation computes on tiny random models: fill-mask with the Enhanced Mask
//! Decoder, fill-mask without it (the model adds absolute positions to its input), replaced-token detection. Its v1 model
//! has the tensor names of v2. Only rows of real tokens mean anything.

mod common;

use common::arrays::Arrays;
use common::bounds::{HIDDEN, LOGITS, compare};
use common::{Input, options};
use deberta_core::config::Family;
use deberta_core::{HeadKind, Model};
use deberta_tests::asset;

struct Case {
    name: &'static str,
    family: Family,
    head: HeadKind,
    mask_decoder: bool,
}

const fn masked(name: &'static str, family: Family, mask_decoder: bool) -> Case {
    let head = HeadKind::MaskedLm;
    Case {
        name,
        family,
        head,
        mask_decoder,
    }
}

const fn replaced(name: &'static str) -> Case {
    Case {
        name,
        family: Family::V2,
        head: HeadKind::ReplacedTokenDetection,
        mask_decoder: false,
    }
}

const CASES: [Case; 7] = [
    masked("ms_v1_emd", Family::V1, true),
    masked("ms_v2_emd_160", Family::V2, true),
    masked("ms_v2_emd_conv", Family::V2, true),
    masked("ms_v2_emd_short", Family::V2, true),
    masked("ms_v2_mlm_abs", Family::V2, false),
    replaced("ms_v2_rtd"),
    replaced("ms_v2_rtd_150"),
];

#[test]
fn every_case_equals_microsofts_implementation() {
    let Some(folder) = asset("expected/microsoft") else {
        return;
    };
    let mut there: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(
        there,
        CASES.map(|case| case.name),
        "all of them, and no other"
    );
    for case in CASES {
        let folder = folder.join(case.name);
        let model = Model::load(&folder, options())
            .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(model.config().family, case.family, "{}", case.name);
        assert_eq!(model.head(), case.head, "{}", case.name);
        let has_decoder = model.has_enhanced_mask_decoder();
        assert_eq!(has_decoder, case.mask_decoder, "{}", case.name);

        let input = Input::read(&folder);
        let expected = Arrays::read(&folder.join("expected.safetensors"));
        let output = model.forward(&input.batch()).unwrap();
        for (name, found, least) in [
            ("last_hidden_state", &output.last_hidden_state, HIDDEN),
            ("logits", output.logits.as_ref().expect("logits"), LOGITS),
        ] {
            let rows = input.real_rows(&expected.floats(name));
            let what = format!("{} {name}", case.name);
            compare(&what, found.view(), rows.view(), least, 0.0);
        }
    }
}

/// Fixtures of the repository that run the layers of `transformers` as Microsoft's code runs its own; they are among the
/// parity cases too. `tests/reference/check_microsoft.py` has compared that code with Microsoft's.
#[test]
fn the_decoder_is_there_where_a_checkpoint_has_its_positions() {
    for (name, expected) in [
        ("enhanced_v1", true),
        ("enhanced_v2", true),
        ("enhanced_v2_conv", true),
        ("enhanced_v2_absolute", false),
        ("masked_v2_microsoft", false),
        ("masked_v2_legacy", false),
        ("v3", false),
    ] {
        let model = common::case(name).load();
        assert_eq!(model.has_enhanced_mask_decoder(), expected, "{name}");
    }
}
