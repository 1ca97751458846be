//! MACs, learned from what workers saw.

use arrayvec::ArrayVec;

use super::adjacency::Way;
use super::clock::{self, Seconds};
use super::core::{Control, Parts};
use super::moves;
use crate::fib::{Change, Entry, InsertError, MacKey};
use crate::worker::{Attachment, Event};

/// Events taken from one worker before the others get their turn.
const BATCH: usize = 4096;
/// Events whose FIB buckets are fetched at once, as they come from memory.
const AHEAD: usize = 32;

/// What there was to handle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// Nothing.
    None,
    /// Some events; all queues were empty afterwards.
    Some,
    /// More than was handled: a queue may be filling up.
    Behind,
}

impl Control {
    /// Handles what workers reported.
    pub(super) fn drain_events(&mut self) -> Drained {
        let (mut handled, mut behind) = (0, false);
        for index in 0..self.parts.workers.len() {
            let mut left = BATCH;
            while left > 0 {
                let queue = &self.parts.workers[index].events;
                let events: ArrayVec<_, AHEAD> = (0..AHEAD).map_while(|_| queue.pop()).collect();
                if events.is_empty() {
                    break;
                }
                handled += events.len();
                left -= AHEAD;
                self.handle(&events);
            }
            behind |= left == 0;
        }
        let heard = self.hear_members();
        if behind {
            Drained::Behind
        } else if heard || handled > 0 {
            Drained::Some
        } else {
            Drained::None
        }
    }

    fn handle(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Learn { ingress, mac } = event
                && let Some(network) = self.parts.networks.get_mut(ingress.network() as usize)
            {
                network.fib.prefetch(*mac);
            }
        }
        for event in events {
            match *event {
                Event::Learn { ingress, mac } => self.learn(ingress, mac),
                Event::Bind { network, claim } => self.bind(network, claim),
                Event::Stranger { network, address } => self.meet(network, address),
                Event::TooBig(report) => self.narrow_path(report),
                Event::Unresolved { adjacency } => {
                    if let Some(Way::Peer { address, .. }) = self.parts.adjacencies.get(adjacency) {
                        self.want_next_hop(*address);
                    }
                }
            }
        }
    }

    /// The last source wins, unless the MAC is held where it is. What a port or peer sent before it went is old news: it
    /// may be another tenant's now.
    fn learn(&mut self, ingress: Attachment, mac: MacKey) {
        let (now, tick) = (self.now(), self.tick());
        let Parts { adjacencies, networks, reclaimer, .. } = &mut self.parts;
        let (index, location) = (ingress.network(), ingress.location());
        let (adjacency, generation) = (location.adjacency(), location.generation());
        if adjacencies.generation(adjacency) != Some(generation) {
            return;
        }
        let Some(network) = networks.get_mut(index as usize) else { return };
        let ageing = network.config.ageing.map_or(0, clock::ticks);
        adjacencies.hear(adjacency, now, now + Seconds::from(ageing));
        if let Some(old) = network.fib.get(mac) {
            let is_live = adjacencies.generation(old.adjacency()) == Some(old.generation());
            if old.is_static() || is_live && old.is_frozen() {
                return;
            }
            if is_live && old.adjacency() != adjacency {
                let places = (old, adjacency);
                if !moves::may_move(network, adjacencies, mac, places, now, reclaimer) {
                    return;
                }
                network.moves += 1;
            }
        }
        let entry = Entry::new(adjacency, generation, tick);
        match network.fib.insert(mac, entry, reclaimer) {
            Ok(change) => {
                if network.include(adjacency, adjacencies) {
                    self.tell_members(index);
                    self.unpublished = true;
                }
                let is_known = |old: Entry| old.location() == location;
                if !matches!(change, Change::Updated(old) if is_known(old))
                    && self.announcer.is_heard()
                {
                    self.announce_learned(index, mac, entry, change);
                }
            }
            Err(error @ (InsertError::LimitReached(_) | InsertError::NoPlace(_))) => {
                network.refused += 1;
                if network.refused.is_power_of_two() {
                    let (name, refused) = (network.name(), network.refused);
                    tracing::warn!("network {name}: {error} ({refused} refused so far)");
                }
            }
            Err(InsertError::NotAStation) => {}
        }
    }
}
