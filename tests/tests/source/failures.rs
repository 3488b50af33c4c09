//! What goes wrong, and that nothing is left of it.

use std::fs;

use deberta_core::{Error, HubProblem, ResolveOptions, Source};
use serde_json::json;

use super::server::{COMMIT, Fault};
use super::{Bench, noise};

const FILE: &str = "model.safetensors";

#[test]
fn who_may_not_read_it_is_told_what_to_do() {
    let bench = Bench::small();
    bench.hub.require("hf_right");
    let problem = bench.problem(bench.options());
    assert!(
        matches!(problem, HubProblem::Unauthorized { token: false }),
        "{problem:?}"
    );
    assert!(problem.to_string().contains("HF_TOKEN"), "{problem}");
    let mut options = bench.options();
    options.token = Some("hf_wrong".to_owned());
    let problem = bench.problem(options.clone());
    assert!(
        matches!(problem, HubProblem::Unauthorized { token: true }),
        "{problem:?}"
    );
    assert!(!format!("{options:?}").contains("hf_wrong"));

    options.token = Some("hf_right".to_owned());
    bench.hub.fail(Fault::Status("config.json", 403), 1);
    let problem = bench.problem(options.clone());
    assert!(matches!(problem, HubProblem::Forbidden), "{problem:?}");
    assert_eq!(bench.names(), [""; 0]);
    bench.resolve_with(options.clone()).unwrap();

    // What cannot be sent is not, and not shown either.
    options.token = Some("hf\r\nX: y".to_owned());
    let error = Source::hub("org/other").unwrap();
    let error = error
        .resolve(&ResolveOptions::default().hub(options))
        .unwrap_err();
    assert!(
        matches!(error, Error::Argument { name: "token", .. }),
        "{error:?}"
    );
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let bench = Bench::small();
    let source = Source::hub("org/other").unwrap();
    let error = source
        .resolve(&ResolveOptions::default().hub(bench.options()))
        .unwrap_err();
    let Error::Hub {
        repository,
        file: None,
        problem: HubProblem::NotFound,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(repository, "org/other");
    // Nor was it tried again.
    assert_eq!(bench.hub.requests().len(), 1);
}

#[test]
fn a_file_of_another_size_is_refused() {
    let bench = Bench::small();
    for length in [699_999, 700_001, 0] {
        bench.hub.fail(Fault::Content(FILE, noise(length)), 1);
        let problem = bench.problem(bench.options());
        let found = length as u64;
        assert!(
            matches!(problem, HubProblem::WrongSize { expected: 700_000, found: f } if f == found),
            "{problem:?}"
        );
        assert!(!bench.snapshot().join(FILE).exists());
    }
    bench.resolve().unwrap();
}

#[test]
fn a_file_of_another_content_is_refused() {
    let bench = Bench::small();
    for file in ["tokenizer.json", FILE] {
        let mut content = bench.hub.files()[file].clone();
        *content.last_mut().unwrap() ^= 1;
        bench.hub.fail(Fault::Content(file, content), 1);
        let problem = bench.problem(bench.options());
        assert!(
            matches!(problem, HubProblem::WrongHash { .. }),
            "{problem:?}"
        );
        assert!(!bench.snapshot().join(file).exists());
    }
    bench.resolve().unwrap();
}

#[test]
fn what_passes_is_tried_again() {
    let bench = Bench::small();
    for status in [500, 503, 429] {
        bench.hub.fail(Fault::Status("/api/", status), 1);
    }
    // Three are too many.
    let problem = bench.problem(bench.options());
    assert!(
        matches!(problem, HubProblem::Status { status: 429 }),
        "{problem:?}"
    );
    bench.hub.fail(Fault::Status("/api/", 502), 2);
    bench.hub.fail(Fault::Status("/resolve/", 504), 2);
    bench.resolve().unwrap();
}

#[test]
fn an_address_that_is_not_good_any_more_is_asked_for_again() {
    let bench = Bench::small();
    let path = bench.blob(FILE);
    let name: &'static str = path
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
        .leak();
    bench.hub.fail(Fault::Status(name, 403), 2);
    bench.resolve().unwrap();
}

#[test]
fn no_connection_is_an_error_unless_the_cache_holds_a_model() {
    let bench = Bench::small();
    let mut unreachable = bench.options();
    // No one listens there, nor will one of the other tests.
    "http://127.0.0.1:1".clone_into(&mut unreachable.endpoint);
    let problem = bench.problem(unreachable.clone());
    assert!(matches!(problem, HubProblem::Network { .. }), "{problem:?}");

    bench.resolve().unwrap();
    // As if another program had got it, which did not ask for all the files.
    fs::remove_dir_all(bench.repository().join(".no_exist")).unwrap();
    fs::remove_file(bench.snapshot().join("tokenizer.json")).unwrap();
    bench.resolve_with(unreachable).unwrap();
    assert!(!bench.snapshot().join("tokenizer.json").exists());
    bench.hub.requests();
    bench.resolve().unwrap();
    // The list, and what is known of the file. Its content is there.
    assert_eq!(bench.hub.requests().len(), 2);
    assert!(bench.snapshot().join("tokenizer.json").exists());
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let bench = Bench::small();
    let listings = [
        json!({"sha": "../../../evil", "siblings": []}),
        json!({"sha": COMMIT}),
        json!("busy"),
    ];
    for listing in listings {
        bench.hub.fail(Fault::Listing(listing), 1);
        let problem = bench.problem(bench.options());
        assert!(
            matches!(problem, HubProblem::Response { .. }),
            "{problem:?}"
        );
    }
    for (header, value) in [
        ("X-Linked-Etag", "\"../../../evil\""),
        ("X-Linked-Etag", ""),
        ("X-Linked-Size", "many"),
        ("X-Repo-Commit", "fedcba9876543210fedcba9876543210fedcba98"),
    ] {
        bench
            .hub
            .fail(Fault::Header(FILE, header, value.to_owned()), 1);
        let problem = bench.problem(bench.options());
        assert!(
            matches!(problem, HubProblem::Response { .. }),
            "{header}: {problem:?}"
        );
    }
    // Round and round.
    let itself = format!("{}/org/model/resolve/{COMMIT}/{FILE}", bench.hub.endpoint);
    bench.hub.fail(Fault::Header(FILE, "Location", itself), 100);
    let problem = bench.problem(bench.options());
    assert!(
        matches!(problem, HubProblem::Response { .. }),
        "{problem:?}"
    );
    bench.hub.mend();
    bench.resolve().unwrap();

    let mut options = bench.options();
    options.endpoint = "hub".to_owned();
    let error = Source::hub("org/other").unwrap();
    let error = error
        .resolve(&ResolveOptions::default().hub(options))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Argument {
                name: "endpoint",
                ..
            }
        ),
        "{error:?}"
    );
}

/// A device that is always full takes the place of the file.
#[cfg(target_os = "linux")]
#[test]
fn where_there_is_no_space_it_is_said() {
    let bench = Bench::small();
    fs::create_dir_all(bench.repository().join("blobs")).unwrap();
    std::os::unix::fs::symlink("/dev/full", bench.partial(FILE)).unwrap();
    let problem = bench.problem(bench.options());
    assert!(matches!(problem, HubProblem::NoSpace { .. }), "{problem:?}");
    assert!(!bench.snapshot().join(FILE).exists());
    fs::remove_file(bench.partial(FILE)).unwrap();
    bench.resolve().unwrap();
}
