//! A configuration as JSON, which is YAML: read again, it is the same.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Listen, Metrics, Socket, Tls};
use super::host::{Cores, Eal};
use super::mac_move::{Dampening, MacMove, POLICIES};
use super::macs::{MacPlace, StaticMac};
use super::mirror::{Mirror, MirrorDirection, MirrorTo};
use super::multicast::{Group, Multicast, Unregistered};
use super::network::{ArpSuppression, InnerVlan, Member, Network, VlanPriority};
use super::oversize::Others;
use super::path::Reassembly;
use super::peer::{EncapName, Peer, Usual};
use super::place_policy::PlacePolicy;
use super::port::{BOND_MODES, Bond, Offloads, Port};
use super::snooping::Snooping;
use super::storm::StormControl;
use super::underlay::{Neighbour, ReservedBits, UnderlayPort, Vtep, ZeroChecksum};
use super::{Config, FloodGroup, LearnedPeers};
use crate::tunnel::{Dscp, Encap, Marking, Sequence, Ttl, UdpChecksum};
use crate::wire::Vlan;
use crate::wire::ethernet::ethertype;
use crate::worker::{Idle, MovePolicy, Unknown};

impl Config {
    /// All of it, but for the name of its file: values that were left out too, where there are any.
    pub fn render(&self) -> Value {
        let Config { file: _, eal, cores, api, underlay, access, networks, mirrors, warnings: _ } =
            self;
        let vtep = &underlay.vtep;
        let mirrors = mirrors.iter().map(|of| mirror(of, vtep)).collect();
        let whole = json!({
            "eal": self::eal(eal),
            "cores": self::cores(cores),
            "api": self::api(api),
            "underlay": {
                "ports": underlay.ports.iter().map(underlay_port).collect::<Value>(),
                "vtep": self::vtep(vtep),
                "neighbours":
                    underlay.neighbours.iter().map(neighbour).collect::<Value>(),
            },
            "access": {"ports": access.iter().map(port).collect::<Value>()},
            "networks": networks.iter().map(|of| network(of, vtep)).collect::<Value>(),
        });
        with(whole, [("mirrors", (!self.mirrors.is_empty()).then_some(mirrors))])
    }
}

pub(super) fn mirror(Mirror { name, of, direction, to }: &Mirror, vtep: &Vtep) -> Value {
    let directions = MirrorDirection::CHOICES.iter();
    let direction = directions.filter(|(_, of)| of == direction).map(|(name, _)| *name).next();
    let to = match to {
        MirrorTo::Port(port) => json!({"port": port}),
        MirrorTo::Peer(of) => json!({"peer": peer(of, Usual::VXLAN, vtep)}),
    };
    json!({"name": name, "of": of, "direction": direction, "to": to})
}

pub(super) fn eal(Eal { hugepages, memory, mbufs, args }: &Eal) -> Value {
    let memory = memory.map(|bytes| format!("{}MiB", bytes >> 20));
    with(
        json!({"hugepages": hugepages, "args": args}),
        [("memory", memory.map(Value::from)), ("mbufs", mbufs.map(Value::from))],
    )
}

pub(super) fn cores(Cores { control, workers, idle }: &Cores) -> Value {
    let idle = match idle {
        Idle::Spin => "spin",
        Idle::Yield => "yield",
        Idle::Sleep => "sleep",
    };
    json!({"control": control, "workers": workers, "idle": idle})
}

pub(super) fn api(of: &Api) -> Value {
    let Api { socket: own, read_only, listen, metrics: Metrics { networks, peers } } = of;
    with(
        socket(own),
        [
            ("read_only", read_only.as_ref().map(socket)),
            ("listen", listen.as_ref().map(self::listen)),
            ("metrics", Some(json!({"networks": networks, "peers": peers}))),
        ],
    )
}

fn listen(Listen { address, tls, token }: &Listen) -> Value {
    let tls = tls
        .as_ref()
        .map(|Tls { certificate, key }| json!({"certificate": certificate, "key": key}));
    with(
        json!({"address": address}),
        [("tls", tls), ("token", token.as_ref().map(|token| json!(token)))],
    )
}

fn socket(Socket { path, group }: &Socket) -> Value {
    with(json!({"socket": path}), [("group", group.as_ref().map(|group| json!(group)))])
}

pub(super) fn underlay_port(UnderlayPort { port: of, twin }: &UnderlayPort) -> Value {
    let twin = twin.as_ref();
    with(
        port(of),
        [
            ("twin", twin.map(|twin| json!(twin.name))),
            (
                "addresses",
                twin.map(|twin| twin.addresses.iter().map(ToString::to_string).collect()),
            ),
        ],
    )
}

pub(super) fn port(of: &Port) -> Value {
    let Port {
        name,
        device,
        bond,
        queues,
        mtu,
        rx_descriptors,
        tx_descriptors,
        promiscuous,
        storm_control,
        offloads,
    } = of;
    let offloads = match offloads {
        Offloads::On => "on",
        Offloads::Checksums => "checksums",
        Offloads::Off => "off",
    };
    with(
        json!({"name": name, "queues": queues, "mtu": mtu, "offloads": offloads}),
        [
            ("device", bond.is_none().then(|| json!(device))),
            ("bond", bond.as_ref().map(self::bond)),
            ("rx_descriptors", rx_descriptors.map(Value::from)),
            ("tx_descriptors", tx_descriptors.map(Value::from)),
            ("promiscuous", (!promiscuous).then_some(json!(false))),
            ("storm_control", storm_control.as_ref().map(storm)),
        ],
    )
}

fn bond(Bond { mode, members }: &Bond) -> Value {
    let known = BOND_MODES.iter().find(|(_, of)| of == mode);
    json!({"mode": known.map(|(name, _)| name), "members": members})
}

fn storm(StormControl { broadcast, multicast, unknown_unicast, burst }: &StormControl) -> Value {
    with(
        json!({}),
        [
            ("broadcast", broadcast.map(Value::from)),
            ("multicast", multicast.map(Value::from)),
            ("unknown_unicast", unknown_unicast.map(Value::from)),
            ("burst", burst.map(Value::from)),
        ],
    )
}

pub(super) fn vtep(of: &Vtep) -> Value {
    let Vtep {
        ipv4,
        ipv6,
        vxlan_port,
        reserved_bits,
        udp6_zero_checksum,
        path_mtu_ageing,
        marking: Marking { dscp, ttl },
        fragments,
    } = of;
    let reserved_bits = match reserved_bits {
        ReservedBits::Ignore => "ignore",
        ReservedBits::Drop => "drop",
    };
    let zero_checksum = match udp6_zero_checksum {
        ZeroChecksum::Drop => "drop",
        ZeroChecksum::Accept => "accept",
    };
    let rest = json!({
        "vxlan_port": vxlan_port,
        "reserved_bits": reserved_bits,
        "udp6_zero_checksum": zero_checksum,
        "dscp": self::dscp(dscp),
        "ttl": self::ttl(ttl),
        "path_mtu": path_mtu_ageing.map_or(json!("ignore"), |age| json!({"ageing": duration(age)})),
        "fragments": fragments.map_or(json!("drop"), |Reassembly { packets, timeout }| {
            json!({"packets": packets, "timeout": duration(timeout)})
        }),
    });
    with(rest, [("ipv4", ipv4.map(|of| json!(of))), ("ipv6", ipv6.map(|of| json!(of)))])
}

fn dscp(of: &Dscp) -> Value {
    match of {
        Dscp::Copy => json!("copy"),
        Dscp::Priority => json!("priority"),
        Dscp::Fixed(dscp) => json!(dscp),
    }
}

fn ttl(of: &Ttl) -> Value {
    match of {
        Ttl::Inherit => json!("inherit"),
        Ttl::Fixed(ttl) => json!(ttl),
    }
}

pub(super) fn neighbour(Neighbour { ip, mac, port }: &Neighbour) -> Value {
    json!({"ip": ip, "mac": mac.to_string(), "port": port})
}

pub(super) fn network(of: &Network, vtep: &Vtep) -> Value {
    let macs = of.macs.iter().map(|mac| static_mac(mac, &of.members)).collect();
    with(settings(of, vtep), [("macs", Some(macs))])
}

/// All of a network but its static MACs.
pub(super) fn settings(of: &Network, vtep: &Vtep) -> Value {
    let Network {
        vni,
        name,
        usual,
        members,
        policies,
        peers,
        group,
        learned_peers,
        learning,
        ageing,
        mac_limit,
        mac_move,
        inner_vlan,
        vlan_priority,
        arp_suppression,
        storm_control,
        macs: _,
        multicast,
        gateways,
        oversize,
    } = of;
    let inner_vlan = match inner_vlan {
        InnerVlan::Drop => "drop",
        InnerVlan::Keep => "keep",
    };
    let others = Others::CHOICES.iter().find(|(_, of)| *of == oversize.others);
    let others = others.map(|(name, _)| name);
    let priority = VlanPriority::CHOICES.iter().find(|(_, of)| of == vlan_priority);
    let places = members.iter().zip(policies);
    let places: Value = places.map(|(member, policy)| place(member, policy)).collect();
    let rest = json!({
        "vni": vni.get(),
        "name": name,
        "encap": encap_name(usual.encap),
        "group_policy": usual.group_policy,
        "ports": places,
        "flood": flood(peers, (group.as_ref(), learned_peers.as_ref()), *usual, vtep),
        "learning": learning,
        "ageing": ageing.map_or("off".to_owned(), duration),
        "mac_limit": mac_limit,
        "mac_move": self::mac_move(mac_move),
        "inner_vlan": inner_vlan,
        "vlan_priority": priority.map(|(name, _)| name),
        "arp_suppression": arp_suppression.as_ref().map_or(json!(false), suppression),
        "oversize": {"answers": oversize.answers, "others": others},
    });
    let gateways: Vec<IpAddr> =
        gateways.ipv4.map(IpAddr::V4).into_iter().chain(gateways.ipv6.map(IpAddr::V6)).collect();
    let gateways = (!gateways.is_empty()).then(|| json!(gateways));
    with(
        rest,
        [
            ("gateway", gateways),
            ("storm_control", storm_control.as_ref().map(storm)),
            ("multicast", multicast.as_ref().map(|of| self::multicast(of, members))),
        ],
    )
}

fn duration(of: Duration) -> String {
    if of.subsec_millis() == 0 {
        format!("{}s", of.as_secs())
    } else {
        format!("{}ms", of.as_millis())
    }
}

fn encap_name(encap: EncapName) -> &'static str {
    let known = EncapName::CHOICES.iter().find(|(_, of)| *of == encap);
    known.map_or("", |(name, _)| name)
}

fn member(Member { port, vlan }: &Member) -> Value {
    if vlan.is_some() { with(json!({"port": port}), self::vlan(*vlan)) } else { json!(port) }
}

/// A member with what is said of groups there.
fn place(of: &Member, PlacePolicy { group, accepts }: &PlacePolicy) -> Value {
    let more = [
        ("group", group.map(Value::from)),
        ("accept_groups", accepts.as_ref().map(|of| json!(of))),
    ];
    match member(of) {
        Value::String(port) if more.iter().any(|(_, value)| value.is_some()) => {
            with(json!({"port": port}), more)
        }
        member => with(member, more),
    }
}

fn vlan(of: Option<Vlan>) -> [(&'static str, Option<Value>); 3] {
    let (vlan, inner) = of.map(Vlan::ids).unzip();
    let tpid = match of {
        Some(Vlan::Pair { tpid: ethertype::VLAN, .. }) => Some(ethertype::VLAN),
        _ => None,
    };
    let value = |number: Option<u16>| number.map(Value::from);
    [("vlan", value(vlan)), ("inner_vlan", value(inner.flatten())), ("tpid", value(tpid))]
}

fn flood(
    peers: &[Peer],
    (group, learned): (Option<&FloodGroup>, Option<&LearnedPeers>),
    usual: Usual,
    vtep: &Vtep,
) -> Value {
    let learn = (group.is_none() && learned.is_some()).then(|| json!("learn"));
    let peers: Value = peers.iter().map(|of| peer(of, usual, vtep)).chain(learn).collect();
    let group = group.map(|FloodGroup { address, ttl }| (json!(address), json!(ttl)));
    let (group, ttl) = group.unzip();
    let allow = learned.and_then(|LearnedPeers { allow }| allow.as_ref());
    let allow = allow.map(|list| list.iter().map(ToString::to_string).collect());
    with(json!({"peers": peers}), [("group", group), ("ttl", ttl), ("allow", allow)])
}

fn mac_move(MacMove { policy, dampening }: &MacMove) -> Value {
    let known = POLICIES.iter().find(|(_, of)| of == policy);
    let rest = json!({"policy": known.map(|(name, _)| name)});
    match dampening {
        // No MAC moves, let alone too often.
        _ if *policy == MovePolicy::Freeze => rest,
        None => with(rest, [("moves", Some(json!("off")))]),
        Some(Dampening { moves, within, frozen_for }) => with(
            rest,
            [
                ("moves", Some(json!(moves))),
                ("within", Some(json!(duration(*within)))),
                ("frozen_for", Some(json!(duration(*frozen_for)))),
            ],
        ),
    }
}

/// By its address alone where it speaks as its network does.
fn peer(of: &Peer, usual: Usual, vtep: &Vtep) -> Value {
    if *of == Peer::plain(of.address, usual, vtep.vxlan_port) {
        return json!(of.address);
    }
    let Peer { address, encap, id, dscp, ttl } = of;
    let value = match *encap {
        Encap::Vxlan { udp_port, checksum, group_policy } => {
            let checksum = match checksum {
                UdpChecksum::Auto => "auto",
                UdpChecksum::On => "on",
                UdpChecksum::Off => "off",
            };
            let value = json!({"address": address, "encap": "vxlan", "port": udp_port, "checksum": checksum});
            let differs = group_policy != usual.group_policy;
            with(value, [("group_policy", differs.then_some(json!(group_policy)))])
        }
        Encap::Nvgre { flow_id } => {
            json!({"address": address, "encap": "nvgre", "flow_id": flow_id})
        }
        Encap::Gre { key, checksum, sequence } => {
            let sequence = match sequence {
                Sequence::Off => json!(false),
                Sequence::Sent => json!(true),
                Sequence::Strict => json!("strict"),
            };
            let checksum = if checksum { "on" } else { "off" };
            json!({"address": address, "encap": "gre", "key": key, "checksum": checksum, "sequence": sequence})
        }
    };
    with(
        value,
        [
            ("id", id.map(Value::from)),
            ("dscp", dscp.as_ref().map(self::dscp)),
            ("ttl", ttl.as_ref().map(self::ttl)),
        ],
    )
}

fn suppression(ArpSuppression { unknown, limit }: &ArpSuppression) -> Value {
    let unknown = match unknown {
        Unknown::Flood => "flood",
        Unknown::Drop => "drop",
    };
    json!({"unknown": unknown, "limit": limit})
}

fn multicast(of: &Multicast, members: &[Member]) -> Value {
    let Multicast { unregistered, groups, snooping } = of;
    let unregistered = match unregistered {
        Unregistered::Flood => "flood",
        Unregistered::Drop => "drop",
    };
    let group = |Group { group, ports, peers }: &Group| {
        json!({
            "group": group,
            "ports": ports.iter().map(|index| member(&members[*index])).collect::<Value>(),
            "peers": peers.iter().map(|peer| json!(peer.address)).collect::<Value>(),
        })
    };
    json!({
        "unregistered": unregistered,
        "groups": groups.iter().map(group).collect::<Value>(),
        "snooping": snooping.as_ref().map_or(json!(false), |of| self::snooping(of, members)),
    })
}

fn snooping(of: &Snooping, members: &[Member]) -> Value {
    let Snooping {
        router_ports,
        router_peers,
        group_limit,
        port_group_limit,
        message_limit,
        fast_leave,
        querier,
        query_interval,
        response_interval,
        last_member_interval,
    } = of;
    json!({
        "router_ports": router_ports.iter().map(|index| member(&members[*index])).collect::<Value>(),
        "router_peers": router_peers.iter().map(|peer| json!(peer.address)).collect::<Value>(),
        "group_limit": group_limit,
        "port_group_limit": port_group_limit,
        "message_limit": message_limit,
        "fast_leave": fast_leave,
        "querier": match querier {
            None => json!(false),
            Some(Ipv4Addr::UNSPECIFIED) => json!(true),
            Some(address) => json!(address),
        },
        "query_interval": duration(*query_interval),
        "response_interval": duration(*response_interval),
        "last_member_interval": duration(*last_member_interval),
    })
}

fn static_mac(StaticMac { mac, place, ips }: &StaticMac, members: &[Member]) -> Value {
    let value = match place {
        MacPlace::Peer(peer) => json!({"mac": mac.to_string(), "peer": peer.address}),
        MacPlace::Member(index) => {
            let Member { port, vlan } = &members[*index];
            with(json!({"mac": mac.to_string(), "port": port}), self::vlan(*vlan))
        }
    };
    let ips = (!ips.is_empty()).then(|| ips.iter().map(|address| json!(address.ip())).collect());
    with(value, [("ips", ips)])
}

/// An object with those of the further keys that have a value.
fn with<const N: usize>(object: Value, keys: [(&str, Option<Value>); N]) -> Value {
    let Value::Object(mut object) = object else { return object };
    object.extend(keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Value::Object(object)
}
