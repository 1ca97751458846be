//! The operator's MACs and addresses.

use hashbrown::HashSet;

use super::adjacency::Adjacencies;
use super::network::Network;
use super::peers::Peers;
use crate::config::{self, MacPlace, StaticMac};
use crate::fib::{Entry, MacKey, Reclaimer};
use crate::neighbours::Kind;

/// Makes a network's static MACs those of its configuration, whose peers it has joined, by what differs: what stays is
/// there at every moment. Returns how many MACs and addresses there was no place for.
pub(super) fn replace(
    network: &mut Network,
    peers: &Peers,
    adjacencies: &Adjacencies,
    reclaimer: &mut Reclaimer,
) -> usize {
    let config = network.config.clone();
    let no_place = fill(network, &config.macs, peers, adjacencies, reclaimer);
    prune(network, &config.macs);
    no_place
}

/// The peers that MACs are behind.
pub(super) fn peers_of(macs: &[StaticMac]) -> HashSet<config::Peer> {
    let peer = |fixed: &StaticMac| match fixed.place {
        MacPlace::Peer(peer) => Some(peer),
        MacPlace::Member(_) => None,
    };
    macs.iter().filter_map(peer).collect()
}

/// Sets the places of static MACs and the owners of their addresses, where they are not so already.
fn fill(
    network: &mut Network,
    macs: &[StaticMac],
    peers: &Peers,
    adjacencies: &Adjacencies,
    reclaimer: &mut Reclaimer,
) -> usize {
    let mut no_place = 0;
    for StaticMac { mac, place: at, ips } in macs {
        let adjacency = match at {
            MacPlace::Member(member) => network.locals().get(*member).copied(),
            MacPlace::Peer(peer) => peers.adjacency(peer, network.vni()),
        };
        let placed = adjacency.and_then(|index| Some((index, adjacencies.generation(index)?)));
        let Some((adjacency, generation)) = placed else {
            no_place += 1;
            continue;
        };
        let entry = Entry::new(adjacency, generation, 0).with_static();
        let key = MacKey::from(mac.0);
        let is_there = |known: Entry| known.is_static() && known.location() == entry.location();
        if !network.fib.get(key).is_some_and(is_there) {
            no_place += usize::from(network.fib.insert(key, entry, reclaimer).is_err());
        }
        let Some(suppressor) = &mut network.suppressor else { continue };
        for address in ips {
            let known = suppressor.writer.get(*address);
            if !known.is_some_and(|known| known.kind == Kind::Static && known.mac == *mac) {
                let bound = suppressor.bind_static(*address, *mac, reclaimer);
                no_place += usize::from(bound.is_err());
            }
        }
    }
    no_place
}

/// Removes the static MACs and addresses that are not among `macs`.
fn prune(network: &mut Network, macs: &[StaticMac]) {
    let wanted: HashSet<MacKey> = macs.iter().map(|fixed| MacKey::from(fixed.mac.0)).collect();
    let gone = network.fib.iter().filter(|(key, entry)| entry.is_static() && !wanted.contains(key));
    let gone: Vec<MacKey> = gone.map(|(key, _)| key).collect();
    for key in gone {
        network.fib.remove(key);
    }

    let Some(suppressor) = &mut network.suppressor else { return };
    let wanted: HashSet<_> = macs.iter().flat_map(|fixed| &fixed.ips).copied().collect();
    let known = suppressor.writer.iter().filter(|(_, binding)| binding.kind == Kind::Static);
    let gone = known.map(|(address, _)| address).filter(|address| !wanted.contains(address));
    for address in gone.collect::<Vec<_>>() {
        suppressor.writer.remove(address);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::control::adjacency::Way;
    use crate::control::fixture;
    use crate::fib::Domain;
    use crate::neighbours::Address;
    use crate::tunnel::Encap;
    use crate::wire::MacAddr;

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
        config::Peer { address, encap: Encap::vxlan(4789), id: None, dscp: None, ttl: None }
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
            let local = adjacencies.attach(0, None);
            let flood = peers.join(peer(0), VNI, &mut adjacencies);
            let text = "{name: a, ports: [vm1], ageing: off, arp_suppression: {limit: 8}}";
            let mut network = Network::new(fixture::network(VNI, text), 1, 1);
            network.set_members(vec![local], vec![flood]);
            let reclaimer = Reclaimer::new(domain.clone());
            Self { network, peers, adjacencies, reclaimer, domain }
        }

        fn replace(&mut self, macs: &[StaticMac]) {
            let Self { network, peers, adjacencies, reclaimer, .. } = self;
            let config = config::Network { macs: macs.to_vec(), ..(*network.config).clone() };
            network.configure(Arc::new(config), 1);
            let mut needed: HashSet<_> = network.peers().iter().copied().collect();
            let behind = peers_of(macs);
            needed.extend(behind.iter().map(|peer| peers.join(*peer, VNI, adjacencies)));
            assert_eq!(replace(network, peers, adjacencies, reclaimer), 0);
            peers.leave(&[(VNI, needed)].into_iter().collect(), adjacencies);
            network.fib.reclaim(reclaimer);
            network.suppressor.as_mut().unwrap().writer.reclaim(reclaimer);
            reclaimer.reclaim();
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
                world.replace(&set);
                let now: HashMap<_, _> =
                    set.iter().map(|of| (MacKey::from(of.mac.0), of.place)).collect();
                prop_assert_eq!(&world.static_macs(), &now);
                let now: HashMap<_, _> =
                    set.iter().flat_map(|of| of.ips.iter().map(|ip| (*ip, of.mac))).collect();
                prop_assert_eq!(&world.static_addresses(), &now);
                prop_assert_eq!(world.network.fib.get(learned), Some(entry));

                let mut needed = peers_of(&set);
                needed.insert(peer(0));
                let joined: HashSet<_> = world.peers.iter().map(|(key, _)| *key).collect();
                prop_assert_eq!(joined, needed);
            }
            prop_assert!(world.adjacencies.build().adjacencies.len() <= 7, "indices are used again");
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
        let (_, stays) = world.peers.iter().find(|(key, _)| **key == peer(2)).unwrap();
        assert_eq!(stays.networks, [VNI + 1].into_iter().collect());
        assert_eq!(world.adjacencies.generation(index), generation);
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
        for _ in 0..2 {
            world.replace(&set);
            assert_eq!(
                (world.static_macs().len(), world.static_addresses().len()),
                (100_000, 100_000)
            );
        }
        let memory = world.network.suppressor.as_ref().unwrap().writer.memory();
        assert!(memory < 16 << 20, "{memory} bytes");
    }
}
