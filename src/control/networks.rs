//! All networks, each at an index that workers know it by for as long as it lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::network::Network;
use crate::config;
use crate::fib::{Fib, FibWriter, Reclaimer};
use crate::worker::{MovePolicy, Network as Published, Oversize, Sources};

/// The networks by index and by ID.
///
/// An index is free again only when nothing can name it any more: a worker that has not seen the network go may flood
/// for it, and may have reported what it saw there.
pub struct Networks {
    slots: Vec<Option<Network>>,
    by_vni: BTreeMap<u32, u32>,
    free: Vec<u32>,
    /// Indices of networks that are gone; a mark once workers have been told.
    gone: Vec<(Option<u64>, u32)>,
    identities: u64,
    /// Moves and refused MACs of those that are gone.
    former: (u64, u64),
    workers: usize,
    /// What workers look into where there is none.
    empty: Fib,
}

impl Networks {
    /// None yet, for so many workers.
    pub fn new(workers: usize) -> Self {
        let (slots, by_vni, free, gone) = Default::default();
        let empty = FibWriter::new(0).shared();
        Self { slots, by_vni, free, gone, identities: 0, former: (0, 0), workers, empty }
    }

    /// Adds a network, or has the one with its ID follow another configuration. Returns its index, too.
    pub fn set(&mut self, config: Arc<config::Network>) -> (u32, &mut Network) {
        let vni = config.vni.get();
        let index = match self.by_vni.get(&vni) {
            Some(index) => *index,
            None => self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }),
        };
        self.by_vni.insert(vni, index);
        let (workers, identities) = (self.workers, &mut self.identities);
        let slot = &mut self.slots[index as usize];
        if let Some(network) = slot {
            network.configure(config.clone(), workers);
        }
        let network = slot.get_or_insert_with(|| {
            *identities += 1;
            Network::new(config, *identities, workers)
        });
        (index, network)
    }

    /// Takes a network out. Workers see it until the next snapshot.
    pub fn remove(&mut self, vni: u32) -> Option<Network> {
        let index = self.by_vni.remove(&vni)?;
        self.gone.push((None, index));
        let network = self.slots[index as usize].take()?;
        self.former.0 += network.moves;
        self.former.1 += network.refused;
        Some(network)
    }

    /// Moves and refused MACs of networks that are gone.
    pub fn former(&self) -> (u64, u64) {
        self.former
    }

    /// Workers have been told of what is gone.
    pub fn published(&mut self, reclaimer: &mut Reclaimer) {
        let untold = self.gone.iter_mut().filter(|(mark, _)| mark.is_none());
        untold.for_each(|(mark, _)| *mark = Some(reclaimer.mark()));
    }

    /// How many of those that are gone all workers have seen gone. What they reported before is in their queues.
    pub fn unseen(&self, reclaimer: &Reclaimer) -> usize {
        let told = self.gone.iter().map_while(|(mark, _)| *mark);
        told.take_while(|mark| reclaimer.passed(*mark)).count()
    }

    /// Uses the indices of so many networks again, whose last events have been handled. `forget` clears what else was kept
    /// by an index.
    pub fn release(&mut self, unseen: usize, forget: impl Fn(u32)) {
        for (_, index) in self.gone.drain(..unseen) {
            forget(index);
            self.free.push(index);
        }
    }

    /// All indices, also those without a network.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The network at an index.
    pub fn get(&self, index: usize) -> Option<&Network> {
        self.slots.get(index)?.as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Network> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// The network with an ID.
    pub fn of(&self, vni: u32) -> Option<&Network> {
        self.slots[*self.by_vni.get(&vni)? as usize].as_ref()
    }

    /// The network with an ID, to be changed.
    pub fn of_mut(&mut self, vni: u32) -> Option<&mut Network> {
        self.slots[*self.by_vni.get(&vni)? as usize].as_mut()
    }

    /// All of them with their indices, by ascending ID.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Network)> {
        let network = |index: &u32| Some((*index, self.slots[*index as usize].as_ref()?));
        self.by_vni.values().filter_map(network)
    }

    /// All of them, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Network> {
        self.slots.iter_mut().flatten()
    }

    /// What becomes of their frames that do not fit the underlay, by index.
    pub fn oversize(&self) -> Box<[Arc<Oversize>]> {
        let of = |network: &Network| network.oversize.clone();
        self.slots.iter().map(|slot| slot.as_ref().map(of).unwrap_or_default()).collect()
    }

    /// What workers read, by index.
    pub fn build(&self) -> Box<[Published]> {
        let vacant = || Published {
            vni: 0,
            refresh_after: 0,
            sources: Sources::new(false, MovePolicy::Allow),
            keeps_inner_vlan: false,
            takes_priorities: false,
            fib: self.empty.clone(),
            flood: Arc::default(),
            suppression: None,
            storm: None,
            multicast: None,
            identity: 0,
        };
        self.slots.iter().map(|slot| slot.as_ref().map_or_else(vacant, Network::build)).collect()
    }
}
