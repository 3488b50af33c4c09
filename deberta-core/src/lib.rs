//! deberta-core
