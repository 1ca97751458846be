//! MACs known in advance.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::item::{Fields, Item};
use super::keys::network::MAC;
use super::network::Member;
use super::peer::{Peer, PeerReader, Usual};
use super::port::Ports;
use super::scalar::{self, Unique};
use super::vlan;
use crate::neighbours::Address;
use crate::wire::{MacAddr, Vlan};

/// Nearly always one: kept in place, since there may be millions.
pub type Addresses = SmallVec<[Address; 1]>;

/// A MAC whose place is known in advance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticMac {
    /// Unicast; unique within the network.
    pub mac: MacAddr,
    /// Where it is.
    pub place: MacPlace,
    /// Its addresses, each unique within the network.
    pub ips: Addresses,
}

/// Where a static MAC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacPlace {
    /// Index into [`Network::members`].
    Member(usize),
    /// Behind another VTEP, which need not be in [`Network::peers`].
    Peer(Peer),
}

/// Reads the static MACs of one network.
pub(super) struct MacReader<'m, 'r> {
    pub ports: &'m Ports,
    pub peers: &'m mut PeerReader<'r>,
    /// The network, as errors name it.
    pub owner: &'m str,
    /// The network's members; `None` where errors leave them open.
    pub members: Option<&'m [Member]>,
    /// Its flood peers.
    pub listed: &'m [Peer],
    /// What other peers speak.
    pub usual: Option<Usual>,
    pub seen: Seen,
}

impl MacReader<'_, '_> {
    pub fn read(&mut self, item: &Item<'_>) -> Option<StaticMac> {
        let fields = item.fields(&MAC)?;
        let mac = fields.required("mac", "mac: \"02:00:00:00:00:01\"", |item| {
            let mac = scalar::unicast_mac(&item)?;
            if let Some(earlier) = self.seen.macs.earlier(mac, &item.path, &item) {
                item.error(format_args!(
                    "{mac} is already given by {earlier}; list each MAC of a network once"
                ));
            }
            Some(mac)
        });
        let place = match (fields.get("peer"), fields.get("port")) {
            (Some(peer), None) => {
                for (key, item) in vlan::KEYS.iter().filter_map(|key| Some((key, fields.get(key)?)))
                {
                    item.error(format_args!(
                        "a VLAN belongs to a port, and this MAC is behind a peer; remove '{key}'"
                    ));
                }
                self.peers.address(&peer).and_then(|address| {
                    let listed = self.listed.iter().find(|peer| peer.address == address).copied();
                    let found = match listed {
                        Some(listed) => listed,
                        None => {
                            let plain = self.peers.plain(address, self.usual?);
                            self.peers.note(&peer, &plain, self.owner);
                            plain
                        }
                    };
                    Some(MacPlace::Peer(found))
                })
            }
            (None, Some(port)) => self.member_of(&fields, &port).map(MacPlace::Member),
            (Some(_), Some(_)) => {
                item.error("a MAC is behind a peer or at a port; keep one of 'peer' and 'port'");
                None
            }
            (None, None) => {
                item.error("where this MAC is, is missing; add 'port: NAME' or 'peer: ADDRESS'");
                None
            }
        };
        let ips = fields.or("ips", Addresses::new(), |item| {
            Some(item.list()?.iter().filter_map(|item| self.seen.ip(item)).collect())
        });
        Some(StaticMac { mac: mac?, place: place?, ips: ips? })
    }

    /// Position in [`Network::members`] of the port and VLAN that a static MAC names.
    fn member_of(&self, fields: &Fields<'_>, item: &Item<'_>) -> Option<usize> {
        let owner = self.owner;
        let vlan = vlan::read(fields);
        let port = self.ports.access(item)?;
        let (vlan, members) = (vlan?, self.members?);
        let of_port: Vec<usize> =
            (0..members.len()).filter(|&position| members[position].port == port).collect();
        let found = match (of_port.as_slice(), vlan) {
            ([], _) => {
                item.error(format_args!(
                    "this port is not a member of {owner}; add it to the network's 'ports'"
                ));
                return None;
            }
            ([only], None) => Some(*only),
            (several, vlan) => {
                several.iter().copied().find(|&position| members[position].vlan == vlan)
            }
        };
        if found.is_none() {
            let described = |vlan: Option<Vlan>| {
                vlan.map_or("untagged".to_owned(), |vlan| format!("VLAN {vlan}"))
            };
            let list: Vec<String> =
                of_port.iter().map(|&position| described(members[position].vlan)).collect();
            fields.get("vlan").as_ref().unwrap_or(item).error(format_args!(
                "of this port, {owner} has not {} but {}; name the right one by 'vlan'",
                described(vlan),
                list.join(", ")
            ));
        }
        found
    }
}

/// What is there once in a network's static MACs.
#[derive(Default)]
pub(super) struct Seen {
    macs: Unique<MacAddr>,
    ips: Unique<Address>,
}

impl Seen {
    /// Notes a static MAC that is not being read.
    pub fn known(&mut self, StaticMac { mac, ips, .. }: &StaticMac) {
        let owner = mac.to_string();
        self.macs.known(*mac, &owner);
        ips.iter().for_each(|address| self.ips.known(*address, &owner));
    }

    fn ip(&mut self, item: &Item<'_>) -> Option<Address> {
        let what = "an IP address such as 10.0.0.1 or fd00::1";
        let ip: IpAddr = item.parse(what)?;
        let Some(address) = Address::of_station(ip) else {
            item.error(format_args!("{ip} is no station's address; give one that a station has"));
            return None;
        };
        if let Some(earlier) = self.ips.earlier(address, &item.path, item) {
            item.error(format_args!(
                "{ip} is already given by {earlier}; give each address of a network to one MAC"
            ));
        }
        Some(address)
    }
}
