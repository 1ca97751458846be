//! The seam between the API and the control core.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use tokio::sync::oneshot;

use super::model::{DropCount, Group, Network, Peer, Port, StaticChanges, Totals, Version, Worker};
use super::page::{MacFilter, MacPage, NeighbourFilter, NeighbourPage};
use crate::config::{Config, StaticMac};

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
    /// Other static MACs for a network, in the place of all that it has.
    ReplaceMacs {
        /// The network.
        vni: u32,
        /// Its static MACs from now on.
        macs: Vec<StaticMac>,
        /// The way back.
        reply: Reply<Result<StaticChanges, ReplaceError>>,
    },
    /// All peers.
    Peers(Reply<Vec<Peer>>),
    /// All workers.
    Workers(Reply<Vec<Worker>>),
    /// Drops by port and reason.
    Drops {
        /// Whether to list those that never happened, too.
        all: bool,
        /// The way back.
        reply: Reply<Vec<DropCount>>,
    },
    /// The sums.
    Totals(Reply<Totals>),
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
    /// It took longer than [`REPLY_TIMEOUT`].
    #[error(
        "the control core did not answer within {} s: see Ferry's log, or try again",
        REPLY_TIMEOUT.as_secs()
    )]
    TimedOut,
    /// The control core is gone, or dropped the query.
    #[error("Ferry is stopping")]
    Stopping,
}

/// Why a set of static MACs was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// There is no such network.
    #[error("no network has the VNI {0}; 'ferry show networks' lists those that there are")]
    UnknownNetwork(u32),
    /// A peer would have to be told apart by what nothing on the wire says.
    #[error(
        "{address} speaks {speaks} in network '{network}', and both look the same on the wire; let it speak one of nvgre and gre"
    )]
    Dialect {
        /// The peer.
        address: IpAddr,
        /// What it speaks elsewhere.
        speaks: &'static str,
        /// Where.
        network: String,
    },
    /// The machine's memory is at its end.
    #[error("no memory for {0} of the MACs and addresses; all others are in force")]
    NoPlace(usize),
}

/// The API's end: asks, and waits for the answer.
#[derive(Clone, Debug)]
pub struct Handle {
    queries: Sender<Query>,
    version: Version,
    config: Arc<Config>,
}

/// The two ends of the seam. `version` and `config` need no asking: they do not change.
pub fn channel(version: Version, config: Arc<Config>) -> (Handle, Receiver<Query>) {
    let (queries, receiver) = channel::bounded(BACKLOG);
    (Handle { queries, version, config }, receiver)
}

impl Handle {
    /// Asks what `query` makes of a reply, such as `Query::Ports`.
    pub async fn ask<T>(&self, query: impl FnOnce(Reply<T>) -> Query) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.queries.try_send(query(Reply(reply))).map_err(|error| match error {
            TrySendError::Full(_) => Unanswered::Busy,
            TrySendError::Disconnected(_) => Unanswered::Stopping,
        })?;
        match tokio::time::timeout(REPLY_TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|_| Unanswered::Stopping),
            Err(_) => Err(Unanswered::TimedOut),
        }
    }

    /// The configuration that it was started with, which new static MACs are checked against.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What runs.
    pub fn version(&self) -> &Version {
        &self.version
    }
}
