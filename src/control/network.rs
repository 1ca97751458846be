//! One network, as the control core knows it.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::{HashMap, HashSet};

use super::adjacency::{Adjacencies, Way};
use super::clock::{self, Tick};
use super::learned_peers;
use super::moves::Moves;
use super::multicast::{Multicast, Snooper, Ways};
use super::neighbours::Suppressor;
use super::ports;
use crate::config::{self, InnerVlan, Others, VlanPriority};
use crate::dpdk::cycles_per_second;
use crate::fib::{FibWriter, Reclaimer};
use crate::worker::{
    AdjacencyIndex, Admission, FloodList, Network as Published, Oversize, Sources, StormControl,
};

/// One network.
pub struct Network {
    /// What the operator asked for.
    pub config: Arc<config::Network>,
    locals: Vec<AdjacencyIndex>,
    peers: Vec<AdjacencyIndex>,
    /// Whom it admits, where it learns its peers.
    pub admission: Option<Arc<Admission>>,
    /// Those of its peers that it floods to because MACs were learned there, and how many walks in a row found none.
    learned: HashMap<AdjacencyIndex, u8>,
    /// Made of both once, and shared by all snapshots: a peer's new next hop changes no list.
    flood: Arc<FloodList>,
    /// Who gets which multicast group; `None`: all is flooded.
    pub multicast: Option<Multicast>,
    /// When workers were told last who gets which group.
    pub(super) groups_told: Option<Instant>,
    /// Its MACs.
    pub fib: FibWriter,
    /// Its addresses, where ARP is answered.
    pub suppressor: Option<Suppressor>,
    /// What of its access ports' frames may be flooded.
    pub storm: Option<Arc<StormControl>>,
    /// What becomes of frames that do not fit the underlay.
    pub oversize: Arc<Oversize>,
    /// Learned MACs that the limit kept out.
    pub refused: u64,
    /// Learned MACs that moved.
    pub moves: u64,
    /// Those that moved of late.
    pub movers: Moves,
    /// Never used twice.
    pub identity: u64,
    /// Where the next sweep goes on.
    pub(super) sweep: usize,
}

impl Network {
    /// One that is nowhere yet, for so many workers.
    pub fn new(config: Arc<config::Network>, identity: u64, workers: usize) -> Self {
        let mut network = Self {
            fib: FibWriter::new(config.mac_limit as usize),
            storm: storm(&config, workers),
            oversize: oversize(&config),
            config: config.clone(),
            locals: Vec::new(),
            peers: Vec::new(),
            admission: None,
            learned: HashMap::new(),
            flood: Arc::default(),
            multicast: None,
            groups_told: None,
            suppressor: None,
            refused: 0,
            moves: 0,
            movers: Moves::default(),
            identity,
            sweep: 0,
        };
        network.configure(config, workers);
        network
    }

    /// The 24-bit ID.
    pub fn vni(&self) -> u32 {
        self.config.vni.get()
    }

    /// The operator's name for it.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Follows another configuration in all that is no way out, keeping what it knows and has counted.
    pub fn configure(&mut self, config: Arc<config::Network>, workers: usize) {
        let before = std::mem::replace(&mut self.config, config);
        let config = &self.config;
        self.fib.set_limit(config.mac_limit as usize);
        if before.storm_control != config.storm_control {
            self.storm = storm(config, workers);
        }
        if (before.oversize, before.gateways) != (config.oversize, config.gateways) {
            self.oversize = oversize(config);
        }
        if before.mac_move != config.mac_move {
            self.movers.restart();
        }
        let admission = learned_peers::admission(config);
        if admission != self.admission {
            self.admission = admission;
            self.learned.clear();
        }
        let refresh_after = self.refresh_after();
        self.suppressor = match (self.suppressor.take(), config.arp_suppression) {
            (_, None) => None,
            (None, Some(wanted)) => Some(Suppressor::new(wanted, refresh_after, workers)),
            (Some(suppressor), Some(wanted)) => Some(suppressor.configured(wanted, refresh_after)),
        };
    }

    /// Adjacencies of its access ports, in the order of its configuration.
    pub fn locals(&self) -> &[AdjacencyIndex] {
        &self.locals
    }

    /// Adjacencies of its flood peers, learned ones included, and its group.
    pub fn peers(&self) -> &[AdjacencyIndex] {
        &self.peers
    }

    /// Sets where it attaches and whom it floods to beside learned peers.
    pub fn set_members(&mut self, locals: Vec<AdjacencyIndex>, mut peers: Vec<AdjacencyIndex>) {
        let listed = HashSet::<AdjacencyIndex>::from_iter(peers.iter().copied());
        self.learned.retain(|peer, _| !listed.contains(peer));
        peers.extend(self.peers.iter().filter(|peer| self.learned.contains_key(*peer)));
        (self.locals, self.peers) = (locals, peers);
        self.list();
    }

    fn list(&mut self) {
        self.flood = Arc::new(FloodList::new(self.locals.clone(), self.peers.clone()));
    }

    /// Whether it floods to the peers that it learns. By a group they are reached without that.
    pub fn floods_to_learned(&self) -> bool {
        self.admission.as_ref().is_some_and(|admission| admission.group.is_none())
    }

    /// A MAC was learned at a place: if it floods to the peers that it learns, and that is one, it gets what is flooded
    /// from now on. Returns whether that is new.
    pub fn include(&mut self, place: AdjacencyIndex, adjacencies: &Adjacencies) -> bool {
        if !self.floods_to_learned() || !matches!(adjacencies.get(place), Some(Way::Peer { .. })) {
            return false;
        }
        if let Some(misses) = self.learned.get_mut(&place) {
            *misses = 0;
            return false;
        }
        if self.flood.has_peer(place) {
            return false;
        }
        self.learned.insert(place, 0);
        self.peers.push(place);
        self.list();
        true
    }

    /// After a walk through its MACs: floods no more to learned peers that none is behind. Returns whether there were any.
    pub fn exclude(&mut self, is_behind: impl Fn(AdjacencyIndex) -> bool) -> bool {
        let Self { peers, learned, .. } = self;
        let before = peers.len();
        // One walk misses a MAC that came to where it had been, or that a growing table brought there.
        peers.retain(|peer| {
            let Some(misses) = learned.get_mut(peer) else { return true };
            *misses = if is_behind(*peer) { 0 } else { *misses + 1 };
            let stays = *misses < 2;
            if !stays {
                learned.remove(peer);
            }
            stays
        });
        let changed = peers.len() < before;
        if changed {
            self.list();
        }
        changed
    }

    /// What listens to its IGMP and MLD, if anything does.
    pub fn snooper(&mut self) -> Option<&mut Snooper> {
        self.multicast.as_mut().and_then(Multicast::snooper)
    }

    /// Tells workers who gets which multicast group now.
    pub fn tell_groups(&mut self, adjacencies: &Adjacencies, reclaimer: &mut Reclaimer) {
        if let Some(multicast) = &mut self.multicast {
            multicast.publish(&Ways::new(adjacencies, &self.peers), reclaimer);
        }
    }

    /// What workers read.
    pub fn build(&self) -> Published {
        Published {
            vni: self.vni(),
            refresh_after: self.refresh_after(),
            sources: Sources::new(self.config.learning, self.config.mac_move.policy),
            keeps_inner_vlan: self.config.inner_vlan == InnerVlan::Keep,
            takes_priorities: self.takes_priorities(),
            fib: self.fib.shared(),
            flood: self.flood.clone(),
            suppression: self.suppressor.as_ref().map(Suppressor::shared),
            storm: self.storm.clone(),
            multicast: self.multicast.as_ref().map(Multicast::shared),
            identity: self.identity,
        }
    }

    /// Whether the outer DSCP is the priority of the VLAN tags that frames get.
    pub fn takes_priorities(&self) -> bool {
        self.config.vlan_priority == VlanPriority::Dscp
    }

    /// An entry is marked as seen when it is a sixteenth of its life old: often enough for ageing, rarely
    /// enough that workers hardly ever write.
    fn refresh_after(&self) -> Tick {
        self.config.ageing.map_or(Tick::MAX, |age| (clock::ticks(age) / 16).max(1))
    }
}

fn storm(config: &config::Network, workers: usize) -> Option<Arc<StormControl>> {
    config.storm_control.as_ref().map(|limits| ports::storm_control(limits, workers))
}

fn oversize(config: &config::Network) -> Arc<Oversize> {
    let config::Oversize { answers, others } = config.oversize;
    let fragments = others == Others::Fragment;
    Arc::new(Oversize::new(config.gateways, answers, fragments, cycles_per_second()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;

    fn configured(text: &str) -> Arc<config::Network> {
        fixture::network(1, &format!("{{name: a, ports: [vm1], {text}}}"))
    }

    #[test]
    fn learned_peers_are_flooded_to_until_two_walks_find_no_mac_there() {
        let mut adjacencies = Adjacencies::default();
        let local = adjacencies.attach(0, None);
        let [fixed, a, b] = [1, 2, 3].map(|number| {
            adjacencies.add(Way::Peer { address: [192, 0, 2, number].into(), next_hops: vec![] })
        });
        let mut network = Network::new(configured("flood: none"), 0, 1);
        network.set_members(vec![local], vec![fixed]);
        assert!(!network.include(a, &adjacencies), "it learns none");
        network.configure(configured("flood: {peers: learn}"), 1);
        let told = [fixed, local, b, a, b].map(|place| network.include(place, &adjacencies));
        assert_eq!(told, [false, false, true, true, false]);
        assert_eq!(network.flood.targets(false), [local, fixed, a, b]);

        assert!(!network.exclude(|_| false));
        network.include(a, &adjacencies);
        assert!(network.exclude(|_| false));
        assert_eq!(network.peers(), [fixed, a]);
        assert_eq!(network.flood.targets(false), [local, fixed, a]);
        assert!(!network.exclude(|peer| peer == a));
        assert!(!network.exclude(|_| false) && network.exclude(|_| false));
        assert_eq!(network.peers(), [fixed]);
        assert!(network.include(a, &adjacencies), "it is back");
    }

    #[test]
    fn learned_peers_stay_with_another_configuration_that_admits_the_same() {
        let mut adjacencies = Adjacencies::default();
        let local = adjacencies.attach(0, None);
        let [fixed, learned] = [1, 2].map(|number| {
            adjacencies.add(Way::Peer { address: [192, 0, 2, number].into(), next_hops: vec![] })
        });
        let mut network = Network::new(configured("flood: {peers: learn}"), 0, 1);
        assert!(network.include(learned, &adjacencies));
        let mut flooded_to = |flood: &str, peers: &[AdjacencyIndex]| {
            network.configure(configured(&format!("flood: {flood}, ageing: 60s")), 1);
            network.set_members(vec![local], peers.to_vec());
            network.peers().to_vec()
        };
        assert_eq!(flooded_to("{peers: learn}", &[]), [learned]);
        assert_eq!(flooded_to("{peers: [192.0.2.1, learn]}", &[fixed]), [fixed, learned]);
        assert_eq!(flooded_to("{peers: [192.0.2.2, learn]}", &[learned]), [learned], "once");
        assert!(flooded_to("{peers: learn}", &[]).is_empty(), "it was one of the list");
        assert!(network.include(learned, &adjacencies));
        let mut flooded_to = |flood: &str| {
            network.configure(configured(&format!("flood: {flood}, ageing: 60s")), 1);
            network.set_members(vec![local], Vec::new());
            network.peers().len()
        };
        assert_eq!(flooded_to("{peers: learn, allow: [192.0.2.0/24]}"), 0);
        assert_eq!(flooded_to("{peers: learn}"), 0);
    }
}
