//! One network, as the control core knows it.

use std::sync::Arc;
use std::time::Instant;

use super::adjacency::Adjacencies;
use super::clock::{self, Tick};
use super::flood_groups;
use super::multicast::{Multicast, Snooper, Ways};
use super::neighbours::Suppressor;
use super::ports;
use crate::config::{self, InnerVlan};
use crate::dpdk::cycles_per_second;
use crate::fib::{FibWriter, Reclaimer};
use crate::worker::{
    AdjacencyIndex, FloodGroup, FloodList, Network as Published, Oversize, StormControl,
};

/// One network.
pub struct Network {
    /// What the operator asked for.
    pub config: Arc<config::Network>,
    locals: Vec<AdjacencyIndex>,
    peers: Vec<AdjacencyIndex>,
    /// The underlay's multicast group that it floods to.
    pub flood_group: Option<Arc<FloodGroup>>,
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
            storm: config.storm_control.as_ref().map(ports::storm_control),
            oversize: oversize(&config),
            config: config.clone(),
            locals: Vec::new(),
            peers: Vec::new(),
            flood_group: None,
            flood: Arc::default(),
            multicast: None,
            groups_told: None,
            suppressor: None,
            refused: 0,
            moves: 0,
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
            self.storm = config.storm_control.as_ref().map(ports::storm_control);
        }
        if (before.oversize, before.gateways) != (config.oversize, config.gateways) {
            self.oversize = oversize(config);
        }
        self.flood_group = config.group.as_ref().map(flood_groups::group);
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

    /// Adjacencies of its flood peers and its group.
    pub fn peers(&self) -> &[AdjacencyIndex] {
        &self.peers
    }

    /// Sets where it attaches and whom it floods to.
    pub fn set_members(&mut self, locals: Vec<AdjacencyIndex>, peers: Vec<AdjacencyIndex>) {
        self.flood = Arc::new(FloodList::new(locals.clone(), peers.clone()));
        (self.locals, self.peers) = (locals, peers);
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
            learning: self.config.learning,
            keeps_inner_vlan: self.config.inner_vlan == InnerVlan::Keep,
            fib: self.fib.shared(),
            flood: self.flood.clone(),
            suppression: self.suppressor.as_ref().map(Suppressor::shared),
            storm: self.storm.clone(),
            multicast: self.multicast.as_ref().map(Multicast::shared),
            identity: self.identity,
        }
    }

    /// An entry is marked as seen when it is a sixteenth of its life old: often enough for ageing, rarely
    /// enough that workers hardly ever write.
    fn refresh_after(&self) -> Tick {
        self.config.ageing.map_or(Tick::MAX, |age| (clock::ticks(age) / 16).max(1))
    }
}
fn oversize(config: &config::Network) -> Arc<Oversize> {
    let answers = config.oversize.answers;
    Arc::new(Oversize::new(config.gateways, answers, cycles_per_second()))
}
