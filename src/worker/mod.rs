//! The packet path: lcores that poll, and the stages that a burst goes through.
//!
//! A [`Worker`] is made on the control core and moved to its lcore, where it alone touches its
//! queues, which come and go by its [`Mailbox`]. It reads the [`Snapshot`] and the MAC FIBs under QSBR, writes only its own counters,
//! and tells the control core what it saw through a bounded queue of [`Event`]s. It takes no lock,
//! allocates nothing from the heap and, but for idling, makes no system call of its own.

mod access;
mod bucket;
mod bum;
mod capture;
mod coalesce;
mod context;
mod counters;
mod dry_run;
mod event;
mod filter;
mod flood_group;
mod forward;
mod fragment;
mod group_policy;
mod idle;
mod mailbox;
mod mirror;
mod moves;
mod multicast;
mod offload;
mod origin;
mod outbox;
mod output;
mod oversize;
mod path_mtu;
mod poll;
mod reassembly;
mod replicate;
mod sampler;
mod segment;
mod snapshot;
mod snooping;
mod spans;
mod spread;
mod storm;
mod story;
mod stranger;
mod suppression;
mod target;
mod traffic;
mod transmit;
mod underlay;
mod whole;

pub use capture::{Capture, Captured};
pub use context::{Context, Pools};
pub use counters::{Counter, PortCount, PortCounters, WorkerCounters};
pub use dry_run::dry_run;
pub use event::{EVENT_QUEUE, Event, EventQueue, Reported};
pub use filter::{Filter, Instruction};
pub use group_policy::{GroupPolicies, Guard, WayPolicy};
pub use idle::Idle;
pub use mailbox::{Mailbox, Order, Receiver, Released};
pub use mirror::{Mirror, MirrorCounters, MirrorTarget, Mirrors, PortMirrors};
pub use moves::{MovePolicy, Sources};
pub use multicast::{Groups, Listeners, Multicast};
pub use origin::{AnyPeer, AnyPeers, Dialect};
pub use outbox::{OUTBOX, Outbox, Outgoing};
pub use oversize::{Oversize, OversizeReport};
pub use poll::{Shared, Worker};
pub use reassembly::{FragmentPolicy, MOST_PACKETS};
pub use sampler::{Sampler, Watch};
pub use snapshot::{
    AccessPort, Adjacency, AdjacencyIndex, Attachment, FloodList, IndexMap, Kind, Network,
    PortEntry, Snapshot, Twin, UnderlayPort,
};
pub use snooping::{HEARD_QUEUE, Heard, HeardQueue, Snooping};
pub use spread::{Spread, SpreadWay};
pub use storm::{Kind as FloodKind, StormControl, StormReport};
pub use story::{Found, Notes, Sighting, Story, Verdict};
pub use stranger::{Admission, Admissions, LearnedWays};
pub use suppression::{Suppression, SuppressionCounters, Unknown};
pub use traffic::{Traffic, TrafficTables, Volume, Volumes};
pub use transmit::{Transmitter, TxPath, TxPort};
