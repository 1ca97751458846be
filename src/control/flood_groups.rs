//! Multicast groups of the underlay, and the ways out to them.

use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::adjacency::{Adjacencies, Way};
use super::peers::next_hop_by;
use super::ports::Ports;
use crate::config::{self, Config, EncapName, Usual};
use crate::tunnel::{Marking, Ttl};
use crate::wire::MacAddr;
use crate::wire::multicast::group_mac;
use crate::worker::AdjacencyIndex;

/// The groups of all networks.
pub(super) fn addresses(config: &Config) -> HashSet<IpAddr> {
    let groups = config.networks.iter().filter_map(|network| network.group.as_ref());
    groups.map(|group| group.address).collect()
}

/// The ways out to groups; networks with the same group and TTL, and that tell of groups of stations or do not, share them.
#[derive(Default)]
pub struct GroupWays(HashMap<(IpAddr, u8, bool), Vec<AdjacencyIndex>>);

impl GroupWays {
    /// The ways out to a group, one by each underlay port.
    pub fn of(
        &mut self,
        group: &config::FloodGroup,
        group_policy: bool,
        config: &Config,
        ports: &Ports,
        adjacencies: &mut Adjacencies,
    ) -> &[AdjacencyIndex] {
        self.0.entry((group.address, group.ttl, group_policy)).or_insert_with(|| {
            let key = vxlan_peer(group.address, group_policy, config);
            let mac = MacAddr(group_mac(group.address));
            let way = |port| {
                let mut hop = next_hop_by(config, port, &key, (group.address, mac));
                hop.outer.marking = marking(config, group.ttl);
                adjacencies.add(Way::Group(hop))
            };
            ports.underlay().map(way).collect()
        })
    }

    /// Has packets to all groups say what the configuration has them say.
    pub fn mark(&self, config: &Config, adjacencies: &mut Adjacencies) {
        for ((_, ttl, _), ways) in &self.0 {
            ways.iter().for_each(|way| adjacencies.set_marking(*way, marking(config, *ttl)));
        }
    }
}

fn marking(config: &Config, ttl: u8) -> Marking {
    Marking { dscp: config.underlay.vtep.marking.dscp, ttl: Ttl::Fixed(ttl) }
}

/// A VTEP or group of which nothing but the address is known.
pub(super) fn vxlan_peer(address: IpAddr, group_policy: bool, config: &Config) -> config::Peer {
    let usual = Usual { encap: EncapName::Vxlan, group_policy };
    config::Peer::plain(address, usual, config.underlay.vtep.vxlan_port)
}
