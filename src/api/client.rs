//! A blocking client of the API.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use axum::http::{HeaderMap, Request, StatusCode, header, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::{self, Runtime};

use super::capture::CaptureRequest;
use super::edit::BODY;
use super::events::Event;
use super::live::{Live, LiveRequest};
use super::model::{Changed, Failure, Mac, Neighbour, StaticChanges, Trace, TraceRequest};
use super::page::{MacFilter, NeighbourFilter};
use super::parts::{Flush, Flushed};
use super::routes::target;
use super::trace::to_hex;

/// How long a client waits for an answer: longer than the server waits for the control core.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a change, which must be read first, and then made.
const LONG_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a stream of events may be silent: it says something each 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection to a Ferry process.
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
    requests: SendRequest<Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No process listens.
    #[error(
        "no Ferry answers at {}: is it running? (ferry run -c FILE; another socket: --socket PATH)",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket's mode keeps us out.
    #[error("may not talk to {}: be root or of the socket's group", .0.display())]
    Forbidden(PathBuf),
    /// A process listens but does not answer.
    #[error("the process at {} did not answer within {} s", .0.display(), .1.as_secs())]
    TimedOut(PathBuf, Duration),
    /// It answered that it cannot.
    #[error("{error}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What is wrong.
        error: String,
    },
    /// It is no Ferry, or went away.
    #[error("no usable answer from {}: {reason}", socket.display())]
    Protocol {
        /// Where.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The system refuses.
    #[error("cannot connect to {}: {source}", socket.display())]
    System {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Client {
    /// Connects.
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        let system = |source| ClientError::System { socket: socket.to_owned(), source };
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let requests = runtime.block_on(async {
            let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NotRunning(socket.to_owned())
                }
                io::ErrorKind::PermissionDenied => ClientError::Forbidden(socket.to_owned()),
                _ => system(error),
            })?;
            let (requests, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| protocol(socket, error))?;
            // Its errors show up at the requests.
            tokio::spawn(connection);
            Ok(requests)
        })?;
        Ok(Self { socket: socket.to_owned(), runtime, requests })
    }

    /// What is at a path, such as `/v1/ports`.
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        Ok(self.fetch(path)?.1)
    }

    /// All MACs that match, page by page.
    pub fn macs(&mut self, filter: &MacFilter) -> Result<Vec<Mac>, ClientError> {
        self.pages("/v1/macs", filter)
    }

    /// All addresses that match, page by page.
    pub fn neighbours(&mut self, filter: &NeighbourFilter) -> Result<Vec<Neighbour>, ClientError> {
        self.pages("/v1/neighbours", filter)
    }

    fn pages<T: DeserializeOwned>(
        &mut self,
        path: &str,
        filter: &impl Serialize,
    ) -> Result<Vec<T>, ClientError> {
        let mut list = Vec::new();
        let mut next = Some(target(path, filter).map_err(|error| protocol(&self.socket, error))?);
        while let Some(page) = next {
            let (headers, more): (_, Vec<T>) = self.fetch(&page)?;
            list.extend(more);
            next = next_page(&headers);
        }
        Ok(list)
    }

    /// What would become of a frame that comes in by a port.
    pub fn trace(&mut self, port: &str, frame: &[u8]) -> Result<Trace, ClientError> {
        let request = TraceRequest { port: port.to_owned(), frame: to_hex(frame) };
        let body =
            serde_json::to_string(&request).map_err(|error| protocol(&self.socket, error))?;
        let head = Request::post("/v1/trace").header(header::CONTENT_TYPE, "application/json");
        Ok(self.exchange(head, body.into(), TIMEOUT)?.1)
    }

    /// Streams what passes a port to `sink`, until that says `false`, the other side ends, or SIGINT.
    pub fn capture(
        &mut self,
        request: &CaptureRequest,
        sink: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        self.stream("/v1/capture", request, sink)
    }

    /// What becomes of some frames that come in, until `each` has enough, the other side ends, or SIGINT.
    pub fn trace_live(
        &mut self,
        request: &LiveRequest,
        mut each: impl FnMut(Live) -> bool,
    ) -> Result<(), ClientError> {
        let socket = self.socket.clone();
        let (mut lines, mut failed) = (Lines::default(), None);
        self.stream("/v1/trace/live", request, |bytes| {
            lines.add(bytes);
            while let Some(data) = lines.next() {
                let goes_on =
                    serde_json::from_slice(&data).map(&mut each).unwrap_or_else(|error| {
                        failed = Some(protocol(&socket, error));
                        false
                    });
                if !goes_on {
                    return false;
                }
            }
            true
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn stream(
        &mut self,
        path: &str,
        request: &impl Serialize,
        mut sink: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        let socket = &self.socket;
        let body = serde_json::to_string(request).map_err(|error| protocol(socket, error))?;
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.into())
            .map_err(|error| protocol(socket, error))?;
        let requests = &mut self.requests;
        self.runtime.block_on(async {
            requests.ready().await.map_err(|error| protocol(socket, error))?;
            let answer = requests.send_request(request);
            let answer = tokio::time::timeout(TIMEOUT, answer)
                .await
                .map_err(|_| ClientError::TimedOut(socket.clone(), TIMEOUT))?;
            let (head, mut body) = answer.map_err(|error| protocol(socket, error))?.into_parts();
            if head.status != StatusCode::OK {
                let body = body.collect().await.map_err(|error| protocol(socket, error))?;
                return Err(refused(socket, head.status, &body.to_bytes()));
            }
            let mut interrupted = pin!(tokio::signal::ctrl_c());
            loop {
                let frame = tokio::select! {
                    frame = body.frame() => frame,
                    _ = &mut interrupted => return Ok(()),
                };
                let Some(frame) = frame else { return Ok(()) };
                let frame = frame.map_err(|error| protocol(socket, error))?;
                if frame.data_ref().is_some_and(|bytes| !sink(bytes)) {
                    return Ok(());
                }
            }
        })
    }

    fn fetch<T: DeserializeOwned>(&mut self, target: &str) -> Result<(HeaderMap, T), ClientError> {
        self.exchange(Request::get(target), Full::default(), TIMEOUT)
    }

    /// What happens from now on, until `each` has enough, or the process ends.
    pub fn events(&mut self, mut each: impl FnMut(&Event) -> bool) -> Result<(), ClientError> {
        let Self { socket, runtime, requests } = self;
        let wrong = |error: &dyn Display| protocol(socket, error);
        let request = Request::get("/v1/events").header(header::HOST, "localhost");
        let request = request.body(Full::default()).map_err(|error| wrong(&error))?;
        runtime.block_on(async {
            let late = |_| ClientError::TimedOut(socket.clone(), TIMEOUT);
            let answer = tokio::time::timeout(TIMEOUT, requests.send_request(request)).await;
            let mut body = answer.map_err(late)?.map_err(|error| wrong(&error))?.into_body();
            let mut lines = Lines::default();
            loop {
                let frame = tokio::time::timeout(SILENCE, body.frame()).await;
                let late = |_| ClientError::TimedOut(socket.clone(), SILENCE);
                // A process that ends may not get to end its answer.
                let Some(Ok(frame)) = frame.map_err(late)? else { return Ok(()) };
                lines.add(frame.data_ref().map_or(&[], |data| data));
                while let Some(data) = lines.next() {
                    let event = serde_json::from_slice(&data).map_err(|error| wrong(&error))?;
                    if !each(&event) {
                        return Ok(());
                    }
                }
            }
        })
    }

    /// Makes `macs`, a list in the form of the configuration's `networks[].macs`, the static MACs of a network, or
    /// only says what that would change. Errors in it name `file`.
    pub fn replace_macs(
        &mut self,
        vni: u32,
        macs: String,
        file: &Path,
        dry_run: bool,
    ) -> Result<StaticChanges, ClientError> {
        let path = format!("/v1/networks/{vni}/macs?dry_run={dry_run}");
        self.change(Request::put(path), macs, Some(file))
    }

    /// Makes `config` the running configuration, or only says what that would change. Errors in it name `file`.
    pub fn replace_config(
        &mut self,
        config: String,
        file: &Path,
        dry_run: bool,
    ) -> Result<Changed, ClientError> {
        let request = Request::put(format!("/v1/config?dry_run={dry_run}"));
        self.change_config(request, config, Some(file))
    }

    /// Adds a part of the configuration; where it need not be new, it may take the place of the one that is there. Errors
    /// in it name `file`, or only its keys.
    pub fn set(
        &mut self,
        path: &str,
        part: String,
        file: Option<&Path>,
        is_new: bool,
    ) -> Result<Changed, ClientError> {
        let request = Request::put(path);
        let request = if is_new { request.header(header::IF_NONE_MATCH, "*") } else { request };
        self.change_config(request, part, file)
    }

    /// Removes a part of the configuration, if it is there.
    pub fn remove(&mut self, path: &str) -> Result<Changed, ClientError> {
        self.change_config(Request::delete(path), String::new(), None)
    }

    /// Has learned MACs forgotten.
    pub fn flush(&mut self, flush: &Flush) -> Result<Flushed, ClientError> {
        let target = target("/v1/macs", flush).map_err(|error| protocol(&self.socket, error))?;
        self.change(Request::delete(target), String::new(), None)
    }

    fn change_config(
        &mut self,
        request: request::Builder,
        body: String,
        file: Option<&Path>,
    ) -> Result<Changed, ClientError> {
        let mut changed: Changed = self.change(request, body, file)?;
        changed.warnings.iter_mut().for_each(|warning| *warning = named(warning, file));
        Ok(changed)
    }

    /// Errors in the body name `file`, or only its keys.
    fn change<T: DeserializeOwned>(
        &mut self,
        request: request::Builder,
        body: String,
        file: Option<&Path>,
    ) -> Result<T, ClientError> {
        let answer = self.exchange(request, body.into(), LONG_TIMEOUT);
        answer.map(|(_, changes)| changes).map_err(|error| match error {
            ClientError::Refused { status, error } => {
                let lines: Vec<_> = error.lines().map(|line| named(line, file)).collect();
                let error = lines.join("\n");
                ClientError::Refused { status, error }
            }
            other => other,
        })
    }

    fn exchange<T: DeserializeOwned>(
        &mut self,
        request: request::Builder,
        body: Full<Bytes>,
        timeout: Duration,
    ) -> Result<(HeaderMap, T), ClientError> {
        let socket = &self.socket;
        let request = request
            .header(header::HOST, "localhost")
            .body(body)
            .map_err(|error| protocol(socket, error))?;
        let requests = &mut self.requests;
        let exchange = async {
            requests.ready().await?;
            let (head, body) = requests.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((head, body.collect().await?.to_bytes()))
        };
        let (head, body) = self
            .runtime
            .block_on(async { tokio::time::timeout(timeout, exchange).await })
            .map_err(|_| ClientError::TimedOut(socket.clone(), timeout))?
            .map_err(|error| protocol(socket, error))?;
        if head.status == StatusCode::OK {
            return Ok((
                head.headers,
                serde_json::from_slice(&body).map_err(|error| protocol(socket, error))?,
            ));
        }
        Err(refused(socket, head.status, &body))
    }
}

/// The data of server-sent events, which Ferry writes in one line each.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.0.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.0.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data: ") {
                return Some(data.to_vec());
            }
        }
    }
}

fn refused(socket: &Path, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice(body) {
        Ok(Failure { error }) => ClientError::Refused { status, error },
        Err(error) => protocol(socket, error),
    }
}

/// A message on a body as one on the file that it comes from, or on arguments, which have no lines.
fn named(message: &str, file: Option<&Path>) -> String {
    match (message.strip_prefix(BODY).and_then(|rest| rest.strip_prefix(':')), file) {
        (Some(rest), Some(file)) => format!("{}:{rest}", file.display()),
        (Some(rest), None) => rest.split_once(": ").map_or(rest, |(_, message)| message).to_owned(),
        (None, _) => message.to_owned(),
    }
}

fn protocol(socket: &Path, error: impl Display) -> ClientError {
    ClientError::Protocol { socket: socket.to_owned(), reason: error.to_string() }
}

/// The target of a `Link` header with `rel="next"` (RFC 8288), as Ferry writes it.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let (target, _) = link.strip_prefix('<')?.split_once(">; rel=\"next\"")?;
    Some(target.to_owned())
}
