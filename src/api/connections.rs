//! Connections of a listener: only so many at once, and over TCP none that keeps silent.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a stop waits for answers under way.
pub const STOP_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a client that is one too many may take to hear that.
const REFUSAL: Duration = Duration::from_secs(1);
/// So many are told at once; more are closed without a word.
const REFUSALS: usize = 64;

/// Connections that a listener holds: all listeners together leave file descriptors for devices and guests.
const MOST: usize = 256;

/// What clients of a listener may do.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Time from the beginning of a connection, or the end of an answer, until the next request's head is there; `None`: as
    /// long as they like.
    pub silence: Option<Duration>,
}

impl Limits {
    /// Of who may use a unix socket.
    pub const LOCAL: Self = Self { connections: MOST, silence: None };
    /// Of whoever reaches the TCP listener.
    pub const TCP: Self = Self { connections: MOST, silence: Some(Duration::from_secs(30)) };
}

/// Counts the connections that were refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused(Arc<AtomicU64>);

impl Refused {
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Answers until told to stop; answers under way then get [`STOP_TIMEOUT`] to end.
pub(super) async fn answer<L: Listener<Addr: Debug>>(
    mut listener: L,
    routes: Router,
    limits: Limits,
    refused: Refused,
    mut stopping: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.silence);
    let routes = TowerToHyperService::new(routes);
    let connections = GracefulShutdown::new();
    let mut refusals = JoinSet::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => break,
        };
        while refusals.try_join_next().is_some() {}
        if connections.count() >= limits.connections {
            refused.0.fetch_add(1, Relaxed);
            if refusals.len() < REFUSALS {
                refusals.spawn(timeout(REFUSAL, refuse(stream, limits.connections)));
            }
            continue;
        }
        let connection = http.serve_connection(TokioIo::new(stream), routes.clone());
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("{address:?}: {error}");
            }
        });
    }
    drop(listener);
    let _ = timeout(STOP_TIMEOUT, connections.shutdown()).await;
}

/// Says that there are too many, and waits until that is read: what is closed with a request unread loses its answer.
async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, most: usize) {
    let body = format!(
        "{{\"error\":\"{most} connections are open, and no more are taken: close some, or ask at another socket\"}}"
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    }
}
