//! Whether and how a network listens to IGMP and MLD.

use super::item::{Item, Keys};
use super::multicast::MulticastReader;
use super::peer::Peer;

/// How members of multicast groups are learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snooping {
    /// Where multicast routers are for certain: indices into the network's members.
    pub router_ports: Vec<usize>,
    /// Flood peers with multicast routers behind them.
    pub router_peers: Vec<Peer>,
    /// The most groups that are learned.
    pub group_limit: u32,
    /// The most groups that one port or peer can be a member of.
    pub port_group_limit: u32,
    /// The most messages in a second.
    pub message_limit: u32,
    /// Whether a group leaves a port with the first station that does.
    pub fast_leave: bool,
}

impl Default for Snooping {
    fn default() -> Self {
        Self {
            router_ports: Vec::new(),
            router_peers: Vec::new(),
            group_limit: 1024,
            port_group_limit: 256,
            message_limit: 2000,
            fast_leave: false,
        }
    }
}

pub(super) const SNOOPING: Keys = Keys {
    known: &[
        "router_ports",
        "router_peers",
        "group_limit",
        "port_group_limit",
        "message_limit",
        "fast_leave",
    ],
    later: &[],
};

/// Reads the `snooping` key: a boolean or a mapping.
pub(super) fn read(reader: &MulticastReader<'_>, item: &Item<'_>) -> Option<Option<Snooping>> {
    let usual = Snooping::default();
    if !item.is_mapping() {
        let what = format!("true, false or a mapping with the keys {}", SNOOPING.known.join(", "));
        let given = item.as_boolean().or_else(|| item.expected(what));
        return given.map(|given| given.then_some(usual));
    }
    let fields = item.fields(&SNOOPING)?;
    let limit = |key, usual| fields.or(key, usual, |item| item.number(1..=1_000_000));
    let router_ports = fields.or("router_ports", usual.router_ports, |item| reader.ports(&item));
    let router_peers = fields.or("router_peers", usual.router_peers, |item| reader.peers(&item));
    let group_limit = limit("group_limit", usual.group_limit);
    let port_group_limit = limit("port_group_limit", usual.port_group_limit);
    let message_limit = limit("message_limit", usual.message_limit);
    let fast_leave = fields.or("fast_leave", usual.fast_leave, |item| item.boolean());
    Some(Some(Snooping {
        router_ports: router_ports?,
        router_peers: router_peers?,
        group_limit: group_limit?,
        port_group_limit: port_group_limit?,
        message_limit: message_limit?,
        fast_leave: fast_leave?,
    }))
}
