//! MACs that are forgotten on request.

use std::net::IpAddr;

use hashbrown::HashSet;

use super::adjacency::Way;
use super::core::{Control, Parts};
use crate::api::{Flush, Flushed};
use crate::fib::Entry;

impl Control {
    /// Forgets learned MACs, or only counts them. Workers see those of a network gone at once. One that is on its way
    /// here from a worker just then is learned after it.
    pub(super) fn flush(&mut self, Flush { vni, port, peer, dry_run }: &Flush) -> Flushed {
        let port = port.as_deref().map(|name| self.parts.ports.index(name));
        let told = self.announcer.room();
        let Parts { networks, adjacencies, reclaimer, .. } = &mut self.parts;
        let is_there = |way: &Way| match way {
            Way::Local { port: own, .. } => port.is_none_or(|port| port == *own) && peer.is_none(),
            Way::Peer { address, .. } => is_behind(*address, port, *peer),
            Way::Group(hop) => is_behind(hop.address, port, *peer),
        };
        let ways = adjacencies.iter().filter(|(_, way)| is_there(way));
        let ways: HashSet<_> = ways.map(|(index, _)| index).collect();
        let goes = |entry: Entry| {
            let generation = adjacencies.generation(entry.adjacency());
            !entry.is_static()
                && generation == Some(entry.generation())
                && ways.contains(&entry.adjacency())
        };
        let (mut flushed, mut gone) = (0, Vec::new());
        for number in 0..networks.len() {
            let Some(network) = networks.get_mut(number) else { continue };
            if vni.is_some_and(|vni| vni != network.vni()) {
                continue;
            }
            let before = flushed;
            for (mac, entry) in network.fib.iter().filter(|(_, entry)| goes(*entry)) {
                flushed += 1;
                if gone.len() < told && !dry_run {
                    gone.push((number as u32, mac, entry));
                }
            }
            if flushed > before && !dry_run {
                network.fib.rebuild(|_, entry| !goes(entry), reclaimer);
                network.movers.forget(&network.fib);
            }
        }
        if !dry_run {
            let more = if told > 0 { flushed - gone.len() as u64 } else { 0 };
            self.announce_aged(&gone, more);
        }
        Flushed { macs: flushed }
    }
}

fn is_behind(address: IpAddr, port: Option<u16>, peer: Option<IpAddr>) -> bool {
    port.is_none() && peer.is_none_or(|peer| peer == address)
}
