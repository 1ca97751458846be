//! From members to the lists that workers read.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::member::Member;
use crate::control::adjacency::{Adjacencies, Way};
use crate::worker::{AdjacencyIndex, FloodList, Listeners};

/// What a network's adjacencies are.
pub struct Ways<'a> {
    adjacencies: &'a Adjacencies,
    /// Those of its flood list that are no ports.
    peers: &'a [AdjacencyIndex],
}

impl<'a> Ways<'a> {
    /// Of a network with these peers.
    pub fn new(adjacencies: &'a Adjacencies, peers: &'a [AdjacencyIndex]) -> Self {
        Self { adjacencies, peers }
    }

    /// Where frames go that are for all of these: ports before peers, each once. Who is behind the underlay's group is
    /// reached by each of its adjacencies.
    pub fn list(&self, ways: impl IntoIterator<Item = AdjacencyIndex>) -> FloodList {
        let (mut locals, mut peers) = (Vec::new(), Vec::new());
        for way in ways {
            match self.adjacencies.get(way) {
                Some(Way::Local { .. }) => locals.push(way),
                Some(Way::Peer { .. }) => peers.push(way),
                Some(Way::Group(_)) => peers.extend(self.groups()),
                None => {}
            }
        }
        for part in [&mut locals, &mut peers] {
            part.sort_unstable();
            part.dedup();
        }
        FloodList::new(locals, peers)
    }

    /// The ways out to the underlay's group.
    fn groups(&self) -> impl Iterator<Item = AdjacencyIndex> {
        let is_group =
            |way: &AdjacencyIndex| matches!(self.adjacencies.get(*way), Some(Way::Group(_)));
        self.peers.iter().copied().filter(is_group)
    }

    /// Where multicast routers, and other VTEPs, hear of members: each VTEP sends to the members that it knows, and passes nothing
    /// on from one tunnel to the next.
    pub fn reports(&self, routers: &[AdjacencyIndex]) -> FloodList {
        self.list(routers.iter().chain(self.peers).copied())
    }

    /// Where a group's frames go: to all of `always`, and to those of its members that want them.
    pub fn listeners<'m>(
        &self,
        always: &[AdjacencyIndex],
        members: impl Iterator<Item = (AdjacencyIndex, &'m Member)>,
    ) -> Listeners {
        let always = always.iter().copied();
        let mut excluding = Vec::new();
        let mut wanted: HashMap<IpAddr, Vec<AdjacencyIndex>> = HashMap::new();
        for (way, member) in members {
            if member.exclude_until().is_some() {
                excluding.push((way, member));
            }
            for (source, until) in member.sources() {
                let by = wanted.entry(source).or_default();
                // Those in EXCLUDE mode are asked below, whether they name the source or not.
                if until.is_some() && member.exclude_until().is_none() {
                    by.push(way);
                }
            }
        }
        let others = excluding.iter().map(|(way, _)| *way);
        let others = self.list(always.clone().chain(others));
        let sources = wanted.into_iter().map(|(source, by)| {
            let not_excluded = excluding.iter().filter(|(_, member)| member.wants(source));
            let ways = by.into_iter().chain(not_excluded.map(|(way, _)| *way));
            (source, self.list(always.clone().chain(ways)))
        });
        Listeners { others, sources: sources.collect() }
    }
}
