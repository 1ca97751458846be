//! From routes and neighbours to next hops: the state, without the kernel.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use crate::control::peers::{NextHopUpdate, Resolution};
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
pub type Hop = Neighbour;

/// What the kernel says of a peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nothing leads there.
    None,
    /// By the gateway, or to the peer itself.
    Via(Hop),
}

struct Peer {
    route: Route,
    told: Option<Resolution>,
    next_question: Instant,
    pause: Duration,
}

impl Peer {
    fn new() -> Self {
        Self { route: Route::None, told: None, next_question: Instant::now(), pause: SOONEST }
    }
}

/// All peers, and what is known of their next hops.
pub struct Resolver {
    /// Interface index to the port index of the underlay port.
    twins: HashMap<u32, u16>,
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

    fn mark(&mut self, concerns: impl Fn(Hop) -> bool) {
        for (address, peer) in &self.peers {
            if matches!(peer.route, Route::Via(hop) if concerns(hop)) {
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
            let Route::Via(hop) = peer.route else { continue };
            if !self.twins.contains_key(&hop.interface)
                || self.permanent.contains(&hop)
                || peer.next_question > now
            {
                continue;
            }
            due.insert(hop);
            let pause = if self.neighbours.contains_key(&hop) {
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

    fn resolve(&self, address: IpAddr) -> Option<Resolution> {
        Some(match self.peers.get(&address)?.route {
            Route::None => Resolution::NoRoute,
            Route::Via(hop) => match (self.twins.get(&hop.interface), self.neighbours.get(&hop)) {
                (None, _) => Resolution::NoRoute,
                (Some(_), None) => Resolution::Unresolved,
                (Some(port), Some(mac)) => {
                    Resolution::Resolved { port: *port, mac: *mac, next_hop: hop.address }
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));
    const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 3]);

    fn resolver() -> Resolver {
        let mut resolver = Resolver::new(vec![(7, 0)]);
        [PEER, FAR].into_iter().for_each(|peer| resolver.follow(peer));
        resolver.set_route(PEER, Route::Via(Hop { interface: 7, address: PEER }));
        resolver.set_route(FAR, Route::Via(Hop { interface: 7, address: GATEWAY }));
        assert_eq!(resolver.changes().len(), 2);
        resolver
    }

    fn at(address: IpAddr) -> Neighbour {
        Neighbour { interface: 7, address }
    }

    fn resolved(next_hop: IpAddr, mac: MacAddr) -> Resolution {
        Resolution::Resolved { port: 0, mac, next_hop }
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
        resolver.set_route(FAR, Route::None);
        assert_eq!(resolver.changes(), [(FAR, Resolution::NoRoute)]);
        resolver.set_route(FAR, Route::Via(Hop { interface: 8, address: GATEWAY }));
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
        resolver.set_route(PEER, Route::Via(at(PEER)));
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
