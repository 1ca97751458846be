//! Remote VTEPs and their next hops.

use std::net::Ipv4Addr;

use hashbrown::HashMap;

use super::adjacency::{Adjacencies, NextHop, Way};
use super::ports::{ControlPort, Role};
use crate::config::{self, Config};
use crate::tunnel::{OuterHeader, TEMPLATE_LENGTH};
use crate::wire::{MacAddr, ethernet};
use crate::worker::AdjacencyIndex;

/// A peer, over all networks.
pub struct Peer {
    /// The UDP port that it receives VXLAN at.
    pub udp_port: u16,
    /// Its adjacency.
    pub adjacency: AdjacencyIndex,
    /// The VNIs of the networks that it is part of.
    pub networks: Vec<u32>,
    /// Whether the kernel has a route to it.
    pub routed: bool,
}

/// A peer's next hop, as found by netlink or by configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Packets leave by an underlay port to this MAC.
    Resolved {
        /// Index into `Config::underlay.ports`.
        underlay: usize,
        /// The peer's or the gateway's.
        mac: MacAddr,
        /// The peer itself, or the gateway on the way.
        next_hop: Ipv4Addr,
    },
    /// The next hop does not answer.
    Unresolved,
    /// No route by an underlay port.
    NoRoute,
}

/// A peer's next hop, found or lost.
pub type NextHopUpdate = (Ipv4Addr, Resolution);

/// All peers by address.
#[derive(Default)]
pub struct Peers(HashMap<Ipv4Addr, Peer>);

impl Peers {
    /// The adjacency of a peer that a network needs; makes it if it is new. One network has all its peers join
    /// before the next does.
    pub fn join(
        &mut self,
        peer: config::Peer,
        vni: u32,
        adjacencies: &mut Adjacencies,
    ) -> AdjacencyIndex {
        let config::Peer { address, port } = peer;
        let peer = self.0.entry(address).or_insert_with(|| Peer {
            udp_port: port,
            adjacency: adjacencies.add(Way::Peer { address, next_hop: None }),
            networks: Vec::new(),
            routed: true,
        });
        // A peer may be in thousands of networks, and a network has thousands of static MACs.
        if peer.networks.last() != Some(&vni) {
            peer.networks.push(vni);
        }
        peer.adjacency
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv4Addr, &Peer)> {
        self.0.iter().map(|(address, peer)| (*address, peer))
    }

    /// All addresses, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.0.keys().copied()
    }

    /// Follows a peer's next hop. Returns whether workers must be told.
    pub fn resolve(
        &mut self,
        address: Ipv4Addr,
        resolution: &Resolution,
        config: &Config,
        ports: &[ControlPort],
        adjacencies: &mut Adjacencies,
    ) -> bool {
        let Some(peer) = self.0.get_mut(&address) else { return false };
        peer.routed = *resolution != Resolution::NoRoute;
        let next_hop = match resolution {
            Resolution::Resolved { underlay, mac, next_hop } => {
                let role = Role::Underlay(*underlay);
                let index = ports.iter().position(|port| port.role == role);
                index.map(|index| {
                    let by = (index as u16, &ports[index]);
                    next_hop_by(config, by, (address, peer.udp_port), (*next_hop, *mac))
                })
            }
            Resolution::Unresolved | Resolution::NoRoute => None,
        };
        let changed = adjacencies.set_next_hop(peer.adjacency, next_hop);
        if changed {
            match resolution {
                Resolution::Resolved { mac, next_hop, .. } => {
                    tracing::info!("peer {address}: next hop {next_hop} is {mac}");
                }
                Resolution::Unresolved => {
                    tracing::warn!("peer {address}: its next hop does not answer");
                }
                Resolution::NoRoute => {
                    tracing::warn!("peer {address}: no route by an underlay port");
                }
            }
        }
        changed
    }
}

fn next_hop_by(
    config: &Config,
    (index, port): (u16, &ControlPort),
    (peer, udp_port): (Ipv4Addr, u16),
    (address, mac): (Ipv4Addr, MacAddr),
) -> NextHop {
    let outer = OuterHeader {
        source_mac: port.port.mac(),
        next_hop_mac: mac.0,
        source: config.underlay.vtep.ipv4,
        destination: peer,
        udp_port,
    };
    let headers = (TEMPLATE_LENGTH - ethernet::LENGTH) as u16;
    NextHop { port: index, address, outer, inner_limit: port.port.mtu().saturating_sub(headers) }
}
