//! From text to answers: classification of whole texts and of the tokens in them.
//!
//! Both tasks take texts of any length and any number of them. A text that exceeds the model's
//! length is read through overlapping windows whose answers are merged ([`WindowOptions`]), nothing
//! is cut off. A batch is worked on in portions of bounded memory, sorted by length inside, and
//! answered in the order of the input; an answer does not depend on the other texts of the batch.

mod aggregate;
mod encode;
mod run;
mod score;
mod text;
mod token;
mod window;

use std::path::Path;

use crate::{Config, Error, HeadChoice, HeadKind, Model};

pub use aggregate::Aggregation;
pub use score::ScoreFunction;
pub use text::{Classification, TextClassifier};
pub use token::{Entity, TokenClassifier};
pub use tokenizer_spm::deberta::Input;
pub use window::{WindowMerge, WindowOptions};

/// The head to load for a task: the one it needs where neither the caller nor the configuration says.
fn head_for(folder: &Path, choice: HeadChoice, needed: HeadKind) -> Result<HeadChoice, Error> {
    if choice != HeadChoice::Auto {
        return Ok(choice);
    }
    let config = Config::from_file(folder.join("config.json"))?;
    Ok(if config.architectures.is_empty() {
        HeadChoice::Only(needed)
    } else {
        choice
    })
}

fn check_head(model: &Model, needed: HeadKind) -> Result<(), Error> {
    if model.head() == needed {
        return Ok(());
    }
    let named = &model.config().architectures;
    let found = match (model.head(), named.as_slice()) {
        (HeadKind::Base, [_, ..]) => named.join(", "),
        (head, _) => head.to_string(),
    };
    Err(Error::Head {
        expected: needed.to_string(),
        found,
    })
}
