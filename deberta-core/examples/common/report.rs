//! How an example ends.

use std::error::Error;
use std::io;
use std::process::ExitCode;

/// What ends an example.
pub(crate) type Failure = Box<dyn Error>;

/// Runs an example and reports its error with all causes. A reader that went away (`| head`) is none.
pub(crate) fn end(result: Result<(), Failure>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let mut cause: Option<&dyn Error> = Some(error.as_ref());
    let mut chain = Vec::new();
    while let Some(error) = cause {
        let pipe = error.downcast_ref::<io::Error>();
        if pipe.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        chain.push(error.to_string());
        cause = error.source();
    }
    eprintln!("error: {}", chain.join("\n  because: "));
    ExitCode::FAILURE
}
