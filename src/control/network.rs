//! One network, as the control core knows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adjacency::Adjacencies;
use super::clock::{self, Tick};
use super::multicast::{Multicast, Snooper, Ways};
use super::neighbours::Suppressor;
use crate::config::EncapName;
use crate::fib::{FibWriter, Reclaimer};
use crate::worker::{AdjacencyIndex, FloodGroup, FloodList, Network as Published, StormControl};

/// What the operator asked for.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether source MACs are learned.
    pub learning: bool,
    /// How long a silent MAC is kept; `None` for ever.
    pub ageing: Option<Duration>,
    /// Whether inner frames may carry VLAN tags.
    pub keeps_inner_vlan: bool,
    /// What its peers speak, unless one says otherwise.
    pub encap: EncapName,
}

/// One network.
pub struct Network {
    /// The 24-bit ID.
    pub vni: u32,
    /// The operator's name for it.
    pub name: String,
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
    /// What the operator asked for.
    pub policy: Policy,
    /// Its MACs.
    pub fib: FibWriter,
    /// Its addresses, where ARP is answered.
    pub suppressor: Option<Suppressor>,
    /// What of its access ports' frames may be flooded.
    pub storm: Option<Arc<StormControl>>,
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
    /// An empty one.
    pub fn new(vni: u32, name: String, policy: Policy, fib: FibWriter, identity: u64) -> Self {
        Self {
            vni,
            name,
            locals: Vec::new(),
            peers: Vec::new(),
            flood_group: None,
            flood: Arc::default(),
            multicast: None,
            groups_told: None,
            policy,
            fib,
            suppressor: None,
            storm: None,
            refused: 0,
            moves: 0,
            identity,
            sweep: 0,
        }
    }

    /// Adjacencies of its access ports.
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
            vni: self.vni,
            refresh_after: self.refresh_after(),
            learning: self.policy.learning,
            keeps_inner_vlan: self.policy.keeps_inner_vlan,
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
    pub(super) fn refresh_after(&self) -> Tick {
        self.policy.ageing.map_or(Tick::MAX, |age| (clock::ticks(age) / 16).max(1))
    }
}
