//! What the API says, as JSON. Keys are snake_case and carry their unit where they have one. What is written
//! as optional here is left out of the JSON when absent, except quantities, which are `null` when unknown.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::events::Place;
pub use super::trace::{
    Decision, Effect, FloodKind, Ingress, Outer, Sent, Station, Trace, TraceRequest, Udp,
};
pub use crate::config::{Changes, Difference, StaticChanges};

/// A DPDK port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// The operator's name for it.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// PCI address or devargs, as configured.
    pub device: String,
    /// Its Ethernet address.
    pub mac: String,
    /// Whether the link is up.
    pub link: Link,
    /// Link speed in Mbit/s; `null` if the device does not tell.
    pub speed_mbps: Option<u32>,
    /// Largest frame payload in bytes, without the Ethernet header.
    pub mtu: u16,
    /// Frames taken from the port.
    pub rx_packets: u64,
    /// Their bytes, without the FCS.
    pub rx_bytes: u64,
    /// Frames given to the device.
    pub tx_packets: u64,
    /// Their bytes, without the FCS.
    pub tx_bytes: u64,
    /// Frames dropped for any reason, counted at the port they came in by or should have left by.
    pub drops: u64,
    /// What of its frames may be flooded; absent where nothing is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_control: Option<StormControl>,
    /// The MACs behind other ports that its device takes frames for; absent where that takes all frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<UnicastFilter>,
}

/// Of a device that is not promiscuous: MACs that it takes frames for besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnicastFilter {
    /// How many it takes frames for.
    pub macs: u64,
    /// How many it could.
    pub room: u64,
    /// How many it should and does not: frames for those are lost before they reach Ferry.
    pub refused: u64,
}

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tenants attach here.
    Access,
    /// Towards the other VTEPs.
    Underlay,
    /// The Linux interface beside an underlay port.
    Twin,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Frames can pass.
    Up,
    /// They cannot.
    Down,
}

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

/// Frames, without outer headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// How many.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
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
}

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

/// A member of a multicast group of a network, a multicast router, which gets all groups, or who asks for members: an
/// access port, or a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// The network's ID.
    pub vni: u32,
    /// The network's name.
    pub network: String,
    /// The group's address; absent for routers and queriers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<IpAddr>,
    /// What it is, and how it came to be known.
    pub kind: MemberKind,
    /// Name of the access port that it is behind; absent, as the peer is, for Ferry's own querier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The VLAN on that port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Where two tags tell the VLAN: the ID of the inner one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_vlan: Option<u16>,
    /// Address of the VTEP that it is behind, or the underlay's group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// What it speaks; absent for what the configuration says, as are all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<GroupProtocol>,
    /// A querier's own address: all zero for a switch without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Which sources a member wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<GroupFilter>,
    /// Sources that it named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<GroupSource>,
    /// Seconds until it is forgotten, unless it is heard again; `null` for never.
    pub expires_seconds: Option<u64>,
}

/// What a row of the groups is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A member from the configuration.
    Static,
    /// A member from IGMP or MLD.
    Learned,
    /// A multicast router: from the configuration, its queries, or PIM.
    Router,
    /// Who asks for members.
    Querier,
}

/// How members, routers and queriers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum GroupProtocol {
    Igmpv1,
    Igmpv2,
    Igmpv3,
    Mldv1,
    Mldv2,
    Pim,
}

/// Which sources a member of a group wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupFilter {
    /// Those that are wanted by name.
    Include,
    /// All but those that are named and not wanted.
    Exclude,
}

/// A source that a member of a group named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupSource {
    /// Its address.
    pub source: IpAddr,
    /// Whether its frames are forwarded.
    pub wanted: bool,
    /// Seconds until they are not, unless somebody asks for them again; `null` where they are not.
    pub expires_seconds: Option<u64>,
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

/// What a request has changed, or would change, in the running configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// What differs; empty where nothing does.
    pub differences: Vec<Difference>,
    /// What is allowed and yet probably not meant.
    pub warnings: Vec<String>,
}

/// A remote VTEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// Its underlay address.
    pub address: IpAddr,
    /// How frames to it are carried.
    pub encap: Encap,
    /// The ID that its network has at this peer; absent where it is our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
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
    /// Fragments that became part of another frame.
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
