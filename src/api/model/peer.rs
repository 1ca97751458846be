//! Other VTEPs.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Encap, Volume};

/// A remote VTEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// Its underlay address.
    pub address: IpAddr,
    /// Which of Ferry's peers it is: one address is several, where networks speak to it in different ways.
    #[serde(default)]
    pub index: u32,
    /// How frames to it are carried.
    pub encap: Encap,
    /// The ID that its network has at this peer; absent where it is our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Whether it is told of which group the sender of a frame is, and tells (VXLAN's group policy).
    #[serde(default)]
    pub group_policy: bool,
    /// What becomes of the UDP checksum of packets to it; absent where the port is not known or there is no UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_checksum: Option<UdpChecksum>,
    /// DSCP of packets to it.
    #[serde(default)]
    pub dscp: Dscp,
    /// Their time to live, over IPv6 the hop limit; `null`: each has that of the packet within.
    #[serde(default)]
    pub ttl: Option<u8>,
    /// Whether packets to it can leave.
    pub state: PeerState,
    /// Whether it was learned from what it sent to a network that learns its peers; else the configuration names it.
    #[serde(default)]
    pub learned: bool,
    /// Seconds since something was heard of a learned one, to a sixteenth of the ageing time; `null` for others.
    #[serde(default)]
    pub age_seconds: Option<u64>,
    /// Name of the underlay port that they leave by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The router on the way, or the peer itself on a shared link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
    /// The next hop's Ethernet address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// All next hops, where there are several, of which those three are the first's: flows are spread over them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_hops: Vec<NextHop>,
    /// IDs of the networks that reach it.
    pub networks: Vec<u32>,
    /// The largest IP packet that reaches stations behind it, in bytes; `null` while its next hop is not known.
    #[serde(default)]
    pub mtu: Option<u16>,
    /// What routers said that the path to it carries; absent where none said that it is less than the port's MTU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_mtu: Option<PathMtu>,
    /// Frames for it, copies of flooded ones included; those cut into segments count once. Absent where they are not counted
    /// (`api.metrics`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Volume>,
    /// Frames from it that a network took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Volume>,
}

/// One of several next hops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextHop {
    /// Name of the underlay port that packets leave by.
    pub port: String,
    /// The router on the way, or the peer itself on a shared link.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: String,
    /// Its share of the flows, relative to the others'.
    pub weight: u16,
}

/// What a path of the underlay carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathMtu {
    /// The largest packet, outer headers included, in bytes.
    pub mtu: u16,
    /// Seconds since that was learned.
    pub age_seconds: u64,
}

/// The DSCP of outer headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dscp {
    /// That of the packet within.
    #[default]
    Copy,
    /// By the priority of the VLAN tag that the frame had at its port.
    Priority,
    /// The same for all.
    #[serde(untagged)]
    Fixed(u8),
}

/// What becomes of the UDP checksum of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UdpChecksum {
    /// It is zero.
    Zero,
    /// A worker computes it.
    Software,
    /// The underlay port computes it.
    Device,
}

/// Whether packets to a peer can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// Route and next hop are known.
    Resolved,
    /// The next hop has not answered ARP yet.
    Unresolved,
    /// No route by an underlay port.
    NoRoute,
}
