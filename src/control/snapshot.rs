//! From the control core's tables to what workers read.

use std::net::Ipv4Addr;

use super::adjacency::{Adjacencies, Way};
use super::group_policy;
use super::learned_peers;
use super::networks::Networks;
use super::peers::Peers;
use super::ports::{ControlPort, Ports, Role};
use crate::config::{Config, Reassembly, ReservedBits, ZeroChecksum};
use crate::dpdk::cycles_per_second;
use crate::fib::Location;
use crate::tunnel::{NotedBits, Vtep};
use crate::wire::Vlan;
use crate::worker::{
    AccessPort, Attachment, FragmentPolicy, IndexMap, PortEntry, Snapshot, Twin, UnderlayPort,
};

/// What workers read, but for what they count in.
pub fn build(
    config: &Config,
    ports: &Ports,
    adjacencies: &Adjacencies,
    networks: &Networks,
    peers: &Peers,
) -> Snapshot {
    let vnis: Vec<_> = networks.iter().map(|(index, network)| (network.vni(), index)).collect();
    let vnis = IndexMap::new(&vnis);
    let gre = peers.speak_gre();
    let admissions = learned_peers::build(networks, peers);
    let mut ways = adjacencies.build();
    let group_policies = group_policy::build(networks, peers, &mut ways.adjacencies);
    let knows_groups = !group_policies.unlearned.is_empty();
    let (peers, any_peers) = peers.build(|vni| vnis.get(vni));
    let vtep = &config.underlay.vtep;
    Snapshot {
        ports: port_entries(config, ports, adjacencies, networks),
        networks: networks.build(),
        oversize: networks.oversize(),
        adjacencies: ways.adjacencies,
        orders: adjacencies.orders(),
        vnis,
        peers,
        any_peers,
        admissions,
        templates: ways.templates,
        spreads: ways.spreads,
        group_policies,
        vtep: Vtep {
            address: vtep.ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED),
            udp_port: vtep.vxlan_port,
            ipv6: vtep.ipv6,
            gre,
            zero_checksum: vtep.udp6_zero_checksum == ZeroChecksum::Accept,
            drops_reserved_bits: vtep.reserved_bits == ReservedBits::Drop,
            knows_groups,
            noted: NotedBits::new(networks.iter().any(|(_, network)| network.takes_priorities())),
        },
        traffic: Box::default(),
        learns_path_mtus: vtep.path_mtu_ageing.is_some(),
        fragments: vtep.fragments.map(|Reassembly { packets, timeout }| FragmentPolicy {
            packets,
            timeout: timeout.as_millis() as u64 * cycles_per_second() / 1000,
        }),
    }
}

fn port_entries(
    config: &Config,
    ports: &Ports,
    adjacencies: &Adjacencies,
    networks: &Networks,
) -> Box<[PortEntry]> {
    let entry = |index: u16| match ports.get(index) {
        None => PortEntry::Vacant,
        Some(ControlPort { role: Role::Twin(underlay), .. }) => {
            PortEntry::Twin { underlay: *underlay }
        }
        Some(ControlPort { role: Role::Underlay, port, .. }) => {
            let twin = ports.twin_of(index);
            let twin = twin.map(|(index, twin)| Twin { port: index, mtu: twin.port.mtu() });
            PortEntry::Underlay(UnderlayPort { mac: port.mac().into(), twin })
        }
        Some(of) if config.mirror_by(of.name()).is_some() => PortEntry::Mirror,
        Some(ControlPort { role: Role::Access, storm, port, .. }) => {
            PortEntry::Access(AccessPort {
                untagged: Attachment::NONE,
                vlans: None,
                pairs: None,
                storm: storm.clone(),
                takes_unfinished: port.takes_unfinished(),
            })
        }
    };
    let mut entries: Box<[PortEntry]> = (0..ports.len()).map(entry).collect();
    for (network, of) in networks.iter() {
        for adjacency in of.locals() {
            let Some(generation) = adjacencies.generation(*adjacency) else { continue };
            let Some(Way::Local { port, vlan }) = adjacencies.get(*adjacency) else { continue };
            let Some(PortEntry::Access(access)) = entries.get_mut(usize::from(*port)) else {
                continue;
            };
            let attachment = Attachment::new(network, Location::new(*adjacency, generation));
            match *vlan {
                None => access.untagged = attachment,
                Some(Vlan::Single(id)) => {
                    let none = || Box::new([Attachment::NONE; 4096]);
                    access.vlans.get_or_insert_with(none)[usize::from(id)] = attachment;
                }
                Some(pair) => {
                    access.pairs.get_or_insert_default().insert(pair, attachment);
                }
            }
        }
    }
    entries
}
