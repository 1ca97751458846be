//! Peers: other VTEPs, and how frames to each are carried.

use std::collections::HashMap;
use std::net::IpAddr;

use super::item::{Fields, Item};
use super::keys::network::PEER;
use super::marking;
use super::network::Network;
use super::scalar::{self, First};
use super::underlay::{Reach, Vtep};
use crate::tunnel::{Dscp, Encap, Marking, Sequence, Ttl, UdpChecksum};

/// Another VTEP, as one network speaks to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its unicast address, never this VTEP's own.
    pub address: IpAddr,
    /// How frames to it are carried.
    pub encap: Encap,
    /// The network's ID at this peer, where it is another than ours: 24 bits, for GRE 32.
    pub id: Option<u32>,
    /// DSCP of packets to it, where it is another than the VTEP's.
    pub dscp: Option<Dscp>,
    /// Their time to live, likewise.
    pub ttl: Option<Ttl>,
}

impl Peer {
    /// One that speaks as its network does, and nothing else is said.
    pub fn plain(address: IpAddr, usual: Usual, udp_port: u16) -> Self {
        let Usual { encap, group_policy } = usual;
        let encap = match encap {
            EncapName::Vxlan => {
                Encap::Vxlan { udp_port, checksum: UdpChecksum::Auto, group_policy }
            }
            EncapName::Nvgre => Encap::Nvgre { flow_id: true },
            EncapName::Gre => Encap::Gre { key: true, checksum: false, sequence: Sequence::Off },
        };
        Self { address, encap, id: None, dscp: None, ttl: None }
    }

    /// What the outer headers of packets to it say.
    pub fn marking(&self, vtep: &Vtep) -> Marking {
        let Marking { dscp, ttl } = vtep.marking;
        Marking { dscp: self.dscp.unwrap_or(dscp), ttl: self.ttl.unwrap_or(ttl) }
    }
}

/// What a network's peers speak that say nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// The encapsulation.
    pub encap: EncapName,
    /// Whether those that speak VXLAN are told of which group the sender of a frame is, and tell.
    pub group_policy: bool,
}

impl Usual {
    /// VXLAN, and nothing else.
    pub const VXLAN: Self = Self { encap: EncapName::Vxlan, group_policy: false };
}

/// The name of an encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncapName {
    /// RFC 7348.
    Vxlan,
    /// RFC 7637.
    Nvgre,
    /// Ethernet over GRE.
    Gre,
}

impl EncapName {
    pub(super) const CHOICES: [(&'static str, Self); 3] =
        [("vxlan", Self::Vxlan), ("nvgre", Self::Nvgre), ("gre", Self::Gre)];
}

/// What one address speaks by GRE: NVGRE and Ethernet over GRE look the same on the wire, so one of them only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Nvgre,
    Keyed,
    Keyless,
}

impl Spoken {
    fn by(peer: &Peer) -> Option<Self> {
        match peer.encap {
            Encap::Vxlan { .. } => None,
            Encap::Nvgre { .. } => Some(Spoken::Nvgre),
            Encap::Gre { key: true, .. } => Some(Spoken::Keyed),
            Encap::Gre { key: false, .. } => Some(Spoken::Keyless),
        }
    }
}

/// Reads peers, and checks what must hold among those of all networks.
pub(super) struct PeerReader<'r> {
    reach: &'r Reach,
    spoken: HashMap<IpAddr, (Spoken, First)>,
}

impl<'r> PeerReader<'r> {
    pub fn new(reach: &'r Reach) -> Self {
        Self { reach, spoken: HashMap::new() }
    }

    /// An element of `flood.peers`, with the place of its address.
    pub fn read<'a>(
        &mut self,
        item: &Item<'a>,
        usual: Usual,
        owner: &str,
    ) -> Option<(Item<'a>, Peer)> {
        if !item.is_mapping() {
            let address = self.address(item)?;
            let peer = self.plain(address, usual);
            self.note(item, &peer, owner);
            return Some((item.clone(), peer));
        }
        let fields = item.fields(&PEER)?;
        let address = fields.required("address", "address: 192.0.2.2", |item| self.address(&item));
        let encap = fields.or("encap", usual.encap, |item| item.choice(&EncapName::CHOICES));
        let options = encap.and_then(|encap| self.options(&fields, Usual { encap, ..usual }));
        let dscp = fields.or("dscp", None, |item| marking::dscp(&item).map(Some));
        let ttl = fields.or("ttl", None, |item| marking::ttl(&item).map(Some));
        let place = fields.get("address");
        let (encap, id) = options?;
        let peer = Peer { address: address?, encap, id, dscp: dscp?, ttl: ttl? };
        self.note(item, &peer, owner);
        Some((place?, peer))
    }

    /// A peer of which only the address is said.
    pub fn plain(&self, address: IpAddr, usual: Usual) -> Peer {
        Peer::plain(address, usual, self.reach.vxlan_port)
    }

    fn options(&self, fields: &Fields<'_>, usual: Usual) -> Option<(Encap, Option<u32>)> {
        let encap = usual.encap;
        let only = |key: &str, right: EncapName, what: &str| {
            if let Some(item) = fields.get(key)
                && encap != right
            {
                item.error(format_args!("{what}; remove '{key}'"));
            }
        };
        only("port", EncapName::Vxlan, "a UDP port belongs to VXLAN, and GRE has none");
        only("group_policy", EncapName::Vxlan, "only VXLAN tells of groups");
        only("flow_id", EncapName::Nvgre, "a flow ID belongs to NVGRE");
        only("key", EncapName::Gre, "whether there is a key is a choice of encap: gre only");
        only(
            "sequence",
            EncapName::Gre,
            "whether packets are numbered is a choice of encap: gre only",
        );
        let port = fields.or("port", self.reach.vxlan_port, |item| item.number());
        let group_policy = fields.or("group_policy", usual.group_policy, |item| item.boolean());
        let flow_id = fields.or("flow_id", true, |item| item.boolean());
        let key = fields.or("key", true, |item| item.boolean());
        let sequence = fields.or("sequence", Sequence::Off, |item| sequence(&item));
        let checksum = fields.or("checksum", UdpChecksum::Auto, |item| {
            let choices =
                [("auto", UdpChecksum::Auto), ("on", UdpChecksum::On), ("off", UdpChecksum::Off)];
            let checksum = item.choice(&choices)?;
            if encap == EncapName::Nvgre && checksum == UdpChecksum::On {
                item.error(
                    "NVGRE has no checksum (RFC 7637 section 3.2); remove it, or set 'encap: gre'",
                );
            }
            Some(checksum)
        });
        let id = fields.or("id", None, |item| {
            if key == Some(false) {
                item.error("with 'key: false' no ID is on the wire; remove 'id' or 'key'");
            }
            let highest = if encap == EncapName::Gre { u32::MAX.into() } else { 16_777_215 };
            item.number_within(1..=highest).map(Some)
        });
        let checksum = checksum?;
        let encap = match encap {
            EncapName::Vxlan => {
                Encap::Vxlan { udp_port: port?, checksum, group_policy: group_policy? }
            }
            EncapName::Nvgre => Encap::Nvgre { flow_id: flow_id? },
            EncapName::Gre => {
                let checksum = checksum == UdpChecksum::On;
                Encap::Gre { key: key?, checksum, sequence: sequence? }
            }
        };
        Some((encap, id?))
    }

    pub fn address(&self, item: &Item<'_>) -> Option<IpAddr> {
        let address = scalar::unicast(item)?;
        let own = self.reach.own.iter().find(|(own, _)| *own == address);
        let (family, key) = if address.is_ipv4() { ("IPv4", "ipv4") } else { ("IPv6", "ipv6") };
        if let Some((_, line)) = own {
            let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
            item.error(format_args!(
                "{address} is this VTEP's own address (underlay.vtep.{key}{line}); name the other VTEPs only"
            ));
        } else if !self.reach.has_family(address) {
            item.error(format_args!(
                "{address} cannot be reached: this VTEP has no {family} address; add underlay.vtep.{key}"
            ));
        } else if !self.reach.resolves && !self.reach.neighbours.contains(&address) {
            item.error(format_args!(
                "{address} cannot be reached: no underlay port has a twin and no neighbour has this address; \
                 give an underlay port a 'twin', or add {address} to underlay.neighbours"
            ));
        }
        Some(address)
    }

    /// Remembers what an address speaks by GRE.
    pub fn note(&mut self, item: &Item<'_>, peer: &Peer, owner: &str) {
        let Some(spoken) = Spoken::by(peer) else { return };
        let address = peer.address;
        let first = || First { owner: owner.to_owned(), line: Some(item.line) };
        let (earlier, first) = self.spoken.entry(address).or_insert_with(|| (spoken, first()));
        if spoken == Spoken::Keyless && *earlier == Spoken::Keyless && first.owner != owner {
            item.error(format_args!(
                "GRE without a key from {address} is already used by {first}; use keys, or another address for each network"
            ));
        } else if (spoken == Spoken::Nvgre) != (*earlier == Spoken::Nvgre) {
            item.error(format_args!(
                "{address} speaks {} in {first}, and both look the same on the wire; let it speak one of nvgre and gre",
                if *earlier == Spoken::Nvgre { "nvgre" } else { "gre" }
            ));
        }
    }

    /// Remembers what the peers of a network speak that is not being read.
    pub fn known(&mut self, network: &Network, owner: &str) {
        for peer in network.all_peers() {
            if let Some(spoken) = Spoken::by(peer) {
                let first = || First { owner: owner.to_owned(), line: None };
                self.spoken.entry(peer.address).or_insert_with(|| (spoken, first()));
            }
        }
    }
}

fn sequence(item: &Item<'_>) -> Option<Sequence> {
    match (item.as_boolean(), item.as_text()) {
        (Some(false), _) => Some(Sequence::Off),
        (Some(true), _) => Some(Sequence::Sent),
        (_, Some("strict")) => Some(Sequence::Strict),
        _ => item.expected("true, false or strict"),
    }
}
