//! The model that an example is given.

use std::path::Path;

use super::report::Failure;

/// Refuses a file of a model where its directory is meant.
pub(crate) fn directory(path: &Path) -> Result<&Path, Failure> {
    if path.is_file() {
        let shown = path.display();
        return Err(format!("--model expects a directory, found the file {shown}").into());
    }
    Ok(path)
}
