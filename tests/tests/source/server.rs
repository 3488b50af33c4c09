//! A hub on this machine: it lists, redirects, and fails on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The one repository that this hub has.
pub(crate) const REPOSITORY: &str = "org/model";
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes of the file's content.
    Cut(&'static str, usize),
    /// The whole file is sent, whatever was asked for.
    IgnoreRange(&'static str),
    /// The content is another.
    Content(&'static str, Vec<u8>),
    /// Requests whose path holds this are answered with this status.
    Status(&'static str, u16),
    /// What the hub says of the file has this header instead of its own.
    Header(&'static str, &'static str, String),
    /// The hub lists this instead.
    Listing(serde_json::Value),
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Whether the hub was asked, and not the server that it redirects to.
    pub(crate) to_hub: bool,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The first byte that was asked for.
    pub(crate) first: Option<usize>,
    pub(crate) authorization: Option<String>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    token: Mutex<Option<String>>,
    faults: Mutex<Vec<(Fault, usize)>>,
    requests: Mutex<Vec<Request>>,
    /// The address of the server with the large files.
    storage: String,
}

pub(crate) struct Hub {
    pub(crate) endpoint: String,
    state: Arc<State>,
}

impl Hub {
    pub(crate) fn new<C: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (&'static str, C)>,
    ) -> Self {
        let (hub, storage) = (listen(), listen());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let files = files
            .into_iter()
            .map(|(name, content)| (name.to_owned(), content.into()));
        let state = Arc::new(State {
            files: files.collect(),
            storage: address(&storage),
            ..State::default()
        });
        let endpoint = address(&hub);
        for (listener, to_hub) in [(hub, true), (storage, false)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let (stream, state) = (stream.unwrap(), Arc::clone(&state));
                    thread::spawn(move || state.answer(stream, to_hub));
                }
            });
        }
        Self { endpoint, state }
    }

    pub(crate) fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.state.files
    }

    /// Only who has this token is answered.
    pub(crate) fn require(&self, token: &str) {
        *self.state.token.lock().unwrap() = Some(token.to_owned());
    }

    /// Lets something go wrong so many times.
    pub(crate) fn fail(&self, fault: Fault, times: usize) {
        self.state.faults.lock().unwrap().push((fault, times));
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn mend(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// The requests since this was last asked.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }
}

/// The name that the hub has for a content.
pub(crate) fn checksum(name: &str, content: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
    if is_large(name) {
        return hex(&Sha256::digest(content));
    }
    let git = Sha1::new().chain_update(format!("blob {}\0", content.len()));
    hex(&git.chain_update(content).finalize())
}

fn is_large(name: &str) -> bool {
    [".safetensors", ".bin", ".model"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

impl State {
    /// The fault that `wanted` picks, if it is to happen once more.
    fn fault<T>(&self, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let mut faults = self.faults.lock().unwrap();
        let left = |(fault, times): &mut (Fault, usize)| {
            let found = wanted(fault).filter(|_| *times > 0)?;
            *times -= 1;
            Some(found)
        };
        faults.iter_mut().find_map(left)
    }

    fn answer(&self, stream: TcpStream, to_hub: bool) {
        let Some(request) = read(&stream, to_hub) else {
            return;
        };
        self.requests.lock().unwrap().push(request.clone());
        let status = self.fault(|fault| match fault {
            Fault::Status(part, status) if request.path.contains(part) => Some(*status),
            _ => None,
        });
        if let Some(status) = status {
            return reply(&stream, status, &[], b"");
        }
        if !to_hub {
            let (name, content) =
                self.file(|name, content| request.path[1..] == checksum(name, content));
            return self.send(&stream, &request, name, content, &[]);
        }
        let token = self.token.lock().unwrap().clone();
        let sent = request
            .authorization
            .as_deref()
            .and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some() && token.as_deref() != sent {
            return reply(
                &stream,
                401,
                &[("X-Error-Code", "RepoNotFound".into())],
                b"",
            );
        }
        if request
            .path
            .starts_with(&format!("/api/models/{REPOSITORY}/revision/"))
        {
            let files = self.files.keys().map(|name| json!({"rfilename": name}));
            let listing = self.fault(|fault| match fault {
                Fault::Listing(listing) => Some(listing.clone()),
                _ => None,
            });
            let listing = listing.unwrap_or_else(
                || json!({"sha": COMMIT, "siblings": files.collect::<Vec<_>>(), "more": [1]}),
            );
            return reply(&stream, 200, &[], listing.to_string().as_bytes());
        }
        let prefix = format!("/{REPOSITORY}/resolve/{COMMIT}/");
        let wanted = request.path.strip_prefix(&prefix);
        match wanted.filter(|&wanted| self.files.contains_key(wanted)) {
            Some(wanted) => {
                let (name, content) = self.file(|name, _| name == wanted);
                self.resolve(&stream, &request, name, content);
            }
            None => reply(&stream, 404, &[], b""),
        }
    }

    fn file(&self, wanted: impl Fn(&str, &[u8]) -> bool) -> (&str, &[u8]) {
        let mut files = self
            .files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_slice()));
        files
            .find(|(name, content)| wanted(name, content))
            .expect("a file of this hub")
    }

    /// What the hub says of a file, and the content of small ones.
    fn resolve(&self, stream: &TcpStream, request: &Request, name: &str, content: &[u8]) {
        let etag = checksum(name, content);
        let mut headers = vec![("X-Repo-Commit", COMMIT.to_owned())];
        if is_large(name) {
            headers.push(("X-Linked-Etag", format!("\"{etag}\"")));
            headers.push(("X-Linked-Size", content.len().to_string()));
            headers.push(("ETag", "\"of the redirect\"".to_owned()));
            headers.push(("Location", format!("{}/{etag}", self.storage)));
        } else {
            headers.push(("ETag", format!("W/\"{etag}\"")));
        }
        let other = self.fault(|fault| match fault {
            Fault::Header(file, header, value) if *file == name => Some((*header, value.clone())),
            _ => None,
        });
        if let Some((header, value)) = other {
            headers.retain(|(name, _)| *name != header);
            headers.push((header, value));
        }
        match is_large(name) {
            true => reply(stream, 302, &headers, b"Found"),
            false => self.send(stream, request, name, content, &headers),
        }
    }

    /// The content of a file from the byte that is asked for.
    fn send(
        &self,
        stream: &TcpStream,
        request: &Request,
        name: &str,
        content: &[u8],
        headers: &[(&str, String)],
    ) {
        let mut headers = headers.to_vec();
        if request.method == "HEAD" {
            headers.push(("Content-Length", content.len().to_string()));
            return reply(stream, 200, &headers, b"");
        }
        let other = self.fault(|fault| match fault {
            Fault::Content(file, content) if *file == name => Some(content.clone()),
            _ => None,
        });
        let content = other.as_deref().unwrap_or(content);
        let ignored = self.fault(|fault| match fault {
            Fault::IgnoreRange(file) if *file == name => Some(()),
            _ => None,
        });
        let first = request.first.filter(|_| ignored.is_none());
        let body = content.get(first.unwrap_or(0)..).unwrap_or_default();
        let status = match first {
            None => 200,
            Some(_) if body.is_empty() => 416,
            Some(first) => {
                let (last, length) = (content.len() - 1, content.len());
                headers.push(("Content-Range", format!("bytes {first}-{last}/{length}")));
                206
            }
        };
        headers.push(("Content-Length", body.len().to_string()));
        let cut = self.fault(|fault| match fault {
            Fault::Cut(file, at) if *file == name => Some(*at),
            _ => None,
        });
        reply(stream, status, &headers, &body[..cut.unwrap_or(body.len())]);
    }
}

/// The next request of a connection.
fn read(stream: &TcpStream, to_hub: bool) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let mut request = Request {
        to_hub,
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        first: None,
        authorization: None,
    };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                request.first = value
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            }
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

/// Sends an answer and ends the connection. Who asked may have gone.
fn reply(mut stream: &TcpStream, status: u16, headers: &[(&str, String)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.shutdown(Shutdown::Write);
    // Until the other side has read it all: what is closed with bytes unread is cut.
    let _ = stream.read_to_end(&mut Vec::new());
}
