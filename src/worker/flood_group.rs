//! Multicast groups of the underlay: what comes to one, and from whom.
//!
//! In a network with a group any VTEP that the group admits may send, to the group or to us alone. One that is not
//! known yet is a stranger: its frames pass, and the control core is told, which makes a peer of it. All of this is
//! out of the way of frames from configured peers.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::forward::{Classifier, Lane};
use super::origin::Origins;
use super::snapshot::{AdjacencyIndex, Attachment, Snapshot};
use super::underlay::{received, unwrap};
use crate::dpdk::Mbuf;
use crate::drop_reason::DropReason;
use crate::fib::Location;
use crate::tunnel::{Outer, Vtep, decapsulate, group_of};

/// The ingress of a stranger's frames: no adjacency has this index, so nothing is learned there.
const STRANGER: AdjacencyIndex = (1 << 24) - 1;

/// A network's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloodGroup {
    /// Where its BUM frames come to.
    pub address: IpAddr,
    /// Which VTEPs may be learned as peers; `None`: any.
    pub allow: Option<Box<[IpNet]>>,
}

/// The groups of all networks, and the peers that were learned.
#[derive(Default)]
pub struct FloodGroups {
    /// By network index.
    networks: HashMap<u32, Arc<FloodGroup>>,
    addresses: HashSet<IpAddr>,
    learned: HashMap<IpAddr, AdjacencyIndex>,
}

impl FloodGroups {
    /// From the groups by network index, and the ways out to learned peers.
    pub fn new(
        networks: HashMap<u32, Arc<FloodGroup>>,
        learned: HashMap<IpAddr, AdjacencyIndex>,
    ) -> Self {
        let addresses = networks.values().map(|group| group.address).collect();
        Self { networks, addresses, learned }
    }
}

impl FloodGroup {
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
    let group = snapshot.flood_groups.networks.get(&network)?;
    if !group.admits(source) || is_own(&snapshot.vtep, source) {
        return None;
    }
    let known = snapshot.flood_groups.learned.get(&source);
    let adjacency = known.and_then(|index| snapshot.adjacencies.get(*index as usize));
    let (index, generation) = match known.zip(adjacency) {
        Some((index, adjacency)) => (*index, adjacency.generation),
        None => {
            // Where no MAC is learned, no place is needed for it. With more strangers in one burst some are told of
            // later: they will send again.
            if snapshot.networks.get(network as usize).is_some_and(|network| network.learning) {
                let _ = strangers.try_push((network, source));
            }
            (STRANGER, 0)
        }
    };
    Some(Attachment::new(network, Location::new(index, generation)))
}

/// Strangers in one burst, each with the index of a network that it sent to.
pub(super) type Strangers = arrayvec::ArrayVec<(u32, IpAddr), 4>;

/// The lane of a frame that came to a group of ours; `None` for any other packet.
#[inline(never)]
pub(super) fn lane<'r>(
    snapshot: &Snapshot,
    origins: &mut Origins<'r>,
    classifier: &mut Classifier<'r>,
    frame: &mut Mbuf,
) -> Result<Option<Lane<'r>>, DropReason> {
    let groups = &snapshot.flood_groups;
    if groups.addresses.is_empty() {
        return Ok(None);
    }
    let group = group_of(frame.data()).filter(|group| groups.addresses.contains(group));
    let Some(group) = group else { return Ok(None) };
    let vtep = snapshot.vtep.at_group(group);
    let Outer::Tunnel(inner) = decapsulate(frame.data(), &vtep, received(frame))? else {
        return Ok(None);
    };
    if is_own(&snapshot.vtep, inner.source()) {
        return Err(DropReason::OwnPacket);
    }
    let ingress = origins.of_any(&inner)?;
    if groups.networks.get(&ingress.network()).is_none_or(|of| of.address != group) {
        return Err(DropReason::WrongGroup);
    }
    unwrap(classifier, frame, ingress, (inner.offset, inner.end)).map(Some)
}

fn is_own(vtep: &Vtep, source: IpAddr) -> bool {
    match source {
        IpAddr::V4(source) => source == vtep.address,
        IpAddr::V6(source) => Some(source) == vtep.ipv6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_admits_hosts_and_of_those_the_allowed() {
        let allow = Some([IpNet::from("192.0.2.0/28".parse::<ipnet::Ipv4Net>().unwrap())].into());
        let (any, some) = ("239.1.1.1".parse().unwrap(), "239.1.1.2".parse().unwrap());
        let (any, some) =
            (FloodGroup { address: any, allow: None }, FloodGroup { address: some, allow });
        let admitted = |group: &FloodGroup, source: &str| group.admits(source.parse().unwrap());
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
