//! Peers that are learned from what they send, and forgotten.

use std::net::IpAddr;
use std::sync::Arc;

use super::apply::by_hand;
use super::clock::{self, Seconds};
use super::core::{Control, Parts};
use super::flood_groups::vxlan_peer;
use super::network::Network;
use super::networks::Networks;
use super::peers::Peers;
use crate::config;
use crate::worker::{Admission, Admissions};

/// The most of them at once: what a flood of forged senders can cost.
const LEARNED_PEERS: usize = 4096;

/// Whom a network admits, as workers and the control core share it; `None` where it learns no peers.
pub(super) fn admission(network: &config::Network) -> Option<Arc<Admission>> {
    let learned = network.learned_peers.as_ref()?;
    let group = network.group.as_ref().map(|group| group.address);
    let allow = learned.allow.clone().map(Vec::into_boxed_slice);
    let group_policy = network.usual.group_policy;
    Some(Arc::new(Admission { group, allow, group_policy }))
}

/// What workers read of learned peers.
pub(super) fn build(networks: &Networks, peers: &Peers) -> Admissions {
    let admission = |(index, network): (u32, &Network)| Some((index, network.admission.clone()?));
    Admissions::new(networks.iter().filter_map(admission).collect(), peers.learned())
}

impl Control {
    /// A VTEP that is no peer yet sent to a network that learns its peers: from now on it is one.
    ///
    /// It stays a stranger, whose frames pass and whose MACs are not learned, where nobody finds its next hop: what
    /// goes to it then is flooded, and not lost.
    pub(super) fn meet(&mut self, network: u32, address: IpAddr) {
        let now = self.now();
        let Parts { config, ports, peers, adjacencies, networks, .. } = &mut self.parts;
        let Some(network) = networks.get_mut(network as usize) else { return };
        let key = vxlan_peer(address, network.config.usual.group_policy, config);
        if peers.is_known(&key) {
            return;
        }
        let neighbour = config.underlay.neighbours.iter().find(|of| of.ip == address);
        if self.netlink.is_none() && neighbour.is_none() {
            return;
        }
        if peers.learned_count() >= LEARNED_PEERS {
            peers.refused += 1;
            if peers.refused.is_power_of_two() {
                tracing::warn!(
                    "peer {address} is not learned: {LEARNED_PEERS} are ({} refused so far)",
                    peers.refused
                );
            }
            return;
        }
        tracing::info!("peer {address}: learned");
        let adjacency = peers.learn(key, adjacencies);
        let ageing = network.config.ageing.map_or(0, clock::ticks);
        adjacencies.hear(adjacency, now, now + Seconds::from(ageing));
        peers.take_fresh();
        match (neighbour, &self.netlink) {
            (Some(neighbour), _) => {
                let (resolution, announcer) = (by_hand(neighbour, ports), &mut self.announcer);
                peers.resolve(address, &resolution, config, ports, adjacencies, announcer);
            }
            (None, Some(netlink)) => netlink.follow(vec![address]),
            (None, None) => {}
        }
        self.unpublished = true;
    }

    /// After a walk through all MACs, which began then: learned peers go that no MAC is behind, and that have sent
    /// nothing for as long as MACs are remembered. They are strangers again.
    pub(super) fn forget_silent_peers(&mut self, began: Seconds) {
        let Parts { peers, adjacencies, .. } = &mut self.parts;
        for (address, is_nobody) in peers.forget_silent(began, adjacencies) {
            tracing::info!("peer {address}: silent, and forgotten");
            if let Some(netlink) = self.netlink.as_ref().filter(|_| is_nobody) {
                netlink.forget(vec![address]);
            }
            self.unpublished = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use hashbrown::HashSet;

    use super::*;
    use crate::control::adjacency::Adjacencies;
    use crate::tunnel::{Encap, Sequence};

    fn peer(number: u8) -> config::Peer {
        let address = IpAddr::from([192, 0, 2, number]);
        config::Peer { address, encap: Encap::vxlan(4789), id: None, dscp: None, ttl: None }
    }

    #[test]
    fn only_silent_ones_that_were_learned_go_and_their_index_rests() {
        let (mut peers, mut adjacencies) = (Peers::default(), Adjacencies::default());
        peers.join(peer(1), 101, &mut adjacencies);
        let [silent, heard] = [2, 3].map(|number| peers.learn(peer(number), &mut adjacencies));
        adjacencies.hear(silent, 5, 15);
        adjacencies.hear(heard, 12, 22);
        let generation = adjacencies.generation(silent);
        assert_eq!(peers.forget_silent(15, &mut adjacencies), []);
        peers.now = 17;
        assert_eq!(peers.forget_silent(16, &mut adjacencies), [(peer(2).address, true)]);
        assert_eq!((peers.learned_count(), peers.is_known(&peer(2))), (1, false));
        assert_eq!(adjacencies.generation(silent), None);

        peers.now = 76;
        let soon = peers.learn(peer(4), &mut adjacencies);
        assert!(peers.take_passed_on().is_empty());
        peers.now = 77;
        let later = peers.learn(peer(5), &mut adjacencies);
        assert!(soon != silent && later == silent);
        assert_eq!(peers.take_passed_on(), [silent], "what the one carried is not the other's");
        assert_ne!(adjacencies.generation(later), generation, "what was learned there is void");
    }

    #[test]
    fn networks_that_come_and_go_take_no_more_indices_than_there_are_at_once() {
        let (mut peers, mut adjacencies) = (Peers::default(), Adjacencies::default());
        for round in 0..1000 {
            peers.now = round * 30;
            let sequence = if round % 2 == 0 { Sequence::Strict } else { Sequence::Off };
            let encap = Encap::Gre { key: true, checksum: false, sequence };
            let key = config::Peer { encap, id: Some(round), ..peer(1) };
            let index = peers.join(key, 7, &mut adjacencies);
            let is_strict = adjacencies.orders().contains_key(&index);
            assert_eq!(is_strict, round % 2 == 0, "what the one before wanted is its own");
            peers.leave(&[(7, HashSet::new())].into_iter().collect(), &mut adjacencies);
        }
        assert!(adjacencies.build().adjacencies.len() <= 4, "indices are used again");
    }

    #[test]
    fn an_address_that_is_a_peer_in_another_way_stays_somebodys() {
        let (mut peers, mut adjacencies) = (Peers::default(), Adjacencies::default());
        let other = config::Peer { encap: Encap::vxlan(4790), ..peer(2) };
        peers.join(other, 101, &mut adjacencies);
        peers.learn(peer(2), &mut adjacencies);
        assert_eq!(peers.forget_silent(1, &mut adjacencies), [(peer(2).address, false)]);
        assert!(peers.is_known(&other));
    }
}
