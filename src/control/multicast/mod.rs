//! Who gets which multicast group: what the operator says, and what is learned from IGMP and MLD.
//!
//! Workers hand over the messages that they hear. A [`snooper::Snooper`] a network notes who listens ([`member`]), and who asks
//! ([`querier`]). What changed is published once a round of the control core, each network's by itself, so that
//! no tenant's joins cost another one a snapshot.

mod asking;
mod attend;
mod listeners;
mod member;
mod querier;
mod report;
mod snooper;
#[cfg(test)]
mod tests;

use std::iter;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

pub use self::attend::Attendance;
pub use self::listeners::Ways;
use self::querier::Intervals;
pub use self::snooper::Snooper;
use self::snooper::{Settings, Station};
use crate::config::{self, Unregistered};
use crate::dpdk::cycles_per_second;
use crate::fib::{Published, Reclaimer};
use crate::wire::MacAddr;
use crate::wire::membership::Family;
use crate::worker::{AdjacencyIndex, Groups, Multicast as Shared, Snooping};

/// A multicast group whose members the operator names.
pub struct Group {
    /// Its address.
    pub address: IpAddr,
    /// Adjacencies of the members: access ports and peers.
    pub members: Vec<AdjacencyIndex>,
}

/// A network's multicast, as the control core knows it.
pub struct Multicast {
    /// By ascending address.
    fixed: Vec<Group>,
    drops_unregistered: bool,
    snooper: Option<Snooper>,
    shared: Arc<Shared>,
}

/// As configured, for a network that attaches by `locals`; `join` has it join a peer; `mac` is ours in it. Whoever is known
/// from `before`, under another configuration, stays known. Workers see it by the next snapshot, before which its groups are to be
/// published.
pub fn new(
    before: Option<Multicast>,
    config: &config::Multicast,
    locals: &[AdjacencyIndex],
    mac: MacAddr,
    join: &mut impl FnMut(&config::Peer) -> AdjacencyIndex,
) -> Multicast {
    let now = Instant::now();
    let (known, heard) =
        before.map_or((None, None), |before| (before.snooper, before.shared.snooping.clone()));
    let mut ways = |ports: &[usize], peers: &[config::Peer]| {
        let ports = ports.iter().map(|port| locals[*port]);
        ports.chain(peers.iter().map(&mut *join)).collect::<Vec<_>>()
    };
    let group = |group: &config::Group| Group {
        address: group.group,
        members: ways(&group.ports, &group.peers),
    };
    let mut fixed: Vec<_> = config.groups.iter().map(group).collect();
    fixed.sort_by_key(|group| group.address);
    let snooper = config.snooping.as_ref().map(|wanted| {
        let settings = Settings {
            group_limit: wanted.group_limit as usize,
            port_group_limit: wanted.port_group_limit as usize,
            fast_leave: wanted.fast_leave,
            routers: ways(&wanted.router_ports, &wanted.router_peers),
            intervals: Intervals {
                query: wanted.query_interval,
                response: wanted.response_interval,
                last_member: wanted.last_member_interval,
            },
            own: wanted.querier.map(|ipv4| Station { mac, ipv4, ipv6: mac.link_local() }),
        };
        match known {
            Some(mut snooper) => {
                snooper.configure(settings, now);
                snooper
            }
            None => Snooper::new(settings, now),
        }
    });
    let drops_unregistered = config.unregistered == Unregistered::Drop;
    let snooping = config.snooping.as_ref().map(|wanted| {
        let limit = wanted.message_limit;
        let same = heard.filter(|heard| heard.message_limit() == limit);
        same.unwrap_or_else(|| Arc::new(Snooping::new(limit, cycles_per_second())))
    });
    // Other groups of another network: what was its port may be another one's now.
    let shared = Shared { groups: Published::new(Box::default()), snooping };
    Multicast { fixed, drops_unregistered, snooper, shared: Arc::new(shared) }
}

impl Multicast {
    /// What workers read.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// What listens to IGMP and MLD, if anything does.
    pub fn snooper(&mut self) -> Option<&mut Snooper> {
        self.snooper.as_mut()
    }

    /// Tells workers who gets which group now.
    pub fn publish(&mut self, ways: &Ways, reclaimer: &mut Reclaimer) {
        let groups = self.build(ways);
        self.shared.groups.publish(Box::new(groups), reclaimer);
    }

    fn build(&mut self, ways: &Ways) -> Groups {
        let Self { fixed, drops_unregistered, .. } = self;
        let mut groups = Groups { drops_unregistered: *drops_unregistered, ..Groups::default() };
        let routers = match &mut self.snooper {
            Some(snooper) => {
                let routers = Family::ALL.map(|family| snooper.routers(family));
                groups.routers = [0, 1].map(|family| ways.list(routers[family].clone()));
                groups.reports = [0, 1].map(|family| ways.reports(&routers[family]));
                groups.lists = snooper.listeners(ways, fixed, *drops_unregistered);
                snooper.changed = false;
                routers
            }
            None => Default::default(),
        };
        for Group { address, members } in fixed {
            let always = || [&**members, &routers[Family::of(*address) as usize]].concat();
            let new = || Arc::new(ways.listeners(&always(), iter::empty()));
            groups.lists.entry(*address).or_insert_with(new);
        }
        groups
    }
}
