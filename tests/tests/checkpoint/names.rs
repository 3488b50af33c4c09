//! What tensors are called: prefixes, older names, and reports of what does not fit.

use deberta_core::Error;
use deberta_core::checkpoint::{Checkpoint, Dim, TensorSpec};
use safetensors::Dtype;

use crate::files::{Tensor, WORDS, f32s, words, write};

#[test]
fn every_prefix_and_where_heads_are_looked_up() {
    for (prefix, head) in [
        ("", "classifier.weight"),
        ("deberta.", "classifier.weight"),
        ("bert.", "classifier.weight"),
        ("encoder.", "classifier.weight"),
        ("module.deberta.", "module.classifier.weight"),
        ("module.deberta.", "classifier.weight"),
        ("model.", "classifier.weight"),
        ("token_rep_layer.bert_layer.model.", "classifier.weight"),
    ] {
        let name: &'static str = format!("{prefix}{WORDS}").leak();
        let folder = write(&[
            f32s(name, &[1, 2], &[1.0, 2.0]),
            f32s(head, &[3], &[3.0, 4.0, 5.0]),
        ]);
        let checkpoint = Checkpoint::open(&folder).expect(prefix);
        assert_eq!(checkpoint.prefix(), prefix);
        let head = TensorSpec::head("classifier.weight", [Dim::Exactly(3)]);
        assert_eq!(
            checkpoint.read_f32(&head).expect(prefix),
            (vec![3.0, 4.0, 5.0], vec![3])
        );
        assert_eq!(
            checkpoint.verify(&[words(), head]).expect(prefix),
            Vec::<String>::new()
        );
        assert_eq!(checkpoint.verify(&[words()]).expect(prefix).len(), 1);
    }
}

#[test]
fn no_encoder_and_two_encoders_are_errors() {
    let error =
        Checkpoint::open(write(&[f32s("classifier.weight", &[1], &[0.0])])).expect_err("none");
    assert!(
        matches!(&error, Error::EncoderNotFound { found, .. } if found.is_empty()),
        "{error}"
    );
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    let two = [
        f32s(
            "generator.embeddings.word_embeddings.weight",
            &[1, 1],
            &[0.0],
        ),
        f32s(
            "discriminator.embeddings.word_embeddings.weight",
            &[1, 1],
            &[0.0],
        ),
    ];
    let error = Checkpoint::open(write(&two)).expect_err("two");
    assert!(
        matches!(&error, Error::EncoderNotFound { found, .. } if found.len() == 2),
        "{error}"
    );
    // A name that merely ends alike is none.
    let alike = [f32s(
        "my_embeddings.word_embeddings.weight",
        &[1, 1],
        &[0.0],
    )];
    assert!(Checkpoint::open(write(&alike)).is_err());
}

#[test]
fn older_layer_norm_names_and_position_ids() {
    let folder = write(&[
        f32s(
            "deberta.embeddings.word_embeddings.weight",
            &[1, 2],
            &[0.0; 2],
        ),
        f32s("deberta.embeddings.LayerNorm.gamma", &[2], &[1.0, 2.0]),
        f32s("deberta.embeddings.LayerNorm.beta", &[2], &[3.0, 4.0]),
        Tensor(
            "deberta.embeddings.position_ids",
            Dtype::I64,
            vec![1, 1],
            vec![0; 8],
        ),
    ]);
    let checkpoint = Checkpoint::open(folder).expect("open");
    let norm =
        |part: &str| TensorSpec::encoder(format!("embeddings.LayerNorm.{part}"), [Dim::Exactly(2)]);
    let (weight, bias) = (norm("weight"), norm("bias"));
    assert_eq!(checkpoint.read_f32(&weight).expect("gamma").0, [1.0, 2.0]);
    assert_eq!(checkpoint.read_f32(&bias).expect("beta").0, [3.0, 4.0]);
    assert_eq!(
        checkpoint
            .verify(&[words(), weight, bias])
            .expect("all")
            .len(),
        0
    );
}

#[test]
fn one_error_lists_everything_that_does_not_fit() {
    let folder = write(&[
        f32s(
            "deberta.embeddings.word_embeddings.weight",
            &[3, 4],
            &[0.0; 12],
        ),
        f32s("deberta.encoder.layer.0.output.dense.weights", &[1], &[0.0]),
    ]);
    let checkpoint = Checkpoint::open(folder).expect("open");
    let mut specs = vec![words()];
    let layers = (0..20).map(|i| format!("encoder.layer.{i}.output.dense.weight"));
    specs.extend(layers.map(|name| TensorSpec::encoder(name, [Dim::Exactly(1)])));
    let error = checkpoint.verify(&specs).expect_err("nothing fits");
    let message = error.to_string();
    let Error::Weights {
        missing,
        misshapen,
        unused,
        ..
    } = error
    else {
        panic!("{message}")
    };
    assert_eq!((missing.len(), misshapen.len(), unused.len()), (20, 1, 1));
    assert_eq!(missing[0], "deberta.encoder.layer.0.output.dense.weight");
    assert_eq!(misshapen[0].expected, [None, Some(2)]);
    assert!(message.contains("[3, 4], expected [any, 2]"), "{message}");
    assert!(
        message.contains("layer.0.output.dense.weights"),
        "{message}"
    );
    assert!(
        message.contains("and 12 more") && message.len() < 2000,
        "{message}"
    );
}
