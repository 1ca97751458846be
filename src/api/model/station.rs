//! MACs and addresses of stations.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;

/// A MAC address of a network, and where it is: behind a port, or behind a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mac {
    /// The network's ID.
    pub vni: u32,
    /// The network's name.
    pub network: String,
    /// The address.
    pub mac: String,
    /// How it came to be known.
    pub kind: MacKind,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// Whether it moved too often and stays here for a while.
    #[serde(default)]
    pub frozen: bool,
    /// Seconds since it was last seen, to a sixteenth of the ageing time; `null` for static ones.
    pub age_seconds: Option<u64>,
}

/// How a MAC came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MacKind {
    /// From the configuration: neither ages nor moves.
    Static,
    /// From traffic.
    Learned,
}

/// An address of a network, and its MAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// The network's ID.
    pub vni: u32,
    /// The network's name.
    pub network: String,
    /// The address.
    pub ip: IpAddr,
    /// Its MAC.
    pub mac: String,
    /// How that came to be known.
    pub kind: NeighbourKind,
    /// Whether it said that it is an IPv6 router.
    pub router: bool,
    /// Seconds since it was last heard of, to a sixteenth of the ageing time; `null` for static ones.
    pub age_seconds: Option<u64>,
}

/// How an address came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeighbourKind {
    /// From the configuration: neither ages nor moves.
    Static,
    /// From ARP.
    Arp,
    /// From neighbour discovery.
    Nd,
    /// From a DHCP server's acknowledgement.
    Dhcp,
}
