//! From the control core's tables to what workers read.

use std::net::Ipv4Addr;

use super::adjacency::{Adjacencies, Way};
use super::flood_groups;
use super::network::Network;
use super::peers::Peers;
use super::ports::{ControlPort, Role};
use crate::config::{Config, ReservedBits, ZeroChecksum};
use crate::fib::Location;
use crate::tunnel::Vtep;
use crate::worker::{AccessPort, Attachment, IndexMap, PortEntry, Snapshot, UnderlayPort};

/// What workers read.
pub fn build(
    config: &Config,
    ports: &[ControlPort],
    adjacencies: &Adjacencies,
    networks: &[Network],
    peers: &Peers,
) -> Snapshot {
    let vnis: Vec<_> =
        networks.iter().enumerate().map(|(index, network)| (network.vni, index as u32)).collect();
    let vnis = IndexMap::new(&vnis);
    let gre = peers.speak_gre();
    let flood_groups = flood_groups::build(networks, peers);
    let (peers, any_peers) = peers.build(|vni| vnis.get(vni));
    let (adjacency_table, templates) = adjacencies.build();
    let vtep = &config.underlay.vtep;
    Snapshot {
        ports: (0..ports.len())
            .map(|index| port_entry(ports, index as u16, adjacencies, networks))
            .collect(),
        networks: networks.iter().map(Network::build).collect(),
        adjacencies: adjacency_table,
        orders: adjacencies.orders(),
        vnis,
        peers,
        any_peers,
        flood_groups,
        templates,
        vtep: Vtep {
            address: vtep.ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED),
            udp_port: vtep.vxlan_port,
            ipv6: vtep.ipv6,
            gre,
            zero_checksum: vtep.udp6_zero_checksum == ZeroChecksum::Accept,
            drops_reserved_bits: vtep.reserved_bits == ReservedBits::Drop,
        },
    }
}

fn port_entry(
    ports: &[ControlPort],
    index: u16,
    adjacencies: &Adjacencies,
    networks: &[Network],
) -> PortEntry {
    let port = &ports[usize::from(index)];
    match port.role {
        Role::Twin(underlay) => PortEntry::Twin { underlay },
        Role::Underlay(_) => PortEntry::Underlay(UnderlayPort {
            mac: port.port.mac().into(),
            twin: ports.iter().position(|twin| twin.role == Role::Twin(index)).map(|i| i as u16),
        }),
        Role::Access(_) => {
            let mut access =
                AccessPort { untagged: Attachment::NONE, vlans: None, storm: port.storm.clone() };
            for (network, of) in networks.iter().enumerate() {
                for adjacency in of.locals() {
                    let Some(generation) = adjacencies.generation(*adjacency) else { continue };
                    let location = Location::new(*adjacency, generation);
                    let attachment = Attachment::new(network as u32, location);
                    match adjacencies.get(*adjacency) {
                        Some(Way::Local { port, vlan: 0 }) if *port == index => {
                            access.untagged = attachment;
                        }
                        Some(Way::Local { port, vlan }) if *port == index => {
                            let none = || Box::new([Attachment::NONE; 4096]);
                            access.vlans.get_or_insert_with(none)[usize::from(*vlan)] = attachment;
                        }
                        _ => {}
                    }
                }
            }
            PortEntry::Access(access)
        }
    }
}
