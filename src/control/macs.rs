//! The operator's MACs and addresses: those of the configuration, and sets that take their place.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashSet;

use super::adjacency::Adjacencies;
use super::core::{Control, Parts};
use super::network::Network;
use super::peers::{Peers, Resolution};
use crate::api::ReplaceError;
use crate::api::model::StaticChanges;
use crate::config::{self, MacPlace, Neighbour, StaticMac};
use crate::fib::{Entry, MacKey, Reclaimer};
use crate::neighbours::Kind;
use crate::worker::AdjacencyIndex;

impl Control {
    /// Makes `macs` the static MACs of a network, by what differs: what stays is there at every moment. Refused sets
    /// change nothing.
    pub(super) fn replace_macs(
        &mut self,
        vni: u32,
        macs: &[StaticMac],
    ) -> Result<StaticChanges, ReplaceError> {
        let Parts { networks, peers, adjacencies, .. } = &mut self.parts;
        let index = networks.iter().position(|network| network.vni == vni);
        let index = index.ok_or(ReplaceError::UnknownNetwork(vni))?;
        let behind = peers_of(macs);
        for peer in &behind {
            if let Some((other, speaks)) = peers.conflict(peer, vni) {
                let named = networks.iter().find(|network| network.vni == other);
                let network = named.map_or(String::new(), |network| network.name.clone());
                return Err(ReplaceError::Dialect { address: peer.address, speaks, network });
            }
        }
        let fresh: Vec<_> = behind.iter().filter(|peer| !peers.has(peer, vni)).collect();
        if !fresh.is_empty() {
            for peer in &fresh {
                peers.join(**peer, vni, adjacencies);
            }
            self.find_next_hops(&fresh.iter().map(|peer| peer.address).collect());
            // Before any entry names them. To a worker that still has the snapshot before this one, such an entry is
            // no better than an unknown MAC.
            self.publish();
        }

        let Parts { networks, peers, adjacencies, reclaimer, .. } = &mut self.parts;
        let network = &mut networks[index];
        let (filled, left) = replace(network, macs, &behind, peers, adjacencies, reclaimer);
        if let Some(unreachable) = left {
            if let Some(netlink) = &self.netlink {
                unreachable.into_iter().for_each(|peer| netlink.forget(peer));
            }
            let Parts { peers, .. } = &self.parts;
            let kept = behind.iter().filter_map(|peer| peers.adjacency(peer, vni)).collect();
            self.forget_members(index, kept);
            self.publish();
        }
        let Filled { changes, no_place } = filled;
        tracing::info!("network {}: static {changes}", self.parts.networks[index].name);
        if no_place > 0 { Err(ReplaceError::NoPlace(no_place)) } else { Ok(changes) }
    }

    /// For peers that are new.
    fn find_next_hops(&mut self, addresses: &HashSet<IpAddr>) {
        let Parts { config, ports, peers, adjacencies, .. } = &mut self.parts;
        let config = Arc::clone(config);
        let mut fixed = HashSet::new();
        for Neighbour { ip, mac, port } in &config.underlay.neighbours {
            if addresses.contains(ip) {
                let resolution = Resolution::Resolved { underlay: *port, mac: *mac, next_hop: *ip };
                peers.resolve(*ip, &resolution, &config, ports, adjacencies);
                fixed.insert(*ip);
            }
        }
        if let Some(netlink) = &self.netlink {
            addresses.difference(&fixed).for_each(|peer| netlink.follow(*peer));
        }
    }
}

/// Makes `macs` a network's static MACs, once it has joined their peers, which are `behind`, and has it leave peers that
/// it no longer needs: see [`Peers::leave_all_but`].
fn replace(
    network: &mut Network,
    macs: &[StaticMac],
    behind: &HashSet<config::Peer>,
    peers: &mut Peers,
    adjacencies: &mut Adjacencies,
    reclaimer: &mut Reclaimer,
) -> (Filled, Option<Vec<IpAddr>>) {
    let vni = network.vni;
    let mut needed: HashSet<AdjacencyIndex> = network.peers().iter().copied().collect();
    needed.extend(behind.iter().filter_map(|peer| peers.adjacency(peer, vni)));
    let mut filled = fill(network, macs, peers, adjacencies, reclaimer);
    prune(network, macs, &mut filled.changes);
    (filled, peers.leave_all_but(vni, &needed, adjacencies))
}

/// The peers that MACs are behind.
pub(super) fn peers_of(macs: &[StaticMac]) -> HashSet<config::Peer> {
    let peer = |fixed: &StaticMac| match fixed.place {
        MacPlace::Peer(peer) => Some(peer),
        MacPlace::Member(_) => None,
    };
    macs.iter().filter_map(peer).collect()
}

/// What became of static MACs and addresses.
#[derive(Default)]
pub(super) struct Filled {
    pub changes: StaticChanges,
    /// Those that no place was found for.
    pub no_place: usize,
}

/// Sets the places of static MACs and the owners of their addresses, where they are not so already. The network has
/// joined their peers.
pub(super) fn fill(
    network: &mut Network,
    macs: &[StaticMac],
    peers: &Peers,
    adjacencies: &Adjacencies,
    reclaimer: &mut Reclaimer,
) -> Filled {
    let mut filled = Filled::default();
    for StaticMac { mac, place: at, ips } in macs {
        let adjacency = match at {
            MacPlace::Member(member) => network.locals().get(*member).copied(),
            MacPlace::Peer(peer) => peers.adjacency(peer, network.vni),
        };
        let placed = adjacency.and_then(|index| Some((index, adjacencies.generation(index)?)));
        let Some((adjacency, generation)) = placed else {
            filled.no_place += 1;
            continue;
        };
        let entry = Entry::new(adjacency, generation, 0).with_static();
        let key = MacKey::from(mac.0);
        let known = network.fib.get(key).filter(|known| known.is_static());
        let changes = &mut filled.changes.macs;
        match known {
            Some(known) if known.location() == entry.location() => changes.kept += 1,
            known => match (network.fib.insert(key, entry, reclaimer), known) {
                (Err(_), _) => filled.no_place += 1,
                (Ok(_), None) => changes.added += 1,
                (Ok(_), Some(_)) => changes.changed += 1,
            },
        }
        let Some(suppressor) = &mut network.suppressor else { continue };
        for address in ips {
            let known = suppressor.writer.get(*address).filter(|known| known.kind == Kind::Static);
            let changes = &mut filled.changes.addresses;
            match known {
                Some(known) if known.mac == *mac => changes.kept += 1,
                known => match (suppressor.bind_static(*address, *mac, reclaimer), known) {
                    (Err(_), _) => filled.no_place += 1,
                    (Ok(()), None) => changes.added += 1,
                    (Ok(()), Some(_)) => changes.changed += 1,
                },
            }
        }
    }
    filled
}

/// Removes the static MACs and addresses that are not among `macs`.
fn prune(network: &mut Network, macs: &[StaticMac], changes: &mut StaticChanges) {
    let wanted: HashSet<MacKey> = macs.iter().map(|fixed| MacKey::from(fixed.mac.0)).collect();
    let gone = network.fib.iter().filter(|(key, entry)| entry.is_static() && !wanted.contains(key));
    let gone: Vec<MacKey> = gone.map(|(key, _)| key).collect();
    changes.macs.removed =
        gone.into_iter().filter_map(|key| network.fib.remove(key)).count() as u64;

    let Some(suppressor) = &mut network.suppressor else { return };
    let wanted: HashSet<_> = macs.iter().flat_map(|fixed| &fixed.ips).copied().collect();
    let is_gone = |(address, kind): &(_, Kind)| *kind == Kind::Static && !wanted.contains(address);
    let known = suppressor.writer.iter().map(|(address, binding)| (address, binding.kind));
    let gone: Vec<_> = known.filter(is_gone).collect();
    let gone = gone.into_iter().filter_map(|(address, _)| suppressor.writer.remove(address));
    changes.addresses.removed = gone.count() as u64;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::config::{ArpSuppression, EncapName};
    use crate::control::adjacency::Way;
    use crate::control::neighbours::Suppressor;
    use crate::control::network::Policy;
    use crate::fib::{Domain, FibWriter};
    use crate::neighbours::Address;
    use crate::tunnel::{Encap, Sequence};
    use crate::wire::MacAddr;
    use crate::worker::Unknown;

    const VNI: u32 = 101;

    /// A network with a port and the flood peer 0.
    struct World {
        network: Network,
        peers: Peers,
        adjacencies: Adjacencies,
        reclaimer: Reclaimer,
        domain: Arc<Domain>,
    }

    fn peer(number: u8) -> config::Peer {
        let address = IpAddr::from([192, 0, 2, number]);
        config::Peer { address, encap: Encap::vxlan(4789), id: None }
    }

    fn mac(number: u32) -> MacAddr {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    fn address(number: u32) -> Address {
        Address::of_station(std::net::Ipv4Addr::from(0x0a00_0000 + number).into()).unwrap()
    }

    /// Behind a peer, or at the port, which is place 0.
    fn fixed(number: u32, place: u8, ips: &[u32]) -> StaticMac {
        let place = match place {
            0 => MacPlace::Member(0),
            number => MacPlace::Peer(peer(number - 1)),
        };
        StaticMac { mac: mac(number), place, ips: ips.iter().map(|ip| address(*ip)).collect() }
    }

    impl World {
        fn new() -> Self {
            let domain = Domain::new(1);
            let mut adjacencies = Adjacencies::default();
            let mut peers = Peers::default();
            let local = adjacencies.add(Way::Local { port: 0, vlan: 0 });
            let flood = peers.join(peer(0), VNI, &mut adjacencies);
            let encap = EncapName::Vxlan;
            let policy = Policy { learning: true, ageing: None, keeps_inner_vlan: false, encap };
            let fib = FibWriter::new(usize::MAX);
            let mut network = Network::new(VNI, "a".to_owned(), policy, fib, 0);
            network.set_members(vec![local], vec![flood]);
            let wanted = ArpSuppression { unknown: Unknown::Flood, limit: 8 };
            network.suppressor = Some(Suppressor::new(wanted, 1, 1));
            let reclaimer = Reclaimer::new(domain.clone());
            Self { network, peers, adjacencies, reclaimer, domain }
        }

        fn replace(&mut self, macs: &[StaticMac]) -> StaticChanges {
            let Self { network, peers, adjacencies, reclaimer, .. } = self;
            let behind = peers_of(macs);
            for peer in &behind {
                if !peers.has(peer, VNI) {
                    peers.join(*peer, VNI, adjacencies);
                }
            }
            let (filled, _) = replace(network, macs, &behind, peers, adjacencies, reclaimer);
            assert_eq!(filled.no_place, 0);
            network.fib.reclaim(reclaimer);
            network.suppressor.as_mut().unwrap().writer.reclaim(reclaimer);
            reclaimer.reclaim();
            filled.changes
        }

        /// The peer that a static MAC is behind by the tables, or else its port.
        fn place(&self, entry: Entry) -> MacPlace {
            match self.adjacencies.get(entry.adjacency()) {
                Some(Way::Peer { address: IpAddr::V4(address), .. }) => {
                    MacPlace::Peer(peer(address.octets()[3]))
                }
                _ => MacPlace::Member(0),
            }
        }

        fn static_macs(&self) -> HashMap<MacKey, MacPlace> {
            let entries = self.network.fib.iter().filter(|(_, entry)| entry.is_static());
            entries.map(|(key, entry)| (key, self.place(entry))).collect()
        }

        fn static_addresses(&self) -> HashMap<Address, MacAddr> {
            let known = self.network.suppressor.as_ref().unwrap().writer.iter();
            let fixed = known.filter(|(_, binding)| binding.kind == Kind::Static);
            fixed.map(|(address, binding)| (address, binding.mac)).collect()
        }
    }

    fn expected<K: Eq + std::hash::Hash, V: PartialEq>(
        old: &HashMap<K, V>,
        new: &HashMap<K, V>,
    ) -> crate::api::model::Changes {
        let count = |is: &dyn Fn(Option<&V>, &V) -> bool| {
            new.iter().filter(|(key, value)| is(old.get(key), value)).count() as u64
        };
        crate::api::model::Changes {
            added: count(&|old, _| old.is_none()),
            changed: count(&|old, new| old.is_some_and(|old| old != new)),
            kept: count(&|old, new| old == Some(new)),
            removed: old.keys().filter(|key| !new.contains_key(key)).count() as u64,
        }
    }

    /// Sets of MACs with up to one address each; MACs and addresses are there once in a set.
    fn sets() -> impl Strategy<Value = Vec<Vec<StaticMac>>> {
        let of_mac = (0..6u8, prop::option::of(0..12u32));
        let set = prop::collection::hash_map(1..20u32, of_mac, 0..20).prop_map(|set| {
            let mut seen = HashSet::new();
            let read = |(number, (place, ip)): (u32, (u8, Option<u32>))| {
                let ip = ip.filter(|ip| seen.insert(*ip));
                fixed(number, place, ip.as_slice())
            };
            set.into_iter().map(read).collect::<Vec<_>>()
        });
        prop::collection::vec(set, 1..12)
    }

    proptest! {
        #[test]
        fn after_each_set_the_tables_hold_just_that(sets in sets()) {
            let mut world = World::new();
            // Learned ones are none of the operator's business, unless he names them.
            let learned = MacKey::from([2, 9, 9, 9, 9, 9]);
            let entry = Entry::new(world.network.locals()[0], 1, 0);
            world.network.fib.insert(learned, entry, &mut world.reclaimer).unwrap();
            for set in sets {
                let (macs, addresses) = (world.static_macs(), world.static_addresses());
                let changes = world.replace(&set);
                let now: HashMap<_, _> =
                    set.iter().map(|of| (MacKey::from(of.mac.0), of.place)).collect();
                prop_assert_eq!(&world.static_macs(), &now);
                prop_assert_eq!(changes.macs, expected(&macs, &now));
                let now: HashMap<_, _> =
                    set.iter().flat_map(|of| of.ips.iter().map(|ip| (*ip, of.mac))).collect();
                prop_assert_eq!(&world.static_addresses(), &now);
                prop_assert_eq!(changes.addresses, expected(&addresses, &now));
                prop_assert_eq!(world.network.fib.get(learned), Some(entry));

                let mut needed = peers_of(&set);
                needed.insert(peer(0));
                let joined: HashSet<_> = world.peers.iter().map(|(key, _)| *key).collect();
                prop_assert_eq!(joined, needed);
            }
            prop_assert!(world.adjacencies.build().0.len() <= 7, "indices are used again");
        }
    }

    #[test]
    fn what_was_learned_at_a_peer_that_is_left_is_void_for_good() {
        let mut world = World::new();
        world.replace(&[fixed(1, 3, &[])]);
        let index = world.peers.adjacency(&peer(2), VNI).unwrap();
        let learned = Entry::new(index, world.adjacencies.generation(index).unwrap(), 0);
        world.replace(&[]);
        assert_eq!(world.adjacencies.generation(index), None);
        world.replace(&[fixed(1, 3, &[])]);
        assert_eq!(world.peers.adjacency(&peer(2), VNI), Some(index));
        assert_ne!(world.adjacencies.generation(index), Some(learned.generation()));
    }

    #[test]
    fn a_peer_that_another_network_needs_stays() {
        let mut world = World::new();
        let index = world.peers.join(peer(2), VNI + 1, &mut world.adjacencies);
        let generation = world.adjacencies.generation(index);
        world.replace(&[fixed(1, 3, &[])]);
        world.replace(&[]);
        assert!(world.peers.has(&peer(2), VNI + 1) && !world.peers.has(&peer(2), VNI));
        assert_eq!(world.adjacencies.generation(index), generation);
    }

    #[test]
    fn an_address_that_speaks_nvgre_elsewhere_cannot_speak_gre_here() {
        let mut world = World::new();
        let speaking = |encap| config::Peer { encap, ..peer(2) };
        let nvgre = speaking(Encap::Nvgre { flow_id: true });
        let gre = speaking(Encap::Gre { key: true, checksum: false, sequence: Sequence::Off });
        world.peers.join(nvgre, VNI + 1, &mut world.adjacencies);
        assert_eq!(world.peers.conflict(&gre, VNI), Some((VNI + 1, "nvgre")));
        for fine in [nvgre, peer(2), config::Peer { encap: gre.encap, ..peer(3) }] {
            assert_eq!(world.peers.conflict(&fine, VNI), None);
        }
    }

    /// A reader never misses what stays, while tables grow, shrink and use their slots again.
    #[test]
    fn what_stays_is_there_at_every_moment() {
        let mut world = World::new();
        let stays = fixed(1, 2, &[1]);
        world.replace(std::slice::from_ref(&stays));
        let fib = world.network.fib.shared();
        let neighbours = world.network.suppressor.as_ref().unwrap().writer.shared();
        let mut reader = world.domain.register().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| {
                let (key, mut looks) = (MacKey::from(stays.mac.0), 0u64);
                while !stop.load(Ordering::Relaxed) {
                    let hit = fib.buckets(&reader).probe(key).finish(&fib, &reader);
                    assert!(hit.is_some_and(|hit| hit.entry().is_static()));
                    let known = neighbours.find(address(1), &reader).map(|known| known.binding.mac);
                    assert_eq!(known, Some(stays.mac));
                    reader.quiescent();
                    looks += 1;
                }
                looks
            });
            for round in 0..400u32 {
                let size = [10, 3000, 100, 0][round as usize % 4];
                let others = (2..2 + size).map(|number| {
                    fixed(number + round * 5000, (round % 5) as u8, &[number + round * 5000])
                });
                let set: Vec<_> = others.chain([stays.clone()]).collect();
                world.replace(&set);
                // Sweeps are what shrinks tables.
                let World { network, reclaimer, .. } = &mut world;
                network.fib.sweep(0, usize::MAX, reclaimer, |_, _| true);
            }
            stop.store(true, Ordering::Relaxed);
            assert!(looks.join().unwrap() > 1000);
        });
    }

    #[test]
    fn a_hundred_thousand_fit_and_stay() {
        let mut world = World::new();
        let set: Vec<_> =
            (0..100_000).map(|number| fixed(number, (number % 6) as u8, &[number])).collect();
        for (added, kept) in [(100_000, 0), (0, 100_000)] {
            let changes = world.replace(&set);
            assert_eq!((changes.macs.added, changes.macs.kept), (added, kept));
            assert_eq!((changes.addresses.added, changes.addresses.kept), (added, kept));
        }
        let memory = world.network.suppressor.as_ref().unwrap().writer.memory();
        assert!(memory < 16 << 20, "{memory} bytes");
    }
}
