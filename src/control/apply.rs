//! From one configuration to another, while packets pass.
//!
//! There is one way to any configuration, the first one too: what is there is compared with what is wanted, and only what
//! differs is touched. Workers see all of it at once, by one snapshot; a second one, where it is needed, takes out of use
//! what nothing names any more.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::core::{Control, Parts};
use super::flood_groups;
use super::learned_peers;
use super::macs;
use super::multicast;
use super::peers::{Resolution, ResolvedHop};
use super::ports::Ports;
use super::startup::StartError;
use crate::config::{self, Config, Neighbour};
use crate::fib::MacKey;
use crate::worker::AdjacencyIndex;

/// What networks need of their peers, by the networks' IDs.
pub(super) type Needs = HashMap<u32, HashSet<AdjacencyIndex>>;

impl Control {
    /// Makes a configuration the running one, and returns its version. Where that fails, all is as it was.
    pub(super) fn apply(&mut self, config: Arc<Config>) -> Result<u64, StartError> {
        let before = self.parts.config.clone();
        let applied = self.follow_config(config.clone());
        match &applied {
            Ok(()) => self.version += 1,
            Err(_) => {
                if let Err(worse) = self.follow_config(before) {
                    tracing::error!("what was before is not whole again: {worse}");
                }
            }
        }
        applied.map(|()| self.version)
    }

    /// Devices first: they are what fails. Then what workers see, and last what they see no more.
    fn follow_config(&mut self, config: Arc<Config>) -> Result<(), StartError> {
        self.open_ports(&config)?;
        self.start_netlink(&config)?;
        let no_place = self.settle(config.clone());
        if no_place > 0 {
            return Err(StartError::NoPlace(no_place));
        }
        self.receive();
        self.close_ports(&config);
        Ok(())
    }

    /// Has tables and workers follow a configuration. Returns how many static MACs and addresses have found no place.
    fn settle(&mut self, config: Arc<Config>) -> usize {
        let before = std::mem::replace(&mut self.parts.config, config.clone());
        let networks = &self.parts.networks;
        let wanted: HashSet<u32> = config.networks.iter().map(|of| of.vni.get()).collect();
        let vnis = networks.iter().map(|(_, network)| network.vni());
        let gone: Vec<u32> = vnis.filter(|vni| !wanted.contains(vni)).collect();
        let differs = |of: &&Arc<config::Network>| {
            networks.of(of.vni.get()).is_none_or(|known| known.config != **of)
        };
        let differing = config.networks.iter().filter(differs).cloned();
        let (changed, new): (Vec<_>, Vec<_>) =
            differing.partition(|of| networks.of(of.vni.get()).is_some());
        let admits_others = |of: &&Arc<config::Network>| {
            let known = networks.of(of.vni.get()).and_then(|known| known.admission.clone());
            known != learned_peers::admission(of)
        };
        let reopened = changed.iter().filter(admits_others).map(|of| of.vni.get()).collect();

        // What goes, goes first: another network may get its ports.
        gone.iter().for_each(|vni| self.remove_network(*vni));
        changed.iter().for_each(|network| self.detach(network));
        let mut needs: Needs = gone.into_iter().map(|vni| (vni, HashSet::new())).collect();
        let mut no_place = 0;
        for network in &new {
            self.set_network(network);
            no_place += self.fill(network);
        }
        for network in &changed {
            needs.insert(network.vni.get(), self.set_network(network));
        }
        self.parts.ports.limit(&config);
        if config.underlay.vtep.marking != before.underlay.vtep.marking {
            let Parts { peers, groups, adjacencies, .. } = &mut self.parts;
            peers.mark(&config, adjacencies);
            groups.mark(&config, adjacencies);
        }
        self.set_mirrors(&before, &mut needs);
        self.find_next_hops(&before);
        self.publish();
        self.order_mirrors(&before);

        // Workers know the new ways out now, so entries may name them; and then nothing names the old ones.
        for network in &changed {
            no_place += self.fill(network);
        }
        self.leave(&needs, reopened);
        if let Some(netlink) = &self.netlink {
            netlink.set_groups(flood_groups::addresses(&config));
        }
        no_place
    }

    fn remove_network(&mut self, vni: u32) {
        let Parts { networks, adjacencies, .. } = &mut self.parts;
        let Some(network) = networks.remove(vni) else { return };
        network.locals().iter().for_each(|local| adjacencies.remove(*local));
        tracing::info!("network {}: removed", network.name());
    }

    /// Takes a network from the ports that it shall have no more.
    fn detach(&mut self, wanted: &config::Network) {
        let Parts { networks, adjacencies, .. } = &mut self.parts;
        let Some(network) = networks.of_mut(wanted.vni.get()) else { return };
        let members = network.config.members.iter().zip(network.locals());
        let gone: HashSet<_> = members
            .filter(|(member, _)| !wanted.members.contains(member))
            .map(|(_, local)| *local)
            .collect();
        if gone.is_empty() {
            return;
        }
        // What was learned there is void with the adjacency's generation. Static entries are valid in any, and the next
        // network at this port is another tenant's.
        let there = network.fib.iter().filter(|(_, of)| of.is_static());
        let there = there.filter(|(_, of)| gone.contains(&of.adjacency())).map(|(key, _)| key);
        for key in there.collect::<Vec<MacKey>>() {
            network.fib.remove(key);
        }
        gone.into_iter().for_each(|local| adjacencies.remove(local));
    }

    /// Has a network follow its configuration in all but its static MACs. Returns the adjacencies of the peers that it
    /// needs.
    fn set_network(&mut self, wanted: &Arc<config::Network>) -> HashSet<AdjacencyIndex> {
        let Parts { config, ports, networks, adjacencies, peers, groups, .. } = &mut self.parts;
        let vni = wanted.vni.get();
        let mut locals = Vec::new();
        for member in &wanted.members {
            let port = ports.index(&member.port);
            locals.push(adjacencies.attach(port, member.vlan));
        }
        let mut join = |peer: &config::Peer| peers.join(*peer, vni, adjacencies);
        let mut flood: Vec<_> = wanted.peers.iter().map(&mut join).collect();
        let behind = macs::peers_of(&wanted.macs);
        let needed = flood.iter().copied().chain(behind.iter().map(&mut join)).collect();
        let (index, network) = networks.set(wanted.clone());
        let before = network.multicast.take();
        network.multicast = wanted
            .multicast
            .as_ref()
            .map(|wanted| multicast::new(before, wanted, &locals, ports.tenants_mac(), &mut join));
        if let Some(group) = &wanted.group {
            let group_policy = wanted.usual.group_policy;
            flood.extend(groups.of(group, group_policy, config, ports, adjacencies));
        }
        network.set_members(locals, flood);
        self.resume_attendance(index, &needed);
        needed
    }

    /// Gives a network its static MACs, and takes from it those that it shall have no more.
    fn fill(&mut self, wanted: &config::Network) -> usize {
        let Parts { networks, adjacencies, peers, reclaimer, .. } = &mut self.parts;
        match networks.of_mut(wanted.vni.get()) {
            Some(network) => macs::replace(network, peers, adjacencies, reclaimer),
            None => 0,
        }
    }

    /// Has networks leave the peers that they need no more, and those that admit others than before all that they do not
    /// need; and forget what they learned there.
    fn leave(&mut self, needs: &Needs, reopened: Vec<u32>) {
        if needs.is_empty() {
            return;
        }
        let Parts { networks, adjacencies, peers, reclaimer, .. } = &mut self.parts;
        let mut left = peers.leave(needs, adjacencies);
        for vni in reopened {
            let others = peers.iter().map(|(_, peer)| peer.adjacency);
            let others = others.filter(|peer| !needs[&vni].contains(peer));
            left.peers.entry(vni).or_default().extend(others);
        }
        for (vni, peers) in &left.peers {
            if let Some(network) = networks.of_mut(*vni) {
                network.fib.sweep(0, usize::MAX, reclaimer, |_, entry| {
                    entry.is_static() || !peers.contains(&entry.adjacency())
                });
            }
        }
        if let Some(netlink) = &self.netlink
            && !left.unreachable.is_empty()
        {
            netlink.forget(left.unreachable);
        }
        if !left.peers.is_empty() {
            self.publish();
        }
    }

    /// Looks for the next hops of new peers, and of those whose static neighbour is another one than before.
    fn find_next_hops(&mut self, before: &Config) {
        let announcer = &mut self.announcer;
        let Parts { config, ports, peers, adjacencies, .. } = &mut self.parts;
        let mut sought = peers.take_fresh();
        let (old, new) = (&before.underlay.neighbours, &config.underlay.neighbours);
        if old != new {
            let is_changed = |of: &&Neighbour| !new.contains(of) || !old.contains(of);
            let changed = old.iter().chain(new).filter(is_changed).map(|neighbour| neighbour.ip);
            sought.extend(changed.filter(|address| peers.has_address(*address)));
        }
        for neighbour in new {
            if sought.remove(&neighbour.ip) {
                let resolution = by_hand(neighbour, ports);
                peers.resolve(neighbour.ip, &resolution, config, ports, adjacencies, announcer);
            }
        }
        if sought.is_empty() {
            return;
        }
        for lost in old.iter().filter(|neighbour| sought.contains(&neighbour.ip)) {
            let unresolved = Resolution::Unresolved;
            peers.resolve(lost.ip, &unresolved, config, ports, adjacencies, announcer);
        }
        if let Some(netlink) = &self.netlink {
            netlink.follow(sought.into_iter().collect());
        }
    }
}

/// The next hop that the operator gives.
pub(super) fn by_hand(neighbour: &Neighbour, ports: &Ports) -> Resolution {
    let Neighbour { ip, mac, port } = neighbour;
    let port = ports.index(port);
    Resolution::Resolved(vec![ResolvedHop { port, mac: *mac, address: *ip, weight: 1 }])
}
