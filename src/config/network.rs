//! The tenants' networks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::flood_group::{self, FloodGroup, LearnedPeers};
use super::item::Item;
use super::keys::network::{ARP_SUPPRESSION, FLOOD, MEMBER, NETWORK};
use super::mac_move::{MacMove, mac_move};
use super::macs::{MacPlace, MacReader, Seen, StaticMac};
use super::multicast::{Multicast, MulticastReader};
use super::oversize::{self, Oversize};
use super::peer::{EncapName, Peer, PeerReader, Usual};
use super::place_policy::{self, PlacePolicy};
use super::port::Ports;
use super::scalar::{self, First, Unique};
use super::storm::{StormControl, storm_control};
use super::underlay::{Reach, Vtep};
use super::vlan;
use crate::too_big::Gateways;
use crate::tunnel::Encap;
use crate::wire::{Vlan, Vni};
use crate::worker::Unknown;

/// One tenant's layer-2 domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Unique.
    pub vni: Vni,
    /// Unique.
    pub name: String,
    /// What its peers speak, unless one says otherwise.
    pub usual: Usual,
    /// Where the network attaches on this host.
    pub members: Vec<Member>,
    /// What is said of groups there: as many.
    pub policies: Vec<PlacePolicy>,
    /// Ingress replication: who gets broadcast, unknown unicast and multicast.
    pub peers: Vec<Peer>,
    /// The underlay's multicast group that all of that goes to as well.
    pub group: Option<FloodGroup>,
    /// Which VTEPs become peers by what they send, by a group or without one; `None`: none.
    pub learned_peers: Option<LearnedPeers>,
    /// Whether source MACs are learned.
    pub learning: bool,
    /// How long a learned MAC stays without traffic, 1 s to 9 h; `None`: for ever.
    pub ageing: Option<Duration>,
    /// The most MACs that are learned.
    pub mac_limit: u32,
    /// What becomes of MACs that show up elsewhere.
    pub mac_move: MacMove,
    /// What happens to inner frames that carry a VLAN tag.
    pub inner_vlan: InnerVlan,
    /// What priority the VLAN tags have that frames from tunnels get.
    pub vlan_priority: VlanPriority,
    /// Whether ARP and neighbour discovery are answered here.
    pub arp_suppression: Option<ArpSuppression>,
    /// What of its access ports' frames may be flooded, all ports together.
    pub storm_control: Option<StormControl>,
    /// What answers to frames that do not fit the underlay come from.
    pub gateways: Gateways,
    /// What becomes of such frames.
    pub oversize: Oversize,
    /// MACs known in advance; they neither age nor move.
    pub macs: Vec<StaticMac>,
    /// Who gets which multicast group; `None`: all is flooded.
    pub multicast: Option<Multicast>,
}

impl Network {
    /// Bytes that a station's packet becomes longer by on the way to a peer or the group, the most of all; `None` where
    /// there is neither, nor are peers learned.
    pub fn overhead(&self, vtep: &Vtep) -> Option<u16> {
        let of_macs = self.macs.iter().filter_map(|mac| match &mac.place {
            MacPlace::Peer(peer) => Some(peer),
            MacPlace::Member(_) => None,
        });
        let peers = self.peers.iter().chain(of_macs);
        let peers = peers.map(|peer| peer.encap.overhead(peer.address));
        // The UDP port makes no header longer.
        let by_vxlan = |address| Encap::vxlan(0).overhead(address);
        let group = self.group.iter().map(|group| by_vxlan(group.address));
        let learned = self.learned_peers.iter().filter(|_| self.group.is_none());
        let learned = learned.flat_map(|learned| learned.alike(vtep)).map(by_vxlan);
        peers.chain(group).chain(learned).max().map(|most| most as u16)
    }
}

/// Where what is flooded goes.
#[derive(Default)]
struct Flood {
    peers: Vec<Peer>,
    group: Option<FloodGroup>,
    learned: Option<LearnedPeers>,
}

/// How ARP and neighbour discovery are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpSuppression {
    /// What becomes of questions for addresses that are not known.
    pub unknown: Unknown,
    /// The most addresses that are learned.
    pub limit: u32,
}

/// An access port, or one VLAN of it, in a network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Name of an access port.
    pub port: String,
    /// A VLAN of it, IDs 1 to 4094; `None`: the port's untagged frames.
    pub vlan: Option<Vlan>,
}

/// What happens to a frame whose inner Ethernet header is followed by a VLAN tag (RFC 7348 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InnerVlan {
    /// Such frames are dropped and counted.
    Drop,
    /// They pass unchanged.
    Keep,
}

/// What priority a VLAN tag has that a frame from a tunnel gets at its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VlanPriority {
    /// 0.
    None,
    /// That whose class selector (RFC 2474 section 4.2.2) the outer header's DSCP begins with.
    Dscp,
}

impl VlanPriority {
    pub(super) const CHOICES: [(&'static str, Self); 2] =
        [("none", Self::None), ("dscp", Self::Dscp)];
}

impl Network {
    /// As messages call it.
    pub(super) fn owner(&self) -> String {
        owner(&self.name)
    }

    /// Its flood peers, and those that static MACs are behind.
    pub fn all_peers(&self) -> impl Iterator<Item = &Peer> {
        let behind = self.macs.iter().filter_map(|mac| match &mac.place {
            MacPlace::Peer(peer) => Some(peer),
            MacPlace::Member(_) => None,
        });
        self.peers.iter().chain(behind)
    }

    /// Whether any of its peers tells of which group the sender of a frame is.
    pub fn has_groups(&self) -> bool {
        self.usual.group_policy || self.all_peers().any(|peer| peer.encap.has_groups())
    }
}

fn owner(name: &str) -> String {
    format!("network '{name}'")
}

/// Reads all networks and checks what must be unique among them.
pub(super) struct Networks<'r, 'a> {
    ports: &'r Ports,
    reach: &'r Reach,
    peers: PeerReader<'r>,
    vnis: Unique<u64>,
    names: Unique<String>,
    /// By access port and VLAN.
    members: Unique<Member>,
    /// IDs at peers that differ from ours, by address, whether it is VXLAN, and ID.
    ids: HashMap<(IpAddr, bool, u32), First>,
    /// IDs of our own at peers that have others too, checked when all networks are read.
    foreign: Vec<(Item<'a>, Peer, First)>,
}

impl<'r, 'a> Networks<'r, 'a> {
    pub fn new(ports: &'r Ports, reach: &'r Reach) -> Self {
        let (vnis, names, members, ids) = Default::default();
        let peers = PeerReader::new(reach);
        Networks { ports, reach, peers, vnis, names, members, ids, foreign: Vec::new() }
    }

    /// Notes a network that is not being read, but goes on beside the one that `item` is.
    pub fn known(&mut self, network: &Network, item: &Item<'a>) {
        let owner = network.owner();
        self.vnis.known(network.vni.get().into(), &owner);
        self.names.known(network.name.clone(), &owner);
        network.members.iter().for_each(|member| self.members.known(member.clone(), &owner));
        self.peers.known(network, &owner);
        let foreign = network.peers.iter().filter(|peer| peer.id.is_some());
        let first = || First { owner: owner.clone(), line: None };
        self.foreign.extend(foreign.map(|peer| (item.clone(), *peer, first())));
    }

    pub fn read(&mut self, item: &Item<'a>) -> Option<Network> {
        let fields = item.fields(&NETWORK)?;
        let name = fields.required("name", "name: tenant-a", |item| scalar::name(&item));
        let owner = name.as_deref().map_or_else(|| item.path.clone(), owner);
        if let (Some(name), Some(item)) = (&name, fields.get("name"))
            && let Some(earlier) = self.names.earlier(name.clone(), &item.path, &item)
        {
            item.error(format_args!(
                "'{name}' is already given by {earlier}; give each network its own name"
            ));
        }
        let vni = fields.required("vni", "vni: 101", |item| self.vni(&item, &owner));
        if let (Some(name), Some(vni), Some(item)) = (&name, vni, fields.get("name"))
            && name.parse().is_ok_and(|number: u64| number != u64::from(vni.get()))
        {
            item.error(format_args!(
                "commands take '{name}' for a VNI, and this network's is {vni}; give it a name that is no number, or '{vni}'"
            ));
        }
        let encap = fields.or("encap", EncapName::Vxlan, |item| item.choice(&EncapName::CHOICES));

        let items = fields.get("ports");
        let places =
            fields.or("ports", Vec::new(), |item| item.list_of(|item| self.member(&item, &owner)));
        let (members, policies): (Option<Vec<_>>, Option<Vec<_>>) =
            places.map(|places| places.into_iter().unzip()).unzip();
        // With a member in error it is open where a static MAC is; to call its port no member would be noise.
        let listed = items.map_or(0, |item| item.elements().count());
        let whole = members
            .as_deref()
            .filter(|members| members.len() == listed && !fields.is_misspelt("ports"));
        if whole.is_some_and(<[Member]>::is_empty) {
            item.warn("this network has no ports, so no frame gets in or out; list its access ports under 'ports'");
        }
        let group_policy = fields.or("group_policy", false, |item| item.boolean());
        let usual =
            encap.zip(group_policy).map(|(encap, group_policy)| Usual { encap, group_policy });
        let flood = fields.or("flood", Flood::default(), |item| self.flood(&item, usual?, &owner));
        let (peers, flood) = flood.map(|flood| (flood.peers, (flood.group, flood.learned))).unzip();
        if let (Some(true), Some(item)) = (group_policy, fields.get("group_policy"))
            && encap.is_some_and(|encap| encap != EncapName::Vxlan)
            && !peers.iter().flatten().any(|peer| peer.encap.has_groups())
        {
            item.error("only VXLAN tells of groups, and no peer here speaks it; set 'encap: vxlan', or remove this");
        }
        let learning = fields.or("learning", true, |item| item.boolean());
        if let (Some(false), Some((None, Some(_)))) = (learning, &flood)
            && let Some(item) = fields.get("learning")
        {
            item.error("peers are learned by the MACs behind them; set 'learning: true', or list the peers in place of 'peers: learn'");
        }
        let ageing =
            fields.or("ageing", Some(Duration::from_secs(300)), |item| scalar::ageing(&item));
        let mac_limit = fields.or("mac_limit", 8192, |item| item.number());
        let mac_move = fields.or("mac_move", MacMove::default(), |item| mac_move(&item));
        let inner_vlan = fields.or("inner_vlan", InnerVlan::Drop, |item| {
            item.choice(&[("drop", InnerVlan::Drop), ("keep", InnerVlan::Keep)])
        });
        if inner_vlan == Some(InnerVlan::Keep)
            && let Some(item) = fields.get("inner_vlan")
        {
            let nvgre = |peer: &Peer| matches!(peer.encap, Encap::Nvgre { .. });
            if encap == Some(EncapName::Nvgre) || peers.iter().flatten().any(nvgre) {
                item.error("NVGRE carries no inner VLAN tags (RFC 7637 section 3.3); use 'inner_vlan: drop', or another 'encap'");
            }
        }
        let vlan_priority = fields
            .or("vlan_priority", VlanPriority::None, |item| item.choice(&VlanPriority::CHOICES));
        let arp_suppression = fields.or("arp_suppression", None, |item| arp_suppression(&item));
        let storm_control = fields.or("storm_control", None, |item| storm_control(&item));
        let gateways = fields.or("gateway", Gateways::default(), |item| oversize::gateways(&item));
        let oversize = fields.or("oversize", Oversize::default(), |item| oversize::oversize(&item));
        let mut reader = MacReader {
            ports: self.ports,
            peers: &mut self.peers,
            owner: &owner,
            members: whole,
            listed: peers.as_deref().unwrap_or_default(),
            usual,
            seen: Seen::default(),
        };
        let macs = fields.or("macs", Vec::new(), |item| item.list_of(|item| reader.read(&item)));
        if arp_suppression == Some(None)
            && macs.iter().flatten().any(|mac| !mac.ips.is_empty())
            && let Some(item) = fields.get("macs")
        {
            item.warn("this network does not answer ARP, so 'ips' say nothing; add 'arp_suppression: true' to it");
        }
        let reader = MulticastReader {
            access: self.ports,
            owner: &owner,
            members: whole,
            listed: peers.as_deref(),
        };
        let multicast = fields.or("multicast", None, |item| reader.read(&item).map(Some));
        let (group, learned_peers) = flood?;
        Some(Network {
            usual: usual?,
            vni: vni?,
            name: name?,
            members: members?,
            policies: policies?,
            peers: peers?,
            group,
            learned_peers,
            learning: learning?,
            ageing: ageing?,
            mac_limit: mac_limit?,
            mac_move: mac_move?,
            inner_vlan: inner_vlan?,
            vlan_priority: vlan_priority?,
            arp_suppression: arp_suppression?,
            storm_control: storm_control?,
            gateways: gateways?,
            oversize: oversize?,
            macs: macs?,
            multicast: multicast?,
        })
    }

    fn vni(&mut self, item: &Item<'_>, owner: &str) -> Option<Vni> {
        let number: u64 = item.number()?;
        if let Some(earlier) = self.vnis.earlier(number, owner, item) {
            item.error(format_args!(
                "{number} is already used by {earlier}; give each network its own VNI"
            ));
        }
        Vni::try_from(number).ok()
    }

    fn member(&mut self, item: &Item<'_>, owner: &str) -> Option<(Member, PlacePolicy)> {
        let (port, vlan, policy) = if item.is_mapping() {
            let fields = item.fields(&MEMBER)?;
            let port = fields.required("port", "port: trunk0", |item| self.ports.access(&item));
            let (vlan, policy) = (vlan::read(&fields), place_policy::read(&fields));
            (port?, vlan?, policy?)
        } else {
            (self.ports.access(item)?, None, PlacePolicy::default())
        };
        let member = Member { port, vlan };
        if let Some(earlier) = self.members.earlier(member.clone(), owner, item) {
            match vlan {
                Some(vlan) => item.error(format_args!(
                    "VLAN {vlan} of this port is already used by {earlier}; give each VLAN of a port to one network"
                )),
                None => item.error(format_args!(
                    "this port's untagged frames are already used by {earlier}; \
                     use another port or a VLAN of it, such as {{port: trunk0, vlan: 10}}"
                )),
            }
        }
        Some((member, policy))
    }

    fn flood(&mut self, item: &Item<'a>, usual: Usual, owner: &str) -> Option<Flood> {
        match item.as_text() {
            Some("none") => return Some(Flood::default()),
            Some(_) => return item.expected("'none' or a mapping with the keys peers, group"),
            None => {}
        }
        let fields = item.fields(&FLOOD)?;
        let mut seen = Unique::default();
        let mut learn = None;
        let peers = fields.or("peers", Vec::new(), |item| {
            if item.as_text() == Some("learn") {
                learn = Some(item);
                return Some(Vec::new());
            }
            if item.as_text().is_some() {
                return item.expected("'learn' or a list");
            }
            item.list_of(|item| {
                if item.as_text() == Some("learn") {
                    learn = Some(item);
                    return None;
                }
                let (place, peer) = self.peers.read(&item, usual, owner)?;
                let address = peer.address;
                if let Some(earlier) = seen.earlier(address, &place.path, &place) {
                    place.error(format_args!(
                        "{address} is already given by {earlier}; list each peer once"
                    ));
                }
                if peer.id.is_some() {
                    let first = First { owner: owner.to_owned(), line: Some(item.line) };
                    self.foreign.push((item, peer, first));
                }
                Some(peer)
            })
        });
        let (group, learned) = flood_group::read(&fields, learn.as_ref(), self.reach, usual.encap)?;
        Some(Flood { peers: peers?, group, learned })
    }

    /// Checks what can be told when all networks are read: that each ID at a peer is one network's.
    pub fn finish(mut self, networks: &[Arc<Network>]) {
        for (item, peer, owner) in self.foreign {
            let Some(id) = peer.id else { continue };
            let vxlan = matches!(peer.encap, Encap::Vxlan { .. });
            let common =
                networks.iter().filter(|network| network.vni.get() == id).find(|network| {
                    network.peers.iter().any(|other| {
                        let same = matches!(other.encap, Encap::Vxlan { .. }) == vxlan;
                        other.address == peer.address && same && other.id.is_none()
                    })
                });
            let key = (peer.address, vxlan, id);
            let first = match (common, self.ids.get(&key)) {
                (Some(network), _) => format!("network '{}'", network.name),
                (None, Some(first)) => first.to_string(),
                (None, None) => {
                    self.ids.insert(key, owner);
                    continue;
                }
            };
            item.error(format_args!(
                "ID {id} at {} is already {first}; give each network its own ID there",
                peer.address
            ));
        }
    }
}

fn arp_suppression(item: &Item<'_>) -> Option<Option<ArpSuppression>> {
    let usual = ArpSuppression { unknown: Unknown::Flood, limit: 8192 };
    if !item.is_mapping() {
        let given = item.as_boolean();
        let what = "true, false or a mapping with the keys unknown, limit";
        return given.or_else(|| item.expected(what)).map(|given| given.then_some(usual));
    }
    let fields = item.fields(&ARP_SUPPRESSION)?;
    let unknown = fields.or("unknown", usual.unknown, |item| {
        item.choice(&[("flood", Unknown::Flood), ("drop", Unknown::Drop)])
    });
    let limit = fields.or("limit", usual.limit, |item| item.number());
    Some(Some(ArpSuppression { unknown: unknown?, limit: limit? }))
}
