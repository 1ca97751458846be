//! Multicast groups of the underlay that networks flood to, and peers that are learned.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::item::{Fields, Item};
use super::peer::EncapName;
use super::underlay::{Reach, Vtep};

/// A multicast group that a network floods to, in place of a copy for each peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloodGroup {
    /// Multicast, of a family that this VTEP has an address of.
    pub address: IpAddr,
    /// Time to live of packets to the group.
    pub ttl: u8,
}

/// VTEPs that become peers by what they send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedPeers {
    /// Which may; `None`: any.
    pub allow: Option<Vec<IpNet>>,
}

impl LearnedPeers {
    /// Addresses of the VTEP's of the families that they may be of.
    pub fn alike(&self, vtep: &Vtep) -> impl Iterator<Item = IpAddr> {
        let may_be = |own: &IpAddr| {
            let is_like = |net: &IpNet| net.addr().is_ipv4() == own.is_ipv4();
            self.allow.as_ref().is_none_or(|nets| nets.iter().any(is_like))
        };
        [vtep.ipv4.map(IpAddr::V4), vtep.ipv6.map(IpAddr::V6)].into_iter().flatten().filter(may_be)
    }
}

/// The keys `group`, `ttl` and `allow` of a flood list. `learn` is where that is among `peers`.
pub(super) fn read(
    fields: &Fields<'_>,
    learn: Option<&Item<'_>>,
    reach: &Reach,
    encap: EncapName,
) -> Option<(Option<FloodGroup>, Option<LearnedPeers>)> {
    let item = fields.get("group");
    if item.is_none() && !fields.is_misspelt("group") {
        if let Some(item) = fields.get("ttl") {
            item.error(
                "'ttl' is said of a group, and there is none; add 'group: 239.1.1.1' or remove 'ttl'",
            );
        }
        if let (Some(item), None) = (fields.get("allow"), learn)
            && !fields.is_misspelt("peers")
        {
            item.error(
                "'allow' is said of peers that are learned, and none are; add 'group: 239.1.1.1' or 'peers: learn', or remove 'allow'",
            );
        }
    }
    let address = item.as_ref().map(|item| address(item, reach));
    if let Some(item) = &item {
        if encap != EncapName::Vxlan {
            item.error(
                "only VXLAN goes to groups; set 'encap: vxlan', or list the other VTEPs under 'peers'",
            );
        }
        if !reach.resolves {
            item.warn(
                "no underlay port has a twin, so nobody joins this group: a switch that snoops IGMP or MLD will not send its packets here; give an underlay port a 'twin'",
            );
        }
    }
    if let Some(learn) = learn {
        if item.is_some() {
            learn.error("the peers of a group are learned without that; remove 'learn'");
        } else if encap != EncapName::Vxlan {
            learn.error(
                "only peers that speak VXLAN are learned; set 'encap: vxlan', or list the other VTEPs",
            );
        } else if !reach.resolves {
            learn.warn(
                "no underlay port has a twin, so only VTEPs of underlay.neighbours can be learned; give an underlay port a 'twin'",
            );
        }
    }
    let ttl = fields.or("ttl", 1, |item| item.number());
    let allow = fields.or("allow", None, |item| item.list_of(|item| prefix(&item)).map(Some));
    let (ttl, allow) = (ttl?, allow?);
    let learned = (item.is_some() || learn.is_some()).then_some(LearnedPeers { allow });
    let group = match address {
        Some(address) => Some(FloodGroup { address: address?, ttl }),
        None => None,
    };
    Some((group, learned))
}

fn address(item: &Item<'_>, reach: &Reach) -> Option<IpAddr> {
    let address: IpAddr = item.parse("a multicast address such as 239.1.1.1 or ff0e::1:1")?;
    let (family, key) = if address.is_ipv4() { ("IPv4", "ipv4") } else { ("IPv6", "ipv6") };
    let kind = match address {
        a if !a.is_multicast() => Some("no multicast address"),
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    };
    if let Some(kind) = kind {
        item.error(format_args!(
            "{address} is {kind}; give a group such as 239.1.1.1 or ff0e::1:1"
        ));
    } else if !reach.has_family(address) {
        item.error(format_args!(
            "{address} cannot be sent to: this VTEP has no {family} address; add underlay.vtep.{key}"
        ));
    }
    Some(address)
}

fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    // RFC 5771 section 4; switches send it everywhere, whoever joined (RFC 4541 section 2.1.2).
    (address.octets()[..3] == [224, 0, 0]).then_some("kept for the protocols of one link")
}

fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    // RFC 4291 section 2.7: the scope is the second byte's lower half.
    match address.octets()[1] & 0x0f {
        0 | 1 => Some("of a scope that does not leave this machine"),
        2 => Some("kept for the protocols of one link"),
        _ => None,
    }
}

fn prefix(item: &Item<'_>) -> Option<IpNet> {
    let what = "a prefix or an address, such as 192.0.2.0/24";
    item.parse_with(what, |text| {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    })
}
