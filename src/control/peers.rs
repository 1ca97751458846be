//! Remote VTEPs and their next hops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::{HashMap, HashSet};

use super::adjacency::{Adjacencies, NextHop, Way};
use super::announce::Announcer;
use super::clock::Seconds;
use super::former::{Former, Known};
use super::ports::{ControlPort, Ports};
use crate::api::Event;
use crate::config::{self, Config};
use crate::tunnel::{Encap, OuterHeader, Sequence};
use crate::wire::{MacAddr, ethernet};
use crate::worker::{AdjacencyIndex, AnyPeer, AnyPeers, Dialect, IndexMap, LearnedWays};

/// A peer, over all networks that speak to it in the same way.
pub struct Peer {
    /// Its adjacency.
    pub adjacency: AdjacencyIndex,
    /// The VNIs of the networks that it is part of.
    pub networks: HashSet<u32>,
    /// Whether the kernel has a route to it.
    pub routed: bool,
    /// Whether it was learned from what it sent, rather than configured.
    pub learned: bool,
}

/// A peer's next hops, as found by netlink or by configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Those that packets leave by.
    Resolved(Vec<ResolvedHop>),
    /// The next hop does not answer.
    Unresolved,
    /// No route by an underlay port.
    NoRoute,
}

/// A next hop that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedHop {
    /// Port index of the underlay port.
    pub port: u16,
    /// The peer's or the gateway's.
    pub mac: MacAddr,
    /// The peer itself, or the gateway on the way.
    pub address: IpAddr,
    /// Its share of the flows, where there are several.
    pub weight: u16,
}

/// A peer's next hops, found or lost.
pub type NextHopUpdate = (IpAddr, Resolution);

/// All peers by address and by how they are spoken to.
#[derive(Default)]
pub struct Peers {
    peers: HashMap<config::Peer, Peer>,
    by_address: HashMap<IpAddr, Vec<config::Peer>>,
    learned: usize,
    /// Peers that were too many to be learned, each time they were heard.
    pub refused: u64,
    /// Seconds since start.
    pub now: Seconds,
    former: Former,
    /// Indices that are another peer's now, since somebody last asked.
    passed_on: Vec<AdjacencyIndex>,
    /// Addresses of peers that came since somebody last asked.
    fresh: HashSet<IpAddr>,
}

/// What networks do not reach any more.
#[derive(Default)]
pub struct Left {
    /// By a network's ID: adjacencies of peers that it has left.
    pub peers: HashMap<u32, HashSet<AdjacencyIndex>>,
    /// Addresses that are nobody's peers now.
    pub unreachable: Vec<IpAddr>,
}

impl Peers {
    /// The adjacency of a peer that a network needs; makes it if it is new.
    pub fn join(
        &mut self,
        key: config::Peer,
        vni: u32,
        adjacencies: &mut Adjacencies,
    ) -> AdjacencyIndex {
        let peer = self.add(within(key, vni), false, adjacencies);
        let was_learned = std::mem::take(&mut peer.learned);
        peer.networks.insert(vni);
        let adjacency = peer.adjacency;
        self.learned -= usize::from(was_learned);
        adjacency
    }

    fn add(
        &mut self,
        key: config::Peer,
        learned: bool,
        adjacencies: &mut Adjacencies,
    ) -> &mut Peer {
        self.peers.entry(key).or_insert_with(|| {
            self.by_address.entry(key.address).or_default().push(key);
            self.fresh.insert(key.address);
            let way = Way::Peer { address: key.address, next_hops: Vec::new() };
            let adjacency = match self.former.take(&key, self.now) {
                Some(Known::Own(index)) => {
                    adjacencies.restore(index, way);
                    index
                }
                Some(Known::Others(index)) => {
                    adjacencies.pass_on(index, way);
                    self.passed_on.push(index);
                    index
                }
                None => adjacencies.add(way),
            };
            if matches!(key.encap, Encap::Gre { sequence: Sequence::Strict, .. }) {
                adjacencies.want_order(adjacency);
            }
            Peer { adjacency, networks: HashSet::new(), routed: true, learned }
        })
    }

    /// Adds a peer that sent to a network with a group. It is part of no network but those that admit it.
    pub fn learn(&mut self, key: config::Peer, adjacencies: &mut Adjacencies) -> AdjacencyIndex {
        self.learned += 1;
        self.add(key, true, adjacencies).adjacency
    }

    /// Removes learned peers of which nothing was heard that is remembered at `began`. Returns their addresses, and
    /// whether they are nobody's peers now.
    pub fn forget_silent(
        &mut self,
        began: Seconds,
        adjacencies: &mut Adjacencies,
    ) -> Vec<(IpAddr, bool)> {
        if self.learned == 0 {
            return Vec::new();
        }
        let is_silent =
            |peer: &Peer| peer.learned && adjacencies.heard(peer.adjacency).until < began;
        let silent = self.peers.iter().filter(|(_, peer)| is_silent(peer));
        let silent: Vec<_> = silent.map(|(key, peer)| (*key, peer.adjacency)).collect();
        self.learned -= silent.len();
        let forget = |(key, adjacency): (config::Peer, _)| {
            (key.address, self.remove(&key, adjacency, adjacencies))
        };
        silent.into_iter().map(forget).collect()
    }

    /// Removes a peer. Returns whether its address is nobody's now.
    fn remove(
        &mut self,
        key: &config::Peer,
        adjacency: AdjacencyIndex,
        adjacencies: &mut Adjacencies,
    ) -> bool {
        self.peers.remove(key);
        adjacencies.remove(adjacency);
        self.former.keep(*key, adjacency, self.now);
        let Some(keys) = self.by_address.get_mut(&key.address) else { return true };
        keys.retain(|other| other != key);
        let is_nobody = keys.is_empty();
        if is_nobody {
            self.by_address.remove(&key.address);
        }
        is_nobody
    }

    /// Indices that have become another peer's since the last call: what was kept by them is not that one's.
    pub fn take_passed_on(&mut self) -> Vec<AdjacencyIndex> {
        std::mem::take(&mut self.passed_on)
    }

    /// Addresses of peers that are new since the last call, and whose next hops nobody looks for yet.
    pub fn take_fresh(&mut self) -> HashSet<IpAddr> {
        std::mem::take(&mut self.fresh)
    }

    /// Whether there is such a peer.
    pub fn is_known(&self, key: &config::Peer) -> bool {
        self.peers.contains_key(key)
    }

    /// How many were learned.
    pub fn learned_count(&self) -> usize {
        self.learned
    }

    /// The ways out to those that were learned.
    pub fn learned(&self) -> LearnedWays {
        let learned = self.peers.iter().filter(|(_, peer)| peer.learned);
        let way = |(key, peer): (&config::Peer, &Peer)| {
            ((key.address, key.encap.has_groups()), peer.adjacency)
        };
        learned.map(way).collect()
    }

    /// The adjacency of a peer that a network has joined.
    pub fn adjacency(&self, key: &config::Peer, vni: u32) -> Option<AdjacencyIndex> {
        self.peers.get(&within(*key, vni)).map(|peer| peer.adjacency)
    }

    /// Has networks leave all peers but those whose adjacencies they need; who is not in `needed` leaves none.
    pub fn leave(
        &mut self,
        needed: &HashMap<u32, HashSet<AdjacencyIndex>>,
        adjacencies: &mut Adjacencies,
    ) -> Left {
        let mut left = Left::default();
        let mut gone = Vec::new();
        for (key, peer) in &mut self.peers {
            let adjacency = peer.adjacency;
            let stays = |vni: &u32| needed.get(vni).is_none_or(|needs| needs.contains(&adjacency));
            for vni in peer.networks.extract_if(|vni| !stays(vni)) {
                left.peers.entry(vni).or_default().insert(adjacency);
            }
            if peer.networks.is_empty() && !peer.learned {
                gone.push((*key, adjacency));
            }
        }
        for (key, adjacency) in gone {
            if self.remove(&key, adjacency, adjacencies) {
                left.unreachable.push(key.address);
            }
        }
        left
    }

    /// Those at an address, one for each way of speaking to it.
    pub fn at(&self, address: IpAddr) -> impl Iterator<Item = (&config::Peer, &Peer)> {
        let keys = self.by_address.get(&address).into_iter().flatten();
        keys.filter_map(|key| self.peers.get_key_value(key))
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&config::Peer, &Peer)> {
        self.peers.iter()
    }

    /// Whether an address is a peer's.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// Whether any peer speaks GRE or NVGRE.
    pub fn speak_gre(&self) -> bool {
        self.peers.keys().any(|key| dialect(key.encap) != Dialect::Vxlan)
    }

    /// What workers tell configured senders by: those that need no more than an address, and all others. `network`
    /// is a network's index by its ID.
    pub fn build(&self, network: impl Fn(u32) -> Option<u32>) -> (IndexMap, AnyPeers) {
        let mut plain = Vec::new();
        let mut others = AnyPeers::default();
        for (address, keys) in &self.by_address {
            let configured = keys.iter().filter(|key| !self.peers[*key].learned);
            let (vxlan, gre): (Vec<config::Peer>, Vec<config::Peer>) =
                configured.partition(|key| dialect(key.encap) == Dialect::Vxlan);
            match (address, vxlan.as_slice()) {
                (IpAddr::V4(address), [config::Peer { id: None, .. }]) => {
                    plain.push((u32::from(*address), self.peers[&vxlan[0]].adjacency));
                }
                (_, []) => {}
                (_, several) => others.insert(*address, self.any_peer(several, &network)),
            }
            if !gre.is_empty() {
                others.insert(*address, self.any_peer(&gre, &network));
            }
        }
        (IndexMap::new(&plain), others)
    }

    fn any_peer(&self, keys: &[config::Peer], network: &impl Fn(u32) -> Option<u32>) -> AnyPeer {
        let mut networks = HashMap::new();
        let numbered = |key: &config::Peer| key.id.is_some() || is_keyless(key.encap);
        // First what is not valid here, then what is: an ID may be one network's here and another's elsewhere.
        for key in keys.iter().filter(|key| numbered(key)) {
            networks.extend(self.peers[key].networks.iter().map(|vni| (Some(*vni), None)));
        }
        let common = keys.iter().find(|key| !numbered(key));
        for key in keys {
            let peer = &self.peers[key];
            // Of a peer that is spoken to in one way only, the ID alone tells the network.
            if common == Some(key) && keys.len() == 1 {
                continue;
            }
            for vni in &peer.networks {
                let id = if is_keyless(key.encap) { None } else { Some(key.id.unwrap_or(*vni)) };
                let here = network(*vni).map(|network| (network, peer.adjacency));
                networks.insert(id, here);
            }
        }
        let adjacency = common.map(|key| self.peers[key].adjacency);
        AnyPeer { dialect: dialect(keys[0].encap), adjacency, networks }
    }

    /// Has packets to all peers say what the configuration has them say.
    pub fn mark(&self, config: &Config, adjacencies: &mut Adjacencies) {
        for (key, peer) in &self.peers {
            adjacencies.set_marking(peer.adjacency, key.marking(&config.underlay.vtep));
        }
    }

    /// Follows a peer's next hop. Returns whether workers must be told.
    pub fn resolve(
        &mut self,
        address: IpAddr,
        resolution: &Resolution,
        config: &Config,
        ports: &Ports,
        adjacencies: &mut Adjacencies,
        announcer: &mut Announcer,
    ) -> bool {
        let mut changed = false;
        for key in self.by_address.get(&address).into_iter().flatten() {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.routed = *resolution != Resolution::NoRoute;
            let hops = match resolution {
                Resolution::Resolved(hops) => &hops[..],
                Resolution::Unresolved | Resolution::NoRoute => &[],
            };
            let next_hop = |hop: &ResolvedHop| {
                let port = (hop.port, ports.get(hop.port)?);
                let next_hop = next_hop_by(config, port, key, (hop.address, hop.mac));
                Some(NextHop { weight: hop.weight, ..next_hop })
            };
            let next_hops = hops.iter().filter_map(next_hop).collect();
            changed |= adjacencies.set_next_hops(peer.adjacency, next_hops);
        }
        if changed {
            match resolution {
                Resolution::Resolved(hops) => {
                    for hop in hops {
                        announcer.say(|| Event::PeerUp {
                            peer: address,
                            port: ports.get(hop.port).map_or("", |port| port.name()).to_owned(),
                            next_hop: hop.address,
                            mac: hop.mac.to_string(),
                        });
                    }
                    let hops = hops.iter().map(|hop| format!("{} is {}", hop.address, hop.mac));
                    let hops = hops.collect::<Vec<_>>().join(", ");
                    tracing::info!("peer {address}: next hop {hops}");
                }
                Resolution::Unresolved => {
                    tracing::warn!("peer {address}: its next hop does not answer");
                    announcer.say(|| Event::PeerDown { peer: address, routed: true });
                }
                Resolution::NoRoute => {
                    tracing::warn!("peer {address}: no route by an underlay port");
                    announcer.say(|| Event::PeerDown { peer: address, routed: false });
                }
            }
        }
        changed
    }
}

/// A peer as one network has it: to say our own ID is to say nothing.
fn within(key: config::Peer, vni: u32) -> config::Peer {
    config::Peer { id: key.id.filter(|id| *id != vni), ..key }
}

/// What a peer speaks, of three.
fn dialect(encap: Encap) -> Dialect {
    match encap {
        Encap::Vxlan { .. } => Dialect::Vxlan,
        Encap::Nvgre { .. } => Dialect::Nvgre,
        Encap::Gre { .. } => Dialect::Gre,
    }
}

fn is_keyless(encap: Encap) -> bool {
    matches!(encap, Encap::Gre { key: false, .. })
}

/// Where packets to a peer or a group leave: by which port, and to whom next.
pub(super) fn next_hop_by(
    config: &Config,
    (index, port): (u16, &ControlPort),
    peer: &config::Peer,
    (address, mac): (IpAddr, MacAddr),
) -> NextHop {
    let vtep = &config.underlay.vtep;
    let outer = OuterHeader {
        source_mac: port.port.mac(),
        next_hop_mac: mac.0,
        // The configuration names no peer of a family that this VTEP lacks.
        source: match peer.address {
            IpAddr::V4(_) => vtep.ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
            IpAddr::V6(_) => vtep.ipv6.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
        },
        destination: peer.address,
        marking: peer.marking(vtep),
        encap: peer.encap,
        id: peer.id,
        offloads: port.port.computes_udp_checksums(),
    };
    let headers = (outer.length() - ethernet::LENGTH) as u16;
    let inner_limit = port.port.mtu().saturating_sub(headers);
    NextHop { port: index, address, outer, inner_limit, weight: 1 }
}
