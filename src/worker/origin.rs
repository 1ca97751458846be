//! Which network and which peer a tunnel packet comes from.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::flood_group::{Strangers, uninvited};
use super::snapshot::{AdjacencyIndex, Attachment, Snapshot};
use crate::drop_reason::DropReason;
use crate::fib::Location;
use crate::tunnel::{AnyInner, Inner, Label};

/// What a peer speaks. NVGRE and Ethernet over GRE look the same, so a peer speaks one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// RFC 7348.
    Vxlan,
    /// RFC 7637.
    Nvgre,
    /// Ethernet over GRE, with or without a key.
    Gre,
}

impl Dialect {
    /// Both that are GRE on the wire are one here.
    fn is_vxlan(self) -> bool {
        self == Self::Vxlan
    }
}

/// A peer that is no plain VXLAN peer over IPv4.
#[derive(Clone, Debug)]
pub struct AnyPeer {
    /// What it speaks.
    pub dialect: Dialect,
    /// Its way out, in networks that have no entry in `networks`; `None` where it is in no others.
    pub adjacency: Option<AdjacencyIndex>,
    /// Networks by the ID that they have at this peer; `None` where its packets carry none. The way out with each.
    /// A network that has another ID here than elsewhere stands under its common one too, as `None`.
    pub networks: HashMap<Option<u32>, Option<(u32, AdjacencyIndex)>>,
}

/// All peers that are no plain VXLAN peers over IPv4.
#[derive(Default)]
pub struct AnyPeers(HashMap<(IpAddr, bool), AnyPeer>);

impl AnyPeers {
    /// Adds what a peer speaks; an address may speak VXLAN and one kind of GRE.
    pub fn insert(&mut self, address: IpAddr, peer: AnyPeer) {
        self.0.insert((address, peer.dialect.is_vxlan()), peer);
    }

    fn get(&self, address: IpAddr, label: Label) -> Option<&AnyPeer> {
        self.0.get(&(address, matches!(label, Label::Vxlan(_))))
    }
}

/// Where the tunnel packets of a burst come from. Neighbours mostly come from the same.
pub(super) struct Origins<'r> {
    snapshot: &'r Snapshot,
    last: Option<(u64, Attachment)>,
    last_other: Option<(IpAddr, Label, Attachment)>,
    /// Senders that the control core should make peers of.
    pub strangers: Strangers,
}

impl<'r> Origins<'r> {
    /// For one burst.
    #[inline(always)]
    pub fn new(snapshot: &'r Snapshot) -> Self {
        Self { snapshot, last: None, last_other: None, strangers: Strangers::new() }
    }

    /// Of VXLAN over IPv4.
    #[inline(always)]
    pub fn of(&mut self, inner: &Inner) -> Result<Attachment, DropReason> {
        let key = u64::from(u32::from(inner.source)) << 32 | u64::from(inner.vni);
        match self.last {
            Some((last, attachment)) if last == key => Ok(attachment),
            _ => {
                let attachment = self.find(inner)?;
                self.last = Some((key, attachment));
                Ok(attachment)
            }
        }
    }

    #[inline(always)]
    fn find(&mut self, inner: &Inner) -> Result<Attachment, DropReason> {
        let snapshot = self.snapshot;
        if let Some(peer) = snapshot.peers.get(u32::from(inner.source)) {
            let network = snapshot.vnis.get(inner.vni).ok_or(DropReason::UnknownVni)?;
            return attachment(snapshot, network, peer);
        }
        self.find_any(inner.source.into(), Label::Vxlan(inner.vni))
    }

    /// Of what came to a group.
    pub fn of_group(&mut self, source: IpAddr, label: Label) -> Result<Attachment, DropReason> {
        match (source, label) {
            (IpAddr::V4(source), Label::Vxlan(vni)) => {
                let (offset, end) = (0, 0);
                self.find(&Inner { vni, source, offset, end })
            }
            _ => self.find_any(source, label),
        }
    }

    /// Of all others.
    #[inline]
    pub fn of_any(&mut self, inner: &AnyInner) -> Result<Attachment, DropReason> {
        match self.last_other {
            Some((source, label, attachment)) if source == inner.source && label == inner.label => {
                Ok(attachment)
            }
            _ => {
                let attachment = self.find_any(inner.source, inner.label)?;
                self.last_other = Some((inner.source, inner.label, attachment));
                Ok(attachment)
            }
        }
    }

    #[inline(never)]
    fn find_any(&mut self, source: IpAddr, label: Label) -> Result<Attachment, DropReason> {
        let snapshot = self.snapshot;
        let peer = snapshot.any_peers.get(source, label);
        let id = match (label, peer.map(|peer| peer.dialect)) {
            (Label::Vxlan(vni), _) => Some(vni),
            (Label::Gre { key, extended: false }, Some(Dialect::Nvgre)) => {
                Some(key.ok_or(DropReason::GreFlags)? >> 8)
            }
            (Label::Gre { .. }, Some(Dialect::Nvgre)) => return Err(DropReason::GreFlags),
            (Label::Gre { key, .. }, _) => key,
        };
        let common = id.and_then(|id| snapshot.vnis.get(id));
        let is_vxlan = matches!(label, Label::Vxlan(_));
        let (here, reason) = match peer {
            None if common.is_some() || !is_vxlan => (None, DropReason::UnknownPeer),
            None => (None, DropReason::UnknownVni),
            Some(peer) => match peer.networks.get(&id) {
                Some(here) => (Some(here.ok_or(DropReason::UnknownVni)?), DropReason::UnknownVni),
                None => (common.zip(peer.adjacency), DropReason::UnknownVni),
            },
        };
        if let Some((network, adjacency)) = here {
            return attachment(snapshot, network, adjacency);
        }
        let network = common.filter(|_| is_vxlan).ok_or(reason)?;
        uninvited(snapshot, network, source, &mut self.strangers).ok_or(reason)
    }
}

#[inline(always)]
fn attachment(
    snapshot: &Snapshot,
    network: u32,
    peer: AdjacencyIndex,
) -> Result<Attachment, DropReason> {
    let adjacency = snapshot.adjacencies.get(peer as usize).ok_or(DropReason::UnknownPeer)?;
    Ok(Attachment::new(network, Location::new(peer, adjacency.generation)))
}
