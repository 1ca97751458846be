//! `GET /metrics`: all that is counted, as Prometheus reads it.
//!
//! How many rows there are depends on the configuration: ports, workers, reasons of drops, and networks and peers where
//! they are asked for. What tenants bring, such as MACs and addresses, is only counted.

mod text;

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use self::text::Kind::{Counter, Gauge};
use self::text::{Text, label};
use super::model::{DropCount, Encap, Link, Mirror, Peer, Port, Role, Totals, Volume, Worker};
use super::query::{Handle, Query};
use super::routes::Refusal;
use crate::config::Metrics;

/// The version of Prometheus's text format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All that is counted, read at once.
#[derive(Clone, Debug)]
pub struct Reading {
    /// All ports.
    pub ports: Vec<Port>,
    /// Drops that happened.
    pub drops: Vec<DropCount>,
    /// All workers.
    pub workers: Vec<Worker>,
    /// The sums.
    pub totals: Totals,
    /// Peers by [`PeerState`](super::model::PeerState)'s names.
    pub peers: [(&'static str, u64); 3],
    /// Networks.
    pub networks: u64,
    /// What all networks know.
    pub tables: Tables,
    /// Each of them; empty where nobody asked.
    pub by_network: Vec<NetworkReading>,
    /// Each peer; empty where nobody asked.
    pub by_peer: Vec<Peer>,
    /// Mirrors.
    pub mirrors: Vec<Mirror>,
}

/// A network.
#[derive(Clone, Debug)]
pub struct NetworkReading {
    /// Its ID.
    pub vni: u32,
    /// The operator's name for it.
    pub name: String,
    /// What it knows.
    pub tables: Tables,
    /// Frames of its stations at access ports.
    pub from_ports: Volume,
    /// Frames that came by tunnels.
    pub from_peers: Volume,
}

/// What one network knows, or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tables {
    /// MACs.
    pub macs: Table,
    /// Addresses, where ARP is answered.
    pub neighbours: Table,
    /// Multicast groups; learned ones where IGMP and MLD are listened to.
    pub groups: Table,
    /// Learned MACs that moved; of all networks, those that are gone included.
    pub mac_moves: u64,
    /// MACs that the limit kept out, in the same way.
    pub macs_refused: u64,
    /// MACs that moved too often and stay where they are for a while.
    pub macs_frozen: u64,
}

/// A table, or the sum of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Table {
    /// Entries learned from traffic.
    pub learned: u64,
    /// Entries from the configuration.
    pub fixed: u64,
    /// Learned entries that there may be.
    pub limit: u64,
    /// Of the fullest table, the share of its limit that is in use.
    pub fullest: f64,
}

impl Table {
    /// One table.
    pub fn new(learned: u64, fixed: u64, limit: u64) -> Self {
        let fullest = if limit > 0 { learned as f64 / limit as f64 } else { 0.0 };
        Self { learned, fixed, limit, fullest }
    }

    fn add(&mut self, other: &Self) {
        self.learned += other.learned;
        self.fixed += other.fixed;
        self.limit += other.limit;
        self.fullest = self.fullest.max(other.fullest);
    }
}

impl Tables {
    /// Adds another network's.
    pub fn add(&mut self, other: &Self) {
        self.macs.add(&other.macs);
        self.neighbours.add(&other.neighbours);
        self.groups.add(&other.groups);
        self.mac_moves += other.mac_moves;
        self.macs_refused += other.macs_refused;
        self.macs_frozen += other.macs_frozen;
    }

    fn by_name(&self) -> [(&'static str, &Table); 3] {
        [("macs", &self.macs), ("neighbours", &self.neighbours), ("groups", &self.groups)]
    }
}

/// Answers a scrape.
pub(super) async fn show(
    State(handle): State<Handle>,
    of: Metrics,
) -> Result<impl IntoResponse, Refusal> {
    let reading = handle.ask(|reply| Query::Reading { of, reply }).await?;
    Ok(([(CONTENT_TYPE, FORMAT)], write(&reading, &handle)))
}

fn write(reading: &Reading, handle: &Handle) -> String {
    let mut text = Text::default();
    process(&mut text, handle);
    ports(&mut text, reading);
    workers(&mut text, &reading.workers);
    totals(&mut text, &reading.totals);
    text.family(Gauge, "peers", "Remote VTEPs, by whether packets to them can leave.");
    for (state, count) in &reading.peers {
        text.sample(&[label("state", state)], count);
    }
    tables(&mut text, reading);
    networks(&mut text, &reading.by_network);
    peers(&mut text, &reading.by_peer);
    mirrors(&mut text, &reading.mirrors);
    text.finish()
}

fn process(text: &mut Text, handle: &Handle) {
    let version = handle.version();
    text.family(Gauge, "build_info", "What runs; always 1.");
    text.sample(&[label("version", &version.ferry), label("dpdk", &version.dpdk)], 1);
    text.family(Gauge, "start_time_seconds", "When it was started, in seconds since 1970.");
    let since = handle.started().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    text.sample(&[], since.as_secs_f64());
    let help = "Connections that the API did not take: too many were open.";
    text.family(Counter, "api_refused_connections_total", help);
    text.sample(&[], handle.refused().get());
}

fn ports(text: &mut Text, Reading { ports, drops, .. }: &Reading) {
    let mut each = |kind, name, help, value: fn(&Port) -> u64| {
        text.family(kind, name, help);
        for port in ports {
            let role = match port.role {
                Role::Access => "access",
                Role::Underlay => "underlay",
                Role::Twin => "twin",
            };
            text.sample(&[label("port", &port.name), label("role", role)], value(port));
        }
    };
    each(Gauge, "port_up", "Whether frames can pass the port's link.", |port| {
        u64::from(port.link == Link::Up)
    });
    each(Counter, "port_receive_packets_total", "Frames taken from the port.", |port| {
        port.rx_packets
    });
    each(Counter, "port_receive_bytes_total", "Bytes of these frames, without FCS.", |port| {
        port.rx_bytes
    });
    let help =
        "Frames lost in the port's device, for lack of receive descriptors or packet buffers.";
    each(Counter, "port_receive_missed_packets_total", help, |port| port.rx_missed);
    let help = "Frames that the port's device received damaged, or too long.";
    each(Counter, "port_receive_errors_total", help, |port| port.rx_errors);
    let help = "How often the port's driver found no packet buffer to receive into.";
    each(Counter, "port_receive_no_buffer_total", help, |port| port.rx_no_buffer);
    each(Counter, "port_transmit_packets_total", "Frames given to the device.", |port| {
        port.tx_packets
    });
    each(Counter, "port_transmit_bytes_total", "Bytes of these frames, without FCS.", |port| {
        port.tx_bytes
    });
    let help = "Frames given to the device that it could not send.";
    each(Counter, "port_transmit_errors_total", help, |port| port.tx_errors);
    let help = "Frames dropped for any reason, at the port they came in by or should have left by.";
    each(Counter, "port_dropped_packets_total", help, |port| port.drops);
    let help = "The same by reason; only those that happened. 'ferry show drops' says what to do.";
    text.family(Counter, "dropped_packets_total", help);
    for DropCount { port, reason, packets, .. } in drops {
        text.sample(&[label("port", port), label("reason", reason)], packets);
    }
}

fn workers(text: &mut Text, workers: &[Worker]) {
    let of = |worker: &Worker| label("core", &worker.core.to_string());
    let help = "Time of the forwarding core, by whether there was something to do.";
    text.family(Counter, "worker_seconds_total", help);
    for worker in workers {
        text.sample(&[of(worker), label("mode", "busy")], worker.busy_seconds);
        text.sample(&[of(worker), label("mode", "idle")], worker.idle_seconds);
    }
    let mut each = |name, help, value: fn(&Worker) -> u64| {
        text.family(Counter, name, help);
        workers.iter().for_each(|worker| text.sample(&[of(worker)], value(worker)));
    };
    each("worker_receive_packets_total", "Frames that it took from ports.", |of| of.rx_packets);
    each("worker_transmit_packets_total", "Frames that it gave to devices.", |of| of.tx_packets);
    each("worker_bursts_total", "Receive bursts that were not empty.", |of| of.bursts);
    each("worker_polls_total", "Rounds of the poll loop.", |of| of.polls);
    each("worker_empty_polls_total", "Rounds in which nothing arrived.", |of| of.empty_polls);
}

fn totals(text: &mut Text, totals: &Totals) {
    let mut one = |kind, name, help, value: u64| {
        text.family(kind, name, help);
        text.sample(&[], value);
    };
    one(Counter, "copied_packets_total", "Frames made here, mostly by replication.", totals.copies);
    let help = "Fragments and TCP segments that became part of another packet.";
    one(Counter, "merged_packets_total", help, totals.merged);
    let help = "Frames that wait for their turn in replication, or for other fragments.";
    one(Gauge, "held_packets", help, totals.held);
    let help = "Learning events lost because the control core was behind.";
    one(Counter, "events_lost_total", help, totals.events_lost);
    let help = "VTEPs not learned because there were too many, each time they were heard.";
    one(Counter, "peers_refused_total", help, totals.peers_refused);
    let mut each = |name, help, value: fn(&super::model::Mempool) -> u32| {
        text.family(Gauge, name, help);
        for pool in &totals.mempools {
            let labels = [label("pool", &pool.name), label("socket", &pool.socket.to_string())];
            text.sample(&labels, value(pool));
        }
    };
    each("mempool_buffers", "Packet buffers.", |pool| pool.size);
    each("mempool_free_buffers", "Packet buffers that are free.", |pool| pool.available);
}

fn tables(text: &mut Text, Reading { networks, tables, .. }: &Reading) {
    let mut one = |kind, name, help, value: u64| {
        text.family(kind, name, help);
        text.sample(&[], value);
    };
    one(Gauge, "networks", "Networks.", *networks);
    one(Counter, "mac_moves_total", "Learned MACs that moved.", tables.mac_moves);
    let help = "MACs that a network's limit kept out, each time they were seen.";
    one(Counter, "macs_refused_total", help, tables.macs_refused);
    let help = "MACs that moved too often and stay where they are for a while.";
    one(Gauge, "macs_frozen", help, tables.macs_frozen);
    text.family(Gauge, "table_entries", "Entries of all networks' tables.");
    for (name, table) in tables.by_name() {
        text.sample(&[label("table", name), label("kind", "learned")], table.learned);
        text.sample(&[label("table", name), label("kind", "static")], table.fixed);
    }
    text.family(Gauge, "table_limit_entries", "Learned entries that all of them may have.");
    for (name, table) in tables.by_name() {
        text.sample(&[label("table", name)], table.limit);
    }
    let help = "Of the fullest table of any network, the share of its limit that is in use.";
    text.family(Gauge, "table_fullest_ratio", help);
    for (name, table) in tables.by_name() {
        text.sample(&[label("table", name)], table.fullest);
    }
}

fn mirrors(text: &mut Text, mirrors: &[Mirror]) {
    if mirrors.is_empty() {
        return;
    }
    let mut each = |name, help, value: fn(&Mirror) -> u64| {
        text.family(Counter, name, help);
        for mirror in mirrors {
            text.sample(&[label("mirror", &mirror.name)], value(mirror));
        }
    };
    each("mirror_packets_total", "Copies given to the mirror's port or tunnel.", |of| of.packets);
    each("mirror_bytes_total", "Bytes of these copies, without FCS.", |of| of.bytes);
    each("mirror_lost_packets_total", "Copies that were not given to it.", |of| of.lost);
}

fn networks(text: &mut Text, networks: &[NetworkReading]) {
    if networks.is_empty() {
        return;
    }
    let of = |network: &NetworkReading| {
        [label("vni", &network.vni.to_string()), label("network", &network.name)]
    };
    let mut each = |name, help, value: fn(Volume) -> u64| {
        text.family(Counter, name, help);
        for network in networks {
            let [vni, name] = of(network);
            let NetworkReading { from_ports, from_peers, .. } = *network;
            for (from, volume) in [("ports", from_ports), ("peers", from_peers)] {
                text.sample(&[vni.clone(), name.clone(), label("from", from)], value(volume));
            }
        }
    };
    let help = "Frames of the network, by whether they came from access ports or from peers.";
    each("network_packets_total", help, |of| of.packets);
    each("network_bytes_total", "Bytes of these frames, without outer headers.", |of| of.bytes);
    text.family(Gauge, "network_table_entries", "Entries of the network's tables.");
    for network in networks {
        let [vni, name] = of(network);
        for (table, Table { learned, fixed, .. }) in network.tables.by_name() {
            for (kind, count) in [("learned", learned), ("static", fixed)] {
                let labels =
                    [vni.clone(), name.clone(), label("table", table), label("kind", kind)];
                text.sample(&labels, count);
            }
        }
    }
    text.family(Gauge, "network_table_limit_entries", "Learned entries that they may have.");
    for network in networks {
        let [vni, name] = of(network);
        for (table, Table { limit, .. }) in network.tables.by_name() {
            text.sample(&[vni.clone(), name.clone(), label("table", table)], limit);
        }
    }
    let mut each = |kind, name, help, value: fn(&Tables) -> u64| {
        text.family(kind, name, help);
        networks.iter().for_each(|network| text.sample(&of(network), value(&network.tables)));
    };
    each(Counter, "network_mac_moves_total", "Its learned MACs that moved.", |of| of.mac_moves);
    let help = "MACs that its limit kept out, each time they were seen.";
    each(Counter, "network_macs_refused_total", help, |of| of.macs_refused);
    let help = "Its MACs that moved too often and stay where they are for a while.";
    each(Gauge, "network_macs_frozen", help, |of| of.macs_frozen);
}

fn peers(text: &mut Text, peers: &[Peer]) {
    // One that networks speak to in several ways, such as with other DSCPs, is one peer all the same.
    let mut sums = BTreeMap::<_, [Volume; 2]>::new();
    for peer in peers {
        let (Some(sent), Some(received)) = (peer.sent, peer.received) else { continue };
        let encap = match peer.encap {
            Encap::Vxlan => "vxlan",
            Encap::Nvgre => "nvgre",
            Encap::Gre => "gre",
        };
        let of_peer = sums.entry((peer.address, encap, peer.id)).or_default();
        for (sum, more) in of_peer.iter_mut().zip([sent, received]) {
            sum.packets += more.packets;
            sum.bytes += more.bytes;
        }
    }
    if sums.is_empty() {
        return;
    }
    let mut each = |name, help, value: fn(&[Volume; 2]) -> u64| {
        text.family(Counter, name, help);
        for ((address, encap, id), volumes) in &sums {
            let (address, id) =
                (address.to_string(), id.map_or(String::new(), |id| id.to_string()));
            let labels = [label("peer", &address), label("encap", encap), label("id", &id)];
            text.sample(&labels, value(volumes));
        }
    };
    let help = "Frames for the peer, copies of flooded ones included.";
    each("peer_transmit_packets_total", help, |[sent, _]| sent.packets);
    let help = "Bytes of these frames, without outer headers.";
    each("peer_transmit_bytes_total", help, |[sent, _]| sent.bytes);
    let help = "Frames from the peer that a network took.";
    each("peer_receive_packets_total", help, |[_, received]| received.packets);
    let help = "Bytes of these frames, without outer headers.";
    each("peer_receive_bytes_total", help, |[_, received]| received.bytes);
}
