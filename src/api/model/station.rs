//! MACs and addresses of stations.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Name of the access port that it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The VLAN on that port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Where two tags tell the VLAN: the ID of the inner one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_vlan: Option<u16>,
    /// Address of the VTEP that it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
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
