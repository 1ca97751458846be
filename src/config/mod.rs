//! The configuration: YAML in, a checked plan out.
//!
//! What [`Config`] holds is valid: names are resolved to indices, every reference exists, no two things
//! collide. configs/README.md is the reference of all keys.

mod check;
mod parse;
mod read;
mod tree;
mod units;

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::wire::{MacAddr, Vni};
use crate::worker::Idle;

/// Everything an operator said.
#[derive(Clone, Debug)]
pub struct Config {
    /// How DPDK starts.
    pub eal: Eal,
    /// Which CPUs are used for what.
    pub cores: Cores,
    /// The API's unix socket.
    pub socket: PathBuf,
    /// Towards the other VTEPs.
    pub underlay: Underlay,
    /// Access ports: towards the tenants.
    pub access: Vec<Port>,
    /// The tenants' networks.
    pub networks: Vec<Network>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

/// How DPDK starts.
#[derive(Clone, Debug)]
pub struct Eal {
    /// Whether packet memory lies in huge pages.
    pub hugepages: bool,
    /// Packet memory in bytes; `None` leaves it to DPDK (with huge pages only).
    pub memory: Option<u64>,
    /// Packet buffers in all; `None` counts what queues and workers hold at most.
    pub mbufs: Option<u32>,
    /// Further EAL arguments, verbatim.
    pub args: Vec<String>,
}

/// Which CPUs are used for what.
#[derive(Clone, Debug)]
pub struct Cores {
    /// The control core's CPU.
    pub control: usize,
    /// One worker each.
    pub workers: Vec<usize>,
    /// What workers do without traffic.
    pub idle: Idle,
}

/// A DPDK port.
#[derive(Clone, Debug)]
pub struct Port {
    /// The operator's name for it.
    pub name: String,
    /// PCI address or devargs, verbatim.
    pub device: String,
    /// Receive queues.
    pub queues: u16,
    /// Largest payload of an Ethernet frame, in bytes.
    pub mtu: u16,
    /// Descriptors of each receive queue.
    pub rx_descriptors: Option<u16>,
    /// Descriptors of each transmit queue.
    pub tx_descriptors: Option<u16>,
}

/// Towards the other VTEPs.
#[derive(Clone, Debug)]
pub struct Underlay {
    /// The ports.
    pub ports: Vec<UnderlayPort>,
    /// Our own tunnel end.
    pub address: Ipv4Addr,
    /// The UDP port that VXLAN comes to and goes to.
    pub vxlan_port: u16,
    /// Next hops where no kernel twin learns them.
    pub neighbours: Vec<Neighbour>,
}

/// An underlay port.
#[derive(Clone, Debug)]
pub struct UnderlayPort {
    /// The port.
    pub port: Port,
    /// The kernel twin's interface name.
    pub twin: Option<String>,
    /// Addresses that are put on the twin.
    pub addresses: Vec<Ipv4Net>,
}

/// A peer's next hop, from the operator.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// The peer's address.
    pub ip: Ipv4Addr,
    /// The MAC that its packets are sent to.
    pub mac: MacAddr,
    /// Index into [`Underlay::ports`].
    pub port: usize,
}

/// A tenant's network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its 24-bit ID.
    pub vni: Vni,
    /// The operator's name for it.
    pub name: String,
    /// Where its stations attach.
    pub members: Vec<Member>,
    /// The VTEPs that its BUM frames are sent to.
    pub flood_peers: Vec<Ipv4Addr>,
    /// Whether source MACs are learned.
    pub learning: bool,
    /// How long a silent MAC is kept; `None` for ever.
    pub ageing: Option<Duration>,
    /// The most learned MACs.
    pub mac_limit: usize,
    /// Whether tenants may use VLAN tags of their own.
    pub keeps_inner_vlan: bool,
    /// MACs that are known in advance.
    pub macs: Vec<StaticMac>,
}

/// An access port, or one VLAN of it, as a part of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index into [`Config::access`].
    pub port: usize,
    /// The VLAN ID on a trunk; `None` for untagged frames.
    pub vlan: Option<u16>,
}

/// A MAC that is known in advance.
#[derive(Clone, Debug)]
pub struct StaticMac {
    /// The MAC.
    pub mac: MacAddr,
    /// Where it is.
    pub place: Place,
}

/// Where a static MAC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Index into [`Network::members`].
    Member(usize),
    /// A peer's address.
    Peer(Ipv4Addr),
}

/// All that is wrong with a file, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Everything that is wrong, each with line, key and what would be right.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigErrors(vec![format!("{name}: cannot be read: {error}")]))?;
        Self::parse(&name, &text)
    }

    /// Checks a text; `name` stands for the file in messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let messages = read::Messages::default();
        let mut warnings = read::Messages::default();
        let parsed = match tree::parse(text) {
            Ok(tree) => parse::config(read::Item::root(&tree, &messages), &mut warnings),
            Err((line, reason)) => {
                messages.add(line, format!("not YAML: {reason}"));
                None
            }
        };
        let lines = messages.into_lines(name);
        match parsed {
            Some(config) if lines.is_empty() => {
                Ok(Self { warnings: warnings.into_lines(name), ..config })
            }
            _ => Err(ConfigErrors(lines)),
        }
    }

    /// Receive queues of all ports but the twins.
    pub fn receive_queues(&self) -> usize {
        let underlay = self.underlay.ports.iter().map(|port| &port.port);
        underlay.chain(&self.access).map(|port| usize::from(port.queues)).sum()
    }
}

impl fmt::Display for Config {
    /// What `ferry check` says of a good file.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let count = |number: usize, one: &str| {
            format!("{number} {one}{}", if number == 1 { "" } else { "s" })
        };
        write!(
            formatter,
            "{}, {}, {}, {}",
            count(self.networks.len(), "network"),
            count(self.access.len(), "access port"),
            count(self.underlay.ports.len(), "underlay port"),
            count(self.cores.workers.len(), "worker")
        )
    }
}

#[cfg(test)]
mod tests;
