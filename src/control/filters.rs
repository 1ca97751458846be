//! Which MACs devices must take frames for that do not take all.

use std::time::{Duration, Instant};

use hashbrown::HashSet;

use super::adjacency::{Adjacencies, Way};
use super::networks::Networks;
use super::ports::{Ports, Role};
use crate::wire::MacAddr;
use crate::worker::AdjacencyIndex;

/// How often that is looked at: until then nobody behind such a port reaches a station that is new.
const PERIOD: Duration = Duration::from_millis(100);
/// More than any device has room for.
const MOST: usize = 4096;

/// When that was last done.
pub(super) struct FilterWatch {
    next: Instant,
}

impl Default for FilterWatch {
    fn default() -> Self {
        Self { next: Instant::now() }
    }
}

impl FilterWatch {
    /// Tells devices what has changed, if it is time.
    pub fn look(&mut self, ports: &mut Ports, networks: &Networks, adjacencies: &Adjacencies) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + PERIOD;
        let access = ports.iter().filter(|(_, port)| port.role == Role::Access);
        let filtered = access.filter_map(|(index, of)| Some((index, of.port.filter_room()?)));
        for (index, room) in filtered.collect::<Vec<_>>() {
            let wanted = behind_others(index, networks, adjacencies);
            let Some(of) = ports.get_mut(index) else { continue };
            if of.filter.set(&of.port, room as usize, &wanted) {
                tracing::warn!(
                    "port {}: its device is not promiscuous, and takes frames for {} of {} MACs behind other ports only",
                    of.name(),
                    of.filter.count(),
                    wanted.len()
                );
            }
        }
    }
}

/// MACs of a port's networks that are elsewhere.
fn behind_others(port: u16, networks: &Networks, adjacencies: &Adjacencies) -> HashSet<MacAddr> {
    let is_here = |index: AdjacencyIndex| matches!(adjacencies.get(index), Some(Way::Local { port: of, .. }) if *of == port);
    let of_port = networks.iter().map(|(_, network)| network);
    let of_port = of_port.filter(|network| network.locals().iter().any(|index| is_here(*index)));
    let elsewhere = of_port.flat_map(|network| network.fib.iter()).filter(|(_, entry)| {
        let index = entry.adjacency();
        let generation = adjacencies.generation(index);
        let is_valid = entry.is_static() || generation == Some(entry.generation());
        is_valid && !is_here(index)
    });
    elsewhere.map(|(key, _)| MacAddr(key.octets())).take(MOST).collect()
}
