//! Networks.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Volume;

/// How tenants' frames are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encap {
    /// RFC 7348.
    Vxlan,
    /// RFC 7637.
    Nvgre,
    /// Ethernet over GRE.
    Gre,
}

/// A tenant's layer-2 network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// 24-bit network ID.
    pub vni: u32,
    /// The operator's name for it.
    pub name: String,
    /// How its frames are carried to peers that say nothing else.
    pub encap: Encap,
    /// Whether peers that say nothing else are told of which group the sender of a frame is, and tell.
    #[serde(default)]
    pub group_policy: bool,
    /// Where its stations attach.
    pub ports: Vec<NetworkPort>,
    /// The VTEPs that its broadcast, unknown unicast and multicast frames are copied to.
    pub peers: Vec<IpAddr>,
    /// Whether VTEPs that the configuration does not name may become its peers.
    #[serde(default)]
    pub learns_peers: bool,
    /// The multicast group that they are sent to; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<IpAddr>,
    /// MACs learned from traffic.
    pub macs_learned: u64,
    /// MACs from the configuration.
    pub macs_static: u64,
    /// Learned MACs that it may have.
    pub mac_limit: u64,
    /// MACs that the limit kept out, each time they were seen.
    pub macs_refused: u64,
    /// Learned MACs that moved to another port or peer.
    pub mac_moves: u64,
    /// Whether a MAC that is alive may move.
    #[serde(default)]
    pub mac_move: MacMove,
    /// MACs that moved too often and stay where they are for a while.
    #[serde(default)]
    pub macs_frozen: u64,
    /// Whether it learns from traffic.
    pub learning: bool,
    /// How long a silent learned MAC is kept, in seconds; `null` for ever.
    pub ageing_seconds: Option<u64>,
    /// Where ARP and neighbour discovery are answered here; absent where they are flooded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arp_suppression: Option<Suppression>,
    /// What of its access ports' frames may be flooded; absent where nothing is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_control: Option<StormControl>,
    /// What was heard of IGMP and MLD; absent where they are not listened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snooping: Option<Snooping>,
    /// The largest IP packet that reaches each of its peers whose next hop is known, in bytes; `null` where there is none.
    #[serde(default)]
    pub mtu: Option<u16>,
    /// What became of frames that did not fit.
    #[serde(default)]
    pub oversize: Oversize,
    /// Frames of its stations at access ports; absent where they are not counted (`api.metrics`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ports: Option<Volume>,
    /// Frames that came by tunnels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_peers: Option<Volume>,
}

/// What became of frames that did not fit the underlay. But for those in fragments they are dropped for the reason `oversize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Oversize {
    /// Senders that were told what fits, by ICMP.
    pub answered: u64,
    /// Senders that were not, because so many had been told in that second.
    pub unanswered: u64,
    /// Frames that were sent in fragments of the outer packet, a flooded one once for each peer.
    #[serde(default)]
    pub fragmented: u64,
}

/// Whether a MAC that is alive at one place may move to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MacMove {
    /// The last source wins.
    #[default]
    Allow,
    /// Not from an access port to a peer.
    LocalWins,
    /// No.
    Freeze,
}

/// What of a port's or a network's frames may be flooded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StormControl {
    /// Of broadcasts; absent where they are not limited, as with the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<StormLimit>,
    /// Of multicast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multicast: Option<StormLimit>,
    /// Of frames to unknown MACs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_unicast: Option<StormLimit>,
}

/// A limit, and what it kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StormLimit {
    /// Packets a second.
    pub limit: u32,
    /// Packets dropped.
    pub dropped: u64,
}

/// How a network answers ARP and neighbour discovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suppression {
    /// Addresses learned from ARP, neighbour discovery and DHCP.
    pub neighbours_learned: u64,
    /// Addresses from the configuration.
    pub neighbours_static: u64,
    /// Learned addresses that it may have.
    pub neighbour_limit: u64,
    /// Addresses that the limit kept out, each time they were heard of.
    pub neighbours_refused: u64,
    /// Questions answered where they came in.
    pub answered: u64,
    /// Questions flooded because nobody knew the answer.
    pub flooded: u64,
}

/// A network's place on a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkPort {
    /// Name of the access port.
    pub port: String,
    /// The VLAN of the port that belongs to the network; absent for untagged frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Where two tags tell the VLAN: the ID of the inner one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_vlan: Option<u16>,
    /// The group that its stations are of; absent where they are of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u16>,
    /// The groups whose frames are let in, of which zero are senders of none; absent where all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_groups: Option<Vec<u16>>,
}

/// What a network heard of IGMP and MLD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snooping {
    /// Groups with learned members.
    pub groups_learned: u64,
    /// Groups that it may have.
    pub group_limit: u64,
    /// Memberships that the limits, of the network and of a port or peer, kept out, each time they were heard.
    pub groups_refused: u64,
    /// Sources of a membership that were too many, each time they were heard.
    pub sources_refused: u64,
    /// Reports, of all versions.
    pub reports: u64,
    /// Leaves of IGMPv2 and dones of MLDv1.
    pub leaves: u64,
    /// Queries.
    pub queries: u64,
    /// Our own queries.
    pub queries_sent: u64,
    /// Messages over the limit, dropped.
    pub messages_refused: u64,
}
