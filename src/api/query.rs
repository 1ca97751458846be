//! The seam between the API and the control core.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};

use super::capture::{CaptureRefusal, Direction, Watching};
use super::connections::Refused;
use super::events::Events;
use super::live::{Live, LiveRefusal};
use super::metrics::Reading;
use super::model::{DropCount, Group, Mirror, Network, Peer, Port, Totals, Trace, Version, Worker};
use super::page::{MacFilter, MacPage, NeighbourFilter, NeighbourPage};
use super::parts::{Flush, Flushed};
use super::trace::TraceError;
use crate::config::{Config, Metrics};
use crate::worker::Filter;

/// How long a request waits for the control core.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Queries that may wait for the control core. More are refused, so that a flood of requests cannot grow.
const BACKLOG: usize = 64;

/// A question to the control core, with the way back for its answer.
#[derive(Debug)]
pub enum Query {
    /// All ports.
    Ports(Reply<Vec<Port>>),
    /// All networks, by ascending ID.
    Networks(Reply<Vec<Network>>),
    /// Some MACs.
    Macs(MacFilter, Reply<MacPage>),
    /// Some addresses.
    Neighbours(NeighbourFilter, Reply<NeighbourPage>),
    /// All members of multicast groups, by ascending network ID and group.
    Groups(Reply<Vec<Group>>),
    /// The running configuration.
    Config(Reply<Running>),
    /// Another configuration in the place of the running one. Nothing but what a running process can change differs.
    Apply {
        /// What is wanted.
        config: Arc<Config>,
        /// The way back, for the version then.
        reply: Reply<Result<u64, ApplyError>>,
    },
    /// Forgets learned MACs.
    Flush(Flush, Reply<Flushed>),
    /// All peers.
    Peers(Reply<Vec<Peer>>),
    /// All mirrors.
    Mirrors(Reply<Vec<Mirror>>),
    /// All workers.
    Workers(Reply<Vec<Worker>>),
    /// Drops by port and reason.
    Drops {
        /// Whether to list those that never happened, too.
        all: bool,
        /// The way back.
        reply: Reply<Vec<DropCount>>,
    },
    /// What would become of a frame.
    Trace {
        /// Name of the port that it comes in by.
        port: String,
        /// The frame.
        frame: Vec<u8>,
        /// The way back.
        reply: Reply<Result<Trace, TraceError>>,
    },
    /// Show what passes a port.
    Capture {
        /// Its name.
        port: String,
        /// Which frames; `None`: all.
        filter: Option<Filter>,
        /// Which way.
        direction: Direction,
        /// The way back.
        reply: Reply<Result<Watching, CaptureRefusal>>,
    },
    /// Tell what becomes of some frames.
    Live {
        /// Name of the port that they come in by; `None`: any.
        port: Option<String>,
        /// Which frames; `None`: any.
        filter: Option<Filter>,
        /// At most so many a second.
        rate: u32,
        /// The way back.
        reply: Reply<Result<mpsc::Receiver<Live>, LiveRefusal>>,
    },
    /// The sums.
    Totals(Reply<Totals>),
    /// All that is counted.
    Reading {
        /// What else is told.
        of: Metrics,
        /// The way back.
        reply: Reply<Reading>,
    },
}

/// The way back to whoever asked. Dropping it tells them that there will be no answer.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// Answers; never blocks. Whoever asked may have gone, which does not concern the control core.
    pub fn send(self, answer: T) {
        let _ = self.0.send(answer);
    }
}

/// Why a query got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Too many queries wait already.
    #[error("the control core has {BACKLOG} questions to answer already: try again")]
    Busy,
    /// It took too long.
    #[error(
        "the control core did not answer within {} s: see Ferry's log, or try again",
        .0.as_secs()
    )]
    TimedOut(Duration),
    /// The control core is gone, or dropped the query.
    #[error("Ferry is stopping")]
    Stopping,
}

/// A configuration and its version.
#[derive(Clone, Debug)]
pub struct Running {
    /// What is in force.
    pub config: Arc<Config>,
    /// Counts changes, from 0.
    pub version: u64,
    /// Names of access ports whose interfaces are gone, and that can be plugged in again.
    pub lost: Vec<String>,
}

/// Why the running configuration is still what it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A device.
    #[error("{0}; nothing was changed")]
    Failed(String),
    /// The machine's memory is at its end.
    #[error("no memory for {0} of the static MACs and addresses; nothing was changed")]
    NoPlace(usize),
}

/// The API's end: asks, and waits for the answer.
#[derive(Clone, Debug)]
pub struct Handle {
    queries: Sender<Query>,
    version: Version,
    started: SystemTime,
    events: Events,
    /// Connections that the API did not take.
    refused: Refused,
    /// Tells this process's configurations from those of another.
    process: u64,
    /// Whose turn it is to change the configuration.
    turn: Arc<Mutex<()>>,
}

/// The two ends of the seam. The version needs no asking: it does not change.
pub fn channel(version: Version) -> (Handle, Receiver<Query>) {
    let (queries, receiver) = channel::bounded(BACKLOG);
    let process = RandomState::new().build_hasher().finish();
    (
        Handle {
            queries,
            version,
            started: SystemTime::now(),
            events: Events::default(),
            refused: Refused::default(),
            process,
            turn: Arc::default(),
        },
        receiver,
    )
}

impl Handle {
    /// Asks what `query` makes of a reply, such as `Query::Ports`.
    pub async fn ask<T>(&self, query: impl FnOnce(Reply<T>) -> Query) -> Result<T, Unanswered> {
        self.ask_within(REPLY_TIMEOUT, query).await
    }

    /// The same with another patience than [`REPLY_TIMEOUT`].
    pub async fn ask_within<T>(
        &self,
        patience: Duration,
        query: impl FnOnce(Reply<T>) -> Query,
    ) -> Result<T, Unanswered> {
        match tokio::time::timeout(patience, self.post(query)?).await {
            Ok(answer) => answer.map_err(|_| Unanswered::Stopping),
            Err(_) => Err(Unanswered::TimedOut(patience)),
        }
    }

    /// The same on a thread of which nothing else is expected: it waits as long as that takes.
    pub(super) fn ask_and_wait<T>(
        &self,
        query: impl FnOnce(Reply<T>) -> Query,
    ) -> Result<T, Unanswered> {
        self.post(query)?.blocking_recv().map_err(|_| Unanswered::Stopping)
    }

    fn post<T>(
        &self,
        query: impl FnOnce(Reply<T>) -> Query,
    ) -> Result<oneshot::Receiver<T>, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.queries.try_send(query(Reply(reply))).map_err(|error| match error {
            TrySendError::Full(_) => Unanswered::Busy,
            TrySendError::Disconnected(_) => Unanswered::Stopping,
        })?;
        Ok(answer)
    }

    /// Waits until nobody else changes the configuration, and keeps others waiting.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The ETag of a version of the configuration (RFC 9110 section 8.8.3).
    pub(super) fn tag(&self, version: u64) -> String {
        format!("\"{:x}-{version}\"", self.process)
    }

    /// What whoever listens hears.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// How many connections were refused.
    pub(super) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// When it was started.
    pub(super) fn started(&self) -> SystemTime {
        self.started
    }

    /// What runs.
    pub fn version(&self) -> &Version {
        &self.version
    }
}
