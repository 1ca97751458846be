//! Whether and how a network listens to IGMP and MLD.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::item::Item;
use super::keys::multicast::SNOOPING;
use super::multicast::MulticastReader;
use super::peer::Peer;
use super::scalar;

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
    /// Ask for members where nobody else does, from this address over IPv4, which may be 0.0.0.0.
    pub querier: Option<Ipv4Addr>,
    /// Time between questions to all.
    pub query_interval: Duration,
    /// By when they are to be answered; shorter than the time between them.
    pub response_interval: Duration,
    /// By when questions for one group are to be answered.
    pub last_member_interval: Duration,
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
            querier: None,
            query_interval: Duration::from_secs(125),
            response_interval: Duration::from_secs(10),
            last_member_interval: Duration::from_secs(1),
        }
    }
}

/// Reads the `snooping` key: a boolean or a mapping.
pub(super) fn read(reader: &MulticastReader<'_>, item: &Item<'_>) -> Option<Option<Snooping>> {
    let usual = Snooping::default();
    if !item.is_mapping() {
        let what =
            format!("true, false or a mapping with the keys {}", SNOOPING.names().join(", "));
        let given = item.as_boolean().or_else(|| item.expected(what));
        return given.map(|given| given.then_some(usual));
    }
    let fields = item.fields(&SNOOPING)?;
    let limit = |key, usual| fields.or(key, usual, |item| item.number());
    let router_ports = fields.or("router_ports", usual.router_ports, |item| reader.ports(&item));
    let router_peers = fields.or("router_peers", usual.router_peers, |item| reader.peers(&item));
    let group_limit = limit("group_limit", usual.group_limit);
    let port_group_limit = limit("port_group_limit", usual.port_group_limit);
    let message_limit = limit("message_limit", usual.message_limit);
    let fast_leave = fields.or("fast_leave", usual.fast_leave, |item| item.boolean());
    let querier = fields.or("querier", usual.querier, |item| querier(&item));
    let query_interval =
        fields.or("query_interval", usual.query_interval, |item| scalar::interval(&item, "125s"));
    // The longest that IGMPv2 can say.
    let response =
        |key, usual, example| fields.or(key, usual, |item| scalar::interval(&item, example));
    let response_interval = response("response_interval", usual.response_interval, "10s");
    let last_member_interval = response("last_member_interval", usual.last_member_interval, "1s");
    if let (Some(query), Some(response)) = (query_interval, response_interval)
        && response >= query
    {
        let place = fields.get("response_interval").or_else(|| fields.get("query_interval"));
        place.unwrap_or_else(|| item.clone()).error(
            "stations must answer before they are asked again: make 'response_interval' shorter than 'query_interval'",
        );
    }
    Some(Some(Snooping {
        router_ports: router_ports?,
        router_peers: router_peers?,
        group_limit: group_limit?,
        port_group_limit: port_group_limit?,
        message_limit: message_limit?,
        fast_leave: fast_leave?,
        querier: querier?,
        query_interval: query_interval?,
        response_interval: response_interval?,
        last_member_interval: last_member_interval?,
    }))
}

fn querier(item: &Item<'_>) -> Option<Option<Ipv4Addr>> {
    match item.as_boolean() {
        Some(given) => Some(given.then_some(Ipv4Addr::UNSPECIFIED)),
        None => match item.as_text().map(str::parse::<Ipv4Addr>) {
            Some(Ok(_)) => scalar::unicast_ipv4(item).map(Some),
            _ => item.expected("true, false or an IPv4 address such as 10.0.0.250"),
        },
    }
}
