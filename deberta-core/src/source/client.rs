//! Requests: redirects, further tries, and what a failure means.

use std::cell::Cell;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body};

use super::progress::Reporter;
use super::{HubOptions, HubProblem};
use crate::Error;

/// How often a server may send on.
const REDIRECTS: usize = 10;
/// The longest that a server can make this wait before a further try.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a try failed.
pub(super) enum Failure {
    /// The next may not; a server may say when.
    Passing(HubProblem, Option<Duration>),
    Lasting(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// What the hub says of a file, not what other servers say that it redirects to.
    About,
    /// The content from this byte on.
    From(u64),
}

/// Makes requests about one repository.
pub(super) struct Client<'a> {
    agent: Agent,
    hub: Uri,
    repository: &'a str,
    pub(super) options: &'a HubOptions,
    pub(super) reporter: &'a Reporter<'a>,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        repository: &'a str,
        options: &'a HubOptions,
        reporter: &'a Reporter<'a>,
    ) -> Result<Self, Error> {
        options.check()?;
        let endpoint = options.endpoint.trim_end_matches('/');
        let hub = endpoint.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        let hub = hub.ok_or_else(|| Error::Argument {
            name: "endpoint",
            expected: "an address such as https://huggingface.co".to_owned(),
            found: format!("{:?}", options.endpoint),
        })?;
        let mut config = Agent::config_builder();
        if matches!(hub.host(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            // No proxy leads back to this machine.
            config = config.proxy(None);
        }
        let config = config
            .http_status_as_error(false)
            // Followed here, to know where the token may go.
            .max_redirects(0)
            .https_only(hub.scheme_str() == Some("https"))
            .timeout_resolve(Some(options.timeout))
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout))
            .timeout_per_write(Some(options.timeout))
            .user_agent(concat!("deberta-rs/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            agent: config.into(),
            hub,
            repository,
            options,
            reporter,
        })
    }

    /// The address of something on the hub; `path` begins with a slash.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.options.endpoint.trim_end_matches('/'))
    }

    /// An error about a file, or about the repository where it is empty.
    pub(super) fn error(&self, file: &str, problem: HubProblem) -> Error {
        Error::Hub {
            repository: self.repository.to_owned(),
            file: (!file.is_empty()).then(|| file.to_owned()),
            problem,
        }
    }

    /// Tries until it works, or has failed too often since `furthest` last grew.
    pub(super) fn retry<T>(
        &self,
        file: &str,
        mut attempt: impl FnMut() -> Result<T, Failure>,
        furthest: &Cell<u64>,
    ) -> Result<T, Error> {
        let (mut failures, mut reached) = (0, furthest.get());
        loop {
            let (problem, wait) = match attempt() {
                Ok(value) => return Ok(value),
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(problem, wait)) => (problem, wait),
            };
            if furthest.get() > reached {
                (failures, reached) = (0, furthest.get());
            }
            if failures == self.options.retries {
                return Err(self.error(file, problem));
            }
            let doubled = self.options.backoff.saturating_mul(1 << failures.min(16));
            let wait = doubled.max(wait.unwrap_or_default()).min(LONGEST_WAIT);
            self.reporter.wait(wait)?;
            failures += 1;
        }
    }

    /// Asks once, and wherever the answer says to ask. `seen` is shown the headers of each answer of the hub's, and
    /// whether it is the last one.
    pub(super) fn ask(
        &self,
        file: &str,
        address: &str,
        ask: Ask,
        mut seen: impl FnMut(&HeaderMap, bool),
    ) -> Result<Response<Body>, Failure> {
        let bad = |expected: &str, found: &str| {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            Failure::Lasting(self.error(file, HubProblem::Response { expected, found }))
        };
        let read = |address: &str| address.parse::<Uri>();
        let mut uri = read(address).map_err(|_| bad("an address", address))?;
        for _ in 0..=REDIRECTS {
            self.reporter.tick()?;
            let is_hub = self.is_hub(&uri);
            let response = self.send(file, &uri, is_hub, ask)?;
            let status = response.status().as_u16();
            let goes_on = matches!(status, 301 | 302 | 303 | 307 | 308);
            if is_hub && (goes_on || response.status().is_success()) {
                seen(response.headers(), !goes_on);
            }
            if !goes_on {
                return self.judge(file, response, is_hub);
            }
            let location = text(response.headers(), header::LOCATION.as_str());
            let location = location.ok_or_else(|| bad("an address to go on at", "none"))?;
            uri = read(&resolve(&uri, location)).map_err(|_| bad("an address", location))?;
            if ask == Ask::About && !self.is_hub(&uri) {
                return Ok(response);
            }
        }
        Err(bad("an answer", "ever new addresses to go on at"))
    }

    /// Whether an address is the hub's, which may see the token.
    fn is_hub(&self, uri: &Uri) -> bool {
        let origin = |uri: &Uri| {
            let default = if uri.scheme_str() == Some("https") {
                443
            } else {
                80
            };
            let host = uri.host().map(str::to_ascii_lowercase);
            (
                uri.scheme_str().map(str::to_owned),
                host,
                uri.port_u16().unwrap_or(default),
            )
        };
        origin(uri) == origin(&self.hub)
    }

    fn send(
        &self,
        file: &str,
        uri: &Uri,
        is_hub: bool,
        ask: Ask,
    ) -> Result<Response<Body>, Failure> {
        let mut request = match ask {
            Ask::About => self.agent.head(uri),
            Ask::From(_) => self.agent.get(uri),
        };
        // What is packed on the way has neither the size nor the checksum of the file.
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if let Ask::From(first @ 1..) = ask {
            request = request.header(header::RANGE, format!("bytes={first}-"));
        }
        if let (true, Some(token)) = (is_hub, &self.options.token) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(|error| {
            let passing = is_passing(&error);
            let problem = HubProblem::Network {
                source: Box::new(error),
            };
            match passing {
                true => Failure::Passing(problem, None),
                false => Failure::Lasting(self.error(file, problem)),
            }
        })
    }

    /// What an answer that sends nowhere else means.
    fn judge(
        &self,
        file: &str,
        response: Response<Body>,
        is_hub: bool,
    ) -> Result<Response<Body>, Failure> {
        let status = response.status().as_u16();
        let problem = match status {
            200 | 206 | 416 => return Ok(response),
            408 | 429 | 500.. => {
                let seconds = text(response.headers(), header::RETRY_AFTER.as_str());
                let wait = seconds
                    .and_then(|s| s.parse().ok())
                    .map(Duration::from_secs);
                return Err(Failure::Passing(HubProblem::Status { status }, wait));
            }
            // An address that the hub gave out is good for a while only: the next try asks for another.
            _ if !is_hub => return Err(Failure::Passing(HubProblem::Status { status }, None)),
            401 => HubProblem::Unauthorized {
                token: self.options.token.is_some(),
            },
            403 => HubProblem::Forbidden,
            404 | 410 => HubProblem::NotFound,
            _ => HubProblem::Status { status },
        };
        Err(Failure::Lasting(self.error(file, problem)))
    }
}

/// Whether the same request may work later.
fn is_passing(error: &ureq::Error) -> bool {
    use ureq::Error as E;
    matches!(
        error,
        E::Io(_)
            | E::Timeout(_)
            | E::HostNotFound
            | E::ConnectionFailed
            | E::ConnectProxyFailed(_)
            | E::Protocol(_)
    )
}

/// A header's value where it is text.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The address that a redirect from `base` means.
fn resolve(base: &Uri, location: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    if location.contains("://") && !location.starts_with(['/', '?']) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    }
}
