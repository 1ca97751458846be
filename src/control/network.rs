//! One network, as the control core knows it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{self, Tick};
use super::neighbours::Suppressor;
use crate::config::EncapName;
use crate::fib::FibWriter;
use crate::worker::{
    AdjacencyIndex, FloodGroup, FloodList, Groups, Network as Published, StormControl,
};

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

/// A multicast group whose members are known.
pub struct Group {
    /// Its address.
    pub address: IpAddr,
    /// Adjacencies of the members at access ports.
    pub locals: Vec<AdjacencyIndex>,
    /// Adjacencies of the peers with members behind them.
    pub peers: Vec<AdjacencyIndex>,
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
    groups: Vec<Group>,
    multicast: Option<Arc<Groups>>,
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
            groups: Vec::new(),
            multicast: None,
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

    /// Multicast groups, by ascending address.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Sets who gets which multicast group, and whether other groups are dropped rather than flooded.
    pub fn set_groups(&mut self, mut groups: Vec<Group>, drops_unregistered: bool) {
        groups.sort_by_key(|group| group.address);
        let list = |group: &Group| {
            (group.address, Arc::new(FloodList::new(group.locals.clone(), group.peers.clone())))
        };
        let lists = groups.iter().map(list).collect();
        self.multicast = Some(Arc::new(Groups { lists, drops_unregistered }));
        self.groups = groups;
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
            multicast: self.multicast.clone(),
            identity: self.identity,
        }
    }

    /// An entry is marked as seen when it is a sixteenth of its life old: often enough for ageing, rarely
    /// enough that workers hardly ever write.
    pub(super) fn refresh_after(&self) -> Tick {
        self.policy.ageing.map_or(Tick::MAX, |age| (clock::ticks(age) / 16).max(1))
    }
}
