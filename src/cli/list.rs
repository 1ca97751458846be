//! What `ferry show` prints for people: a table for each resource.

use std::io::{self, Write};

use super::table::{self, Column, Column::Left, Column::Right};
use super::units::{duration, grouped, speed};
use crate::api::Direction;
use crate::api::model::{
    DropCount, Dscp, Encap, Group, GroupFilter, GroupProtocol, Mac, MacKind, MemberKind, Mirror,
    Neighbour, NeighbourKind, Network, NextHop, Peer, PeerState, Place, Port, Role, Totals,
    UdpChecksum, Volume, Worker,
};

/// Names in a cell before the rest is only counted.
const NAMES: usize = 4;

/// A list of one resource.
pub(super) trait List: Sized {
    /// What to print when there is nothing to list.
    const NOTHING: &'static str;

    /// Writes the table.
    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()>;
}

/// Writes a list for people.
pub(super) fn write<T: List>(list: &[T], output: &mut impl Write) -> io::Result<()> {
    if list.is_empty() { writeln!(output, "{}", T::NOTHING) } else { T::table(list, output) }
}

fn rows<T, const N: usize>(
    output: &mut impl Write,
    columns: [Column; N],
    list: &[T],
    row: impl Fn(&T) -> [String; N],
) -> io::Result<()> {
    table::write(output, &columns, &list.iter().map(row).collect::<Vec<_>>())
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The first few, and how many more there are.
fn joined<T>(list: &[T], name: impl Fn(&T) -> String) -> String {
    let mut names: Vec<_> = list.iter().take(NAMES).map(name).collect();
    if list.len() > NAMES {
        names.push(format!("+{}", list.len() - NAMES));
    }
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

/// A port, or a VLAN of it, written as Linux names VLAN interfaces.
pub(super) fn attachment(port: &str, vlan: Option<u16>, inner_vlan: Option<u16>) -> String {
    let tags = vlan.into_iter().chain(inner_vlan);
    tags.fold(port.to_owned(), |name, id| format!("{name}.{id}"))
}

/// The port of a place behind one.
pub(super) fn port_of(place: &Place) -> Option<String> {
    place.port.as_ref().map(|port| attachment(port, place.vlan, place.inner_vlan))
}

fn encap(encap: Encap) -> String {
    match encap {
        Encap::Vxlan => "vxlan",
        Encap::Nvgre => "nvgre",
        Encap::Gre => "gre",
    }
    .to_owned()
}

impl List for Port {
    const NOTHING: &'static str = "no ports";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Left("PORT"),
            Left("ROLE"),
            Left("LINK"),
            Right("SPEED"),
            Right("MTU"),
            Left("MAC"),
            Right("RX PACKETS"),
            Right("RX BYTES"),
            Right("MISSED"),
            Right("TX PACKETS"),
            Right("TX BYTES"),
            Right("DROPS"),
            Left("ERRORS"),
            Left("DEVICE"),
        ];
        rows(output, columns, list, |port| {
            let role = match port.role {
                Role::Access => "access",
                Role::Underlay => "underlay",
                Role::Twin => "twin",
            };
            [
                port.name.clone(),
                role.to_owned(),
                port.link.to_string(),
                or_dash(port.speed_mbps.map(speed)),
                port.mtu.to_string(),
                port.mac.clone(),
                grouped(port.rx_packets),
                grouped(port.rx_bytes),
                grouped(port.rx_missed),
                grouped(port.tx_packets),
                grouped(port.tx_bytes),
                grouped(port.drops),
                errors(port),
                device(port),
            ]
        })
    }
}

/// What the device counts of its own and hardly ever happens.
fn errors(port: &Port) -> String {
    let counts = [("rx", port.rx_errors), ("no buffer", port.rx_no_buffer), ("tx", port.tx_errors)];
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let list: Vec<_> = counts.map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
    or_dash((!list.is_empty()).then(|| list.join(", ")))
}

/// The device, with the driver where nobody would see it otherwise.
fn device(port: &Port) -> String {
    match crate::config::pci_address_of(&port.device) {
        Some(_) if !port.driver.is_empty() => format!("{} ({})", port.device, port.driver),
        _ => port.device.clone(),
    }
}

impl List for Network {
    const NOTHING: &'static str = "no networks";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Right("VNI"),
            Left("NETWORK"),
            Left("ENCAP"),
            Right("LEARNED"),
            Right("LIMIT"),
            Right("STATIC"),
            Left("LEARNING"),
            Right("AGEING"),
            Right("MTU"),
            Right("ARP ANSWERED"),
            Right("FLOODED"),
            Right("FROM PORTS"),
            Right("FROM PEERS"),
            Left("PORTS"),
            Left("GROUP"),
            Left("PEERS"),
        ];
        rows(output, columns, list, |network| {
            let suppression = network.arp_suppression.as_ref();
            [
                network.vni.to_string(),
                network.name.clone(),
                encap(network.encap),
                grouped(network.macs_learned),
                grouped(network.mac_limit),
                grouped(network.macs_static),
                if network.learning { "on" } else { "off" }.to_owned(),
                network.ageing_seconds.map_or_else(|| "never".to_owned(), duration),
                or_dash(network.mtu),
                or_dash(suppression.map(|of| grouped(of.answered))),
                or_dash(suppression.map(|of| grouped(of.flooded))),
                packets(network.from_ports),
                packets(network.from_peers),
                joined(&network.ports, |place| {
                    attachment(&place.port, place.vlan, place.inner_vlan)
                }),
                or_dash(network.group),
                peers(network),
            ]
        })
    }
}

/// How many, where they are counted.
fn packets(of: Option<Volume>) -> String {
    or_dash(of.map(|of| grouped(of.packets)))
}

/// Those that it names, and whether it learns others; by a group it always does.
fn peers(network: &Network) -> String {
    let named = joined(&network.peers, ToString::to_string);
    match network.learns_peers && network.group.is_none() {
        false => named,
        true if network.peers.is_empty() => "learn".to_owned(),
        true => format!("learn {named}"),
    }
}

impl List for Mac {
    const NOTHING: &'static str = "no MACs";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Right("VNI"),
            Left("NETWORK"),
            Left("MAC"),
            Left("KIND"),
            Left("STATE"),
            Left("PORT"),
            Left("PEER"),
            Right("AGE"),
        ];
        rows(output, columns, list, |mac| {
            let kind = match mac.kind {
                MacKind::Static => "static",
                MacKind::Learned => "learned",
            };
            [
                mac.vni.to_string(),
                mac.network.clone(),
                mac.mac.clone(),
                kind.to_owned(),
                if mac.frozen { "frozen" } else { "-" }.to_owned(),
                or_dash(port_of(&mac.place)),
                or_dash(mac.place.peer),
                or_dash(mac.age_seconds.map(duration)),
            ]
        })
    }
}

impl List for Neighbour {
    const NOTHING: &'static str = "no addresses (networks with arp_suppression learn them)";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Right("VNI"),
            Left("NETWORK"),
            Left("IP"),
            Left("MAC"),
            Left("KIND"),
            Left("ROUTER"),
            Right("AGE"),
        ];
        rows(output, columns, list, |neighbour| {
            let kind = match neighbour.kind {
                NeighbourKind::Static => "static",
                NeighbourKind::Arp => "arp",
                NeighbourKind::Nd => "nd",
                NeighbourKind::Dhcp => "dhcp",
            };
            [
                neighbour.vni.to_string(),
                neighbour.network.clone(),
                neighbour.ip.to_string(),
                neighbour.mac.clone(),
                kind.to_owned(),
                if neighbour.router { "yes" } else { "-" }.to_owned(),
                or_dash(neighbour.age_seconds.map(duration)),
            ]
        })
    }
}

impl List for Group {
    const NOTHING: &'static str = "no multicast groups";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Right("VNI"),
            Left("NETWORK"),
            Left("GROUP"),
            Left("KIND"),
            Left("PORT"),
            Left("PEER"),
            Left("VERSION"),
            Left("FILTER"),
            Left("SOURCES"),
            Right("EXPIRES"),
        ];
        rows(output, columns, list, |row| {
            let kind = match row.kind {
                MemberKind::Static => "static",
                MemberKind::Learned => "learned",
                MemberKind::Router => "router",
                MemberKind::Querier => "querier",
            };
            let (filter, wanted) = match row.filter {
                Some(GroupFilter::Include) => ("include", true),
                Some(GroupFilter::Exclude) => ("exclude", false),
                None => ("-", false),
            };
            let filtered = row.sources.iter().filter(|source| source.wanted == wanted);
            let sources: Vec<_> = filtered.map(|source| source.source).chain(row.address).collect();
            [
                row.vni.to_string(),
                row.network.clone(),
                or_dash(row.group),
                kind.to_owned(),
                or_dash(port_of(&row.place)),
                or_dash(row.place.peer),
                or_dash(row.version.map(protocol)),
                filter.to_owned(),
                joined(&sources, ToString::to_string),
                or_dash(row.expires_seconds.map(duration)),
            ]
        })
    }
}

fn protocol(version: GroupProtocol) -> &'static str {
    match version {
        GroupProtocol::Igmpv1 => "igmpv1",
        GroupProtocol::Igmpv2 => "igmpv2",
        GroupProtocol::Igmpv3 => "igmpv3",
        GroupProtocol::Mldv1 => "mldv1",
        GroupProtocol::Mldv2 => "mldv2",
        GroupProtocol::Pim => "pim",
    }
}

impl List for Peer {
    const NOTHING: &'static str = "no peers";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Left("PEER"),
            Left("KIND"),
            Left("ENCAP"),
            Left("UDP CHECKSUM"),
            Right("DSCP"),
            Right("TTL"),
            Left("STATE"),
            Left("PORT"),
            Left("NEXT HOP"),
            Left("MAC"),
            Right("AGE"),
            Right("MTU"),
            Right("PATH MTU"),
            Right("SENT"),
            Right("RECEIVED"),
            Left("NETWORKS"),
        ];
        rows(output, columns, list, |peer| {
            let state = match peer.state {
                PeerState::Resolved => "resolved",
                PeerState::Unresolved => "unresolved",
                PeerState::NoRoute => "no route",
            };
            [
                peer.address.to_string(),
                if peer.learned { "learned" } else { "static" }.to_owned(),
                match peer.id {
                    Some(id) => format!("{} id {id}", encap(peer.encap)),
                    None => encap(peer.encap),
                },
                or_dash(peer.udp_checksum.map(|checksum| match checksum {
                    UdpChecksum::Zero => "zero",
                    UdpChecksum::Software => "software",
                    UdpChecksum::Device => "device",
                })),
                match peer.dscp {
                    Dscp::Copy => "copy".to_owned(),
                    Dscp::Priority => "priority".to_owned(),
                    Dscp::Fixed(dscp) => dscp.to_string(),
                },
                peer.ttl.map_or("inherit".to_owned(), |ttl| ttl.to_string()),
                state.to_owned(),
                by_hop(peer, &peer.port, |hop| hop.port.clone()),
                by_hop(peer, &peer.next_hop, |hop| match hop.weight {
                    1 => hop.address.to_string(),
                    weight => format!("{}*{weight}", hop.address),
                }),
                by_hop(peer, &peer.mac, |hop| hop.mac.clone()),
                or_dash(peer.age_seconds.map(duration)),
                or_dash(peer.mtu),
                or_dash(peer.path_mtu.map(|path| path.mtu)),
                packets(peer.sent),
                packets(peer.received),
                joined(&peer.networks, ToString::to_string),
            ]
        })
    }
}

/// Something of a peer's next hop, or of each of them.
pub(super) fn by_hop(
    peer: &Peer,
    of_one: &Option<impl ToString>,
    of: impl Fn(&NextHop) -> String,
) -> String {
    match &peer.next_hops[..] {
        [] => or_dash(of_one.as_ref().map(ToString::to_string)),
        several => joined(several, of),
    }
}

impl List for Mirror {
    const NOTHING: &'static str = "no mirrors";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Left("MIRROR"),
            Left("OF"),
            Left("DIRECTION"),
            Left("TO"),
            Right("PACKETS"),
            Right("BYTES"),
            Right("LOST"),
        ];
        rows(output, columns, list, |mirror| {
            let direction = match mirror.direction {
                Direction::In => "in",
                Direction::Out => "out",
                Direction::Both => "both",
            };
            let to = match (&mirror.port, mirror.peer, mirror.id) {
                (Some(port), ..) => port.clone(),
                (None, Some(peer), Some(id)) => format!("{peer} id {id}"),
                _ => "-".to_owned(),
            };
            [
                mirror.name.clone(),
                joined(&mirror.of, String::clone),
                direction.to_owned(),
                to,
                grouped(mirror.packets),
                grouped(mirror.bytes),
                grouped(mirror.lost),
            ]
        })
    }
}

impl List for Worker {
    const NOTHING: &'static str = "no workers";

    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns = [
            Right("LCORE"),
            Right("CORE"),
            Right("SOCKET"),
            Right("BUSY"),
            Right("RX PACKETS"),
            Right("TX PACKETS"),
            Right("BURSTS"),
            Right("PER BURST"),
            Right("POLLS"),
            Right("EMPTY POLLS"),
            Left("QUEUES"),
        ];
        rows(output, columns, list, |worker| {
            let per_burst = (worker.bursts > 0)
                .then(|| format!("{:.1}", worker.rx_packets as f64 / worker.bursts as f64));
            [
                worker.lcore.to_string(),
                worker.core.to_string(),
                worker.socket.to_string(),
                format!("{:.1} %", worker.busy_percent),
                grouped(worker.rx_packets),
                grouped(worker.tx_packets),
                grouped(worker.bursts),
                or_dash(per_burst),
                grouped(worker.polls),
                grouped(worker.empty_polls),
                worker.queues.join(" "),
            ]
        })
    }
}

impl List for DropCount {
    const NOTHING: &'static str = "no drops";

    /// Two lines each, as a remedy beside its meaning would make them far too long.
    fn table(list: &[Self], output: &mut impl Write) -> io::Result<()> {
        let columns =
            [Left("PORT"), Left("REASON"), Right("PACKETS"), Left("MEANING, AND WHAT TO DO")];
        let rows: Vec<_> = list
            .iter()
            .flat_map(|drop| {
                let [port, reason] = [&drop.port, &drop.reason].map(Clone::clone);
                let remedy = format!("-> {}", drop.remedy);
                [
                    [port, reason, grouped(drop.packets), drop.meaning.clone()],
                    [String::new(), String::new(), String::new(), remedy],
                ]
            })
            .collect();
        table::write(output, &columns, &rows)
    }
}

/// Writes the totals: what came in and what became of it, then packet memory.
pub(super) fn write_totals(totals: &Totals, output: &mut impl Write) -> io::Result<()> {
    let row =
        |name: &str, value: u64, note: &str| [name.to_owned(), grouped(value), note.to_owned()];
    let rows = [
        row("rx", totals.rx, "received"),
        row(
            "copies",
            totals.copies,
            "made here: by replication, queries for members, answers, fragments",
        ),
        row("tx", totals.tx, "transmitted"),
        row("drops", totals.drops, "dropped for a reason: ferry show drops"),
        row(
            "merged",
            totals.merged,
            "fragments and TCP segments that became part of another packet",
        ),
        row("held", totals.held, "waiting: for their turn in replication, for other fragments"),
        row("events lost", totals.events_lost, "learning events; traffic repeats them"),
        row("peers refused", totals.peers_refused, "VTEPs not learned: too many"),
    ];
    table::write(output, &[Left(""), Right(""), Left("")], &rows)?;
    writeln!(output, "\nup for {}\n", duration(totals.uptime_seconds))?;
    let columns = [Left("MEMPOOL"), Right("SOCKET"), Right("MBUFS"), Right("FREE")];
    self::rows(output, columns, &totals.mempools, |pool| {
        let [size, available] = [pool.size, pool.available].map(|count| grouped(count.into()));
        [pool.name.clone(), pool.socket.to_string(), size, available]
    })
}

/// Writes a value as JSON.
pub(super) fn write_json(value: &impl serde::Serialize, output: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *output, value)?;
    writeln!(output)
}
