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
    let is_pipe = |error: &(dyn Error + 'static)| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if causes(error.as_ref()).any(is_pipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", chain(error.as_ref(), "\n  because: "));
    ExitCode::FAILURE
}

/// An error and its causes, with something between them.
pub(crate) fn chain(error: &(dyn Error + 'static), between: &str) -> String {
    let said: Vec<String> = causes(error).map(ToString::to_string).collect();
    said.join(between)
}

/// An error, its cause, the cause of that.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
