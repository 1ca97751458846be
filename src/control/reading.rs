//! All that is counted, for a scrape: sums rather than lists, so that it costs little however much is known.

use super::adjacency::Way;
use super::core::Control;
use super::multicast::Multicast;
use super::neighbours::Suppressor;
use super::network::Network;
use super::peers::Peer;
use crate::api::model::PeerState;
use crate::api::{NetworkReading, Reading, Table, Tables};
use crate::config::Metrics;

impl Control {
    pub(super) fn read(&self, of: Metrics) -> Reading {
        let (mut tables, mut by_network) = (Tables::default(), Vec::new());
        let mut count = 0;
        for (index, network) in self.parts.networks.iter() {
            let own = tables_of(network);
            tables.add(&own);
            count += 1;
            if of.networks {
                let carried = self.parts.traffic.of_network(index).unwrap_or_default();
                by_network.push(NetworkReading {
                    vni: network.vni(),
                    name: network.name().to_owned(),
                    tables: own,
                    from_ports: carried.from_ports.into(),
                    from_peers: carried.from_peers.into(),
                });
            }
        }
        let (moves, refused) = self.parts.networks.former();
        tables.mac_moves += moves;
        tables.macs_refused += refused;
        let mut peers = [("resolved", 0), ("unresolved", 0), ("no_route", 0)];
        for (_, peer) in self.parts.peers.iter() {
            peers[self.state(peer) as usize].1 += 1;
        }
        Reading {
            ports: self.report_ports(),
            drops: self.report_drops(false),
            workers: self.report_workers(),
            totals: self.report_totals(),
            peers,
            networks: count,
            tables,
            by_network,
            by_peer: if of.peers { self.report_peers() } else { Vec::new() },
            mirrors: self.report_mirrors(),
        }
    }

    /// Whether packets to a peer can leave.
    pub(super) fn state(&self, peer: &Peer) -> PeerState {
        match self.parts.adjacencies.get(peer.adjacency) {
            Some(Way::Peer { next_hops, .. }) if !next_hops.is_empty() => PeerState::Resolved,
            _ if peer.routed => PeerState::Unresolved,
            _ => PeerState::NoRoute,
        }
    }
}

fn tables_of(network: &Network) -> Tables {
    let fib = &network.fib;
    let neighbours = network.suppressor.as_ref().map(Suppressor::report);
    let groups = network.multicast.as_ref().and_then(Multicast::report);
    Tables {
        macs: Table::new(fib.learned() as u64, fib.fixed() as u64, fib.limit() as u64),
        neighbours: neighbours.map_or(Table::default(), |of| {
            Table::new(of.neighbours_learned, of.neighbours_static, of.neighbour_limit)
        }),
        groups: Table::new(
            groups.map_or(0, |of| of.groups_learned),
            network.config.multicast.as_ref().map_or(0, |of| of.groups.len() as u64),
            groups.map_or(0, |of| of.group_limit),
        ),
        mac_moves: network.moves,
        macs_refused: network.refused,
        macs_frozen: network.movers.frozen() as u64,
    }
}
