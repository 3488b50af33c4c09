//! Downloads that were interrupted.

use std::cell::Cell;
use std::fs;

use deberta_core::{Error, HubProblem, ResolveOptions, Source};

use super::server::{Fault, REPOSITORY, Request};
use super::{Bench, noise};

const FILE: &str = "model.safetensors";
const SIZE: usize = 700_000;

/// From which bytes on the large file was got.
fn pieces(requests: &[Request]) -> Vec<Option<usize>> {
    let storage = requests.iter().filter(|request| !request.to_hub);
    storage.map(|request| request.first).collect()
}

#[test]
fn what_was_cut_goes_on_where_it_ended() {
    let bench = Bench::small();
    bench.hub.fail(Fault::Cut(FILE, 300_000), 1);
    let mut options = bench.options();
    options.retries = 0;
    let problem = bench.problem(options.clone());
    assert!(matches!(problem, HubProblem::Network { .. }), "{problem:?}");
    assert!(!bench.snapshot().join(FILE).exists());
    assert_eq!(fs::metadata(bench.partial(FILE)).unwrap().len(), 300_000);
    assert_eq!(pieces(&bench.hub.requests()), [None]);

    bench.resolve_with(options).unwrap();
    assert_eq!(pieces(&bench.hub.requests()), [Some(300_000)]);
    assert!(bench.snapshot().join(FILE).exists());
    assert!(!bench.partial(FILE).exists());
}

#[test]
fn a_connection_that_breaks_again_and_again_is_no_failure_while_it_gets_further() {
    let bench = Bench::small();
    bench.hub.fail(Fault::Cut(FILE, 100_000), 6);
    bench.resolve().unwrap();
    let from = |n: usize| (n > 0).then_some(n * 100_000);
    assert_eq!(
        pieces(&bench.hub.requests()),
        (0..7).map(from).collect::<Vec<_>>()
    );
}

#[test]
fn a_server_that_cannot_go_on_sends_all_of_it() {
    let bench = Bench::small();
    bench.hub.fail(Fault::Cut(FILE, 300_000), 1);
    bench.hub.fail(Fault::IgnoreRange(FILE), 2);
    bench.resolve().unwrap();
    assert_eq!(pieces(&bench.hub.requests()), [None, Some(300_000)]);
}

#[test]
fn a_server_that_never_gets_further_is_given_up() {
    let bench = Bench::small();
    bench.hub.fail(Fault::Cut(FILE, 1000), 100);
    bench.hub.fail(Fault::IgnoreRange(FILE), 100);
    let problem = bench.problem(bench.options());
    assert!(matches!(problem, HubProblem::Network { .. }), "{problem:?}");
    assert_eq!(pieces(&bench.hub.requests()).len(), 3);
    bench.hub.mend();
    bench.resolve().unwrap();
}

#[test]
fn a_part_that_is_of_something_else_is_forgotten() {
    for length in [1000, SIZE, SIZE + 1] {
        let bench = Bench::small();
        fs::create_dir_all(bench.repository().join("blobs")).unwrap();
        fs::write(bench.partial(FILE), vec![0; length]).unwrap();
        bench.resolve().unwrap();
        let expected: &[_] = match length {
            1000 => &[Some(1000), None],
            _ => &[None],
        };
        assert_eq!(pieces(&bench.hub.requests()), expected, "{length}");
    }
}

#[test]
fn a_part_that_is_all_of_it_needs_no_request() {
    let bench = Bench::small();
    fs::create_dir_all(bench.repository().join("blobs")).unwrap();
    fs::write(bench.partial(FILE), noise(SIZE)).unwrap();
    bench.resolve().unwrap();
    assert_eq!(pieces(&bench.hub.requests()), []);
}

#[test]
fn a_caller_that_ends_it_can_go_on_later() {
    let bench = Bench::small();
    let source = Source::hub(REPOSITORY).unwrap();
    let most = Cell::new(0);
    let options = ResolveOptions::default()
        .hub(bench.options())
        .progress(|at| {
            most.set(at.file_received.max(most.get()));
            at.file_received < 100_000
        });
    let error = source.resolve(&options).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error:?}");
    bench.check();
    assert!(!bench.snapshot().join(FILE).exists());
    bench.hub.requests();
    bench.resolve().unwrap();
    assert_eq!(pieces(&bench.hub.requests()), [Some(most.get() as usize)]);
}
