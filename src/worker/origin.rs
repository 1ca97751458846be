//! Which network and which peer a tunnel packet comes from.

use std::net::{IpAddr, Ipv4Addr};

use hashbrown::HashMap;

use super::snapshot::{AdjacencyIndex, Attachment, Snapshot};
use super::stranger::{Strangers, uninvited};
use crate::drop_reason::DropReason;
use crate::fib::Location;
use crate::tunnel::{Inner, Keyed, Label, Plain, PlainIpv6, Shape};

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

    fn has(&self, address: IpAddr) -> bool {
        [true, false].iter().any(|is_vxlan| self.0.contains_key(&(address, *is_vxlan)))
    }

    fn get(&self, address: IpAddr, label: Label) -> Option<&AnyPeer> {
        self.0.get(&(address, matches!(label, Label::Vxlan(_))))
    }
}

/// Where the tunnel packets of a burst come from. Neighbours mostly come from the same.
pub(super) struct Origins<'r> {
    snapshot: &'r Snapshot,
    last: Option<(u64, Attachment)>,
    last_keyed: Option<(Keyed, KeyedOrigin)>,
    last_ipv6: Option<(PlainIpv6, Attachment)>,
    last_other: Option<(Inner, Attachment)>,
    /// Senders that the control core should make peers of.
    pub strangers: Strangers,
}

/// Where a packet with a GRE key comes from.
#[derive(Clone, Copy)]
struct KeyedOrigin {
    attachment: Attachment,
    /// The bits of the key that name the network: all but NVGRE's flow ID.
    naming: u32,
}

/// A shape whose packets tell where they come from.
pub(super) trait Telling: Shape {
    /// Network and peer.
    fn origin(&self, origins: &mut Origins) -> Result<Attachment, DropReason>;
}

impl Telling for Plain {
    #[inline(always)]
    fn origin(&self, origins: &mut Origins) -> Result<Attachment, DropReason> {
        let key = u64::from(u32::from(self.source)) << 32 | u64::from(self.vni);
        match origins.last {
            Some((last, attachment)) if last == key => Ok(attachment),
            _ => {
                let attachment = origins.find(self.source, self.vni)?;
                origins.last = Some((key, attachment));
                Ok(attachment)
            }
        }
    }
}

impl Telling for Keyed {
    #[inline(always)]
    fn origin(&self, origins: &mut Origins) -> Result<Attachment, DropReason> {
        match &origins.last_keyed {
            Some((last, origin))
                if last.source == self.source && (last.key ^ self.key) & origin.naming == 0 =>
            {
                Ok(origin.attachment)
            }
            _ => origins.find_keyed(self),
        }
    }
}

impl Telling for PlainIpv6 {
    #[inline(always)]
    fn origin(&self, origins: &mut Origins) -> Result<Attachment, DropReason> {
        match &origins.last_ipv6 {
            Some((last, attachment)) if last.source == self.source && last.vni == self.vni => {
                Ok(*attachment)
            }
            _ => origins.find_ipv6(self),
        }
    }
}

impl<'r> Origins<'r> {
    /// For one burst.
    #[inline(always)]
    pub fn new(snapshot: &'r Snapshot) -> Self {
        Self {
            snapshot,
            last: None,
            last_keyed: None,
            last_ipv6: None,
            last_other: None,
            strangers: Strangers::new(),
        }
    }

    #[inline(always)]
    fn find(&mut self, source: Ipv4Addr, vni: u32) -> Result<Attachment, DropReason> {
        let snapshot = self.snapshot;
        if let Some(peer) = snapshot.peers.get(u32::from(source)) {
            let network = snapshot.vnis.get(vni).ok_or(DropReason::UnknownVni)?;
            return attachment(snapshot, network, peer);
        }
        self.find_any(source.into(), Label::Vxlan(vni))
    }

    #[inline(never)]
    fn find_keyed(&mut self, packet: &Keyed) -> Result<Attachment, DropReason> {
        let (source, label) = (packet.source.into(), packet.label());
        let attachment = self.find_any(source, label)?;
        if self.snapshot.orders.contains_key(&attachment.location().adjacency()) {
            // Without a number.
            return Err(DropReason::GreSequence);
        }
        let peer = self.snapshot.any_peers.get(source, label);
        let is_nvgre = peer.is_some_and(|peer| peer.dialect == Dialect::Nvgre);
        let naming = if is_nvgre { !0xff } else { !0 };
        self.last_keyed = Some((*packet, KeyedOrigin { attachment, naming }));
        Ok(attachment)
    }

    #[inline(never)]
    fn find_ipv6(&mut self, packet: &PlainIpv6) -> Result<Attachment, DropReason> {
        let attachment = self.find_any(packet.address().into(), Label::Vxlan(packet.vni))?;
        self.last_ipv6 = Some((*packet, attachment));
        Ok(attachment)
    }

    /// Of any kind.
    #[inline(always)]
    pub fn of_any(&mut self, inner: &Inner) -> Result<Attachment, DropReason> {
        match &self.last_other {
            Some((last, attachment)) if inner.is_like(last) => Ok(*attachment),
            _ => self.find_other(inner),
        }
    }

    #[inline(never)]
    fn find_other(&mut self, inner: &Inner) -> Result<Attachment, DropReason> {
        let attachment = match (inner.source(), inner.label()) {
            (IpAddr::V4(source), Label::Vxlan(vni)) => self.find(source, vni)?,
            (source, label) => self.find_any(source, label)?,
        };
        self.last_other = Some((*inner, attachment));
        Ok(attachment)
    }

    #[inline(never)]
    fn find_any(&mut self, source: IpAddr, label: Label) -> Result<Attachment, DropReason> {
        let snapshot = self.snapshot;
        let peer = snapshot.any_peers.get(source, label);
        let dialect = peer.map(|peer| peer.dialect);
        let id = match (label, dialect) {
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

/// Whether a sender may be a peer, of any network and whatever it speaks.
pub(super) fn may_be_peer(snapshot: &Snapshot, source: IpAddr) -> bool {
    let plain = match source {
        IpAddr::V4(address) => snapshot.peers.get(address.into()).is_some(),
        IpAddr::V6(_) => false,
    };
    plain || snapshot.any_peers.has(source) || snapshot.admissions.admit(source)
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::tunnel::{Form, Template, Vtep};
    use crate::worker::{Adjacency, Admissions, IndexMap, Kind};

    const PEER: AdjacencyIndex = 0;

    fn snapshot(dialect: Dialect) -> Snapshot {
        let adjacency = Adjacency {
            template: Template::VACANT,
            kind: Kind::AnyTunnel,
            form: Form::Vxlan,
            port: 0,
            generation: 1,
            vlan_or_limit: 0,
            pair_or_index: 0,
        };
        let mut any_peers = AnyPeers::default();
        let peer = AnyPeer { dialect, adjacency: Some(PEER), networks: HashMap::new() };
        any_peers.insert([192, 0, 2, 2].into(), peer);
        Snapshot {
            ports: Box::default(),
            networks: Box::default(),
            oversize: Box::default(),
            adjacencies: [adjacency].into(),
            orders: HashMap::new(),
            vnis: IndexMap::new(&[(0x100, 1), (0x101, 2), (1, 3)]),
            peers: IndexMap::new(&[]),
            any_peers,
            admissions: Admissions::default(),
            templates: Box::default(),
            spreads: Box::default(),
            group_policies: Default::default(),
            vtep: Vtep::vxlan(Ipv4Addr::LOCALHOST, 4789),
            learns_path_mtus: false,
            traffic: Box::default(),
            fragments: None,
        }
    }

    /// The networks of packets in one burst.
    fn networks(dialect: Dialect, labels: &[Label]) -> Vec<Result<u32, DropReason>> {
        let snapshot = snapshot(dialect);
        let mut origins = Origins::new(&snapshot);
        let source = Ipv4Addr::new(192, 0, 2, 2);
        let mut of = |label: &Label| match *label {
            Label::Gre { key: Some(key), extended: false } => {
                Keyed { key, source, end: 0 }.origin(&mut origins)
            }
            label => origins.of_any(&Inner::new(source.into(), label, 0, 0)),
        };
        labels.iter().map(|label| of(label).map(Attachment::network)).collect()
    }

    #[test]
    fn a_flow_id_names_no_network_and_a_key_does() {
        let key = |key| Label::Gre { key: Some(key), extended: false };
        let unknown = Err(DropReason::UnknownVni);
        assert_eq!(
            networks(Dialect::Nvgre, &[key(0x0100), key(0x01ff), key(0x1_0000), key(0x1_0101)]),
            [Ok(3), Ok(3), Ok(1), Ok(2)]
        );
        assert_eq!(
            networks(Dialect::Gre, &[key(0x100), key(0x101), key(0x102), key(0x100)]),
            [Ok(1), Ok(2), unknown, Ok(1)]
        );
    }

    #[test]
    fn what_nvgre_has_not_is_refused_though_the_packet_before_had_the_same_key() {
        let gre = |key, extended| Label::Gre { key, extended };
        let labels = [gre(Some(0x100), false), gre(Some(0x100), true), gre(None, false)];
        let refused = Err(DropReason::GreFlags);
        assert_eq!(networks(Dialect::Nvgre, &labels), [Ok(3), refused, refused]);
        let vxlan = [gre(Some(0x100), false), Label::Vxlan(0x100), Label::Vxlan(1)];
        let unknown = Err(DropReason::UnknownPeer);
        assert_eq!(networks(Dialect::Nvgre, &vxlan), [Ok(3), unknown, unknown]);
    }
}
