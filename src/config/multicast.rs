//! Who gets which multicast group of a network.

use std::net::IpAddr;

use super::item::Item;
use super::keys::multicast::{GROUP, MULTICAST};
use super::keys::network::PLACE;
use super::network::Member;
use super::peer::Peer;
use super::port::Ports;
use super::scalar::Unique;
use super::snooping::{self, Snooping};
use super::vlan;
use crate::wire::multicast::is_link_local;

/// What becomes of a network's IP multicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multicast {
    /// What happens to groups that are not listed.
    pub unregistered: Unregistered,
    /// Groups with their members; each group once.
    pub groups: Vec<Group>,
    /// Whether members are learned from IGMP and MLD.
    pub snooping: Option<Snooping>,
}

/// What happens to multicast to a group that has no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unregistered {
    /// It goes where broadcast goes.
    Flood,
    /// It is dropped and counted.
    Drop,
}

/// A group with its members: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// A multicast address other than the link-local ones, which are always flooded.
    pub group: IpAddr,
    /// Indices into the network's members.
    pub ports: Vec<usize>,
    /// Flood peers of the network.
    pub peers: Vec<Peer>,
}

/// Reads the `multicast` key of one network.
pub(super) struct MulticastReader<'r> {
    pub access: &'r Ports,
    /// The network, for messages.
    pub owner: &'r str,
    /// `None`: there is an error in them.
    pub members: Option<&'r [Member]>,
    /// Its flood peers; `None`: there is an error in them.
    pub listed: Option<&'r [Peer]>,
}

impl MulticastReader<'_> {
    pub fn read(&self, item: &Item<'_>) -> Option<Multicast> {
        let fields = item.fields(&MULTICAST)?;
        let unregistered = fields.or("unregistered", Unregistered::Flood, |item| {
            item.choice(&[("flood", Unregistered::Flood), ("drop", Unregistered::Drop)])
        });
        let mut seen = Unique::default();
        let groups = fields
            .or("groups", Vec::new(), |item| item.list_of(|item| self.group(&item, &mut seen)));
        let snooping = fields.or("snooping", None, |item| snooping::read(self, &item));
        Some(Multicast { unregistered: unregistered?, groups: groups?, snooping: snooping? })
    }

    /// A list of the network's ports.
    pub fn ports(&self, list: &Item<'_>) -> Option<Vec<usize>> {
        let mut seen = Unique::default();
        list.list_of(|item| self.port(&item, &mut seen))
    }

    /// A list of the network's flood peers.
    pub fn peers(&self, list: &Item<'_>) -> Option<Vec<Peer>> {
        let mut seen = Unique::default();
        list.list_of(|item| self.peer(&item, &mut seen))
    }

    fn group(&self, item: &Item<'_>, seen: &mut Unique<IpAddr>) -> Option<Group> {
        let fields = item.fields(&GROUP)?;
        let group = fields.required("group", "group: 239.1.1.1", |item| {
            let what = "a multicast address such as 239.1.1.1 or ff05::1:3";
            let group = item.parse_with(what, |text| {
                text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast)
            })?;
            if is_link_local(group) {
                item.error(format_args!(
                    "{group} is link-local, and such groups are always flooded (RFC 4541); remove this entry"
                ));
            } else if let Some(earlier) = seen.earlier(group, &item.path, &item) {
                item.error(format_args!(
                    "{group} is already given by {earlier}; list all members of a group in one entry"
                ));
            }
            Some(group)
        });
        let ports = fields.or("ports", Vec::new(), |item| self.ports(&item));
        let peers = fields.or("peers", Vec::new(), |item| self.peers(&item));
        if fields.get("ports").is_none() && fields.get("peers").is_none() {
            item.error("a group without members; list them under 'ports' and 'peers'");
        }
        Some(Group { group: group?, ports: ports?, peers: peers? })
    }

    fn port(&self, item: &Item<'_>, seen: &mut Unique<usize>) -> Option<usize> {
        let (port, vlan) = if item.is_mapping() {
            let fields = item.fields(&PLACE)?;
            let port = fields.required("port", "port: trunk0", |item| self.access.access(&item));
            let vlan = vlan::read(&fields);
            (port?, vlan?)
        } else {
            (self.access.access(item)?, None)
        };
        let of = Member { port, vlan };
        let Some(position) = self.members?.iter().position(|member| *member == of) else {
            item.error(format_args!(
                "this is not among the ports of {}; add it to the network's 'ports'",
                self.owner
            ));
            return None;
        };
        if let Some(earlier) = seen.earlier(position, &item.path, item) {
            item.error(format_args!("this port is already given by {earlier}; list it once"));
        }
        Some(position)
    }

    fn peer(&self, item: &Item<'_>, seen: &mut Unique<IpAddr>) -> Option<Peer> {
        let address = item.parse::<IpAddr>("an IP address such as 192.0.2.1 or 2001:db8::1")?;
        let Some(peer) = self.listed?.iter().find(|peer| peer.address == address) else {
            item.error(format_args!(
                "{address} is not among the flood peers of {}; add it to the network's 'flood.peers'",
                self.owner
            ));
            return None;
        };
        if let Some(earlier) = seen.earlier(address, &item.path, item) {
            item.error(format_args!("{address} is already given by {earlier}; list it once"));
        }
        Some(*peer)
    }
}
