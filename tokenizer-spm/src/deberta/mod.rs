//! DeBERTa's conventions on top of a SentencePiece vocabulary.
