//! Multicast groups of the underlay, and the ways out to them.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::adjacency::{Adjacencies, Way};
use super::netlink::Netlink;
use super::network::Network;
use super::peers::{Peers, next_hop_by};
use super::ports::{ControlPort, Role};
use crate::config::{self, Config};
use crate::tunnel::Encap;
use crate::wire::MacAddr;
use crate::wire::multicast::group_mac;
use crate::worker::{AdjacencyIndex, FloodGroup, FloodGroups};

/// The groups of all networks, each once.
pub(super) fn addresses(config: &Config) -> Vec<IpAddr> {
    let groups = config.networks.iter().filter_map(|network| network.group.as_ref());
    let distinct: HashSet<IpAddr> = groups.map(|group| group.address).collect();
    distinct.into_iter().collect()
}

/// Notices links that come back.
#[derive(Default)]
pub(super) struct LinkWatch(Vec<bool>);

impl LinkWatch {
    /// Looks at all underlay ports, once a tick. Behind a link that is back there may be a switch that has not heard
    /// of our groups.
    pub fn look(&mut self, ports: &[ControlPort], netlink: &Netlink) {
        self.0.resize(ports.len(), true);
        for (was_up, port) in self.0.iter_mut().zip(ports) {
            let Role::Underlay(underlay) = port.role else { continue };
            let is_up = port.port.link().up;
            if is_up && !*was_up {
                netlink.renew(underlay);
            }
            *was_up = is_up;
        }
    }
}

/// The ways out to groups; networks with the same group and TTL share them.
#[derive(Default)]
pub struct GroupWays(HashMap<(IpAddr, u8), Vec<AdjacencyIndex>>);

impl GroupWays {
    /// The ways out to a group, one by each underlay port.
    pub fn of(
        &mut self,
        group: &config::FloodGroup,
        config: &Config,
        ports: &[ControlPort],
        adjacencies: &mut Adjacencies,
    ) -> &[AdjacencyIndex] {
        self.0.entry((group.address, group.ttl)).or_insert_with(|| {
            let key = vxlan_peer(group.address, config);
            let mac = MacAddr(group_mac(group.address));
            let underlay =
                ports.iter().zip(0..).filter(|(port, _)| matches!(port.role, Role::Underlay(_)));
            let way = |(port, index)| {
                let mut hop = next_hop_by(config, (index, port), &key, (group.address, mac));
                hop.outer.ttl = group.ttl;
                adjacencies.add(Way::Group(hop))
            };
            underlay.map(way).collect()
        })
    }
}

/// A VTEP or group of which nothing but the address is known.
pub(super) fn vxlan_peer(address: IpAddr, config: &Config) -> config::Peer {
    let udp_port = config.underlay.vtep.vxlan_port;
    let encap = Encap::vxlan(udp_port);
    config::Peer { address, encap, id: None }
}

/// What workers read of groups.
pub(super) fn build(networks: &[Network], peers: &Peers) -> FloodGroups {
    let group = |(network, index): (&Network, u32)| Some((index, network.flood_group.clone()?));
    FloodGroups::new(networks.iter().zip(0..).filter_map(group).collect(), peers.learned())
}

/// A network's group, as workers and the control core share it.
pub(super) fn group(config: &config::FloodGroup) -> Arc<FloodGroup> {
    let allow = config.allow.clone().map(Vec::into_boxed_slice);
    Arc::new(FloodGroup { address: config.address, allow })
}
