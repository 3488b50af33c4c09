//! Helpers shared by the whole-system tests: where the reference data lies, and what to do when it does not.

pub mod oracle;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the workspace: `DEBERTA_ROOT`, for programs that run elsewhere than where they were built.
pub fn workspace_root() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os("DEBERTA_ROOT")
        .map_or_else(built, PathBuf::from)
        .components()
        .collect()
}

/// A path below the folder of reference data, or `None` (after saying so on standard error) when the
/// folder is missing and the tests may run without it.
///
/// The folder is `DEBERTA_ASSETS`, by default `../shared/assets`; a relative path starts at the
/// workspace root. With `DEBERTA_REQUIRE_ASSETS=1` a missing file is a failure instead.
///
/// # Panics
/// Where the data is required and missing.
pub fn asset(relative: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("DEBERTA_ASSETS").unwrap_or_else(|| "../shared/assets".into());
    let path = workspace_root().join(folder).join(relative);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var_os("DEBERTA_REQUIRE_ASSETS").is_some_and(|v| v == "1");
    assert!(
        !required,
        "reference data {} is missing and DEBERTA_REQUIRE_ASSETS=1",
        path.display()
    );
    // Written to the stream itself: the test runner keeps what macros print and shows it for failures only.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: reference data {} is missing",
        path.display()
    );
    None
}

/// A path below the fixtures that the repository carries, made by the scripts under `tests/reference`.
pub fn fixture(relative: &str) -> PathBuf {
    workspace_root().join("tests/fixtures").join(relative)
}

/// A built example of any package. `cargo test --workspace` has built them already, in the same profile; a test of
/// this package alone has not.
///
/// # Panics
/// Where the examples do not build.
pub fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--workspace",
                "--examples",
                "--profile",
                "test",
                "--locked",
                "--quiet",
            ])
            .current_dir(workspace_root())
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the examples do not build");
        // target/debug/deps/examples-0123 lies beside target/debug/examples.
        let test = std::env::current_exe().expect("this test's path");
        test.parent()
            .and_then(Path::parent)
            .expect("the profile's folder")
            .join("examples")
    });
    folder.join(name)
}
