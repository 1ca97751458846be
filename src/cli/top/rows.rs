//! The tables: what stands in their columns, and by what they are sorted.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::rates::{Counter, Rates, Reading, drop_name, peer_name};
use crate::api::model::{DropCount, Network, Peer, PeerState, Port, Role, Worker};
use crate::cli::list::{attachment, by_hop};
use crate::cli::units::{grouped, scaled};

/// A table.
pub(super) struct View {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// The column that it is sorted by at first.
    pub first: usize,
    pub rows: fn(&Reading, &Rates) -> Vec<Vec<Cell>>,
}

/// Its name, and characters; those of numbers stand right.
pub(super) struct Column {
    pub name: &'static str,
    pub width: u16,
    pub is_number: bool,
}

const fn text(name: &'static str, width: u16) -> Column {
    Column { name, width, is_number: false }
}

const fn number(name: &'static str, width: u16) -> Column {
    Column { name, width, is_number: true }
}

/// What stands in a place of a table.
pub(super) enum Cell {
    Text(String),
    /// As it is shown; unknown ones come last.
    Number(Option<f64>, String),
}

impl Cell {
    /// Text by its letters, numbers with the largest first.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one, _), Self::Number(other, _)) => {
                let value = |of: &Option<f64>| of.unwrap_or(f64::NEG_INFINITY);
                value(other).total_cmp(&value(one))
            }
            (one, other) => one.shown().cmp(other.shown()),
        }
    }

    pub fn shown(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(_, text) => text,
        }
    }
}

fn word(text: impl ToString) -> Cell {
    Cell::Text(text.to_string())
}

fn count(value: u64) -> Cell {
    Cell::Number(Some(value as f64), grouped(value))
}

/// With a form of its own.
fn known(value: Option<f64>, form: impl Fn(f64) -> String) -> Cell {
    Cell::Number(value, value.map_or_else(|| "-".to_owned(), form))
}

fn rate(value: Option<f64>) -> Cell {
    known(value, |value| grouped(value.round() as u64))
}

/// A line of rates as blocks of eight heights.
pub(super) fn spark(rates: Option<&VecDeque<f64>>, width: usize) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(rates) = rates else { return String::new() };
    let last = rates.iter().skip(rates.len().saturating_sub(width));
    let most = last.clone().copied().fold(0.0, f64::max);
    let height = |rate: &f64| if most > 0.0 { (rate / most * 7.0).ceil() as usize } else { 0 };
    last.map(|rate| HEIGHTS[height(rate).min(7)]).collect()
}

const SPARK: u16 = 20;

/// All tables, in the order of their keys.
pub(super) const VIEWS: [View; 5] = [
    View {
        name: "Ports",
        columns: &[
            text("PORT", 16),
            text("ROLE", 8),
            text("LINK", 4),
            number("RX/s", 13),
            number("TX/s", 13),
            number("RX bit/s", 9),
            number("TX bit/s", 9),
            number("DROPS/s", 11),
            text("RX", SPARK),
        ],
        first: 3,
        rows: ports,
    },
    View {
        name: "Networks",
        columns: &[
            number("VNI", 10),
            text("NETWORK", 20),
            number("PORTS/s", 13),
            number("PEERS/s", 13),
            number("PORTS bit/s", 11),
            number("PEERS bit/s", 11),
            number("MACS", 11),
            number("OF", 11),
            number("MOVES/s", 9),
            number("REFUSED/s", 10),
            number("ANSWERED/s", 10),
            number("PEERS", 6),
            text("PORTS", 24),
        ],
        first: 2,
        rows: networks,
    },
    View {
        name: "Peers",
        columns: &[
            text("PEER", 28),
            text("STATE", 10),
            number("SENT/s", 13),
            number("RECEIVED/s", 13),
            number("SENT bit/s", 10),
            number("RECEIVED bit/s", 14),
            text("PORT", 16),
            text("NEXT HOP", 28),
            number("MTU", 5),
            number("NETWORKS", 8),
        ],
        first: 2,
        rows: peers,
    },
    View {
        name: "Workers",
        columns: &[
            text("CORE", 4),
            number("BUSY", 5),
            number("IDLE", 5),
            number("RX/s", 13),
            number("NS/PACKET", 10),
            number("A BURST", 7),
            text("BUSY", SPARK),
            text("QUEUES", 30),
        ],
        first: 0,
        rows: workers,
    },
    View {
        name: "Drops",
        columns: &[
            text("PORT", 16),
            text("REASON", 26),
            number("DROPS/s", 11),
            number("PACKETS", 15),
            text("DROPS", SPARK),
            text("REMEDY", 40),
        ],
        first: 2,
        rows: drops,
    },
];

fn ports(reading: &Reading, rates: &Rates) -> Vec<Vec<Cell>> {
    let row = |port: &Port| {
        let role = match port.role {
            Role::Access => "access",
            Role::Underlay => "underlay",
            Role::Twin => "twin",
        };
        let name = &port.name;
        vec![
            word(name),
            word(role),
            word(port.link),
            rate(rates.latest(Counter::Rx, name)),
            rate(rates.latest(Counter::Tx, name)),
            known(rates.latest(Counter::RxBits, name), scaled),
            known(rates.latest(Counter::TxBits, name), scaled),
            rate(rates.latest(Counter::Drops, name)),
            word(spark(rates.line(Counter::Rx, name), SPARK.into())),
        ]
    };
    reading.ports.iter().map(row).collect()
}

fn networks(reading: &Reading, rates: &Rates) -> Vec<Vec<Cell>> {
    let row = |network: &Network| {
        let vni = network.vni.to_string();
        let places = network.ports.iter();
        let places: Vec<_> =
            places.map(|at| attachment(&at.port, at.vlan, at.inner_vlan)).collect();
        vec![
            Cell::Number(Some(f64::from(network.vni)), vni.clone()),
            word(&network.name),
            rate(rates.latest(Counter::FromPorts, &vni)),
            rate(rates.latest(Counter::FromPeers, &vni)),
            known(rates.latest(Counter::FromPortsBits, &vni), scaled),
            known(rates.latest(Counter::FromPeersBits, &vni), scaled),
            count(network.macs_learned + network.macs_static),
            count(network.mac_limit),
            rate(rates.latest(Counter::Moves, &vni)),
            rate(rates.latest(Counter::Refused, &vni)),
            rate(rates.latest(Counter::Answered, &vni)),
            count(network.peers.len() as u64),
            word(places.join(" ")),
        ]
    };
    reading.networks.iter().map(row).collect()
}

fn peers(reading: &Reading, rates: &Rates) -> Vec<Vec<Cell>> {
    let row = |peer: &Peer| {
        let state = match peer.state {
            PeerState::Resolved => "resolved",
            PeerState::Unresolved => "unresolved",
            PeerState::NoRoute => "no route",
        };
        let name = peer_name(peer);
        vec![
            word(peer.address),
            word(state),
            rate(rates.latest(Counter::Sent, &name)),
            rate(rates.latest(Counter::Received, &name)),
            known(rates.latest(Counter::SentBits, &name), scaled),
            known(rates.latest(Counter::ReceivedBits, &name), scaled),
            word(by_hop(peer, &peer.port, |hop| hop.port.clone())),
            word(by_hop(peer, &peer.next_hop, |hop| hop.address.to_string())),
            known(peer.mtu.map(f64::from), |mtu| mtu.to_string()),
            count(peer.networks.len() as u64),
        ]
    };
    reading.peers.iter().map(row).collect()
}

fn workers(reading: &Reading, rates: &Rates) -> Vec<Vec<Cell>> {
    let row = |worker: &Worker| {
        let name = worker.lcore.to_string();
        // Seconds of a second, but for the time between two readings of the clock.
        let times = rates.latest(Counter::Busy, &name).zip(rates.latest(Counter::Idle, &name));
        let busy = times.map(|(busy, idle)| 100.0 * busy / (busy + idle).max(f64::MIN_POSITIVE));
        let percent = |share: f64| format!("{share:.0}%");
        vec![
            word(worker.core),
            known(busy, percent),
            known(busy.map(|busy| 100.0 - busy), percent),
            rate(rates.latest(Counter::WorkerRx, &name)),
            known(rates.share(Counter::Busy, Counter::WorkerRx, &name), |seconds| {
                format!("{:.0}", seconds * 1e9)
            }),
            known(rates.share(Counter::WorkerRx, Counter::Bursts, &name), |fill| {
                format!("{fill:.1}")
            }),
            word(spark(rates.line(Counter::Busy, &name), SPARK.into())),
            word(worker.queues.join(" ")),
        ]
    };
    reading.workers.iter().map(row).collect()
}

fn drops(reading: &Reading, rates: &Rates) -> Vec<Vec<Cell>> {
    let row = |drop: &DropCount| {
        let name = drop_name(drop);
        vec![
            word(&drop.port),
            word(&drop.reason),
            rate(rates.latest(Counter::Reason, &name)),
            count(drop.packets),
            word(spark(rates.line(Counter::Reason, &name), SPARK.into())),
            word(&drop.remedy),
        ]
    };
    reading.drops.iter().map(row).collect()
}
