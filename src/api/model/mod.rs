//! What the API says, as JSON. Keys are snake_case and carry their unit where they have one. What is written
//! as optional here is left out of the JSON when absent, except quantities, which are `null` when unknown.

mod group;
mod network;
mod peer;
mod port;
mod station;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::group::{Group, GroupFilter, GroupProtocol, GroupSource, MemberKind};
pub use self::network::{
    Encap, MacMove, Network, NetworkPort, Oversize, Snooping, StormControl, StormLimit, Suppression,
};
pub use self::peer::{Dscp, NextHop, PathMtu, Peer, PeerState, UdpChecksum};
pub use self::port::{Link, Port, Role, UnicastFilter};
pub use self::station::{Mac, MacKind, Neighbour, NeighbourKind};
pub use super::events::Place;
pub use super::mirror::Mirror;
pub use super::trace::{
    Decision, Effect, FloodKind, Ingress, Outer, Sent, Station, Trace, TraceRequest, Udp,
};
pub use crate::config::{Changes, Difference, StaticChanges};

/// Frames, without outer headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// How many.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a request has changed, or would change, in the running configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// What differs; empty where nothing does.
    pub differences: Vec<Difference>,
    /// What is allowed and yet probably not meant.
    pub warnings: Vec<String>,
}

/// A forwarding core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// DPDK's number for it.
    pub lcore: u32,
    /// The CPU that it is pinned to.
    pub core: u32,
    /// The CPU's NUMA node.
    pub socket: u32,
    /// The receive queues that it polls, as `port:queue`.
    pub queues: Vec<String>,
    /// Frames taken from them.
    pub rx_packets: u64,
    /// Frames given to devices.
    pub tx_packets: u64,
    /// Rounds of the poll loop.
    pub polls: u64,
    /// Rounds in which nothing arrived.
    pub empty_polls: u64,
    /// Receive bursts that were not empty.
    pub bursts: u64,
    /// Share of cycles spent in rounds that did something, from 0 to 100.
    pub busy_percent: f64,
    /// Seconds spent in rounds that did something.
    #[serde(default)]
    pub busy_seconds: f64,
    /// Seconds spent in all others.
    #[serde(default)]
    pub idle_seconds: f64,
}

/// Frames dropped at a port for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropCount {
    /// Name of the port that they came in by or should have left by.
    pub port: String,
    /// The reason's name.
    pub reason: String,
    /// How many.
    pub packets: u64,
    /// What happened, in a line.
    pub meaning: String,
    /// What to change, in a line.
    pub remedy: String,
}

/// Where all packets went: `rx + copies = tx + drops + merged + held` once traffic rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Frames taken from ports, twins included.
    pub rx: u64,
    /// Frames made here, beyond those that came in: by replication, as queries for members of multicast groups, and as
    /// answers to what does not fit, or fragments of it.
    pub copies: u64,
    /// Frames given to devices, twins included.
    pub tx: u64,
    /// Frames dropped for a named reason.
    pub drops: u64,
    /// Fragments and TCP segments that became part of another frame.
    #[serde(default)]
    pub merged: u64,
    /// Frames that wait in Ferry now, for their turn in replication, or for other fragments of their packet.
    pub held: u64,
    /// Learning events that were lost because the control core was behind; traffic repeats them.
    pub events_lost: u64,
    /// VTEPs that were not learned as peers because as many are as may be, each time they were heard.
    #[serde(default)]
    pub peers_refused: u64,
    /// Seconds since start.
    pub uptime_seconds: u64,
    /// Packet memory.
    pub mempools: Vec<Mempool>,
}

/// A pool of packet buffers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mempool {
    /// Its DPDK name.
    pub name: String,
    /// Its NUMA node.
    pub socket: u32,
    /// Buffers that it has in all.
    pub size: u32,
    /// Buffers that are free now; the others are in devices' rings, in caches or on their way.
    pub available: u32,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Ferry's version, such as `0.1.0`.
    pub ferry: String,
    /// The version of DPDK that it runs on, such as `22.11.11`.
    pub dpdk: String,
}

/// The body of every answer that is not 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What is wrong, and what would be right.
    pub error: String,
}
