//! The examples as a new user runs them: what they print, what they refuse, and how they end.

mod forward;
mod tasks;
mod texts;
mod tools;
mod writing;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use deberta_tests::{example, workspace_root};
use serde_json::Value;

pub(crate) fn command(name: &str) -> Command {
    Command::new(example(name))
}

/// Runs an example with these bytes on its standard input.
pub(crate) fn run(example: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child = command(example)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    // An example that ends before reading closes the pipe: no failure of the test.
    let _ = child.stdin.take().expect("piped").write_all(input.as_ref());
    child.wait_with_output().expect("the example ends")
}

pub(crate) fn answer(example: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let output = run(example, arguments, input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What an example that must fail says.
pub(crate) fn refusal(example: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> String {
    let output = run(example, arguments, input);
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        output.status.code(),
        Some(1),
        "{example} {arguments:?}: {errors}"
    );
    assert!(
        errors.starts_with("error: ") && !errors.contains("panicked"),
        "{errors}"
    );
    errors
}

pub(crate) fn objects(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object per line"))
        .collect()
}

pub(crate) fn fixture(path: &str) -> String {
    let path = workspace_root().join("tests/fixtures").join(path);
    path.to_str().expect("a path in UTF-8").to_owned()
}

pub(crate) fn folder(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&path).expect("a directory");
    path
}
