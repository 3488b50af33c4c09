//! SentencePiece and DeBERTa tokenization in pure Rust: text to ids and back, with the place of every
//! token in the text.
//!
//! | you have | you want | use |
//! |---|---|---|
//! | the directory of a DeBERTa checkpoint: v1, v2, v3, mDeBERTa | model input: special tokens, pairs, truncation, batches | [`deberta::DebertaTokenizer`] |
//! | a `vocab.json` with its `merges.txt` | what Hugging Face's DeBERTa v1 tokenizer gives | [`deberta::DebertaTokenizer`] |
//! | an `spm.model`, `spiece.model`, `tokenizer.model` | what C++ SentencePiece gives | [`SentencePiece`] |
//! | a `tokenizer.json` | what Hugging Face's `tokenizers` gives | [`hf::HfTokenizer`] |
//! | the `vocab.txt` of a BERT model | what Hugging Face's `BertTokenizer` gives | [`hf::HfTokenizer::from_vocab_txt`] |
//!
//! Each gives exactly what its reference gives, to the last id and byte; where the references differ
//! from one another, each file is followed as it is.
//!
//! # How SentencePiece works
//!
//! A network reads numbers, so a text is cut into *pieces* of a fixed vocabulary, and each piece has an
//! id. Whole words are too many for a vocabulary, single characters make sequences too long; pieces lie
//! in between, frequent words whole and rare ones in parts. SentencePiece takes three steps.
//!
//! **Normalise.** Characters that mean the same become the same (`ﬁ` becomes `fi`, a full-width `Ａ`
//! becomes `A`), by a table inside the model file. Then spaces are made visible: each becomes `▁`, runs
//! of them collapse, and one is put in front, so that a word looks the same wherever it stands.
//! `Hello  world` becomes `▁Hello▁world`. Spaces being part of the pieces, the text can be put together
//! again without knowing any language's rules.
//!
//! **Span the lattice.** Wherever a piece of the vocabulary occurs, there is an edge from where it begins
//! to where it ends, with the piece's score, the logarithm of its probability:
//!
//! ```text
//!    ▁     n     e     w     e     r
//! ├───── ▁new -8.1 ──────┤├─ er -6.0 ─┤    total -14.1, the best path
//! ├─ ▁n -7.9 ─┤├────── ewer -12.4 ────┤    total -20.3
//! ├── ▁ne -7.0 ───┤├─── wer -10.2 ────┤    total -17.2
//! ```
//!
//! All pieces that begin at a position are found in one walk down a trie. Where not even the single
//! character is a piece, an edge for an unknown character takes its place, so that a path always exists.
//!
//! **Find the best path** (Viterbi). A segmentation is a path through the lattice, its score the sum over
//! its edges. The best path to a position is the best path to the beginning of one of the edges into it,
//! and that edge. So one pass from left to right suffices, which remembers one edge per position, and
//! one pass back reads off the pieces: time in proportion to the text, whatever the text.
//!
//! That is the *Unigram* model, which DeBERTa v2 and v3 use. *BPE* models merge neighbours instead, best first,
//! and *word* and *character* models have no choice to make; all four share the first step. Last, what is
//! unknown becomes the unknown piece, or, in a model with byte fallback, its UTF-8 bytes.
//!
//! ```
//! use tokenizer_spm::SentencePiece;
//!
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/tokenizer/unigram.model");
//! let model = SentencePiece::from_file(path)?;
//!
//! let text = "The ﬁnal  License";
//! assert_eq!(model.normalize(text), "▁The▁final▁License");
//!
//! let pieces = model.encode(text);
//! // The pieces put together are the normalised text, and their spans cover the original.
//! let joined: String = pieces.iter().map(|piece| piece.piece.as_str()).collect();
//! assert_eq!(joined, "▁The▁final▁License");
//! let last = pieces.last().unwrap();
//! assert_eq!((last.piece.as_str(), &text[last.start..last.end]), ("▁License", "  License"));
//!
//! let ids: Vec<u32> = pieces.iter().map(|piece| piece.id).collect();
//! assert_eq!(model.encode_ids(text), ids);
//! assert_eq!(model.decode(&ids)?, "The final License");
//! # Ok::<(), tokenizer_spm::TokenizerError>(())
//! ```
//!
//! # How DeBERTa v1 reads
//!
//! DeBERTa v1 has GPT-2's *byte-level* vocabulary, which begins with the 256 bytes: nothing needs to be
//! normalised, and no text is unknown. Text is first cut into words, each with the space before it: letters,
//! digits, and other characters part, and so do English endings such as `'ll`. Then *byte pair encoding* builds
//! each word up from its bytes: the file `merges.txt` lists pairs, and the pair of neighbours that stands first
//! in the list becomes one token, again and again.
//!
//! ```text
//! merges.txt        " lower" in bytes, a space written Ġ
//! 1  e r            Ġ  l  o  w  e  r
//! 2  l o            Ġ  l  o  w  er           by 1
//! 3  Ġ lo           Ġ  lo  w  er             by 2
//! 4  w er           Ġlo  w  er               by 3
//!                   Ġlo  wer                 by 4, and nothing is left to do
//! ```
//!
//! A character outside ASCII is several bytes, and a token may end inside it. Spans cannot: such tokens have the
//! span of the whole character.
//!
//! # Errors
//!
//! Model files are distrusted: one that is truncated, damaged or made to do harm is refused with a
//! [`TokenizerError`] that says what was expected and what was found. No file and no text makes this
//! crate panic, and none takes more than about linear time.
#![forbid(unsafe_code)]

mod charsmap;
pub mod deberta;
mod double_array;
mod error;
pub mod hf;
mod merge;
mod normalizer;
mod proto;
mod sentencepiece;
mod unigram;

pub use error::TokenizerError;
pub use sentencepiece::{Piece, PieceType, SentencePiece, Token};
