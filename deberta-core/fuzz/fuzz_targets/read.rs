//! Reads everything that a checkpoint offers, and checks what must hold of any.

use deberta_core::checkpoint::{Checkpoint, Dim, Dtype, ElementKind, TensorSpec};

/// Opens a file of any bytes and reads all of it.
pub fn read(name: &str, bytes: Vec<u8>) {
    let size = bytes.len() as u64;
    let Ok(checkpoint) = Checkpoint::from_bytes(name, bytes) else {
        return;
    };
    assert_eq!(checkpoint.total_bytes(), size);
    for tensor in checkpoint.tensors() {
        let (elements, bits) = (tensor.elements(), tensor.dtype().bits());
        for (target, bits) in [(tensor.dtype(), bits), (Dtype::F32, 32), (Dtype::F16, 16)] {
            let mut copy = Vec::new();
            if tensor.copy_to(&mut copy, target).is_ok() {
                assert_eq!(copy.len(), elements * bits / 8);
            }
        }
        let shape: Vec<Dim> = tensor.shape().iter().map(|&n| Dim::Exactly(n)).collect();
        let spec = TensorSpec {
            elements: ElementKind::Float,
            name: tensor.canonical_name().to_owned(),
            scope: tensor.scope(),
            shape,
        };
        if !tensor.is_shadowed()
            && let Ok(table) = checkpoint.table(&spec)
        {
            assert_eq!(
                table.bytes().len(),
                table.rows() * table.columns() * table.dtype().size()
            );
            let _ = table.row(0);
        }
    }
    for group in checkpoint.tied() {
        assert!(group.len() > 1);
    }
}
