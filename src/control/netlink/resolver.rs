//! From routes and neighbours to next hops: the state, without the kernel.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use crate::control::peers::{NextHopUpdate, Resolution, ResolvedHop};
use crate::wire::MacAddr;

/// A neighbour that is missing is asked for this soon again, and later less often.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(8);
/// A neighbour that is there is confirmed this often.
const CONFIRM: Duration = Duration::from_secs(15);

/// A station on one of our links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour {
    /// Interface index.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The gateway, or the peer itself.
    pub at: Neighbour,
    /// Its share of the flows, where there are several.
    pub weight: u16,
}

/// What the kernel says of a peer's address: where its route leads. Empty: nowhere.
pub type Route = Vec<Hop>;

struct Peer {
    route: Route,
    told: Option<Resolution>,
    next_question: Instant,
    pause: Duration,
}

impl Peer {
    fn new() -> Self {
        Self { route: Route::new(), told: None, next_question: Instant::now(), pause: SOONEST }
    }
}

/// All peers, and what is known of their next hops.
pub struct Resolver {
    /// Interface index to the port index of the underlay port.
    twins: HashMap<u32, u16>,
    /// Underlay ports without a link.
    down: HashSet<u16>,
    peers: HashMap<IpAddr, Peer>,
    neighbours: HashMap<Neighbour, MacAddr>,
    /// Those that the administrator made: asking for them would make them ordinary (Linux since 5.16).
    permanent: HashSet<Neighbour>,
    /// Peers whose state may have changed.
    changed: HashSet<IpAddr>,
}

impl Resolver {
    /// With the twins as pairs of interface index and underlay port.
    pub fn new(twins: Vec<(u32, u16)>) -> Self {
        Self {
            twins: twins.into_iter().collect(),
            down: HashSet::new(),
            peers: HashMap::new(),
            neighbours: HashMap::new(),
            permanent: HashSet::new(),
            changed: HashSet::new(),
        }
    }

    /// Follows a peer. One that is followed already is told again.
    pub fn follow(&mut self, address: IpAddr) {
        self.peers.entry(address).or_insert_with(Peer::new).told = None;
        self.changed.insert(address);
    }

    /// Follows a peer no longer.
    pub fn forget(&mut self, address: IpAddr) {
        self.peers.remove(&address);
        self.changed.remove(&address);
    }

    /// All peers.
    pub fn peers(&self) -> Vec<IpAddr> {
        self.peers.keys().copied().collect()
    }

    /// The kernel's route to a peer.
    pub fn set_route(&mut self, address: IpAddr, route: Route) {
        if let Some(peer) = self.peers.get_mut(&address)
            && (peer.route != route || peer.told.is_none())
        {
            peer.route = route;
            peer.next_question = Instant::now();
            peer.pause = SOONEST;
            self.changed.insert(address);
        }
    }

    /// The interface index of an underlay port's twin.
    pub fn twin(&self, port: u16) -> Option<u32> {
        self.twins.iter().find(|(_, of)| **of == port).map(|(interface, _)| *interface)
    }

    /// An underlay port's link is lost or back.
    pub fn set_link(&mut self, port: u16, up: bool) {
        let changed = if up { self.down.remove(&port) } else { self.down.insert(port) };
        if changed {
            self.mark(|_| true);
        }
    }

    /// Whether the administrator made a neighbour.
    pub fn set_permanent(&mut self, neighbour: Neighbour, permanent: bool) {
        if permanent {
            self.permanent.insert(neighbour);
        } else {
            self.permanent.remove(&neighbour);
        }
    }

    /// A neighbour's MAC, or that it has none now.
    pub fn set_neighbour(&mut self, neighbour: Neighbour, mac: Option<MacAddr>) {
        let old = match mac {
            Some(mac) => self.neighbours.insert(neighbour, mac),
            None => self.neighbours.remove(&neighbour),
        };
        if old != mac {
            self.mark(|hop| hop == neighbour);
        }
    }

    /// Before all neighbours are read anew.
    pub fn forget_neighbours(&mut self) {
        self.neighbours.clear();
        self.permanent.clear();
        self.mark(|_| true);
    }

    fn mark(&mut self, concerns: impl Fn(Neighbour) -> bool) {
        for (address, peer) in &self.peers {
            if peer.route.iter().any(|hop| concerns(hop.at)) {
                self.changed.insert(*address);
            }
        }
    }

    /// A peer's packets are being dropped: ask soon, if that is not under way.
    pub fn want(&mut self, address: IpAddr) {
        if let Some(peer) = self.peers.get_mut(&address) {
            let soon = Instant::now() + SOONEST;
            peer.next_question = peer.next_question.min(soon);
        }
    }

    /// Next hops to ask the kernel for now.
    pub fn due(&mut self) -> Vec<Neighbour> {
        let now = Instant::now();
        let mut due = HashSet::new();
        for peer in self.peers.values_mut() {
            if peer.next_question > now {
                continue;
            }
            let asked = peer.route.iter().map(|hop| hop.at).filter(|hop| {
                self.twins.contains_key(&hop.interface) && !self.permanent.contains(hop)
            });
            let asked: Vec<_> = asked.collect();
            if asked.is_empty() {
                continue;
            }
            let all_there = asked.iter().all(|hop| self.neighbours.contains_key(hop));
            due.extend(asked);
            let pause = if all_there {
                peer.pause = SOONEST;
                CONFIRM
            } else {
                let pause = peer.pause;
                peer.pause = (pause * 2).min(LATEST);
                pause
            };
            peer.next_question = now + pause;
        }
        due.into_iter().collect()
    }

    /// What the control core has not been told yet.
    pub fn changes(&mut self) -> Vec<NextHopUpdate> {
        let mut updates = Vec::new();
        for address in std::mem::take(&mut self.changed) {
            let Some(resolution) = self.resolve(address) else { continue };
            if let Some(peer) = self.peers.get_mut(&address)
                && peer.told.as_ref() != Some(&resolution)
            {
                if !matches!(resolution, Resolution::Resolved { .. }) {
                    peer.next_question = Instant::now();
                }
                peer.told = Some(resolution.clone());
                updates.push((address, resolution));
            }
        }
        updates
    }

    /// By which of its next hops a peer is reached: all that answer, but not by ports without a link where there are others.
    fn resolve(&self, address: IpAddr) -> Option<Resolution> {
        let route = &self.peers.get(&address)?.route;
        let reached = route.iter().filter(|hop| self.twins.contains_key(&hop.at.interface));
        let hop = |hop: &Hop| {
            let port = *self.twins.get(&hop.at.interface)?;
            let mac = *self.neighbours.get(&hop.at)?;
            Some(ResolvedHop { port, mac, address: hop.at.address, weight: hop.weight })
        };
        let mut hops: Vec<_> = route.iter().filter_map(hop).collect();
        if hops.iter().any(|hop| !self.down.contains(&hop.port)) {
            hops.retain(|hop| !self.down.contains(&hop.port));
        }
        Some(match (hops.is_empty(), reached.count()) {
            (false, _) => Resolution::Resolved(hops),
            (true, 0) => Resolution::NoRoute,
            (true, _) => Resolution::Unresolved,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::slice::from_ref;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);

    fn resolver() -> Resolver {
        let mut resolver = Resolver::new(vec![(7, 0)]);
        [PEER, FAR].into_iter().for_each(|peer| resolver.follow(peer));
        resolver.set_route(PEER, via(7, PEER));
        resolver.set_route(FAR, via(7, GATEWAY));
        assert_eq!(resolver.changes().len(), 2);
        resolver
    }

    fn at(address: IpAddr) -> Neighbour {
        Neighbour { interface: 7, address }
    }

    fn via(interface: u32, address: IpAddr) -> Route {
        vec![Hop { at: Neighbour { interface, address }, weight: 1 }]
    }

    fn resolved(address: IpAddr, mac: MacAddr) -> Resolution {
        Resolution::Resolved(vec![ResolvedHop { port: 0, mac, address, weight: 1 }])
    }

    #[test]
    fn of_several_next_hops_those_are_taken_that_answer_and_have_a_link() {
        let mut resolver = Resolver::new(vec![(7, 0), (8, 1)]);
        resolver.follow(FAR);
        let [one, other] = [(7, GATEWAY), (8, PEER)].map(|(interface, address)| Hop {
            at: Neighbour { interface, address },
            weight: interface as u16,
        });
        let nowhere = Hop { at: Neighbour { interface: 9, ..one.at }, weight: 1 };
        resolver.set_route(FAR, vec![one, other, nowhere]);
        assert_eq!(resolver.changes(), [(FAR, Resolution::Unresolved)]);
        assert_eq!(resolver.due().len(), 2, "each of our links' is asked for");
        let hop = |of: Hop, port| ResolvedHop {
            port,
            mac: MAC,
            address: of.at.address,
            weight: of.weight,
        };
        let (by_one, by_other) = (hop(one, 0), hop(other, 1));
        let mut told = |expected: Option<&[ResolvedHop]>, change: &dyn Fn(&mut Resolver)| {
            change(&mut resolver);
            let expected = expected.map(|hops| (FAR, Resolution::Resolved(hops.to_vec())));
            assert_eq!(resolver.changes(), Vec::from_iter(expected));
        };
        let both = [by_one.clone(), by_other.clone()];
        told(Some(from_ref(&by_one)), &|of| of.set_neighbour(one.at, Some(MAC)));
        told(Some(&both), &|of| of.set_neighbour(other.at, Some(MAC)));
        told(Some(from_ref(&by_other)), &|of| of.set_link(0, false));
        // Where no link is left, nothing says which of them will be back first.
        told(Some(&both), &|of| of.set_link(1, false));
        told(Some(from_ref(&by_one)), &|of| of.set_link(0, true));
        told(Some(&both), &|of| of.set_link(1, true));
        told(None, &|of| of.set_link(1, true));
        told(Some(from_ref(&by_other)), &|of| of.set_neighbour(one.at, None));
        told(None, &|of| of.set_route(FAR, vec![other, nowhere]));
        told(Some(from_ref(&by_one)), &|of| {
            of.set_neighbour(one.at, Some(MAC));
            of.set_route(FAR, vec![one]);
        });
    }

    #[test]
    fn neighbours_come_move_and_go_and_only_changes_are_told() {
        let mut resolver = resolver();
        resolver.set_neighbour(at(PEER), Some(MAC));
        assert_eq!(resolver.changes(), [(PEER, resolved(PEER, MAC))]);
        resolver.set_neighbour(at(PEER), Some(MAC));
        assert_eq!(resolver.changes(), []);
        resolver.set_neighbour(at(PEER), Some(OTHER_MAC));
        assert_eq!(resolver.changes(), [(PEER, resolved(PEER, OTHER_MAC))]);
        resolver.set_neighbour(at(PEER), None);
        assert_eq!(resolver.changes(), [(PEER, Resolution::Unresolved)]);
    }

    #[test]
    fn a_peer_behind_a_gateway_has_the_gateways_mac() {
        let mut resolver = resolver();
        resolver.set_neighbour(at(GATEWAY), Some(MAC));
        assert_eq!(resolver.changes(), [(FAR, resolved(GATEWAY, MAC))]);
        resolver.set_route(FAR, Route::new());
        assert_eq!(resolver.changes(), [(FAR, Resolution::NoRoute)]);
        resolver.set_route(FAR, via(8, GATEWAY));
        assert_eq!(resolver.changes(), [], "by an interface that is no twin: still no route");
    }

    #[test]
    fn reading_all_neighbours_anew_is_no_change() {
        let mut resolver = resolver();
        resolver.set_neighbour(at(PEER), Some(MAC));
        resolver.changes();
        resolver.forget_neighbours();
        resolver.set_neighbour(at(PEER), Some(MAC));
        assert_eq!(resolver.changes(), []);
    }

    #[test]
    fn peers_come_and_go_and_one_that_is_followed_anew_is_told_anew() {
        let mut resolver = resolver();
        resolver.set_neighbour(at(PEER), Some(MAC));
        assert_eq!(resolver.changes(), [(PEER, resolved(PEER, MAC))]);
        resolver.follow(PEER);
        assert_eq!(resolver.changes(), [(PEER, resolved(PEER, MAC))]);
        resolver.forget(PEER);
        resolver.set_neighbour(at(PEER), Some(OTHER_MAC));
        assert_eq!(resolver.changes(), []);
        assert_eq!(resolver.due(), [at(GATEWAY)], "nobody asks for it");
        resolver.follow(PEER);
        resolver.set_route(PEER, via(7, PEER));
        assert_eq!(resolver.changes(), [(PEER, resolved(PEER, OTHER_MAC))]);
    }

    #[test]
    fn a_permanent_neighbour_is_never_asked_for() {
        let mut resolver = resolver();
        resolver.set_neighbour(at(PEER), Some(MAC));
        resolver.set_permanent(at(PEER), true);
        assert_eq!(resolver.due(), [at(GATEWAY)]);
        resolver.set_permanent(at(PEER), false);
        assert_eq!(resolver.due(), [at(PEER)]);
    }

    #[test]
    fn a_missing_neighbour_is_asked_for_at_once_and_then_in_growing_intervals() {
        let mut resolver = resolver();
        let mut due = resolver.due();
        due.sort_by_key(|neighbour| neighbour.address);
        assert_eq!(due, [at(PEER), at(GATEWAY)]);
        assert_eq!(resolver.due(), []);
        assert_eq!(resolver.peers[&PEER].pause, SOONEST * 2);
        resolver.set_neighbour(at(PEER), Some(MAC));
        resolver.changes();
        resolver.set_neighbour(at(PEER), None);
        resolver.changes();
        assert_eq!(resolver.due(), [at(PEER)], "a neighbour that was lost is asked for at once");
    }
}
