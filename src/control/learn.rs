//! MACs, learned from what workers saw.

use super::adjacency::Way;
use super::core::Control;
use super::network::Network;
use crate::fib::{Change, Entry, InsertError, MacKey};
use crate::worker::{AdjacencyIndex, Event};

/// Events taken from one worker before the others get their turn.
const BATCH: usize = 4096;

impl Control {
    /// Handles what workers reported. Returns how many events there were.
    pub(super) fn drain_events(&mut self) -> usize {
        let mut handled = 0;
        for index in 0..self.parts.workers.len() {
            for _ in 0..BATCH {
                let Some(event) = self.parts.workers[index].events.pop() else { break };
                handled += 1;
                match event {
                    Event::Learn { network, adjacency, mac } => self.learn(network, adjacency, mac),
                    Event::Unresolved { adjacency } => {
                        if let Some(Way::Peer { address, .. }) =
                            self.parts.adjacencies.get(adjacency)
                        {
                            self.want_next_hop(*address);
                        }
                    }
                }
            }
        }
        handled
    }

    /// The last source wins, but a static entry never moves.
    fn learn(&mut self, network: u32, adjacency: AdjacencyIndex, mac: MacKey) {
        let tick = self.tick();
        let parts = &mut self.parts;
        let Some(generation) = parts.adjacencies.generation(adjacency) else { return };
        let Some(network) = parts.networks.get_mut(network as usize) else { return };
        if network.fib.get(mac).is_some_and(Entry::is_static) {
            return;
        }
        let entry = Entry::new(adjacency, generation, tick);
        match network.fib.insert(mac, entry, &mut parts.reclaimer) {
            Ok(Change::New) => {}
            Ok(Change::Updated(old)) => {
                if old.adjacency() != adjacency {
                    network.moves += 1;
                }
            }
            Err(error @ (InsertError::LimitReached(_) | InsertError::NoPlace(_))) => {
                network.refused += 1;
                if network.refused.is_power_of_two() {
                    let Network { name, refused, .. } = network;
                    tracing::warn!("network {name}: {error} ({refused} refused so far)");
                }
            }
            Err(InsertError::NotAStation) => {}
        }
    }
}
