//! Searches of the next token against what `generate` of transformers found, where logits lie in a table; and what holds for
//! every search.
//!
//! `tests/reference/make_search_fixtures.py` made the fixtures.

mod draws;
mod files;
mod random;
mod reference;
mod refusals;
mod table;
mod watching;
