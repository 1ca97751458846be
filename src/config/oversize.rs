//! What becomes of frames that do not fit the underlay.

use std::net::IpAddr;
use std::sync::Arc;

use super::item::{Fields, Item};
use super::keys::network::OVERSIZE;
use super::network::Network;
use super::port::Port;
use super::scalar;
use super::underlay::{Underlay, UnderlayPort};
use crate::too_big::Gateways;

/// A network's policy on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversize {
    /// How many senders are told a second what would fit.
    pub answers: u32,
    /// What becomes of frames whose sender is not to be told.
    pub others: Others,
}

/// What becomes of frames that do not fit and whose sender is not to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// RFC 7348 section 4.3.
    Drop,
    /// They are sent in fragments of the outer packet.
    Fragment,
}

impl Others {
    pub(super) const CHOICES: &[(&str, Self)] =
        &[("drop", Self::Drop), ("fragment", Self::Fragment)];
}

impl Default for Oversize {
    fn default() -> Self {
        Self { answers: 1000, others: Others::Drop }
    }
}

/// Reads an `oversize` key.
pub(super) fn oversize(item: &Item<'_>) -> Option<Oversize> {
    let usual = Oversize::default();
    let fields = item.fields(&OVERSIZE)?;
    let answers = fields.or("answers", usual.answers, |item| item.number());
    let others = fields.or("others", usual.others, |item| item.choice(Others::CHOICES));
    Some(Oversize { answers: answers?, others: others? })
}

/// Reads a `gateway` key: an address, or one of each family.
pub(super) fn gateways(item: &Item<'_>) -> Option<Gateways> {
    let list = match item.elements().count() {
        0 => vec![item.clone()],
        _ => item.list()?,
    };
    let mut gateways = Gateways::default();
    for item in list {
        let earlier = match scalar::unicast(&item)? {
            IpAddr::V4(address) => gateways.ipv4.replace(address).map(IpAddr::V4),
            IpAddr::V6(address) => gateways.ipv6.replace(address).map(IpAddr::V6),
        };
        if let Some(earlier) = earlier {
            item.error(format_args!(
                "{earlier} is already given; give one address of each family at most"
            ));
        }
    }
    Some(gateways)
}

/// Warns of access ports whose `mtu` is more than what a network's peers leave of the underlay's.
pub(super) fn warn_of_mtus(
    fields: &Fields<'_>,
    underlay: &Underlay,
    access: &[Port],
    networks: &[Arc<Network>],
) {
    let mtu = |port: &UnderlayPort| port.port.mtu;
    let vtep = &underlay.vtep;
    let Some(underlay) = underlay.ports.iter().map(mtu).min() else { return };
    let list = fields.get("access").and_then(|access| access.key("ports"));
    for (index, item) in list.iter().flat_map(Item::elements).enumerate() {
        let (Some(item), Some(port)) = (item.key("mtu"), access.get(index)) else { continue };
        let of_port = networks
            .iter()
            .filter(|network| network.members.iter().any(|member| member.port == port.name));
        let needs = of_port.filter_map(|network| Some((network.overhead(vtep)?, &network.name)));
        if let Some((overhead, network)) = needs.max()
            && port.mtu > underlay.saturating_sub(overhead)
        {
            item.warn(format_args!(
                "network '{network}' carries packets of {} bytes at most: the underlay's MTU of {underlay} less {overhead} of \
                 headers; lower this to that, or give the underlay ports 'mtu: {}' at least",
                underlay.saturating_sub(overhead),
                port.mtu.saturating_add(overhead)
            ));
        }
    }
}
