//! Who is no configured peer, and yet may send: peers that were learned, and strangers.
//!
//! In a network that learns its peers, any VTEP that it admits may send. One that is not known yet is a stranger: its
//! frames pass, and the control core is told, which makes a peer of it. All of this is out of the way of frames from
//! configured peers.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::snapshot::{AdjacencyIndex, Attachment, Snapshot};
use crate::fib::Location;
use crate::tunnel::Vtep;

/// The ingress of a stranger's frames: no adjacency has this index, so nothing is learned there.
const STRANGER: AdjacencyIndex = (1 << 24) - 1;

/// A network that learns its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The group that its BUM frames come to, if they come to one.
    pub group: Option<IpAddr>,
    /// Which VTEPs may be learned as peers; `None`: any.
    pub allow: Option<Box<[IpNet]>>,
    /// Whether these tell of groups, and are told.
    pub group_policy: bool,
}

/// All networks that learn their peers, and the peers that were learned.
#[derive(Default)]
pub struct Admissions {
    /// By network index.
    networks: HashMap<u32, Arc<Admission>>,
    groups: HashSet<IpAddr>,
    learned: LearnedWays,
}

/// The ways out to learned peers, by address and whether they are told of groups.
pub type LearnedWays = HashMap<(IpAddr, bool), AdjacencyIndex>;

impl Admissions {
    /// From networks by index, and the ways out to learned peers.
    pub fn new(networks: HashMap<u32, Arc<Admission>>, learned: LearnedWays) -> Self {
        let groups = networks.values().filter_map(|network| network.group).collect();
        Self { networks, groups, learned }
    }

    /// Whether there are any groups.
    pub(super) fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Whether a group is any network's.
    pub(super) fn has_group(&self, group: IpAddr) -> bool {
        self.groups.contains(&group)
    }

    /// Whether any network admits a VTEP.
    pub(super) fn admit(&self, source: IpAddr) -> bool {
        self.networks.values().any(|network| network.admits(source))
    }

    /// Whether a stranger that sends to a network tells of groups.
    pub(super) fn tells(&self, ingress: Attachment) -> bool {
        let is_stranger = ingress.location().adjacency() == STRANGER;
        let network = self.networks.get(&ingress.network()).filter(|_| is_stranger);
        network.is_some_and(|network| network.group_policy)
    }

    /// Whether a group is a network's.
    pub(super) fn is_group_of(&self, network: u32, group: IpAddr) -> bool {
        self.networks.get(&network).is_some_and(|of| of.group == Some(group))
    }
}

impl Admission {
    /// Whether a VTEP may be learned: one host's address that a route can lead to, and that is allowed.
    pub fn admits(&self, source: IpAddr) -> bool {
        let host = match source {
            IpAddr::V4(a) => !a.is_loopback() && !matches!(a.octets()[0], 0 | 224..),
            // Which link a link-local address is on, nobody says.
            IpAddr::V6(a) => {
                !a.is_loopback()
                    && !a.is_unspecified()
                    && !a.is_multicast()
                    && !a.is_unicast_link_local()
                    && a.to_ipv4_mapped().is_none()
            }
        };
        let allowed = |prefixes: &[IpNet]| prefixes.iter().any(|prefix| prefix.contains(&source));
        host && self.allow.as_deref().is_none_or(allowed)
    }
}

/// Where a frame of a network comes from, if its sender is no configured peer. `None`: from nowhere we know, and
/// the network does not admit strangers or not this one.
#[inline(never)]
pub(super) fn uninvited(
    snapshot: &Snapshot,
    network: u32,
    source: IpAddr,
    strangers: &mut Strangers,
) -> Option<Attachment> {
    let admissions = &snapshot.admissions;
    let admission = admissions.networks.get(&network)?;
    if !admission.admits(source) || is_own(&snapshot.vtep, source) {
        return None;
    }
    let known = admissions.learned.get(&(source, admission.group_policy));
    let adjacency = known.and_then(|index| snapshot.adjacencies.get(*index as usize));
    let (index, generation) = match known.zip(adjacency) {
        Some((index, adjacency)) => (*index, adjacency.generation),
        None => {
            // Where no MAC is learned, no place is needed for it. With more strangers in one burst some are told of
            // later: they will send again.
            if snapshot
                .networks
                .get(network as usize)
                .is_some_and(|network| network.sources.are_learned())
            {
                let _ = strangers.try_push((network, source));
            }
            (STRANGER, 0)
        }
    };
    Some(Attachment::new(network, Location::new(index, generation)))
}

/// Strangers in one burst, each with the index of a network that it sent to.
pub(super) type Strangers = arrayvec::ArrayVec<(u32, IpAddr), 4>;

/// Whether a packet comes from ourselves.
pub(super) fn is_own(vtep: &Vtep, source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => source == vtep.address,
        IpAddr::V6(source) => Some(source) == vtep.ipv6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_admitted_and_of_those_the_allowed() {
        let allow = Some([IpNet::from("192.0.2.0/28".parse::<ipnet::Ipv4Net>().unwrap())].into());
        let [any, some] =
            [None, allow].map(|allow| Admission { group: None, allow, group_policy: false });
        let admitted = |of: &Admission, source: &str| of.admits(source.parse().unwrap());
        for source in ["192.0.2.2", "10.0.0.1", "2001:db8::2"] {
            assert!(admitted(&any, source), "{source}");
            assert_eq!(admitted(&some, source), source == "192.0.2.2", "{source}");
        }
        let none = ["0.0.0.0", "127.0.0.1", "239.1.1.1", "255.255.255.255", "::", "::1", "fe80::1"];
        for source in none.into_iter().chain(["ff0e::1", "::ffff:192.0.2.2"]) {
            assert!(!admitted(&any, source), "{source}");
        }
    }
}
